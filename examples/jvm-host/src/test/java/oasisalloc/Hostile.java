package oasisalloc;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Damaged and forged snapshots: each is refused with a reason, or is a policy that answers requests.
 *
 * <pre>java -Xmx64m oasisalloc.Hostile FORGERIES SNAPSHOT [SNAPSHOT ...]</pre>
 *
 * Forgeries have a right checksum: some bytes of the header or of arrays are changed, also to digits of large numbers.
 */
public final class Hostile {
    private static final byte[] LIKELY = "0123456789-+.eE[]{}\",:\0\1\177\377".getBytes(StandardCharsets.ISO_8859_1);

    private static final int EACH = 4_000; // bytes up to which every one is tried

    private final Map<String, Integer> found = new TreeMap<>();
    private int wrong;

    private Hostile() {}

    public static void main(String[] args) throws Exception {
        Hostile hostile = new Hostile();
        int forgeries = Integer.parseInt(args[0]);
        for (int a = 1; a < args.length; a++) {
            byte[] raw = Files.readAllBytes(Path.of(args[a]));
            int step = Math.max(1, raw.length / EACH);
            for (int length = 0; length < raw.length; length += step)
                hostile.damaged(java.util.Arrays.copyOf(raw, length));
            for (int at = 0; at < raw.length; at += step) {
                byte[] flipped = raw.clone();
                flipped[at] ^= (byte) (1 << at % 8);
                hostile.damaged(flipped);
            }
            Random random = new Random(a);
            for (int k = 0; k < forgeries; k++) hostile.load(forged(raw, random), "forged ");
        }
        hostile.found.forEach((reason, count) -> System.out.println(reason + " = " + count));
        System.out.println("wrong = " + hostile.wrong);
    }

    private void damaged(byte[] raw) {
        if (load(raw, "damaged ")) fault(new IllegalStateException("a damaged file was loaded"));
    }

    /** True if it is a policy. */
    private boolean load(byte[] raw, String kind) {
        try {
            Policy policy = Policy.load(raw);
            use(policy);
            found.merge(kind + "loaded", 1, Integer::sum);
            return true;
        } catch (SnapshotException refused) {
            found.merge(kind + refused.reason(), 1, Integer::sum);
        } catch (RuntimeException | Error error) {
            fault(error);
        }
        return false;
    }

    private void fault(Throwable error) {
        if (wrong++ < 3) error.printStackTrace();
    }

    /** Requests of every kind; those that are refused say so. */
    private static void use(Policy policy) {
        int n = Math.min(20, policy.data().nItems());
        int[] items = new int[n + 1];
        for (int i = 0; i < n; i++) items[i] = i;
        items[n] = -1;
        Map<String, double[]> columns = new HashMap<>();
        for (String name : policy.data().columns()) columns.put(name, new Random(n).doubles(n + 1).toArray());
        for (Object given : new Object[] {null, 0, 3, Map.of(), Map.of("market", "se", "hour", 6)}) {
            try {
                User user = policy.user(given);
                policy.rank(user, items, columns, SlateOptions.DEFAULT);
                policy.rank(user, items, columns, new SlateOptions(3, new int[] {0}, new int[] {n}, true));
                policy.explain(user, items, columns, SlateOptions.ofSize(2));
            } catch (InputException refused) {
                // such as a user that it does not know, or a score that is not finite
            }
        }
        try {
            policy.overlaid("{\"format\":\"oasis_alloc.overlay\",\"schema\":1,\"policy_id\":\"" + policy.id()
                    + "\",\"created\":1.5,\"sequence\":1,\"terms\":[[0,0,0.5]],\"constraints\":[]}");
        } catch (SnapshotException refused) {
            // it has no terms, or its id is not JSON
        }
    }

    /** A file with some changed bytes and a right checksum. */
    private static byte[] forged(byte[] raw, Random random) throws Exception {
        byte[] out = raw.clone();
        String text = new String(raw, StandardCharsets.ISO_8859_1);
        int digits = text.indexOf("\"checksum\":\"") + 12, header = text.lastIndexOf('}') + 1;
        for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
            int at = random.nextInt(random.nextInt(4) == 0 ? raw.length : Math.min(raw.length, header));
            if (at >= digits - 12 && at < digits + 65) continue;
            out[at] = LIKELY[random.nextInt(LIKELY.length)];
        }
        java.util.Arrays.fill(out, digits, digits + 64, (byte) '0');
        byte[] sum = MessageDigest.getInstance("SHA-256").digest(out);
        byte[] written = HexFormat.of().formatHex(sum).getBytes(StandardCharsets.US_ASCII);
        System.arraycopy(written, 0, out, digits, 64);
        return out;
    }
}
