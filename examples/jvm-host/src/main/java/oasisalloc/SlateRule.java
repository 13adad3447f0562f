package oasisalloc;

import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a slate may hold, as the file says it. */
final class SlateRule {
    final int size, atLeast;
    final long[] sizeByUser, atLeastByUser; // by user of the solve; null where all have the same
    final String[] keys; // of items: those of caps, then those of decrements that are not among them
    final String keep; // the column of which slates keep a share; null for none
    final double share;
    final Map<String, Integer> atMost = new LinkedHashMap<>();
    private final Map<String, double[]> steps = new LinkedHashMap<>();
    private final Map<String, Double> slopes = new LinkedHashMap<>();

    SlateRule(Container file, Map<String, Object> of, Map<String, ItemKey> items, int users, boolean isSchema1) {
        String sizes = isSchema1 ? "sizes" : "size_by_user", leasts = isSchema1 ? "leasts" : "at_least_by_user";
        size = Json.whole(of.get("size"));
        atLeast = Json.whole(of.get("at_least"));
        Refusal.unless(size >= 1 && atLeast >= 0 && atLeast <= size, "slate: size or at_least");
        sizeByUser = (Boolean) of.get(sizes) ? byUser(file, "slate/" + sizes, users) : null;
        atLeastByUser = (Boolean) of.get(leasts) ? byUser(file, "slate/" + leasts, users) : null;
        for (Object cap : Json.list(of.get("at_most"))) {
            String key = (String) Json.list(cap).get(0);
            int most = Json.whole(Json.list(cap).get(1));
            Refusal.unless(most >= 1 && atMost.put(key, most) == null, "slate: at_most of " + key);
        }
        for (Object each : Json.list(of.get("diminishing"))) readDecrements(file, Json.list(each));
        checkWeights(file, of, isSchema1 ? "positions" : "slot_weights");
        Set<String> named = new LinkedHashSet<>(atMost.keySet());
        named.addAll(steps.keySet());
        keys = named.toArray(new String[0]);
        for (String key : keys) Refusal.unless(items.containsKey(key), "slate: the items have no key " + key);
        List<Object> kept = of.get("keep") == null ? null : Json.list(of.get("keep"));
        keep = kept == null ? null : (String) kept.get(0);
        share = kept == null ? 0.0 : Json.number(kept.get(1));
        Refusal.unless(kept == null || (keep != null && share >= 0.0 && share <= 1.0), "slate: the share that is kept");
    }

    private void readDecrements(Container file, List<Object> each) {
        String key = (String) each.get(0);
        double slope = Json.number(each.get(1));
        double[] first = file.doubles("slate/diminishing/" + steps.size());
        boolean grows = first.length > 0 && first[0] >= 0.0 && slope >= 0.0 && Double.isFinite(slope);
        for (int j = 1; j < first.length; j++) grows = grows && first[j - 1] <= first[j];
        Refusal.unless(grows && key != null && steps.put(key, first) == null, "slate: decrements of " + key);
        slopes.put(key, slope);
    }

    private void checkWeights(Container file, Map<String, Object> of, String name) {
        if (!(Boolean) of.get(name)) return; // which slots weigh more matters to the solve only
        double[] weights = file.doubles("slate/" + name);
        Refusal.unless(weights.length >= size, "slate: " + name);
        for (int j = 0; j < weights.length; j++)
            Refusal.unless(weights[j] > 0.0 && weights[j] <= (j == 0 ? 1.0 : weights[j - 1]), "slate: " + name);
    }

    private long[] byUser(Container file, String name, int users) {
        long[] out = file.longs(name);
        Refusal.unless(out.length == users, "shape", name + " has " + out.length + " users; expected " + users);
        for (long one : out) Refusal.unless(one >= 0 && one <= size, name + " has " + one);
        return out;
    }

    /** What the decrements take off the j-th item of a category of this key. */
    double decrement(String key, int j) {
        double[] first = steps.get(key);
        if (first == null) return 0.0;
        int last = first.length - 1;
        return first[Math.min(j, last)] + slopes.get(key) * Math.max(j - last, 0);
    }

    /** Infinite from the cap of this key on. */
    double cap(String key, int j) {
        Integer most = atMost.get(key);
        return most != null && j >= most ? Double.POSITIVE_INFINITY : 0.0;
    }
}
