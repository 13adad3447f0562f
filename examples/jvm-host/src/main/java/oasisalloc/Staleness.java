package oasisalloc;

/**
 * How a policy is served as it ages, in seconds since its prices were made: unchanged, on hold (unchanged, and
 * reported), decaying in equal steps, and at last only the organic column.
 *
 * @param steps of the decay: step j = 1 .. steps multiplies every price by 1 - j / (steps + 1)
 */
public record Staleness(double holdAfter, double decayAfter, double organicAfter, int steps) {
    private static final int MAX_STEPS = 10_000; // each makes a policy

    public static final Staleness DEFAULT = new Staleness(7200.0, 21600.0, 86400.0, 8);

    public Staleness {
        boolean rises = 0.0 < holdAfter && holdAfter < decayAfter && decayAfter < organicAfter
                && organicAfter < Double.POSITIVE_INFINITY;
        if (!rises)
            throw new InputException("staleness: hold after " + holdAfter + ", decay after " + decayAfter
                    + ", organic after " + organicAfter + " seconds; expected finite ages above 0 that increase");
        if (steps < 1 || steps > MAX_STEPS)
            throw new InputException("staleness: " + steps + " steps; expected 1 to " + MAX_STEPS);
    }

    /** The level at an age in seconds; an age below 0 (a slow clock) is fresh. */
    Rung rung(double age) {
        if (age < holdAfter) return new Rung(Rung.FRESH, 1.0, Double.NEGATIVE_INFINITY, holdAfter);
        if (age < decayAfter) return new Rung(Rung.HOLD, 1.0, holdAfter, decayAfter);
        if (!(age < organicAfter)) return new Rung(Rung.ORGANIC, 0.0, organicAfter, Double.POSITIVE_INFINITY);
        int step = 0;
        while (!(age < end(step))) step++;
        double since = step == 0 ? decayAfter : end(step - 1);
        return new Rung(Rung.DECAY, 1.0 - (step + 1.0) / (steps + 1), since, end(step));
    }

    /** The age at which a step of the decay ends. */
    private double end(int step) {
        return step == steps - 1 ? organicAfter : decayAfter + (step + 1) * ((organicAfter - decayAfter) / steps);
    }

    /** The policy at a level. */
    static Policy on(Rung rung, Policy policy) {
        if (rung.mode().equals(Rung.ORGANIC)) return policy.at(organicOnly(policy.data()));
        return rung.mode().equals(Rung.DECAY) ? policy.at(decayed(policy.data(), rung.factor())) : policy;
    }

    private static PolicyData decayed(PolicyData data, double factor) {
        return data.at(data.id() + "~" + threeDigits(factor),
                data.terms().stream().map(term -> term.times(factor)).toList(),
                data.constraints().stream().map(one -> one.times(factor)).toList());
    }

    /** Rounded to even at ties, as Python does it, so that both hosts give a policy one id. */
    private static String threeDigits(double factor) {
        return new java.math.BigDecimal(factor).setScale(3, java.math.RoundingMode.HALF_EVEN).toPlainString();
    }

    /** Only the organic column counts; other columns of the objective stay, at weight 0, so that requests still fit. */
    private static PolicyData organicOnly(PolicyData data) {
        java.util.List<String> named = new java.util.ArrayList<>();
        named.add(data.organic());
        for (String column : data.weighed())
            if (column != null && !named.contains(column)) named.add(column);
        double[] weights = new double[named.size()];
        weights[0] = 1.0;
        PolicyData without = decayed(data, 0.0);
        return without.at(data.id() + "~organic", without.terms(), without.constraints()).weighing(named, weights)
                .uncalibrated();
    }
}
