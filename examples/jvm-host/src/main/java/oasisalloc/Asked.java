package oasisalloc;

import java.util.Arrays;

/** A checked request for a slate, whose slates with one candidate more excluded are asked for again and again. */
final class Asked {
    /** A slate, best first, and what each candidate added when it was taken. */
    record Picked(int[] positions, double[] marginal) {
        int size() {
            return positions.length;
        }
    }

    final int n, slots, minSize;
    final double floor;
    final int[] pinned, exclude, classes;
    final double[] scores;
    final Workspace w;
    private final double[] masked;

    Asked(Workspace w, int n, User user, SlateOptions options) {
        this.w = w;
        this.n = n;
        slots = Math.min(options.k() == null ? user.size : options.k(), n);
        minSize = Math.min(user.atLeast, slots);
        floor = options.fill() ? Double.NEGATIVE_INFINITY : 0.0;
        pinned = options.pinned();
        exclude = options.exclude();
        scores = Arrays.copyOf(w.scores, n);
        classes = w.classes;
        masked = scores.clone();
        for (int position : exclude) masked[position] = Double.NEGATIVE_INFINITY;
    }

    /** The slate without the share that is kept, and without one candidate; -1 for none. */
    Picked free(int without) {
        double[] of = masked;
        if (without >= 0) {
            of = masked.clone();
            of[without] = Double.NEGATIVE_INFINITY;
        }
        return picked(greedy(of));
    }

    /** Writes the slate of other scores to the workspace; returns its length. */
    int greedy(double[] of) {
        System.arraycopy(pinned, 0, w.positions, 0, pinned.length);
        return Greedy.pick(w, n, of, w.costs.all(), pinned.length, slots, minSize, floor, w.positions);
    }

    /** The slate of m candidates in the workspace. */
    Picked picked(int m) {
        return new Picked(Arrays.copyOf(w.positions, m), Arrays.copyOf(w.marginal, m));
    }

    /** Scores, minus infinity for excluded candidates. */
    double[] masked() {
        return masked;
    }
}
