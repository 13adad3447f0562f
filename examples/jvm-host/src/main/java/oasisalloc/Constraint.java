package oasisalloc;

/** Prices of a constraint by group, and its terms, for explanations; scores do not read them. */
record Constraint(String name, PriceTable prices, int[] terms, double[] coefficients) {
    Constraint at(double[] price) {
        return new Constraint(name, prices.at(price), terms, coefficients);
    }

    Constraint times(double factor) {
        return new Constraint(name, prices.times(factor), terms, coefficients);
    }
}
