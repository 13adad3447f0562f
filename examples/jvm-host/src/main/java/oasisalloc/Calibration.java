package oasisalloc;

import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * A calibrated column: what requests bring is mapped piece by piece before anything reads it, in the order of
 * docs/snapshot.md. Every step is rounded on its own, so the map is monotone to the last bit.
 */
final class Calibration {
    private static final int MAX_KNOTS = 64;

    final String column;
    private final double[] first; // the value at the first knot, by row
    private final double[] knots, widths;
    private final double[][] slopes; // by row
    private final int ofUser; // the place of the key among those of the users, -1 for another
    private final ItemKey ofItems; // null if the key is none of the items
    private final int[] rowOf; // by code of the key

    private Calibration(String column, double[] x, double[] y, int ofUser, ItemKey ofItems, int[] rowOf) {
        this.column = column;
        this.ofUser = ofUser;
        this.ofItems = ofItems;
        this.rowOf = rowOf;
        int pieces = x.length - 1, rows = y.length / x.length;
        knots = x;
        widths = new double[pieces];
        for (int k = 0; k < pieces; k++) widths[k] = x[k + 1] - x[k];
        first = new double[rows];
        slopes = new double[rows][pieces];
        for (int r = 0; r < rows; r++) {
            first[r] = y[r * x.length];
            for (int k = 0; k < pieces; k++)
                slopes[r][k] = (y[r * x.length + k + 1] - y[r * x.length + k]) / widths[k];
        }
    }

    /** The k-th of a file, checked. */
    static Calibration read(Container file, int k, Map<String, Object> of, List<String> userKeys,
            Map<String, Labels> labelsOfUsers, Map<String, ItemKey> itemKeys) {
        String what = "calibration/" + k, column = (String) of.get("column"), key = (String) of.get("key");
        int[] codes = file.ints(what + "/codes");
        double[] x = file.doubles(what + "/x"), y = file.doubles(what + "/y", x.length);
        Refusal.unless(x.length >= 2 && x.length <= MAX_KNOTS, what + "/x has " + x.length + " knots");
        Refusal.unless(y.length == x.length * (codes.length + 1), "shape", what + "/y does not fit its codes");
        for (int j = 1; j < x.length; j++)
            Refusal.unless(x[j] > x[j - 1] && Double.isFinite(x[j] - x[j - 1]), what + "/x does not ascend");
        for (int j = 1; j < y.length; j++) {
            if (j % x.length == 0) continue;
            double rise = y[j] - y[j - 1], width = x[j % x.length] - x[j % x.length - 1];
            Refusal.unless(rise >= 0 && Double.isFinite(rise / width), what + "/y decreases, or is too steep");
        }
        ItemKey ofItems = key == null ? null : itemKeys.get(key);
        int ofUser = key == null ? -1 : userKeys.indexOf(key);
        Refusal.unless(key == null ? codes.length == 0 : ofUser >= 0 || ofItems != null, what + ": its key");
        Refusal.unless(ofItems == null || ofItems.isSingle(), what + ": items have several labels");
        int labels = key == null ? 0 : ofItems == null ? labelsOfUsers.get(key).size() : ofItems.labels.size();
        int[] rowOf = new int[labels];
        for (int j = 0; j < codes.length; j++) {
            boolean ascends = codes[j] >= 0 && codes[j] < labels && (j == 0 || codes[j] > codes[j - 1]);
            Refusal.unless(ascends, what + "/codes do not ascend");
            rowOf[codes[j]] = j + 1;
        }
        return new Calibration(column, x, y, ofUser, ofItems, rowOf);
    }

    /** Writes the mapped first n values to another array. */
    void map(int n, User user, int[] items, double[] values, double[] out) {
        if (ofItems != null) {
            for (int i = 0; i < n; i++) {
                int item = items[i];
                boolean has = item >= 0 && item < ofItems.items() && ofItems.count(item) > 0;
                out[i] = one(has ? rowOf[ofItems.code(item, 0)] : 0, values[i]);
            }
            return;
        }
        int code = ofUser < 0 ? -1 : user.codes[ofUser], row = code < 0 ? 0 : rowOf[code];
        Arrays.fill(out, 0, n, first[row]);
        for (int k = 0; k < widths.length; k++) {
            double knot = knots[k], width = widths[k], slope = slopes[row][k];
            for (int i = 0; i < n; i++) {
                double d = values[i] - knot;
                d = d > 0.0 ? d : 0.0;
                d = d < width ? d : width;
                out[i] = out[i] + slope * d;
            }
        }
    }

    private double one(int row, double value) {
        double s = first[row];
        for (int k = 0; k < widths.length; k++) {
            double d = value - knots[k];
            d = d > 0.0 ? d : 0.0;
            d = d < widths[k] ? d : widths[k];
            s = s + slopes[row][k] * d;
        }
        return s;
    }

    /** The values of a request's column, mapped if one of these is of that column. */
    static double[] mapped(List<Calibration> all, String column, int n, User user, int[] items, double[] values,
            double[] out) {
        for (Calibration each : all) {
            if (!each.column.equals(column)) continue;
            each.map(n, user, items, values, out);
            return out;
        }
        return values;
    }
}
