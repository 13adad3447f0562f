package oasisalloc;

/**
 * A slate under caps and decrements: the candidate with the largest marginal score first, ties by rank, then position.
 *
 * <p>Counts only grow while a slate is filled, so a marginal at earlier counts is an upper bound of the present one. A
 * heap of these bounds has the next candidate on top as soon as its bound still holds: most candidates are never looked
 * at again. Nothing here makes an object.
 */
final class Greedy {
    private Greedy() {}

    /** What a candidate of a class adds at the present counts. */
    static double marginal(Workspace w, double s, int class_, double[] costs) {
        Categories of = w.policy.categories();
        int[] category = of.category, system = of.system, counts = w.counts;
        int width = w.costs.width(), end = of.start[class_ + 1];
        for (int e = of.start[class_]; e < end; e++) {
            int one = category[e];
            s = s - costs[system[one] * width + Math.min(counts[one], width - 1)];
        }
        return s;
    }

    static void count(Workspace w, int class_, int change) {
        Categories of = w.policy.categories();
        int end = of.start[class_ + 1];
        for (int e = of.start[class_]; e < end; e++) w.counts[of.category[e]] += change;
    }

    static void count(Workspace w, int[] slate, int m, int change) {
        for (int j = 0; j < m; j++) count(w, w.classes[slate[j]], change);
    }

    /** Fills a slate behind its pinned positions; returns how many it has. `marginal` gets what each one added. */
    static int pick(Workspace w, int n, double[] scores, double[] costs, int pinned, int k, int minSize, double floor,
            int[] out) {
        int[] classes = w.classes, heap = w.heap, rank = w.rank;
        double[] bound = w.bound, marginal = w.marginal;
        for (int j = 0; j < pinned; j++) {
            marginal[j] = marginal(w, scores[out[j]], classes[out[j]], costs);
            count(w, classes[out[j]], 1);
        }
        int size = heapOf(n, scores, minSize > pinned, floor, pinned, out, heap, bound);
        for (int at = size / 2 - 1; at >= 0; at--) sink(at, size, heap, bound, rank);
        int m = pinned;
        while (m < k && size > 0) {
            int i = heap[0];
            double now = bound[i] == Double.NEGATIVE_INFINITY
                    ? bound[i] : marginal(w, scores[i], classes[i], costs);
            if (now == Double.NEGATIVE_INFINITY || now == bound[i]) {
                if (now > floor || (m < minSize && now > Double.NEGATIVE_INFINITY)) {
                    out[m] = i;
                    marginal[m++] = now;
                    count(w, classes[i], 1);
                } else if (now > Double.NEGATIVE_INFINITY) {
                    break;
                }
                heap[0] = heap[--size];
            } else {
                bound[i] = now;
            }
            if (size > 0) sink(0, size, heap, bound, rank);
        }
        count(w, out, m, -1);
        return m;
    }

    /** Writes the candidates that may be taken, and their first bounds; returns how many there are. */
    private static int heapOf(int n, double[] scores, boolean takesAny, double floor, int pinned, int[] out, int[] heap,
            double[] bound) {
        int size = 0;
        for (int i = 0; i < n; i++) {
            bound[i] = scores[i];
            if (scores[i] > floor || (takesAny && scores[i] > Double.NEGATIVE_INFINITY)) heap[size++] = i;
        }
        for (int j = 0; j < pinned; j++) bound[out[j]] = Double.NEGATIVE_INFINITY; // they are in once
        return size;
    }

    /** Restores the heap below an entry whose bound has fallen. */
    private static void sink(int at, int size, int[] heap, double[] bound, int[] rank) {
        int moved = heap[at];
        for (int child = 2 * at + 1; child < size; child = 2 * at + 1) {
            if (child + 1 < size && isBefore(heap[child + 1], heap[child], bound, rank)) child++;
            if (!isBefore(heap[child], moved, bound, rank)) break;
            heap[at] = heap[child];
            at = child;
        }
        heap[at] = moved;
    }

    private static boolean isBefore(int a, int b, double[] bound, int[] rank) {
        if (bound[a] != bound[b]) return bound[a] > bound[b];
        return rank[a] < rank[b] || (rank[a] == rank[b] && a < b);
    }
}
