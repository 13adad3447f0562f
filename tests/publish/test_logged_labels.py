"""A logged label or id is the one that decided, whatever its type: in both languages, and in the canary's requests."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from jvm_host import run_source

import oasis_alloc as oa
from oasis_alloc.publish.jobs.canary import requests_of

TEXTS: list[Any] = [
    "SE", np.str_("DE"), dt.date(2026, 1, 2), dt.datetime(2026, 1, 3), dt.datetime(2026, 1, 2, 7, 30),
    np.datetime64("2026-01-04T07:30"), dt.datetime(2026, 1, 2, 9, 30, tzinfo=ZoneInfo("Asia/Tokyo")),
    dt.time(7, 30), UUID(int=7),
]  # fmt: skip
NUMBERS: list[Any] = [np.float32(0.1), Decimal("0.5"), np.int8(3), 2.0, 2**40]
FLAGS: list[Any] = [True, np.bool_(False)]
ITEMS, COLUMNS = [0, 1], {"r": [0.9, 0.5]}

JAVA = """
import oasisalloc.*;
import java.math.*;
import java.nio.file.Path;
import java.time.*;
import java.util.*;

public class Labels {
    enum Country { SE { @Override public String toString() { return "Sweden"; } } }

    public static void main(String[] args) throws Exception {
        Object[][] labels = {
            {"SE", new StringBuilder("DE"), Country.SE, LocalDate.of(2026, 1, 2), LocalDateTime.of(2026, 1, 3, 0, 0),
             LocalDateTime.of(2026, 1, 2, 7, 30), Instant.parse("2026-01-02T00:30:00Z"),
             ZonedDateTime.of(2026, 1, 2, 9, 30, 0, 0, ZoneId.of("Asia/Tokyo")), LocalTime.of(7, 30),
             new UUID(0, 7), "unknown", null},
            {0.1f, new BigDecimal("0.5"), (byte) 3, 3L, 2.0, BigInteger.ONE.shiftLeft(40), Float.NaN,
             Float.POSITIVE_INFINITY, new BigDecimal("1e500")},
            {true, false}};
        Map<String, double[]> columns = Map.of("r", new double[] {0.9, 0.5});
        int k = 0;
        for (int p = 0; p < labels.length; p++) {
            Policy policy = Policy.load(Path.of(args[0], p + ".policy"));
            try (DecisionLog log = new DecisionLog(Path.of(args[0], "log " + p), LogOptions.DEFAULT)) {
                for (Object label : labels[p]) {
                    Map<String, Object> user = new HashMap<>();
                    user.put("market", label);
                    double[] scores = policy.score(policy.user(user), new int[] {0, 1}, columns);
                    log.record(LoggedDecision.of("r" + k++, policy, List.of(0L, 1.0), columns, new int[] {0})
                            .withUser(null, user).withNumbers(scores, null));
                }
            }
        }
        DecisionLog ids = new DecisionLog(Path.of(args[0], "ids"), LogOptions.DEFAULT);
        Policy policy = Policy.load(Path.of(args[0], "0.policy"));
        List<List<?>> given = List.of(List.of(LocalDate.of(2026, 1, 2), new UUID(0, 7)), List.of(1.0, (short) 2),
                List.of("a", 5), List.of(0.5, 1), List.of(true, false));
        for (List<?> one : given)
            ids.record(LoggedDecision.of("r", policy, one, Map.of(), new int[] {0}).withTime(k++));
        ids.close();
        System.out.println(ids.stats().get("written") + " " + ids.stats().get("failed"));
    }
}
"""


def policy_of(labels: list[Any]) -> tuple[oa.Policy, oa.Candidates]:
    """A policy with another price for each of these labels of users."""
    n = len(labels)
    cands = oa.Candidates.from_arrays(
        np.arange(n + 1), np.zeros(n, np.int64), {"r": 0.5 + 0.01 * np.arange(n)}, users={"market": labels}, n_items=2
    )
    caps = (oa.exposure(by="market") <= 0.5).named("caps")
    return oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)), gap=1e-9).policy(), cands


@pytest.mark.parametrize("labels", [TEXTS[:2], TEXTS[2:3], TEXTS[3:5], TEXTS[5:6], TEXTS[6:7], TEXTS[7:8], TEXTS[8:],
                                    NUMBERS, FLAGS], ids=repr)  # fmt: skip
def test_what_python_logs_is_what_decided(tmp_path: Path, labels: list[Any]) -> None:
    made, cands = policy_of(labels)
    with oa.DecisionLog(tmp_path) as log:
        for k, label in enumerate(labels):
            user = {"market": label}
            scores = made.score(ITEMS, COLUMNS, user=user)
            assert log.record(f"r{k}", made, ITEMS, COLUMNS, [0], labels=user, scores=scores, at=float(k))
            assert scores.tolist() != COLUMNS["r"], "the label has a price"
    for decision in oa.read_decisions(tmp_path):
        assert made.score(ITEMS, COLUMNS, user=dict(decision.labels)).tolist() == list(decision.scores or ())
    kept = requests_of(cands, made, len(labels))
    for request, label in zip(kept, labels, strict=True):
        again = made.score(ITEMS, COLUMNS, user=request["user"])
        assert again.tolist() == made.score(ITEMS, COLUMNS, user={"market": label}).tolist()


def test_ids_of_other_types_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    made, _ = policy_of(FLAGS)
    good: list[Any] = [[dt.date(2026, 1, 2), UUID(int=7)], [1.0, 2.0], ["a", 5], np.array([1, 2], np.uint64)]
    bad: list[Any] = [[0.5, 1.0], [True, False], [None, 1], [2**63, 1], [object()], [b"a"]]
    with oa.DecisionLog(tmp_path) as log:
        for k, items in enumerate([*good, *bad]):
            assert log.record(f"r{k}", made, items, {}, [0], at=float(k)) == (k < len(good))
    found = list(oa.read_decisions(tmp_path))
    assert [one.items for one in found] == [["2026-01-02", str(UUID(int=7))], [1, 2], ["a", "5"], [1, 2]]
    with pytest.raises(oa.InputError, match="its ids are texts, and the items of the policy are numbers"):
        found[0].explain(made)


def test_what_java_logs_is_what_decided(tmp_path: Path) -> None:
    texts = ["SE", "DE", "2026-01-02", "2026-01-03", "2026-01-02T07:30:00", "2026-01-02T00:30:00+00:00", "07:30:00"]
    made = [policy_of(labels)[0] for labels in ([*texts, str(UUID(int=7))], NUMBERS, FLAGS)]
    for k, one in enumerate(made):
        one.save(tmp_path / f"{k}.policy")
    (tmp_path / "Labels.java").write_text(JAVA, encoding="utf-8")
    done = run_source_in(tmp_path)
    assert done == "3 2", "ids of numbers that are not whole, and of booleans, are no ids"
    for k, one in enumerate(made):
        decisions = list(oa.read_decisions(tmp_path / f"log {k}"))
        priced = 0
        for decision in decisions:
            assert one.score(ITEMS, COLUMNS, user=dict(decision.labels)).tolist() == list(decision.scores or ())
            assert decision.items == [0, 1]
            priced += list(decision.scores or ()) != COLUMNS["r"]
        assert (len(decisions), priced) == [(12, 10), (9, 6), (2, 2)][k]
    items = [one.items for one in oa.read_decisions(tmp_path / "ids")]
    assert items == [["2026-01-02", str(UUID(int=7))], [1, 2], ["a", "5"]]


def run_source_in(folder: Path) -> str:
    done = run_source(folder / "Labels.java", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
