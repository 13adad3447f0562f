package oasisalloc;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.UUID;

/** Which labels and ids are equal, by type: docs/labels.md. */
final class Label {
    static final Object NOTHING = new Object(); // a number that is equal to no label
    private static final int MAX_DIGITS = 400;

    private Label() {}

    /** What a label is looked up by: two labels are equal if and only if these are; null is no label. */
    static Object of(Object label) {
        if (label == null || label instanceof String || label instanceof Boolean) return label;
        if (label instanceof Number number) return number(number);
        if (label instanceof CharSequence || label instanceof Character || label instanceof UUID
                || label instanceof LocalDate) return label.toString();
        if (label instanceof Enum<?> one) return one.name();
        if (label instanceof LocalDateTime time) return local(time);
        if (label instanceof LocalTime time) return clock(time);
        if (label instanceof Instant time) return utc(time);
        if (label instanceof OffsetDateTime time) return utc(time.toInstant());
        if (label instanceof ZonedDateTime time) return utc(time.toInstant());
        throw new InputException("a label cannot be of type " + label.getClass().getSimpleName()
                + "; expected a string, a number, a boolean, an enum, a UUID, a date or time of java.time, or null");
    }

    /** The same for a log, in which what is equal to no label is null. */
    static Object logged(Object label) {
        Object known = of(label);
        return known == NOTHING ? null : known;
    }

    /** True where the type is a whole number of at most 64 bits, whose value needs no object. */
    static boolean isLong(Object label) {
        return label instanceof Long || label instanceof Integer || label instanceof Short || label instanceof Byte;
    }

    private static Object number(Number number) {
        if (isLong(number)) return number.longValue();
        if (number instanceof Double || number instanceof Float) return number(number.doubleValue());
        BigDecimal exact;
        try {
            exact = number instanceof BigDecimal decimal ? decimal
                    : number instanceof BigInteger whole ? new BigDecimal(whole) : new BigDecimal(number.toString());
        } catch (NumberFormatException error) {
            throw new InputException("a label of type " + number.getClass().getSimpleName()
                    + " does not say its number; expected one whose text is a decimal number");
        }
        if (exact.signum() == 0) return 0L;
        if ((long) exact.precision() - exact.scale() > MAX_DIGITS) return NOTHING;
        if (exact.scale() > MAX_DIGITS || exact.stripTrailingZeros().scale() > 0) return number(exact.doubleValue());
        return whole(exact.toBigInteger());
    }

    private static Object number(double value) {
        if (Double.isNaN(value)) return null;
        if (Double.isInfinite(value)) return NOTHING;
        if (value != Math.rint(value)) return value;
        return value >= -0x1p63 && value < 0x1p63 ? (Object) (long) value : new BigDecimal(value).toBigInteger();
    }

    private static Object whole(BigInteger whole) {
        return whole.bitLength() < 64 ? (Object) whole.longValue() : whole;
    }

    private static String local(LocalDateTime time) {
        String date = time.toLocalDate().toString();
        return time.toLocalTime().equals(LocalTime.MIDNIGHT) ? date : date + "T" + clock(time.toLocalTime());
    }

    private static String utc(Instant time) {
        LocalDateTime at = LocalDateTime.ofInstant(time, ZoneOffset.UTC);
        return at.toLocalDate() + "T" + clock(at.toLocalTime()) + "+00:00";
    }

    private static String clock(LocalTime time) {
        String text = String.format("%02d:%02d:%02d", time.getHour(), time.getMinute(), time.getSecond());
        int nano = time.getNano();
        if (nano == 0) return text;
        return text + (nano % 1000 == 0 ? String.format(".%06d", nano / 1000) : String.format(".%09d", nano));
    }
}
