package oasisalloc;

/**
 * The options of one slate. Positions are of the request's candidates; arrays are not copied.
 *
 * @param k slots, at least 0; null for the user's own size
 * @param pinned distinct positions that come first, in this order, and count for caps
 * @param exclude distinct positions that are not shown
 * @param fill true to fill all slots that the caps allow, also by candidates that are worth nothing
 */
public record SlateOptions(Integer k, int[] pinned, int[] exclude, boolean fill) {
    private static final int[] NO_POSITIONS = {};

    /** As many slots as the user has, nothing pinned and nothing excluded. */
    public static final SlateOptions DEFAULT = new SlateOptions(null, NO_POSITIONS, NO_POSITIONS, false);

    public static SlateOptions ofSize(int k) {
        return new SlateOptions(k, NO_POSITIONS, NO_POSITIONS, false);
    }
}
