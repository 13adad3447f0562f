package oasisalloc;

import java.util.HashMap;
import java.util.Map;
import java.util.Random;

/** Lets the JVM compile what requests run, before the first one: rankings of generated candidates. */
final class Warmup {
    private static final int CANDIDATES = 200;

    private Warmup() {}

    /** Ranks for so many seconds; returns how many rankings that were. */
    static int run(Policy policy, double seconds) {
        Random random = new Random(1);
        int n = Math.min(CANDIDATES, policy.data().nItems());
        User user = policy.user(null);
        int[] items = random.ints(0, Math.max(1, policy.data().nItems())).distinct().limit(n).toArray();
        Map<String, double[]> columns = new HashMap<>();
        int rankings = 0;
        for (long end = System.nanoTime() + (long) (seconds * 1e9); System.nanoTime() < end; rankings++) {
            for (String name : policy.columns()) columns.put(name, random.doubles(n).toArray());
            policy.rank(user, items, columns, SlateOptions.DEFAULT);
        }
        return rankings;
    }
}
