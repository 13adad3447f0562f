package oasisalloc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The container of a snapshot: verified first, then used. No array is made before its bytes are known to be there. */
final class Container {
    static final String FORMAT = "oasis_alloc.policy";
    static final int SCHEMA = 3;
    private static final long MAX_HEADER = 100_000_000; // bytes
    private static final Pattern NAMED =
            Pattern.compile("\"checksum\"[ \\t\\r\\n]*:[ \\t\\r\\n]*\"([0-9a-f]{64})\"");

    /** Where an array is in the file. */
    private record Part(String dtype, int width, int[] shape, int first, int n) {}

    final Map<String, String> header = new LinkedHashMap<>();
    private final byte[] raw;
    private final Map<String, Part> parts = new HashMap<>();
    private final Set<String> taken = new HashSet<>();

    Container(byte[] raw) {
        this.raw = raw;
        Refusal.unless(raw.length >= 8, "truncated", "the file has " + raw.length + " bytes");
        long length = ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).getLong(0);
        Refusal.unless(length >= 0 && length <= MAX_HEADER, "not a snapshot",
                "the header cannot have " + Long.toUnsignedString(length) + " bytes");
        Refusal.unless(length <= raw.length - 8, "truncated",
                "the file has " + raw.length + " bytes, fewer than its header");
        int start = 8 + (int) length;
        if (!hasChecksum(raw, start)) throw whyNot((int) length);
        Map<String, Object> described = Json.object(Json.parse(text(8, (int) length)));
        Map<String, Object> metadata = Json.object(described.remove("__metadata__"));
        metadata.forEach((name, value) -> header.put(name, (String) value));
        Refusal.unless(FORMAT.equals(header.get("format")), "not a snapshot", "another format");
        Refusal.unless(header.get("schema").matches("[1-9][0-9]{0,8}"), "schema is not a whole number");
        Refusal.unless(Integer.parseInt(header.get("schema")) <= SCHEMA, "newer schema",
                "schema " + header.get("schema") + "; this reader knows " + SCHEMA);
        long end = 0, bytesOfAll = 0;
        for (Map.Entry<String, Object> each : described.entrySet()) {
            Part part = part(each.getKey(), Json.object(each.getValue()), start);
            parts.put(each.getKey(), part);
            end = Math.max(end, (long) part.first - start + (long) part.n * part.width);
            bytesOfAll += (long) part.n * part.width;
        }
        Refusal.unless(start + end == raw.length && bytesOfAll == end, "truncated",
                "or longer than its header says: " + raw.length + " bytes");
    }

    private Part part(String name, Map<String, Object> entry, int start) {
        int[] shape = Json.list(entry.get("shape")).stream().mapToInt(Json::whole).toArray();
        long n = 1;
        for (int side : shape) {
            Refusal.unless(side >= 0, "shape", name + " has a side of " + side);
            n = Math.multiplyExact(n, side);
        }
        String dtype = (String) entry.get("dtype");
        int width = switch (dtype) {
            case "F64", "I64" -> 8;
            case "I32" -> 4;
            case "U8" -> 1;
            default -> throw new Refusal("dtype", name + " is " + dtype);
        };
        List<Object> offsets = Json.list(entry.get("data_offsets"));
        long first = Json.whole(offsets.get(0)), last = Json.whole(offsets.get(1));
        boolean fits = n <= raw.length && first >= 0 && last - first == n * width && last <= raw.length - start;
        Refusal.unless(fits, "shape", name + " of shape " + Arrays.toString(shape) + " is at " + first + " to " + last);
        return new Part(dtype, width, shape, start + (int) first, (int) n);
    }

    /** SHA-256 of the file with the 64 digits of the checksum, which occur once in the header, replaced by zeros. */
    private static boolean hasChecksum(byte[] raw, int start) {
        String text = new String(raw, 0, start, StandardCharsets.ISO_8859_1);
        Matcher named = NAMED.matcher(text); // in a string, its quotes would be escaped
        if (!named.find()) return false;
        int at = named.start(1);
        String digest = named.group(1);
        if (named.find() || text.indexOf(digest) != at || text.indexOf(digest, at + 1) >= 0) return false;
        try {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            sha.update(raw, 0, at);
            sha.update("0".repeat(64).getBytes(StandardCharsets.US_ASCII));
            sha.update(raw, at + 64, raw.length - at - 64);
            return HexFormat.of().formatHex(sha.digest()).equals(digest);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every JDK has it
        }
    }

    /** Why a file does not have its checksum: it is another kind of file, or too short, or else it was changed. */
    private Refusal whyNot(int length) {
        long end = 0;
        try {
            Map<String, Object> described = Json.object(Json.parse(text(8, length)));
            Map<String, Object> metadata = Json.object(described.remove("__metadata__"));
            if (!FORMAT.equals(metadata.get("format"))) return new Refusal("not a snapshot", "another format");
            for (Object entry : described.values())
                end = Math.max(end, (Long) Json.list(Json.object(entry).get("data_offsets")).get(1));
        } catch (RuntimeException error) {
            return new Refusal("not a snapshot", "the header is not that of a snapshot (" + error.getMessage() + ")");
        }
        if (end > raw.length - 8L - length)
            return new Refusal("truncated", "the file has " + raw.length + " bytes, fewer than its header says");
        return new Refusal("tampered", "the bytes do not have the checksum");
    }

    /** Refuses arrays that nothing has read. */
    void checkAllTaken() {
        for (String name : parts.keySet())
            Refusal.unless(taken.contains(name), "shape", "unexpected array " + name);
    }

    private Part take(String name, String dtype, int dimensions) {
        Part part = parts.get(name);
        taken.add(name);
        Refusal.unless(part != null, "shape", "the array " + name + " is missing");
        Refusal.unless(part.dtype.equals(dtype), "dtype", name + " is " + part.dtype + "; expected " + dtype);
        Refusal.unless(part.shape.length == dimensions, "shape", name + " has " + part.shape.length
                + " dimensions; expected " + dimensions);
        return part;
    }

    private ByteBuffer bytes(Part part) {
        return ByteBuffer.wrap(raw, part.first, part.n * part.width).slice().order(ByteOrder.LITTLE_ENDIAN);
    }

    double[] doubles(String name) {
        Part part = take(name, "F64", 1);
        double[] values = new double[part.n];
        bytes(part).asDoubleBuffer().get(values);
        for (double value : values) Refusal.unless(Double.isFinite(value), "not finite", name + " has " + value);
        return values;
    }

    long[] longs(String name) {
        Part part = take(name, "I64", 1);
        long[] values = new long[part.n];
        bytes(part).asLongBuffer().get(values);
        return values;
    }

    /** The numbers of an array of rows of a width. */
    double[] doubles(String name, int width) {
        Part part = take(name, "F64", 2);
        Refusal.unless(part.shape[1] == width, "shape", name + " does not have rows of " + width);
        double[] values = new double[part.n];
        bytes(part).asDoubleBuffer().get(values);
        for (double value : values) Refusal.unless(Double.isFinite(value), "not finite", name + " has " + value);
        return values;
    }

    int[] ints(String name) {
        Part part = take(name, "I32", 1);
        int[] values = new int[part.n];
        bytes(part).asIntBuffer().get(values);
        return values;
    }

    /** Rows of so many integers, one after the other; with `rows` below 0, any number of rows. */
    int[] table(String name, int rows, int width) {
        Part part = take(name, "I32", 2);
        Refusal.unless(part.shape[1] == width && (rows < 0 || part.shape[0] == rows), "shape",
                name + " has shape " + Arrays.toString(part.shape) + "; expected [" + rows + ", " + width + "]");
        int[] values = new int[part.n];
        bytes(part).asIntBuffer().get(values);
        return values;
    }

    /** The number of rows of a table, which has no other trace of it where its rows are empty. */
    int rows(String name) {
        return take(name, "I32", 2).shape[0];
    }

    /** Labels or ids by kind: Long, unsigned BigInteger, Double, Boolean or String. */
    List<Object> labels(String name, String kind) {
        Object[] out = switch (kind) {
            case "int" -> Arrays.stream(longs(name)).boxed().toArray();
            case "uint" -> Arrays.stream(longs(name)).mapToObj(Container::unsigned).toArray();
            case "float" -> Arrays.stream(doubles(name)).boxed().toArray();
            case "bool" -> booleans(name);
            case "str" -> strings(name);
            default -> throw new Refusal("content", "labels of " + name + " are " + kind);
        };
        return Arrays.asList(out);
    }

    private static Object unsigned(long bits) {
        return bits >= 0 ? (Object) bits : new java.math.BigInteger(Long.toUnsignedString(bits));
    }

    private Object[] booleans(String name) {
        Part part = take(name, "U8", 1);
        Object[] out = new Object[part.n];
        for (int k = 0; k < out.length; k++) {
            byte bit = raw[part.first + k];
            Refusal.unless(bit == 0 || bit == 1, name + " has a boolean that is not 0 or 1");
            out[k] = bit == 1;
        }
        return out;
    }

    private Object[] strings(String name) {
        Part part = take(name + "/text", "U8", 1);
        long[] ends = longs(name + "/ends");
        boolean rises = ends.length > 0 && ends[0] == 0 && ends[ends.length - 1] == part.n;
        for (int k = 0; rises && k + 1 < ends.length; k++) rises = ends[k] <= ends[k + 1];
        Refusal.unless(rises, "shape", "the ends of " + name + " do not rise from 0 to " + part.n);
        text(part.first, part.n); // all of it is UTF-8, and so is every string that begins and ends with a character
        Object[] out = new Object[ends.length - 1];
        for (int k = 0; k < out.length; k++) {
            int first = part.first + (int) ends[k];
            boolean isInside = ends[k] < part.n && (raw[first] & 0xC0) == 0x80;
            Refusal.unless(!isInside, name + ": a string begins within a character");
            out[k] = new String(raw, first, (int) (ends[k + 1] - ends[k]), StandardCharsets.UTF_8);
        }
        return out;
    }

    private String text(int first, int length) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw, first, length)).toString();
        } catch (CharacterCodingException error) {
            throw new Refusal("content", "a text is not UTF-8");
        }
    }
}
