package oasisalloc;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Decisions in words, the same as in the library in Python. */
final class Sentences {
    private static final int MAX_PARTS = 4;

    private Sentences() {}

    static String of(Reason reason) {
        StringBuilder text = new StringBuilder("item " + Written.label(reason.item()) + " scores "
                + Written.of(reason.score()) + " = " + parts(reason.parts()));
        if (reason.decrement() != 0.0)
            text.append(", " + Written.of(reason.decrement()) + " less for similar items before it");
        String rival = reason.rival() == null ? "an empty slot" : "item " + Written.label(reason.rivalItem());
        if (reason.rank() != null) {
            text.append("; shown at " + (reason.rank() + 1));
            if (!reason.rule().isEmpty()) text.append(" (" + reason.rule() + ")");
            else if (Double.isFinite(reason.margin()))
                text.append(", " + Written.of(reason.margin()) + " ahead of " + rival);
        } else {
            String because = switch (reason.rule()) {
                case "score" -> rival + " is worth more";
                case "worth" -> "it is not worth a slot";
                default -> reason.rule();
            };
            text.append("; not shown: " + because);
            if (Double.isFinite(reason.margin())) text.append(", short by " + Written.of(-reason.margin()));
        }
        List<String> changes = reason.changes().stream().map(Sentences::of).toList();
        if (!changes.isEmpty()) text.append("; reversed by " + String.join(", or ", changes));
        return text.toString();
    }

    private static String parts(List<ScorePart> all) {
        List<ScorePart> parts = new ArrayList<>(all);
        parts.removeIf(part -> part.amount() == 0.0);
        parts.sort(Comparator.comparingDouble(part -> -Math.abs(part.amount())));
        String made = String.join(" ", parts.stream().limit(MAX_PARTS).map(Sentences::of).toList());
        return made.isEmpty() ? "0" : parts.size() > MAX_PARTS ? made + " ..." : made;
    }

    private static String of(ScorePart part) {
        String amount = Written.signed(part.amount());
        if (!part.kind().equals("price")) return amount + " " + part.name();
        return amount + " for " + Written.label(part.name()) + group(part.group());
    }

    private static String of(Change change) {
        if (change.kind().equals("column"))
            return Written.signed(change.to() - change.now()) + " " + change.name() + " (" + Written.of(change.now())
                    + " to " + Written.of(change.to()) + ")";
        return "a price of " + Written.label(change.name()) + group(change.group()) + " of " + Written.of(change.to())
                + " (now " + Written.of(change.now()) + ")";
    }

    private static String group(Object group) {
        return group == null ? "" : " of " + Written.label(group);
    }
}
