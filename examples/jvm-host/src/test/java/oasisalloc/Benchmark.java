package oasisalloc;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What one thread takes for a ranking: scores of all candidates and a slate.
 *
 * <pre>java -cp target/classes:target/test-classes oasisalloc.Benchmark SECONDS REQUESTS [REQUESTS ...]</pre>
 *
 * A file of requests (benchmarks/jvm.py writes them) names its snapshot. "checked" is {@link Policy#select}, with a
 * user and encoded items; "from ids" also makes the user and encodes the ids; "prepared" is {@link Selector#select} on
 * buffers that hold the request already. Rankings are per second of the thread's CPU time, percentiles of the clock.
 */
public final class Benchmark {
    private static final com.sun.management.ThreadMXBean THREADS =
            (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();

    private static final long WARMUP = 1_000_000_000L; // nanoseconds of CPU time
    private static final Map<String, Object> NOBODY = Map.of();

    /** Answers request number r, and returns something of the answer. */
    private interface Call {
        int run(int r);
    }

    private Benchmark() {}

    public static void main(String[] args) throws Exception {
        double seconds = Double.parseDouble(args[0]);
        System.out.printf("%-24s %10s %8s %8s %12s %10s%n", "", "candidates", "p50 us", "p99 us", "rankings/s",
                "bytes");
        for (String file : Arrays.asList(args).subList(1, args.length)) {
            Map<String, Object> given = Json.object(Json.parse(Files.readString(Path.of(file))));
            Policy policy = Policy.load(Path.of(file).resolveSibling((String) given.get("snapshot")));
            run(policy, (String) given.get("name"), Json.list(given.get("requests")), seconds);
        }
    }

    private static void run(Policy policy, String name, List<Object> requests, double seconds) {
        int count = requests.size();
        int[][] items = new int[count][];
        List<Map<String, double[]>> columns = new java.util.ArrayList<>();
        Selector[] hot = new Selector[count];
        User user = policy.user(null);
        for (int r = 0; r < count; r++) {
            Map<String, Object> request = Json.object(requests.get(r));
            items[r] = policy.encode(Json.list(request.get("ids")));
            Map<String, double[]> own = new HashMap<>();
            for (Map.Entry<String, Object> one : Json.object(request.get("columns")).entrySet())
                own.put(one.getKey(), Json.list(one.getValue()).stream().mapToDouble(Json::number).toArray());
            columns.add(own);
            hot[r] = policy.selector(items[r].length);
            System.arraycopy(items[r], 0, hot[r].items(), 0, items[r].length);
            for (int c = 0; c < policy.columns().size(); c++)
                System.arraycopy(own.get(policy.columns().get(c)), 0, hot[r].column(c), 0, items[r].length);
        }
        int n = items[0].length;
        measure(name + ", checked", n, count, seconds,
                r -> policy.select(user, items[r], columns.get(r), SlateOptions.DEFAULT).length);
        List<List<Object>> ids = requests.stream().map(one -> Json.list(Json.object(one).get("ids"))).toList();
        measure(name + ", from ids", n, count, seconds, r -> {
            int[] encoded = policy.encode(ids.get(r));
            return policy.select(policy.user(NOBODY), encoded, columns.get(r), SlateOptions.DEFAULT).length;
        });
        measure(name + ", prepared", n, count, seconds, r -> hot[r].select(n, user));
    }

    private static void measure(String name, int n, int count, double seconds, Call call) {
        int sum = 0;
        for (long end = THREADS.getCurrentThreadCpuTime() + WARMUP; THREADS.getCurrentThreadCpuTime() < end;)
            for (int r = 0; r < count; r++) sum += call.run(r);
        long id = Thread.currentThread().getId();
        long[] times = new long[1 << 20];
        int taken = 0;
        long bytes = THREADS.getThreadAllocatedBytes(id), own = THREADS.getThreadAllocatedBytes(id) - bytes;
        bytes = THREADS.getThreadAllocatedBytes(id);
        long begun = System.nanoTime(), before = begun, used = THREADS.getCurrentThreadCpuTime();
        while (before < begun + (long) (1e9 * seconds) && taken < times.length) {
            sum += call.run(taken % count);
            long now = System.nanoTime();
            times[taken++] = now - before;
            before = now;
        }
        double rate = taken / ((THREADS.getCurrentThreadCpuTime() - used) * 1e-9);
        bytes = THREADS.getThreadAllocatedBytes(id) - bytes - own;
        Arrays.sort(times, 0, taken);
        System.out.printf("%-24s %10d %8.2f %8.2f %12.0f %10d%n", name, n, times[taken / 2] * 1e-3,
                times[(int) (taken * 0.99)] * 1e-3, rate, Math.round((double) bytes / taken));
        if (sum == 0) System.out.println("every slate was empty");
    }
}
