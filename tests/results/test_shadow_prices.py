"""Shadow prices against a second solve: moving a limit by a little gains no more than its price says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, curved_problems, problems

import oasis_alloc as oa
from oasis_alloc.markets import month

GAP = 1e-9

# Of the limits that have a price, which are moved: two solves each.
one_in = pytest.mark.parametrize("every", [4, *full_only(1)])


def with_limit(problem: oa.Problem, name: str, label: Any, limit: float) -> oa.Problem:
    """The problem with one limit of one group changed."""
    k = problem.names.index(name)
    function: Any = problem.subject_to[k]
    band = getattr(function, "constraint", function)
    if isinstance(band.limit, dict):
        limits: Any = {**band.limit, label: limit}
    else:
        labels = problem.labels(name)
        limits = np.array(np.broadcast_to(band.limit, len(labels)), float)
        limits[labels.index(label)] = limit
    changed = replace(band, limit=limits)
    if band is not function:
        changed = replace(function, constraint=changed)
    return problem.replace(subject_to=[*problem.subject_to[:k], changed.named(name), *problem.subject_to[k + 1 :]])


def check_moves(solution: oa.Solution, one: oa.ShadowPrice, deltas: list[float]) -> list[oa.Solution]:
    """Solve with the limit moved either way; weak duality makes the bound of the old prices one of the new problem."""
    assert one.limit is not None
    size = max(1.0, abs(solution.bound))
    out = []
    for delta in deltas:
        try:
            problem = with_limit(solution.problem, one.name, one.label, one.limit + delta)
        except oa.ProblemError as error:
            if "negative cap" in str(error) or "floor above its cap" in str(error):
                continue  # no problem that can be stated
            raise
        moved = oa.solve(problem, gap=GAP, start=solution)
        out.append(moved)
        if moved.status is not oa.Status.INFEASIBLE:
            bought = 1e-6 * abs(one.price)  # what a violation that counts as none may gain
            assert moved.value <= solution.bound + one.price * delta + 1e-8 * size + bought, one
    return out


@settings(max_examples=examples(40))
@given(case=problems(max_constraints=3), data=st.data())
def test_no_move_of_a_limit_gains_more_than_its_price(case: Case, data: st.DataObject) -> None:
    solution = oa.solve(case.problem, gap=GAP)
    prices = solution.shadow_prices()
    if prices:
        one = data.draw(st.sampled_from(prices))
        delta = data.draw(st.sampled_from([0.01, 0.25, 1.0]))
        check_moves(solution, one, [delta, -delta])


@settings(max_examples=examples(40))
@given(case=curved_problems())
def test_every_price_is_listed_once_and_heaviest_first(case: Case) -> None:
    solution = oa.solve(case.problem)
    found = solution.shadow_prices()
    largest = max((np.abs(prices).max(initial=0.0) for prices in solution.prices.values()), default=0.0)
    seen: dict[tuple[str, Any], oa.ShadowPrice] = {(one.name, one.label): one for one in found}
    assert len(seen) == len(found)
    weights = [abs(one.price) * max(1.0, abs(one.limit or 0.0)) for one in found]
    assert weights == sorted(weights, reverse=True)
    assert found[:2] == solution.shadow_prices(limit=2)
    for name, bound in zip(case.problem.names, case.problem.bound, strict=True):
        low, high, penalty = bound.band()
        for g, label in enumerate(case.problem.labels(name)):
            price = solution.prices[name][g]
            if abs(price) <= 1e-9 * largest:
                assert (name, label) not in seen
                continue
            one = seen[name, label]
            assert (one.price, one.total) == (price, solution.totals[name][g])
            assert (one.kind == "constraint") == bound.is_constraint
            if one.kind == "function":
                assert (one.sense, one.limit) == (None, None)
                function = case.problem.functions[case.problem.names.index(name)]
                assert not function.in_constraints or not np.isfinite([low[g], high[g]]).any()
            else:
                assert one.limit == (high if price > 0 else low)[g]
                assert one.sense == ("==" if low[g] == high[g] else "<=" if price > 0 else ">=")
                assert abs(price) <= penalty[g] * (1 + 1e-9)
            words = "would add" if price > 0 and one.limit is not None else "would cost|is worth"
            assert any(word in one.sentence for word in words.split("|"))
            assert len(one.sentence) <= 100
            assert "\n" not in one.sentence


@one_in
def test_a_month_s_prices_bound_what_moving_each_limit_changes(every: int) -> None:
    solution = oa.solve(month(users=600, degree=25, campaigns=16, size=5, seed=3).problem(), gap=GAP)
    found = solution.shadow_prices()
    assert len(found) >= 5
    for one in found[::every]:
        assert len(check_moves(solution, one, [0.5, -0.5])) == 2


@one_in
def test_prices_are_exactly_what_a_small_move_changes_where_no_limit_is_met_by_chance(every: int) -> None:
    """Limits in odd fractions: whole slates then meet none of them, so the same pairs stay split as a limit moves."""
    stated = month(users=600, degree=25, campaigns=16, size=5, seed=3).problem()
    caps, floors, share, guard = stated.subject_to
    odd = np.random.default_rng(0).uniform(0.1, 0.4, 32)
    problem = stated.replace(
        subject_to=[
            (caps.measure <= {c: cap + odd[k] for k, (c, cap) in enumerate(caps.limit.items())}).named("caps"),
            (floors.measure >= {c: low - odd[-k] for k, (c, low) in enumerate(floors.limit.items())}).named("floors"),
            (share.measure <= 0.1234).named("share"),
            (guard.measure >= guard.limit - 0.4321).named("guard"),
        ]
    )
    solution = oa.solve(problem, gap=GAP)
    found = solution.shadow_prices()
    assert {one.name for one in found} >= {"floors", "share", "guard"}
    delta = 1e-3
    for one in found[::every]:
        more, less = check_moves(solution, one, [delta, -delta])
        # to 1e-6 of the price, in sums of about 2,000 whose roundings are 1e-12
        assert more.value - solution.value == pytest.approx(one.price * delta, rel=1e-6, abs=1e-9), one
        assert less.value - solution.value == pytest.approx(-one.price * delta, rel=1e-6, abs=1e-9), one


def test_costs_are_counted_in_the_column_that_comes_first() -> None:
    cands = oa.Candidates.from_arrays(
        np.array([0, 2, 4]),
        np.array([0, 1, 0, 1]),
        columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7]), "streams": np.array([1.0, 2.0, 3.0, 1.0])},
        items={"campaign": ["a", "b"]},
        users={"market": ["de", "se"]},
    )
    relevance, streams = oa.total("relevance"), oa.total("streams")
    floor = (oa.exposure(by="campaign") >= {"b": 1.5}).named("floors")

    def said(objective: Any, constraint: Any = floor) -> str:
        solution = oa.solve(oa.Problem(cands, objective, [constraint], oa.Slate(1)), gap=1e-9)
        (one,) = solution.shadow_prices(1)
        assert one.sentence in solution.report()
        return one.sentence

    start = "one more impression for campaign 'b' (floors) would cost "
    assert said(relevance) == start + "0.4 relevance"
    assert said(2.0 * relevance) == start + "0.4 relevance"  # 0.8 of the objective
    assert said(2.0 * relevance + 1e-9 * streams) == start + "0.4 relevance"
    assert said(oa.exposure() + relevance) == start + "0.4 of the objective"
    assert said(-1e-9 * streams + relevance) == start + "0.4 of the objective"
    guard = (relevance >= 1.65).named("guard")
    assert said(relevance + streams, guard).startswith("one more unit of relevance promised by 'guard' would cost ")
    assert said(relevance + streams, guard).endswith(" of the objective")
    both = (oa.exposure(by=("market", "campaign")) <= {("de", "a"): 0.5}).named("both")
    assert said(relevance, both) == "one more impression for market 'de', campaign 'a' (both) would add 0.4 relevance"


def test_what_a_function_s_groups_are_worth() -> None:
    """The group that has least is worth most: the slope of 3 log(e + 1) at its total."""
    cands = oa.Candidates.from_arrays(
        np.array([0, 2, 4, 6]),
        np.array([0, 1, 0, 1, 0, 2]),
        columns={"r": np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1])},
        items={"artist": ["ann", "bo", "cy"]},
    )
    fair = (3.0 * oa.log(oa.exposure(by="artist"))).named("fair")
    pace = (-0.5 * oa.square_deviation(oa.exposure(by="artist"), 0.25)).named("pace")
    solution = oa.solve(oa.Problem(cands, 0.1 * oa.total("r") + fair + pace, slate=oa.Slate(1)), gap=1e-10)
    totals = dict(zip(solution.problem.labels("fair"), solution.totals["fair"], strict=True))
    found = {(one.name, one.label): one for one in solution.shadow_prices()}
    for label, total in totals.items():
        assert found["fair", label].price == pytest.approx(-3.0 / (total + 1.0), rel=1e-3)
        assert found["pace", label].price == pytest.approx(0.5 * (total - 0.25), rel=1e-3)
    neediest = min(totals, key=lambda label: totals[label])
    worth = -found["fair", neediest].price / 0.1
    text = solution.report()
    assert f"one more impression for artist '{neediest}' (fair) is worth {worth:,.4g}" in text.split("what one more")[1]
    assert "(pace) would cost" in text
    assert "no limit binds" not in text


def test_an_infeasible_problem_has_no_prices() -> None:
    cands = oa.Candidates.from_arrays([0, 1], [0], {"r": [1.0]})
    solution = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() >= 2))
    with pytest.raises(oa.SolverError, match="infeasible"):
        solution.shadow_prices()
