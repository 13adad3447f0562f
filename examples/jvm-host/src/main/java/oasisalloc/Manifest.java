package oasisalloc;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * The manifest of a directory of published policies: docs/publishing.md. There is one form of every manifest: what was
 * read is written again and compared, so nothing in it is ignored, and the signature of the last version covers all.
 */
final class Manifest {
    static final int MAX_BYTES = 1 << 24;
    private static final String FORMAT = "oasis_alloc.manifest", START = "{\"format\":\"" + FORMAT + "\"";
    private static final int SCHEMA = 1;
    private static final long MAX_VERSION = 1L << 53;
    private static final Set<String> MEMBERS = Set.of("accepted", "digest", "key", "kind", "name", "of", "parent",
            "policy_id", "reasons", "signature", "time", "version");

    /** A line of the manifest. */
    record Version(Map<String, String> accepted, String digest, String key, String kind, String name, long of,
            String parent, String policyId, List<String> reasons, String signature, String time, long version) {
        String file() {
            return digest + ".policy";
        }

        /** What a signature is made of. */
        byte[] signed() {
            return (FORMAT + "." + SCHEMA + "\n" + line(false)).getBytes(StandardCharsets.US_ASCII);
        }

        /** The line, members sorted by name, without spaces. */
        String line(boolean hasSignature) {
            StringBuilder out = new StringBuilder("{\"accepted\":{");
            accepted.forEach((gate, reason) ->
                    out.append(out.charAt(out.length() - 1) == '{' ? "" : ",").append(quoted(gate)).append(':')
                            .append(quoted(reason)));
            out.append("},\"digest\":").append(quoted(digest)).append(",\"key\":").append(quoted(key));
            out.append(",\"kind\":").append(quoted(kind)).append(",\"name\":").append(quoted(name));
            out.append(",\"of\":").append(of).append(",\"parent\":").append(quoted(parent));
            out.append(",\"policy_id\":").append(quoted(policyId)).append(",\"reasons\":[");
            out.append(String.join(",", reasons.stream().map(Manifest::quoted).toList())).append(']');
            if (hasSignature) out.append(",\"signature\":").append(quoted(signature));
            return out.append(",\"time\":").append(quoted(time)).append(",\"version\":").append(version).append('}')
                    .toString();
        }
    }

    private final List<Version> versions = new ArrayList<>();

    private Manifest() {}

    /** True if a file that begins with these bytes is a manifest, or is meant to be one. */
    static boolean is(byte[] raw) {
        byte[] start = START.getBytes(StandardCharsets.US_ASCII);
        return raw.length >= start.length && Arrays.equals(raw, 0, start.length, start, 0, start.length);
    }

    /** The current version, null where there is none; SnapshotException if the manifest is not as it was written. */
    static Version current(byte[] raw) throws SnapshotException {
        if (!is(raw)) throw new SnapshotException("not a snapshot", "this is not a manifest");
        if (raw.length > MAX_BYTES)
            throw new SnapshotException("unreadable", "a manifest of " + raw.length + " bytes");
        Manifest manifest = new Manifest();
        try {
            manifest.read(new String(raw, StandardCharsets.ISO_8859_1));
            boolean isSame = Arrays.equals(manifest.text().getBytes(StandardCharsets.US_ASCII), raw);
            Refusal.unless(isSame, "tampered", "the manifest's bytes differ from what a publisher writes");
            manifest.checkChain();
        } catch (Refusal error) {
            throw Refusal.of(error, "manifest");
        } catch (RuntimeException error) {
            throw new SnapshotException("tampered", "the manifest is not as it was written (" + error + ")");
        }
        List<Version> all = manifest.versions;
        return all.isEmpty() ? null : all.get(all.size() - 1);
    }

    private void read(String text) {
        Map<String, Object> of = Json.object(Json.parse(text));
        Refusal.unless((Long) of.get("schema") <= SCHEMA, "newer schema", "of the manifest");
        for (Object each : Json.list(of.get("versions"))) versions.add(version(Json.object(each)));
    }

    private String text() {
        List<String> lines = versions.stream().map(version -> version.line(true)).toList();
        return START + ",\"schema\":" + SCHEMA + ",\"versions\":[\n" + String.join(",\n", lines) + "\n]}\n";
    }

    private void checkChain() {
        for (int k = 1; k < versions.size(); k++) {
            Version before = versions.get(k - 1), after = versions.get(k);
            String parent = sha256(before.line(true).getBytes(StandardCharsets.US_ASCII));
            Refusal.unless(after.version == before.version + 1 && after.parent.equals(parent), "tampered",
                    "version " + after.version + " of the manifest does not follow version " + before.version);
        }
    }

    private static Version version(Map<String, Object> of) {
        require(of.keySet().equals(MEMBERS), "its members");
        Map<String, String> accepted = new TreeMap<>(Prices::byCodePoints);
        Json.object(of.get("accepted")).forEach((gate, reason) -> accepted.put(printable(gate), printable(reason)));
        List<String> reasons = Json.list(of.get("reasons")).stream().map(Manifest::printable).toList();
        Version version = new Version(accepted, printable(of.get("digest")), printable(of.get("key")),
                printable(of.get("kind")), printable(of.get("name")), number(of.get("of")), printable(of.get("parent")),
                printable(of.get("policy_id")), reasons, printable(of.get("signature")), printable(of.get("time")),
                number(of.get("version")));
        boolean isPublished = version.kind.equals("publish") && version.of == version.version;
        require(isPublished || version.kind.equals("rollback") && version.of < version.version, "kind, of");
        require(version.digest.matches("[0-9a-f]{64}") && version.parent.matches("([0-9a-f]{64})?"), "digest, parent");
        require(version.time.matches("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"), "time");
        boolean isUnsigned = version.key.isEmpty() && version.signature.isEmpty();
        require(isUnsigned || version.key.matches("[0-9a-f]{16}") && version.signature.matches("[0-9a-f]{128}"),
                "key, signature");
        return version;
    }

    private static void require(boolean good, String what) {
        Refusal.unless(good, "tampered", "a version of the manifest is not as it was written: " + what);
    }

    private static String printable(Object given) {
        String text = (String) given;
        require(text.codePoints().allMatch(PolicyReader::isPrintable), "a text has characters that cannot be printed");
        return text;
    }

    private static long number(Object given) {
        long number = (Long) given;
        require(number > 0 && number <= MAX_VERSION, "a version is not a whole number above 0");
        return number;
    }

    /** A string of JSON in ASCII. */
    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (int k = 0; k < text.length(); k++) {
            char c = text.charAt(k);
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c >= ' ' && c <= '~') out.append(c);
            else out.append(String.format("\\u%04x", (int) c));
        }
        return out.append('"').toString();
    }

    static String sha256(byte[] bytes) {
        return HexFormat.of().formatHex(StoreFiles.sha256(bytes));
    }
}
