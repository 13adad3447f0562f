package oasisalloc;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The labels of a key or the ids of items: their codes, found without making an object where the type allows it. */
final class Labels {
    private final List<Object> labels;
    final String type; // in the file: "int", "uint", "float", "bool" or "str"
    private final String kind; // "number", "str" or "bool"; "" without labels
    private final Map<Object, Integer> codes = new HashMap<>(); // of labels that are not in `whole`
    private long[] whole = new long[0]; // open addressing; a power of two of places
    private int[] codeOfWhole = new int[0]; // -1 for a free place

    /** Refuses labels that are equal to one another. */
    Labels(String name, String type, List<Object> labels) {
        this.type = type;
        this.labels = labels;
        kind = labels.isEmpty() ? "" : kindOf(labels.get(0));
        if (kind.equals("number")) {
            int size = Integer.highestOneBit(Math.max(1, labels.size())) << 2;
            whole = new long[size];
            codeOfWhole = new int[size];
            java.util.Arrays.fill(codeOfWhole, -1);
        }
        for (int code = 0; code < labels.size(); code++) {
            Object label = Label.of(labels.get(code));
            boolean isNew = label instanceof Long number ? put(number, code) : codes.putIfAbsent(label, code) == null;
            Refusal.unless(isNew, name + ": a label or id appears twice");
        }
    }

    private static String kindOf(Object label) {
        return label instanceof String ? "str" : label instanceof Boolean ? "bool" : "number";
    }

    private int place(long number) {
        long hash = number * 0x9E3779B97F4A7C15L;
        int at = (int) (hash >>> 32) & (whole.length - 1);
        while (codeOfWhole[at] >= 0 && whole[at] != number) at = (at + 1) & (whole.length - 1);
        return at;
    }

    private boolean put(long number, int code) {
        int at = place(number);
        if (codeOfWhole[at] >= 0) return false;
        whole[at] = number;
        codeOfWhole[at] = code;
        return true;
    }

    int size() {
        return labels.size();
    }

    /** The label of a code, as it is in the file. */
    Object get(int code) {
        return labels.get(code);
    }

    int code(long number) {
        return whole.length == 0 ? -1 : codeOfWhole[place(number)];
    }

    /** The code of a label of any type, -1 for null and unknown ones; InputException for what cannot be a label. */
    int code(Object label) {
        if (Label.isLong(label)) return code(((Number) label).longValue());
        Object one = label instanceof String ? label : Label.of(label);
        if (one instanceof Long number) return code((long) number);
        Integer code = one == null ? null : codes.get(one);
        return code == null ? -1 : code;
    }

    /** True where a label is of another kind than all of these, so that it is probably a mistake of the caller. */
    boolean isOfAnotherKind(Object label) {
        if (kind.isEmpty()) return false;
        Object one = Label.of(label);
        return one != null && !kindOf(one).equals(kind);
    }
}
