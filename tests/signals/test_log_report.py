"""The report of a decision log: known errors of calibration, drift and policies lead to the right verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_logs import IDS, MODEL, RATE, N, policy, request, write

import oasis_alloc as oa
from oasis_alloc.signals.log_checks import ALARM, drift, predicted_against, stability
from oasis_alloc.signals.log_page import page_of
from oasis_alloc.signals.log_report import LogReport, report_of, text_of

REQUESTS = 600


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[oa.Decisions, pd.DataFrame]:
    return write(tmp_path_factory.mktemp("log"), REQUESTS, seed=1, share=0.8)


def report(log: tuple[oa.Decisions, pd.DataFrame], **how: Any) -> LogReport:
    given: dict[str, Any] = {"source": "logs", "policies": {}, "predicted": "model", **how}
    return report_of(*log, "streams", **given)


def test_a_log_in_order_needs_no_action(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    found = report(log)
    assert (found.level, found.verdict, found.actions) == ("good", "Nothing needs action.", [])
    assert [block.title for block in found.blocks] == ["calibration", "drift", "exploration"]
    assert dict(found.log.rows)["decisions"] == f"{REQUESTS}"


@pytest.mark.full
def test_policies_are_evaluated(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    found = report(log, policies={"new": policy("new"), "wrong": policy("now", 1)})
    new, wrong = found.blocks[-2:]
    assert new.off_policy is not None
    alone = oa.evaluate_policy(policy("new"), *log, "streams", predicted="model")
    assert new.off_policy.best.value == alone.best.value
    assert new.level == "good"
    assert "Test new on live traffic: the log says that it is better." in found.actions
    assert "Do not publish wrong: the log says that it is worse." in found.actions
    assert wrong.off_policy is not None
    assert wrong.off_policy.best.difference_high < 0.0


def test_predictions_that_are_off_need_action(tmp_path: Path) -> None:
    decisions, frame = write(tmp_path, 400, seed=2)
    twice = report((decisions, frame.assign(streams=frame.streams / 2)))
    assert twice.level == "bad"
    assert twice.verdict.startswith("Needs action: calibration.")
    assert "values per item shown are off by" in twice.actions[0]
    assert "(too high)" in twice.actions[0]
    by_default = report((decisions, frame), predicted=None)
    assert by_default.blocks[0].level == "watch", "the organic column may have another unit"
    assert "name the column that does: --predicted COLUMN" in by_default.actions[0]


def test_totals_are_off_beyond_noise() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5_000)
    y = (rng.random(5_000) < p).astype(np.float64)
    found = predicted_against(p, y, np.ones(5_000))
    assert found.ratio == pytest.approx(y.sum() / p.sum())
    assert found.error == pytest.approx(math.sqrt((p * (1 - p)).sum()), rel=0.05)
    assert not found.is_off
    assert predicted_against(0.8 * p, y, np.ones(5_000)).is_off
    assert not predicted_against(0.97 * p, y, np.ones(5_000)).is_off, "3 % is not worth an action"
    few = predicted_against(0.8 * p[:50], y[:50], np.ones(50))
    assert not few.is_off, "50 rows cannot say"


def test_outcomes_beyond_one_are_not_judged(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    decisions, frame = log
    found = report((decisions, frame.assign(streams=3.0 * frame.streams)))
    assert found.blocks[0].level == "watch"
    assert "not from 0 to 1" in found.blocks[0].finding


@pytest.mark.full
def test_selection_shows_where_only_what_is_shown_is_off(tmp_path: Path) -> None:
    """Noisy predictions are right on average; those of the items that a policy picked by them are too high."""
    rng, made, rows = np.random.default_rng(3), policy("now"), []
    with oa.DecisionLog(tmp_path) as log:
        for k in range(1_500):
            noisy = RATE + 0.25 * rng.normal(size=N)
            slate, p = made.sample(np.arange(N), {"now": noisy}, rng=k, exploration={"share": 0.3})
            log.record(f"r{k}", made, IDS, {"now": noisy}, slate, propensities=p)
            rows += [(f"r{k}", IDS[place], float(rng.random() < RATE[place])) for place in slate]
    frame = pd.DataFrame(rows, columns=["request", "item", "streams"])
    found = report((oa.read_decisions(tmp_path), frame), predicted="now").blocks[0]
    assert found.reliability is not None
    shown, every = found.reliability.values()
    assert shown.is_off
    assert shown.ratio < 0.8
    assert every.ratio == pytest.approx(1.0, abs=4 * every.error / every.reliability.expected)
    assert "selection causes the error" in found.actions[0]


def test_drift_is_found_by_column(tmp_path: Path) -> None:
    made, rows = policy("now"), []
    rng = np.random.default_rng(4)
    with oa.DecisionLog(tmp_path) as log:
        for k in range(400):
            later = k >= 200
            columns = request(k) | {"drifting": rng.normal(loc=later, size=N), "same": rng.normal(size=N)}
            ids = [f"new-{one}" if later and one.endswith("5") else one for one in IDS]
            if later:
                columns["late"] = np.ones(N)
            slate, p = made.sample(made.encode(ids), {"now": columns["now"]}, rng=k, exploration={"share": 0.5})
            log.record(f"r{k}", made, ids, columns, slate, propensities=p, at=float(k))
            rows += [(f"r{k}", ids[place], float(rng.random() < RATE[place])) for place in slate]
    decisions = oa.read_decisions(tmp_path)
    found = drift(decisions)
    levels = {one.column: one.level for one in found.columns}
    assert levels == {"now": "stable", "new": "stable", "model": "stable", "drifting": "moved", "same": "stable",
                      "late": "moved"}  # fmt: skip
    assert found.columns[0].column == "late"
    assert found.columns[0].index == math.inf
    assert found.new_items == pytest.approx(1 / 6)
    frame = pd.DataFrame(rows, columns=["request", "item", "streams"])
    whole = report((decisions, frame))
    assert "Solve again with recent data: late, drifting moved within the log." in whole.actions
    assert json.loads(json.dumps(whole.to_dict(), allow_nan=False))["blocks"][1]["drift"]["columns"][0]["index"] is None
    assert "absent" in page_of(whole)


def test_the_stability_index_is_that_of_its_formula() -> None:
    first, second = np.repeat(np.arange(10.0), 10), np.repeat(np.arange(10.0), [30] + [10] * 6 + [5, 5, 0])
    shares = np.maximum(np.array([30] + [10] * 6 + [5, 5, 0]) / 100, 1e-4)
    assert stability(first, second) == pytest.approx(((shares - 0.1) * np.log(shares / 0.1)).sum())
    absent = np.where(np.arange(100) < 20, np.nan, first)
    assert stability(first, absent) > 0.25
    assert stability(np.full(5, np.nan), np.full(5, np.nan)) == 0.0


def test_a_log_of_best_slates_says_what_to_do(tmp_path: Path) -> None:
    decisions, frame = write(tmp_path, 60, share=0.0)
    found = report((decisions, frame), policies={"new": policy("new")})
    assert found.level == "bad"
    assert "Explore: a log of best slates says nothing about other policies." in found.actions
    refused = found.blocks[-1]
    assert refused.off_policy is not None
    assert refused.off_policy.refused
    assert "<svg" not in page_of(found).split("Policy new")[1]


def test_a_log_without_propensities_says_what_to_do(tmp_path: Path) -> None:
    log = write(tmp_path, 60, propensities=None)
    found = report(log, policies={"new": policy("new")})
    assert "Serve policy.sample with an exploration, and log its propensities." in found.actions
    assert found.blocks[-1].finding.startswith("It cannot be evaluated: 120 of 120 items shown were logged without")
    assert "All candidates" not in page_of(found)


def test_propensities_that_are_not_probabilities_say_so(tmp_path: Path) -> None:
    found = report(write(tmp_path, 40, propensities=[0.0, 0.5]))
    assert "outside (0, 1]" in found.blocks[2].finding


def test_the_page_has_everything_and_loads_nothing(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    found = report(log, policies={"<new>": policy("new")})
    text = page_of(found)
    for part in (found.verdict, *found.actions, "Calibration", "Drift", "Exploration", "stability index"):
        assert part.replace("<", "&lt;").replace(">", "&gt;") in text
    assert text.index("Recommended actions") < text.index("Calibration")
    assert text.count("<svg") == 4
    assert not [word for word in ("http:", "https:", "<script", "src=", "@import", "url(") if word in text]
    assert "<new>" not in text
    assert found.verdict in text_of(found)


def test_logs_that_do_not_fit_are_named(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    decisions, frame = log
    with pytest.raises(oa.InputError, match="outcomes: all 1,200 are 0, a single class"):
        report((decisions, frame.assign(streams=0.0)))
    with pytest.raises(oa.InputError, match="request 'r0' was logged without the column 'absent'"):
        report(log, predicted="absent")
    assert MODEL.size == N


@pytest.mark.parametrize("most", [0.0, 1.0])
def test_a_column_that_is_mostly_one_value_is_seen_to_move(most: float) -> None:
    mostly, half = np.repeat([most, 1.0 - most], [97, 3]), np.repeat([most, 1.0 - most], [50, 50])
    assert stability(mostly, mostly) == 0.0
    assert stability(mostly, half) > ALARM
