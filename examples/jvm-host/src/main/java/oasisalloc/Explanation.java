package oasisalloc;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Why a slate was chosen: one reason per candidate, in the order of the request.
 *
 * @param organic the column that the host ranks by
 */
public record Explanation(List<Reason> reasons, String policyId, String organic) {
    /** The reasons of candidates that are shown, best first. */
    public List<Reason> slate() {
        return reasons.stream().filter(reason -> reason.rank() != null).sorted(Comparator.comparing(Reason::rank))
                .toList();
    }

    /** The document of `Explanation.to_dict()` in the library (docs/json.md). */
    public String toJson() {
        List<Object> all = new ArrayList<>();
        for (Reason reason : reasons) all.add(members(reason));
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("format", "oasis_alloc.explanation");
        out.put("schema", 1);
        out.put("policy_id", policyId);
        out.put("organic", organic);
        out.put("reasons", all);
        return JsonText.of(out);
    }

    private static Map<String, Object> members(Reason reason) {
        List<Object> parts = new ArrayList<>(), changes = new ArrayList<>();
        for (ScorePart part : reason.parts()) {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("kind", part.kind());
            one.put("name", part.name());
            one.put("amount", part.amount());
            one.put("column", part.column());
            one.put("group", part.group());
            one.put("price", part.price());
            one.put("use", part.use());
            parts.add(one);
        }
        for (Change change : reason.changes()) {
            Map<String, Object> one = new LinkedHashMap<>();
            one.put("kind", change.kind());
            one.put("name", change.name());
            one.put("group", change.group());
            one.put("now", change.now());
            one.put("to", change.to());
            changes.add(one);
        }
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("position", reason.position());
        out.put("item", reason.item());
        out.put("organic", reason.organic());
        out.put("score", reason.score());
        out.put("parts", parts);
        out.put("decrement", reason.decrement());
        out.put("marginal", reason.marginal());
        out.put("rank", reason.rank());
        out.put("rule", reason.rule());
        out.put("threshold", reason.threshold());
        out.put("margin", reason.margin());
        out.put("rival", reason.rival());
        out.put("rival_item", reason.rivalItem());
        out.put("changes", changes);
        out.put("sentence", reason.sentence());
        return out;
    }
}
