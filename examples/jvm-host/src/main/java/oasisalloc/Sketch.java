package oasisalloc;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Counts in fixed bins, by column, and of labels, by key of users: the document of `Sketch.to_dict` in Python, with the
 * same counts for the same requests (docs/drift.md). Not for several threads.
 */
public final class Sketch {
    static final String SCORES = "(priced score)", BOOSTS = "(boost)";
    private static final String FORMAT = "oasis_alloc.sketch";

    /** Counts of one column: value v is in bin k if edges[k - 1] <= v < edges[k]; the last count is of missing ones. */
    private record Bins(double[] edges, long[] counts) {
        void add(double value) {
            counts[Double.isFinite(value) ? place(value) : edges.length + 1]++;
        }

        private int place(double value) { // the number of edges up to the value; 0.0 and -0.0 are equal
            int low = 0, high = edges.length;
            while (low < high) {
                int middle = low + high >>> 1;
                if (edges[middle] <= value) low = middle + 1;
                else high = middle;
            }
            return low;
        }
    }

    /** Counts of one key: of each label, of labels that are not here, and of none. */
    private record Known(List<Object> labels, Map<Object, Integer> places, long[] counts) {
        void add(Object given) {
            Object label = Label.of(given);
            boolean isNone = label == null || label instanceof Long number && number == -1;
            counts[isNone ? labels.size() + 1 : places.getOrDefault(label, labels.size())]++;
        }
    }

    private final Map<String, Bins> columns = new LinkedHashMap<>();
    private final Map<String, Known> keys = new LinkedHashMap<>();

    private Sketch() {}

    /** Reads the document of `Sketch.to_dict`, as JSON in a file; InputException for anything else. */
    public static Sketch load(Path path) throws IOException {
        return parse(Files.readString(path, StandardCharsets.UTF_8));
    }

    /** Reads the document of `Sketch.to_dict`, as JSON; InputException for anything else. */
    public static Sketch parse(String json) {
        String wrong = "sketch: expected the document of Sketch.to_dict, with the format " + FORMAT;
        try {
            Map<String, Object> document = Json.object(Json.parse(json));
            if (!FORMAT.equals(document.get("format")) || !Long.valueOf(1).equals(document.get("schema")))
                throw new InputException(wrong);
            Sketch out = new Sketch();
            Json.object(document.get("columns")).forEach((name, part) -> out.readColumn(name, Json.object(part)));
            if (document.containsKey("labels"))
                Json.object(document.get("labels")).forEach((key, part) -> out.readKey(key, Json.object(part)));
            return out;
        } catch (InputException error) {
            throw error;
        } catch (RuntimeException error) {
            throw new InputException(wrong + " (" + error + ")");
        }
    }

    private void readColumn(String name, Map<String, Object> part) {
        double[] edges = Json.list(part.get("edges")).stream().mapToDouble(Json::number).toArray();
        for (int k = 0; k < edges.length; k++)
            if (!Double.isFinite(edges[k]) || k > 0 && !(edges[k] > edges[k - 1]))
                throw new InputException("sketch: '" + name + "' has edges that do not ascend");
        columns.put(name, new Bins(edges, counts(name, part, edges.length + 2)));
    }

    private void readKey(String key, Map<String, Object> part) {
        List<Object> labels = Json.list(part.get("labels"));
        Map<Object, Integer> places = new HashMap<>();
        for (Object label : labels) places.put(Label.of(label), places.size());
        if (places.size() < labels.size() || places.containsKey(null))
            throw new InputException("sketch: '" + key + "' has labels that are missing or appear twice");
        keys.put(key, new Known(labels, places, counts(key, part, labels.size() + 2)));
    }

    private static long[] counts(String name, Map<String, Object> part, int expected) {
        long[] counts = Json.list(part.get("counts")).stream().mapToLong(one -> (Long) one).toArray();
        if (counts.length != expected || Arrays.stream(counts).anyMatch(one -> one < 0))
            throw new InputException("sketch: '" + name + "' has counts that do not fit");
        return counts;
    }

    /** The same bins and labels without counts. */
    Sketch empty() {
        Sketch out = new Sketch();
        columns.forEach((name, of) -> out.columns.put(name, new Bins(of.edges, new long[of.counts.length])));
        keys.forEach((key, of) -> out.keys.put(key, new Known(of.labels, of.places, new long[of.counts.length])));
        return out;
    }

    boolean hasColumn(String name) {
        return columns.containsKey(name);
    }

    /** Counts up to `most` values of a column, evenly spaced; nothing for a column without bins. */
    void add(String name, double[] values, int most) {
        Bins bins = columns.get(name);
        if (bins == null) return;
        int step = Math.max(1, (int) (((long) values.length + most - 1) / most));
        for (int i = 0; i < values.length; i += step) bins.add(values[i]);
    }

    /** Counts the labels of one user; null for one without labels. */
    void addLabels(Map<?, ?> user) {
        keys.forEach((key, of) -> of.add(user == null ? null : user.get(key)));
    }

    /** How far each column and key of another sketch with the same bins has moved from this one, by name. */
    Map<String, Drift> to(Sketch now) {
        Map<String, Drift> out = new LinkedHashMap<>();
        columns.forEach((name, of) -> out.put(name, Drift.of(name, of.counts, now.columns.get(name).counts, false)));
        keys.forEach((key, of) -> out.put(key, Drift.of(key, of.counts, now.keys.get(key).counts, true)));
        return out;
    }

    /** The document of `Sketch.to_dict`, for `Sketch.from_dict` in Python. */
    Map<String, Object> document() {
        Map<String, Object> parts = new LinkedHashMap<>(), labels = new LinkedHashMap<>();
        columns.forEach((name, of) -> parts.put(name, part("edges", of.edges.clone(), of.counts)));
        keys.forEach((key, of) -> labels.put(key, part("labels", of.labels, of.counts)));
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("format", FORMAT);
        out.put("schema", 1);
        out.put("columns", parts);
        out.put("labels", labels);
        return out;
    }

    private static Map<String, Object> part(String name, Object of, long[] counts) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put(name, of);
        out.put("counts", Arrays.stream(counts).boxed().toList());
        return out;
    }

    /** The document as JSON, for `Sketch.from_dict` in Python. */
    public String toJson() {
        return JsonText.of(document());
    }
}
