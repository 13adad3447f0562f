package oasisalloc;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The labels of a key or the ids of items: their codes, found without making an object where the type allows it. */
final class Labels {
    final String type; // in the file: "int", "uint", "float", "bool" or "str"
    private final List<Object> labels;
    private final String kind; // "number", "str" or "bool"; "" without labels
    private final LongTable whole; // whole numbers of 64 bits
    private int[] codeOfWhole = {};
    private final Map<Object, Integer> codes = new HashMap<>(); // of all others

    /** Refuses labels that are equal to one another. */
    Labels(String name, String type, List<Object> labels) {
        this.type = type;
        this.labels = labels;
        kind = labels.isEmpty() ? "" : kindOf(labels.get(0));
        boolean hasNumbers = kind.equals("number");
        whole = new LongTable(hasNumbers ? labels.size() : 0);
        if (hasNumbers) codeOfWhole = new int[labels.size()];
        for (int code = 0; code < labels.size(); code++) {
            Object label = Label.of(labels.get(code));
            boolean isNew = label instanceof Long number ? put(number, code) : codes.putIfAbsent(label, code) == null;
            Refusal.unless(isNew, name + ": a label or id appears twice");
        }
    }

    private static String kindOf(Object label) {
        return label instanceof String ? "str" : label instanceof Boolean ? "bool" : "number";
    }

    private boolean put(long number, int code) {
        int before = whole.size(), place = whole.add(number);
        if (place < before) return false;
        codeOfWhole[place] = code;
        return true;
    }

    int size() {
        return labels.size();
    }

    /** The label of a code, as it is in the file. */
    Object get(int code) {
        return labels.get(code);
    }

    int code(long number) {
        int place = whole.get(number);
        return place < 0 ? -1 : codeOfWhole[place];
    }

    /** The code of a label of any type, -1 for null and unknown ones; InputException for what cannot be a label. */
    int code(Object label) {
        if (Label.isLong(label)) return code(((Number) label).longValue());
        Object one = label instanceof String ? label : Label.of(label);
        if (one instanceof Long number) return code((long) number);
        Integer code = one == null ? null : codes.get(one);
        return code == null ? -1 : code;
    }

    /** True where a label is of another kind than all of these, so that it is probably a mistake of the caller. */
    boolean isOfAnotherKind(Object label) {
        if (kind.isEmpty()) return false;
        Object one = Label.of(label);
        return one != null && !kindOf(one).equals(kind);
    }
}
