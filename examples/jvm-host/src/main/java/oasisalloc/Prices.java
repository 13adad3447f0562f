package oasisalloc;

import java.util.Arrays;
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
        return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
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
    private void add(PriceTable all, int[] user, double[] out) {
        PriceTable prices = ofUser(all, user);
        int width = prices.keys().length;
        if (width == 1) {
            addByLabel(prices, out);
            return;
        }
        int[][] choices = new int[width][];
        int[] group = new int[width];
        for (int c = 0; c < out.length; c++) {
            int combinations = 1;
            for (int j = 0; j < width; j++) {
                choices[j] = data.itemKeys().get(prices.keys()[j]).codes(classes.member(c));
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

    /** The prices of the groups that a user is in, by the keys of items alone. */
    private PriceTable ofUser(PriceTable all, int[] user) {
        int width = all.keys().length, rows = 0, kept = 0;
        int[] code = new int[width]; // the user's, -1 for a key of items
        String[] keys = new String[width];
        for (int j = 0; j < width; j++) {
            boolean isOfItems = data.itemKeys().containsKey(all.keys()[j]);
            code[j] = isOfItems ? -1 : user[userKeys.indexOf(all.keys()[j])];
            if (!isOfItems && code[j] < 0) code[j] = Integer.MAX_VALUE; // the user is in no group of it
            if (isOfItems) keys[kept++] = all.keys()[j];
        }
        if (kept == width) return all;
        int[] groups = new int[all.price().length * kept];
        double[] price = new double[all.price().length];
        for (int row = 0; row < price.length; row++) {
            boolean isIn = true;
            for (int j = 0, at = rows * kept; j < width; j++) {
                int label = all.groups()[row * width + j];
                if (code[j] < 0) groups[at++] = label;
                else isIn &= label == code[j];
            }
            if (isIn) price[rows++] = all.price()[row];
        }
        return new PriceTable(Arrays.copyOf(keys, kept), Arrays.copyOf(groups, rows * kept),
                Arrays.copyOf(price, rows));
    }

    /** The same for one key of items: a label without a price adds 0.0, which changes no sum. */
    private void addByLabel(PriceTable prices, double[] out) {
        ItemKey key = data.itemKeys().get(prices.keys()[0]);
        double[] byLabel = new double[key.labels.size()];
        for (int row = 0; row < prices.price().length; row++) byLabel[prices.groups()[row]] = prices.price()[row];
        for (int c = 0; c < out.length; c++) {
            int item = classes.member(c), n = key.count(item);
            for (int j = 0; j < n; j++) out[c] = out[c] + byLabel[key.code(item, j)];
        }
    }
}
