package oasisalloc;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.Set;

/**
 * Prices that serve: reads and verifies a snapshot, and answers requests. Immutable but for its counts, and safe under
 * threads. Item numbers and users belong to one policy.
 */
public final class Policy {
    private final PolicyData data;
    private final ItemClasses classes;
    private final Categories categories;
    private final Prices prices;
    private final Scorer scorer;
    private final List<String> columns;
    private final boolean isPlain;
    private final Requests requests;
    private volatile Tally tally;
    private volatile Explainer explainer; // made by the first explanation

    private Policy(PolicyData data, ItemClasses classes, Categories categories, Tally tally) {
        this.data = data;
        this.classes = classes;
        this.categories = categories;
        this.tally = tally;
        prices = new Prices(data, classes);
        columns = data.columns().stream().filter(this::isRead).toList();
        scorer = new Scorer(data, classes, prices.measured, columns);
        isPlain = data.slate().keys.length == 0 && data.slate().keep == null;
        requests = new Requests(this);
        tally.know(data.known());
    }

    private boolean isRead(String column) {
        return data.weighed().contains(column) || prices.measured.contains(column) || column.equals(data.slate().keep);
    }

    /** Reads and verifies a snapshot file; SnapshotException if it must not be served. */
    public static Policy load(Path path) throws SnapshotException, IOException {
        return load(bytes(path));
    }

    /** Verifies a snapshot; SnapshotException if it must not be served. */
    public static Policy load(byte[] raw) throws SnapshotException {
        try {
            PolicyData data = PolicyReader.read(new Container(raw));
            ItemClasses classes = new ItemClasses(data.nItems(), data.itemKeys());
            return new Policy(data, classes, new Categories(data, classes), new Tally());
        } catch (RuntimeException error) {
            throw Refusal.of(error, "policy");
        } catch (OutOfMemoryError error) {
            throw new SnapshotException("unreadable", "it needs more memory than there is");
        }
    }

    static byte[] bytes(Path path) throws SnapshotException, IOException {
        if (!Files.isRegularFile(path)) throw new SnapshotException("unreadable", path + " is not a regular file");
        if (Files.size(path) > Integer.MAX_VALUE - 16)
            throw new SnapshotException("unreadable", path + " has 2 GiB or more");
        try {
            return Files.readAllBytes(path);
        } catch (OutOfMemoryError error) {
            throw new SnapshotException("unreadable", path + " needs more memory than there is");
        }
    }

    // What the policy is.

    public String id() {
        return data.id();
    }

    /** When the prices were made, UNIX seconds. */
    public double created() {
        return data.created();
    }

    /** UNIX seconds from which it is not to be used. */
    public OptionalDouble validUntil() {
        return data.validUntil() == null ? OptionalDouble.empty() : OptionalDouble.of(data.validUntil());
    }

    /** Whether it is no longer to be used at a time in UNIX seconds. */
    public boolean isExpired(double now) {
        return data.validUntil() != null && now >= data.validUntil();
    }

    /** Columns that requests must have. */
    public List<String> columns() {
        return columns;
    }

    /** The column that the host ranks by. */
    public String organic() {
        return data.organic();
    }

    /** Keys that requests may bring for their users; those that no price depends on are ignored and counted. */
    public Set<String> userKeys() {
        return Set.copyOf(data.known());
    }

    /** What requests bring, for JSON: columns, the organic one, and the type of the labels of each key of users. */
    public Map<String, Object> schema() {
        Map<String, Object> keys = new LinkedHashMap<>(), out = new LinkedHashMap<>();
        for (String key : data.known())
            keys.put(key, data.userKeys().containsKey(key) ? data.userKeys().get(key).type : "any");
        out.put("columns", columns);
        out.put("organic", data.organic());
        out.put("user_keys", keys);
        return out;
    }

    /** How many calls brought a key that no price depends on, by key. */
    public Map<String, Long> ignoredKeys() {
        return tally.ignoredKeys();
    }

    /** How many calls had ids, or a label of a key, of another kind than the policy's, such as "45" for 45. */
    public long mistypedRequests() {
        return tally.mistypedRequests();
    }

    /** At the prices of an overlay, a JSON document; apply it to the policy as it was loaded. Nothing is read again. */
    public Policy overlaid(String overlay) throws SnapshotException {
        return overlaid(Overlay.parse(overlay));
    }

    Policy overlaid(Overlay overlay) throws SnapshotException {
        return at(overlay.on(data));
    }

    Policy at(PolicyData other) {
        return new Policy(other, classes, categories, tally);
    }

    // Requests.

    /** The number of an item, -1 for one that was never seen. */
    public int encode(Object id) {
        if (data.ids() != null) return data.ids().code(id);
        Object label = Label.of(id);
        return label instanceof Long number ? encode((long) number) : -1;
    }

    /** The number of an item whose id is a number, -1 for one that was never seen. */
    public int encode(long id) {
        if (data.ids() != null) return data.ids().code(id);
        return id >= 0 && id < data.nItems() ? (int) id : -1;
    }

    /** The numbers of items, -1 for those that were never seen. */
    public int[] encode(Collection<?> ids) {
        if (ids == null) throw new InputException("ids: null; expected a collection of ids");
        int[] out = new int[ids.size()];
        int i = 0, unseen = 0;
        for (Object id : ids) {
            out[i] = encode(id);
            if (out[i++] < 0) unseen++;
        }
        if (unseen == out.length && unseen > 0 && requests.isMistyped(ids)) tally.mistyped();
        return out;
    }

    /** A user by number of the solve, by a map of labels by key, or nobody known (null). Keep it for many requests. */
    public User user(Object given) {
        return requests.user(given);
    }

    /** Priced scores of a request; InputException if it is wrong. */
    public double[] score(User user, int[] items, Map<String, double[]> given) {
        return requests.score(user, items, given);
    }

    /** Positions of the slate, best first; InputException if the request is wrong. */
    public int[] select(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        return requests.select(user, items, given, options);
    }

    /** As {@link #select}, with the scores that the slate was taken from. */
    public Ranking rank(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        return requests.rank(user, items, given, options);
    }

    /** Why each candidate is in the slate or not. */
    public Explanation explain(User user, int[] items, Map<String, double[]> given, SlateOptions options) {
        if (explainer == null) explainer = new Explainer(this);
        return explainer.explain(user, items, given, options);
    }

    /** Buffers of one thread for up to so many candidates. */
    public Selector selector(int maxCandidates) {
        return new Selector(this, maxCandidates);
    }

    /** The scores alone, for callers that check their requests themselves. */
    public Scorer scorer() {
        return scorer;
    }

    /**
     * Ignores and counts the keys of users that the problem of an earlier policy had, instead of refusing them. A host
     * without a {@link PolicyStore} calls it before it swaps that policy for this one, so that no swap breaks requests.
     */
    public void remember(Policy before) {
        tally.know(before.tally.known());
    }

    // For the package.

    PolicyData data() {
        return data;
    }

    ItemClasses classes() {
        return classes;
    }

    Categories categories() {
        return categories;
    }

    Prices prices() {
        return prices;
    }

    boolean isPlain() {
        return isPlain;
    }

    Requests requests() {
        return requests;
    }

    Tally tally() {
        return tally;
    }

    /** Counts into the tally of a store from now on, which learns this policy's keys. */
    void countInto(Tally other) {
        other.know(data.known());
        tally = other;
    }

    void checkOwner(User user) {
        if (user == null || user.owner != this)
            throw new InputException("user: made by another policy; call user(...) of this one");
    }

    /** Writes what ties are broken by: ranks of ids; items that were never seen come last. */
    void ranks(int n, int[] items, int[] out) {
        int[] rank = data.rank();
        int nItems = data.nItems();
        for (int i = 0; i < n; i++) {
            int item = items[i];
            out[i] = item < 0 || item >= nItems ? Integer.MAX_VALUE : rank == null ? item : rank[item];
        }
    }
}
