// A host on the JVM: reads a snapshot of oasis_alloc, verifies it, scores candidates and takes slates from them.
//
//     java ScoreHost.java <snapshot> <vectors> [<snapshot> <vectors> ...]
//
// Needs JDK 17 or later (since then all arithmetic of doubles is strict IEEE 754) and nothing else. It follows
// docs/snapshot.md section by section: `Policy` has the prices and the score, `Rules` and `Selection` the slate, and
// `Container` and `Json` read the file; these are what a service would take from here. The main program answers the
// requests of a vectors file (tests/golden) and compares: scores to the last bit, slates to the position.

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
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
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

public class ScoreHost {

    public static void main(String[] args) throws Exception {
        if (args.length == 0 || args.length % 2 != 0) {
            System.err.println("usage: java ScoreHost.java <snapshot> <vectors> [<snapshot> <vectors> ...]");
            System.exit(2);
        }
        int wrong = 0;
        for (int a = 0; a < args.length; a += 2) {
            try {
                Policy policy = Policy.load(Files.readAllBytes(Path.of(args[a])));
                wrong += compare(policy, Json.object(Json.parse(Files.readString(Path.of(args[a + 1])))));
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
            List<Object> ids = Json.list(request.get("ids"));
            int[] items = new int[ids.size()];
            for (int i = 0; i < items.length; i++) items[i] = policy.encode(ids.get(i));
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

    static double[] hexadecimal(Object texts) {
        return Json.list(texts).stream().mapToDouble(text -> Double.parseDouble((String) text)).toArray();
    }

    static int[] wholes(Object numbers) {
        return Json.list(numbers).stream().mapToInt(Json::whole).toArray();
    }
}

/** A snapshot that must not be served. */
class Refused extends Exception {
    Refused(String message) {
        super(message);
    }
}

/** Prices that serve; immutable, and safe under threads. */
class Policy {
    static final String FORMAT = "oasis_alloc.policy";
    static final int SCHEMA = 1;

    record User(int[] codes, int size, int atLeast) {}

    record Term(String column, String[] keys, Map<List<Integer>, Double> prices) {}

    /** Labels of items, ascending: those of item i are codes[indptr[i]] to codes[indptr[i + 1] - 1]. */
    record ItemKey(long[] indptr, int[] codes) {}

    final String id;
    private final Container arrays;
    private final int nItems;
    private final List<String> weighed = new ArrayList<>(); // null is a constant 1
    private final List<Double> weights = new ArrayList<>();
    private final List<Term> terms = new ArrayList<>();
    private final List<String> measured; // columns that have prices, sorted by code points
    private final Map<Object, Integer> numbers; // of ids; null where the numbers are the ids
    private final long[] rank; // null where it is the item's number
    private final Map<String, ItemKey> itemKeys = new LinkedHashMap<>();
    private final Map<String, Map<Object, Integer>> userKeys = new LinkedHashMap<>();
    private final boolean knowsUsers;
    final Rules rules;

    static Policy load(byte[] raw) throws Refused {
        try {
            return new Policy(new Container(raw));
        } catch (RuntimeException error) {
            throw new Refused("the content is no policy (" + error + ")");
        }
    }

    private Policy(Container file) throws Refused {
        arrays = file;
        id = file.header.get("policy_id");
        Map<String, Object> of = Json.object(Json.parse(file.header.get("policy")));
        nItems = Json.whole(of.get("n_items"));
        for (Object weight : Json.list(of.get("weights"))) {
            weighed.add((String) Json.list(weight).get(0));
            weights.add(Json.number(Json.list(weight).get(1)));
        }
        int k = 0;
        for (Object each : Json.list(of.get("item_keys"))) {
            Map<String, Object> key = Json.object(each);
            int[] codes = file.ints("item_keys/" + k + "/codes");
            boolean several = (Boolean) key.get("several");
            itemKeys.put((String) key.get("name"), several
                    ? new ItemKey(file.longs("item_keys/" + k + "/indptr"), codes) : single(codes));
            k++;
        }
        k = 0;
        for (Object each : Json.list(of.get("user_keys"))) {
            Map<String, Object> key = Json.object(each);
            List<Object> labels = file.labels("user_keys/" + k++ + "/labels", key.get("labels"));
            userKeys.put((String) key.get("name"), numbered(labels));
        }
        k = 0;
        Set<String> priced = new TreeSet<>(Policy::byCodePoints);
        for (Object each : Json.list(of.get("terms"))) {
            Map<String, Object> term = Json.object(each);
            String[] keys = Json.list(term.get("keys")).toArray(new String[0]);
            int[] groups = file.ints("terms/" + k + "/groups");
            double[] price = file.doubles("terms/" + k++ + "/price");
            Map<List<Integer>, Double> prices = new HashMap<>();
            for (int g = 0; g < price.length; g++) {
                List<Integer> codes = new ArrayList<>();
                for (int j = 0; j < keys.length; j++) codes.add(groups[g * keys.length + j]);
                prices.put(codes, price[g]);
            }
            terms.add(new Term((String) term.get("column"), keys, prices));
            if (term.get("column") != null) priced.add((String) term.get("column"));
        }
        measured = List.copyOf(priced);
        Object kind = of.get("items");
        numbers = kind == null ? null : numbered(file.labels("items", kind));
        rank = (Boolean) of.get("rank") ? file.longs("rank") : null;
        knowsUsers = (Boolean) of.get("users");
        rules = new Rules(file, Json.object(of.get("slate")));
    }

    private static ItemKey single(int[] codes) {
        long[] indptr = new long[codes.length + 1];
        for (int i = 0; i < codes.length; i++) indptr[i + 1] = indptr[i] + (codes[i] < 0 ? 0 : 1);
        return new ItemKey(indptr, Arrays.stream(codes).filter(code -> code >= 0).toArray());
    }

    private static Map<Object, Integer> numbered(List<Object> labels) {
        Map<Object, Integer> out = new HashMap<>();
        for (Object label : labels) out.put(label, out.size());
        return out;
    }

    private static int byCodePoints(String a, String b) {
        return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
    }

    /** The number of an item, -1 for one that was never seen. */
    int encode(Object itemId) {
        if (numbers != null) return numbers.getOrDefault(itemId, -1);
        return itemId instanceof Long number && number >= 0 && number < nItems ? number.intValue() : -1;
    }

    /** A user by number of the solve, by {key: label}, or nobody known (null). */
    User user(Object given) {
        int size = rules.size, atLeast = rules.atLeast;
        if (given instanceof Long number) {
            if (!knowsUsers) throw new IllegalArgumentException("this policy does not know users by number");
            int user = Math.toIntExact(number), width = userKeys.size();
            int segment = arrays.ints("segment_of_user")[user];
            if (rules.sizes != null) size = Math.toIntExact(rules.sizes[user]);
            if (rules.leasts != null) atLeast = Math.toIntExact(rules.leasts[user]);
            int[] codes = Arrays.copyOfRange(arrays.ints("segments"), segment * width, (segment + 1) * width);
            return new User(codes, size, atLeast);
        }
        Map<String, Object> labels = given == null ? Map.of() : Json.object(given);
        int[] codes = new int[userKeys.size()];
        int j = 0;
        for (Map.Entry<String, Map<Object, Integer>> key : userKeys.entrySet())
            codes[j++] = key.getValue().getOrDefault(labels.get(key.getKey()), -1);
        return new User(codes, size, atLeast);
    }

    /** Priced scores, every operation rounded on its own, in this order. */
    double[] scores(User user, int[] items, Map<String, double[]> columns) {
        double[] out = new double[items.length];
        boolean asItIs = weights.size() == 1 && weights.get(0) == 1.0 && weighed.get(0) != null;
        for (int i = 0; i < items.length; i++) {
            double v = 0.0;
            if (asItIs) {
                v = columns.get(weighed.get(0))[i];
            } else {
                for (int t = 0; t < weights.size(); t++) {
                    String column = weighed.get(t);
                    v = v + (column == null ? weights.get(t) : weights.get(t) * columns.get(column)[i]);
                }
            }
            double s = v - price(null, user, items[i]);
            for (String column : measured) s = s - price(column, user, items[i]) * columns.get(column)[i];
            out[i] = s;
        }
        return out;
    }

    /** What a unit of a column costs: prices added up, terms in order, groups ascending; a service would keep these. */
    private double price(String column, User user, int item) {
        double total = 0.0;
        for (Term term : terms) {
            if (!Objects.equals(term.column(), column)) continue;
            int[][] choices = new int[term.keys().length][];
            int combinations = 1;
            for (int j = 0; j < choices.length; j++) {
                choices[j] = codes(term.keys()[j], user, item);
                combinations *= choices[j].length;
            }
            for (int number = 0; number < combinations; number++) {
                Integer[] group = new Integer[choices.length];
                int rest = number;
                for (int j = choices.length - 1; j >= 0; j--) { // the last key changes first: groups ascend
                    group[j] = choices[j][rest % choices[j].length];
                    rest /= choices[j].length;
                }
                Double price = term.prices().get(Arrays.asList(group));
                if (price != null) total = total + price;
            }
        }
        return total;
    }

    private int[] codes(String key, User user, int item) {
        if (itemKeys.containsKey(key)) return codes(key, item);
        return new int[] {user.codes()[new ArrayList<>(userKeys.keySet()).indexOf(key)]};
    }

    private int[] codes(String key, int item) {
        ItemKey of = itemKeys.get(key);
        if (item < 0) return new int[0];
        return Arrays.copyOfRange(of.codes(), (int) of.indptr()[item], (int) of.indptr()[item + 1]);
    }

    /** The categories that the rules count an item in: keys in the order of the rules, labels ascending. */
    List<Category> categories(int item) {
        List<Category> out = new ArrayList<>();
        for (String key : rules.keys) for (int code : codes(key, item)) out.add(new Category(key, code));
        return out;
    }

    long rank(int item) {
        return item < 0 ? Long.MAX_VALUE : rank == null ? item : rank[item];
    }

    /** Positions of the slate, best first. */
    int[] slate(User user, int[] items, Map<String, double[]> columns, double[] scores, Integer k, int[] pinned,
            int[] exclude) {
        int size = Math.min(k == null ? user.size() : k, items.length);
        Selection of = new Selection(this, items, scores, size, Math.min(user.atLeast(), size), pinned, exclude);
        List<Integer> slate = rules.keep == null ? of.greedy() : of.keeping(columns.get(rules.keep), rules.share);
        return slate.stream().mapToInt(i -> i).toArray();
    }
}

/** A label of a key that the rules of a slate count. */
record Category(String key, int code) {}

/** What a slate may hold. */
class Rules {
    final int size, atLeast;
    final long[] sizes, leasts; // by user of the solve; null where all have the same
    final Set<String> keys = new LinkedHashSet<>();
    final String keep; // the column of which slates keep a share; null for none
    final double share;
    private final Map<String, Integer> atMost = new LinkedHashMap<>();
    private final Map<String, double[]> steps = new LinkedHashMap<>();
    private final Map<String, Double> slopes = new LinkedHashMap<>();

    Rules(Container file, Map<String, Object> of) {
        size = Json.whole(of.get("size"));
        atLeast = Json.whole(of.get("at_least"));
        sizes = (Boolean) of.get("sizes") ? file.longs("slate/sizes") : null;
        leasts = (Boolean) of.get("leasts") ? file.longs("slate/leasts") : null;
        for (Object cap : Json.list(of.get("at_most")))
            atMost.put((String) Json.list(cap).get(0), Json.whole(Json.list(cap).get(1)));
        for (Object each : Json.list(of.get("diminishing"))) {
            String key = (String) Json.list(each).get(0);
            steps.put(key, file.doubles("slate/diminishing/" + steps.size()));
            slopes.put(key, Json.number(Json.list(each).get(1)));
        }
        keys.addAll(atMost.keySet());
        keys.addAll(steps.keySet());
        List<Object> kept = of.get("keep") == null ? null : Json.list(of.get("keep"));
        keep = kept == null ? null : (String) kept.get(0);
        share = kept == null ? 0.0 : Json.number(kept.get(1));
    }

    /** What the j-th item of a category of this key costs. */
    double step(String key, int j, boolean decrements) {
        if (atMost.containsKey(key) && j >= atMost.get(key)) return Double.POSITIVE_INFINITY;
        double[] first = steps.get(key);
        if (first == null || !decrements) return 0.0;
        int last = first.length - 1;
        return first[Math.min(j, last)] + slopes.get(key) * Math.max(j - last, 0);
    }
}

/** The candidates of one request and what may be in its slate: greedy, and the search where a share is kept. */
class Selection {
    static final double GAIN = 1e-12, ROUNDING = 1e-9;
    static final int ROUNDS = 50;

    private final Rules rules;
    private final double[] scores;
    private final long[] ranks;
    private final List<List<Category>> categories;
    private final int size, least;
    private final List<Integer> pinned;
    private final Set<Integer> excluded;

    Selection(Policy policy, int[] items, double[] scores, int size, int least, int[] pinned, int[] exclude) {
        rules = policy.rules;
        this.scores = scores;
        this.size = size;
        this.least = least;
        this.pinned = Arrays.stream(pinned).boxed().toList();
        excluded = Arrays.stream(exclude).boxed().collect(Collectors.toSet());
        ranks = Arrays.stream(items).mapToLong(policy::rank).toArray();
        categories = Arrays.stream(items).mapToObj(policy::categories).toList();
    }

    /** The same, where nothing but a slate may be in the slate, and all of it has to. */
    private Selection(Selection of, List<Integer> slate) {
        rules = of.rules;
        scores = of.scores;
        ranks = of.ranks;
        categories = of.categories;
        pinned = of.pinned;
        size = least = slate.size();
        excluded = IntStream.range(0, scores.length).boxed().collect(Collectors.toSet());
        excluded.removeAll(slate);
    }

    /** How many candidates of a slate each category has; a service would count in an array. */
    private Map<Category, Integer> counts(List<Integer> slate) {
        Map<Category, Integer> out = new HashMap<>();
        for (int i : slate) count(i, out);
        return out;
    }

    private void count(int i, Map<Category, Integer> counts) {
        for (Category category : categories.get(i)) counts.merge(category, 1, Integer::sum);
    }

    /** The m of the specification: what candidate i adds to those that are counted. */
    private double marginal(int i, Map<Category, Integer> counts, double[] of, boolean decrements) {
        double m = of[i];
        for (Category category : categories.get(i))
            m = m - rules.step(category.key(), counts.getOrDefault(category, 0), decrements);
        return m;
    }

    private double marginal(int i, Map<Category, Integer> counts) {
        return marginal(i, counts, scores, true);
    }

    List<Integer> greedy() {
        return greedy(scores, true);
    }

    /** Greedy by score less steps; ties by rank of the id, then by position. */
    private List<Integer> greedy(double[] of, boolean decrements) {
        List<Integer> slate = new ArrayList<>(pinned);
        Map<Category, Integer> counts = counts(slate);
        while (slate.size() < size) {
            int best = -1;
            double most = Double.NEGATIVE_INFINITY;
            for (int i = 0; i < of.length; i++) {
                if (excluded.contains(i) || slate.contains(i)) continue;
                double m = marginal(i, counts, of, decrements);
                if (m > most || (best >= 0 && m == most && ranks[i] < ranks[best])) {
                    best = i;
                    most = m;
                }
            }
            if (best < 0 || (most <= 0.0 && slate.size() >= least)) break;
            slate.add(best);
            count(best, counts);
        }
        return slate;
    }

    /** W of the specification. */
    private double worth(List<Integer> slate) {
        double total = 0.0;
        Map<Category, Integer> counts = new HashMap<>();
        for (int i : slate) {
            total = total + marginal(i, counts);
            count(i, counts);
        }
        return total;
    }

    /** R of the specification. */
    private static double sum(List<Integer> slate, double[] column) {
        double total = 0.0;
        for (int i : slate) total = total + column[i];
        return total;
    }

    /** The slate that keeps a share of a column: a price on the column between two slates, then exchanges. */
    List<Integer> keeping(double[] column, double share) {
        List<Integer> high = greedy(column, false), low = greedy();
        double organic = sum(high, column);
        double target = organic - (1.0 - share) * Math.abs(organic);
        target = target - ROUNDING * Math.abs(target);
        if (sum(low, column) >= target) return low;

        for (int round = 0; round < ROUNDS; round++) {
            double nu = (worth(low) - worth(high)) / (sum(high, column) - sum(low, column));
            double[] tilted = new double[scores.length];
            for (int i = 0; i < tilted.length; i++) tilted[i] = scores[i] + nu * column[i];
            List<Integer> mid = greedy(tilted, true);
            if (sum(mid, column) >= target) {
                if (sum(mid, column) >= sum(high, column) && worth(mid) <= worth(high)) break;
                high = mid;
            } else {
                if (sum(mid, column) <= sum(low, column)) break;
                low = mid;
            }
        }
        List<Integer> chosen = improve(high, column, target, false), repaired = improve(low, column, target, true);
        if (repaired != null && worth(repaired) > worth(chosen)) chosen = repaired;
        return new Selection(this, chosen).greedy();
    }

    /** Exchanges, adds and drops single candidates while that gains; null where no exchange repairs. */
    private List<Integer> improve(List<Integer> slate, double[] column, double target, boolean repair) {
        for (int round = 0; round < 2 * size + 1; round++) {
            double best = repair ? Double.NEGATIVE_INFINITY : GAIN, kept = sum(slate, column);
            List<Integer> better = null;
            for (int j = pinned.size(); j < Math.min(slate.size() + 1, size); j++) {
                boolean filled = j < slate.size(); // else it is the place behind the last
                List<Integer> rest = new ArrayList<>(slate);
                if (filled) rest.remove(j);
                Map<Category, Integer> counts = counts(rest);
                double base = filled ? marginal(slate.get(j), counts) : 0.0;
                double r = filled ? kept - column[slate.get(j)] : kept;
                if (filled && !repair && slate.size() > least && r >= target && 0.0 - base > best) {
                    best = 0.0 - base;
                    better = new ArrayList<>(slate);
                    better.set(j, slate.get(slate.size() - 1));
                    better.remove(slate.size() - 1);
                }
                for (int i = 0; i < scores.length; i++) {
                    if (slate.contains(i) || excluded.contains(i) || !(r + column[i] >= target)) continue;
                    double more = marginal(i, counts) - base;
                    if (more > best) {
                        best = more;
                        better = new ArrayList<>(slate.subList(0, j));
                        better.add(i);
                        if (filled) better.addAll(slate.subList(j + 1, slate.size()));
                    }
                }
            }
            if (better == null) break;
            slate = better;
            repair = false;
        }
        return repair ? null : slate;
    }
}

/** The container: verified, then read. */
class Container {
    final Map<String, String> header = new LinkedHashMap<>();
    private final Map<String, Object> arrays = new HashMap<>();

    Container(byte[] raw) throws Refused {
        if (raw.length < 8) throw new Refused("truncated");
        ByteBuffer bytes = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN);
        long length = bytes.getLong(0);
        if (length < 0 || length > raw.length - 8) throw new Refused("truncated, or no snapshot");
        int start = 8 + (int) length;
        String text = new String(raw, 8, (int) length, StandardCharsets.UTF_8);
        Map<String, Object> described = Json.object(Json.parse(text));
        Map<String, Object> metadata = Json.object(described.remove("__metadata__"));
        metadata.forEach((name, value) -> header.put(name, (String) value));
        if (!Policy.FORMAT.equals(header.get("format"))) throw new Refused("not a snapshot");
        if (Integer.parseInt(header.get("schema")) > Policy.SCHEMA) throw new Refused("newer schema");
        check(raw, start, header.get("checksum"));

        long end = 0;
        for (Map.Entry<String, Object> each : described.entrySet()) {
            Map<String, Object> entry = Json.object(each.getValue());
            int n = 1;
            for (Object side : Json.list(entry.get("shape"))) n = Math.multiplyExact(n, Json.whole(side));
            int first = Json.whole(Json.list(entry.get("data_offsets")).get(0));
            int last = Json.whole(Json.list(entry.get("data_offsets")).get(1));
            String dtype = (String) entry.get("dtype");
            int width = switch (dtype) {
                case "F64", "I64" -> 8;
                case "I32" -> 4;
                case "U8" -> 1;
                default -> throw new Refused("dtype " + dtype);
            };
            if (first < 0 || last - first != n * width || last > raw.length - start) throw new Refused("shape");
            end = Math.max(end, last);
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
        if (start + end != raw.length) throw new Refused("truncated, or longer than its header says");
    }

    /** SHA-256 of the file with the 64 digits of the checksum, which occur once in the header, replaced by zeros. */
    private static void check(byte[] raw, int start, String digest) throws Refused {
        String text = new String(raw, 0, start, StandardCharsets.ISO_8859_1);
        if (digest == null || !digest.matches("[0-9a-f]{64}")) throw new Refused("tampered: no checksum");
        int at = text.indexOf(digest);
        if (at < 0 || text.indexOf(digest, at + 1) >= 0) throw new Refused("tampered: no checksum");
        byte[] zeroed = raw.clone();
        Arrays.fill(zeroed, at, at + 64, (byte) '0');
        try {
            byte[] found = MessageDigest.getInstance("SHA-256").digest(zeroed);
            if (!HexFormat.of().formatHex(found).equals(digest)) throw new Refused("tampered");
        } catch (java.security.NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every JDK has it
        }
    }

    double[] doubles(String name) {
        return (double[]) Objects.requireNonNull(arrays.get(name), name);
    }

    long[] longs(String name) {
        return (long[]) Objects.requireNonNull(arrays.get(name), name);
    }

    int[] ints(String name) {
        return (int[]) Objects.requireNonNull(arrays.get(name), name);
    }

    private byte[] bytes(String name) {
        return (byte[]) Objects.requireNonNull(arrays.get(name), name);
    }

    /** Labels or ids: Long, Double, Boolean or String, as the document says. */
    List<Object> labels(String name, Object kind) {
        List<Object> out = new ArrayList<>();
        switch ((String) kind) {
            case "int" -> { for (long label : longs(name)) out.add(label); }
            case "float" -> { for (double label : doubles(name)) out.add(label); }
            case "bool" -> { for (byte label : bytes(name)) out.add(label != 0); }
            default -> {
                byte[] text = bytes(name + "/text");
                long[] ends = longs(name + "/ends");
                for (int k = 0; k + 1 < ends.length; k++)
                    out.add(new String(text, (int) ends[k], (int) (ends[k + 1] - ends[k]), StandardCharsets.UTF_8));
            }
        }
        return out;
    }
}

/** As much of a JSON parser as it takes: Map, List, String, Long, Double, Boolean, null. */
class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json json = new Json(text);
        Object value = json.value();
        json.space();
        if (json.at < text.length()) throw new IllegalArgumentException("JSON goes on after its end");
        return value;
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
        if (first == '{') {
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
        if (first == '[') {
            List<Object> out = new ArrayList<>();
            at++;
            for (space(); text.charAt(at) != ']'; space()) {
                if (!out.isEmpty()) expect(',');
                out.add(value());
            }
            at++;
            return out;
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
                if (word.matches("-?[0-9]+")) yield Long.parseLong(word);
                yield Double.valueOf(word);
            }
        };
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
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else {
                    out.append(control < 0 ? c : "\b\f\n\r\t".charAt(control));
                }
            } else {
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
