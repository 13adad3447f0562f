package oasisalloc;

/** Prices of a unit of a column by group; the column null is exposure, a constant 1. */
record Term(String column, PriceTable prices) {
    Term at(double[] price) {
        return new Term(column, prices.at(price));
    }

    Term times(double factor) {
        return new Term(column, prices.times(factor));
    }
}
