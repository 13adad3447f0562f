package oasisalloc;

import java.io.IOException;
import java.lang.System.Logger.Level;

/**
 * Which policies may become active: by their times, and by decisions about the file that hold after a restart and in
 * all processes (docs/store.md, "Rolling back").
 */
final class Rulings {
    static final double CLOCKS_DIFFER = 300.0; // seconds by which the writer's clock may be ahead of ours
    private static final System.Logger LOG = System.getLogger("oasisalloc");
    private static final long PATIENCE = 5_000; // milliseconds that a roll-back waits for the disk

    private final StoreFiles files;
    private final boolean hasFiles;
    private volatile StoreState state = StoreState.EMPTY;
    private volatile boolean isUnsaved; // a decision that could not be written holds in this process
    private StoreFiles.Stamp seen;

    /** With `hasFiles` false, decisions hold in the process alone: anyone who can write the folder could write them. */
    Rulings(StoreFiles files, boolean hasFiles) {
        this.files = files;
        this.hasFiles = hasFiles;
    }

    StoreState state() {
        return state;
    }

    /** Lets a decision hold in this process, until {@link #remember} writes it. */
    synchronized void decide(StoreState decision) {
        state = decision;
        isUnsaved = true;
    }

    synchronized void activated(Policy policy) {
        state = state.withNewest(policy.created());
    }

    /** Refuses a policy that must not become active. */
    void judge(Policy policy, double now, boolean byTime) throws SnapshotException {
        String name = "policy " + policy.id();
        if (policy.created() > now + CLOCKS_DIFFER)
            throw new SnapshotException("in the future",
                    name + " was created " + (policy.created() - now) + " s from now");
        if (policy.isExpired(now)) throw new SnapshotException("expired", name + " is no longer valid");
        if (StoreState.Version.of(policy).equals(state.again())) return;
        if (state.rolledBack().contains(policy.id()))
            throw new SnapshotException("rolled back", name + " has been rolled back; publish it to serve it again");
        if (byTime && policy.created() < state.newest())
            throw new SnapshotException("older", name + " is " + (state.newest() - policy.created())
                    + " s older than one that has been active; publish it to serve it all the same");
    }

    /** Reads the decisions of other processes, if there are new ones; true if the file has changed. */
    boolean follow() {
        if (!hasFiles) return false;
        StoreFiles.Stamp stamp = files.stateStamp();
        if (stamp == null ? seen == null : stamp.equals(seen)) return false;
        seen = stamp;
        try {
            merge(files.readState());
        } catch (IOException error) {
            LOG.log(Level.ERROR, "the list of rolled-back policies cannot be read", error);
        }
        return true;
    }

    private synchronized void merge(StoreState found) {
        StoreState merged = found;
        if (isUnsaved) for (String id : state.rolledBack()) merged = merged.banning(id);
        boolean isAgain = merged.again() != null && !merged.again().equals(state.again());
        state = isAgain ? merged : merged.withNewest(Math.max(merged.newest(), state.newest()));
    }

    /** Writes a decision and the active policy next to the file; if that fails, it holds only in this process. */
    void remember(Swapping.Loaded active, StoreState decision) {
        StoreState of = decision.keeping(StoreState.Version.of(active.policy()));
        decide(of);
        if (!hasFiles) return;
        Thread writing = new Thread(() -> {
            try {
                StoreFiles.write(files.kept, active.bytes());
                files.writeState(of);
                isUnsaved = false;
            } catch (IOException error) {
                LOG.log(Level.ERROR, "the state cannot be written and is lost when this process ends", error);
            }
        }, "oasisalloc state");
        writing.setDaemon(true);
        writing.start();
        try {
            writing.join(PATIENCE); // a hanging disk must not block
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
