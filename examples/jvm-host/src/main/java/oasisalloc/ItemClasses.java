package oasisalloc;

import java.util.Arrays;
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
        if (keys.isEmpty()) {
            ofItem = null;
            unseen = Math.min(nItems, 1);
            members = new int[unseen + 1];
        } else {
            ofItem = new int[nItems];
            int[] found = new int[nItems];
            unseen = classify(keys.values().toArray(new ItemKey[0]), found);
            members = Arrays.copyOf(found, unseen + 1);
        }
        members[unseen] = -1;
    }

    /** Numbers the classes in the order of their first items; returns how many there are. */
    private int classify(ItemKey[] keys, int[] found) {
        LongTable steps = new LongTable(ofItem.length); // from the labels so far and one more to those
        LongTable classes = new LongTable(ofItem.length);
        for (int item = 0; item < ofItem.length; item++) {
            int at = 0;
            for (ItemKey key : keys) {
                int n = key.count(item);
                for (int j = 0; j < n; j++) at = 1 + steps.add((long) at << 32 | key.code(item, j) + 1);
                at = 1 + steps.add((long) at << 32); // between keys
            }
            int before = classes.size();
            ofItem[item] = classes.add(at);
            if (ofItem[item] == before) found[before] = item;
        }
        return classes.size();
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
