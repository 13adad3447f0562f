package oasisalloc;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Decisions of the stores of one snapshot file that hold after a restart: `SNAPSHOT.state`, the same file that the
 * library in Python reads and writes (docs/store.md).
 *
 * @param rolledBack ids of policies that must not be served, the last one last
 * @param again a policy that was published explicitly, whichever was active
 * @param kept the policy in `SNAPSHOT.kept`, for processes that find the snapshot refused
 * @param newest creation time of the newest policy that was active
 */
record StoreState(List<String> rolledBack, Version again, Version kept, double newest) {
    private static final String FORMAT = "oasis_alloc.store";
    private static final int MAX_ROLLED_BACK = 200;

    static final StoreState EMPTY = new StoreState(List.of(), null, null, Double.NEGATIVE_INFINITY);

    /** Distinguishes a policy from one with the same prices, made at another time. */
    record Version(String id, double created) {
        static Version of(Policy policy) {
            return new Version(policy.id(), policy.created());
        }
    }

    /** The same with a policy that must not be served again. */
    StoreState banning(String id) {
        return new StoreState(with(id), unless(again, id), unless(kept, id), newest);
    }

    private List<String> with(String id) {
        List<String> ids = new ArrayList<>(rolledBack);
        ids.remove(id);
        ids.add(id);
        return List.copyOf(ids.subList(Math.max(0, ids.size() - MAX_ROLLED_BACK), ids.size()));
    }

    private static Version unless(Version version, String id) {
        return version != null && version.id.equals(id) ? null : version;
    }

    /** The same with a policy that may be served although it is older, or was rolled back. */
    StoreState allowing(Version version) {
        List<String> ids = rolledBack.stream().filter(id -> !id.equals(version.id)).toList();
        return new StoreState(ids, version, kept, version.created);
    }

    StoreState keeping(Version version) {
        return new StoreState(rolledBack, again, version, newest);
    }

    StoreState withNewest(double created) {
        return new StoreState(rolledBack, again, kept, created);
    }

    String toJson() {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("format", FORMAT);
        out.put("schema", 1);
        out.put("rolled_back", rolledBack);
        out.put("again", pair(again));
        out.put("kept", pair(kept));
        out.put("newest", newest); // infinity is null
        return JsonText.of(out);
    }

    private static Object pair(Version version) {
        return version == null ? null : List.of(version.id, version.created);
    }

    /** The state in a file; RuntimeException if it is not the state of a store. */
    static StoreState parse(String text) {
        Map<String, Object> of = Json.object(Json.parse(text));
        Refusal.unless(FORMAT.equals(of.get("format")) && Json.whole(of.get("schema")) == 1, "format, schema");
        List<String> ids = new ArrayList<>();
        for (Object id : Json.list(of.get("rolled_back"))) ids.add((String) id);
        Object newest = of.get("newest");
        return new StoreState(List.copyOf(ids), version(of.get("again")), version(of.get("kept")),
                newest == null ? Double.NEGATIVE_INFINITY : time(newest));
    }

    private static Version version(Object pair) {
        if (pair == null) return null;
        List<Object> of = Json.list(pair);
        Refusal.unless(of.size() == 2 && of.get(0) instanceof String, "a policy is not [id, created]");
        return new Version((String) of.get(0), time(of.get(1)));
    }

    private static double time(Object number) {
        double time = Json.number(number);
        Refusal.unless(Double.isFinite(time), "a time is not finite");
        return time;
    }
}
