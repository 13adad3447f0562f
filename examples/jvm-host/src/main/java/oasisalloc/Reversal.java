package oasisalloc;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Finds the changes that reverse decisions about one request; each price change is verified before it is reported. */
final class Reversal {
    private static final double[] SHARES = {0.5, 1.0 - 1e-6, 1.0 + 1e-6}; // of a change
    private static final boolean[] REVERSED = {false, false, true}; // by then
    private static final double CLEAR = 1e-6; // of the largest number that is compared: far above its rounding

    private record Group(String name, Object label) {}

    private record Use(double price, double amount) {}

    private final Asked asked;
    private final String organic;
    private final double[] now, slopes;
    private final double largest;
    private final List<Map<Group, Use>> uses = new ArrayList<>();
    private final Map<Group, Map<Integer, Double>> payers = new HashMap<>();

    Reversal(Policy policy, Asked asked, User user, double[] column, List<List<ScorePart>> parts) {
        PolicyData data = policy.data();
        this.asked = asked;
        organic = data.organic();
        now = column;
        // with several terms, a change of one price would change the cost of more groups
        List<String> single = data.constraints().stream().filter(one -> one.terms().length == 1).map(Constraint::name)
                .toList();
        for (int i = 0; i < asked.n; i++) {
            Map<Group, Use> own = new LinkedHashMap<>();
            for (ScorePart part : parts.get(i))
                if (part.kind().equals("price") && single.contains(part.name()))
                    own.put(new Group(part.name(), part.group()), new Use(part.price(), part.use()));
            uses.add(own);
            for (Map.Entry<Group, Use> one : own.entrySet())
                payers.computeIfAbsent(one.getKey(), none -> new HashMap<>()).put(i, one.getValue().amount);
        }
        slopes = slopes(policy, user);
        largest = largest(data.slate());
    }

    private double[] slopes(Policy policy, User user) {
        double slope = 0.0;
        PolicyData data = policy.data();
        for (int t = 0; t < data.weights().length; t++)
            if (organic.equals(data.weighed().get(t))) slope += data.weights()[t];
        int measured = policy.prices().measured.indexOf(organic);
        double[] out = new double[asked.n];
        for (int i = 0; i < out.length; i++)
            out[i] = measured < 0 ? slope : slope - user.prices[measured + 1][asked.classes[i]];
        return out;
    }

    private double largest(SlateRule rule) {
        double scores = 0.0, costs = 0.0;
        for (double score : asked.scores) scores = Math.max(scores, Math.abs(score));
        for (String key : rule.keys)
            for (int j = 0; j < Math.max(asked.slots, 1); j++)
                if (rule.cap(key, j) == 0.0) costs += rule.decrement(key, j);
        return Math.max(scores, costs);
    }

    /** Changes of the organic column and of one price. */
    List<Change> changes(int i, boolean isShown, double threshold, int rival) {
        double shortBy = threshold - asked.scores[i];
        List<Change> out = new ArrayList<>();
        if (!Double.isFinite(shortBy)) return out;
        if (slopes[i] > 0) out.add(new Change("column", organic, null, now[i], now[i] + shortBy / slopes[i]));
        List<Map.Entry<Group, Use>> mine = new ArrayList<>(uses.get(i).entrySet());
        mine.sort((a, b) -> Double.compare(size(b.getValue()), size(a.getValue())));
        for (Map.Entry<Group, Use> one : mine) {
            Use use = one.getValue(), other = rival < 0 ? null : uses.get(rival).get(one.getKey());
            double apart = use.amount - (other == null ? 0.0 : other.amount);
            if (!(Math.abs(apart) > 1e-12)) continue;
            Group group = one.getKey();
            Change change = new Change("price", group.name, group.label, use.price, use.price - shortBy / apart);
            // a cap's price stays a price, a floor's a bonus
            if (use.price * change.to() >= 0 && (isAlone(shortBy, group) || reverses(i, isShown, change, group))) {
                out.add(change);
                break;
            }
        }
        return out;
    }

    private static double size(Use use) {
        return Math.abs(use.price * use.amount);
    }

    /** Whether a price moves only one candidate, by more than rounding: then its threshold decides. */
    private boolean isAlone(double shortBy, Group group) {
        return payers.get(group).size() == 1 && Math.abs(shortBy) > CLEAR * largest;
    }

    /** Whether the decision reverses at the change, and not before: the price also moves others of the group. */
    private boolean reverses(int i, boolean isShown, Change change, Group group) {
        double[] moved = new double[asked.n];
        for (int j = 0; j < SHARES.length; j++) {
            double by = SHARES[j] * (change.to() - change.now());
            System.arraycopy(asked.masked(), 0, moved, 0, asked.n);
            for (Map.Entry<Integer, Double> payer : payers.get(group).entrySet())
                moved[payer.getKey()] = moved[payer.getKey()] - by * payer.getValue();
            int m = asked.greedy(moved);
            boolean isThen = false;
            for (int p = 0; p < m; p++) isThen |= asked.w.positions[p] == i;
            if ((isThen != isShown) != REVERSED[j]) return false;
        }
        return true;
    }
}
