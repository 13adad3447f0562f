package oasisalloc;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;

/**
 * How a policy becomes the active one of a store, and how it ages. Files are read before the lock for `served` is
 * taken, so slow or hanging reads block neither aging nor a roll-back.
 */
final class Swapping {
    private static final System.Logger LOG = System.getLogger("oasisalloc");
    private static final double QUIET = 30.0; // seconds between two log lines with the same reason

    /** A policy and the bytes that it was read from, which a roll-back writes to `SNAPSHOT.kept`. */
    record Loaded(Policy policy, byte[] bytes) {}

    /** The policy that is served between two times: that of `origin`, or made from it for its level of staleness. */
    record Served(Policy policy, Loaded origin, Rung rung, double since, double until) {}

    /** The active policy at other prices. */
    private record Laid(Loaded origin, Policy policy, long sequence) {}

    private final StoreFiles files;
    private final StoreOptions options;
    private final Stats stats;
    private final Tally tally;
    private final ReentrantLock looking = new ReentrantLock(); // held during a check of the file, however long
    private final ReentrantLock changing = new ReentrantLock(); // held while `served` is assigned
    private final Seen seen = new Seen();
    private final Deque<Loaded> earlier = new ArrayDeque<>();
    private final Map<String, Double> logged = new HashMap<>();
    private volatile Served served;
    private final Rulings rulings;
    private final ManifestReader manifest;
    private Laid laid;

    Swapping(StoreFiles files, StoreOptions options, Stats stats, Tally tally) {
        this.files = files;
        this.options = options;
        this.stats = stats;
        this.tally = tally;
        manifest = new ManifestReader(options.trust());
        rulings = new Rulings(files, !manifest.requiresSignatures());
    }

    /** The job of the watching thread, which must not end by an exception: the policy would age without notice. */
    void watch() {
        try {
            if (served != null) now(); // done here so that no request waits for a new level
            refresh();
        } catch (SnapshotException | RuntimeException | OutOfMemoryError error) {
            LOG.log(Level.ERROR, "checking the snapshot failed", error);
        }
    }

    // What is served.

    Served now() throws SnapshotException {
        Served found = served;
        if (found == null) {
            Map<String, Object> last = stats.lastRefused();
            throw new SnapshotException("no policy", "no policy has been loaded from " + files.snapshot
                    + (last == null ? "" : "; the last one was refused: " + last.get("message")));
        }
        return isCurrent(found) ? found : aged(found);
    }

    private boolean isCurrent(Served of) {
        double now = clock();
        return of.since <= now && now < of.until;
    }

    private double clock() {
        return options.clock().getAsDouble();
    }

    /** Switches to the current level of staleness. Concurrent callers serve the previous one until it is done. */
    private Served aged(Served before) {
        if (!changing.tryLock()) return before;
        try {
            if (!isCurrent(served)) served = atItsRung(served.origin);
            return served;
        } finally {
            changing.unlock();
        }
    }

    private Served atItsRung(Loaded origin) {
        double now = clock(), created = origin.policy.created();
        Rung rung = options.staleness().rung(now - created);
        double since = created + rung.since(), until = created + rung.until();
        if (origin.policy.isExpired(now)) {
            rung = new Rung(Rung.ORGANIC, 0.0, 0.0, 0.0);
            since = origin.policy.validUntil().getAsDouble();
            until = Double.POSITIVE_INFINITY;
        } else if (origin.policy.validUntil().isPresent()) {
            until = Math.min(until, origin.policy.validUntil().getAsDouble());
        }
        Served before = served;
        if (before != null && !before.rung.mode().equals(rung.mode()))
            LOG.log(Level.WARNING, "policy {0} of {1}: {2}, after {3}", origin.policy.id(), files.snapshot, rung.mode(),
                    before.rung.mode());
        boolean isSame = before != null && before.origin == origin && before.rung.mode().equals(rung.mode())
                && before.rung.factor() == rung.factor();
        return new Served(isSame ? before.policy : on(rung, origin), origin, rung, since, until);
    }

    /** What is served at a level of staleness, at the prices of the last overlay for this policy. */
    private Policy on(Rung rung, Loaded origin) {
        boolean isLaid = laid != null && laid.origin == origin && !rung.mode().equals(Rung.ORGANIC);
        return Staleness.on(rung, isLaid ? laid.policy : origin.policy);
    }

    boolean apply(Overlay overlay) throws SnapshotException {
        changing.lock();
        try {
            Served of = now();
            boolean isOld = laid != null && laid.origin == of.origin && overlay.sequence() <= laid.sequence;
            if (isOld && overlay.policyId().equals(of.origin.policy.id())) return false;
            laid = new Laid(of.origin, of.origin.policy.overlaid(overlay), overlay.sequence());
            served = new Served(on(of.rung, of.origin), of.origin, of.rung, of.since, of.until);
            return true;
        } finally {
            changing.unlock();
        }
    }

    // What makes another policy active.

    /** Checks the file now; true if another policy has become active. A refused one changes nothing. */
    boolean refresh() {
        looking.lock();
        try {
            boolean isFollowed = follow();
            try {
                return look() || isFollowed;
            } catch (IOException error) {
                seen.forget();
                refuse(new SnapshotException("unreadable", files.snapshot + " cannot be read: " + error));
                return isFollowed;
            } catch (SnapshotException error) {
                if (error.reason().equals("unreadable")) seen.forget(); // the reason may pass
                refuse(error);
                return instead(error) || isFollowed;
            } catch (RuntimeException | Error error) {
                seen.forget();
                throw error;
            }
        } finally {
            looking.unlock();
        }
    }

    private boolean look() throws IOException, SnapshotException {
        byte[] bytes = seen.changed(files.snapshot);
        Loaded loaded;
        if (bytes == null) {
            if (seen.waiting == null) return false;
            loaded = new Loaded(seen.waiting, seen.waitingBytes);
        } else {
            try {
                loaded = load(files.snapshot, bytes);
            } catch (SnapshotException error) {
                if (manifest.isIncomplete()) seen.forget(); // the manifest may have been copied before the policy
                throw error;
            }
        }
        if (isActive(loaded.policy)) return false;
        try {
            judge(loaded.policy);
            activate(loaded, true);
            seen.waiting = null;
            seen.refused = "";
            return true;
        } catch (SnapshotException error) {
            boolean isKnown = error.reason().equals(seen.refused);
            seen.waiting = loaded.policy;
            seen.waitingBytes = loaded.bytes;
            seen.refused = error.reason();
            if (bytes == null && isKnown) return false; // said before
            throw error;
        }
    }

    private Loaded load(Path path, byte[] bytes) throws SnapshotException {
        byte[] snapshot = bytes;
        if (path.equals(files.snapshot) && (manifest.version() != null || Manifest.is(bytes))) {
            snapshot = manifest.current(path, bytes);
        } else if (manifest.requiresSignatures()) {
            throw new SnapshotException("unsigned", path + " is not a manifest, so it has no signature");
        }
        return new Loaded(Policy.load(snapshot), snapshot);
    }

    private boolean isActive(Policy policy) {
        Served of = served;
        return of != null && StoreState.Version.of(of.origin.policy).equals(StoreState.Version.of(policy));
    }

    private void judge(Policy policy) throws SnapshotException {
        rulings.judge(policy, clock(), manifest.version() == null); // versions say which policy is newer
    }

    /** Makes a policy active; `keeps`: the previous one is kept for a roll-back. */
    private void activate(Loaded loaded, boolean keeps) throws SnapshotException {
        loaded.policy.countInto(tally);
        loaded.policy.user(null); // folds prices before the first request does
        changing.lock();
        try {
            if (keeps) {
                judge(loaded.policy); // again: a roll-back may have happened meanwhile
                if (served != null) keep(served.origin, loaded.policy.id());
                rulings.activated(loaded.policy);
            } else {
                earlier.remove(loaded);
            }
            served = atItsRung(loaded);
            stats.loaded();
        } finally {
            changing.unlock();
        }
        LOG.log(Level.INFO, "policy {0} of {1} is active", loaded.policy.id(), files.snapshot);
    }

    /** Keeps a policy for roll-backs, each id once: a roll-back goes from one id to another. */
    private void keep(Loaded loaded, String active) {
        String id = loaded.policy.id();
        earlier.removeIf(one -> one.policy.id().equals(active) || one.policy.id().equals(id));
        if (!id.equals(active)) earlier.addLast(loaded);
        while (earlier.size() > options.history()) earlier.removeFirst();
    }

    private void refuse(SnapshotException error) {
        double now = clock();
        stats.refused(error.reason(), error.getMessage(), now);
        if (now - logged.getOrDefault(error.reason(), Double.NEGATIVE_INFINITY) < QUIET) return;
        logged.put(error.reason(), now);
        LOG.log(Level.WARNING, "snapshot refused: {0}", error.getMessage());
    }

    // Decisions that hold after a restart.

    /** Applies the decisions of other processes; true if another policy has become active. */
    private boolean follow() {
        if (rulings.follow()) seen.forget(); // a refused policy may be allowed now
        Served of = served;
        if (of == null || !rulings.state().rolledBack().contains(of.origin.policy.id())) return false;
        Loaded wanted = wanted();
        if (wanted == null) return false; // there is no other policy
        LOG.log(Level.WARNING, "policy {0} of {1} has been rolled back", of.origin.policy.id(), files.snapshot);
        try {
            activate(wanted, false);
            return true;
        } catch (SnapshotException error) {
            refuse(error);
            return false;
        }
    }

    /** The policy to serve instead of one that was rolled back elsewhere, null for none. */
    private Loaded wanted() {
        List<Loaded> able = new ArrayList<>();
        changing.lock();
        try {
            for (Loaded one : earlier) if (!rulings.state().rolledBack().contains(one.policy.id())) able.add(one);
        } finally {
            changing.unlock();
        }
        for (Loaded one : able) if (StoreState.Version.of(one.policy).equals(rulings.state().kept())) return one;
        return able.isEmpty() ? storedPolicy() : able.get(able.size() - 1);
    }

    /** If the file's policy is refused by a decision: keeps the active policy, or serves the one that was kept. */
    private boolean instead(SnapshotException error) {
        if (!error.reason().equals("older") && !error.reason().equals("rolled back")) return false;
        Served of = served;
        if (of != null) {
            boolean isKept = StoreState.Version.of(of.origin.policy).equals(rulings.state().kept());
            if (error.reason().equals("older") && !isKept) rulings.remember(of.origin, rulings.state());
            return false;
        }
        Loaded policy = storedPolicy();
        if (policy == null) return false;
        try {
            activate(policy, false);
            return true;
        } catch (SnapshotException refused) {
            refuse(refused);
            return false;
        }
    }

    /** The policy in `SNAPSHOT.kept`, if the state names it and does not refuse it. */
    private Loaded storedPolicy() {
        StoreState.Version version = rulings.state().kept();
        if (version == null || rulings.state().rolledBack().contains(version.id())) return null;
        try {
            Loaded loaded = load(files.kept, Policy.bytes(files.kept));
            return StoreState.Version.of(loaded.policy).equals(version) ? loaded : null;
        } catch (SnapshotException | IOException error) {
            LOG.log(Level.ERROR, "the policy to roll back to cannot be read", error);
            return null;
        }
    }

    Policy rollback() throws SnapshotException {
        Loaded active;
        StoreState decision;
        changing.lock();
        try {
            Loaded gone = served == null ? null : served.origin;
            decision = gone == null ? rulings.state() : rulings.state().banning(gone.policy.id());
            List<String> banned = decision.rolledBack();
            earlier.removeIf(one -> banned.contains(one.policy.id()));
            if (gone == null || earlier.isEmpty())
                throw new SnapshotException("no policy", "there is no earlier policy of " + files.snapshot);
            LOG.log(Level.WARNING, "policy {0} of {1} is rolled back", gone.policy.id(), files.snapshot);
            active = earlier.removeLast();
            served = atItsRung(active);
            rulings.decide(decision);
        } finally {
            changing.unlock();
        }
        rulings.remember(active, decision);
        return now().policy;
    }

    Policy publish(Path snapshot) throws SnapshotException, IOException {
        boolean isThere = Files.isRegularFile(files.snapshot);
        if (manifest.version() != null || isThere && Manifest.is(Policy.bytes(files.snapshot)))
            throw new InputException(files.snapshot + " is the manifest of published policies, which this would "
                    + "overwrite; publish to its directory, or use oasis-alloc rollback");
        byte[] bytes = Policy.bytes(snapshot);
        Policy policy = load(snapshot, bytes).policy;
        StoreState decision = files.readState().allowing(StoreState.Version.of(policy));
        double now = clock();
        if (policy.isExpired(now) || policy.created() > now + Rulings.CLOCKS_DIFFER) judge(policy);
        files.writeState(decision);
        if (!Files.exists(files.snapshot) || !Files.isSameFile(snapshot, files.snapshot))
            StoreFiles.write(files.snapshot, bytes);
        refresh();
        if (!isActive(policy))
            throw new SnapshotException("no policy", "policy " + policy.id() + " was published but is not active");
        return now().policy;
    }

    // Statistics.

    /** The version of the manifest that was verified last, null where the file is not a manifest. */
    Long version() {
        return manifest.version();
    }

    /** What is served, at its present level; null where nothing is. */
    Served servedOrNull() {
        try {
            return now();
        } catch (SnapshotException none) {
            return null;
        }
    }

    int kept() {
        changing.lock();
        try {
            return earlier.size();
        } finally {
            changing.unlock();
        }
    }

    List<String> rolledBack() {
        return rulings.state().rolledBack();
    }
}
