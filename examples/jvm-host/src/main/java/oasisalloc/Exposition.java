package oasisalloc;

import java.util.Map;

/** Writes the text format of Prometheus, version 0.0.4. */
final class Exposition {
    private final StringBuilder out = new StringBuilder();
    private final String store; // the label of every sample; empty for none
    private final String prefix;
    private String metric;

    /** With a prefix of the names of all metrics. */
    Exposition(String store, String prefix) {
        this.store = store;
        this.prefix = prefix;
    }

    void start(String name, String type, String help) {
        metric = prefix + name;
        out.append("# HELP ").append(metric).append(' ').append(help).append('\n');
        out.append("# TYPE ").append(metric).append(' ').append(type).append('\n');
    }

    void gauge(String name, String help, Object value) {
        start(name, "gauge", help);
        sample(null, null, value);
    }

    void counter(String name, String help, Object value) {
        start(name, "counter", help);
        sample(null, null, value);
    }

    void counters(String name, String help, String label, Object values) {
        start(name, "counter", help);
        for (Map.Entry<String, Object> one : Json.object(values).entrySet())
            sample(label, one.getKey(), one.getValue());
    }

    void gauges(String name, String help, String label, Map<String, Object> values) {
        start(name, "gauge", help);
        values.forEach((one, value) -> sample(label, one, value));
    }

    /** One number with a label; nothing for one that is not known yet. */
    void sample(String label, String name, Object value) {
        if (value == null) return;
        out.append(metric);
        String before = "{";
        if (!store.isEmpty()) {
            put(before, "store", store);
            before = ",";
        }
        if (label != null) put(before, label, name);
        out.append(store.isEmpty() && label == null ? " " : "} ").append(((Number) value).doubleValue()).append('\n');
    }

    private void put(String before, String label, String value) {
        String escaped = value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
        out.append(before).append(label).append("=\"").append(escaped).append('"');
    }

    @Override
    public String toString() {
        return out.toString();
    }
}
