package oasisalloc;

import java.util.Arrays;

/** What every candidate would have had to be worth at every step of a slate. */
final class PricePath {
    private final Asked asked;
    private final SlateRule rule;
    private final Categories categories;
    private final int last; // place of costs from which they no longer change
    private final int[] counts; // by category, after the whole slate
    private final double opened, bar;
    private final boolean isFull;
    final double[] threshold; // the score from which a candidate is picked
    final int[] rival; // which candidate would go, -1 for an empty slot
    final double[] decrement; // after the whole slate

    PricePath(Policy policy, Asked asked, Asked.Picked picked) {
        this.asked = asked;
        rule = policy.data().slate();
        categories = policy.categories();
        last = Math.max(asked.slots, 1) - 1;
        counts = new int[categories.count];
        int pins = asked.pinned.length, m = picked.size();
        isFull = m >= asked.slots;
        opened = opened(picked);
        bar = !isFull ? opened : asked.slots > 0 ? picked.marginal()[m - 1] : Double.POSITIVE_INFINITY;
        threshold = new double[asked.n];
        rival = new int[asked.n];
        Arrays.fill(threshold, Double.POSITIVE_INFINITY);
        Arrays.fill(rival, m > pins ? picked.positions()[pins] : -1);
        for (int step = 0; step < m; step++) {
            for (int i = 0; step >= pins && i < asked.n; i++)
                look(i, picked.marginal()[step] + cost(i), picked.positions()[step]);
            count(picked.positions()[step], counts);
        }
        decrement = new double[asked.n];
        for (int i = 0; i < asked.n; i++) {
            double cost = cost(i);
            // a cap excludes items, also where all slots are filled
            if (!isFull) look(i, (Double.isInfinite(cost) ? cost : opened) + cost, -1);
            for (int e = first(i); e < end(i); e++) decrement[i] += soft(e);
        }
    }

    private void look(int i, double needed, int position) {
        if (needed < threshold[i]) {
            threshold[i] = needed;
            rival[i] = position;
        }
    }

    private int first(int i) {
        return categories.start[asked.classes[i]];
    }

    private int end(int i) {
        return categories.start[asked.classes[i] + 1];
    }

    private String key(int entry) {
        return rule.keys[categories.system[categories.category[entry]]];
    }

    private double soft(int entry) {
        return rule.decrement(key(entry), Math.min(counts[categories.category[entry]], last));
    }

    private boolean isCapped(int entry) {
        return Double.isInfinite(rule.cap(key(entry), Math.min(counts[categories.category[entry]], last)));
    }

    /** The cost of a candidate's categories at the present counts, summed in order. */
    private double cost(int i) {
        double cost = 0.0;
        for (int e = first(i); e < end(i); e++) cost = cost + cost(e, counts[categories.category[e]]);
        return cost;
    }

    private double cost(int entry, int count) {
        int j = Math.min(count, last);
        return rule.cap(key(entry), j) + rule.decrement(key(entry), j);
    }

    private void count(int position, int[] by) {
        for (int e = first(position); e < end(position); e++) by[categories.category[e]]++;
    }

    /** The score that would fill an empty slot. */
    private double opened(Asked.Picked picked) {
        return picked.size() < asked.minSize ? Double.NEGATIVE_INFINITY : asked.floor;
    }

    /** Score from which candidate i is picked, if `other` is the slate without it. */
    double without(int i, Asked.Picked other) {
        int[] by = new int[categories.count];
        double least = Double.POSITIVE_INFINITY;
        for (int step = 0; step <= other.size(); step++) {
            double cost = 0.0;
            for (int e = first(i); e < end(i); e++) cost = cost + cost(e, by[categories.category[e]]);
            boolean isSlot = step < other.size();
            if (!isSlot && step >= asked.slots) break;
            double needed = isSlot ? other.marginal()[step] + cost
                    : Double.isInfinite(cost) ? cost : opened(other) + cost;
            if (step >= asked.pinned.length) least = Math.min(least, needed);
            if (isSlot) count(other.positions()[step], by);
        }
        return least;
    }

    /** Why candidate i was not picked. */
    String rule(int i, double score) {
        if (score <= bar) return isFull ? "score" : "worth";
        double sum = 0.0, most = Double.NEGATIVE_INFINITY;
        int largest = -1, full = -1;
        for (int e = first(i); e < end(i); e++) {
            sum += soft(e);
            if (soft(e) > most) {
                most = soft(e);
                largest = e;
            }
            if (full < 0 && isCapped(e)) full = e;
        }
        if (largest >= 0 && score - sum <= bar) return "diminishing " + key(largest);
        return full >= 0 ? "at_most " + key(full) : "score";
    }
}
