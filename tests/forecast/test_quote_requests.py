"""Bad input: messages say what is wrong, where and what to do, and nothing that looks like a result comes back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quoted import problem

import oasis_alloc as oa

NOW = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
HOURS = ["2026-11-30T23", "2026-12-01T13", "2026-12-01T14"]


@pytest.fixture(scope="module")
def solution() -> oa.Solution:
    return oa.solve(problem("plain", 0, users=20, items=16, degree=6))


@pytest.fixture(scope="module")
def timed() -> oa.Solution:
    """A plan by hour, with ids."""
    cands = oa.Candidates.from_arrays(
        [0, 2, 4, 6], [0, 1] * 3, {"r": [0.9, 0.5, 0.8, 0.7, 0.6, 0.2]}, users={"hour": HOURS},
        items={"song": ["a", "b"]}, user_ids=["u", "v", "w"], item_ids=["x", "y"],
    )  # fmt: skip
    return oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "not said which impressions"),
        ({"of": {"campaign": 1}, "units": -3}, "units=-3 is negative.*lower its floor"),
        ({"of": {"campaign": 1}, "units": np.inf}, "expected a finite number"),
        ({"of": {"campaign": 1}, "units": "5"}, "expected a finite number"),
        ({"of": {"campaign": 1}, "max_price": -1.0}, "max_price=-1 is negative"),
        ({"of": {"campaign": 77}}, "no item has the label 77 of 'campaign'.*items= or pairs="),
        ({"of": {"campain": 1}}, "no key 'campain'.*Did you mean 'campaign'"),
        ({"of": {"campaign": []}}, "names no label"),
        ({"of": "campaign"}, "expected {key: label}"),
        ({"of": {"campaign": 1}, "where": {"market": "FR"}}, "no user has the label 'FR' of 'market'"),
        ({"items": [99]}, "99 is not an item of the candidates"),
        ({"items": "abc"}, "expected a list of item ids"),
        ({"items": []}, "names no item"),
        ({"of": {"campaign": 1}, "units": 1e6}, "1e\\+06 more units are asked for.*room for"),
        ({"of": {"campaign": 1}, "size": 3}, "no argument 'size'"),
        ({"of": {"campaign": 1}, "name": ""}, "expected a text that is not empty"),
        ({"of": {"campaign": 1}, "attributes": {"artist": 1}}, "give pairs= as well"),
        ({"of": {"campaign": 1}, "pairs": {}}, "ask two quotes"),
        ({"of": {"campaign": 1}, "ends": "2026-11-30"}, "ends on 2026-11-30, which is in the past"),
        ({"of": {"campaign": 1}, "ends": "soon"}, "expected an ISO 8601 date"),
        ({"of": {"campaign": 1}, "starts": "2027-01-02", "ends": "2027-01-01"}, "before it starts"),
        ({"of": {"campaign": 1}, "clock": "hour"}, "give starts= or ends="),
        ({"of": {"campaign": 1}, "clock": "hour", "starts": "2027-01-01"}, "label 0 is not a time"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(solution: oa.Solution, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.ProblemError, match=message):
        oa.quote(solution, **asked, now=NOW)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"certify": 1}, "expected True or False"),
        ({"gap": 0.0}, "expected a positive number"),
        ({"threads": 0}, "whole number of threads"),
        ({"now": "today"}, "expected a datetime"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(solution: oa.Solution, given: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.ProblemError, match=message):
        oa.quote(solution, of={"campaign": 1}, **given)


def test_only_solutions_and_requests_are_taken(solution: oa.Solution) -> None:
    with pytest.raises(oa.ProblemError, match=r"takes an oa\.Solution"):
        oa.quote(solution.problem, of={"campaign": 1})  # type: ignore[call-overload]
    with pytest.raises(oa.ProblemError, match="a list of at least one"):
        oa.quote(solution, [])
    with pytest.raises(oa.ProblemError, match="not both"):
        oa.quote(solution, oa.QuoteRequest(of={"campaign": 1}), units=3)
    with pytest.raises(oa.ProblemError, match="such table"):
        oa.quote(solution, of={"campaign": 1}).to_frame("people")
    with pytest.raises(oa.ProblemError, match="positive number"):
        oa.quote(solution, of={"campaign": 1}).maximum(gap=-1.0)
    with pytest.raises(oa.ProblemError, match="no units to promise"):
        oa.quote(solution, of={"campaign": 1}).accept()


def test_one_bad_request_of_a_list_stops_before_any_work(solution: oa.Solution) -> None:
    asked = [oa.QuoteRequest(of={"campaign": 1}), oa.QuoteRequest(of={"campaign": 77})]
    with pytest.raises(oa.ProblemError, match="label 77"):
        oa.quote(solution, asked)


def test_items_that_are_no_candidates_are_refused() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 1, 2], [0, 0], {"r": [0.5, 0.4]}, items={"song": ["a", "b"]}, users={"market": ["SE", "DE"]})  # fmt: skip
    solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    with pytest.raises(oa.ProblemError, match="no user among these has its items as candidates"):
        oa.quote(solution, of={"song": "b"}, units=1)


def test_plans_that_prove_nothing_are_refused(solution: oa.Solution) -> None:
    impossible = solution.problem.replace(subject_to=[oa.exposure() >= 1e6])
    with pytest.raises(oa.SolverError, match="infeasible"):
        oa.quote(oa.solve(impossible), of={"campaign": 1})
    with pytest.raises(oa.SolverError, match="misses limits"):
        oa.quote(oa.solve(impossible, on_conflict="relax"), of={"campaign": 1})


def test_units_beyond_the_limits_have_no_numbers_that_look_like_results(solution: oa.Solution) -> None:
    capped = oa.solve(solution.problem.replace(subject_to=[(oa.exposure(by="campaign") <= 4.0).named("caps")]))
    quote = oa.quote(capped, of={"campaign": 1}, units=8.0, certify=True)
    assert quote.feasible is False
    assert quote.cost == (np.inf, np.inf, np.inf)
    assert quote.price == np.inf
    assert quote.displaced == ()
    assert "cannot be delivered, and that is proven" in str(quote)
    document = quote.to_dict()
    assert document["cost"] == {"low": None, "mid": None, "high": None}
    assert document["inventory_shortfall"] > 0.0
    with pytest.raises(oa.SolverError, match="nothing to accept"):
        quote.accept()


def test_flights_restrict_hours(timed: oa.Solution) -> None:
    whole = oa.quote(timed, of={"song": "b"}, now=NOW)
    assert whole.max_units.high == 3.0
    flight = oa.quote(timed, of={"song": "b"}, clock="hour", starts="2026-12-01T13:30", ends="2026-12-02", now=NOW)
    assert flight.max_units.high == 1.0
    assert [group.label for group in flight.groups["hour"]] == [HOURS[2]]
    with pytest.raises(oa.ProblemError, match=r"no label of 'hour' is in the flight.*the labels are from"):
        oa.quote(timed, of={"song": "b"}, clock="hour", starts="2027-01-01", now=NOW)
    with pytest.raises(oa.ProblemError, match="in the past"):
        oa.quote(timed, of={"song": "b"}, where={"hour": HOURS[0]}, now=NOW)
    assert oa.quote(timed, of={"song": "b"}, where={"hour": HOURS[1]}, now=NOW).max_units.high == 1.0


@pytest.mark.parametrize("kind", [str, dt.date.fromisoformat, np.datetime64])
def test_days_of_any_kind_are_times(kind: Callable[[str], Any]) -> None:
    days = [kind(f"2030-05-0{1 + k % 3}") for k in range(30)]
    cands = oa.Candidates.from_arrays(
        np.arange(31) * 2, np.tile([0, 1], 30), {"r": np.random.default_rng(3).random(60)}, users={"day": days},
        items={"campaign": ["a", "b"]})  # fmt: skip
    solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    asked: dict[str, Any] = {"of": {"campaign": "a"}, "units": 1.0}
    now = dt.datetime(2030, 5, 2, 18, tzinfo=dt.UTC)
    flight = oa.quote(solution, starts="2030-05-02", ends="2030-05-03", clock="day", now=now, **asked)
    both = oa.quote(solution, where={"day": [kind("2030-05-02"), kind("2030-05-03")]}, now=now, **asked)
    assert flight.cost == both.cost
    assert flight.units_now == both.units_now
    with pytest.raises(oa.ProblemError, match=r"where day=.* is in the past"):
        oa.quote(solution, where={"day": kind("2030-05-01")}, now=now, **asked)


@pytest.mark.parametrize("frame", [False, True])
def test_new_items_need_ids_users_and_all_columns(timed: oa.Solution, frame: bool) -> None:
    def ask(**changes: Any) -> oa.Quote:
        pairs = {"user": ["u", "w"], "item": ["new", "new"], "r": [0.1, 0.3]} | changes
        given = {name: column for name, column in pairs.items() if column is not None}
        return oa.quote(timed, pairs=pd.DataFrame(given) if frame else given, units=1, now=NOW)

    assert ask().max_units.high == 2.0
    for changes, message in (
        ({"user": ["u", "q"]}, "row 1 has the user 'q'"),
        ({"item": ["new", "x"]}, "row 1 has the item 'x', which the candidates have already"),
        ({"r": None}, "no column 'r'"),
        ({"user": ["u", "u"]}, "pair twice"),
    ):
        with pytest.raises(oa.ProblemError, match=message):
            ask(**changes)
    with pytest.raises(oa.InputError, match="r"):
        ask(r=[0.1, np.nan])


def test_new_items_bring_scores_that_are_calibrated_as_all_others() -> None:
    half = oa.Calibration(np.array([0.0, 1.0]), np.array([[0.0, 0.5]]))
    relevance = np.random.default_rng(0).random(60)
    cands = oa.Candidates.from_arrays(np.arange(31) * 2, np.tile([0, 1], 30), {"r": relevance})
    solution = oa.solve(oa.Problem(cands.calibrated({"r": half}), oa.total("r"), slate=oa.Slate(1)), gap=1e-6)
    pairs = {"user": [4, 0, 1], "item": [7, 7, 8], "r": [0.8, 0.4, 0.6]}
    quote = oa.quote(solution, pairs=pairs, units=2.0, certify=True, gap=1e-6)
    made = quote.accept().problem.candidates
    is_new = made.item >= 2
    assert made.request_columns["r"][is_new].tolist() == [0.4, 0.6, 0.8]
    assert made.columns["r"][is_new].tolist() == [0.2, 0.3, 0.4]
    best = relevance.reshape(30, 2).max(axis=1)[[0, 1, 4]] - [0.4, 0.6, 0.8]
    cheapest = sorted(best)[:2]
    cost = 0.5 * (sum(cheapest) + min(0.0, sorted(best)[2]))
    assert quote.cost.low - 1e-5 <= cost <= quote.cost.high + 1e-5


def test_attributes_of_new_items_are_labels_of_known_keys(timed: oa.Solution) -> None:
    pairs = {"user": ["u"], "item": ["new"], "r": [0.1]}
    assert oa.quote(timed, pairs=pairs, attributes={"song": {"new": "c"}}, units=1).feasible
    with pytest.raises(oa.ProblemError, match="items have no key 'singer'"):
        oa.quote(timed, pairs=pairs, attributes={"singer": "c"})
    with pytest.raises(oa.ProblemError, match="no rows"):
        oa.quote(timed, pairs={"user": [], "item": [], "r": []})
