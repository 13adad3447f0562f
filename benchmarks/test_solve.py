"""Timings for people, warm, with the work behind them: `pytest benchmarks --benchmark-only`.

Seconds are of this machine now. Passes, bytes per pair and gap, which two commits can be compared
by, are in `extra_info`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from benchmarks import counters
from benchmarks.counters import resident
from benchmarks.instances import Instance, bound_at, generate, judge
from benchmarks.runners import problem_of
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower

_GAP = 1e-6
_BOTH = pytest.mark.parametrize("threads", [1, 2])


@pytest.fixture(scope="module")
def million() -> Instance:
    return generate(1_000_000)


@pytest.fixture(scope="module")
def settled(million: Instance) -> tuple[oa.Problem, np.ndarray]:
    """(the problem of the million, prices near the optimum)."""
    problem = problem_of(million)
    return problem, oa.solve(problem, gap=1e-3).prices["caps"]


@pytest.mark.benchmark(group="solve, caps alone, to 1e-6")
@pytest.mark.parametrize("pairs", [10_000, 1_000_000])
@_BOTH
def test_solve(benchmark: Any, pairs: int, threads: int) -> None:
    instance = generate(pairs)
    problem = problem_of(instance)
    rounds = {"rounds": 30 if pairs < 100_000 else 5, "warmup_rounds": 2 if pairs < 100_000 else 1}
    solution = benchmark.pedantic(oa.solve, (problem,), {"gap": _GAP, "threads": threads}, **rounds)
    verdict = judge(instance, solution.allocation, solution.prices["caps"])
    benchmark.extra_info.update(work(problem, solution), gap=verdict.gap, violation=verdict.violation)
    assert solution.status is oa.Status.SOLVED
    assert verdict.gap <= _GAP
    assert max(verdict.violation, verdict.worst_slate) <= 1e-6


@pytest.mark.benchmark(group="solve, the problems of the gate")
@pytest.mark.parametrize("name", counters.PROBLEMS)
def test_solve_of_the_gate(benchmark: Any, name: str) -> None:
    build, gap = counters.PROBLEMS[name]
    problem = build()
    solution = benchmark.pedantic(oa.solve, (problem,), {"gap": gap, "threads": 1}, rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(work(problem, solution))
    assert solution.status in (oa.Status.SOLVED, oa.Status.INFEASIBLE)


@pytest.mark.benchmark(group="visit")
@_BOTH
def test_visit_of_a_million_pairs(
    benchmark: Any, million: Instance, settled: tuple[oa.Problem, np.ndarray], threads: int
) -> None:
    """One visit at prices near the optimum, thresholds warm, as nearly all visits of a solve are."""
    problem, prices = settled
    program = lower(problem)
    gamma = 1e-3 * float(million.value.mean())
    with Threads(program, threads) as engine:
        visit = benchmark.pedantic(engine.visit, (prices, gamma), rounds=40, warmup_rounds=3)
        passes = engine.passes
    fastest = benchmark.stats.stats.min if benchmark.stats else np.nan  # None where benchmarks are disabled
    benchmark.extra_info.update(sizes(problem), pairs_a_second=program.n_pairs / fastest)
    bound = visit.bound + program.conjugate(prices)
    assert passes == (43.0 if benchmark.enabled else 1.0)
    assert bound == pytest.approx(bound_at(million, prices), rel=1e-9)
    assert visit.smoothed <= visit.bound


@pytest.mark.benchmark(group="before the first visit")
def test_candidates_of_a_million_pairs(benchmark: Any, million: Instance) -> None:
    problem = benchmark.pedantic(problem_of, (million,), rounds=10, warmup_rounds=1)
    benchmark.extra_info.update(sizes(problem))
    assert np.shares_memory(problem.candidates.columns["value"], million.value)


@pytest.mark.benchmark(group="before the first visit")
def test_lowering_of_a_million_pairs(benchmark: Any, million: Instance, settled: tuple[oa.Problem, np.ndarray]) -> None:
    problem, _ = settled
    program = benchmark.pedantic(lower, (problem,), rounds=10, warmup_rounds=1)
    benchmark.extra_info.update(sizes(problem))
    assert (program.n_pairs, program.n_rows) == (million.pairs, million.caps.size)
    assert np.shares_memory(program.value, problem.candidates.columns["value"])  # one column is not copied


def sizes(problem: oa.Problem) -> dict[str, float]:
    """Pairs, and bytes that are held for each of them."""
    data, held = resident(problem)
    return {"pairs": problem.candidates.n_pairs, "data_bytes_a_pair": data, "work_bytes_a_pair": held}


def work(problem: oa.Problem, solution: oa.Solution) -> dict[str, Any]:
    """What a solve did, and where it ended."""
    return sizes(problem) | {"passes": solution.passes, "status": solution.status.name, "gap": solution.gap}
