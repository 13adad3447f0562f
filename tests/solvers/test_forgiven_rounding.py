"""What counts as rounding is a share of the numbers that are added up, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.common.verdicts import ROUNDING
from oasis_alloc.engines import engine_for
from oasis_alloc.errors import CertificateError
from oasis_alloc.program.lowering import lower
from oasis_alloc.results.certified import solved_answer
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.monitor import Monitor, Status
from oasis_alloc.solvers.stages import prepare
from oasis_alloc.statement.functions.base import Function

by_song = oa.exposure(by="song")


def market(users: int = 20, seed: int = 0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * 3,
        np.tile([0, 1, 2], users),
        {"r": rng.random(3 * users), "k": rng.random(3 * users), "signed": rng.choice([-0.5, 0.5], 3 * users)},
        items={"song": ["a", "b", "c"], "genre": ["x", "x", "y"]},
    )


def steep(users: int = 20) -> oa.Problem:
    """A function that is -5e13 per group at zero exposure, and below 1 where slates are full."""
    function = 100.0 * oa.alpha_fair(by_song, 3.0, offset=1e-6)
    return oa.Problem(market(users), oa.total("r") + function, by_song <= {"a": 3.0, "b": 4.0}, oa.Slate(1))


def test_the_gap_is_proven_next_to_a_function_that_is_huge_at_zero_exposure() -> None:
    solution = oa.solve(steep(), gap=1e-9)
    assert solution.status is oa.Status.SOLVED
    assert 0.0 < solution.bound - solution.value <= 1e-9 * abs(solution.value)
    assert solution.gap == pytest.approx((solution.bound - solution.value) / sum(map(abs, solution.parts.values())))


def test_a_bound_below_the_value_is_an_error_next_to_such_a_function() -> None:
    problem = steep()
    solution = oa.solve(problem, gap=1e-9)
    monitor = Monitor(1e-9)
    with engine_for(lower(problem)) as engine:
        prepare(engine, monitor)
        best = evaluate(engine, solution.pairs, solution.x)
        prices = np.concatenate([solution.prices[block.name] for block in engine.program.blocks])
        asked = {"problem": problem, "solver": "dual", "threads": None}
        monitor.offer(best)
        monitor.offer_bound(best.value - 1e-4, prices)
        with pytest.raises(CertificateError):
            solved_answer(oa.Solution, engine, monitor, Status.SOLVED, asked)


@pytest.mark.parametrize(
    "function",
    [
        oa.log(by_song, offset=1e-9),
        oa.alpha_fair(by_song, 2.5, offset=1e-7),
        oa.alpha_fair(by_song, 0.5),
        oa.entropy(by_song),
        -oa.kl(by_song, {"a": 0.5, "b": 0.3, "c": 0.2}),
        -oa.square_deviation(by_song, {"a": 5.0, "b": 5.0, "c": 5.0}),
        oa.reach(by_song, times=4.0),
        oa.worst_off(by_song),
        oa.gini_welfare(by_song),
        oa.soft(by_song >= 8.0, penalty=3.0),
    ],
    ids=str,
)
def test_parts_are_no_less_than_the_value(function: Function) -> None:
    bound = function.with_slots(20.0).bind(["a", "b", "c"])
    for totals in ([0.5, 4.0, 9.0], [8.0, 8.0, 8.0], [5.0, 5.0, 5.0], [1e-3, 1e3, 7.0]):
        parts = bound.parts(np.array(totals))
        assert abs(bound.value(np.array(totals))) <= parts * (1.0 + 1e-12)
        assert np.isfinite(parts)


def test_an_allocation_worth_minus_infinity_forgives_nothing() -> None:
    problem = oa.Problem(market(), oa.total("r") + oa.log(by_song, offset=0.0))
    with engine_for(lower(problem)) as engine:
        monitor = Monitor(1e-4)
        monitor.about(1, -np.inf, 1.0, ROUNDING, None, 1.0)
        nothing = evaluate(engine, np.empty(0, np.int64), np.empty(0))
        assert nothing.value == -np.inf
        assert monitor.rounding_of(nothing) == ROUNDING
        assert monitor.rounding_of(replace(nothing, parts=2.0)) == 3.0 * ROUNDING


@pytest.mark.few(3)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "rules",
    [{}, {"diminishing": {"song": 0.05}}, {"at_most": {"song": 1, "genre": 1}}, {"keep": {"k": 0.9}}],
    ids=["plain", "diminishing", "crossing", "keep"],
)
def test_scores_that_cancel_to_an_optimum_of_0_are_proven(seed: int, rules: dict[str, dict[str, float]]) -> None:
    gains = np.random.default_rng(seed).choice([0.1, 0.3, 0.7, 1.1], 6)
    rng = np.random.default_rng(seed)
    columns = {"signed": np.repeat(np.concatenate([gains, -gains]), 2), "k": rng.random(24)}
    items = {"song": ["a", "b"], "genre": ["x", "x"]}
    cands = oa.Candidates.from_arrays(np.arange(13) * 2, np.tile([0, 1], 12), columns, items=items)
    slate = oa.Slate(1, at_least=1, **rules)  # type: ignore[arg-type]
    solution = oa.solve(oa.Problem(cands, oa.total("signed"), slate=slate), gap=1e-6)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(0.0, abs=1e-14)
    assert solution.bound == pytest.approx(0.0, abs=1e-13)
