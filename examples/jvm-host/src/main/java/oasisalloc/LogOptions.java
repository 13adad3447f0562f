package oasisalloc;

import java.nio.charset.StandardCharsets;

/**
 * How decisions are logged.
 *
 * @param rate share of requests to log, from 0 to 1, chosen by the id of the request
 * @param rows decisions of a file
 * @param seconds seconds after which a file is written with fewer
 * @param queue how many decisions may wait, at least `rows`
 * @param secret the key for the hashes of user ids; null logs no users
 */
public record LogOptions(double rate, int rows, double seconds, int queue, byte[] secret) {
    /** All requests, in files of 10,000 decisions or 30 seconds, without users. */
    public static final LogOptions DEFAULT = new LogOptions(1.0, 10_000, 30.0, 100_000, null);

    /** Checks the options; InputException says what is wrong. */
    public LogOptions {
        if (!(rate >= 0 && rate <= 1)) throw new InputException("rate is " + rate + "; expected a share from 0 to 1");
        if (rows < 1) throw new InputException("rows is " + rows + "; expected 1 or more");
        if (!(seconds > 0)) throw new InputException("seconds is " + seconds + "; expected a number above 0");
        if (queue < rows) throw new InputException("queue is " + queue + "; expected at least rows, " + rows);
        if (secret != null && secret.length == 0) throw new InputException("the secret is empty");
        secret = secret == null ? null : secret.clone();
    }

    public LogOptions withRate(double share) {
        return new LogOptions(share, rows, seconds, queue, secret);
    }

    public LogOptions withFiles(int rowsOfAFile, double secondsOfAFile) {
        return new LogOptions(rate, rowsOfAFile, secondsOfAFile, Math.max(queue, rowsOfAFile), secret);
    }

    public LogOptions withQueue(int decisions) {
        return new LogOptions(rate, rows, seconds, decisions, secret);
    }

    public LogOptions withSecret(String key) {
        return new LogOptions(rate, rows, seconds, queue, key.getBytes(StandardCharsets.UTF_8));
    }
}
