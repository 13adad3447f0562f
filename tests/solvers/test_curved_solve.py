"""Concave functions in the objective, solved: every function over groups of every kind, by both solvers.

Every run has a diagonal of each table of functions and groups; a full run has all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from curved import BOTH, CANDIDATES, FUNCTIONS, MEASURES, RELEVANCE, E, market, problem
from effort import diagonal, full_only

import oasis_alloc as oa


def check(solution: oa.Solution, gap: float) -> None:
    """What a solved problem with functions promises, from the allocation and the prices."""
    assert solution.status is oa.Status.SOLVED
    assert 0.0 <= solution.gap <= gap
    assert solution.violation <= 1e-6
    candidates, x = solution.problem.candidates, solution.allocation
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    assert np.bincount(user, weights=x).max() <= solution.problem.slate.size + 1e-9
    assert sum(solution.parts.values()) == pytest.approx(solution.value, rel=1e-9)
    assert list(solution.parts)[1:] == [f.name for f in solution.problem.maximize.functions]
    best = np.sort(solution.scores().reshape(candidates.n_users, -1), axis=1)[:, -solution.problem.slate.size :]
    proven = float(np.maximum(best, 0.0).sum())
    worth = candidates.columns["relevance"] @ x
    for name, function in zip(solution.problem.names, solution.problem.bound, strict=True):
        prices, totals = solution.prices[name], solution.totals[name]
        if function.is_curved:
            worth += function.value(totals)
            continue
        proven += function.conjugate(prices)
        if not function.is_constraint:
            worth += function.value(totals)
    assert solution.value == pytest.approx(worth, rel=1e-9)
    # what is left of the bound is what the functions' conjugates are; Fenchel's inequality holds for their sum
    curved = [name for name, f in zip(solution.problem.names, solution.problem.bound, strict=True) if f.is_curved]
    conjugates = solution.bound - proven
    values = sum(solution.parts[name] for name in curved)
    paid = sum(float(solution.prices[name] @ solution.totals[name]) for name in curved)
    slop = 1e-9 * max(1.0, abs(solution.bound), abs(paid))
    assert -slop <= conjugates - values - paid <= gap * max(1.0, abs(solution.bound)) + slop


# Where nothing can be proven, a solve goes on for long.
until_a_limit_or_the_end = pytest.mark.parametrize("passes", [20, *full_only(None)])


def agree(ours: oa.Solution, reference: oa.Solution) -> None:
    """Each one's allocation is below the other one's bound."""
    size = 1e-7 * max(1.0, abs(ours.bound))
    assert ours.value <= reference.bound + size
    assert reference.value <= ours.bound + size


@pytest.mark.few(2)
@pytest.mark.parametrize(("function", "measure"), diagonal(FUNCTIONS, MEASURES, every=2))
def test_every_function_of_every_measure(function: Callable[[oa.Measure], Any], measure: oa.Measure) -> None:
    stated = problem(function(measure))
    ours, reference = oa.solve(stated, gap=1e-5), oa.solve(stated, solver="conic", gap=1e-5)
    check(ours, 1e-5)
    check(reference, 1e-5)
    agree(ours, reference)
    name = stated.maximize.functions[0].name
    assert np.isfinite(ours.prices[name]).all()
    stated_function = stated.maximize.functions[0]
    rises = stated_function.concave and stated_function.title != "entropy"  # which falls again beyond a share of 1 / e
    assert (ours.prices[name] <= 0).all() or not rises, "a bonus for what a function helps"


@pytest.mark.few(2)
@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(("measure", "function"), diagonal(["items", "both", "share"], FUNCTIONS, every=4))
def test_by_the_paths_of_large_problems(function: Callable[[oa.Measure], Any], measure: str) -> None:
    stated = problem(function(MEASURES[measure]), candidates=market(60, 8, 20, 5), constraints=[E("campaign") <= 30])
    ours, reference = oa.solve(stated, gap=1e-4), oa.solve(stated, solver="conic")
    check(ours, 1e-4)
    agree(ours, reference)


@pytest.mark.few(1)
@pytest.mark.parametrize("gap", [1e-4, 1e-6])
def test_several_functions_at_once(gap: float) -> None:
    targets = dict.fromkeys(CANDIDATES.groups("campaign"), 55.0)
    stated = problem(
        oa.log(E("artist")).named("artists"),
        (-0.1 * oa.square_deviation(E("campaign"), targets)).named("pacing"),
        oa.alpha_fair(E("market"), 2.0),
        constraints=[E("campaign") <= 75, oa.soft(E("artist") >= 20, 0.1)],
    )
    ours, reference = oa.solve(stated, gap=gap), oa.solve(stated, solver="conic", gap=gap)
    assert ours.status is reference.status is oa.Status.SOLVED
    assert ours.gap <= gap
    agree(ours, reference)
    # a target's price is how far its total is ahead, times the weight
    ahead = 0.1 * (reference.totals["pacing"] - 55.0)
    assert reference.prices["pacing"] == pytest.approx(ahead, abs=1e-4)
    assert reference.prices["artists"] == pytest.approx(-1.0 / (reference.totals["artists"] + 1.0), abs=1e-4)


@pytest.fixture(scope="module")
def large() -> oa.Candidates:
    """100,000 pairs, 500 artists."""
    return market(5000, 20, 1500, n_artists=500, seed=1)


def fair(large: oa.Candidates, weight: float = 5.0) -> oa.Problem:
    constraints = [(E("campaign") <= 2450.0).named("caps"), (E("campaign") >= 2000.0).named("floors")]
    return problem((weight * oa.log(E("artist"))).named("fair"), constraints=constraints, candidates=large, size=3)


@pytest.mark.full
def test_a_larger_market_to_a_fine_gap(large: oa.Candidates) -> None:
    solution = oa.solve(fair(large), gap=1e-6)
    check(solution, 1e-6)
    assert solution.passes < 100
    assert (np.abs(solution.prices["caps"]) > 0).any() or (np.abs(solution.prices["floors"]) > 0).any()
    # an artist's bonus is the slope of the logarithm at its total
    slope = -5.0 / (solution.totals["fair"] + 1.0)
    assert solution.prices["fair"] == pytest.approx(slope, rel=0.05)
    plain = oa.solve(problem(candidates=large, constraints=fair(large).subject_to, size=3), gap=1e-6)
    before = np.bincount(
        np.arange(1500)[large.item] * 7 % 500, weights=plain.allocation, minlength=500
    )  # the artists' totals without fairness
    assert np.sort(solution.totals["fair"])[:50].sum() > 1.5 * np.sort(before)[:50].sum(), "the smallest get more"
    assert solution.parts['total("relevance")'] <= plain.bound + 1e-6


@pytest.mark.full
def test_start_from_an_earlier_solution(large: oa.Candidates) -> None:
    first = oa.solve(fair(large))
    again, other = oa.solve(fair(large), start=first), oa.solve(fair(large, 5.5), start=first.prices_by_label)
    for solution in (again, other):
        check(solution, 1e-4)
        assert solution.passes < first.passes
    assert again.value <= first.bound + 1e-9 * abs(first.bound)


def test_prices_from_elsewhere_are_put_into_the_domain() -> None:
    """A price below what the function pays for a first unit, and one above what it pays for a last one."""
    stated = problem((5.0 * oa.log(E("artist"))).named("fair"))
    for price in (-1e6, 1e6):
        solution = oa.solve(stated, start={"fair": dict.fromkeys(CANDIDATES.groups("artist"), price)})
        check(solution, 1e-4)


@pytest.mark.full
def test_the_answer_does_not_depend_on_threads(large: oa.Candidates) -> None:
    one, two = oa.solve(fair(large), threads=1), oa.solve(fair(large), threads=2)
    assert (one.value, one.bound) == (two.value, two.bound)
    assert np.array_equal(one.allocation, two.allocation)


def test_report() -> None:
    stated = problem((5.0 * oa.log(E("artist"))).named("fair"), -0.01 * oa.square_deviation(E("market"), 100.0))
    solution = oa.solve(stated)
    text = str(solution)
    assert len(text.splitlines()) <= 40
    assert "solved" in text
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    for name, part in solution.parts.items():
        assert f"{part:,.6g}".rstrip("0") in lines[name] or f"{part:,.2f}" in lines[name]
    assert "caps" in lines
    assert "fair" in solution._repr_html_()
    assert str(stated.maximize) in repr(stated)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("function", "solver"),
    diagonal(
        {
            "log": 5 * oa.log(E("artist")),
            "log from 0 on": 5 * oa.log(E("artist"), 0),
            "deviation": -oa.square_deviation(E("artist"), 100),
        },
        ["dual", "conic"],
    ),
)
def test_demands_that_conflict_next_to_a_function(function: Any, solver: str) -> None:
    solution = oa.solve(problem(function, constraints=[(E("artist") >= 60).named("floors")]), solver=solver)
    assert solution.status is oa.Status.INFEASIBLE
    assert {conflict.constraint for conflict in solution.conflicts} == {"floors"}
    assert sum(conflict.give for conflict in solution.conflicts) >= 12 * 60 - 400 - 1e-6


@pytest.mark.usefixtures("small_steps")
@pytest.mark.full
def test_demands_that_conflict_by_the_paths_of_large_problems() -> None:
    for function in (5 * oa.log(E("artist")), -oa.square_deviation(E("artist"), 100)):
        solution = oa.solve(problem(function, constraints=[(E("artist") >= 60).named("floors")]))
        assert solution.status is oa.Status.INFEASIBLE


@until_a_limit_or_the_end
def test_a_logarithm_that_no_allocation_has_is_not_solved(passes: int | None) -> None:
    """Every artist more than a fifth of all, with twelve of them: no limit says so, the domain does."""
    solution = oa.solve(problem(oa.log(E("artist") - 0.2 * E(), 0.0)), pass_limit=passes)
    assert solution.status is not oa.Status.SOLVED
    assert solution.value == -np.inf
    assert solution.gap == np.inf


@until_a_limit_or_the_end
def test_a_logarithm_that_limits_leave_to_no_allocation_is_not_solved(passes: int | None) -> None:
    shut = [E(BOTH) <= {(market, 0): 0.0 for market in ("de", "se", "us")}]
    solution = oa.solve(problem(oa.log(E("artist"), 0.0), constraints=shut), pass_limit=passes)
    assert solution.status is not oa.Status.SOLVED
    assert solution.value == -np.inf


def test_a_total_that_must_be_zero_has_a_power() -> None:
    """alpha < 1 is finite at 0, so nothing is wrong with a group that gets nothing."""
    shut = [E(BOTH) <= {(market, 0): 0.0 for market in ("de", "se", "us")}]
    stated = problem(oa.alpha_fair(E("artist"), 0.5).named("fair"), constraints=shut)
    ours = oa.solve(stated)
    check(ours, 1e-4)
    assert ours.totals["fair"][0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("function", "gap"),
    [
        (1e4 * oa.log(E("artist"), 1e-3), 1e-5),  # prices far above the scores
        (-1e-6 * oa.square_deviation(E("artist"), 1e6), 1e-6),
        *full_only(
            (1e-6 * oa.log(E("artist"), 1e-3), 1e-6),
            (-1e4 * oa.square_deviation(E("artist"), 33.0), 1e-6),
        ),
        (oa.alpha_fair(E("artist"), 30.0, 1.0), 1e-6),
    ],
)
def test_weights_of_every_size(function: Any, gap: float) -> None:
    stated = problem(function, constraints=[(E("campaign") <= 75).named("caps")])
    ours, reference = oa.solve(stated, gap=gap), oa.solve(stated, solver="conic")
    check(ours, gap)
    agree(ours, reference)


def test_an_objective_of_functions_alone() -> None:
    stated = oa.Problem(CANDIDATES, oa.log(E("artist"), 0.0), [], oa.Slate(2))
    ours, reference = oa.solve(stated, gap=1e-6), oa.solve(stated, solver="conic", gap=1e-6)
    assert ours.status is reference.status is oa.Status.SOLVED
    agree(ours, reference)
    assert ours.value == pytest.approx(float(np.log(ours.totals[stated.names[0]]).sum()), rel=1e-9)


def test_a_total_that_nothing_can_change_has_its_price() -> None:
    exposure = oa.exposure
    candidates = oa.Candidates.from_arrays(
        [0, 1, 2], [0, 1], {"relevance": [0.0, 0.0]}, users={"market": [None, "de"]}, items={"campaign": [3, 3]}
    )
    always_zero = exposure(by=("market", "campaign")) - exposure(by="market")
    problem = oa.Problem(
        candidates, maximize=RELEVANCE - 0.01 * oa.square_deviation(always_zero, 2), slate=oa.Slate(size=1)
    )
    solution = oa.solve(problem, gap=1e-9)
    assert solution.value == solution.bound == pytest.approx(-0.02)  # its slope there, not that of where it is best
