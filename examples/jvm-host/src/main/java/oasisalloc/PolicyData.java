package oasisalloc;

import java.util.List;
import java.util.Map;
import java.util.Set;

/** What a snapshot says, checked; arrays are shared between a policy and the same at other prices. */
record PolicyData(
        String id,
        double created, // UNIX seconds
        Double validUntil, // UNIX seconds; null for no end
        List<String> columns, // those that scores read first
        List<String> weighed, // columns of the objective; null is a constant 1
        double[] weights,
        String organic,
        List<Term> terms,
        List<Constraint> constraints,
        int nItems,
        Labels ids, // null where the numbers are the ids
        int[] rank, // null where it is the item's number
        Map<String, ItemKey> itemKeys,
        Map<String, Labels> userKeys,
        Set<String> known, // all keys that users of the problem had
        int[] segments, // rows of codes, one per key of users
        int[] segmentOfUser, // null where users are not known by number
        SlateRule slate,
        List<Calibration> calibration) {

    /** The same at other prices. */
    PolicyData at(String name, List<Term> others, List<Constraint> ofConstraints) {
        return new PolicyData(name, created, validUntil, columns, weighed, weights, organic, others, ofConstraints,
                nItems, ids, rank, itemKeys, userKeys, known, segments, segmentOfUser, slate, calibration);
    }

    /** The same with another objective. */
    PolicyData weighing(List<String> named, double[] others) {
        return new PolicyData(id, created, validUntil, columns, named, others, organic, terms, constraints,
                nItems, ids, rank, itemKeys, userKeys, known, segments, segmentOfUser, slate, calibration);
    }

    /** The same with columns as requests bring them. */
    PolicyData uncalibrated() {
        return new PolicyData(id, created, validUntil, columns, weighed, weights, organic, terms, constraints,
                nItems, ids, rank, itemKeys, userKeys, known, segments, segmentOfUser, slate, List.of());
    }

    /** The label of a group: that of a single key, a list of several, null of none. */
    Object label(String[] keys, int[] group) {
        Object[] labels = new Object[keys.length];
        for (int j = 0; j < keys.length; j++) {
            ItemKey ofItems = itemKeys.get(keys[j]);
            labels[j] = (ofItems == null ? userKeys.get(keys[j]) : ofItems.labels).get(group[j]);
        }
        return labels.length == 0 ? null : labels.length == 1 ? labels[0] : List.of(labels);
    }
}
