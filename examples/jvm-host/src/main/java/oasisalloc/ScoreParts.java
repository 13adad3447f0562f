package oasisalloc;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** The parts of priced scores: every column's part, and every price by constraint and group. */
final class ScoreParts {
    /** What the groups of a constraint's term cost, by their codes. */
    private record Paid(double price, Object label) {}

    /** A term of a constraint. */
    private record Charge(String name, Term term, double coefficient, Map<ItemClasses.Codes, Paid> prices) {}

    private final PolicyData data;
    private final List<String> userKeys;
    private final List<Charge> charges = new ArrayList<>();

    ScoreParts(PolicyData data) {
        this.data = data;
        userKeys = List.copyOf(data.userKeys().keySet());
        for (Constraint constraint : data.constraints())
            for (int t = 0; t < constraint.terms().length; t++) {
                Term term = data.terms().get(constraint.terms()[t]);
                charges.add(new Charge(constraint.name(), term, constraint.coefficients()[t], paid(constraint, term)));
            }
    }

    /** Prices of the groups of a term: terms with fewer keys have several rows of the constraint per group. */
    private Map<ItemClasses.Codes, Paid> paid(Constraint constraint, Term term) {
        String[] keys = term.prices().keys(), all = constraint.prices().keys();
        int[] place = Arrays.stream(keys).mapToInt(key -> Arrays.asList(all).indexOf(key)).toArray();
        Map<ItemClasses.Codes, ExactSum> sums = new HashMap<>();
        double[] price = constraint.prices().price();
        for (int row = 0; row < price.length; row++) {
            if (price[row] == 0.0) continue;
            int[] group = new int[keys.length];
            for (int j = 0; j < group.length; j++) group[j] = constraint.prices().groups()[row * all.length + place[j]];
            sums.computeIfAbsent(new ItemClasses.Codes(group), none -> new ExactSum()).add(price[row]);
        }
        Map<ItemClasses.Codes, Paid> out = new HashMap<>();
        sums.forEach((group, sum) -> {
            double total = sum.rounded();
            if (total != 0.0) out.put(group, new Paid(total, data.label(keys, group.codes())));
        });
        return out;
    }

    /** The parts of a candidate, whose exact sum is the score; `columns` has those of the policy by name. */
    List<ScorePart> of(int item, User user, Map<String, double[]> columns, int i, double score) {
        List<ScorePart> parts = new ArrayList<>();
        for (int t = 0; t < data.weights().length; t++) {
            String column = data.weighed().get(t);
            double weight = data.weights()[t];
            parts.add(column == null ? new ScorePart("constant", "constant", weight, null, null, 0.0, 0.0)
                    : new ScorePart("column", column, weight * columns.get(column)[i], column, null, 0.0, weight));
        }
        for (Charge charge : charges) addPrices(charge, item, user, columns, i, parts);
        return exact(parts, score);
    }

    private void addPrices(Charge charge, int item, User user, Map<String, double[]> columns, int i,
            List<ScorePart> parts) {
        String[] keys = charge.term.prices().keys();
        int[][] choices = new int[keys.length][];
        int combinations = 1;
        for (int j = 0; j < keys.length; j++) {
            ItemKey ofItems = data.itemKeys().get(keys[j]);
            int code = ofItems == null ? user.codes[userKeys.indexOf(keys[j])] : 0;
            choices[j] = ofItems != null ? ofItems.codes(item) : code < 0 ? new int[0] : new int[] {code};
            combinations *= choices[j].length;
        }
        for (int number = 0; number < combinations; number++) {
            int[] group = new int[keys.length];
            int rest = number;
            for (int j = keys.length - 1; j >= 0; j--) {
                group[j] = choices[j][rest % choices[j].length];
                rest /= choices[j].length;
            }
            Paid paid = charge.prices.get(new ItemClasses.Codes(group));
            if (paid == null) continue;
            String column = charge.term.column();
            double use = charge.coefficient * (column == null ? 1.0 : columns.get(column)[i]);
            parts.add(new ScorePart("price", charge.name, -paid.price * use, column, paid.label, paid.price, use));
        }
    }

    /** The parts with one of them, the largest that can, adjusted so that their exact sum is the score. */
    private static List<ScorePart> exact(List<ScorePart> parts, double score) {
        double[] amounts = parts.stream().mapToDouble(ScorePart::amount).toArray();
        if (ExactSum.of(amounts) == score) return List.copyOf(parts);
        int[] order = IntStream.range(0, amounts.length).boxed()
                .sorted(Comparator.comparingDouble(k -> -Math.abs(amounts[k]))).mapToInt(k -> k).toArray();
        for (int k : order) {
            double before = amounts[k], amount = rest(amounts, k, score);
            amounts[k] = amount;
            if (before != 0.0 && ExactSum.of(amounts) == score) {
                parts.set(k, parts.get(k).of(amount));
                return List.copyOf(parts);
            }
            amounts[k] = before;
        }
        parts.add(new ScorePart("rounding", "rounding", rest(amounts, -1, score), null, null, 0.0, 0.0));
        return List.copyOf(parts);
    }

    /** The score minus all amounts but the k-th. */
    private static double rest(double[] amounts, int k, double score) {
        ExactSum sum = new ExactSum();
        sum.add(score);
        for (int j = 0; j < amounts.length; j++) if (j != k) sum.add(-amounts[j]);
        return sum.rounded();
    }
}
