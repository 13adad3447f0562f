package oasisalloc;

/** Distinct numbers in the order in which they were added, by open addressing: lookups make no object. */
final class LongTable {
    private long[] keys;
    private int[] places; // of a number plus 1; 0 is free
    private int size;

    LongTable(int expected) {
        int room = 8;
        while (room < 2L * expected && room < 1 << 30) room <<= 1;
        keys = new long[room];
        places = new int[room];
    }

    int size() {
        return size;
    }

    private static int slot(long key, long[] keys, int[] places) {
        int mask = keys.length - 1;
        int at = (int) (key * 0x9E3779B97F4A7C15L >>> 32) & mask;
        while (places[at] != 0 && keys[at] != key) at = (at + 1) & mask;
        return at;
    }

    /** The place of a number, -1 if it is not there. */
    int get(long key) {
        return places[slot(key, keys, places)] - 1;
    }

    /** The place of a number, which is added if it is not there: then it is the size before. */
    int add(long key) {
        int at = slot(key, keys, places);
        if (places[at] != 0) return places[at] - 1;
        keys[at] = key;
        places[at] = ++size;
        if (2L * size > keys.length) grow();
        return size - 1;
    }

    private void grow() {
        long[] more = new long[Math.multiplyExact(2, keys.length)];
        int[] at = new int[more.length];
        for (int k = 0; k < keys.length; k++) {
            if (places[k] == 0) continue;
            int slot = slot(keys[k], more, at);
            more[slot] = keys[k];
            at[slot] = places[k];
        }
        keys = more;
        places = at;
    }
}
