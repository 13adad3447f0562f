package oasisalloc;

import java.util.Arrays;

/**
 * The sum of doubles, rounded once: J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust
 * Geometric Predicates", 1997.
 */
final class ExactSum {
    private double[] parts = new double[8]; // they do not overlap, the smallest first
    private int n;

    static double of(double... numbers) {
        ExactSum sum = new ExactSum();
        for (double number : numbers) sum.add(number);
        return sum.rounded();
    }

    void add(double number) {
        int kept = 0;
        double x = number;
        for (int k = 0; k < n; k++) {
            double y = parts[k];
            double larger = Math.abs(x) < Math.abs(y) ? y : x, smaller = Math.abs(x) < Math.abs(y) ? x : y;
            double high = larger + smaller, low = smaller - (high - larger);
            if (low != 0.0) parts[kept++] = low;
            x = high;
        }
        if (kept == parts.length) parts = Arrays.copyOf(parts, 2 * kept);
        parts[kept++] = x;
        n = kept;
    }

    double rounded() {
        if (n == 0) return 0.0;
        int k = n - 1;
        double high = parts[k], low = 0.0;
        while (k > 0) {
            double x = high, y = parts[--k];
            high = x + y;
            low = y - (high - x);
            if (low != 0.0) break;
        }
        if (k > 0 && (low < 0.0 && parts[k - 1] < 0.0 || low > 0.0 && parts[k - 1] > 0.0)) { // half-way: round to even
            double y = 2.0 * low, x = high + y;
            if (y == x - high) high = x;
        }
        return high;
    }
}
