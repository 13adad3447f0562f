package oasisalloc;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** Reads the document and the arrays of a snapshot, and checks everything that requests rely on. */
final class PolicyReader {
    private static final Set<String> CERTIFICATE =
            Set.of("status", "value", "bound", "gap", "violation", "passes", "solver");
    private static final int MAX_BARE_ITEMS = 1 << 25; // items without ids and keys
    private static final int MAX_COMBINATIONS = 1 << 24; // of labels of one item in one term

    private final Container file;
    private final Map<String, Object> of;
    private final Map<String, ItemKey> itemKeys = new LinkedHashMap<>();
    private final Map<String, Labels> userKeys = new LinkedHashMap<>();
    private final Set<String> columns;
    private final int nItems;

    private PolicyReader(Container file) {
        this.file = file;
        of = Json.object(Json.parse(file.header.get("policy")));
        nItems = Json.whole(of.get("n_items"));
        boolean isBare = of.get("items") == null && !((Boolean) of.get("rank"))
                && Json.list(of.get("item_keys")).isEmpty();
        Refusal.unless(nItems >= 0 && (!isBare || nItems <= MAX_BARE_ITEMS), "n_items is " + nItems);
        columns = names(of.get("columns"), "columns");
    }

    static PolicyData read(Container file) {
        return new PolicyReader(file).data();
    }

    private PolicyData data() {
        String id = file.header.get("policy_id");
        Refusal.unless(id != null && !id.isEmpty() && id.codePointCount(0, id.length()) <= 200
                && id.codePoints().allMatch(PolicyReader::isPrintable), "policy_id");
        double created = (Double) Json.parse(file.header.get("created"));
        String end = file.header.get("valid_until");
        Double validUntil = end == null ? null : (Double) Json.parse(end);
        Refusal.unless(Double.isFinite(created) && (end == null || Double.isFinite(validUntil)),
                "created, valid_until");
        String organic = name(of.get("organic"));
        Refusal.unless(columns.contains(organic), "organic is " + organic);
        List<String> weighed = new ArrayList<>();
        double[] weights = weights(weighed);
        readItemKeys();
        readUserKeys();
        Set<String> known = known();
        List<Term> terms = terms();
        List<Constraint> constraints = constraints(terms);
        checkCertificate();
        Object kind = of.get("items");
        Labels ids = kind == null ? null : labels("items", kind);
        Refusal.unless(ids == null || ids.size() == nItems, "shape", "ids are not as many as n_items");
        int[] rank = (Boolean) of.get("rank") ? rank() : null;
        int[] segments = segments();
        int[] ofUser = (Boolean) of.get("users") ? segmentOfUser() : null;
        int nUsers = ofUser == null ? 0 : ofUser.length;
        boolean isSchema1 = of.get("known") == null;
        SlateRule slate = new SlateRule(file, Json.object(of.get("slate")), itemKeys, nUsers, isSchema1);
        Refusal.unless(slate.keep == null || columns.contains(slate.keep), "slate: the column that is kept");
        checkColumns(weighed, terms, slate.keep);
        List<Calibration> calibration = calibration();
        file.checkAllTaken();
        checkCombinations(terms);
        return new PolicyData(id, created, validUntil, List.copyOf(columns), weighed, weights, organic, terms,
                constraints, nItems, ids, rank, itemKeys, userKeys, known, segments, ofUser, slate,
                calibration);
    }

    private Labels labels(String name, Object kind) {
        return new Labels(name, (String) kind, file.labels(name, (String) kind));
    }

    private double[] weights(List<String> weighed) {
        List<Object> blend = Json.list(of.get("weights"));
        double[] weights = new double[blend.size()];
        for (Object each : blend) {
            String column = (String) Json.list(each).get(0);
            weights[weighed.size()] = Json.number(Json.list(each).get(1));
            Refusal.unless(Double.isFinite(weights[weighed.size()]), "a weight is not finite");
            Refusal.unless(column == null || columns.contains(column), "a weight of " + column);
            weighed.add(column);
        }
        return weights;
    }

    private void readItemKeys() {
        int k = 0;
        for (Object each : Json.list(of.get("item_keys"))) {
            Map<String, Object> key = Json.object(each);
            String what = "item_keys/" + k++;
            Labels labels = labels(what + "/labels", key.get("labels"));
            int[] codes = file.ints(what + "/codes");
            ItemKey one = (Boolean) key.get("several")
                    ? ItemKey.several(what, labels, codes, file.longs(what + "/indptr"), nItems)
                    : ItemKey.single(what, labels, codes, nItems);
            Refusal.unless(itemKeys.put(name(key.get("name")), one) == null, "a key of items appears twice");
        }
    }

    private void readUserKeys() {
        int k = 0;
        for (Object each : Json.list(of.get("user_keys"))) {
            Map<String, Object> key = Json.object(each);
            String what = "user_keys/" + k++, name = name(key.get("name"));
            Labels labels = labels(what + "/labels", key.get("labels"));
            boolean isNew = userKeys.put(name, labels) == null && !itemKeys.containsKey(name);
            Refusal.unless(isNew, "the key " + name + " appears twice");
        }
    }

    private Set<String> known() {
        boolean isThere = of.containsKey("known"); // from schema 2 on
        Refusal.unless(isThere == !"1".equals(file.header.get("schema")), "known: from schema 2 on");
        Set<String> known = new LinkedHashSet<>();
        if (isThere) {
            known.addAll(names(Json.object(of.get("known")).get("user_keys"), "known"));
            Set<String> ofItems = names(Json.object(of.get("known")).get("item_keys"), "known");
            Refusal.unless(ofItems.containsAll(itemKeys.keySet()), "known lacks a key of items");
            Refusal.unless(known.containsAll(userKeys.keySet()), "known lacks a key of users");
        }
        known.addAll(userKeys.keySet());
        return known;
    }

    private List<Calibration> calibration() {
        boolean isThere = of.containsKey("calibration"); // in schema 3
        Refusal.unless(isThere == "3".equals(file.header.get("schema")), "calibration: in schema 3, and always there");
        List<Calibration> all = new ArrayList<>();
        Set<String> named = new LinkedHashSet<>();
        for (Object each : isThere ? Json.list(of.get("calibration")) : List.of()) {
            Map<String, Object> one = Json.object(each);
            Refusal.unless(columns.contains(name(one.get("column"))) && named.add(name(one.get("column"))),
                    "calibration: its column");
            all.add(Calibration.read(file, all.size(), one, List.copyOf(userKeys.keySet()), userKeys, itemKeys));
        }
        return List.copyOf(all);
    }

    private List<Term> terms() {
        List<Term> terms = new ArrayList<>();
        for (Object each : Json.list(of.get("terms"))) {
            Map<String, Object> term = Json.object(each);
            String what = "terms/" + terms.size();
            PriceTable prices = prices(what, Json.list(term.get("keys")).toArray(new String[0]));
            Set<String> sides = names(term.get("item_keys"), what);
            Refusal.unless(itemKeys.keySet().containsAll(sides), what + ": its keys of items");
            for (String key : names(term.get("user_keys"), what))
                Refusal.unless(userKeys.containsKey(key) && sides.add(key), what + ": its keys of users");
            Refusal.unless(sides.equals(names(term.get("keys"), what)), what + ": its keys");
            String column = (String) term.get("column");
            Refusal.unless(column == null || columns.contains(column), what + ": its column");
            terms.add(new Term(column, prices));
        }
        return terms;
    }

    private List<Constraint> constraints(List<Term> all) {
        List<Constraint> constraints = new ArrayList<>();
        Set<String> named = new LinkedHashSet<>();
        for (Object each : Json.list(of.get("constraints"))) {
            Map<String, Object> constraint = Json.object(each);
            String name = name(constraint.get("name")), what = "constraints/" + constraints.size();
            Refusal.unless(named.add(name), "a constraint appears twice");
            PriceTable prices = prices(what, Json.list(constraint.get("keys")).toArray(new String[0]));
            List<Object> parts = Json.list(constraint.get("terms"));
            int[] terms = new int[parts.size()];
            double[] coefficients = new double[parts.size()];
            for (int t = 0; t < terms.length; t++) {
                terms[t] = Json.whole(Json.list(parts.get(t)).get(0));
                coefficients[t] = Json.number(Json.list(parts.get(t)).get(1));
                boolean fits = terms[t] >= 0 && terms[t] < all.size() && Double.isFinite(coefficients[t]);
                // explanations add up its prices by groups of the term
                fits = fits && List.of(prices.keys()).containsAll(List.of(all.get(terms[t]).prices().keys()));
                Refusal.unless(fits, what + ": its terms");
            }
            constraints.add(new Constraint(name, prices, terms, coefficients));
        }
        return constraints;
    }

    /** The prices by group of a term or constraint; groups are rows of codes, which ascend. */
    private PriceTable prices(String what, String[] keys) {
        double[] price = file.doubles(what + "/price");
        int[] groups = file.table(what + "/groups", price.length, keys.length);
        Refusal.unless(keys.length > 0 || price.length == 1, "shape", what + ": prices without keys");
        for (int j = 0; j < keys.length; j++) {
            boolean isOfItems = itemKeys.containsKey(keys[j]);
            Refusal.unless(isOfItems || userKeys.containsKey(keys[j]), what + ": there is no key " + keys[j]);
            int labels = (isOfItems ? itemKeys.get(keys[j]).labels : userKeys.get(keys[j])).size();
            for (int g = j; g < groups.length; g += keys.length)
                Refusal.unless(groups[g] >= 0 && groups[g] < labels, what + "/groups has " + groups[g]);
        }
        for (int g = keys.length; g > 0 && g < groups.length; g += keys.length)
            Refusal.unless(Arrays.compare(groups, g - keys.length, g, groups, g, g + keys.length) < 0,
                    what + ": groups do not ascend");
        return new PriceTable(keys, groups, price);
    }

    /** Columns of requests come first: those of scores, then that of the share that is kept. */
    private void checkColumns(List<String> weighed, List<Term> terms, String keep) {
        Set<String> first = new LinkedHashSet<>(columns);
        first.removeIf(column -> !weighed.contains(column)
                && terms.stream().noneMatch(term -> column.equals(term.column())));
        if (keep != null) first.add(keep);
        boolean isFirst = List.copyOf(columns).subList(0, first.size()).equals(List.copyOf(first));
        Refusal.unless(isFirst, "columns are " + columns + "; expected first " + first);
    }

    private void checkCertificate() {
        Map<String, Object> certificate = Json.object(Json.parse(file.header.get("certificate")));
        Refusal.unless(certificate.keySet().equals(CERTIFICATE), "certificate");
        Refusal.unless(certificate.get("status") instanceof String && certificate.get("solver") instanceof String,
                "certificate: status, solver");
        for (String name : List.of("value", "bound", "gap", "violation", "passes")) {
            Object number = certificate.get(name);
            boolean isNumber = number instanceof Double || "inf".equals(number) || "-inf".equals(number);
            Refusal.unless(isNumber, "certificate: " + name);
        }
    }

    private int[] rank() {
        long[] given = file.longs("rank");
        Refusal.unless(given.length == nItems, "shape", "ranks are not as many as n_items");
        int[] rank = new int[nItems];
        boolean[] taken = new boolean[nItems];
        for (int item = 0; item < nItems; item++) {
            boolean isNew = given[item] >= 0 && given[item] < nItems && !taken[(int) given[item]];
            Refusal.unless(isNew, "rank is not an order of the items");
            rank[item] = (int) given[item];
            taken[rank[item]] = true;
        }
        return rank;
    }

    private int[] segments() {
        int width = userKeys.size(), j = 0;
        int[] segments = file.table("segments", -1, width);
        for (Labels labels : userKeys.values()) {
            for (int row = j; row < segments.length; row += width)
                Refusal.unless(segments[row] >= -1 && segments[row] < labels.size(), "segments has " + segments[row]);
            j++;
        }
        return segments;
    }

    private int[] segmentOfUser() {
        int rows = file.rows("segments");
        int[] ofUser = file.ints("segment_of_user");
        for (int segment : ofUser)
            Refusal.unless(segment >= 0 && segment < rows, "segment_of_user has " + segment);
        return ofUser;
    }

    /** Refuses items whose labels would make one price a sum of millions. */
    private void checkCombinations(List<Term> terms) {
        for (Term term : terms) {
            ItemKey[] keys = Arrays.stream(term.prices().keys()).map(itemKeys::get).filter(Objects::nonNull)
                    .toArray(ItemKey[]::new);
            for (int item = 0; keys.length > 1 && item < nItems; item++) {
                long combinations = 1;
                for (ItemKey key : keys)
                    if (combinations <= MAX_COMBINATIONS) combinations *= key.count(item);
                Refusal.unless(combinations <= MAX_COMBINATIONS, "too many combinations of labels of item " + item);
            }
        }
    }

    /** Distinct names, in their order. */
    private static Set<String> names(Object list, String what) {
        Set<String> out = new LinkedHashSet<>();
        for (Object each : Json.list(list)) Refusal.unless(out.add(name(each)), what + ": something appears twice");
        return out;
    }

    private static String name(Object text) {
        return Objects.requireNonNull((String) text);
    }

    static boolean isPrintable(int c) {
        return switch (Character.getType(c)) {
            case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE,
                    Character.UNASSIGNED, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> false;
            case Character.SPACE_SEPARATOR -> c == ' ';
            default -> true;
        };
    }
}
