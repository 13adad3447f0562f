"""What a flight will come to: from a pacer, and from a ledger and a schedule alone."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support.paced import CAPS, END, USERS, Clock, candidates, play, problem

DAY = 1_782_864_000.0  # 2026-07-01 00:00 UTC


def ledger_with(amounts: dict[str, int], at: float, state: str = "confirmed") -> oa.Ledger:
    ledger = oa.Ledger(slice_seconds=900, clock=Clock(at))
    for label, number in amounts.items():
        names = [f"{label} {state} {k}" for k in range(number)]
        ledger.record_columns(names, [label] * number, DAY, 1.0, state)
    return ledger


def plan(**how: Any) -> oa.Plan:
    return oa.Plan("campaign", DAY, DAY + 86400.0, **how)


def test_a_ledger_and_a_schedule_are_enough() -> None:
    """A third of the traffic has passed by noon."""
    schedule = oa.Schedule.from_weights([1.0] * 12 + [2.0] * 12).over(DAY, DAY + 86400.0)
    noon = DAY + 43200.0
    ledger = ledger_with({"on": 100, "slow": 40, "fast": 200, "done": 90}, noon)
    goals = plan(
        floors={"on": 290.0, "slow": 150.0, "none": 10.0}, caps={"on": 300.0, "fast": 300.0, "done": 90.0},
        starts={"later": noon + 60.0}, daily={"later": 5.0},
    )  # fmt: skip
    found = {one.label: one for one in oa.outlook(goals, ledger, schedule, now=noon)}
    assert {label: one.status for label, one in found.items()} == {
        "on": "on track", "slow": "will fall short", "fast": "will run out", "done": "stopped",
        "none": "will fall short", "later": "not started",
    }  # fmt: skip
    assert found["on"].projected == pytest.approx(300.0)
    assert found["slow"].amount == pytest.approx(30.0)
    assert found["none"].reason == "no supply"
    assert (found["done"].reason, found["done"].pace) == ("hard cap", pytest.approx(3.0))
    assert found["fast"].amount == pytest.approx(DAY + (12 + 12 * 0.25) * 3600.0)  # half of the traffic
    assert found["fast"].projected == 300.0, "cut at the cap"
    flat = {one.label: one for one in oa.outlook(goals, ledger, now=noon)}
    assert flat["on"].projected == pytest.approx(200.0)
    json.dumps([one.to_dict() for one in found.values()], allow_nan=False)


def test_pending_amounts_count_as_far_as_they_are_expected() -> None:
    noon = DAY + 43200.0
    ledger = ledger_with({"a": 40}, noon)
    ledger.record_columns([f"p{k}" for k in range(20)], ["a"] * 20, DAY, 1.0, "served")
    one = oa.outlook(plan(floors={"a": 100.0}), ledger, now=noon, confirmed_share=0.5)[0]
    assert (one.confirmed, one.pending, one.delivered, one.projected) == (40.0, 20.0, 50.0, pytest.approx(100.0))


@pytest.mark.parametrize(
    ("mode", "had", "projected"), [("even", 50, 100.0), ("front-loaded", 75, 100.0), ("asap", 50, 100.0)]
)
def test_the_pace_goes_on_along_the_curve_of_the_mode(mode: str, had: int, projected: float) -> None:
    noon = DAY + 43200.0
    one = oa.outlook(plan(floors={"a": 100.0}, mode=mode), ledger_with({"a": had}, noon), now=noon)[0]
    assert one.projected == pytest.approx(projected)
    assert one.status == "on track"


def test_the_interval_holds_nine_in_ten_times() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(400):
        total = rng.poisson(300)
        had = int(rng.binomial(total, 0.4))
        at = DAY + 0.4 * 86400.0
        one = oa.outlook(plan(floors={"a": 1.0}), ledger_with({"a": had}, at), now=at)[0]
        inside += one.low <= total <= one.high
    assert 0.86 < inside / 400 < 0.94


def test_a_pacer_and_its_ledger_say_the_same() -> None:
    cands = candidates()
    policy = oa.solve(problem(cands), gap=1e-3).policy()
    ledger = oa.Ledger(slice_seconds=900, clock=Clock(END))
    goals = oa.Plan("campaign", 0.0, END, caps=CAPS, floors={"c0": 50.0})
    pacer = oa.Pacer(policy, goals, ledger=ledger, requests=USERS, clock=Clock())
    play(pacer, cands, 0, 200)
    assert pacer.sync()
    pacer.tick(500.0)
    for mine, theirs in zip(pacer.outlook(500.0), oa.outlook(goals, ledger, now=500.0), strict=True):
        assert (mine.label, mine.delivered, mine.projected) == (theirs.label, theirs.delivered, theirs.projected)
        assert (mine.low, mine.high, mine.planned) == (theirs.low, theirs.high, theirs.planned)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"plan": None}, r"expected oa\.Plan, got NoneType"),
        ({"ledger": "ledger.db"}, r"expected oa\.Ledger, got str"),
        ({"ledger": oa.Ledger(by="licensor")}, "the ledger is by licensor"),
        ({"now": math.nan}, "expected UNIX seconds"),
        ({"confirmed_share": 1.5}, "from 0 to 1"),
        ({"schedule": 3.0}, "float has no method share"),
    ],
    ids=str,
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"plan": plan(floors={"a": 1.0}), "ledger": oa.Ledger()} | change
    with pytest.raises(oa.InputError, match=words):
        oa.outlook(given.pop("plan"), given.pop("ledger"), given.pop("schedule", None), **given)
