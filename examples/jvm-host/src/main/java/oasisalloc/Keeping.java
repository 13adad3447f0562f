package oasisalloc;

/**
 * A slate that keeps a share of a column: a price on the column between two slates, then exchanges of candidates, as
 * docs/snapshot.md says it to the bit ("A slate that keeps a share").
 */
final class Keeping {
    private static final int ROUNDS = 50;
    private static final double ROUNDING = 1e-9, GAIN = 1e-12;

    private final Workspace w;
    private int n, pinned, k, minSize; // of the current request
    private double[] scores, column, costs;
    private double floor;

    // The best exchange that was found: the candidate `take` comes to the place `drop`; without one, the last does.
    private int drop, take;
    private double gain;

    Keeping(Workspace w) {
        this.w = w;
    }

    /** Writes the slate of the first candidates; returns its length. */
    int pick(int candidates, double[] of, int inAnyCase, int slots, int least, double above, double share) {
        n = candidates;
        scores = of;
        pinned = inAnyCase;
        k = slots;
        minSize = least;
        floor = above;
        column = w.kept;
        costs = w.costs.all();
        return pick(share);
    }

    private int pick(double share) {
        int[] out = w.positions, low = w.low, high = w.high;
        for (int j = 0; j < pinned; j++) low[j] = high[j] = w.mid[j] = out[j];
        int ofHigh = Greedy.pick(w, n, column, w.costs.caps(), pinned, k, minSize, 0.0, high);
        double keptHigh = sum(high, ofHigh);
        double target = keptHigh - (1.0 - share) * Math.abs(keptHigh);
        target = target - ROUNDING * Math.abs(target);
        int ofLow = greedy(scores, out);
        double keptLow = sum(out, ofLow);
        if (keptLow >= target) return ofLow;
        System.arraycopy(out, 0, low, 0, ofLow);
        if (floor < 0.0) { // all slots are to be filled, where the target lets them be
            System.arraycopy(high, 0, w.mid, 0, ofHigh);
            int ofMid = Greedy.pick(w, n, column, w.costs.caps(), ofHigh, k, minSize, floor, w.mid);
            if (sum(w.mid, ofMid) >= target) {
                System.arraycopy(w.mid, 0, high, 0, ofMid);
                ofHigh = ofMid;
                keptHigh = sum(high, ofHigh);
            }
        }
        return between(target, low, ofLow, keptLow, high, ofHigh, keptHigh);
    }

    /** Slates at prices between those of `low`, which misses the target, and of `high`, which reaches it. */
    private int between(double target, int[] low, int ofLow, double keptLow, int[] high, int ofHigh, double keptHigh) {
        int[] mid = w.mid;
        double worthLow = worth(low, ofLow), worthHigh = worth(high, ofHigh);
        for (int round = 0; round < ROUNDS; round++) {
            tilt((worthLow - worthHigh) / (keptHigh - keptLow));
            int ofMid = greedy(w.tilted, mid);
            double kept = sum(mid, ofMid), worth = worth(mid, ofMid);
            int[] other = mid;
            if (kept >= target) {
                if (kept >= keptHigh && worth <= worthHigh) break;
                mid = high;
                high = other;
                ofHigh = ofMid;
                keptHigh = kept;
                worthHigh = worth;
            } else {
                if (!(kept > keptLow)) break;
                mid = low;
                low = other;
                ofLow = ofMid;
                keptLow = kept;
                worthLow = worth;
            }
        }
        ofHigh = improve(high, ofHigh, target, false);
        ofLow = improve(low, ofLow, target, true);
        boolean isLow = ofLow >= 0 && worth(low, ofLow) > worth(high, ofHigh);
        return inOrder(isLow ? low : high, isLow ? ofLow : ofHigh);
    }

    /** The same slate in greedy's order. */
    private int inOrder(int[] chosen, int m) {
        for (int i = 0; i < n; i++) w.tilted[i] = Double.NEGATIVE_INFINITY;
        for (int j = 0; j < m; j++) w.tilted[chosen[j]] = scores[chosen[j]];
        return Greedy.pick(w, n, w.tilted, costs, pinned, m, m, floor, w.positions);
    }

    private int greedy(double[] of, int[] out) {
        return Greedy.pick(w, n, of, costs, pinned, k, minSize, floor, out);
    }

    private void tilt(double nu) {
        double[] tilted = w.tilted;
        for (int i = 0; i < n; i++)
            tilted[i] = scores[i] > Double.NEGATIVE_INFINITY ? scores[i] + nu * column[i] : scores[i];
    }

    /** R of the specification. */
    private double sum(int[] slate, int m) {
        double total = 0.0;
        for (int j = 0; j < m; j++) total = total + column[slate[j]];
        return total;
    }

    /** W of the specification. */
    private double worth(int[] slate, int m) {
        double total = 0.0;
        for (int j = 0; j < m; j++) {
            int class_ = w.classes[slate[j]];
            total = total + Greedy.marginal(w, scores[slate[j]], class_, costs);
            Greedy.count(w, class_, 1);
        }
        Greedy.count(w, slate, m, -1);
        return total;
    }

    /** Exchanges, adds and drops single candidates while that gains; -1 where no exchange repairs the slate. */
    private int improve(int[] slate, int m, double target, boolean repair) {
        boolean[] inside = w.inside;
        java.util.Arrays.fill(inside, 0, n, false);
        for (int j = 0; j < m; j++) inside[slate[j]] = true;
        Greedy.count(w, slate, m, 1);
        for (int round = 0; round < 2 * Math.min(k, n) + 1; round++) {
            gain = repair ? Double.NEGATIVE_INFINITY : GAIN;
            drop = take = -1;
            double kept = sum(slate, m);
            for (int j = pinned; j < Math.min(m + 1, k); j++) look(slate, m, j, kept, target, repair);
            if (drop < 0) break;
            if (drop < m) {
                inside[slate[drop]] = false;
                Greedy.count(w, w.classes[slate[drop]], -1);
            }
            if (take >= 0) {
                inside[take] = true;
                Greedy.count(w, w.classes[take], 1);
                slate[drop] = take;
                m = Math.max(m, drop + 1);
            } else {
                slate[drop] = slate[--m];
            }
            repair = false;
        }
        Greedy.count(w, slate, m, -1);
        return repair ? -1 : m;
    }

    /** Looks for the best exchange at a place of the slate, or behind its last. */
    private void look(int[] slate, int m, int j, double kept, double target, boolean repair) {
        double base = 0.0, rest = kept;
        if (j < m) {
            int class_ = w.classes[slate[j]];
            Greedy.count(w, class_, -1);
            base = Greedy.marginal(w, scores[slate[j]], class_, costs);
            rest = kept - column[slate[j]];
            if (m > minSize && !repair && rest >= target && floor - base > gain) {
                gain = floor - base;
                drop = j;
                take = -1;
            }
        }
        double best = gain;
        for (int b = 0; b < n; b++) {
            // Costs only take off: what does not gain without them does not gain.
            if (!(scores[b] - base > best && rest + column[b] >= target) || w.inside[b]) continue;
            double more = Greedy.marginal(w, scores[b], w.classes[b], costs) - base;
            if (more > best) {
                best = more;
                drop = j;
                take = b;
            }
        }
        gain = best;
        if (j < m) Greedy.count(w, w.classes[slate[j]], 1);
    }
}
