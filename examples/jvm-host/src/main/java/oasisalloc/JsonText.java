package oasisalloc;

import java.util.Map;

/** Writes JSON: maps, iterables, arrays of doubles and ints, strings, numbers, booleans and null. */
final class JsonText {
    private final StringBuilder out = new StringBuilder();

    private JsonText() {}

    /** The text of a value; numbers that JSON cannot represent (NaN, infinity) are null. */
    static String of(Object value) {
        JsonText text = new JsonText();
        text.put(value);
        return text.out.toString();
    }

    private void put(Object value) {
        if (value instanceof Map<?, ?> map) putMap(map);
        else if (value instanceof Iterable<?> list) putList(list);
        else if (value instanceof double[] numbers) putNumbers(numbers);
        else if (value instanceof int[] numbers) out.append(java.util.Arrays.toString(numbers).replace(" ", ""));
        else if (value instanceof Double number) putNumber(number);
        else if (value == null || value instanceof Number || value instanceof Boolean) out.append(value);
        else putString(value.toString());
    }

    private void putMap(Map<?, ?> map) {
        String before = "{";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(before);
            putString(entry.getKey().toString());
            out.append(':');
            put(entry.getValue());
            before = ",";
        }
        out.append(map.isEmpty() ? "{}" : "}");
    }

    private void putList(Iterable<?> list) {
        out.append('[');
        boolean isFirst = true;
        for (Object each : list) {
            if (!isFirst) out.append(',');
            put(each);
            isFirst = false;
        }
        out.append(']');
    }

    private void putNumbers(double[] numbers) {
        out.append('[');
        for (int i = 0; i < numbers.length; i++) {
            if (i > 0) out.append(',');
            putNumber(numbers[i]);
        }
        out.append(']');
    }

    private void putNumber(double number) {
        if (Double.isFinite(number)) out.append(number);
        else out.append("null");
    }

    private void putString(String text) {
        out.append('"');
        for (int k = 0; k < text.length(); k++) {
            char c = text.charAt(k);
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ' || Character.isSurrogate(c)) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        out.append('"');
    }
}
