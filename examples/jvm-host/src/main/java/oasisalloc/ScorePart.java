package oasisalloc;

/**
 * One summand of a priced score.
 *
 * @param kind "column" or "constant" of the objective, "price" of a constraint for a group, or "rounding"
 * @param amount what it adds: below 0 for a price paid, above 0 for a bonus
 * @param column the column that is counted, null for exposure
 * @param group the label of the group, a list of several, null for none
 * @param use the amount that one showing of the candidate adds to the group's total
 */
public record ScorePart(String kind, String name, double amount, String column, Object group, double price,
        double use) {
    ScorePart of(double other) {
        return new ScorePart(kind, name, other, column, group, price, use);
    }
}
