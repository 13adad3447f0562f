package oasisalloc;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Explains the slates of one policy: the margin of every decision, and the smallest change that would reverse it.
 *
 * <p>A candidate that is not picked changes nothing, so the score from which it would be picked is exact: the minimum,
 * over the steps of greedy without it, of the marginal score that was picked plus the cost of its own categories.
 */
public final class Explainer {
    private final Policy policy;
    private final PolicyData data;
    private final ScoreParts scoreParts;

    Explainer(Policy policy) {
        this.policy = policy;
        data = policy.data();
        scoreParts = new ScoreParts(data);
    }

    /** One reason per candidate; InputException if the request is wrong. */
    public Explanation explain(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        Requests requests = policy.requests();
        Requests.checkGiven(items, given);
        Requests.column(given, data.organic(), items.length);
        Workspace w = requests.scored(user, items, given, true);
        Map<String, double[]> columns = new HashMap<>(given);
        for (Calibration each : data.calibration())
            if (given.get(each.column) != null) columns.put(each.column, mapped(each, user, items, given));
        double[] organic = columns.get(data.organic());
        int m = requests.slate(w, user, items, options);
        Asked asked = new Asked(w, items.length, user, options);
        if (policy.isPlain()) m = asked.greedy(asked.masked()); // the same slate, with what each one added
        Asked.Picked picked = asked.picked(m);
        List<Reason> reasons = reasons(asked, picked, user, items, columns, organic);
        requests.give(w);
        return new Explanation(List.copyOf(reasons), policy.id(), data.organic());
    }

    private static double[] mapped(Calibration of, User user, int[] items, Map<String, double[]> given) {
        double[] out = new double[items.length];
        of.map(items.length, user, items, Requests.column(given, of.column, items.length), out);
        return out;
    }

    private List<Reason> reasons(Asked asked, Asked.Picked picked, User user, int[] items,
            Map<String, double[]> columns, double[] organic) {
        Asked.Picked free = asked.free(-1);
        PricePath path = new PricePath(policy, asked, free);
        List<List<ScorePart>> parts = new ArrayList<>();
        for (int i = 0; i < asked.n; i++) parts.add(scoreParts.of(items[i], user, columns, i, asked.scores[i]));
        Reversal reversal = new Reversal(policy, asked, user, organic, parts);
        Map<Integer, Integer> rank = places(picked), unguarded = places(free);
        boolean isFree = rank.keySet().equals(unguarded.keySet());
        List<Reason> reasons = new ArrayList<>();
        for (int i = 0; i < asked.n; i++) {
            double score = asked.scores[i];
            boolean isShown = rank.containsKey(i), isPinned = has(asked.pinned, i), isOut = has(asked.exclude, i);
            String rule = isPinned ? "pinned" : isOut ? "exclude" : "";
            if (rule.isEmpty() && isShown != unguarded.containsKey(i)) rule = "keep " + data.slate().keep;
            else if (rule.isEmpty() && !isShown) rule = path.rule(i, score);
            double threshold = Double.NaN;
            int rival = -1;
            List<Change> changes = List.of();
            if (isFree && !isPinned && !isOut) {
                threshold = path.threshold[i];
                rival = path.rival[i];
                if (isShown) {
                    Asked.Picked other = asked.free(i);
                    threshold = path.without(i, other);
                    rival = Arrays.stream(other.positions()).filter(p -> !rank.containsKey(p)).findFirst().orElse(-1);
                }
                changes = List.copyOf(reversal.changes(i, isShown, threshold, rival));
            }
            double decrement = isShown ? score - picked.marginal()[rank.get(i)] : path.decrement[i];
            reasons.add(new Reason(i, id(items[i]), organic[i], score, parts.get(i), decrement, score - decrement,
                    rank.get(i), rule, threshold, score - threshold, rival < 0 ? null : (Integer) rival,
                    rival < 0 ? null : id(items[rival]), changes));
        }
        return reasons;
    }

    private static Map<Integer, Integer> places(Asked.Picked picked) {
        Map<Integer, Integer> out = new HashMap<>();
        for (int j = 0; j < picked.size(); j++) out.put(picked.positions()[j], j);
        return out;
    }

    private static boolean has(int[] positions, int i) {
        for (int position : positions) if (position == i) return true;
        return false;
    }

    private Object id(int item) {
        return item < 0 ? null : data.ids() == null ? (Object) item : data.ids().get(item);
    }
}
