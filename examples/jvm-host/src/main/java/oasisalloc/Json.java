package oasisalloc;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;

/** As much of a JSON parser as it takes: Map, List, String, Long, BigInteger, Double, Boolean, null. */
final class Json {
    private static final Pattern NUMBER = Pattern.compile("-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?");
    private static final int MAX_DEPTH = 64; // objects and lists in one another
    private final String text;
    private int at, depth;

    private Json(String text) {
        this.text = text;
    }

    /** The value of a document; IllegalArgumentException for anything that is not JSON. */
    static Object parse(String text) {
        try {
            Json json = new Json(text);
            Object value = json.value();
            json.space();
            if (json.at < text.length()) throw new IllegalArgumentException("JSON goes on after its end");
            return value;
        } catch (StringIndexOutOfBoundsException error) {
            throw new IllegalArgumentException("JSON ends early");
        }
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        return (Map<String, Object>) Objects.requireNonNull(value);
    }

    @SuppressWarnings("unchecked")
    static List<Object> list(Object value) {
        return (List<Object>) Objects.requireNonNull(value);
    }

    static int whole(Object value) {
        return Math.toIntExact((Long) value);
    }

    static double number(Object value) {
        return ((Number) value).doubleValue();
    }

    private Object value() {
        space();
        char first = text.charAt(at);
        if (first == '{' || first == '[') {
            if (++depth > MAX_DEPTH) throw new IllegalArgumentException("JSON is deeper than " + MAX_DEPTH);
            Object value = first == '{' ? members() : entries();
            depth--;
            return value;
        }
        if (first == '"') return string();
        int end = at;
        while (end < text.length() && ",]} \t\r\n".indexOf(text.charAt(end)) < 0) end++;
        String word = text.substring(at, end);
        at = end;
        return switch (word) {
            case "true" -> true;
            case "false" -> false;
            case "null" -> null;
            default -> number(word);
        };
    }

    private Object number(String word) {
        if (!NUMBER.matcher(word).matches()) throw new IllegalArgumentException("JSON: expected a number before " + at);
        boolean isWhole = word.length() <= 400;
        for (int k = 0; isWhole && k < word.length(); k++) isWhole = ".eE".indexOf(word.charAt(k)) < 0;
        if (!isWhole) return Double.valueOf(word);
        if (word.length() < 19) return Long.valueOf(word);
        BigInteger whole = new BigInteger(word);
        return whole.bitLength() < 64 ? (Object) whole.longValue() : whole;
    }

    private Map<String, Object> members() {
        Map<String, Object> out = new LinkedHashMap<>();
        at++;
        for (space(); text.charAt(at) != '}'; space()) {
            if (!out.isEmpty()) expect(',');
            space();
            String name = string();
            space();
            expect(':');
            if (out.containsKey(name)) throw new IllegalArgumentException("JSON has " + name + " twice");
            out.put(name, value());
        }
        at++;
        return out;
    }

    private List<Object> entries() {
        List<Object> out = new ArrayList<>();
        at++;
        for (space(); text.charAt(at) != ']'; space()) {
            if (!out.isEmpty()) expect(',');
            out.add(value());
        }
        at++;
        return out;
    }

    private String string() {
        expect('"');
        int first = at;
        char c = text.charAt(at);
        while (c != '"' && c != '\\' && c >= ' ') c = text.charAt(++at);
        if (c == '"') return text.substring(first, at++);
        StringBuilder out = new StringBuilder(text.substring(first, at));
        while ((c = text.charAt(at++)) != '"') {
            if (c == '\\') {
                c = escaped();
            } else if (c < ' ') {
                throw new IllegalArgumentException("JSON: a control character in a string");
            }
            out.append(c);
        }
        return out.toString();
    }

    private char escaped() {
        char c = text.charAt(at++);
        if (c == 'u') {
            at += 4;
            return (char) HexFormat.fromHexDigits(text, at - 4, at);
        }
        int control = "bfnrt".indexOf(c);
        if (control < 0 && "\"\\/".indexOf(c) < 0) throw new IllegalArgumentException("JSON: no escape \\" + c);
        return control < 0 ? c : "\b\f\n\r\t".charAt(control);
    }

    private void expect(char c) {
        if (text.charAt(at++) != c) throw new IllegalArgumentException("JSON: expected " + c + " at " + (at - 1));
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }
}
