package oasisalloc;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What a store saw of its file at the last check. Times of files are coarse, so two contents may have one recent stamp:
 * a file is read a second time when its stamp is some seconds old, and counts as unchanged if its bytes are.
 */
final class Seen {
    private static final long SETTLED = 3_000_000_000L; // nanoseconds after which a rewritten file has another time

    private StoreFiles.Stamp stamp;
    private byte[] digest = {};
    private long since;
    private boolean isSettled;
    Policy waiting; // a policy that was refused for a reason that may pass
    byte[] waitingBytes;
    String refused = ""; // the reason

    /** The bytes of a file that has changed, null if it has not. */
    byte[] changed(Path path) throws IOException, SnapshotException {
        StoreFiles.Stamp now = StoreFiles.stamp(path);
        if (now.equals(stamp) && isSettled) return null;
        byte[] bytes = Policy.bytes(path);
        byte[] found = StoreFiles.sha256(bytes);
        long clock = System.nanoTime(), first = now.equals(stamp) ? since : clock;
        if (now.equals(stamp) && Arrays.equals(found, digest)) {
            isSettled = clock - first >= SETTLED;
            return null;
        }
        forget();
        stamp = now;
        digest = found;
        since = first;
        return bytes;
    }

    /** Reads the file again at the next check. */
    void forget() {
        stamp = null;
        digest = new byte[0];
        waiting = null;
        waitingBytes = null;
        refused = "";
        isSettled = false;
    }
}
