package oasisalloc;

import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;

/** What a unit of each column costs, by class of items, folded once for every kind of user. */
final class Prices {
    private static final int FOLDED = 1 << 22; // numbers in tables that are kept
    private static final long MAX_TABLE = 1L << 28; // numbers in one table

    final List<String> measured; // columns that have prices, sorted by code points
    private final PolicyData data;
    private final ItemClasses classes;
    private final List<String> userKeys;
    private final Map<ItemClasses.Codes, double[][]> tables = new ConcurrentHashMap<>();

    Prices(PolicyData data, ItemClasses classes) {
        this.data = data;
        this.classes = classes;
        userKeys = List.copyOf(data.userKeys().keySet());
        TreeSet<String> columns = new TreeSet<>(Prices::byCodePoints);
        for (Term term : data.terms()) if (term.column() != null) columns.add(term.column());
        measured = List.copyOf(columns);
        Refusal.unless((measured.size() + 1L) * classes.size() <= MAX_TABLE, "unreadable",
                "prices of " + measured.size() + " columns and " + classes.size() + " kinds of items need more memory"
                        + " than a table may have");
    }

    static int byCodePoints(String a, String b) {
        return java.util.Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
    }

    /** The prices of exposure, then of each column of `measured`, by class; kept for the next request. */
    double[][] of(int[] codes) {
        ItemClasses.Codes key = new ItemClasses.Codes(codes);
        double[][] found = tables.get(key);
        if (found != null) return found;
        double[][] table = new double[measured.size() + 1][classes.size()];
        for (Term term : data.terms())
            add(term.prices(), codes, table[term.column() == null ? 0 : measured.indexOf(term.column()) + 1]);
        if (tables.size() >= Math.max(1, FOLDED / (64 + table.length * classes.size()))) tables.clear();
        tables.put(key, table);
        return table;
    }

    /** Adds the prices of a term's groups, ascending, to those of every class. */
    private void add(PriceTable prices, int[] user, double[] out) {
        int width = prices.keys().length;
        int[][] choices = new int[width][];
        ItemKey[] ofItems = new ItemKey[width];
        for (int j = 0; j < width; j++) {
            String key = prices.keys()[j];
            ofItems[j] = data.itemKeys().get(key);
            if (ofItems[j] == null) choices[j] = new int[] {user[userKeys.indexOf(key)]};
            if (ofItems[j] == null && choices[j][0] < 0) return; // the user is in no group of it
        }
        int[] group = new int[width];
        for (int c = 0; c < out.length; c++) {
            int item = classes.member(c), combinations = 1;
            for (int j = 0; j < width; j++) {
                if (ofItems[j] != null) choices[j] = ofItems[j].codes(item);
                combinations *= choices[j].length;
            }
            for (int number = 0; number < combinations; number++) {
                int rest = number;
                for (int j = width - 1; j >= 0; j--) { // the last key changes first: groups ascend
                    group[j] = choices[j][rest % choices[j].length];
                    rest /= choices[j].length;
                }
                int row = prices.row(group);
                if (row >= 0) out[c] = out[c] + prices.price()[row];
            }
        }
    }
}
