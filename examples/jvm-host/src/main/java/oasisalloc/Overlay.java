package oasisalloc;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The prices by which a policy differs between two solves: docs/snapshot.md, "An overlay". */
record Overlay(String policyId, double created, long sequence, List<Object> terms, List<Object> constraints) {
    private static final String FORMAT = "oasis_alloc.overlay";
    private static final int SCHEMA = 1;

    /** Reads a document; SnapshotException for anything else. */
    static Overlay parse(String text) throws SnapshotException {
        try {
            return of(Json.parse(text));
        } catch (RuntimeException error) {
            throw Refusal.of(error, "overlay");
        }
    }

    static Overlay of(Object document) {
        if (!(document instanceof Map)) throw new Refusal("not a snapshot", "the overlay is not an object");
        Map<String, Object> of = Json.object(document);
        Refusal.unless(FORMAT.equals(of.get("format")), "not a snapshot", "overlay: format is not " + FORMAT);
        Refusal.unless(Json.whole(of.get("schema")) >= 1, "overlay: schema");
        Refusal.unless(Json.whole(of.get("schema")) <= SCHEMA, "newer schema", "of the overlay");
        double created = Json.number(of.get("created"));
        String policyId = (String) of.get("policy_id");
        Refusal.unless(Double.isFinite(created) && policyId != null, "overlay: created, policy_id");
        return new Overlay(policyId, created, (Long) of.get("sequence"),
                Json.list(of.getOrDefault("terms", List.of())), Json.list(of.getOrDefault("constraints", List.of())));
    }

    /** A policy's data at these prices; SnapshotException where it is another policy, or has no such group. */
    PolicyData on(PolicyData data) throws SnapshotException {
        if (!data.id().equals(policyId))
            throw new SnapshotException("another policy", "the overlay is for " + policyId + ", this is " + data.id());
        try {
            List<PriceTable> ofTerms = new ArrayList<>(), ofConstraints = new ArrayList<>();
            for (Term term : data.terms()) ofTerms.add(term.prices());
            for (Constraint constraint : data.constraints()) ofConstraints.add(constraint.prices());
            List<double[]> prices = replaced("terms", ofTerms, terms);
            List<double[]> paid = replaced("constraints", ofConstraints, constraints);
            List<Term> newTerms = new ArrayList<>();
            for (Term term : data.terms()) newTerms.add(term.at(prices.get(newTerms.size())));
            List<Constraint> newConstraints = new ArrayList<>();
            for (Constraint one : data.constraints()) newConstraints.add(one.at(paid.get(newConstraints.size())));
            return data.at(data.id() + "+" + sequence, newTerms, newConstraints);
        } catch (RuntimeException error) {
            throw Refusal.of(error, "overlay");
        }
    }

    private static List<double[]> replaced(String what, List<PriceTable> tables, List<Object> entries) {
        List<double[]> out = new ArrayList<>();
        for (PriceTable table : tables) out.add(table.price().clone());
        for (Object each : entries) {
            List<Object> entry = Json.list(each);
            Refusal.unless(entry.size() == 3, "overlay: an entry of " + what + " is not [number, row, price]");
            int number = Json.whole(entry.get(0)), row = Json.whole(entry.get(1));
            double price = Json.number(entry.get(2));
            Refusal.unless(Double.isFinite(price), "not finite", "overlay: a price of " + what + " is " + price);
            boolean fits = number >= 0 && number < out.size() && row >= 0 && row < out.get(number).length;
            Refusal.unless(fits, "shape", "the overlay has a price for row " + row + " of number " + number + " of "
                    + what + ", which the policy does not have");
            out.get(number)[row] = price;
        }
        return out;
    }
}
