package oasisalloc;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * The policy in a snapshot file, kept up to date: docs/store.md, in Java.
 *
 * <p>A thread checks the file, verifies a new one completely, and swaps its policy in by one assignment. A request
 * reads that once, so no answer mixes two policies, and no request waits for a file. A refused snapshot changes
 * nothing.
 */
public final class PolicyStore implements AutoCloseable {
    private final StoreOptions options;
    private final String name;
    private final Swapping swapping;
    private final Mirror mirror; // null for a file of this machine
    private final Stats stats = new Stats();
    private final Tally tally = new Tally();
    private final ScheduledExecutorService watcher;

    /** The policy of a snapshot file, or of the `manifest.json` of a directory of published policies. */
    public PolicyStore(Path snapshot, StoreOptions options) {
        this(snapshot, null, snapshot.toString(), options);
    }

    /** The policy of a `manifest.json` of a web server, which is copied to this machine at each check if it changes. */
    public PolicyStore(URI manifest, StoreOptions options) {
        this(new Mirror(manifest), manifest, options);
    }

    private PolicyStore(Mirror mirror, URI manifest, StoreOptions options) {
        this(mirror.path(), mirror, Mirror.shown(manifest), options);
    }

    private PolicyStore(Path snapshot, Mirror mirror, String otherwise, StoreOptions options) {
        this.options = options;
        this.mirror = mirror;
        name = options.name() == null ? otherwise : options.name();
        swapping = new Swapping(new StoreFiles(snapshot), mirror, options, stats, tally);
        swapping.refresh();
        if (options.refresh() == 0.0) {
            watcher = null;
            return;
        }
        watcher = Executors.newSingleThreadScheduledExecutor(run -> {
            Thread thread = new Thread(run, "oasisalloc snapshots");
            thread.setDaemon(true);
            return thread;
        });
        long every = (long) (options.refresh() * 1e9);
        watcher.scheduleWithFixedDelay(swapping::watch, every, every, TimeUnit.NANOSECONDS);
    }

    /** Stops watching the file; the active policy is still served. */
    @Override
    public void close() {
        if (watcher != null) watcher.shutdownNow();
        if (mirror != null) mirror.close();
    }

    // For requests.

    /** The policy to serve now; use the same object for all calls of one request. */
    public Policy policy() throws SnapshotException {
        return swapping.now().policy();
    }

    /** The current level of staleness. */
    public String mode() throws SnapshotException {
        return swapping.now().rung().mode();
    }

    /** Answers a request with one policy, counted and timed. An exception counts as a failed request. */
    public <T> T decide(Function<Decision, T> answer) throws SnapshotException {
        long begun = System.nanoTime();
        Swapping.Served served;
        try {
            served = swapping.now();
        } catch (SnapshotException error) {
            stats.failed("no policy");
            throw error;
        }
        Decision decision = new Decision(served.policy(), served.rung().mode(), options.watch());
        T found;
        try {
            found = answer.apply(decision);
        } catch (InputException error) {
            stats.failed("input");
            throw error;
        } catch (RuntimeException error) {
            stats.failed("error");
            throw error;
        }
        stats.decided(decision.mode(), System.nanoTime() - begun, decision.unseen());
        return found;
    }

    // What changes the policy.

    /** Checks the file now; true if another policy has become active. */
    public boolean refresh() {
        return swapping.refresh();
    }

    /**
     * Serves the active policy at the prices of an overlay; false for one that is not newer than the last. It holds
     * until a newer one, or another policy, is there. SnapshotException if it is for another policy.
     */
    public boolean apply(String overlay) throws SnapshotException {
        return swapping.apply(Overlay.parse(overlay));
    }

    /**
     * Makes the previous policy active again, in all stores of this file and after a restart; returns it as it is
     * served. The next newer snapshot becomes active as usual.
     */
    public Policy rollback() throws SnapshotException {
        return swapping.rollback();
    }

    /** Makes a snapshot active, even if it is older than the active one or was rolled back; it replaces the file. */
    public Policy publish(Path snapshot) throws SnapshotException, IOException {
        return swapping.publish(snapshot);
    }

    // Statistics.

    /** Counts of this process, by the names of docs/store.md. */
    public Map<String, Object> stats() {
        Swapping.Served served = swapping.servedOrNull();
        Policy origin = served == null ? null : served.origin().policy();
        String why = origin == null ? "no policy" : stats.isFailing() ? "requests fail" : null;
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("store", name);
        out.put("policy_id", served == null ? null : served.policy().id());
        out.put("created", origin == null ? null : (Object) origin.created());
        out.put("age", origin == null ? null
                : (Object) Math.max(0.0, options.clock().getAsDouble() - origin.created()));
        out.put("mode", served == null ? null : served.rung().mode());
        out.put("factor", served == null ? null : (Object) served.rung().factor());
        out.put("ready", why == null);
        out.put("not_ready", why);
        out.put("kept", swapping.kept());
        out.put("rolled_back", swapping.rolledBack());
        out.put("version", swapping.version());
        out.put("ignored_keys", new LinkedHashMap<String, Object>(tally.ignoredKeys()));
        out.put("mistyped_requests", tally.mistypedRequests());
        out.putAll(stats.summary());
        if (options.watch() != null) out.put("drift", options.watch().stats());
        return out;
    }
}
