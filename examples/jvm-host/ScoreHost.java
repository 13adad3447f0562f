// A host on the JVM: reads a snapshot of oasis_alloc, verifies it, scores candidates and takes slates from them.
//
//     java ScoreHost.java <snapshot> <vectors> [<snapshot> <vectors> ...]
//
// Needs JDK 17 or later (since then all arithmetic of doubles is strict IEEE 754) and nothing else. A service puts this
// file among its sources, or its classes (javac -d classes ScoreHost.java) on its class path:
//
//     import oasisalloc.ScoreHost.Policy;
//
//     Policy policy = Policy.load(Path.of("policy.safetensors"));          // Refused, if it must not be served
//     Policy.User user = policy.user(Map.of("market", "SE", "hour", 7));   // once, for many requests
//     int[] items = policy.encode(List.of("track-07", "track-31"));
//     double[] scores = policy.scores(user, items, columns);               // BadRequest, if the request is wrong
//     int[] slate = policy.slate(user, items, columns, scores, 10, new int[0], new int[0]);
//
// It follows docs/snapshot.md section by section, and docs/labels.md for which labels are equal: `Policy` has the prices
// and the score, `Rules` and `Selection` the slate, and `Container` and `Json` read the file. The main program answers
// the requests of a vectors file (tests/golden) and compares: scores to the last bit, slates to the position.

package oasisalloc;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

public final class ScoreHost {
    private ScoreHost() {}

    public static void main(String[] args) throws Exception {
        if (args.length == 0 || args.length % 2 != 0) {
            System.err.println("usage: java ScoreHost.java <snapshot> <vectors> [<snapshot> <vectors> ...]");
            System.exit(2);
        }
        int wrong = 0;
        for (int a = 0; a < args.length; a += 2) {
            try {
                Policy policy = Policy.load(Path.of(args[a]));
                Map<String, Object> vectors = Json.object(Json.parse(Files.readString(Path.of(args[a + 1]))));
                if (vectors.get("overlay") != null) policy = policy.overlaid(vectors.get("overlay"));
                wrong += compare(policy, vectors);
            } catch (Refused refused) {
                System.err.println(args[a] + ": refused: " + refused.getMessage());
                System.exit(3);
            }
        }
        if (wrong > 0) System.exit(1);
    }

    /** Answers every request of the vectors; how many answers differ. */
    static int compare(Policy policy, Map<String, Object> vectors) {
        int scores = 0, slates = 0, wrong = 0;
        for (Object each : Json.list(vectors.get("requests"))) {
            Map<String, Object> request = Json.object(each);
            int[] items = policy.encode(Json.list(request.get("ids")));
            Map<String, double[]> columns = new HashMap<>();
            for (Map.Entry<String, Object> column : Json.object(request.get("columns")).entrySet())
                columns.put(column.getKey(), hexadecimal(column.getValue()));

            Policy.User user = policy.user(request.get("user"));
            double[] found = policy.scores(user, items, columns);
            double[] expected = hexadecimal(request.get("scores"));
            for (int i = 0; i < expected.length; i++, scores++) {
                if (Double.doubleToRawLongBits(found[i]) != Double.doubleToRawLongBits(expected[i])) {
                    System.err.printf("request %d, %d: score %a, expected %a%n", slates, i, found[i], expected[i]);
                    wrong++;
                }
            }
            Integer k = request.get("k") == null ? null : Json.whole(request.get("k"));
            int[] pinned = wholes(request.get("pinned")), exclude = wholes(request.get("exclude"));
            String slate = Arrays.toString(policy.slate(user, items, columns, found, k, pinned, exclude));
            String best = Arrays.toString(wholes(request.get("slate")));
            if (!slate.equals(best)) {
                System.err.printf("request %d: slate %s, expected %s%n", slates, slate, best);
                wrong++;
            }
            slates++;
        }
        System.out.printf("policy %s: %d scores and %d slates, %d wrong%n", policy.id, scores, slates, wrong);
        return wrong;
    }

    private static double[] hexadecimal(Object texts) {
        return Json.list(texts).stream().mapToDouble(text -> Double.parseDouble((String) text)).toArray();
    }

    private static int[] wholes(Object numbers) {
        return Json.list(numbers).stream().mapToInt(Json::whole).toArray();
    }

    /** A snapshot that must not be served. */
    public static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String message) {
            super(message);
        }
    }

    /** A request that is wrong: what is, where, and what was expected. */
    public static final class BadRequest extends IllegalArgumentException {
        private static final long serialVersionUID = 1;

        BadRequest(String message) {
            super(message);
        }
    }

    /** Where something of a snapshot is not what it has to be: Policy.load makes it Refused. */
    static void require(boolean good, String what) {
        if (!good) throw new IllegalArgumentException(what);
    }

    static void within(int[] codes, int least, int end, String what) {
        for (int code : codes) require(code >= least && code < end, what + " has " + code);
    }

    /** Which labels and ids are equal, by type: docs/labels.md. */
    static final class Label {
        private static final Object NOTHING = new Object(); // equal to no label
        private static final int LARGEST = 400; // decimal digits

        private Label() {}

        /** What a label is looked up by: two labels are equal if and only if these are; null is no label. */
        static Object of(Object label) {
            if (label == null || label instanceof String || label instanceof Boolean) return label;
            if (label instanceof Number number) return number(number);
            if (label instanceof CharSequence || label instanceof Character || label instanceof UUID
                    || label instanceof LocalDate) return label.toString();
            if (label instanceof Enum<?> one) return one.name();
            if (label instanceof LocalDateTime time) return local(time);
            if (label instanceof LocalTime time) return clock(time);
            if (label instanceof Instant time) return utc(time);
            if (label instanceof OffsetDateTime time) return utc(time.toInstant());
            if (label instanceof ZonedDateTime time) return utc(time.toInstant());
            throw new BadRequest("a " + label.getClass().getSimpleName()
                    + " is no label; expected a string, a number, a boolean, a date or null");
        }

        private static Object number(Number number) {
            if (number instanceof Integer || number instanceof Long || number instanceof Short
                    || number instanceof Byte) return number.longValue();
            if (number instanceof Double || number instanceof Float) {
                double value = number.doubleValue();
                if (Double.isNaN(value)) return null;
                if (Double.isInfinite(value)) return NOTHING;
                if (value != Math.rint(value)) return value;
                return value >= -0x1p63 && value < 0x1p63 ? (Object) (long) value : new BigDecimal(value).toBigInteger();
            }
            BigDecimal exact;
            try {
                exact = number instanceof BigDecimal decimal ? decimal
                        : number instanceof BigInteger whole ? new BigDecimal(whole) : new BigDecimal(number.toString());
            } catch (NumberFormatException error) {
                throw new BadRequest("a " + number.getClass().getSimpleName() + " is no number that is a label");
            }
            if (exact.signum() == 0) return 0L;
            if ((long) exact.precision() - exact.scale() > LARGEST) return NOTHING;
            if (exact.scale() > LARGEST || exact.stripTrailingZeros().scale() > 0) return number(exact.doubleValue());
            BigInteger whole = exact.toBigInteger();
            return whole.bitLength() < 64 ? (Object) whole.longValue() : whole;
        }

        private static String local(LocalDateTime time) {
            String date = time.toLocalDate().toString();
            return time.toLocalTime().equals(LocalTime.MIDNIGHT) ? date : date + "T" + clock(time.toLocalTime());
        }

        private static String utc(Instant time) {
            LocalDateTime at = LocalDateTime.ofInstant(time, ZoneOffset.UTC);
            return at.toLocalDate() + "T" + clock(at.toLocalTime()) + "+00:00";
        }

        private static String clock(LocalTime time) {
            String text = String.format("%02d:%02d:%02d", time.getHour(), time.getMinute(), time.getSecond());
            int nano = time.getNano();
            if (nano == 0) return text;
            return text + (nano % 1000 == 0 ? String.format(".%06d", nano / 1000) : String.format(".%09d", nano));
        }
    }

    /** Prices that serve; immutable but for its counts, and safe under threads. */
    public static final class Policy {
        static final String FORMAT = "oasis_alloc.policy";
        static final int SCHEMA = 2;
        private static final int FOLDED = 1 << 22; // numbers in tables that are kept
        private static final Set<String> CERTIFICATE =
                Set.of("status", "value", "bound", "gap", "violation", "passes", "solver");
        private static final int BARE = 1 << 25; // items without ids and keys
        private static final int COMBINED = 1 << 24; // combinations of labels of one item in one term

        /** A user as a policy knows them; belongs to the policy that made it. */
        public static final class User {
            private final Policy owner;
            private final int[] codes;
            private final int size, atLeast;
            private final double[][] prices; // of constant and columns that have any, by class of items

            private User(Policy owner, int[] codes, int size, int atLeast) {
                this.owner = owner;
                this.codes = codes;
                this.size = size;
                this.atLeast = atLeast;
                prices = owner.folded(codes);
            }

            /** Slots of the slate. */
            public int size() {
                return size;
            }
        }

        /** Prices of one column by group; groups are rows of codes, ascending. */
        record Term(String column, String[] keys, int[] groups, double[] price) {
            /** The price of a group, 0 where it has none. */
            boolean has(int[] group) {
                return row(group) >= 0;
            }

            double of(int[] group) {
                return price[row(group)];
            }

            private int row(int[] group) {
                int low = 0, high = price.length - 1, width = keys.length;
                while (low <= high) {
                    int middle = (low + high) >>> 1;
                    int order = Arrays.compare(groups, middle * width, (middle + 1) * width, group, 0, width);
                    if (order == 0) return middle;
                    if (order < 0) low = middle + 1;
                    else high = middle - 1;
                }
                return -1;
            }
        }

        /** Labels of items, ascending: those of item i are codes[indptr[i]] to codes[indptr[i + 1] - 1]. */
        record ItemKey(long[] indptr, int[] codes, int labels) {
            void check(int items, String what) {
                require(indptr.length == items + 1L && indptr[0] == 0 && indptr[items] == codes.length,
                        what + "/indptr");
                for (int item = 0; item < items; item++) require(indptr[item] <= indptr[item + 1], what + "/indptr");
                for (int item = 0; item < items; item++)
                    for (long at = indptr[item] + 1; at < indptr[item + 1]; at++)
                        require(codes[(int) at - 1] < codes[(int) at], what + ": the codes of an item do not ascend");
            }
        }

        public final String id;
        public final double created; // UNIX seconds
        public final Double validUntil; // UNIX seconds, after which it is not to be used; null for no end
        private final Container arrays;
        private final int nItems;
        private final List<String> weighed = new ArrayList<>(); // null is a constant 1
        private final double[] weights;
        private final List<Term> terms = new ArrayList<>();
        private final List<String> measured; // columns that have prices, sorted by code points
        private final Map<Object, Integer> numbers; // of ids; null where the numbers are the ids
        private final long[] rank; // null where it is the item's number
        private final Map<String, ItemKey> itemKeys = new LinkedHashMap<>();
        private final Map<String, Map<Object, Integer>> userKeys = new LinkedHashMap<>();
        private final List<String> userNames;
        private final Set<String> known = new LinkedHashSet<>(); // all keys that users of the problem had
        private volatile Set<String> earlier = Set.of(); // the same of policies that were served before
        private final Map<String, LongAdder> ignored = new ConcurrentHashMap<>();
        private final boolean knowsUsers;
        private final int[] classOf; // of every item, and of one that was never seen: items that no key tells apart
        private final int[] member; // an item of every class, -1 for the unseen
        private final Map<List<Integer>, double[][]> tables = new ConcurrentHashMap<>();
        final Rules rules;

        /** Reads and verifies a snapshot file. */
        public static Policy load(Path path) throws Refused, IOException {
            if (!Files.isRegularFile(path)) throw new Refused("unreadable: it is not a regular file");
            if (Files.size(path) > Integer.MAX_VALUE - 16) throw new Refused("unreadable: 2 GiB or more");
            return load(Files.readAllBytes(path));
        }

        /** Verifies a snapshot. */
        public static Policy load(byte[] raw) throws Refused {
            try {
                return new Policy(new Container(raw));
            } catch (RuntimeException error) {
                throw new Refused("the content is not a valid policy (" + error + ")");
            }
        }

        /**
         * The same policy at the prices of an overlay, a JSON document; refused where it is for another policy.
         * Nothing is read again. Apply it to the policy as it was loaded, not to one with an overlay.
         */
        public Policy overlaid(String overlay) throws Refused {
            try {
                return overlaid(Json.parse(overlay));
            } catch (RuntimeException error) {
                throw new Refused("the overlay is no document (" + error + ")");
            }
        }

        Policy overlaid(Object document) throws Refused {
            try {
                Map<String, Object> overlay = Json.object(document);
                require("oasis_alloc.overlay".equals(overlay.get("format")), "format");
                if (Json.whole(overlay.get("schema")) > 1) throw new Refused("newer schema of the overlay");
                String of = (String) overlay.get("policy_id");
                if (!id.equals(of)) throw new Refused("another policy: the overlay is for " + of + ", this is " + id);
                List<double[]> prices = new ArrayList<>();
                for (Term term : terms) prices.add(term.price().clone());
                for (Object each : Json.list(overlay.get("terms"))) {
                    List<Object> entry = Json.list(each);
                    require(entry.size() == 3, "an entry of terms");
                    double price = Json.number(entry.get(2));
                    require(Double.isFinite(price), "a price of the overlay is not finite");
                    prices.get(Json.whole(entry.get(0)))[Json.whole(entry.get(1))] = price;
                }
                return new Policy(this, prices, id + "+" + Json.whole(overlay.get("sequence")));
            } catch (RuntimeException error) {
                throw new Refused("the content is no overlay (" + error + ")");
            }
        }

        /** The same at other prices of its terms. */
        private Policy(Policy other, List<double[]> prices, String name) {
            arrays = other.arrays;
            id = name;
            created = other.created;
            validUntil = other.validUntil;
            nItems = other.nItems;
            weighed.addAll(other.weighed);
            weights = other.weights;
            for (int k = 0; k < prices.size(); k++) {
                Term term = other.terms.get(k);
                terms.add(new Term(term.column(), term.keys(), term.groups(), prices.get(k)));
            }
            measured = other.measured;
            numbers = other.numbers;
            rank = other.rank;
            itemKeys.putAll(other.itemKeys);
            userKeys.putAll(other.userKeys);
            userNames = other.userNames;
            known.addAll(other.known);
            earlier = other.earlier;
            knowsUsers = other.knowsUsers;
            classOf = other.classOf;
            member = other.member;
            rules = other.rules;
        }

        private Policy(Container file) throws Refused {
            arrays = file;
            id = file.header.get("policy_id");
            require(id != null && !id.isEmpty() && id.codePointCount(0, id.length()) <= 200
                    && id.codePoints().allMatch(Policy::isPrintable), "policy_id");
            created = (Double) Json.parse(file.header.get("created"));
            String end = file.header.get("valid_until");
            validUntil = end == null ? null : (Double) Json.parse(end);
            require(Double.isFinite(created) && (end == null || Double.isFinite(validUntil)), "created, valid_until");
            Map<String, Object> of = Json.object(Json.parse(file.header.get("policy")));
            nItems = Json.whole(of.get("n_items"));
            boolean bare = of.get("items") == null && !((Boolean) of.get("rank"))
                    && Json.list(of.get("item_keys")).isEmpty();
            require(nItems >= 0 && (!bare || nItems <= BARE), "n_items is " + nItems);
            Set<String> columns = names(of.get("columns"), "columns");
            require(columns.contains((String) of.get("organic")), "organic");
            List<Object> blend = Json.list(of.get("weights"));
            weights = new double[blend.size()];
            for (Object weight : blend) {
                weights[weighed.size()] = Json.number(Json.list(weight).get(1));
                weighed.add((String) Json.list(weight).get(0));
            }
            for (double weight : weights) require(Double.isFinite(weight), "a weight is not finite");
            for (String column : weighed) require(column == null || columns.contains(column), "a weight of " + column);
            int k = 0;
            for (Object each : Json.list(of.get("item_keys"))) {
                Map<String, Object> key = Json.object(each);
                int[] codes = file.ints("item_keys/" + k + "/codes");
                file.shaped("item_keys/" + k + "/codes", -1);
                int labels = numbered(file.labels("item_keys/" + k + "/labels", key.get("labels"))).size();
                boolean several = (Boolean) key.get("several");
                within(codes, several ? 0 : -1, labels, "item_keys/" + k + "/codes");
                ItemKey one = several
                        ? new ItemKey(file.longs("item_keys/" + k + "/indptr"), codes, labels) : single(codes, labels);
                one.check(nItems, "item_keys/" + k);
                require(itemKeys.put(name(key.get("name")), one) == null, "a key of items appears twice");
                k++;
            }
            k = 0;
            for (Object each : Json.list(of.get("user_keys"))) {
                Map<String, Object> key = Json.object(each);
                List<Object> labels = file.labels("user_keys/" + k++ + "/labels", key.get("labels"));
                String name = name(key.get("name"));
                boolean isNew = userKeys.put(name, numbered(labels)) == null && !itemKeys.containsKey(name);
                require(isNew, "the key " + name + " appears twice");
            }
            userNames = List.copyOf(userKeys.keySet());
            if (of.containsKey("known")) { // from schema 2 on
                known.addAll(names(Json.object(of.get("known")).get("user_keys"), "known"));
                Set<String> ofItems = names(Json.object(of.get("known")).get("item_keys"), "known");
                require(ofItems.containsAll(itemKeys.keySet()), "known lacks a key of items");
            }
            require(of.containsKey("known") == !"1".equals(file.header.get("schema")), "known: from schema 2 on");
            require(!of.containsKey("known") || known.containsAll(userNames), "known lacks a key of users");
            known.addAll(userNames);
            k = 0;
            Set<String> priced = new TreeSet<>(Policy::byCodePoints);
            for (Object each : Json.list(of.get("terms"))) {
                Map<String, Object> term = Json.object(each);
                String[] keys = Json.list(term.get("keys")).toArray(new String[0]);
                String what = "terms/" + k++;
                double[] price = prices(file, what, keys);
                int[] groups = file.ints(what + "/groups");
                Set<String> sides = names(term.get("item_keys"), what);
                require(itemKeys.keySet().containsAll(sides), what + ": its keys of items");
                for (String key : names(term.get("user_keys"), what))
                    require(userKeys.containsKey(key) && sides.add(key), what + ": its keys of users");
                require(sides.equals(names(term.get("keys"), what)), what + ": its keys");
                String column = (String) term.get("column");
                require(column == null || columns.contains(column), what + ": its column");
                terms.add(new Term(column, keys, groups, price));
                if (column != null) priced.add(column);
            }
            measured = List.copyOf(priced);
            k = 0;
            Set<String> constraints = new LinkedHashSet<>();
            for (Object each : Json.list(of.get("constraints"))) { // for explanations, which this host does not make
                Map<String, Object> constraint = Json.object(each);
                require(constraints.add(name(constraint.get("name"))), "a constraint appears twice");
                prices(file, "constraints/" + k++, Json.list(constraint.get("keys")).toArray(new String[0]));
                for (Object term : Json.list(constraint.get("terms"))) {
                    int number = Json.whole(Json.list(term).get(0));
                    boolean fits = number >= 0 && number < terms.size();
                    require(fits && Double.isFinite(Json.number(Json.list(term).get(1))), "a constraint's terms");
                }
            }
            Map<String, Object> certificate = Json.object(Json.parse(file.header.get("certificate")));
            require(certificate.keySet().equals(CERTIFICATE), "certificate");
            require(certificate.get("status") instanceof String && certificate.get("solver") instanceof String,
                    "certificate: status, solver");
            for (String name : List.of("value", "bound", "gap", "violation", "passes")) {
                Object number = certificate.get(name);
                boolean isNumber = number instanceof Double || "inf".equals(number) || "-inf".equals(number);
                require(isNumber, "certificate: " + name);
            }
            Object kind = of.get("items");
            numbers = kind == null ? null : numbered(file.labels("items", kind));
            require(numbers == null || numbers.size() == nItems, "ids are not as many as n_items");
            rank = (Boolean) of.get("rank") ? file.longs("rank") : null;
            require(rank == null || rank.length == nItems, "ranks are not as many as n_items");
            boolean[] taken = new boolean[rank == null ? 0 : nItems];
            for (int item = 0; item < taken.length; item++) {
                boolean isNew = rank[item] >= 0 && rank[item] < nItems && !taken[(int) rank[item]];
                require(isNew, "rank is not an order of the items");
                taken[(int) rank[item]] = true;
            }
            int rows = file.shaped("segments", -1, userKeys.size()), width = userKeys.size();
            int[] segments = file.ints("segments");
            for (int j = 0; j < width; j++)
                for (int row = 0; row < rows; row++)
                    require(segments[row * width + j] >= -1
                            && segments[row * width + j] < userKeys.get(userNames.get(j)).size(), "segments");
            knowsUsers = (Boolean) of.get("users");
            int nUsers = knowsUsers ? file.shaped("segment_of_user", -1) : 0;
            if (knowsUsers) within(file.ints("segment_of_user"), 0, rows, "segment_of_user");
            rules = new Rules(file, Json.object(of.get("slate")), itemKeys, nUsers, of.get("known") == null);
            file.checkAllTaken();
            require(rules.keep == null || columns.contains(rules.keep), "slate: the column that is kept");

            Map<List<Integer>, Integer> classes = new HashMap<>();
            List<Integer> members = new ArrayList<>();
            boolean alike = itemKeys.isEmpty(); // then all items are of one class
            classOf = new int[alike ? 0 : nItems];
            for (int item = 0; item < classOf.length; item++) {
                List<Integer> labels = new ArrayList<>();
                for (ItemKey key : itemKeys.values()) {
                    for (long at = key.indptr[item]; at < key.indptr[item + 1]; at++) labels.add(key.codes[(int) at]);
                    labels.add(-1); // between keys
                }
                classOf[item] = classes.computeIfAbsent(labels, none -> classes.size());
                if (classOf[item] == members.size()) members.add(item);
            }
            if (alike && nItems > 0) members.add(0);
            members.add(-1);
            member = members.stream().mapToInt(item -> item).toArray();
            for (Term term : terms) {
                for (int item : member) {
                    long combinations = 1;
                    for (String key : term.keys())
                        if (itemKeys.containsKey(key) && combinations <= COMBINED)
                            combinations *= codes(itemKeys.get(key), item).length;
                    if (combinations > COMBINED) throw new Refused("content: too many combinations of labels");
                }
            }
        }

        private static ItemKey single(int[] codes, int labels) {
            long[] indptr = new long[codes.length + 1];
            for (int i = 0; i < codes.length; i++) indptr[i + 1] = indptr[i] + (codes[i] < 0 ? 0 : 1);
            return new ItemKey(indptr, Arrays.stream(codes).filter(code -> code >= 0).toArray(), labels);
        }

        private static Map<Object, Integer> numbered(List<Object> labels) {
            Map<Object, Integer> out = new HashMap<>();
            for (Object label : labels)
                if (out.putIfAbsent(Objects.requireNonNull(Label.of(label)), out.size()) != null)
                    throw new IllegalArgumentException("a label or id appears twice");
            return out;
        }

        /** Distinct names, in their order. */
        private static Set<String> names(Object list, String what) {
            Set<String> out = new LinkedHashSet<>();
            for (Object each : Json.list(list)) require(out.add(name(each)), what + ": something appears twice");
            return out;
        }

        /** The prices by group of a term or constraint; groups are rows of codes, which ascend. */
        private double[] prices(Container file, String what, String[] keys) {
            double[] price = file.doubles(what + "/price");
            int[] groups = file.ints(what + "/groups");
            file.shaped(what + "/groups", price.length, keys.length);
            require(keys.length > 0 || price.length == 1, what + ": prices without keys");
            for (int j = 0; j < keys.length; j++) {
                boolean isOfItems = itemKeys.containsKey(keys[j]);
                require(isOfItems || userKeys.containsKey(keys[j]), what + ": there is no key " + keys[j]);
                int labels = isOfItems ? itemKeys.get(keys[j]).labels() : userKeys.get(keys[j]).size();
                for (int g = j; g < groups.length; g += keys.length)
                    require(groups[g] >= 0 && groups[g] < labels, what + "/groups has " + groups[g]);
            }
            for (int g = keys.length; g < groups.length; g += keys.length)
                require(Arrays.compare(groups, g - keys.length, g, groups, g, g + keys.length) < 0,
                        what + ": groups do not ascend");
            return price;
        }

        private static boolean isPrintable(int c) {
            return switch (Character.getType(c)) {
                case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE,
                        Character.UNASSIGNED, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> false;
                case Character.SPACE_SEPARATOR -> c == ' ';
                default -> true;
            };
        }

        private static String name(Object text) {
            return Objects.requireNonNull((String) text);
        }

        private static int byCodePoints(String a, String b) {
            return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
        }

        /** Whether it is no longer to be used at a time in UNIX seconds. */
        public boolean isExpired(double now) {
            return validUntil != null && now >= validUntil;
        }

        /** Keys that requests may bring for their users; those that no price depends on are ignored and counted. */
        public Set<String> userKeys() {
            return Set.copyOf(known);
        }

        /**
         * Ignores and counts the keys of users that the problem of an earlier policy had, instead of refusing them. A
         * service calls it before it swaps that policy for this one, so that no swap breaks requests.
         */
        public void remember(Policy before) {
            Set<String> all = new LinkedHashSet<>(earlier);
            all.addAll(before.known);
            all.addAll(before.earlier);
            earlier = Set.copyOf(all);
        }

        /** How many calls brought a key that no price depends on, by key. */
        public Map<String, Long> ignoredKeys() {
            Map<String, Long> out = new TreeMap<>();
            ignored.forEach((key, count) -> out.put(key, count.sum()));
            return out;
        }

        /** The number of an item, -1 for one that was never seen. */
        public int encode(Object itemId) {
            Object label = Label.of(itemId);
            if (numbers != null) return numbers.getOrDefault(label, -1);
            return label instanceof Long number && number >= 0 && number < nItems ? number.intValue() : -1;
        }

        /** The numbers of items, -1 for those that were never seen. */
        public int[] encode(List<?> itemIds) {
            if (itemIds == null) throw new BadRequest("ids: null; expected a list of ids");
            int[] out = new int[itemIds.size()];
            int i = 0;
            for (Object one : itemIds) out[i++] = encode(one);
            return out;
        }

        /** A user by number of the solve, by {key: label}, or nobody known (null). */
        public User user(Object given) {
            int size = rules.size, atLeast = rules.atLeast;
            if (given instanceof Number) {
                if (!(Label.of(given) instanceof Long number)) throw new BadRequest("user " + given + " is not a number");
                if (!knowsUsers) throw new BadRequest("user: this policy does not know users by number");
                int[] segments = arrays.ints("segment_of_user");
                if (number < 0 || number >= segments.length)
                    throw new BadRequest("user " + number + "; expected a number in [0, " + segments.length + ")");
                int user = number.intValue(), width = userKeys.size();
                int segment = segments[user];
                if (rules.sizeByUser != null) size = Math.toIntExact(rules.sizeByUser[user]);
                if (rules.atLeastByUser != null) atLeast = Math.toIntExact(rules.atLeastByUser[user]);
                int[] codes = Arrays.copyOfRange(arrays.ints("segments"), segment * width, (segment + 1) * width);
                return new User(this, codes, size, atLeast);
            }
            if (given != null && !(given instanceof Map))
                throw new BadRequest("user: expected a number, {key: label} or null");
            Map<?, ?> labels = given == null ? Map.of() : (Map<?, ?>) given;
            for (Object key : labels.keySet()) {
                if (key instanceof String name && userKeys.containsKey(name)) continue;
                if (!(key instanceof String name) || !known.contains(name) && !earlier.contains(name))
                    throw new BadRequest("user: the users of the solved problem do not have a key '" + key + "'; known: "
                            + String.join(", ", known));
                ignored.computeIfAbsent((String) key, none -> new LongAdder()).increment();
            }
            int[] codes = new int[userKeys.size()];
            int j = 0;
            for (Map.Entry<String, Map<Object, Integer>> key : userKeys.entrySet()) {
                Object label = Label.of(labels.get(key.getKey()));
                codes[j++] = label == null ? -1 : key.getValue().getOrDefault(label, -1);
            }
            return new User(this, codes, size, atLeast);
        }

        /** Priced scores, every operation rounded on its own, in this order. */
        public double[] scores(User user, int[] items, Map<String, double[]> columns) {
            check(user, items);
            double[] out = new double[items.length];
            double[][] blended = new double[weights.length][], charged = new double[measured.size()][];
            for (int t = 0; t < blended.length; t++)
                if (weighed.get(t) != null) blended[t] = column(columns, weighed.get(t), items.length);
            for (int m = 0; m < charged.length; m++) charged[m] = column(columns, measured.get(m), items.length);
            boolean asItIs = weights.length == 1 && weights[0] == 1.0 && blended[0] != null;
            for (int i = 0; i < items.length; i++) {
                double v = 0.0;
                if (asItIs) v = blended[0][i];
                else
                    for (int t = 0; t < weights.length; t++)
                        v = v + (blended[t] == null ? weights[t] : weights[t] * blended[t][i]);
                int of = classOf(items[i]);
                double s = v - user.prices[0][of];
                for (int m = 0; m < charged.length; m++) s = s - user.prices[m + 1][of] * charged[m][i];
                if (!(Math.abs(s) < Double.POSITIVE_INFINITY))
                    throw new BadRequest("entry " + i + ": the score is beyond a double; expected smaller numbers");
                out[i] = s;
            }
            return out;
        }

        private void check(User user, int[] items) {
            if (user == null || user.owner != this) throw new BadRequest("user: made by another policy");
            if (items == null) throw new BadRequest("items: null; expected item numbers");
            for (int i = 0; i < items.length; i++)
                if (items[i] < -1 || items[i] >= nItems)
                    throw new BadRequest("items: entry " + i + " is " + items[i] + "; expected numbers in [0, " + nItems
                            + "), or -1 for items that the policy has never seen");
        }

        private static double[] column(Map<String, double[]> columns, String name, int n) {
            if (columns == null) throw new BadRequest("columns: null; expected numbers by name");
            double[] column = columns.get(name);
            if (column == null)
                throw new BadRequest("columns: '" + name + "' is missing; there are "
                        + columns.keySet().stream().map(String::valueOf).sorted().toList());
            if (column.length != n)
                throw new BadRequest("columns: '" + name + "' has " + column.length + " numbers; expected " + n);
            for (int i = 0; i < n; i++)
                if (!(Math.abs(column[i]) < Double.POSITIVE_INFINITY))
                    throw new BadRequest("columns: '" + name + "': entry " + i + " is " + column[i]);
            return column;
        }

        private int classOf(int item) {
            if (item < 0) return member.length - 1;
            return classOf.length == 0 ? 0 : classOf[item];
        }

        /** What a unit of each column costs a user with these codes, by class of items; kept for the next request. */
        private double[][] folded(int[] codes) {
            List<Integer> key = Arrays.stream(codes).boxed().toList();
            double[][] found = tables.get(key);
            if (found != null) return found;
            double[][] table = new double[measured.size() + 1][member.length];
            for (int m = 0; m < table.length; m++)
                for (int c = 0; c < member.length; c++)
                    table[m][c] = price(m == 0 ? null : measured.get(m - 1), codes, member[c]);
            if (tables.size() >= Math.max(1, FOLDED / (64 + table.length * member.length))) tables.clear();
            tables.put(key, table);
            return table;
        }

        /** What a unit of a column costs: prices added up, terms in order, groups ascending. */
        private double price(String column, int[] user, int item) {
            double total = 0.0;
            for (Term term : terms) {
                if (!Objects.equals(term.column(), column)) continue;
                int width = term.keys().length, combinations = 1;
                int[][] choices = new int[width][];
                for (int j = 0; j < width; j++) {
                    choices[j] = codes(term.keys()[j], user, item);
                    combinations = Math.multiplyExact(combinations, choices[j].length);
                }
                int[] group = new int[width];
                for (int number = 0; number < combinations; number++) {
                    int rest = number;
                    for (int j = width - 1; j >= 0; j--) { // the last key changes first: groups ascend
                        group[j] = choices[j][rest % choices[j].length];
                        rest /= choices[j].length;
                    }
                    if (term.has(group)) total = total + term.of(group);
                }
            }
            return total;
        }

        private int[] codes(String key, int[] user, int item) {
            if (itemKeys.containsKey(key)) return codes(itemKeys.get(key), item);
            return new int[] {user[userNames.indexOf(key)]};
        }

        private static int[] codes(ItemKey of, int item) {
            if (item < 0) return new int[0];
            return Arrays.copyOfRange(of.codes(), (int) of.indptr()[item], (int) of.indptr()[item + 1]);
        }

        /** The categories that the rules count an item in: keys in the order of the rules, labels ascending. */
        int[] categories(int item) {
            if (item < 0) return new int[0];
            int n = 0;
            for (String key : rules.keys) {
                ItemKey of = itemKeys.get(key);
                n += (int) (of.indptr()[item + 1] - of.indptr()[item]);
            }
            int[] out = new int[n];
            int at = 0, system = 0;
            for (String key : rules.keys) {
                ItemKey of = itemKeys.get(key);
                for (long j = of.indptr()[item]; j < of.indptr()[item + 1]; j++)
                    out[at++] = rules.offsets[system] + of.codes()[(int) j];
                system++;
            }
            return out;
        }

        long rank(int item) {
            return item < 0 ? Long.MAX_VALUE : rank == null ? item : rank[item];
        }

        /** Positions of the slate, best first; k is null for the user's own size. */
        public int[] slate(User user, int[] items, Map<String, double[]> columns, double[] scores, Integer k,
                int[] pinned, int[] exclude) {
            check(user, items);
            if (scores == null || scores.length != items.length)
                throw new BadRequest("scores: expected " + items.length + " numbers");
            if (k != null && k < 0) throw new BadRequest("k " + k + "; expected a number of slots >= 0, or null");
            int size = Math.min(k == null ? user.size : k, items.length);
            Set<Integer> seen = new LinkedHashSet<>();
            for (int item : items)
                if (item >= 0 && !seen.add(item)) throw new BadRequest("items: item " + item + " appears twice");
            boolean[] out = marked("exclude", exclude, items.length), in = marked("pinned", pinned, items.length);
            for (int i = 0; i < out.length; i++)
                if (out[i] && in[i]) throw new BadRequest("position " + i + " is pinned and excluded");
            if (pinned.length > size) throw new BadRequest("pinned: " + pinned.length + " for " + size + " slots");
            double[] kept = rules.keep == null ? null : column(columns, rules.keep, items.length);
            Selection of = new Selection(this, items, scores, size, Math.min(user.atLeast, size), pinned, out);
            return rules.keep == null ? of.greedy() : of.keeping(kept, rules.share);
        }

        private static boolean[] marked(String what, int[] positions, int n) {
            if (positions == null) throw new BadRequest(what + ": null; expected distinct positions, or none");
            boolean[] out = new boolean[n];
            for (int position : positions) {
                if (position < 0 || position >= n || out[position])
                    throw new BadRequest(what + ": " + position + "; expected distinct positions in [0, " + n + ")");
                out[position] = true;
            }
            return out;
        }
    }

    /** What a slate may hold. */
    static final class Rules {
        final int size, atLeast;
        final long[] sizeByUser, atLeastByUser; // by user of the solve; null where all have the same
        final String[] keys;
        final int[] offsets; // of each key's categories, and how many there are
        final String keep; // the column of which slates keep a share; null for none
        final double share;
        private final Map<String, Integer> atMost = new LinkedHashMap<>();
        private final Map<String, double[]> steps = new LinkedHashMap<>();
        private final Map<String, Double> slopes = new LinkedHashMap<>();

        Rules(Container file, Map<String, Object> of, Map<String, Policy.ItemKey> items, int users, boolean isSchema1) {
            String size_ = isSchema1 ? "sizes" : "size_by_user", least_ = isSchema1 ? "leasts" : "at_least_by_user";
            String weights_ = isSchema1 ? "positions" : "slot_weights";
            size = Json.whole(of.get("size"));
            atLeast = Json.whole(of.get("at_least"));
            require(size >= 1 && atLeast >= 0 && atLeast <= size, "slate: size or at_least");
            sizeByUser = (Boolean) of.get(size_) ? byUser(file, "slate/" + size_, users) : null;
            atLeastByUser = (Boolean) of.get(least_) ? byUser(file, "slate/" + least_, users) : null;
            for (Object cap : Json.list(of.get("at_most"))) {
                String key = Policy.name(Json.list(cap).get(0));
                int most = Json.whole(Json.list(cap).get(1));
                require(most >= 1 && atMost.put(key, most) == null, "slate: at_most of " + key);
            }
            for (Object each : Json.list(of.get("diminishing"))) {
                String key = Policy.name(Json.list(each).get(0));
                double[] first = file.doubles("slate/diminishing/" + steps.size());
                double slope = Json.number(Json.list(each).get(1));
                boolean grows = first.length > 0 && first[0] >= 0.0 && slope >= 0.0 && Double.isFinite(slope);
                for (int j = 1; j < first.length; j++) grows = grows && first[j - 1] <= first[j];
                require(grows && steps.put(key, first) == null, "slate: decrements of " + key);
                slopes.put(key, slope);
            }
            double[] weights = (Boolean) of.get(weights_) ? file.doubles("slate/" + weights_) : null;
            require(weights == null || weights.length >= size, "slate: slot_weights");
            for (int j = 0; weights != null && j < weights.length; j++)
                require(weights[j] > 0.0 && weights[j] <= (j == 0 ? 1.0 : weights[j - 1]), "slate: slot_weights");
            Set<String> named = new LinkedHashSet<>(atMost.keySet());
            named.addAll(steps.keySet());
            keys = named.toArray(new String[0]);
            offsets = new int[keys.length + 1];
            for (int k = 0; k < keys.length; k++) {
                require(items.containsKey(keys[k]), "slate: the items have no key " + keys[k]);
                offsets[k + 1] = Math.addExact(offsets[k], items.get(keys[k]).labels());
            }
            List<Object> kept = of.get("keep") == null ? null : Json.list(of.get("keep"));
            keep = kept == null ? null : (String) kept.get(0);
            share = kept == null ? 0.0 : Json.number(kept.get(1));
            require(kept == null || (keep != null && share >= 0.0 && share <= 1.0), "slate: the share that is kept");
        }

        private long[] byUser(Container file, String name, int users) {
            long[] out = file.longs(name);
            file.shaped(name, users);
            for (long one : out) require(one >= 0 && one <= size, name + " has " + one);
            return out;
        }

        /** What the j-th item of a category of this key costs. */
        double step(String key, int j, boolean decrements) {
            if (atMost.containsKey(key) && j >= atMost.get(key)) return Double.POSITIVE_INFINITY;
            double[] first = steps.get(key);
            if (first == null || !decrements) return 0.0;
            int last = first.length - 1;
            return first[Math.min(j, last)] + slopes.get(key) * Math.max(j - last, 0);
        }

        /** The first n steps of every key. */
        double[][] first(int n, boolean decrements) {
            double[][] out = new double[keys.length][n];
            for (int k = 0; k < keys.length; k++)
                for (int j = 0; j < n; j++) out[k][j] = step(keys[k], j, decrements);
            return out;
        }

        /** Which key a category is of. */
        int system(int category) {
            int k = 0;
            while (category >= offsets[k + 1]) k++;
            return k;
        }
    }

    /** The candidates of one request and what may be in its slate: greedy, and the search where a share is kept. */
    static final class Selection {
        static final double GAIN = 1e-12, ROUNDING = 1e-9;
        static final int ROUNDS = 50;

        private final double[] scores;
        private final long[] ranks;
        private final int[][] categories; // of each candidate, numbered over the request
        private final int[] system; // the key of each category
        private final double[][] steps, caps; // by key; without decrements
        private final int[] counts; // of each category; all 0 between calls
        private final int size, least;
        private final int[] pinned;
        private final boolean[] excluded;

        Selection(Policy policy, int[] items, double[] scores, int size, int least, int[] pinned, boolean[] excluded) {
            int n = items.length;
            this.scores = scores;
            this.size = size;
            this.least = least;
            this.pinned = pinned;
            this.excluded = excluded;
            ranks = new long[n];
            categories = new int[n][];
            int total = 0;
            for (int i = 0; i < n; i++) {
                ranks[i] = policy.rank(items[i]);
                categories[i] = policy.categories(items[i]);
                total += categories[i].length;
            }
            int[] all = new int[total];
            int at = 0;
            for (int[] own : categories) for (int category : own) all[at++] = category;
            int[] there = IntStream.of(all).sorted().distinct().toArray();
            for (int[] own : categories) for (int j = 0; j < own.length; j++) own[j] = Arrays.binarySearch(there, own[j]);
            system = IntStream.of(there).map(policy.rules::system).toArray();
            counts = new int[there.length];
            steps = policy.rules.first(Math.max(size, 1), true);
            caps = policy.rules.first(Math.max(size, 1), false);
        }

        /** The same, where nothing but a slate may be in the slate, and all of it has to. */
        private Selection(Selection of, int[] slate) {
            scores = of.scores;
            ranks = of.ranks;
            categories = of.categories;
            system = of.system;
            steps = of.steps;
            caps = of.caps;
            counts = of.counts;
            pinned = of.pinned;
            size = least = slate.length;
            excluded = new boolean[scores.length];
            Arrays.fill(excluded, true);
            for (int i : slate) excluded[i] = false;
        }

        private void count(int i, int change) {
            for (int category : categories[i]) counts[category] += change;
        }

        private void count(int[] slate, int n, int change) {
            for (int j = 0; j < n; j++) count(slate[j], change);
        }

        /** The m of the specification: what candidate i adds to those that are counted. */
        private double marginal(int i, double[] of, double[][] costs) {
            double m = of[i];
            for (int category : categories[i]) {
                double[] cost = costs[system[category]];
                m = m - cost[Math.min(counts[category], cost.length - 1)];
            }
            return m;
        }

        int[] greedy() {
            return greedy(scores, steps);
        }

        /** Greedy by score less steps; ties by rank of the id, then by position. */
        private int[] greedy(double[] of, double[][] costs) {
            int[] slate = Arrays.copyOf(pinned, Math.max(size, pinned.length));
            boolean[] out = excluded.clone();
            int m = pinned.length;
            for (int i : pinned) out[i] = true;
            count(slate, m, 1);
            while (m < size) {
                int best = -1;
                double most = Double.NEGATIVE_INFINITY;
                for (int i = 0; i < of.length; i++) {
                    if (out[i]) continue;
                    double worth = marginal(i, of, costs);
                    if (worth > most || (best >= 0 && worth == most && ranks[i] < ranks[best])) {
                        best = i;
                        most = worth;
                    }
                }
                if (best < 0 || (most <= 0.0 && m >= least)) break;
                slate[m++] = best;
                out[best] = true;
                count(best, 1);
            }
            count(slate, m, -1);
            return Arrays.copyOf(slate, m);
        }

        /** W of the specification. */
        private double worth(int[] slate) {
            double total = 0.0;
            for (int i : slate) {
                total = total + marginal(i, scores, steps);
                count(i, 1);
            }
            count(slate, slate.length, -1);
            return total;
        }

        /** R of the specification. */
        private static double sum(int[] slate, double[] column) {
            double total = 0.0;
            for (int i : slate) total = total + column[i];
            return total;
        }

        /** The slate that keeps a share of a column: a price on the column between two slates, then exchanges. */
        int[] keeping(double[] column, double share) {
            int[] high = greedy(column, caps), low = greedy();
            double organic = sum(high, column);
            double target = organic - (1.0 - share) * Math.abs(organic);
            target = target - ROUNDING * Math.abs(target);
            if (sum(low, column) >= target) return low;

            double[] tilted = new double[scores.length];
            for (int round = 0; round < ROUNDS; round++) {
                double nu = (worth(low) - worth(high)) / (sum(high, column) - sum(low, column));
                for (int i = 0; i < tilted.length; i++) tilted[i] = scores[i] + nu * column[i];
                int[] mid = greedy(tilted, steps);
                if (sum(mid, column) >= target) {
                    if (sum(mid, column) >= sum(high, column) && worth(mid) <= worth(high)) break;
                    high = mid;
                } else {
                    if (sum(mid, column) <= sum(low, column)) break;
                    low = mid;
                }
            }
            int[] chosen = improve(high, column, target, false), repaired = improve(low, column, target, true);
            if (repaired != null && worth(repaired) > worth(chosen)) chosen = repaired;
            return new Selection(this, chosen).greedy();
        }

        /** Exchanges, adds and drops single candidates while that gains; null where no exchange repairs. */
        private int[] improve(int[] slate, double[] column, double target, boolean repair) {
            for (int round = 0; round < 2 * size + 1; round++) {
                double best = repair ? Double.NEGATIVE_INFINITY : GAIN, kept = sum(slate, column);
                int place = -1, comes = -1; // candidate `comes` comes to `place`, or with -1 the last of the slate does
                boolean[] out = excluded.clone();
                for (int i : slate) out[i] = true;
                count(slate, slate.length, 1);
                for (int j = pinned.length; j < Math.min(slate.length + 1, size); j++) {
                    boolean filled = j < slate.length; // else it is the place behind the last
                    if (filled) count(slate[j], -1);
                    double base = filled ? marginal(slate[j], scores, steps) : 0.0;
                    double r = filled ? kept - column[slate[j]] : kept;
                    if (filled && !repair && slate.length > least && r >= target && 0.0 - base > best) {
                        best = 0.0 - base;
                        place = j;
                        comes = -1;
                    }
                    for (int i = 0; i < scores.length; i++) {
                        if (out[i] || !(r + column[i] >= target)) continue;
                        double more = marginal(i, scores, steps) - base;
                        if (more > best) {
                            best = more;
                            place = j;
                            comes = i;
                        }
                    }
                    if (filled) count(slate[j], 1);
                }
                count(slate, slate.length, -1);
                if (place < 0) break;
                int[] next = Arrays.copyOf(slate, comes < 0 ? slate.length - 1 : Math.max(slate.length, place + 1));
                if (comes >= 0) next[place] = comes;
                else if (place < next.length) next[place] = slate[slate.length - 1];
                slate = next;
                repair = false;
            }
            return repair ? null : slate;
        }
    }

    /** The container: verified, then read. */
    static final class Container {
        private static final Pattern NAMED =
                Pattern.compile("\"checksum\"[ \\t\\r\\n]*:[ \\t\\r\\n]*\"([0-9a-f]{64})\"");
        final Map<String, String> header = new LinkedHashMap<>();
        private final Map<String, Object> arrays = new HashMap<>();
        private final Set<String> taken = ConcurrentHashMap.newKeySet(); // requests read arrays, too
        private final Map<String, int[]> shapes = new HashMap<>();

        Container(byte[] raw) throws Refused {
            if (raw.length < 8) throw new Refused("truncated");
            ByteBuffer bytes = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
            long length = bytes.getLong(0);
            if (length < 0 || length > raw.length - 8) throw new Refused("truncated, or no snapshot");
            int start = 8 + (int) length;
            check(raw, start); // before anything is parsed
            String text = text(raw, 8, (int) length);
            Map<String, Object> described = Json.object(Json.parse(text));
            Map<String, Object> metadata = Json.object(described.remove("__metadata__"));
            metadata.forEach((name, value) -> header.put(name, (String) value));
            if (!Policy.FORMAT.equals(header.get("format"))) throw new Refused("not a snapshot");
            require(header.get("schema").matches("[1-9][0-9]{0,8}"), "schema");
            if (Integer.parseInt(header.get("schema")) > Policy.SCHEMA) throw new Refused("newer schema");

            long end = 0, bytesOfAll = 0;
            for (Map.Entry<String, Object> each : described.entrySet()) {
                Map<String, Object> entry = Json.object(each.getValue());
                int[] shape = Json.list(entry.get("shape")).stream().mapToInt(Json::whole).toArray();
                int n = 1;
                for (int side : shape) {
                    require(side >= 0, "shape");
                    n = Math.multiplyExact(n, side);
                }
                shapes.put(each.getKey(), shape);
                int first = Json.whole(Json.list(entry.get("data_offsets")).get(0));
                int last = Json.whole(Json.list(entry.get("data_offsets")).get(1));
                String dtype = (String) entry.get("dtype");
                int width = switch (dtype) {
                    case "F64", "I64" -> 8;
                    case "I32" -> 4;
                    case "U8" -> 1;
                    default -> throw new Refused("dtype " + dtype);
                };
                if (n < 0 || first < 0 || (long) last - first != (long) n * width || last > raw.length - start)
                    throw new Refused("shape");
                end = Math.max(end, last);
                bytesOfAll += last - first;
                ByteBuffer part = ByteBuffer.wrap(raw, start + first, n * width).slice().order(ByteOrder.LITTLE_ENDIAN);
                arrays.put(each.getKey(), switch (dtype) {
                    case "F64" -> {
                        double[] values = new double[n];
                        part.asDoubleBuffer().get(values);
                        for (double value : values) if (!Double.isFinite(value)) throw new Refused("not finite");
                        yield values;
                    }
                    case "I64" -> {
                        long[] values = new long[n];
                        part.asLongBuffer().get(values);
                        yield values;
                    }
                    case "I32" -> {
                        int[] values = new int[n];
                        part.asIntBuffer().get(values);
                        yield values;
                    }
                    default -> {
                        byte[] values = new byte[n];
                        part.get(values);
                        yield values;
                    }
                });
            }
            if (start + end != raw.length || bytesOfAll != end)
                throw new Refused("truncated, or longer than its header says");
        }

        /** SHA-256 of the file with the 64 digits of the checksum, which occur once in the header, replaced by zeros. */
        private static void check(byte[] raw, int start) throws Refused {
            String text = new String(raw, 0, start, StandardCharsets.ISO_8859_1);
            Matcher named = NAMED.matcher(text); // in a string, its quotes would be escaped
            if (!named.find()) throw new Refused("tampered: no checksum");
            int at = named.start(1);
            String digest = named.group(1);
            if (named.find() || text.indexOf(digest) != at || text.indexOf(digest, at + 1) >= 0)
                throw new Refused("tampered: no checksum");
            try {
                MessageDigest sha = MessageDigest.getInstance("SHA-256");
                sha.update(raw, 0, at);
                sha.update("0".repeat(64).getBytes(StandardCharsets.US_ASCII));
                sha.update(raw, at + 64, raw.length - at - 64);
                if (!HexFormat.of().formatHex(sha.digest()).equals(digest)) throw new Refused("tampered");
            } catch (java.security.NoSuchAlgorithmException error) {
                throw new IllegalStateException(error); // every JDK has it
            }
        }

        /** Refuse arrays that nobody has asked for. */
        void checkAllTaken() {
            for (String name : arrays.keySet())
                require(taken.contains(name), "unexpected array " + name);
        }

        private Object array(String name) {
            Object array = arrays.get(name);
            taken.add(name);
            if (array == null) throw new IllegalArgumentException("the array " + name + " is missing");
            return array;
        }

        /** How many rows an array has that must be of this shape; -1 is any number of rows. */
        int shaped(String name, int... expected) {
            array(name);
            int[] shape = shapes.get(name);
            boolean fits = shape.length == expected.length && (expected[0] < 0 || shape[0] == expected[0]);
            for (int j = 1; fits && j < shape.length; j++) fits = shape[j] == expected[j];
            require(fits, name + " has shape " + Arrays.toString(shape) + "; expected " + Arrays.toString(expected));
            return shape[0];
        }

        private static String text(byte[] raw, int first, int length) {
            try {
                return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw, first, length)).toString();
            } catch (CharacterCodingException error) {
                throw new IllegalArgumentException("a text is not UTF-8");
            }
        }

        double[] doubles(String name) {
            shaped(name, -1);
            return (double[]) array(name);
        }

        long[] longs(String name) {
            shaped(name, -1);
            return (long[]) array(name);
        }

        int[] ints(String name) {
            return (int[]) array(name);
        }

        private byte[] bytes(String name) {
            shaped(name, -1);
            return (byte[]) array(name);
        }

        /** Labels or ids: Long, BigInteger, Double, Boolean or String, as the document says. */
        List<Object> labels(String name, Object kind) {
            List<Object> out = new ArrayList<>();
            switch ((String) kind) {
                case "int" -> { for (long label : longs(name)) out.add(label); }
                case "uint" -> { for (long label : longs(name)) out.add(new BigInteger(Long.toUnsignedString(label))); }
                case "float" -> { for (double label : doubles(name)) out.add(label); }
                case "bool" -> {
                    for (byte label : bytes(name)) {
                        require(label == 0 || label == 1, name + " has a boolean that is not 0 or 1");
                        out.add(label == 1);
                    }
                }
                case "str" -> {
                    byte[] text = bytes(name + "/text");
                    long[] ends = longs(name + "/ends");
                    boolean rises = ends.length > 0 && ends[0] == 0 && ends[ends.length - 1] == text.length;
                    for (int k = 0; rises && k + 1 < ends.length; k++) rises = ends[k] <= ends[k + 1];
                    require(rises, "the ends of " + name + " do not rise from 0 to " + text.length);
                    for (int k = 0; k + 1 < ends.length; k++)
                        out.add(text(text, (int) ends[k], (int) (ends[k + 1] - ends[k])));
                }
                default -> throw new IllegalArgumentException("labels of " + name + " are " + kind);
            }
            return out;
        }
    }

    /** As much of a JSON parser as it takes: Map, List, String, Long, BigInteger, Double, Boolean, null. */
    static final class Json {
        private static final Pattern NUMBER =
                Pattern.compile("-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?");
        private static final int DEEPEST = 64; // objects and lists in one another
        private final String text;
        private int at, depth;

        private Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            try {
                Json json = new Json(text);
                Object value = json.value();
                json.space();
                if (json.at < text.length()) throw new IllegalArgumentException("JSON goes on after its end");
                return value;
            } catch (StringIndexOutOfBoundsException error) {
                throw new IllegalArgumentException("JSON ends early");
            }
        }

        @SuppressWarnings("unchecked")
        static Map<String, Object> object(Object value) {
            return (Map<String, Object>) Objects.requireNonNull(value);
        }

        @SuppressWarnings("unchecked")
        static List<Object> list(Object value) {
            return (List<Object>) Objects.requireNonNull(value);
        }

        static int whole(Object value) {
            return Math.toIntExact((Long) value);
        }

        static double number(Object value) {
            return ((Number) value).doubleValue();
        }

        private Object value() {
            space();
            char first = text.charAt(at);
            if (first == '{' || first == '[') {
                if (++depth > DEEPEST) throw new IllegalArgumentException("JSON is deeper than " + DEEPEST);
                Object value = first == '{' ? members() : entries();
                depth--;
                return value;
            }
            if (first == '"') return string();
            int end = at;
            while (end < text.length() && ",]} \t\r\n".indexOf(text.charAt(end)) < 0) end++;
            String word = text.substring(at, end);
            at = end;
            return switch (word) {
                case "true" -> true;
                case "false" -> false;
                case "null" -> null;
                default -> {
                    require(NUMBER.matcher(word).matches(), "JSON: no number before " + at);
                    if (!word.matches("-?[0-9]{1,400}")) yield Double.valueOf(word);
                    BigInteger whole = new BigInteger(word);
                    yield whole.bitLength() < 64 ? (Object) whole.longValue() : whole;
                }
            };
        }

        private Map<String, Object> members() {
            Map<String, Object> out = new LinkedHashMap<>();
            at++;
            for (space(); text.charAt(at) != '}'; space()) {
                if (!out.isEmpty()) expect(',');
                space();
                String name = string();
                space();
                expect(':');
                if (out.containsKey(name)) throw new IllegalArgumentException("JSON has " + name + " twice");
                out.put(name, value());
            }
            at++;
            return out;
        }

        private List<Object> entries() {
            List<Object> out = new ArrayList<>();
            at++;
            for (space(); text.charAt(at) != ']'; space()) {
                if (!out.isEmpty()) expect(',');
                out.add(value());
            }
            at++;
            return out;
        }

        private String string() {
            expect('"');
            StringBuilder out = new StringBuilder();
            while (text.charAt(at) != '"') {
                char c = text.charAt(at++);
                if (c == '\\') {
                    c = text.charAt(at++);
                    int control = "bfnrt".indexOf(c);
                    if (c == 'u') {
                        out.append((char) HexFormat.fromHexDigits(text, at, at + 4));
                        at += 4;
                    } else {
                        require(control >= 0 || "\"\\/".indexOf(c) >= 0, "JSON: no escape \\" + c);
                        out.append(control < 0 ? c : "\b\f\n\r\t".charAt(control));
                    }
                } else {
                    require(c >= ' ', "JSON: a control character in a string");
                    out.append(c);
                }
            }
            at++;
            return out.toString();
        }

        private void expect(char c) {
            if (text.charAt(at++) != c) throw new IllegalArgumentException("JSON: expected " + c + " at " + (at - 1));
        }

        private void space() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
        }
    }
}
