package oasisalloc;

/** The best few by score, where no rule says more. */
final class TopK {
    private TopK() {}

    /**
     * Writes the positions of the best k, best first; those not above `floor` only up to `minSize`. Equal scores go by
     * rank, then position. Scores of minus infinity and NaN are never taken. Returns how many there are.
     */
    static int pick(int n, double[] scores, int[] rank, int k, int minSize, double floor, int[] out) {
        if (k <= 0) return 0;
        int m = 0;
        double cut = minSize > 0 ? Double.NEGATIVE_INFINITY : floor;
        for (int i = 0; i < n; i++) {
            double s = scores[i];
            if (!(s >= cut) || !(s > floor || (minSize > 0 && s > Double.NEGATIVE_INFINITY))) continue;
            if (m == k && !isBefore(s, rank[i], out[k - 1], scores, rank)) continue;
            int j = m == k ? k - 1 : m++;
            for (; j > 0 && isBefore(s, rank[i], out[j - 1], scores, rank); j--) out[j] = out[j - 1];
            out[j] = i;
            if (m == k) cut = Math.max(scores[out[k - 1]], cut);
        }
        while (m > minSize && !(scores[out[m - 1]] > floor)) m--;
        return m;
    }

    private static boolean isBefore(double s, int mine, int other, double[] scores, int[] rank) {
        double t = scores[other];
        return s > t || (s == t && mine < rank[other]);
    }
}
