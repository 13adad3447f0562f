package oasisalloc;

import java.util.List;

/**
 * One candidate: its score and its parts, its place, and the margin of the decision. The members are those of
 * `oa.Reason` in the library, with the same numbers to the last bit.
 *
 * @param item the id of the item, its number if there are no ids, null for one that was never seen
 * @param parts summands whose exact sum is the score
 * @param decrement what similar candidates before it take off
 * @param rank place in the slate from 0, null if it is not shown
 * @param rule why it is not shown, such as "score", "worth", "at_most KEY"; "" if nothing but its score decides
 * @param threshold the score from which it is shown; NaN if the share of `keep`, or a pin, decides
 * @param margin the score minus the threshold, below 0 for a candidate that is not shown
 * @param rival position of the runner-up, null for an empty slot
 */
public record Reason(int position, Object item, double organic, double score, List<ScorePart> parts, double decrement,
        double marginal, Integer rank, String rule, double threshold, double margin, Integer rival, Object rivalItem,
        List<Change> changes) {
    /** The decision in words. */
    public String sentence() {
        return Sentences.of(this);
    }
}
