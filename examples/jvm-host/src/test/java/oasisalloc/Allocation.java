package oasisalloc;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.function.IntSupplier;

/**
 * What a ranking allocates on its thread, in bytes, and how large its result is.
 *
 * <pre>java oasisalloc.Allocation SNAPSHOT [SNAPSHOT ...]</pre>
 */
public final class Allocation {
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final int CALLS = 2_000;

    private Allocation() {}

    public static void main(String[] args) throws Exception {
        for (String file : args) {
            Policy policy = Policy.load(Path.of(file));
            String name = Path.of(file).getFileName().toString();
            Random random = new Random(1);
            int n = Math.min(100, policy.data().nItems());
            int[] items = random.ints(0, policy.data().nItems()).distinct().limit(n).toArray();
            Map<String, double[]> columns = new HashMap<>();
            Selector hot = policy.selector(n);
            System.arraycopy(items, 0, hot.items(), 0, n);
            for (int c = 0; c < policy.columns().size(); c++) {
                columns.put(policy.columns().get(c), random.doubles(n).toArray());
                System.arraycopy(columns.get(policy.columns().get(c)), 0, hot.column(c), 0, n);
            }
            User user = policy.user(null);
            int m = hot.select(n, user);
            System.out.println(name + " slots = " + m);
            System.out.println(name + " select = " + bytes(() ->
                    policy.select(user, items, columns, SlateOptions.DEFAULT).length));
            System.out.println(name + " score = " + bytes(() -> policy.score(user, items, columns).length));
            System.out.println(name + " candidates = " + n);
            System.out.println(name + " prepared = " + bytes(() -> hot.select(n, user)));
            long[] ids = random.longs(n, 0, 1_000).toArray();
            System.out.println(name + " encode = " + bytes(() -> {
                int sum = 0;
                for (long id : ids) sum += policy.encode(id);
                return sum;
            }));
        }
    }

    private static long bytes(IntSupplier call) {
        int sum = 0;
        for (int k = 0; k < CALLS; k++) sum += call.getAsInt();
        long id = Thread.currentThread().getId(), begun = THREADS.getThreadAllocatedBytes(id);
        long own = THREADS.getThreadAllocatedBytes(id) - begun;
        begun = THREADS.getThreadAllocatedBytes(id);
        for (int k = 0; k < CALLS; k++) sum += call.getAsInt();
        long found = THREADS.getThreadAllocatedBytes(id) - begun - own;
        if (sum == Integer.MIN_VALUE) System.out.println("sum = " + sum); // so that no call is left out
        return Math.round((double) found / CALLS);
    }
}
