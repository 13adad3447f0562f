package oasisalloc;

import java.util.Arrays;
import java.util.List;

/**
 * The fastest way from candidates to a slate: buffers of one thread, filled by the caller, and few checks. Write item
 * numbers and columns, call {@link #select}, and read positions and scores; nothing is allocated.
 *
 * <p>Item numbers out of range count as never seen. Columns must have finite numbers and items must be distinct, which
 * {@link Policy#select} checks and this does not. A selector belongs to the policy that made it.
 */
public final class Selector {
    private final Policy policy;
    private final Workspace w;
    private final int[] items;
    private final double[][] columns;

    Selector(Policy policy, int maxCandidates) {
        if (maxCandidates < 0) throw new InputException("maxCandidates " + maxCandidates + "; expected 0 or more");
        this.policy = policy;
        w = new Workspace(policy, maxCandidates);
        items = new int[maxCandidates];
        Arrays.fill(items, -1);
        columns = new double[policy.columns().size()][maxCandidates];
    }

    /** The names of the columns, in their order. */
    public List<String> names() {
        return policy.columns();
    }

    /** Item numbers, to be written by the caller. */
    public int[] items() {
        return items;
    }

    /** Numbers of a column of {@link #names()}, to be written by the caller. */
    public double[] column(int number) {
        return columns[number];
    }

    /** Positions of the last slate, best first: as many as {@link #select} returned. */
    public int[] positions() {
        return w.positions;
    }

    /** Priced scores of the last request. */
    public double[] scores() {
        return w.scores;
    }

    /** Writes the priced scores of the first n candidates. */
    public void score(int n, User user) {
        check(n, user);
        for (int c = 0; c < columns.length; c++)
            w.columns[c] = Calibration.mapped(policy.data().calibration(), policy.columns().get(c), n, user, items,
                    columns[c], w.mapped[c]);
        policy.scorer().score(n, user, items, w.columns, w.classes, w.scores);
    }

    /** Writes scores and the slate of the first n candidates, of the user's own size; returns its length. */
    public int select(int n, User user) {
        return select(n, user, user.size);
    }

    /** Writes scores and the slate of the first n candidates, of up to k slots; returns its length. */
    public int select(int n, User user, int k) {
        if (k < 0) throw new InputException("k " + k + "; expected a number of slots >= 0");
        score(n, user);
        int slots = Math.min(k, n);
        policy.ranks(n, items, w.rank);
        w.reserve(slots);
        String keep = policy.data().slate().keep;
        if (keep != null) System.arraycopy(w.columns[policy.columns().indexOf(keep)], 0, w.kept, 0, n);
        return w.fill(n, w.scores, 0, slots, Math.min(user.atLeast, slots), 0.0);
    }

    private void check(int n, User user) {
        if (n < 0 || n > items.length)
            throw new InputException(n + " candidates; expected up to " + items.length + ", the number of selector()");
        policy.checkOwner(user);
    }
}
