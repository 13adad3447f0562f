package oasisalloc;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * How far the values of one column, or the labels of one key of users, have moved: `oa.Drift` in Python, which says
 * what the numbers are.
 */
public record Drift(String name, double stability, double distance, double missingBefore, double missingNow, long rows,
        double unseen) {
    private static final double FLOOR = 1e-4; // share of an empty bin, whose logarithm would be infinite

    /** Of counts before and now: the last ones are of missing values, and for labels those before of unseen ones. */
    static Drift of(String name, long[] before, long[] now, boolean isOfLabels) {
        int bins = before.length - 1;
        long all = sum(before, bins), allNow = sum(now, bins), rows = allNow + now[bins];
        double missing = (double) before[bins] / Math.max(1, all + before[bins]);
        double missingNow = (double) now[bins] / Math.max(1, rows);
        double stability = 0.0, along = 0.0, largest = 0.0, total = 0.0;
        if (all > 0 && allNow > 0) {
            for (int k = 0; k < bins; k++) {
                double p = (double) before[k] / all, q = (double) now[k] / allNow;
                along += p - q;
                total += Math.abs(p - q);
                largest = Math.max(largest, Math.abs(along));
                double least = Math.max(p, FLOOR), leastNow = Math.max(q, FLOOR);
                stability += (leastNow - least) * Math.log(leastNow / least);
            }
        }
        double unseen = isOfLabels ? (double) now[bins - 1] / Math.max(1, rows) : 0.0;
        return new Drift(name, stability, isOfLabels ? 0.5 * total : largest, missing, missingNow, rows, unseen);
    }

    private static long sum(long[] counts, int end) {
        long sum = 0;
        for (int k = 0; k < end; k++) sum += counts[k];
        return sum;
    }

    /** The largest of what alarms look at. */
    double worst() {
        return Math.max(stability, 10.0 * Math.max(missingNow - missingBefore, unseen));
    }

    /** With the names of the library in Python. */
    Map<String, Object> document() {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("name", name);
        out.put("stability", stability);
        out.put("distance", distance);
        out.put("missing_before", missingBefore);
        out.put("missing_now", missingNow);
        out.put("rows", rows);
        out.put("unseen", unseen);
        return out;
    }
}
