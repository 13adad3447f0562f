package oasisalloc;

/** A fault of a snapshot on its way to {@link Policy#load}, which makes it a {@link SnapshotException}. */
final class Refusal extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final String reason;

    Refusal(String reason, String message) {
        super(message);
        this.reason = reason;
    }

    /** Refuses content that is not as it has to be. */
    static void unless(boolean good, String what) {
        unless(good, "content", what);
    }

    static void unless(boolean good, String reason, String what) {
        if (!good) throw new Refusal(reason, what);
    }

    /** The refusal that a fault of a reader is. Faults of any other kind are faults of the content. */
    static SnapshotException of(RuntimeException error, String what) {
        if (error instanceof Refusal refusal) return new SnapshotException(refusal.reason, refusal.getMessage());
        return new SnapshotException("content", "the content is not a valid " + what + " (" + error + ")");
    }
}
