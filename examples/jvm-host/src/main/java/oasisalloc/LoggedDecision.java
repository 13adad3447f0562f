package oasisalloc;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a request was given and shown, for a {@link DecisionLog}; docs/decision-logs.md has the members. Begin with
 * {@link #of}, and add what there is. Arrays, lists and maps are copied when the decision is recorded.
 *
 * @param request the id of the request
 * @param policyId the policy that decided
 * @param organic the column by which the host ranks
 * @param ids ids of the candidates: strings, or whole numbers
 * @param columns the columns of the request
 * @param slate positions of the candidates that are shown, best first
 * @param mode the mode of the store's decision
 * @param user the user's id, of which a hash is logged; or null
 * @param labels the labels of the user by key
 * @param scores priced scores of all candidates, or null
 * @param propensities the probability of each item of the slate, or null
 * @param options the arguments of `select`; or null
 * @param excluded excluded positions, and why
 * @param time UNIX seconds
 */
public record LoggedDecision(String request, String policyId, String organic, List<?> ids,
        Map<String, double[]> columns, int[] slate, String mode, Object user, Map<String, ?> labels, double[] scores,
        double[] propensities, SlateOptions options, Map<Integer, String> excluded, double time) {

    /** A decision of a policy, now. */
    public static LoggedDecision of(String request, Policy policy, List<?> ids, Map<String, double[]> columns,
            int[] slate) {
        return new LoggedDecision(request, policy.id(), policy.organic(), ids, columns, slate, "fresh", null, Map.of(),
                null, null, null, Map.of(), System.currentTimeMillis() / 1e3);
    }

    public LoggedDecision withMode(String given) {
        return new LoggedDecision(request, policyId, organic, ids, columns, slate, given, user, labels, scores,
                propensities, options, excluded, time);
    }

    /** The user's id (null if it is not to be logged) and labels. */
    public LoggedDecision withUser(Object id, Map<String, ?> given) {
        return new LoggedDecision(request, policyId, organic, ids, columns, slate, mode, id, given, scores,
                propensities, options, excluded, time);
    }

    /** Priced scores, and the probability of each item of the slate; either may be null. */
    public LoggedDecision withNumbers(double[] ofCandidates, double[] ofSlate) {
        return new LoggedDecision(request, policyId, organic, ids, columns, slate, mode, user, labels, ofCandidates,
                ofSlate, options, excluded, time);
    }

    /** The options of `select`, and why positions were excluded. */
    public LoggedDecision withOptions(SlateOptions given, Map<Integer, String> reasons) {
        return new LoggedDecision(request, policyId, organic, ids, columns, slate, mode, user, labels, scores,
                propensities, given, reasons, time);
    }

    public LoggedDecision withTime(double unixSeconds) {
        return new LoggedDecision(request, policyId, organic, ids, columns, slate, mode, user, labels, scores,
                propensities, options, excluded, unixSeconds);
    }

    /** The same, with copies of what the caller may change. */
    LoggedDecision copied() {
        Map<String, double[]> numbers = new LinkedHashMap<>();
        columns.forEach((name, values) -> numbers.put(name, values.clone()));
        SlateOptions own = options == null ? null
                : new SlateOptions(options.k(), options.pinned().clone(), options.exclude(), options.fill());
        return new LoggedDecision(request, policyId, organic, new ArrayList<>(ids), numbers, slate.clone(), mode, user,
                new LinkedHashMap<>(labels), scores == null ? null : scores.clone(),
                propensities == null ? null : propensities.clone(), own, new LinkedHashMap<>(excluded), time);
    }

    /** A line of the log, with the names of the schema. */
    Map<String, Object> document(double rate, String userHash) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("request", request);
        out.put("time", time);
        out.put("policy_id", policyId);
        out.put("items", sameKind(ids));
        out.put("columns", columns);
        out.put("slate", slate);
        out.put("mode", mode);
        out.put("user", userHash);
        Map<String, Object> known = new LinkedHashMap<>(); // as policies know them: 0.1f is not 0.1
        labels.forEach((key, label) -> known.put(key, Label.logged(label)));
        out.put("labels", known);
        out.put("scores", scores);
        out.put("organic", organic);
        out.put("propensities", propensities);
        out.put("k", options == null ? null : options.k());
        out.put("pinned", options == null ? new int[0] : options.pinned());
        List<Object> reasons = new ArrayList<>();
        excluded.forEach((position, reason) -> reasons.add(List.of(position, reason)));
        out.put("excluded", reasons);
        out.put("rate", rate);
        return out;
    }

    /** Whole numbers, or texts: the ids of a decision are of one kind. */
    private static List<?> sameKind(List<?> ids) {
        List<Object> known = new ArrayList<>(ids.size());
        for (Object id : ids) {
            Object one = Label.logged(id);
            if (!(one instanceof Long || one instanceof String))
                throw new InputException("the id " + id + " cannot be logged; expected whole numbers of 64 bits, or texts");
            known.add(one);
        }
        return known.stream().allMatch(Label::isLong) ? known : known.stream().map(Object::toString).toList();
    }
}
