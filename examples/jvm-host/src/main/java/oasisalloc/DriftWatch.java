package oasisalloc;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Sketches a sample of the requests of a service, and compares it with the data that the policy was built from:
 * `oa.DriftWatch` in Python (docs/drift.md). Every method may be called from any thread.
 */
public final class DriftWatch {
    private final Sketch reference;
    private final DriftOptions options;
    private final AtomicLong decisions = new AtomicLong();
    private final Set<String> alarms = new TreeSet<>();
    private Sketch now;
    private long looked, items, unseen;

    /** Compares with what `Sketch.of_candidates(candidates, policy).to_dict()` has in Python. */
    public DriftWatch(Sketch reference, DriftOptions options) {
        this.reference = reference;
        this.options = options;
        restart();
    }

    /** Begins to count again; alarms stay. */
    public synchronized void restart() {
        now = reference.empty();
        looked = items = unseen = 0;
    }

    /**
     * Takes in one decision: item numbers, -1 for unseen ones, columns, and the user as in {@link Policy#user(Object)}.
     * Labels are counted of a map, and null has none.
     */
    public void seen(int[] numbers, Map<String, double[]> columns, Object user) {
        if (isDue()) look(numbers, columns, user);
    }

    /** As {@link #seen}, with the scores of a policy, which are counted where the reference has them. */
    void seen(Policy policy, int[] numbers, Map<String, double[]> columns, Object user, double[] scores) {
        if (!isDue()) return;
        boolean isScored = scores != null && (reference.hasColumn(Sketch.SCORES) || reference.hasColumn(Sketch.BOOSTS));
        look(numbers, isScored ? scored(policy, columns, scores) : columns, user);
    }

    private boolean isDue() {
        return decisions.getAndIncrement() % options.every() == 0;
    }

    private static Map<String, double[]> scored(Policy policy, Map<String, double[]> columns, double[] scores) {
        Map<String, double[]> out = new LinkedHashMap<>(columns);
        out.put(Sketch.SCORES, scores);
        double[] organic = columns.get(policy.organic());
        if (organic != null) {
            double[] boosts = new double[scores.length];
            for (int i = 0; i < scores.length; i++) boosts[i] = (float) (scores[i] - organic[i]); // as in Python
            out.put(Sketch.BOOSTS, boosts);
        }
        return out;
    }

    private synchronized void look(int[] numbers, Map<String, double[]> columns, Object user) {
        looked++;
        items += numbers.length;
        for (int number : numbers) if (number < 0) unseen++;
        columns.forEach((name, values) -> now.add(name, values, options.candidates()));
        if (user == null || user instanceof Map) now.addLabels((Map<?, ?>) user);
    }

    /** Compares what was seen since the last restart with the reference, and moves the alarms. */
    public synchronized List<Drift> check() {
        List<Drift> out = new ArrayList<>(reference.to(now).values());
        for (Drift one : out) {
            if (one.rows() < options.rows()) continue;
            if (one.worst() > options.start()) alarms.add(one.name());
            else if (one.worst() < options.end()) alarms.remove(one.name());
        }
        return out;
    }

    /** What a service adds to its statistics, with the names of `DriftWatch.stats()` in Python. */
    public synchronized Map<String, Object> stats() {
        List<Drift> drifts = check();
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("drift", drifts.stream().map(Drift::document).toList());
        out.put("alarms", drifts.stream().map(Drift::name).filter(alarms::contains).toList());
        out.put("unseen_items", items == 0 ? 0.0 : (double) unseen / items);
        out.put("decisions", looked);
        out.put("detected", Map.of());
        out.put("sketch", now.document());
        return out;
    }
}
