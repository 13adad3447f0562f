package oasisalloc;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.DoubleAccumulator;
import java.util.concurrent.atomic.DoubleAdder;

/** Times in buckets that grow by a factor: a quantile is at most 4.5 % above the truth. No request is stored. */
final class Latency {
    private static final double SMALLEST = 1e-8; // seconds: shorter times count as this
    private static final int PER_DOUBLING = 16, BUCKETS = 34 * PER_DOUBLING; // up to 170 seconds

    private final AtomicLongArray buckets = new AtomicLongArray(BUCKETS);
    private final DoubleAdder total = new DoubleAdder();
    private final DoubleAccumulator largest = new DoubleAccumulator(Math::max, 0.0);

    void add(double seconds) {
        double doublings = seconds > SMALLEST ? Math.log(seconds / SMALLEST) / Math.log(2.0) : 0.0;
        buckets.incrementAndGet(Math.min((int) (doublings * PER_DOUBLING), BUCKETS - 1));
        total.add(seconds);
        largest.accumulate(seconds);
    }

    long count() {
        long count = 0;
        for (int place = 0; place < BUCKETS; place++) count += buckets.get(place);
        return count;
    }

    double sum() {
        return total.sum();
    }

    double max() {
        return largest.get();
    }

    /** The time that a share of all times does not exceed, null without times. */
    Double quantile(double share) {
        double wanted = share * count();
        long seen = 0;
        for (int place = 0; place < BUCKETS; place++) {
            seen += buckets.get(place);
            if (buckets.get(place) > 0 && seen >= wanted)
                return Math.min(SMALLEST * Math.pow(2.0, (place + 1.0) / PER_DOUBLING), max());
        }
        return null;
    }
}
