package oasisalloc;

import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The categories that slate rules count: a class has category[start[class]] to before category[start[class + 1]], those
 * of the rules' first key first.
 */
final class Categories {
    private static final int KEPT = 11; // costs of slates up to 2^10 slots are kept

    final int count;
    final int[] start, category, system; // system: the place among the rules' keys of every category
    private final SlateRule rule;
    private final AtomicReferenceArray<Costs> kept = new AtomicReferenceArray<>(KEPT);

    /** What the j-th item of a category costs, cost[system * width + j]; `caps` is without decrements. */
    record Costs(int width, double[] all, double[] caps) {}

    Categories(PolicyData data, ItemClasses classes) {
        rule = data.slate();
        ItemKey[] keys = new ItemKey[rule.keys.length];
        int[] offsets = new int[keys.length + 1];
        for (int k = 0; k < keys.length; k++) {
            keys[k] = data.itemKeys().get(rule.keys[k]);
            offsets[k + 1] = Math.addExact(offsets[k], keys[k].labels.size());
        }
        count = offsets[keys.length];
        system = new int[count];
        for (int k = 0; k < keys.length; k++) java.util.Arrays.fill(system, offsets[k], offsets[k + 1], k);
        start = new int[classes.size() + 1];
        for (int c = 0; c < classes.size(); c++) {
            start[c + 1] = start[c];
            for (ItemKey key : keys) start[c + 1] = Math.addExact(start[c + 1], key.count(classes.member(c)));
        }
        category = new int[start[classes.size()]];
        for (int c = 0; c < classes.size(); c++) {
            int at = start[c];
            for (int k = 0; k < keys.length; k++) {
                int end = keys[k].copy(classes.member(c), category, at);
                for (; at < end; at++) category[at] += offsets[k];
            }
        }
    }

    /** Costs of at least so many items; the same object for calls of the same size. */
    Costs costs(int slots) {
        int power = 32 - Integer.numberOfLeadingZeros(Math.max(slots, 1) - 1);
        Costs found = power < KEPT ? kept.get(power) : null;
        if (found != null) return found;
        int width = power < KEPT ? 1 << power : slots;
        double[] all = new double[Math.multiplyExact(rule.keys.length, width)], caps = new double[all.length];
        for (int k = 0; k < rule.keys.length; k++) {
            for (int j = 0; j < width; j++) {
                caps[k * width + j] = rule.cap(rule.keys[k], j);
                all[k * width + j] = caps[k * width + j] + rule.decrement(rule.keys[k], j);
            }
        }
        Costs made = new Costs(width, all, caps);
        if (power < KEPT) kept.set(power, made);
        return made;
    }
}
