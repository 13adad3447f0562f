// A service of another package: what it finds, and what it is told where a request is wrong.
//
//     java -cp <classes> service.Check <snapshot of labels> <snapshot> [<forged snapshot> ...]

package service;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import oasisalloc.InputException;
import oasisalloc.Policy;
import oasisalloc.SlateOptions;
import oasisalloc.SnapshotException;
import oasisalloc.User;

public class Check {
    enum Sample { ONE }

    interface Call {
        Object run();
    }

    static void say(String name, Call call) {
        String said;
        try {
            said = String.valueOf(call.run());
        } catch (InputException refused) {
            said = "refused: " + refused.getMessage();
        }
        System.out.println(name + " = " + said);
    }

    /** The price that a label costs, which tells the labels apart; 0.0 for one that is equal to none. */
    static void label(Policy policy, String key, String name, Object label) {
        say(key + " " + name, () -> {
            User user = policy.user(Collections.singletonMap(key, label));
            return 0.0 - policy.score(user, new int[] {-1}, Map.of("r", new double[] {0.0}))[0];
        });
    }

    /** Whether a snapshot is served, or what is wrong with it. */
    static void load(Path path) throws Exception {
        String said = "loaded";
        try {
            Policy.load(path);
        } catch (SnapshotException refused) {
            said = "refused: " + refused.getMessage();
        }
        System.out.println(path.getFileName() + " = " + said.replace('\n', ' '));
    }

    static void everyType(Policy labels) {
        for (String key : List.of("int", "uint", "float", "bool", "str")) {
            label(labels, key, "Integer 1", 1);
            label(labels, key, "Long 1", 1L);
            label(labels, key, "Short 1", (short) 1);
            label(labels, key, "Double 1.0", 1.0);
            label(labels, key, "BigDecimal 1.00", new BigDecimal("1.00"));
            label(labels, key, "true", true);
            label(labels, key, "false", false);
            label(labels, key, "0", 0);
            label(labels, key, "-0.0", -0.0);
            label(labels, key, "text 1", "1");
            label(labels, key, "text 1.0", "1.0");
            label(labels, key, "0.1", 0.1);
            label(labels, key, "BigDecimal 0.1", new BigDecimal("0.1"));
            label(labels, key, "float 0.1", 0.1f);
            label(labels, key, "2^53 + 1", (1L << 53) + 1);
            label(labels, key, "double 2^53 + 1", (double) ((1L << 53) + 1));
            label(labels, key, "2^64 - 1", BigInteger.ONE.shiftLeft(64).subtract(BigInteger.ONE));
            label(labels, key, "-1", -1L);
            label(labels, key, "NaN", Double.NaN);
            label(labels, key, "infinity", Double.POSITIVE_INFINITY);
            label(labels, key, "1e999999999", new BigDecimal("1e999999999"));
            label(labels, key, "null", null);
            label(labels, key, "date", LocalDate.of(2026, 1, 2));
            label(labels, key, "midnight", LocalDateTime.of(2026, 1, 2, 0, 0));
            label(labels, key, "instant", Instant.parse("2026-01-02T10:30:00.5Z"));
            label(labels, key, "list", List.of(1));
            label(labels, key, "legacy date", new java.util.Date(0));
            label(labels, key, "optional", java.util.Optional.of(1));
            label(labels, key, "bytes", new byte[] {1});
            label(labels, key, "Byte 1", (byte) 1);
            label(labels, key, "AtomicInteger 1", new java.util.concurrent.atomic.AtomicInteger(1));
            label(labels, key, "BigInteger 1", BigInteger.ONE);
            label(labels, key, "StringBuilder 1", new StringBuilder("1"));
            label(labels, key, "Character 1", '1');
            label(labels, key, "enum", Sample.ONE);
        }
    }

    public static void main(String[] args) throws Exception {
        Policy labels = Policy.load(Path.of(args[0]));
        everyType(labels);
        Policy policy = Policy.load(Path.of(args[1]));
        Map<String, double[]> columns = Map.of("relevance", new double[] {0.5, 0.25}, "streams", new double[] {1, 0});
        User nobody = policy.user(null);
        int[] items = policy.encode(List.of("a", "d"));
        int[] none = new int[0];
        say("created", () -> BigDecimal.valueOf(policy.created()).toPlainString());
        say("validUntil", () -> BigDecimal.valueOf(policy.validUntil().getAsDouble()).toPlainString());
        say("isExpired", () -> policy.isExpired(policy.validUntil().getAsDouble() - 1) + " "
                + policy.isExpired(policy.validUntil().getAsDouble()));
        say("userKeys", () -> new java.util.TreeSet<>(policy.userKeys()));
        say("known key", () -> policy.user(Map.of("market", "se", "daypart", "night")).size());
        say("ignoredKeys", policy::ignoredKeys);
        say("misspelt key", () -> policy.user(Map.of("markt", "se")));
        say("earlier key before", () -> labels.user(Map.of("daypart", "night")));
        labels.remember(policy);
        say("earlier key", () -> labels.user(Map.of("daypart", "night", "int", 1)).size());
        say("counted earlier key", labels::ignoredKeys);
        say("misspelt earlier key", () -> labels.user(Map.of("dayprt", "night")));
        say("ids of another type", () -> policy.encode(List.of(1, 2L))[1] + " " + policy.mistypedRequests());
        say("ids of two types", () -> policy.encode(List.of(1, "never"))[1] + " " + policy.mistypedRequests());
        say("a label of another type", () -> policy.user(Map.of("market", 1)).size() + " " + policy.mistypedRequests());
        say("user 9", () -> policy.user(9));
        say("user 1.5", () -> policy.user(1.5));
        say("user text", () -> policy.user("se"));
        say("user 3", () -> policy.user((short) 3).size());
        say("missing column", () -> policy.score(nobody, items, Map.of("relevance", new double[2])));
        say("short column", () -> policy.score(nobody, new int[] {0}, columns));
        say("item out of range", () -> policy.score(nobody, new int[] {0, 5}, columns));
        say("item below -1", () -> policy.score(nobody, new int[] {-2, 0}, columns));
        say("not finite", () -> policy.score(nobody, items,
                Map.of("relevance", new double[] {0.5, Double.NaN}, "streams", new double[2])));
        say("beyond a double", () -> policy.score(nobody, items,
                Map.of("relevance", new double[] {0, 1.7e308}, "streams", new double[] {0, 1.7e308})));
        say("another policy's user", () -> labels.score(nobody, items, columns));
        say("k", () -> policy.select(nobody, items, columns, SlateOptions.ofSize(Integer.MAX_VALUE)).length);
        say("k -1", () -> policy.select(nobody, items, columns, SlateOptions.ofSize(-1)));
        say("item twice", () -> policy.select(nobody, new int[] {1, 1}, columns, SlateOptions.ofSize(1)));
        say("pinned 2", () -> policy.select(nobody, items, columns,
                new SlateOptions(1, new int[] {2}, none, false)));
        say("null items", () -> policy.score(nobody, null, columns));
        say("null columns", () -> policy.score(nobody, items, null));
        say("null user", () -> policy.score(null, items, columns));
        say("null pinned", () -> policy.select(nobody, items, columns,
                new SlateOptions(1, null, none, false)));
        say("null exclude", () -> policy.select(nobody, items, columns,
                new SlateOptions(1, none, null, false)));
        say("null options", () -> policy.select(nobody, items, columns, null));
        say("null options of a ranking", () -> policy.rank(nobody, items, columns, null));
        say("null options of a reason", () -> policy.explain(nobody, items, columns, null));
        say("null items of a reason", () -> policy.explain(nobody, null, columns, SlateOptions.DEFAULT));
        say("null columns of a reason", () -> policy.explain(nobody, items, null, SlateOptions.DEFAULT));
        say("null numbers", () -> policy.score(nobody, items, Collections.singletonMap("relevance", null)));
        say("null ids", () -> policy.encode((List<?>) null));
        say("null column", () -> policy.score(nobody, items, Collections.singletonMap(null, null)));
        for (int a = 2; a < args.length; a++) load(Path.of(args[a]));
        say("both", () -> policy.select(nobody, items, columns,
                new SlateOptions(1, new int[] {1}, new int[] {1}, false)));
    }
}
