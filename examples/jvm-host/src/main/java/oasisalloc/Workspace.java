package oasisalloc;

import java.util.Arrays;

/** What one thread needs for a slate, made once: candidates with their classes, ranks and scores, and scratch. */
final class Workspace {
    final Policy policy;
    final int capacity; // candidates
    final int[] classes, rank;
    final double[] scores;
    final double[] masked; // scores, minus infinity for excluded candidates
    final double[] kept; // the column of which a share is kept, masked
    final double[] tilted, bound;
    final int[] heap;
    final boolean[] inside;
    final int[] counts; // by category; all zero between slates
    final double[][] columns; // of the current request
    final double[][] mapped; // calibrated columns
    int[] positions = {}, low = {}, high = {}, mid = {};
    double[] marginal = {};
    Categories.Costs costs;
    private final int[] seen, seenIn; // items of the current request, by open addressing, and in which request
    private int request;
    private final Keeping keeping = new Keeping(this);

    Workspace(Policy policy, int capacity) {
        this.policy = policy;
        this.capacity = capacity;
        boolean isPlain = policy.isPlain(), keeps = policy.data().slate().keep != null;
        classes = new int[capacity];
        rank = new int[capacity];
        scores = new double[capacity];
        masked = new double[capacity];
        bound = new double[capacity];
        heap = new int[capacity];
        kept = new double[keeps ? capacity : 0];
        tilted = new double[keeps ? capacity : 0];
        inside = new boolean[keeps ? capacity : 0];
        counts = new int[isPlain ? 0 : policy.categories().count];
        columns = new double[policy.columns().size()][];
        boolean maps = !policy.data().calibration().isEmpty();
        mapped = new double[columns.length][maps ? capacity : 0];
        int places = Integer.highestOneBit(Math.max(capacity, 1)) << 2;
        seen = new int[places];
        seenIn = new int[places];
    }

    /** Makes room for a slate of so many slots. */
    void reserve(int slots) {
        if (costs == null || costs.width() < slots) costs = policy.categories().costs(slots);
        if (positions.length >= Math.max(slots, 1)) return;
        int room = Math.max(8, Integer.highestOneBit(slots) << 1);
        positions = new int[room];
        low = new int[room];
        high = new int[room];
        mid = new int[room];
        marginal = new double[room];
    }

    /** The first position of an item that an earlier one of the request has, -1 where all known items are distinct. */
    int repeated(int n, int[] items) {
        if (++request == 0) { // after 2^32 requests
            Arrays.fill(seenIn, 0);
            request = 1;
        }
        int mask = seen.length - 1;
        for (int i = 0; i < n; i++) {
            int item = items[i];
            if (item < 0) continue;
            int at = (item * 0x9E3779B9 >>> 7) & mask;
            while (seenIn[at] == request) {
                if (seen[at] == item) return i;
                at = (at + 1) & mask;
            }
            seen[at] = item;
            seenIn[at] = request;
        }
        return -1;
    }

    /** Takes a slate of the first n candidates, whose pinned positions are there; returns its length. */
    int fill(int n, double[] of, int pinned, int slots, int minSize, double floor) {
        if (policy.isPlain() && pinned == 0) return TopK.pick(n, of, rank, slots, minSize, floor, positions);
        if (policy.data().slate().keep == null)
            return Greedy.pick(this, n, of, costs.all(), pinned, slots, minSize, floor, positions);
        return keeping.pick(n, of, pinned, slots, minSize, floor, policy.data().slate().share);
    }
}
