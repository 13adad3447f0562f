package oasisalloc;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads the manifest of one store, and remembers the highest version that it has verified. */
final class ManifestReader {
    private final Trust trust; // null for any manifest
    private volatile Manifest.Version version; // the last one that was verified
    private boolean isIncomplete;

    ManifestReader(Trust trust) {
        this.trust = trust;
    }

    boolean requiresSignatures() {
        return trust != null && trust.required();
    }

    /** The number of the last version that was verified, null where the file is not a manifest. */
    Long version() {
        Manifest.Version of = version;
        return of == null ? null : (Long) of.version();
    }

    /** True if the last policy was not there as a whole: it may still be copied. */
    boolean isIncomplete() {
        return isIncomplete;
    }

    /**
     * The snapshot of the current version of a manifest, after all checks. From the check of a signature on, older
     * versions are refused, even if the policy is damaged.
     */
    byte[] current(Path path, byte[] manifest) throws SnapshotException {
        isIncomplete = false;
        Manifest.Version found = Manifest.current(manifest);
        if (found == null) throw new SnapshotException("no policy", "the manifest has no version yet");
        if (trust != null) trust.check(found);
        refuseOlder(found);
        isIncomplete = true;
        byte[] raw = policy(policyPath(path, found));
        if (!Manifest.sha256(raw).equals(found.digest()))
            throw new SnapshotException("tampered", "the policy of version " + found.version()
                    + " does not have the digest that the manifest says");
        isIncomplete = false;
        return raw;
    }

    /** Next to the manifest, or next to the file that the manifest is a link to. */
    private static Path policyPath(Path manifest, Manifest.Version of) throws SnapshotException {
        Path next = manifest.resolveSibling(of.file());
        try {
            return Files.exists(next) ? next : manifest.toRealPath().resolveSibling(of.file());
        } catch (IOException error) {
            throw new SnapshotException("unreadable", manifest + " cannot be read: " + error);
        }
    }

    private static byte[] policy(Path path) throws SnapshotException {
        try {
            return Policy.bytes(path);
        } catch (IOException error) {
            throw new SnapshotException("unreadable", path + " cannot be read: " + error);
        }
    }

    private void refuseOlder(Manifest.Version found) throws SnapshotException {
        Manifest.Version seen = version;
        long floor = Math.max(trust == null ? 0 : trust.floor(), seen == null ? 0 : seen.version());
        String what = "version " + found.version() + " of the manifest";
        if (found.version() < floor)
            throw new SnapshotException("replayed", what + " is older than version " + floor + ", which has been seen");
        if (seen != null && found.version() == seen.version() && !found.digest().equals(seen.digest()))
            throw new SnapshotException("replayed", what + " had another policy when it was read before");
        if (trust != null && found.version() > floor) trust.seen(found.version());
        version = found;
    }
}
