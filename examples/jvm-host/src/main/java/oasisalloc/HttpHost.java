package oasisalloc;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.LongAdder;

/**
 * A host to copy: ranks candidates by the policy of a snapshot file, over HTTP, with the paths and the JSON of
 * examples/host_service in Python.
 *
 * <pre>java -cp target/oasis-alloc.jar oasisalloc.HttpHost SNAPSHOT [--port 8080] [--threads 4] [--refresh 1.0]
 * [--trust radio.pub] [--trust-name radio] [--trust-remember FILE] [--drift sketch.json]</pre>
 *
 * SNAPSHOT may be the `manifest.json` of a directory of published policies, also its address on a web server;
 * `--trust` requires signatures by the key of a PEM file, and `--trust-remember` also refuses older manifests after a
 * restart; `--drift` compares a sample of the requests with the sketch of a JSON file, and adds it to the metrics.
 * `POST /rank` ranks; `/health` says that the process lives, `/ready` that requests are answered, `/schema` what they
 * bring, and `/metrics` is for Prometheus. With the variable OASIS_ALLOC_ADMIN_TOKEN there are `POST /admin/rollback`
 * and `/admin/publish`, whose body is the name of a file next to the snapshot.
 */
public final class HttpHost implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("oasisalloc");
    private static final double WARMUP = 0.5; // seconds
    private static final String NO_TOKEN = "expected the token of the administrator";

    /** Properties of the JDK's server, unless the command line sets them: no delays, and limits in seconds. */
    private static final Map<String, String> SERVER = Map.of("sun.net.httpserver.nodelay", "true",
            "sun.net.httpserver.maxReqTime", "30", "sun.net.httpserver.maxRspTime", "30");

    private record Answer(int status, String type, String text) {
        static Answer json(int status, Object value) {
            return new Answer(status, "application/json", JsonText.of(value));
        }

        static Answer text(int status, String text) {
            return new Answer(status, "text/plain; charset=utf-8", text);
        }
    }

    private interface Handler {
        Answer answer(HttpExchange exchange) throws IOException, SnapshotException, RankBody.Malformed;
    }

    private final HttpServer server;
    private final ExecutorService threads;
    private final PolicyStore store;
    private final Path snapshot;
    private final String token; // null for no administration
    private final LongAdder malformed = new LongAdder();
    private volatile boolean isWarm;

    /** Serves the policy of a store, which this closes; `/ready` is true once the JVM has compiled what it runs. */
    public HttpHost(Path snapshot, PolicyStore store, InetSocketAddress address, int threads, String token)
            throws IOException {
        SERVER.forEach((name, value) -> {
            if (System.getProperty(name) == null) System.setProperty(name, value);
        });
        this.store = store;
        this.snapshot = snapshot;
        this.token = token;
        server = HttpServer.create(address, 0);
        this.threads = Executors.newFixedThreadPool(threads);
        server.setExecutor(this.threads);
        on("POST", "/rank", this::rank);
        on("GET", "/health", exchange -> Answer.json(200, Map.of("status", "alive")));
        on("GET", "/ready", exchange -> ready());
        on("GET", "/schema", exchange -> schema());
        on("GET", "/metrics", exchange -> metrics());
        on("POST", "/admin/rollback", exchange -> isAllowed(exchange)
                ? Answer.text(200, store.rollback().id()) : Answer.text(403, NO_TOKEN));
        on("POST", "/admin/publish", this::publish);
        server.start();
        Thread warming = new Thread(this::warmUp, "oasisalloc warm-up");
        warming.setDaemon(true);
        warming.start();
    }

    public int port() {
        return server.getAddress().getPort();
    }

    @Override
    public void close() {
        server.stop(1);
        threads.shutdown();
        store.close();
    }

    private void warmUp() {
        try {
            while (store.stats().get("policy_id") == null) Thread.sleep(20);
            Warmup.run(store.policy(), WARMUP);
        } catch (InterruptedException | SnapshotException | RuntimeException error) {
            LOG.log(Level.WARNING, "the warm-up ended early", error);
        }
        isWarm = true;
    }

    private void on(String method, String path, Handler handler) {
        server.createContext(path, exchange -> {
            Answer answer;
            try {
                answer = !exchange.getRequestURI().getPath().equals(path) ? Answer.text(404, "there is no such path")
                        : !exchange.getRequestMethod().equals(method) ? Answer.text(405, "expected " + method)
                        : handler.answer(exchange);
            } catch (RankBody.Malformed error) {
                malformed.increment();
                answer = Answer.text(422, error.getMessage());
            } catch (InputException error) {
                answer = Answer.text(422, error.getMessage());
            } catch (SnapshotException error) {
                answer = Answer.text(503, error.getMessage());
            } catch (RuntimeException | IOException error) {
                LOG.log(Level.ERROR, "a request failed", error);
                answer = Answer.text(500, "the request failed; the log has the reason");
            }
            send(exchange, answer);
        });
    }

    private static void send(HttpExchange exchange, Answer answer) throws IOException {
        byte[] bytes = answer.text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", answer.type);
        exchange.sendResponseHeaders(answer.status, bytes.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(bytes);
        }
    }

    /** The body; null for one that is longer than it may be. */
    private static String body(HttpExchange exchange) throws IOException {
        byte[] bytes = exchange.getRequestBody().readNBytes(RankBody.MAX_BYTES + 1);
        return bytes.length > RankBody.MAX_BYTES ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    private Answer rank(HttpExchange exchange) throws IOException, SnapshotException, RankBody.Malformed {
        String text = body(exchange);
        if (text == null) {
            malformed.increment();
            return Answer.text(413, "expected a body of up to " + RankBody.MAX_BYTES + " bytes");
        }
        RankBody body = RankBody.parse(text);
        return Answer.json(200, store.decide(decision -> ranked(decision, body)));
    }

    private static Map<String, Object> ranked(Decision decision, RankBody body) {
        Policy policy = decision.policy(); // one policy, whatever is swapped meanwhile
        int[] items = policy.encode(body.ids());
        decision.countUnseen(items);
        SlateOptions options = body.k() == null ? SlateOptions.DEFAULT : SlateOptions.ofSize(body.k());
        Ranking ranking = policy.rank(policy.user(body.user()), items, body.columns(), options);
        decision.saw(items, body.columns(), body.user(), ranking.scores());
        List<Object> slate = new ArrayList<>();
        for (int position : ranking.positions()) slate.add(body.ids().get(position));
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("policy_id", policy.id());
        out.put("mode", decision.mode());
        out.put("slate", slate);
        out.put("scores", ranking.scores());
        return out;
    }

    private Map<String, Object> stats() {
        Map<String, Object> stats = store.stats();
        if (!isWarm && (Boolean) stats.get("ready")) {
            stats.put("ready", false);
            stats.put("not_ready", "not warm");
        }
        return stats;
    }

    private Answer ready() {
        Map<String, Object> stats = stats(), out = new LinkedHashMap<>();
        for (String name : List.of("ready", "not_ready", "policy_id", "mode", "age", "last_refused"))
            out.put(name, stats.get(name));
        return Answer.json((Boolean) stats.get("ready") ? 200 : 503, out);
    }

    private Answer schema() throws SnapshotException {
        return Answer.json(200, store.policy().schema());
    }

    private Answer metrics() {
        Exposition own = new Exposition("", "host_");
        own.counter("malformed_requests_total", "Bodies that are not a request", malformed.sum());
        return new Answer(200, "text/plain; version=0.0.4", Stats.prometheus(stats()) + own);
    }

    private boolean isAllowed(HttpExchange exchange) {
        String given = exchange.getRequestHeaders().getFirst("Authorization");
        return token != null && given != null && MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8),
                ("Bearer " + token).getBytes(StandardCharsets.UTF_8));
    }

    private Answer publish(HttpExchange exchange) throws IOException, SnapshotException {
        if (!isAllowed(exchange)) return Answer.text(403, NO_TOKEN);
        String name = body(exchange);
        boolean isName = name != null && !name.isEmpty() && name.matches("[^/\\\\\\p{Cntrl}]+") && !name.equals("..");
        Path file = isName ? snapshot.resolveSibling(name) : null;
        if (file == null || !Files.isRegularFile(file))
            return Answer.text(400, "expected the name of a file in the snapshot's folder");
        return Answer.text(200, store.publish(file).id());
    }

    public static void main(String[] args) throws IOException {
        Map<String, String> given = new LinkedHashMap<>(Map.of("--port", "8080", "--threads", "4", "--refresh", "1.0",
                "--host", "127.0.0.1", "--trust", "", "--trust-name", "", "--trust-remember", "", "--drift", ""));
        boolean isGood = args.length % 2 == 1;
        for (int a = 1; isGood && a < args.length; a += 2) isGood = given.replace(args[a], args[a + 1]) != null;
        if (!isGood) {
            System.err.println("usage: java oasisalloc.HttpHost SNAPSHOT [--host 127.0.0.1] [--port 8080] [--threads 4]"
                    + " [--refresh 1.0] [--trust PUBLIC_KEY] [--trust-name NAME] [--trust-remember FILE]"
                    + " [--drift SKETCH]");
            System.exit(2);
        }
        Path snapshot = Path.of(args[0]).toAbsolutePath();
        StoreOptions options = StoreOptions.DEFAULT.withName("")
                .withRefresh(Double.parseDouble(given.get("--refresh")));
        if (!given.get("--trust").isEmpty()) {
            String name = given.get("--trust-name");
            Trust trust = Trust.of(Path.of(given.get("--trust"))).withName(name.isEmpty() ? null : name);
            String remember = given.get("--trust-remember");
            options = options.withTrust(remember.isEmpty() ? trust : trust.withRemember(Path.of(remember)));
        }
        if (!given.get("--drift").isEmpty())
            options = options.withWatch(new DriftWatch(Sketch.load(Path.of(given.get("--drift"))),
                    DriftOptions.DEFAULT));
        InetSocketAddress address = new InetSocketAddress(given.get("--host"), Integer.parseInt(given.get("--port")));
        PolicyStore store = args[0].startsWith("http") ? new PolicyStore(URI.create(args[0]), options)
                : new PolicyStore(snapshot, options);
        HttpHost host = new HttpHost(snapshot, store, address,
                Integer.parseInt(given.get("--threads")), System.getenv("OASIS_ALLOC_ADMIN_TOKEN"));
        System.out.println("port = " + host.port());
    }
}
