package oasisalloc;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Writes the decisions of a service to files of JSON lines, in the schema of docs/decision-logs.md, which
 * `oasis_alloc.read_decisions` reads. It never makes a request wait: a decision goes into a bounded queue, and one that
 * finds it full is dropped and counted. A thread writes a file for every `rows` decisions, or after `seconds`; a file
 * appears when it is complete. Close, or the end of the JVM, writes what waits. Every method may be called from any
 * thread.
 */
public final class DecisionLog implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("oasisalloc");
    private static final long LOOKS = 200; // milliseconds between two looks of the thread at the queue
    private static final long QUIET = 30_000_000_000L; // nanoseconds between two messages about the disk
    private static final DateTimeFormatter NAME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss").withZone(ZoneOffset.UTC);

    private final Path folder;
    private final LogOptions options;
    private final ArrayBlockingQueue<LoggedDecision> queue;
    private final LongAdder recorded = new LongAdder(), written = new LongAdder(), dropped = new LongAdder();
    private final LongAdder unsampled = new LongAdder(), failed = new LongAdder(), files = new LongAdder();
    private final CountDownLatch ended = new CountDownLatch(1);
    private final SecureRandom random = new SecureRandom();
    private final Thread thread, atExit;
    private volatile boolean isClosed;
    private long lastWritten = System.nanoTime(), lastComplaint = System.nanoTime() - QUIET; // under the lock of this

    /** Logs to a folder, which the first file makes; several processes may share it. */
    public DecisionLog(Path folder, LogOptions options) {
        this.folder = folder;
        this.options = options;
        queue = new ArrayBlockingQueue<>(options.queue());
        thread = new Thread(this::watch, "oasisalloc decisions");
        thread.setDaemon(true);
        thread.start();
        atExit = new Thread(this::end, "oasisalloc decisions at exit");
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    /**
     * Whether a request is logged at a rate, the same in every process and language: the first 8 bytes of the SHA-256 of
     * its id in UTF-8, as an unsigned number, divided by 2^64, are below the rate.
     */
    public static boolean isSampled(String request, double rate) {
        if (rate >= 1) return true;
        byte[] digest = StoreFiles.sha256(request.getBytes(StandardCharsets.UTF_8));
        long bits = 0;
        for (int k = 0; k < 8; k++) bits = bits << 8 | digest[k] & 0xff;
        // The nearest double, ties to even: half of the number, with a bit that stands for what is cut off.
        double value = bits >= 0 ? bits : (bits >>> 1 | bits & 1) * 2.0;
        return value / 0x1p64 < rate;
    }

    /** Logs a decision; true if it is in the queue, false if it is not sampled or was dropped. */
    public boolean record(LoggedDecision decision) {
        if (!isSampled(decision.request(), options.rate())) {
            unsampled.increment();
            return false;
        }
        if (isClosed || queue.remainingCapacity() == 0 || !queue.offer(decision.copied())) {
            dropped.increment();
            return false;
        }
        recorded.increment();
        return true;
    }

    /** Counts of this process: recorded, written, waiting, dropped, unsampled, failed and files. */
    public Map<String, Long> stats() {
        Map<String, Long> out = new LinkedHashMap<>();
        out.put("recorded", recorded.sum());
        out.put("written", written.sum());
        out.put("waiting", (long) queue.size());
        out.put("dropped", dropped.sum());
        out.put("unsampled", unsampled.sum());
        out.put("failed", failed.sum());
        out.put("files", files.sum());
        return out;
    }

    /** Writes all decisions that wait, now. */
    public synchronized void flush() {
        while (!queue.isEmpty()) write();
    }

    /** Writes what waits, and ends the thread; later decisions are dropped and counted. */
    @Override
    public void close() {
        end();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException error) {
            return; // the JVM ends already
        }
    }

    private void end() {
        isClosed = true;
        ended.countDown();
        try {
            thread.join();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        flush();
    }

    private void watch() {
        try {
            while (!ended.await(LOOKS, TimeUnit.MILLISECONDS)) look();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** Writes files if it is time. */
    private synchronized void look() {
        boolean isDue = System.nanoTime() - lastWritten >= options.seconds() * 1e9;
        while (queue.size() >= options.rows() || isDue && !queue.isEmpty()) {
            write();
            isDue = false;
        }
    }

    /** Writes the oldest decisions to one file; a decision that cannot be written costs no other one. */
    private void write() {
        lastWritten = System.nanoTime();
        List<LoggedDecision> batch = new ArrayList<>();
        queue.drainTo(batch, options.rows());
        List<byte[]> lines = new ArrayList<>(batch.size());
        for (LoggedDecision decision : batch) {
            try {
                String text = JsonText.of(decision.document(options.rate(), hashed(decision.user())));
                lines.add((text + "\n").getBytes(StandardCharsets.UTF_8));
            } catch (RuntimeException error) {
                complain(1, error);
            }
        }
        byte[] mark = new byte[4];
        random.nextBytes(mark);
        String name = NAME.format(Instant.now()) + "-" + ProcessHandle.current().pid() + "-"
                + HexFormat.of().formatHex(mark) + ".jsonl";
        try {
            Files.createDirectories(folder);
            StoreFiles.write(folder.resolve(name), lines); // until then under a name that readers leave out
            written.add(lines.size());
            files.increment();
        } catch (IOException | RuntimeException error) { // a full disk: the service goes on
            complain(lines.size(), error);
        }
    }

    private void complain(int count, Exception error) {
        failed.add(count);
        if (System.nanoTime() - lastComplaint < QUIET) return;
        lastComplaint = System.nanoTime();
        LOG.log(Level.ERROR, count + " decisions cannot be written to " + folder, error);
    }

    /** A user's id as 32 hexadecimal digits of its HMAC-SHA256; null without a user or a secret. */
    private String hashed(Object user) {
        if (user == null || options.secret() == null) return null;
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(options.secret(), "HmacSHA256"));
            byte[] digest = mac.doFinal(String.valueOf(user).getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(digest, 0, 16);
        } catch (GeneralSecurityException error) {
            throw new AssertionError(error); // every JDK has it
        }
    }
}
