package oasisalloc;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The body of a request to rank: ids, one number per id for each column, the user and the number of slots.
 *
 * @param user a number of the solve, a map of labels, or null
 */
record RankBody(List<Object> ids, Map<String, double[]> columns, Object user, Integer k) {
    static final int MAX_BYTES = 1 << 20;
    static final int MAX_IDS = 10_000; // of a request, and slots
    private static final Set<String> NAMES = Set.of("ids", "columns", "user", "k");

    /** A body that is not a request, whatever the policy is. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        Malformed(String message) {
            super(message);
        }
    }

    static RankBody parse(String text) throws Malformed {
        Object given;
        try {
            given = Json.parse(text);
        } catch (IllegalArgumentException error) {
            throw new Malformed("the body is not JSON: " + error.getMessage());
        }
        if (!(given instanceof Map)) throw new Malformed("expected an object with ids, columns, user and k");
        Map<String, Object> of = Json.object(given);
        for (String name : of.keySet())
            if (!NAMES.contains(name))
                throw new Malformed("'" + cut(name) + "' is not known; expected ids, columns, user, k");
        Object user = of.get("user"), k = of.get("k");
        if (!(user == null || user instanceof Long || user instanceof Map))
            throw new Malformed("user: expected a number of the solve, an object of labels, or null");
        if (!(k == null || k instanceof Long number && number >= 0 && number <= MAX_IDS))
            throw new Malformed("k: expected a whole number from 0 to " + MAX_IDS + ", or null");
        return new RankBody(ids(of.get("ids")), columns(of.get("columns")), user,
                k == null ? null : (Integer) ((Long) k).intValue());
    }

    private static List<Object> ids(Object given) throws Malformed {
        if (!(given instanceof List<?> list) || list.size() > MAX_IDS)
            throw new Malformed("ids: expected a list of up to " + MAX_IDS);
        List<Object> out = new ArrayList<>(list.size());
        for (Object id : list) {
            boolean isNumber = id instanceof Long || id instanceof BigInteger
                    || id instanceof Double number && Double.isFinite(number);
            boolean isText = id instanceof String text && text.codePoints().noneMatch(RankBody::isHalf);
            if (!isNumber && !isText)
                throw new Malformed("ids: entry " + out.size() + " is neither a finite number nor a string of Unicode");
            out.add(id);
        }
        return out;
    }

    private static boolean isHalf(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }

    private static Map<String, double[]> columns(Object given) throws Malformed {
        if (!(given instanceof Map)) throw new Malformed("columns: expected an object of lists of numbers");
        Map<String, double[]> out = new HashMap<>();
        for (Map.Entry<String, Object> column : Json.object(given).entrySet()) {
            if (!(column.getValue() instanceof List<?> list)) throw notNumbers(column.getKey());
            double[] numbers = new double[list.size()];
            int i = 0;
            for (Object one : list) {
                if (!(one instanceof Number number)) throw notNumbers(column.getKey());
                numbers[i++] = number.doubleValue();
            }
            out.put(column.getKey(), numbers);
        }
        return out;
    }

    private static Malformed notNumbers(String name) {
        return new Malformed("columns: '" + cut(name) + "' is not a list of numbers");
    }

    private static String cut(String name) {
        return name.substring(0, Math.min(100, name.length()));
    }
}
