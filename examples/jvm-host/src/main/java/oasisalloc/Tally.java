package oasisalloc;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** Counts of keys that no price depends on and of mistyped requests: of one policy, or of all policies of a store. */
final class Tally {
    private final Map<String, LongAdder> ignored = new ConcurrentHashMap<>();
    private final LongAdder mistyped = new LongAdder();
    private volatile Set<String> known = Set.of();

    /** Remembers keys that users of a policy's problem had: later policies ignore and count them. */
    synchronized void know(Set<String> keys) {
        if (known.containsAll(keys)) return;
        Set<String> all = new LinkedHashSet<>(known);
        all.addAll(keys);
        known = Set.copyOf(all);
    }

    Set<String> known() {
        return known;
    }

    void ignored(String key) {
        ignored.computeIfAbsent(key, none -> new LongAdder()).increment();
    }

    void mistyped() {
        mistyped.increment();
    }

    Map<String, Long> ignoredKeys() {
        Map<String, Long> out = new TreeMap<>();
        ignored.forEach((key, count) -> out.put(key, count.sum()));
        return out;
    }

    long mistypedRequests() {
        return mistyped.sum();
    }
}
