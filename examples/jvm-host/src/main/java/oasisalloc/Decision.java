package oasisalloc;

/** One decision of a store: the policy that was active when it began, for all calls of one request. */
public final class Decision {
    private final Policy policy;
    private final String mode;
    private int unseen;

    Decision(Policy policy, String mode) {
        this.policy = policy;
        this.mode = mode;
    }

    public Policy policy() {
        return policy;
    }

    /** The level of staleness: "fresh", "hold", "decay" or "organic". */
    public String mode() {
        return mode;
    }

    /** Counts the candidates that the policy did not know, among items of {@link Policy#encode}. */
    public void countUnseen(int[] items) {
        for (int item : items) if (item < 0) unseen++;
    }

    int unseen() {
        return unseen;
    }
}
