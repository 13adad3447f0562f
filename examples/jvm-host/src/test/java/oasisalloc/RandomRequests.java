package oasisalloc;

import java.io.BufferedReader;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Answers requests whose labels are of every type of Java, and compares with the answers of the library in Python.
 *
 * <pre>java oasisalloc.RandomRequests SNAPSHOT REQUESTS [SNAPSHOT REQUESTS ...]</pre>
 *
 * A line of the file of requests is one (tests/support/jvm_requests.py). Explanations are printed, one per line.
 */
public final class RandomRequests {
    private int scores, slates, refused, wrong;

    private RandomRequests() {}

    public static void main(String[] args) throws Exception {
        RandomRequests all = new RandomRequests();
        for (int a = 0; a < args.length; a += 2) {
            Policy policy = Policy.load(Path.of(args[a]));
            try (BufferedReader lines = Files.newBufferedReader(Path.of(args[a + 1]))) {
                int number = 0;
                for (String line = lines.readLine(); line != null; line = lines.readLine())
                    all.answer(policy, args[a] + " line " + ++number, Json.object(Json.parse(line)));
            }
        }
        System.out.printf("total = %d scores, %d slates, %d refused, %d wrong%n", all.scores, all.slates, all.refused,
                all.wrong);
        if (all.wrong > 0) System.exit(1);
    }

    private void answer(Policy policy, String name, Map<String, Object> request) {
        List<Object> ids = new ArrayList<>();
        for (Object id : Json.list(request.get("ids"))) ids.add(typed(id));
        Map<String, double[]> columns = new HashMap<>();
        for (Map.Entry<String, Object> column : Json.object(request.get("columns")).entrySet())
            columns.put(column.getKey(), numbers(column.getValue()));
        Integer k = request.get("k") == null ? null : (Integer) Json.whole(request.get("k"));
        SlateOptions options = new SlateOptions(k, wholes(request.get("pinned")), wholes(request.get("exclude")),
                (Boolean) request.get("fill"));
        Ranking found = null;
        String why = "";
        try {
            User user = policy.user(user(request.get("user")));
            int[] items = policy.encode(ids);
            found = policy.rank(user, items, columns, options);
            if (!Arrays.equals(policy.score(user, items, columns), found.scores())) fault(name, "score() and rank()");
            if ((Boolean) request.get("explain"))
                System.out.println(name + " = " + policy.explain(user, items, columns, options).toJson());
            if (options.equals(SlateOptions.DEFAULT) || options.pinned().length + options.exclude().length == 0)
                checkPrepared(policy, name, user, items, columns, options, found);
        } catch (InputException error) {
            why = error.getMessage();
        }
        boolean isRefused = request.containsKey("refused");
        if (isRefused != (found == null))
            fault(name, "Python " + request.get("refused") + ", Java " + why);
        if (isRefused) refused++;
        else if (found != null) compare(name, found, request);
    }

    private void checkPrepared(Policy policy, String name, User user, int[] items, Map<String, double[]> columns,
            SlateOptions options, Ranking expected) {
        if (options.fill()) return;
        Selector hot = policy.selector(items.length);
        System.arraycopy(items, 0, hot.items(), 0, items.length);
        for (int c = 0; c < hot.names().size(); c++)
            System.arraycopy(columns.get(hot.names().get(c)), 0, hot.column(c), 0, items.length);
        int m = options.k() == null ? hot.select(items.length, user) : hot.select(items.length, user, options.k());
        if (!Arrays.equals(Arrays.copyOf(hot.positions(), m), expected.positions())) fault(name, "prepared slate");
        if (!Arrays.equals(hot.scores(), expected.scores())) fault(name, "prepared scores");
    }

    private void compare(String name, Ranking found, Map<String, Object> request) {
        double[] expected = numbers(request.get("scores"));
        for (int i = 0; i < expected.length; i++, scores++)
            if (Double.doubleToRawLongBits(found.scores()[i]) != Double.doubleToRawLongBits(expected[i]))
                fault(name, String.format("score %d: %a, expected %a", i, found.scores()[i], expected[i]));
        int[] slate = wholes(request.get("slate"));
        if (!Arrays.equals(found.positions(), slate))
            fault(name, "slate " + Arrays.toString(found.positions()) + ", expected " + Arrays.toString(slate));
        slates++;
    }

    private void fault(String name, String what) {
        wrong++;
        System.err.println(name + ": " + what);
    }

    private static Object user(Object given) {
        if (given instanceof Map<?, ?> labels) {
            Map<Object, Object> out = new HashMap<>();
            labels.forEach((key, label) -> out.put(key, typed(label)));
            return out;
        }
        return given == null ? null : typed(given);
    }

    private static Object typed(Object pair) {
        String type = (String) Json.list(pair).get(0), text = (String) Json.list(pair).get(1);
        return switch (type) {
            case "Byte" -> Byte.valueOf(text);
            case "Short" -> Short.valueOf(text);
            case "Integer" -> Integer.valueOf(text);
            case "Long" -> Long.valueOf(text);
            case "AtomicLong" -> new AtomicLong(Long.parseLong(text));
            case "BigInteger" -> new BigInteger(text);
            case "BigDecimal" -> new BigDecimal(text);
            case "Double" -> Double.valueOf(text);
            case "Float" -> Float.valueOf(text);
            case "Boolean" -> Boolean.valueOf(text);
            case "String" -> text;
            case "StringBuilder" -> new StringBuilder(text);
            case "Character" -> text.charAt(0);
            case "UUID" -> UUID.fromString(text);
            case "LocalDate" -> LocalDate.parse(text);
            case "LocalDateTime" -> LocalDateTime.parse(text);
            case "Instant" -> Instant.parse(text);
            case "OffsetDateTime" -> OffsetDateTime.parse(text);
            default -> throw new IllegalArgumentException(type);
        };
    }

    private static double[] numbers(Object list) {
        return Json.list(list).stream().mapToDouble(Json::number).toArray();
    }

    private static int[] wholes(Object list) {
        return Json.list(list).stream().mapToInt(Json::whole).toArray();
    }
}
