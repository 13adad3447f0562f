package oasisalloc;

/**
 * What a {@link DriftWatch} looks at, and when it raises an alarm.
 *
 * @param every one decision of so many is looked at
 * @param candidates how many candidates of it are counted, evenly spaced
 * @param start from which index an alarm begins; a share that is missing, or of unseen labels, counts ten times
 * @param end below which index it ends
 * @param rows values that a column or key needs before it is judged
 */
public record DriftOptions(int every, int candidates, double start, double end, long rows) {
    public static final DriftOptions DEFAULT = new DriftOptions(256, 64, 0.25, 0.1, 2000);

    public DriftOptions {
        if (every < 1) throw new InputException("every " + every + " decisions; expected 1 or more");
        if (candidates < 1) throw new InputException("candidates " + candidates + "; expected 1 or more");
        if (rows < 1) throw new InputException("rows " + rows + "; expected 1 or more");
        if (!(0.0 <= end && end < start && start < Double.POSITIVE_INFINITY))
            throw new InputException("start " + start + ", end " + end + "; expected 0 <= end < start");
    }

    public DriftOptions withSample(int everyDecision, int candidatesOfIt) {
        return new DriftOptions(everyDecision, candidatesOfIt, start, end, rows);
    }

    public DriftOptions withAlarms(double begin, double stop, long fewest) {
        return new DriftOptions(every, candidates, begin, stop, fewest);
    }
}
