package oasisalloc;

import java.util.function.DoubleSupplier;

/**
 * The options of a store.
 *
 * @param refresh seconds between two checks of the file; 0 for none, then only {@link PolicyStore#refresh()} checks
 * @param history how many earlier policies are kept for a roll-back, with the bytes of their files
 * @param clock UNIX seconds
 * @param name of the store in statistics; null for its path
 * @param trust whose signatures a manifest must have; null for any manifest, or a snapshot without one
 * @param watch what is told of decisions by {@link Decision#saw}; null for none
 */
public record StoreOptions(double refresh, Staleness staleness, int history, DoubleSupplier clock, String name,
        Trust trust, DriftWatch watch) {
    public static final StoreOptions DEFAULT = new StoreOptions(5.0, Staleness.DEFAULT, 3,
            () -> System.currentTimeMillis() * 1e-3, null, null, null);

    public StoreOptions {
        if (!(refresh >= 0.0 && refresh < staleness.holdAfter()))
            throw new InputException("refresh every " + refresh + " seconds; expected 0 or more, and less than the "
                    + staleness.holdAfter() + " seconds after which a policy is on hold");
        if (history < 0) throw new InputException("history " + history + "; expected 0 or more");
    }

    public StoreOptions withRefresh(double seconds) {
        return new StoreOptions(seconds, staleness, history, clock, name, trust, watch);
    }

    public StoreOptions withStaleness(Staleness other) {
        return new StoreOptions(refresh, other, history, clock, name, trust, watch);
    }

    public StoreOptions withHistory(int policies) {
        return new StoreOptions(refresh, staleness, policies, clock, name, trust, watch);
    }

    public StoreOptions withClock(DoubleSupplier seconds) {
        return new StoreOptions(refresh, staleness, history, seconds, name, trust, watch);
    }

    public StoreOptions withName(String other) {
        return new StoreOptions(refresh, staleness, history, clock, other, trust, watch);
    }

    public StoreOptions withTrust(Trust other) {
        return new StoreOptions(refresh, staleness, history, clock, name, other, watch);
    }

    public StoreOptions withWatch(DriftWatch other) {
        return new StoreOptions(refresh, staleness, history, clock, name, trust, other);
    }
}
