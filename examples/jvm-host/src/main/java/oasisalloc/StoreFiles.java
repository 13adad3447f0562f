package oasisalloc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.UUID;

/** The files of a store: the snapshot, its state, and the policy that is served instead of the snapshot's. */
final class StoreFiles {
    private static final long MAX_STATE = 1 << 16; // bytes

    /** What nearly always differs if a file has changed. */
    record Stamp(Object modified, Object changed, Object inode, long size) {}

    final Path snapshot, state, kept;

    StoreFiles(Path snapshot) {
        this.snapshot = snapshot;
        if (snapshot.getFileName() == null)
            throw new InputException("store: " + snapshot + " is not the path of a file");
        state = snapshot.resolveSibling(snapshot.getFileName() + ".state");
        kept = snapshot.resolveSibling(snapshot.getFileName() + ".kept");
    }

    static Stamp stamp(Path path) throws IOException {
        BasicFileAttributes at = Files.readAttributes(path, BasicFileAttributes.class);
        Object changed = null;
        try {
            changed = Files.getAttribute(path, "unix:ctime");
        } catch (UnsupportedOperationException | IllegalArgumentException error) {
            // other systems do not have it
        }
        return new Stamp(at.lastModifiedTime(), changed, at.fileKey(), at.size());
    }

    /** The stamp of the state; null if there is no such file. */
    Stamp stateStamp() {
        try {
            return stamp(state);
        } catch (IOException error) {
            return null;
        }
    }

    /** The state, an empty one if there is no file; IOException if it cannot be read. */
    StoreState readState() throws IOException {
        try {
            if (Files.size(state) > MAX_STATE) throw new IOException(state + " has more than " + MAX_STATE + " bytes");
            return StoreState.parse(Files.readString(state));
        } catch (NoSuchFileException error) {
            return StoreState.EMPTY;
        } catch (RuntimeException error) {
            throw new IOException(state + " is not the state of a store: " + error.getMessage(), error);
        }
    }

    void writeState(StoreState of) throws IOException {
        write(state, of.toJson().getBytes(StandardCharsets.UTF_8));
    }

    static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every JDK has it
        }
    }

    /** Writes a file whole or not at all: to a temporary file, flushed, then moved. */
    static void write(Path path, byte[] bytes) throws IOException {
        write(path, List.of(bytes));
    }

    /** The same, of parts one after the other. The name of the temporary file begins with a dot. */
    static void write(Path path, List<byte[]> parts) throws IOException {
        Path target = Files.exists(path) ? path.toRealPath() : path.toAbsolutePath();
        Path beside = target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            try (FileChannel out = FileChannel.open(beside, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                for (byte[] part : parts)
                    for (ByteBuffer left = ByteBuffer.wrap(part); left.hasRemaining();) out.write(left);
                out.force(true);
            }
            Files.move(beside, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(beside);
        }
    }
}
