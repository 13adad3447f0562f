package oasisalloc;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * Flips a bit of every so many bytes of a signed manifest and of its current policy; a new store must refuse each.
 *
 * <pre>java oasisalloc.Tampering MANIFEST PUBLIC_KEY EVERY</pre>
 */
public final class Tampering {
    private final Map<String, Integer> found = new TreeMap<>();
    private final Path manifest;
    private final Trust trust;

    private Tampering(Path manifest, Trust trust) {
        this.manifest = manifest;
        this.trust = trust;
    }

    public static void main(String[] args) throws Exception {
        Tampering tampering = new Tampering(Path.of(args[0]), Trust.of(Path.of(args[1])));
        int every = Integer.parseInt(args[2]);
        String file = Manifest.current(Files.readAllBytes(tampering.manifest)).file();
        tampering.flip(tampering.manifest, every);
        tampering.flip(tampering.manifest.resolveSibling(file), every);
        tampering.found.forEach((reason, count) -> System.out.println(reason + " = " + count));
        System.out.println("intact = " + tampering.refusal());
    }

    private void flip(Path path, int every) throws Exception {
        byte[] raw = Files.readAllBytes(path);
        for (int at = 0; at < raw.length; at += every) {
            byte[] changed = raw.clone();
            changed[at] ^= (byte) (1 << at / every % 8);
            Files.write(path, changed);
            found.merge(refusal(), 1, Integer::sum);
        }
        Files.write(path, raw);
    }

    /** Why a new store serves nothing; "accepted" if it serves a policy. */
    private String refusal() {
        try (PolicyStore store = new PolicyStore(manifest, StoreOptions.DEFAULT.withRefresh(0.0).withTrust(trust))) {
            Map<String, Object> stats = store.stats();
            return stats.get("policy_id") != null ? "accepted"
                    : Json.object(stats.get("refused_snapshots")).keySet().iterator().next();
        }
    }
}
