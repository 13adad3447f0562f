package oasisalloc;

/** A user as a policy knows them; belongs to the policy that made it, and serves any number of requests. */
public final class User {
    final Object owner;
    final int[] codes;
    final int size, atLeast;
    final double[][] prices; // of exposure and of columns that have prices, by class of items

    User(Object owner, int[] codes, int size, int atLeast, double[][] prices) {
        this.owner = owner;
        this.codes = codes;
        this.size = size;
        this.atLeast = atLeast;
        this.prices = prices;
    }

    /** Slots of the user's slate. */
    public int size() {
        return size;
    }
}
