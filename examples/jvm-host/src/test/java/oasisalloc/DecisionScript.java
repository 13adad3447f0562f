package oasisalloc;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Logs decisions as a test asks, and prints what it did:
 *
 * <pre>same SNAPSHOT REQUESTS FOLDER ROWS   a decision per line of requests, with everything there is to log
 * sampled NAMES RATES                   for every line of RATES, the numbers of the names that are sampled
 * full SNAPSHOT REQUESTS FOLDER         seven decisions for a queue of five; then a folder that cannot be made
 * leave SNAPSHOT REQUESTS FOLDER        the end of the JVM without close
 * kill SNAPSHOT REQUESTS FOLDER         until it is killed, in files of 300</pre>
 */
public class DecisionScript {
    private static LoggedDecision decided(Policy policy, String line, int k) throws RankBody.Malformed {
        RankBody body = RankBody.parse(line);
        User user = policy.user(body.user());
        int[] items = policy.encode(body.ids());
        SlateOptions options = new SlateOptions(body.k(), new int[] {2}, new int[] {1}, false);
        int[] slate = policy.select(user, items, body.columns(), options);
        double[] propensities = new double[slate.length];
        Arrays.fill(propensities, 0.5);
        Map<String, Object> labels = new LinkedHashMap<>();
        if (body.user() instanceof Map<?, ?> given) given.forEach((key, label) -> labels.put(key.toString(), label));
        return LoggedDecision.of("r" + k, policy, body.ids(), body.columns(), slate).withMode("hold")
                .withUser(k % 2 == 0 ? (Object) (long) k : "user \u00fc\u2028 " + k, labels)
                .withNumbers(policy.score(user, items, body.columns()), propensities)
                .withOptions(options, Map.of(1, "heard \"today\"")).withTime(1000.0 + k);
    }

    private static void say(DecisionLog log, String name) {
        log.stats().forEach((count, value) -> System.out.println(name + " " + count + " = " + value));
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("sampled")) {
            List<String> names = Files.readAllLines(Path.of(args[1]));
            for (String rate : Files.readAllLines(Path.of(args[2]))) {
                StringBuilder kept = new StringBuilder();
                for (int k = 0; k < names.size(); k++)
                    if (DecisionLog.isSampled(names.get(k), Double.parseDouble(rate))) kept.append(k).append(' ');
                System.out.println(rate + " = " + kept.toString().strip());
            }
            return;
        }
        Policy policy = Policy.load(Path.of(args[1]));
        List<LoggedDecision> decisions = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(args[2]))) decisions.add(decided(policy, line, decisions.size()));
        Path folder = Path.of(args[3]);
        LogOptions options = LogOptions.DEFAULT.withSecret("a secret");
        if (args[0].equals("same")) {
            DecisionLog log = new DecisionLog(folder, options.withFiles(Integer.parseInt(args[4]), 1e6));
            for (LoggedDecision one : decisions) log.record(one);
            decisions.get(0).slate()[0] = 77; // what the caller changes later is not logged
            log.close();
            say(log, "log");
        } else if (args[0].equals("full")) {
            DecisionLog log = new DecisionLog(folder, options.withFiles(5, 1e6).withQueue(5));
            for (int k = 0; k < 7; k++) log.record(decisions.get(k));
            log.close();
            log.record(decisions.get(0));
            say(log, "full");
            DecisionLog none = new DecisionLog(Path.of(args[2]), options); // a file
            none.record(decisions.get(0));
            none.close();
            say(none, "disk");
            DecisionLog some = new DecisionLog(folder, options.withRate(0.25));
            for (LoggedDecision one : decisions) some.record(one);
            some.close();
            say(some, "rate");
        } else if (args[0].equals("leave")) {
            DecisionLog log = new DecisionLog(folder, options.withFiles(10_000, 1e6));
            for (LoggedDecision one : decisions) log.record(one);
        } else {
            DecisionLog log = new DecisionLog(folder, options.withFiles(300, 1e6));
            for (int k = 0; k < 1000; k++) log.record(decisions.get(k % decisions.size()).withTime(k));
            while (true) {
                System.out.println(log.stats().get("written"));
                Thread.sleep(20);
            }
        }
    }
}
