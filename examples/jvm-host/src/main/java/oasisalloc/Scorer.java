package oasisalloc;

import java.util.List;

/**
 * The priced scores of a policy: every operation rounded on its own, in the order of docs/snapshot.md. It has no state,
 * so any number of threads may share it. It checks nothing; {@link Policy#score} does.
 */
public final class Scorer {
    private final ItemClasses classes;
    private final int nItems;
    private final double[] weights;
    private final int[] weighed; // the row of each weight's column, -1 for a constant 1
    private final int[] charged; // the row of each column that has prices
    private final boolean isAsItIs; // the objective is one column

    Scorer(PolicyData data, ItemClasses classes, List<String> measured, List<String> columns) {
        this.classes = classes;
        nItems = data.nItems();
        weights = data.weights();
        weighed = data.weighed().stream().mapToInt(name -> name == null ? -1 : columns.indexOf(name)).toArray();
        charged = measured.stream().mapToInt(columns::indexOf).toArray();
        isAsItIs = weights.length == 1 && weights[0] == 1.0 && weighed[0] >= 0;
    }

    /** True for a column that scores depend on, by its place in {@link Policy#columns()}. */
    boolean reads(int column) {
        boolean found = false;
        for (int row : weighed) found |= row == column;
        for (int row : charged) found |= row == column;
        return found;
    }

    /**
     * Writes the scores of the first n candidates.
     *
     * @param items numbers of {@link Policy#encode}; those out of range count as never seen
     * @param columns one array of n or more numbers for each name of {@link Policy#columns()}, in its order
     * @param scratch n or more integers
     */
    public void score(int n, User user, int[] items, double[][] columns, int[] scratch, double[] out) {
        for (int i = 0; i < n; i++) scratch[i] = items[i] < nItems ? items[i] : -1;
        classes.of(n, scratch, scratch);
        score(n, user, scratch, columns, out);
    }

    /** Writes the scores of the first n candidates by their classes. */
    void score(int n, User user, int[] of, double[][] columns, double[] out) {
        double[] price = user.prices[0];
        if (isAsItIs) {
            double[] v = columns[weighed[0]];
            for (int i = 0; i < n; i++) out[i] = v[i] - price[of[i]];
        } else {
            blend(n, columns, out);
            for (int i = 0; i < n; i++) out[i] = out[i] - price[of[i]];
        }
        for (int m = 0; m < charged.length; m++) {
            double[] priced = user.prices[m + 1], v = columns[charged[m]];
            for (int i = 0; i < n; i++) out[i] = out[i] - priced[of[i]] * v[i];
        }
    }

    private void blend(int n, double[][] columns, double[] out) {
        for (int i = 0; i < n; i++) out[i] = 0.0;
        for (int t = 0; t < weights.length; t++) {
            double weight = weights[t];
            if (weighed[t] < 0) {
                for (int i = 0; i < n; i++) out[i] = out[i] + weight;
            } else {
                double[] v = columns[weighed[t]];
                for (int i = 0; i < n; i++) out[i] = out[i] + weight * v[i];
            }
        }
    }
}
