package oasisalloc;

import java.util.Map;

/** One decision of a store: the policy that was active when it began, for all calls of one request. */
public final class Decision {
    private final Policy policy;
    private final String mode;
    private final DriftWatch watch; // null for none
    private int unseen;

    Decision(Policy policy, String mode, DriftWatch watch) {
        this.policy = policy;
        this.mode = mode;
        this.watch = watch;
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

    /**
     * Shows the request to the store's {@link DriftWatch}, if it has one: its items and columns, the user as in
     * {@link Policy#user(Object)}, and its scores, or null.
     */
    public void saw(int[] items, Map<String, double[]> columns, Object user, double[] scores) {
        if (watch != null) watch.seen(policy, items, columns, user, scores);
    }

    int unseen() {
        return unseen;
    }
}
