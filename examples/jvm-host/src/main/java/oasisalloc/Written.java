package oasisalloc;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;

/** Numbers and labels as the sentences of the library in Python write them: formats `.4g` and `repr`. */
final class Written {
    private static final int DIGITS = 4;

    private Written() {}

    /** Four significant digits. */
    static String of(double number) {
        if (!Double.isFinite(number)) return special(number);
        BigDecimal rounded = new BigDecimal(number).round(new MathContext(DIGITS, RoundingMode.HALF_EVEN));
        return sign(number) + digits(rounded.abs(), DIGITS);
    }

    /** The same, with a sign in any case. */
    static String signed(double number) {
        String text = of(number);
        return text.startsWith("-") ? text : "+" + text;
    }

    private static String special(double number) {
        return Double.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
    }

    private static String sign(double number) {
        return number < 0 || 1 / number < 0 ? "-" : "";
    }

    /** A number above 0 or 0 itself, with an exponent if it is below 1e-4 or has more digits than `maxDigits`. */
    private static String digits(BigDecimal number, int maxDigits) {
        if (number.signum() == 0) return "0";
        BigDecimal stripped = number.stripTrailingZeros();
        int exponent = stripped.precision() - stripped.scale() - 1;
        if (exponent >= -4 && exponent < maxDigits) return stripped.toPlainString();
        String all = stripped.unscaledValue().toString();
        String mantissa = all.length() == 1 ? all : all.charAt(0) + "." + all.substring(1);
        return mantissa + "e" + (exponent < 0 ? "-" : "+") + String.format("%02d", Math.abs(exponent));
    }

    /** A label or an id, or several in a list. */
    static String label(Object label) {
        if (label == null) return "None";
        if (label instanceof Boolean flag) return flag ? "True" : "False";
        if (label instanceof Double number) return shortest(number);
        if (label instanceof String text) return quoted(text);
        if (label instanceof List<?> list)
            return "(" + String.join(", ", list.stream().map(Written::label).toList()) + ")";
        return label.toString();
    }

    /** The fewest digits that read back as the same number. */
    private static String shortest(double number) {
        if (!Double.isFinite(number)) return special(number);
        BigDecimal exact = new BigDecimal(number).abs(), rounded = exact;
        for (int digits = 1; digits <= 17; digits++) {
            rounded = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
            if (rounded.doubleValue() == Math.abs(number)) break;
        }
        String text = digits(rounded, 16);
        return sign(number) + (text.indexOf('.') < 0 && text.indexOf('e') < 0 ? text + ".0" : text);
    }

    private static String quoted(String text) {
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        StringBuilder out = new StringBuilder().append(quote);
        text.codePoints().forEach(c -> {
            if (c == quote || c == '\\') out.append('\\').appendCodePoint(c);
            else if (c == '\n') out.append("\\n");
            else if (c == '\r') out.append("\\r");
            else if (c == '\t') out.append("\\t");
            else if (PolicyReader.isPrintable(c)) out.appendCodePoint(c);
            else out.append(String.format(c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c));
        });
        return out.append(quote).toString();
    }
}
