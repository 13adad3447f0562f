package oasisalloc;

import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** The end of a message about an unknown name: the nearest of the known names. */
final class Nearest {
    private static final int LONGEST = 80; // characters of a name that are compared
    private static final int MANY = 1_000; // names that are compared

    private Nearest() {}

    /** {@code "; did you mean 'relevance'?"}, or nothing if no name is near; case does not matter. */
    static String hint(Object name, Collection<String> known) {
        if (!(name instanceof String text) || text.length() > LONGEST || known.size() > MANY) return "";
        String best = null;
        int least = Integer.MAX_VALUE;
        // names that are equal but for their case all have the distance 0: the first in order is named
        Map<String, String> ordered = new TreeMap<>();
        for (String one : known)
            if (one != null && one.length() <= LONGEST) ordered.put(one, one.toLowerCase(Locale.ROOT));
        for (Map.Entry<String, String> one : ordered.entrySet()) {
            int edits = distance(text.toLowerCase(Locale.ROOT), one.getValue());
            if (edits < least) {
                least = edits;
                best = one.getKey();
            }
        }
        // as many edits as a third of the longer name: what is further is another name
        boolean isNear = best != null && 3 * least <= Math.max(text.length(), best.length());
        return isNear ? "; did you mean '" + best + "'?" : "";
    }

    /** Characters to insert, delete or replace. */
    private static int distance(String one, String other) {
        int[] before = new int[other.length() + 1], now = new int[other.length() + 1];
        for (int j = 0; j <= other.length(); j++) before[j] = j;
        for (int i = 1; i <= one.length(); i++) {
            now[0] = i;
            for (int j = 1; j <= other.length(); j++) {
                int replaced = before[j - 1] + (one.charAt(i - 1) == other.charAt(j - 1) ? 0 : 1);
                now[j] = Math.min(replaced, 1 + Math.min(before[j], now[j - 1]));
            }
            int[] spare = before;
            before = now;
            now = spare;
        }
        return before[other.length()];
    }
}
