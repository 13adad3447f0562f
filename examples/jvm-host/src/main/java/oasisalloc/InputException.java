package oasisalloc;

/** A request that is wrong: the message says what is wrong, where, and what was expected. */
public final class InputException extends IllegalArgumentException {
    private static final long serialVersionUID = 1;

    InputException(String message) {
        super(message);
    }
}
