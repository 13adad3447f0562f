package oasisalloc;

/** The level of staleness at some age: the mode, the factor of the prices, and the ages between which they hold. */
record Rung(String mode, double factor, double since, double until) {
    static final String FRESH = "fresh", HOLD = "hold", DECAY = "decay", ORGANIC = "organic";
    static final java.util.List<String> MODES = java.util.List.of(FRESH, HOLD, DECAY, ORGANIC);
}
