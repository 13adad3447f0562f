"""Functions whose totals are trillionths of a slot: solved as in usual units, and with the same shares.

Where slots do not bind, a program in which every number of a total is multiplied by t has the same allocation times t.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import full_only
from large_paths import large_paths
from presented import present
from random_statements import random_program

import oasis_alloc as oa
from oasis_alloc.errors import CertificateError, SolverError
from oasis_alloc.solvers import finisher
from oasis_alloc.solvers.highs import LinearProgramError

KINDS = ("entropy", "kl", "smoothed kl")
USUAL = 1e-3  # of a slot: no slate is full


def market(seed: int) -> oa.Candidates:
    rng = np.random.default_rng([seed, 5])
    n_users, n_items = int(rng.integers(2, 30)), int(rng.integers(2, 12))
    labels = rng.integers(0, 4, n_items)
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n_items,
        np.tile(np.arange(n_items), n_users),
        {"v": rng.random(n_users * n_items), "a": 0.1 + rng.random(n_users * n_items)},
        items={"g": labels.tolist()},
    )


def small(seed: int, kind: str, t: float, weight: float, capped: bool) -> oa.Problem:
    """A program of totals of about t; values have this weight."""
    rng = np.random.default_rng([seed, 6])
    candidates = market(seed)
    groups = candidates.groups("g")
    measure = oa.total("a", by="g") if rng.random() < 0.3 else oa.exposure(by="g")
    total, factor = t * float(rng.uniform(0.05, 0.5)), float(10.0 ** rng.uniform(-2, 1))
    target = {group: float(rng.uniform(0.2, 2.0)) for group in groups}
    function: Any = oa.entropy(measure, total=total)
    if kind != "entropy":
        function = -oa.kl(measure, target, total=total, smoothing=0.1 if kind == "smoothed kl" else None)
    objective = factor * function if weight == 0.0 else weight * oa.total("v") + factor * function
    caps = measure <= {group: t * float(rng.uniform(0.05, 0.6)) for group in groups}
    return oa.Problem(candidates, objective, [caps.named("caps")] if capped else [], oa.Slate(2))


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", [0, 1, *full_only(2, 3)])
@pytest.mark.parametrize("t", [1e-12, *full_only(1e-9, 1e-15)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_units", [True, False])
def test_totals_of_any_size_have_the_same_shares(seed: int, t: float, kind: str, in_units: bool) -> None:
    """With values in units of 1 / t nothing but t is different; with values of size 1 these are nothing next to t."""

    def solved(t: float) -> oa.Solution:
        weight = 1.0 / t if in_units else 0.0
        return oa.solve(small(seed, kind, t, weight, capped=True), gap=1e-6, threads=1)

    here, there = solved(USUAL), solved(t)
    assert here.status is there.status is oa.Status.SOLVED
    size = sum(map(abs, here.parts.values()))
    assert there.value == pytest.approx(here.value, abs=3e-6 * size + 1e-12)
    assert there.bound == pytest.approx(here.bound, abs=3e-6 * size + 1e-12)
    assert there.totals["caps"] / t == pytest.approx(here.totals["caps"] / USUAL, rel=1e-2, abs=1e-3)
    assert there.violation <= 1e-6


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", [28, 36, *full_only(17, 68, 91, 116, 122, 132, 134)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_price_of_a_trillion_scores_is_proven(seed: int, kind: str) -> None:
    """Values of size 1 are nothing next to a function that asks for 1e-12: caps and functions have prices of 1e12."""
    solution = oa.solve(small(seed, kind, 1e-12, 1.0, capped=True), gap=1e-6, threads=1)
    alone = oa.solve(small(seed, kind, USUAL, 0.0, capped=True), gap=1e-6, threads=1)
    assert solution.status is alone.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(alone.value, abs=3e-6 * sum(map(abs, alone.parts.values())) + 1e-9)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_functions_of_a_trillionth_without_values_or_limits_are_solved(kind: str) -> None:
    solution = oa.solve(small(3, kind, 1e-12, 0.0, capped=False), gap=1e-6, threads=1)
    assert solution.status is oa.Status.SOLVED
    assert solution.bound == pytest.approx(solution.value, rel=2e-6, abs=1e-9)
    assert 0.0 < solution.x.max() < 1e-11


@pytest.mark.parametrize("limit", [1e-6, 1e-9, 1e-12, 1e-15])
def test_small_limits_of_exposure_are_what_was_stated(limit: float) -> None:
    """Positive limits are no rounding of 0: a cap is used, and a floor is met."""
    candidates, exposure = market(4), oa.exposure(by="g")
    one = candidates.groups("g")[0]
    cap = oa.solve(oa.Problem(candidates, oa.total("v"), (exposure <= limit).named("cap"), oa.Slate(2)), gap=1e-6)
    assert cap.status is oa.Status.SOLVED
    assert cap.totals["cap"] == pytest.approx(limit, rel=1e-5)
    floor = (exposure >= {one: limit}).named("floor")
    solution = oa.solve(oa.Problem(candidates, -oa.total("v"), floor, oa.Slate(2)), gap=1e-6)
    assert solution.status is oa.Status.SOLVED
    assert solution.totals["floor"][candidates.groups("g").index(one)] == pytest.approx(limit, rel=2e-6)


def test_a_program_that_the_linear_program_cannot_end_is_solved_on_the_paths_of_large_ones() -> None:
    presented = present(random_program(167))
    with large_paths():
        solution = oa.solve(presented.problem, **presented.options)
    assert solution.status is oa.Status.SOLVED


def test_first_margins_are_no_less_than_prices_are_off_by() -> None:
    """Two pairs were to be open and more tied: margins of 1e-19 took 220 passes."""
    presented = present(random_program(52))
    with large_paths():
        solution = oa.solve(presented.problem, **presented.options)
    assert solution.status is oa.Status.SOLVED
    assert solution.passes <= 150


@pytest.mark.parametrize("after", [0, 1])
def test_a_linear_program_that_fails_leaves_the_answer_to_the_reference(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, solve = [0], finisher.solve_lp

    def failing(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise LinearProgramError("HiGHS ended with Unknown.")
        return solve(*args)

    monkeypatch.setattr(finisher, "solve_lp", failing)
    problem = oa.Problem(
        market(5), oa.total("v") + oa.log(oa.exposure(by="g")), oa.exposure(by="g") <= 3.5, oa.Slate(2)
    )
    solution = oa.solve(problem, gap=1e-6, threads=1)
    assert calls[0] > after
    assert solution.status is oa.Status.SOLVED
    assert solution.bound - solution.value <= 1e-6 * solution.value


@pytest.mark.parametrize("error", [CertificateError(1.0, 2.0), SolverError("all actors are lost.")])
@pytest.mark.parametrize("after", [0, 1])
def test_other_errors_of_a_solver_are_never_caught(
    error: SolverError, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, solve = [0], finisher.solve_lp

    def failing(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] > after:
            raise error
        return solve(*args)

    monkeypatch.setattr(finisher, "solve_lp", failing)
    problem = oa.Problem(
        market(5), oa.total("v") + oa.log(oa.exposure(by="g")), oa.exposure(by="g") <= 3.5, oa.Slate(2)
    )
    with pytest.raises(SolverError) as caught:
        oa.solve(problem, gap=1e-6, threads=1)
    assert caught.value is error
