"""Quotes under all rules against full solves: nothing that is called proven is wrong, and what moves adds up."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest
from quoted import KINDS, judged, problem, request

import oasis_alloc as oa
from oasis_alloc.forecast import exchanges, quote_base


def solved(kind: str, seed: int = 0, users: int = 30) -> oa.Solution:
    solution = oa.solve(problem(kind, seed, users=users, items=16, degree=6), gap=1e-6)
    assert solution.status.name == "SOLVED"
    return solution


def roomy(solution: oa.Solution) -> int:
    """The campaign that can get the most impressions on top."""
    labels = solution.problem.candidates.groups("campaign")
    asked = [oa.QuoteRequest(of={"campaign": label}) for label in labels]
    return int(max(oa.quote(solution, asked), key=lambda quote: quote.max_units.low).request.of["campaign"])


def check(kind: str, seed: int, quotes: int, users: int = 30, width: float = 1e-4) -> int:
    solution, rng, known = solved(kind, seed, users), np.random.default_rng([seed, 7]), 0
    for _ in range(quotes):
        case = judged(solution, request(rng, solution.problem.candidates), width)
        if case is None:
            continue
        known += 1
        for quote in (case.quote, case.certified):
            assert quote.cost.low <= case.cost + case.slack, (kind, seed, quote.request, quote.level, case)
            assert quote.cost.high >= case.cost - case.slack, (kind, seed, quote.request, quote.level, case)
            assert quote.cost.low <= quote.cost.mid <= quote.cost.high
        assert case.certified.is_proven
        assert (case.certified.feasible is True) == np.isfinite(case.cost)
        size = max(abs(solution.value), abs(solution.bound))
        if np.isfinite(case.cost):
            assert case.certified.cost.high - case.certified.cost.low <= 1.1 * width * size + case.slack
    return known


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["plain", "keep", "slot_weights", "functions"])
def test_the_cost_of_a_full_solve_is_in_the_brackets(kind: str) -> None:
    assert check(kind, 0, 2) > 0


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_of_a_full_solve_is_in_the_brackets_under_all_rules(kind: str) -> None:
    assert check(kind, 1, 4, users=40) + check(kind, 2, 4, users=40, width=2e-6) > 4


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["plain", "at_most"])
def test_the_maximum_is_that_of_bisection_with_full_solves(kind: str) -> None:
    solution = solved(kind)
    quote = oa.quote(solution, of={"campaign": roomy(solution)}, units=0.0)
    proven = quote.maximum(gap=1e-6)
    assert quote.max_units.low <= proven.high + 1e-6
    assert quote.max_units.high >= proven.low - 1e-6
    assert proven.high - proven.low <= 1e-5 * max(1.0, quote.units_now + proven.high)

    def is_possible(floor: float) -> bool:
        asked = (oa.exposure(by="campaign") >= {(quote.request.of or {})["campaign"]: floor}).named("asked")
        stated = solution.problem.replace(subject_to=[*solution.problem.subject_to, asked])
        return oa.solve(stated, gap=1e-3).status.name != "INFEASIBLE"

    low, high = 0.0, proven.high + 4.0
    while high - low > 0.01:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_possible(quote.units_now + middle) else (low, middle)
    assert low - 1e-3 <= proven.high
    assert proven.low <= high + 1e-3


@pytest.mark.parametrize("certify", [False, True])
def test_what_is_displaced_adds_up_to_what_is_booked(certify: bool) -> None:
    solution = solved("plain")
    quote = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0, certify=certify)
    assert quote.feasible is True
    filled = sum(row.units for row in quote.displaced if row.key == "slots")
    for key in ("campaign", "artist", "genre", "item"):
        lost = sum(row.units for row in quote.displaced if row.key == key)
        gained = sum(row.units for row in quote.gained if row.key == key)
        assert abs(gained - lost - filled) < 1e-6
    ours = {row.label: row.units for row in quote.gained if row.key == "campaign"}
    assert abs(ours[(quote.request.of or {})["campaign"]] - 2.0) < 1e-6 * 40
    booked = sum(group.booked for group in quote.groups["market"])
    assert abs(booked - 2.0) < 1e-6 * 40


def test_displacement_agrees_with_the_difference_of_two_solves() -> None:
    solution = solved("plain")
    quote = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0, certify=True, gap=1e-7)
    booked = oa.solve(quote.accept().problem, gap=1e-6)
    before, after = (one.allocation for one in (solution, booked))
    cands = solution.problem.candidates
    change = np.bincount(cands.items["campaign"].codes[cands.item], after - before)
    rows = {row.label: row.units for row in quote.gained if row.key == "campaign"}
    rows |= {row.label: -row.units for row in quote.displaced if row.key == "campaign"}
    mine = np.array([rows.get(label, 0.0) for label in cands.groups("campaign")])
    # the optimum of random values is unique, so two solves of it show the same
    assert np.abs(mine - change).max() < 1e-3


def test_a_quote_of_several_takes_no_more_than_each() -> None:
    solution = solved("plain")
    asked = [oa.QuoteRequest(of={"campaign": k}, units=1.0) for k in (0, 1, 3)]
    together = oa.quote(solution, asked)
    for one, quote in zip(asked, together, strict=True):
        assert oa.quote(solution, one).cost == quote.cost


def test_the_curve_is_convex_and_ends_at_the_maximum() -> None:
    solution = solved("plain")
    quote = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0)
    curve = quote.curve
    assert curve.units[0] == 0.0
    assert curve.units[-1] == quote.max_units.high
    slopes = np.diff(curve.cost_low) / np.diff(curve.units)
    assert (np.diff(slopes) > -1e-9).all()
    assert (curve.cost_low <= curve.cost_high).all()
    assert (np.diff(curve.price) >= 0.0).all()


def test_units_at_a_price_are_those_of_the_curve() -> None:
    solution = solved("plain")
    price = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0).price
    at = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0, max_price=price).units_at_price
    assert at is not None
    assert at >= 2.0
    assert oa.quote(solution, of={"campaign": roomy(solution)}, units=0.0, max_price=0.0).units_at_price == 0.0


@pytest.mark.few(2)
@pytest.mark.parametrize("where", [None, {"market": "DE"}, {"market": ["DE", "SE"]}])
def test_what_is_accepted_is_solved_from_there(where: dict[str, object] | None) -> None:
    solution = solved("plain")
    quote = oa.quote(solution, of={"campaign": roomy(solution)}, where=where, units=1.0, certify=True)
    accepted = quote.accept()
    booked = oa.solve(accepted.problem, start=accepted.start, gap=1e-6)
    assert booked.status.name == "SOLVED"
    name = accepted.problem.names[len(solution.problem.subject_to)]
    assert booked.totals[name].max() >= quote.floor - 1e-5
    assert oa.quote(solution, of={"campaign": roomy(solution)}, where=where, units=1.0).accept().start is solution


def test_new_items_may_be_worth_more_than_what_they_displace() -> None:
    solution = solved("plain")
    relevance = [2.0, 2.0, 0.1, 0.1]
    pairs = {"user": [0, 1, 2, 3], "item": [900, 900, 901, 900], "relevance": relevance, "promotion": [0.0] * 4}
    quote = oa.quote(solution, pairs=pairs, attributes={"artist": 0}, units=3.0, certify=True)
    assert quote.units_now == 0.0
    booked = oa.solve(quote.accept().problem, gap=1e-7)
    cost = solution.value - booked.value
    assert cost < 0.0
    assert quote.cost.low - 1e-5 <= cost <= quote.cost.high + 1e-5
    assert oa.quote(solution, pairs=pairs).max_units.high == 4.0


@pytest.mark.few(1)
@pytest.mark.parametrize("units", [0.0, None])
def test_new_items_add_value_without_a_promise(units: float | None) -> None:
    solution = solved("plain")
    pairs = {"user": [0, 1, 2], "item": [900, 900, 901], "relevance": [2.0, 2.0, 0.1], "promotion": [0.0] * 3}
    booked = oa.solve(oa.quote(solution, pairs=pairs, units=1e-9).accept().problem, gap=1e-7)
    cost = solution.value - booked.value
    assert cost < -0.5
    immediate, sure = (oa.quote(solution, pairs=pairs, units=units, certify=certify) for certify in (False, True))
    assert immediate.cost.low - 1e-5 <= cost <= immediate.cost.high + 1e-5
    assert sure.cost.low - 1e-5 <= cost <= sure.cost.high + 1e-5
    assert sure.is_proven
    assert sure.cost.high < -0.5


def test_threads_can_ask_at_the_same_time() -> None:
    solution = solved("plain")
    label = roomy(solution)
    expected = oa.quote(solution, of={"campaign": label}, units=2.0, certify=True).cost
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(oa.quote, solution, of={"campaign": label}, units=2.0, certify=bool(k % 2)) for k in range(8)
        ]
        costs = [future.result().cost for future in asked]
    assert np.allclose(
        costs[1::2], expected, rtol=0.0, atol=1e-9
    )  # thresholds of the last visit change the order of sums


def test_what_quotes_keep_goes_with_the_solution() -> None:
    solution = solved("plain")
    oa.quote(solution, of={"campaign": 1})
    engine = weakref.ref(quote_base.base_of(solution, None).engine)
    del solution
    gc.collect()
    assert engine() is None


@pytest.mark.few(1)
@pytest.mark.parametrize(("of", "limit"), [(exchanges, "_MOST_WAYS"), (quote_base, "_MOST_ENTRIES")])
def test_where_exchanges_are_too_many_an_immediate_quote_claims_nothing(
    of: ModuleType, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    solution = solved("plain")
    expected = oa.quote(solution, of={"campaign": roomy(solution)}, units=2.0)
    monkeypatch.setattr(of, limit, 0)
    again = solved("plain")
    quote = oa.quote(again, of=expected.request.of, units=2.0)
    assert quote.feasible is None
    assert quote.cost.high == np.inf
    assert quote.cost.low == expected.cost.low
    assert quote.max_units.low == 0.0
    assert "it is open whether 2 more impressions can be delivered" in str(quote)
    certified = oa.quote(again, of=expected.request.of, units=2.0, certify=True)
    assert certified.feasible is True


def test_a_plan_in_which_nothing_binds_has_quotes_under_slot_weights_too() -> None:
    """Such a plan is proven before the optimizer visits anybody; the quote needs its slots all the same."""
    rng = np.random.default_rng(2)
    cands = oa.Candidates.from_arrays(
        np.arange(13) * 5,
        np.tile(np.arange(5), 12),
        {"r": rng.random(60)},
        items={"campaign": ["a", "a", "b", "b", "c"]},
    )
    loose = oa.exposure(by="campaign") <= 1e6
    slate = oa.Slate(3, slot_weights=[1.0, 0.5, 0.5], at_most={"campaign": 1})
    plan = oa.solve(oa.Problem(cands, oa.total("r"), loose, slate), gap=1e-4)
    quotes = [oa.quote(plan, of={"campaign": "c"}, units=2.0, certify=certify) for certify in (False, True)]
    promised = oa.exposure(by="campaign") >= {"c": quotes[0].units_now + 2.0}
    with_promise = oa.solve(oa.Problem(cands, oa.total("r"), promised, slate), gap=1e-7)
    cost = plan.value - with_promise.value
    for quote in quotes:
        assert quote.cost.low - 1e-3 <= cost <= quote.cost.high + 1e-3
    again = oa.solve(plan.problem, start=plan)
    assert again.passes <= 2.0
    assert again.value == pytest.approx(plan.value, rel=1e-4)
