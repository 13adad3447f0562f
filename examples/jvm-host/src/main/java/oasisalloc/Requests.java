package oasisalloc;

import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReferenceArray;

/** Reads and checks requests of one policy, and answers them in workspaces that are used again. */
final class Requests {
    private static final int POOLED = 64; // workspaces: threads that answer at the same time
    private static final int MIN_CAPACITY = 128, MAX_CAPACITY = 1 << 18; // of workspaces that are used again

    private final Policy policy;
    private final PolicyData data;
    private final String[] columns;
    private final int kept; // the column of which a share is kept, -1 for none
    private final AtomicReferenceArray<Workspace> pool = new AtomicReferenceArray<>(POOLED);

    Requests(Policy policy) {
        this.policy = policy;
        data = policy.data();
        columns = policy.columns().toArray(new String[0]);
        kept = data.slate().keep == null ? -1 : policy.columns().indexOf(data.slate().keep);
    }

    // Users and ids.

    User user(Object given) {
        SlateRule slate = data.slate();
        if (given instanceof Number number) return numbered(number);
        if (given != null && !(given instanceof Map))
            throw new InputException("user: a " + given.getClass().getSimpleName()
                    + "; expected a number, {key: label} or null");
        int[] codes = new int[data.userKeys().size()];
        Arrays.fill(codes, -1);
        if (given != null) encode((Map<?, ?>) given, codes);
        return new User(policy, codes, slate.size, slate.atLeast, policy.prices().of(codes));
    }

    private void encode(Map<?, ?> labels, int[] codes) {
        int found = 0, j = 0;
        boolean isMistyped = false;
        for (Map.Entry<String, Labels> key : data.userKeys().entrySet()) {
            Object label = labels.get(key.getKey());
            codes[j] = key.getValue().code(label);
            if (codes[j] < 0 && label != null) isMistyped |= key.getValue().isOfAnotherKind(label);
            if (label != null || labels.containsKey(key.getKey())) found++;
            j++;
        }
        if (isMistyped) policy.tally().mistyped();
        if (found < labels.size()) checkOthers(labels);
    }

    /** Keys that no price depends on are counted, and those that no problem had are refused. */
    private void checkOthers(Map<?, ?> labels) {
        for (Object key : labels.keySet()) {
            if (key instanceof String name && data.userKeys().containsKey(name)) continue;
            if (!(key instanceof String name) || !policy.tally().known().contains(name))
                throw new InputException("user: the users of the solved problem do not have a key '" + key
                        + "'; known: " + String.join(", ", data.known()) + Nearest.hint(key, data.known()));
        }
        for (Object key : labels.keySet())
            if (!data.userKeys().containsKey(key)) policy.tally().ignored((String) key);
    }

    private User numbered(Number given) {
        if (!(Label.of(given) instanceof Long number)) throw new InputException("user " + given + " is not a number");
        int[] segments = data.segmentOfUser();
        if (segments == null) throw new InputException("user: this policy does not know users by number");
        if (number < 0 || number >= segments.length)
            throw new InputException("user " + number + "; expected a number in [0, " + segments.length + ")");
        SlateRule slate = data.slate();
        int user = number.intValue(), width = data.userKeys().size();
        int[] codes = Arrays.copyOfRange(data.segments(), segments[user] * width, (segments[user] + 1) * width);
        int size = slate.sizeByUser == null ? slate.size : (int) slate.sizeByUser[user];
        int atLeast = slate.atLeastByUser == null ? slate.atLeast : (int) slate.atLeastByUser[user];
        return new User(policy, codes, size, Math.min(atLeast, size), policy.prices().of(codes));
    }

    /** True if no id is of the policy's kind: then they are probably of a wrong type. */
    boolean isMistyped(Collection<?> ids) {
        boolean any = false;
        for (Object id : ids) {
            Object label = Label.of(id);
            if (label == null) continue;
            boolean isOther = data.ids() != null ? data.ids().isOfAnotherKind(id)
                    : label instanceof String || label instanceof Boolean;
            if (!isOther) return false;
            any = true;
        }
        return any;
    }

    // Scores and slates.

    double[] score(User user, int[] items, Map<String, double[]> given) {
        Workspace w = scored(user, items, given, false);
        double[] out = Arrays.copyOf(w.scores, items.length);
        give(w);
        return out;
    }

    int[] select(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        Workspace w = scored(user, items, given, true);
        int m = slate(w, user, items, options);
        int[] out = Arrays.copyOf(w.positions, m);
        give(w);
        return out;
    }

    Ranking rank(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        Workspace w = scored(user, items, given, true);
        int m = slate(w, user, items, options);
        Ranking out = new Ranking(Arrays.copyOf(w.positions, m), Arrays.copyOf(w.scores, items.length));
        give(w);
        return out;
    }

    /** A workspace with the checked request and its scores. After an exception it is not used again. */
    Workspace scored(User user, int[] items, Map<String, double[]> given, boolean forSlate) {
        policy.checkOwner(user);
        checkGiven(items, given);
        int n = items.length, end = data.nItems();
        for (int i = 0; i < n; i++)
            if (items[i] < -1 || items[i] >= end)
                throw new InputException("items: entry " + i + " is " + items[i] + "; expected numbers in [0, " + end
                        + "), or -1 for items that the policy has never seen");
        Workspace w = take(n);
        for (int c = 0; c < columns.length; c++)
            if (forSlate || policy.scorer().reads(c))
                w.columns[c] = Calibration.mapped(data.calibration(), columns[c], n, user, items,
                        column(given, columns[c], n), w.mapped[c]);
        if (forSlate) checkDistinct(w, items);
        policy.classes().of(n, items, w.classes);
        double[] scores = w.scores;
        policy.scorer().score(n, user, w.classes, w.columns, scores);
        for (int i = 0; i < n; i++)
            if (!(Math.abs(scores[i]) < Double.POSITIVE_INFINITY))
                throw new InputException("entry " + i + ": the score is beyond a double; expected smaller numbers");
        return w;
    }

    static void checkGiven(int[] items, Map<String, double[]> given) {
        if (items == null) throw new InputException("items: null; expected item numbers");
        if (given == null) throw new InputException("columns: null; expected numbers by name");
    }

    private static void checkDistinct(Workspace w, int[] items) {
        int again = w.repeated(items.length, items);
        if (again < 0) return;
        int first = 0;
        while (items[first] != items[again]) first++;
        throw new InputException("items: item " + items[again] + " appears twice, at positions " + first + " and "
                + again);
    }

    static double[] column(Map<String, double[]> given, String name, int n) {
        double[] column = given.get(name);
        if (column == null && given.containsKey(name))
            throw new InputException("columns: '" + name + "' is null; expected " + n + " numbers");
        if (column == null)
            throw new InputException("columns: '" + name + "' is missing; there are "
                    + given.keySet().stream().map(String::valueOf).sorted().toList()
                    + Nearest.hint(name, given.keySet()));
        if (column.length != n)
            throw new InputException("columns: '" + name + "' has " + column.length + " numbers; expected " + n);
        for (int i = 0; i < n; i++)
            if (!(Math.abs(column[i]) < Double.POSITIVE_INFINITY))
                throw new InputException("columns: '" + name + "': entry " + i + " is " + column[i]
                        + "; expected finite numbers");
        return column;
    }

    /** Writes the slate of a workspace with scores; returns its length. */
    int slate(Workspace w, User user, int[] items, SlateOptions options) {
        int n = items.length;
        if (options == null)
            throw new InputException("options: null; expected SlateOptions, such as SlateOptions.DEFAULT");
        Integer k = options.k();
        if (k != null && k < 0) throw new InputException("k " + k + "; expected a number of slots >= 0, or null");
        int slots = Math.min(k == null ? user.size : k, n);
        int[] pinned = options.pinned(), exclude = options.exclude();
        checkPositions("pinned", pinned, n);
        checkPositions("exclude", exclude, n);
        for (int position : exclude)
            for (int other : pinned)
                if (position == other) throw new InputException("position " + position + " is pinned and excluded");
        if (pinned.length > slots)
            throw new InputException("pinned: " + pinned.length + " positions for " + slots + " slots");
        policy.ranks(n, items, w.rank);
        w.reserve(slots);
        System.arraycopy(pinned, 0, w.positions, 0, pinned.length);
        double[] scores = masked(exclude, w.scores, w.masked, n);
        if (kept >= 0) {
            System.arraycopy(w.columns[kept], 0, w.kept, 0, n);
            for (int position : exclude) w.kept[position] = Double.NEGATIVE_INFINITY;
        }
        double floor = options.fill() ? Double.NEGATIVE_INFINITY : 0.0;
        int m = w.fill(n, scores, pinned.length, slots, Math.min(user.atLeast, slots), floor);
        checkPinned(w, pinned);
        return m;
    }

    private static double[] masked(int[] exclude, double[] scores, double[] out, int n) {
        if (exclude.length == 0) return scores;
        System.arraycopy(scores, 0, out, 0, n);
        for (int position : exclude) out[position] = Double.NEGATIVE_INFINITY;
        return out;
    }

    /** Refuses pinned candidates that break a cap: their marginal scores are not finite. */
    private void checkPinned(Workspace w, int[] pinned) {
        for (int j = 0; j < pinned.length; j++)
            if (!Double.isFinite(w.marginal[j]))
                throw new InputException("pinned: with position " + pinned[j] + " a category has more items than "
                        + "at_most=" + data.slate().atMost + " allows; pin fewer items of this category");
    }

    private static void checkPositions(String what, int[] positions, int n) {
        if (positions == null) throw new InputException(what + ": null; expected distinct positions, or none");
        for (int a = 0; a < positions.length; a++) {
            boolean isGood = positions[a] >= 0 && positions[a] < n;
            for (int b = 0; isGood && b < a; b++) isGood = positions[b] != positions[a];
            if (!isGood)
                throw new InputException(what + ": " + positions[a] + "; expected distinct positions in [0, " + n
                        + ")");
        }
    }

    // Workspaces.

    /** A workspace that no other thread has, for at least so many candidates. */
    private Workspace take(int n) {
        int first = (int) Thread.currentThread().getId();
        for (int k = 0; k < POOLED; k++) {
            Workspace w = pool.get(first + k & POOLED - 1);
            if (w != null && w.capacity >= n && pool.compareAndSet(first + k & POOLED - 1, w, null)) return w;
        }
        return new Workspace(policy, Math.max(MIN_CAPACITY, n <= 1 << 30 ? Integer.highestOneBit(n) << 1 : n));
    }

    /** Gives a workspace back, in the place of a smaller one where there is no free place. */
    void give(Workspace w) {
        if (w.capacity > MAX_CAPACITY) return; // one long request should not take memory for ever
        int first = (int) Thread.currentThread().getId();
        for (int k = 0; k < POOLED; k++) {
            Workspace there = pool.get(first + k & POOLED - 1);
            boolean isSmaller = there == null || there.capacity < w.capacity;
            if (isSmaller && pool.compareAndSet(first + k & POOLED - 1, there, w)) return;
        }
    }
}
