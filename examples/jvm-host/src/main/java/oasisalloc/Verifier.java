package oasisalloc;

import java.nio.file.Path;

/**
 * Decides whether the bytes of a snapshot file may be read: the place for signatures. A store calls it with every new
 * file, before anything of it is parsed. It throws a SnapshotException for what it refuses; its reason is counted.
 */
@FunctionalInterface
public interface Verifier {
    void verify(Path snapshot, byte[] bytes) throws SnapshotException;
}
