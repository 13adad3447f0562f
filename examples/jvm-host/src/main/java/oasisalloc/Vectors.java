package oasisalloc;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Answers the requests of vectors files, as in tests/golden, and compares: scores to the last bit, slates to the
 * position.
 *
 * <pre>java -cp target/oasis-alloc.jar oasisalloc.Vectors SNAPSHOT VECTORS [SNAPSHOT VECTORS ...]</pre>
 */
public final class Vectors {
    private Vectors() {}

    public static void main(String[] args) throws Exception {
        if (args.length == 0 || args.length % 2 != 0) {
            System.err.println("usage: java oasisalloc.Vectors SNAPSHOT VECTORS [SNAPSHOT VECTORS ...]");
            System.exit(2);
        }
        int wrong = 0;
        for (int a = 0; a < args.length; a += 2) {
            try {
                Policy policy = Policy.load(Path.of(args[a]));
                Map<String, Object> vectors = Json.object(Json.parse(Files.readString(Path.of(args[a + 1]))));
                if (vectors.get("overlay") != null) policy = policy.overlaid(JsonText.of(vectors.get("overlay")));
                wrong += compare(policy, vectors);
            } catch (SnapshotException refused) {
                System.err.println(args[a] + ": refused: " + refused.getMessage());
                System.exit(3);
            }
        }
        if (wrong > 0) System.exit(1);
    }

    /** Answers every request of the vectors; how many answers differ. */
    private static int compare(Policy policy, Map<String, Object> vectors) {
        int scores = 0, slates = 0, wrong = 0;
        for (Object each : Json.list(vectors.get("requests"))) {
            Map<String, Object> request = Json.object(each);
            int[] items = policy.encode(Json.list(request.get("ids")));
            Map<String, double[]> columns = new HashMap<>();
            for (Map.Entry<String, Object> column : Json.object(request.get("columns")).entrySet())
                columns.put(column.getKey(), hexadecimal(column.getValue()));
            User user = policy.user(request.get("user"));
            Integer k = request.get("k") == null ? null : (Integer) Json.whole(request.get("k"));
            SlateOptions options =
                    new SlateOptions(k, wholes(request.get("pinned")), wholes(request.get("exclude")), false);
            Ranking found = policy.rank(user, items, columns, options);
            double[] expected = hexadecimal(request.get("scores"));
            for (int i = 0; i < expected.length; i++, scores++) {
                if (Double.doubleToRawLongBits(found.scores()[i]) != Double.doubleToRawLongBits(expected[i])) {
                    System.err.printf("request %d, %d: score %a, expected %a%n", slates, i, found.scores()[i],
                            expected[i]);
                    wrong++;
                }
            }
            int[] best = wholes(request.get("slate"));
            if (!Arrays.equals(found.positions(), best)) {
                System.err.printf("request %d: slate %s, expected %s%n", slates, Arrays.toString(found.positions()),
                        Arrays.toString(best));
                wrong++;
            }
            slates++;
        }
        System.out.printf("policy %s: %d scores and %d slates, %d wrong%n", policy.id(), scores, slates, wrong);
        return wrong;
    }

    private static double[] hexadecimal(Object texts) {
        return Json.list(texts).stream().mapToDouble(text -> Double.parseDouble((String) text)).toArray();
    }

    private static int[] wholes(Object numbers) {
        List<Object> list = Json.list(numbers);
        return list.stream().mapToInt(Json::whole).toArray();
    }
}
