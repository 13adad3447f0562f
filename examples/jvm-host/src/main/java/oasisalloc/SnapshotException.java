package oasisalloc;

/** A snapshot or an overlay that must not be served; {@link #reason()} is one of the reasons of docs/snapshot.md. */
public final class SnapshotException extends Exception {
    private static final long serialVersionUID = 1;

    private final String reason;

    SnapshotException(String reason, String message) {
        super(reason + ": " + message);
        this.reason = reason;
    }

    public String reason() {
        return reason;
    }
}
