package oasisalloc;

/** The labels of items of one key: at most one per item, or several in ascending order. */
final class ItemKey {
    private static final int[] NO_CODES = {};

    final Labels labels;
    private final int[] codes;
    private final int[] starts; // of the codes of each item; null where there is one code per item, -1 for no label

    private ItemKey(Labels labels, int[] codes, int[] starts) {
        this.labels = labels;
        this.codes = codes;
        this.starts = starts;
    }

    /** One code per item. */
    static ItemKey single(String name, Labels labels, int[] codes, int nItems) {
        Refusal.unless(codes.length == nItems, "shape", name + "/codes has " + codes.length + "; expected " + nItems);
        for (int code : codes)
            Refusal.unless(code >= -1 && code < labels.size(), name + "/codes has " + code);
        return new ItemKey(labels, codes, null);
    }

    /** The codes of item i are those from indptr[i] to before indptr[i + 1]. */
    static ItemKey several(String name, Labels labels, int[] codes, long[] indptr, int nItems) {
        Refusal.unless(indptr.length == nItems + 1L, "shape", name + "/indptr has " + indptr.length);
        Refusal.unless(indptr[0] == 0 && indptr[nItems] == codes.length, name + "/indptr does not cover its codes");
        int[] starts = new int[indptr.length];
        for (int item = 0; item < nItems; item++) {
            Refusal.unless(indptr[item] <= indptr[item + 1], name + "/indptr descends");
            starts[item + 1] = Math.toIntExact(indptr[item + 1]);
        }
        for (int code : codes) Refusal.unless(code >= 0 && code < labels.size(), name + "/codes has " + code);
        for (int item = 0; item < nItems; item++)
            for (int at = starts[item] + 1; at < starts[item + 1]; at++)
                Refusal.unless(codes[at - 1] < codes[at], name + ": the codes of an item do not ascend");
        return new ItemKey(labels, codes, starts);
    }

    /** Whether every item has at most one label. */
    boolean isSingle() {
        return starts == null;
    }

    /** The number of items of a key with one label each. */
    int items() {
        return codes.length;
    }

    /** The number of labels of an item; 0 for one that was never seen. */
    int count(int item) {
        if (item < 0) return 0;
        return starts == null ? (codes[item] < 0 ? 0 : 1) : starts[item + 1] - starts[item];
    }

    /** The j-th label of an item, ascending. */
    int code(int item, int j) {
        return codes[(starts == null ? item : starts[item]) + j];
    }

    int[] codes(int item) {
        int n = count(item);
        if (n == 0) return NO_CODES;
        int first = starts == null ? item : starts[item];
        return java.util.Arrays.copyOfRange(codes, first, first + n);
    }

    /** Appends the codes of an item to an array from a place on; returns the place behind them. */
    int copy(int item, int[] out, int at) {
        int n = count(item), first = n == 0 ? 0 : starts == null ? item : starts[item];
        System.arraycopy(codes, first, out, at, n);
        return at + n;
    }
}
