package oasisalloc;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Threads rank while the snapshot of their store is replaced and rolled back: every answer has to be, to the last bit,
 * that of the policy that it names. It ends when so many snapshots were loaded, one was rolled back and each has
 * answered, or after a minute.
 *
 * <pre>java oasisalloc.SwapLoad LOADED THREADS FILE SNAPSHOT [SNAPSHOT ...]</pre>
 */
public final class SwapLoad {
    private final Map<String, Policy> policies = new HashMap<>();
    private final AtomicLong answers = new AtomicLong(), wrong = new AtomicLong();
    private final Map<String, Boolean> seen = new ConcurrentHashMap<>();
    private volatile boolean isOver;

    private SwapLoad() {}

    public static void main(String[] args) throws Exception {
        new SwapLoad().run(Long.parseLong(args[0]), Integer.parseInt(args[1]), Path.of(args[2]),
                Arrays.asList(args).subList(3, args.length));
    }

    private void run(long loads, int count, Path file, List<String> snapshots) throws Exception {
        for (String one : snapshots) {
            Policy policy = Policy.load(Path.of(one));
            policies.put(policy.id(), policy);
        }
        put(file, snapshots.get(0));
        try (PolicyStore store = new PolicyStore(file, StoreOptions.DEFAULT.withRefresh(0.002))) {
            List<Thread> threads = new ArrayList<>();
            for (int t = 0; t < count; t++) {
                Random random = new Random(t);
                threads.add(new Thread(() -> ask(store, random)));
            }
            threads.forEach(Thread::start);
            int swaps = 0, rollbacks = 0;
            long end = System.nanoTime() + 60_000_000_000L;
            while (System.nanoTime() < end && ((Long) store.stats().get("loaded_snapshots") < loads || rollbacks == 0
                    || seen.size() < policies.size())) {
                Thread.sleep(5);
                put(file, snapshots.get(++swaps % snapshots.size()));
                if (swaps % 7 != 0) continue;
                try {
                    store.rollback();
                    store.publish(Path.of(snapshots.get(swaps % snapshots.size()))); // else none is left
                    rollbacks++;
                } catch (SnapshotException none) {
                    // there is no earlier policy yet
                }
            }
            isOver = true;
            for (Thread thread : threads) thread.join();
            Map<String, Object> stats = store.stats();
            System.out.println("answers = " + answers + "\nwrong = " + wrong + "\nswaps = " + swaps + "\nrollbacks = "
                    + rollbacks + "\npolicies = " + seen.size() + "\nloaded = " + stats.get("loaded_snapshots")
                    + "\ndecisions = " + stats.get("decisions") + "\nfailed = " + stats.get("failed_requests"));
        }
    }

    private static void put(Path file, String snapshot) throws Exception {
        Path beside = file.resolveSibling("next");
        Files.copy(Path.of(snapshot), beside, StandardCopyOption.REPLACE_EXISTING);
        Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    private void ask(PolicyStore store, Random random) {
        while (!isOver) {
            try {
                check(store, random);
            } catch (Exception error) {
                if (wrong.getAndIncrement() == 0) error.printStackTrace();
            }
        }
    }

    private void check(PolicyStore store, Random random) throws Exception {
        int[] items = random.ints(-1, 5).limit(30).distinct().toArray();
        Map<String, double[]> columns = Map.of("relevance", random.doubles(items.length).toArray(), "streams",
                random.doubles(items.length).toArray());
        Map<String, Object> labels = Map.of("market", random.nextBoolean() ? "se" : "de");
        String[] id = new String[1];
        Ranking found = store.decide(decision -> {
            id[0] = decision.policy().id();
            return decision.policy().rank(decision.policy().user(labels), items, columns, SlateOptions.DEFAULT);
        });
        answers.incrementAndGet();
        seen.put(id[0], true);
        Policy policy = policies.get(id[0]);
        Ranking expected = policy.rank(policy.user(labels), items, columns, SlateOptions.DEFAULT);
        boolean isRight = Arrays.equals(found.positions(), expected.positions())
                && Arrays.equals(found.scores(), expected.scores());
        if (!isRight) wrong.incrementAndGet();
    }
}
