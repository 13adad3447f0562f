package oasisalloc;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** Counts of the requests and snapshots of a store; every method may be called from any thread. */
public final class Stats {
    static final List<String> FAILURES = List.of("input", "error", "no policy");
    private static final int IN_A_ROW = 20; // consecutive failed requests from which the store is not ready
    private static final long AGAIN = 30_000_000_000L; // nanoseconds after the last of them, when it is tried again
    private static final double[] QUANTILES = {0.5, 0.9, 0.99, 0.999};

    private final Map<String, LongAdder> byMode = new LinkedHashMap<>(), failed = new LinkedHashMap<>();
    private final Map<String, LongAdder> refused = new ConcurrentHashMap<>();
    private final LongAdder unseen = new LongAdder(), loaded = new LongAdder();
    private final Latency latency = new Latency();
    private volatile int inARow; // races may lose a count, which matters to nobody
    private volatile long lastFailed;
    private volatile Map<String, Object> lastRefused;

    Stats() {
        for (String mode : Rung.MODES) byMode.put(mode, new LongAdder());
        for (String reason : FAILURES) failed.put(reason, new LongAdder());
    }

    void decided(String mode, long nanoseconds, int unseenItems) {
        byMode.get(mode).increment();
        if (inARow != 0) inARow = 0;
        if (unseenItems > 0) unseen.add(unseenItems);
        latency.add(nanoseconds * 1e-9);
    }

    void failed(String reason) {
        failed.get(reason).increment();
        if (!reason.equals("no policy")) inARow = inARow + 1;
        lastFailed = System.nanoTime();
    }

    /** Whether the last twenty requests, and all of the last half minute, have failed. */
    boolean isFailing() {
        return inARow >= IN_A_ROW && System.nanoTime() - lastFailed < AGAIN;
    }

    void refused(String reason, String message, double now) {
        refused.computeIfAbsent(reason, none -> new LongAdder()).increment();
        Map<String, Object> last = new LinkedHashMap<>();
        last.put("reason", reason);
        last.put("message", message);
        last.put("time", now);
        lastRefused = last;
    }

    void loaded() {
        loaded.increment();
        inARow = 0;
    }

    Map<String, Object> lastRefused() {
        return lastRefused;
    }

    private static Map<String, Object> sums(Map<String, LongAdder> counts) {
        Map<String, Object> out = new LinkedHashMap<>();
        counts.forEach((name, count) -> out.put(name, count.sum()));
        return out;
    }

    /** All counts, with the names of `PolicyStore.stats()` in the library (docs/store.md). */
    Map<String, Object> summary() {
        Map<String, Object> times = new LinkedHashMap<>();
        times.put("count", latency.count());
        times.put("sum", latency.sum());
        for (double share : QUANTILES) times.put(quantileName(share), latency.quantile(share));
        times.put("max", latency.count() == 0 ? null : (Object) latency.max());
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("decisions", byMode.values().stream().mapToLong(LongAdder::sum).sum());
        out.put("decisions_by_mode", sums(byMode));
        out.put("failed_requests", sums(failed));
        out.put("unseen_items", unseen.sum());
        out.put("score_seconds", times);
        out.put("loaded_snapshots", loaded.sum());
        out.put("refused_snapshots", sums(new TreeMap<>(refused)));
        out.put("last_refused", lastRefused);
        return out;
    }

    // Prometheus.

    /** The statistics of a store in the text format of Prometheus, with the names of the library (docs/store.md). */
    public static String prometheus(Map<String, Object> stats) {
        Exposition text = new Exposition((String) stats.get("store"), "oasis_alloc_");
        text.gauge("snapshot_age_seconds", "Time since the active policy was created", stats.get("age"));
        text.start("mode", "gauge", "1 for the current mode");
        for (String mode : Rung.MODES) text.sample("mode", mode, mode.equals(stats.get("mode")) ? 1 : 0);
        text.gauge("price_factor", "The factor that prices are multiplied by", stats.get("factor"));
        text.gauge("ready", "1 once a policy is loaded and warm", (Boolean) stats.get("ready") ? 1 : 0);
        text.counters("decisions_total", "Decisions taken", "mode", stats.get("decisions_by_mode"));
        text.counters("failed_requests_total", "Requests without a decision, by reason", "reason",
                stats.get("failed_requests"));
        text.counters("ignored_keys_total", "Requests with a key on which no price depends, by key", "key",
                stats.get("ignored_keys"));
        text.counter("mistyped_requests_total", "Requests whose ids or labels have another type than the policy's",
                stats.get("mistyped_requests"));
        text.counter("unseen_items_total", "Candidates that the policy did not know", stats.get("unseen_items"));
        text.start("score_time_seconds", "gauge", "Time of one decision, by quantile");
        Map<String, Object> times = Json.object(stats.get("score_seconds"));
        for (double share : QUANTILES) text.sample("quantile", "" + share, times.get(quantileName(share)));
        text.counter("loaded_snapshots_total", "Snapshots that became active", stats.get("loaded_snapshots"));
        text.counters("refused_snapshots_total", "Snapshots that were refused, by reason", "reason",
                stats.get("refused_snapshots"));
        if (stats.containsKey("drift")) drift(text, Json.object(stats.get("drift")));
        return text.toString();
    }

    private static void drift(Exposition text, Map<String, Object> stats) {
        List<Object> found = Json.list(stats.get("drift"));
        text.gauges("drift_stability", "Population stability index", "name", by("stability", found));
        text.gauges("drift_distance", "Distance of the distribution from the reference", "name",
                by("distance", found));
        text.gauges("drift_missing", "Share without a value or label", "name", by("missing_now", found));
        text.gauges("drift_unseen_labels", "Share of labels that the reference does not have", "name",
                by("unseen", found));
        text.gauges("drift_rows", "Values that were looked at since the last restart", "name", by("rows", found));
        Map<String, Object> alarms = by("name", found);
        alarms.replaceAll((name, same) -> Json.list(stats.get("alarms")).contains(name) ? 1 : 0);
        text.gauges("drift_alarm", "1 for an alarm", "name", alarms);
        text.gauge("drift_unseen_items", "Share of candidates that were not in the solve", stats.get("unseen_items"));
    }

    /** A member of every column and key, by name. */
    private static Map<String, Object> by(String member, List<Object> found) {
        Map<String, Object> out = new LinkedHashMap<>();
        for (Object one : found) out.put((String) Json.object(one).get("name"), Json.object(one).get(member));
        return out;
    }

    private static String quantileName(double share) {
        return share == 0.5 ? "p50" : share == 0.9 ? "p90" : share == 0.99 ? "p99" : "p999";
    }
}
