package oasisalloc;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A store that is told what to do, line by line, and answers each line with a JSON document
 * (tests/support/jvm_store.py).
 */
public final class StoreScript {
    private double now;
    private PolicyStore store;

    private StoreScript() {}

    public static void main(String[] args) throws IOException {
        StoreScript script = new StoreScript();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 2);
            String argument = words.length > 1 ? words[1] : "";
            Object said;
            try {
                said = script.run(words[0], argument);
            } catch (SnapshotException error) {
                said = "refused: " + error.reason();
            } catch (InputException error) {
                said = "input: " + error.getMessage();
            }
            System.out.println(JsonText.of(said));
        }
    }

    private Object run(String command, String argument) throws SnapshotException, IOException {
        return switch (command) {
            case "open" -> open(argument);
            case "clock" -> now = Double.parseDouble(argument);
            case "refresh" -> store.refresh();
            case "policy" -> store.policy().id();
            case "stats" -> store.stats();
            case "rollback" -> store.rollback().id();
            case "publish" -> store.publish(Path.of(argument)).id();
            case "apply" -> store.apply(argument);
            case "request" -> request(argument);
            case "drift" -> drift(argument);
            case "prometheus" -> Stats.prometheus(store.stats());
            default -> throw new IllegalArgumentException(command);
        };
    }

    /** A store of a file: `PATH`, or with options as JSON after it. */
    private Object open(String argument) throws IOException {
        List<Object> of = Json.list(Json.parse(argument));
        String place = (String) of.get(0);
        Map<String, Object> options = Json.object(of.get(1));
        double[] ages = Json.list(options.get("ages")).stream().mapToDouble(Json::number).toArray();
        StoreOptions how = StoreOptions.DEFAULT.withRefresh(0.0).withClock(() -> now).withName("radio")
                .withStaleness(new Staleness(ages[0], ages[1], ages[2], Json.whole(options.get("steps"))))
                .withHistory(Json.whole(options.get("history")));
        if (options.containsKey("keys")) {
            List<Object> keys = Json.list(options.get("keys"));
            Trust trust = Trust.of(keys.stream().map(key -> Path.of((String) key)).toArray(Path[]::new))
                    .withName((String) options.get("name"));
            String remember = (String) options.get("remember");
            if (remember != null) trust = trust.withRemember(Path.of(remember));
            how = how.withTrust((Boolean) options.get("required") ? trust : trust.optional());
        }
        if (options.containsKey("sketch"))
            how = how.withWatch(watch((String) options.get("sketch"), Json.object(options.get("watch"))));
        if (store != null) store.close();
        boolean isAddress = place.startsWith("http");
        store = isAddress ? new PolicyStore(URI.create(place), how) : new PolicyStore(Path.of(place), how);
        return true;
    }

    private static DriftWatch watch(String sketch, Map<String, Object> of) {
        return new DriftWatch(Sketch.parse(sketch), DriftOptions.DEFAULT
                .withSample(Json.whole(of.get("every")), Json.whole(of.get("candidates")))
                .withAlarms(Json.number(of.get("start")), Json.number(of.get("end")), Json.whole(of.get("rows"))));
    }

    /** What a watch says of the requests of a file of tests/golden; a missing number is null. */
    private static Object drift(String argument) {
        Map<String, Object> golden = Json.object(Json.parse(argument));
        DriftWatch watch = watch(JsonText.of(golden.get("reference")), Json.object(golden.get("watch")));
        for (Object one : Json.list(golden.get("requests"))) {
            Map<String, Object> request = Json.object(one);
            Map<String, double[]> columns = new LinkedHashMap<>();
            Json.object(request.get("columns")).forEach((name, column) -> columns.put(name, Json.list(column).stream()
                    .mapToDouble(value -> value == null ? Double.NaN : Json.number(value)).toArray()));
            int[] items = Json.list(request.get("items")).stream().mapToInt(Json::whole).toArray();
            watch.seen(items, columns, request.get("user"));
        }
        return watch.stats();
    }

    /** The answer of the active policy. */
    private Object request(String argument) throws SnapshotException {
        Map<String, Object> of = Json.object(Json.parse(argument));
        return store.decide(decision -> {
            Policy policy = decision.policy();
            int[] items = policy.encode(Json.list(of.get("ids")));
            decision.countUnseen(items);
            Map<String, double[]> columns = new LinkedHashMap<>();
            Json.object(of.get("columns")).forEach((name, column) ->
                    columns.put(name, Json.list(column).stream().mapToDouble(Json::number).toArray()));
            Ranking ranking = policy.rank(policy.user(of.get("user")), items, columns, SlateOptions.DEFAULT);
            decision.saw(items, columns, of.get("user"), ranking.scores());
            Map<String, Object> out = new LinkedHashMap<>();
            out.put("policy_id", policy.id());
            out.put("scores", ranking.scores());
            out.put("slate", Arrays.stream(ranking.positions()).boxed().toList());
            return out;
        });
    }
}
