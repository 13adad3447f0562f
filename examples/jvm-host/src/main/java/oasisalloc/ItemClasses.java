package oasisalloc;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/** Items that no key tells apart are of one class; the last class is that of items that were never seen. */
final class ItemClasses {
    /** Some integers as a key of a map. */
    record Codes(int[] codes) {
        @Override
        public boolean equals(Object other) {
            return other instanceof Codes of && Arrays.equals(codes, of.codes);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(codes);
        }
    }

    final int unseen;
    private final int[] ofItem; // null where all items are of class 0
    private final int[] members; // an item of every class, -1 for the unseen

    ItemClasses(int nItems, Map<String, ItemKey> keys) {
        ofItem = keys.isEmpty() ? null : new int[nItems];
        int[] found = new int[ofItem == null ? 1 : nItems];
        Map<Codes, Integer> classes = new HashMap<>();
        ItemKey[] all = keys.values().toArray(new ItemKey[0]);
        for (int item = 0; ofItem != null && item < nItems; item++) {
            int next = classes.size();
            Integer before = classes.putIfAbsent(new Codes(labels(all, item)), next);
            ofItem[item] = before == null ? next : before;
            if (before == null) found[next] = item;
        }
        unseen = ofItem == null ? Math.min(nItems, 1) : classes.size();
        members = Arrays.copyOf(found, unseen + 1);
        members[unseen] = -1;
    }

    private static int[] labels(ItemKey[] keys, int item) {
        int n = keys.length;
        for (ItemKey key : keys) n += key.count(item);
        int[] out = new int[n];
        int at = 0;
        for (ItemKey key : keys) {
            at = key.copy(item, out, at);
            out[at++] = -1; // between keys
        }
        return out;
    }

    /** The number of classes, with that of unseen items. */
    int size() {
        return members.length;
    }

    /** An item of a class, -1 for that of unseen items. */
    int member(int number) {
        return members[number];
    }

    /** Writes the classes of n items in range or -1. */
    void of(int n, int[] items, int[] out) {
        if (ofItem == null)
            for (int i = 0; i < n; i++) out[i] = items[i] < 0 ? unseen : 0;
        else
            for (int i = 0; i < n; i++) out[i] = items[i] < 0 ? unseen : ofItem[items[i]];
    }
}
