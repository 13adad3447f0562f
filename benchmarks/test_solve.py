"""Timings of single parts, warm, with the work that they did: `pytest benchmarks/test_solve.py`.

Seconds are for people. What a machine can compare between two commits is in `extra_info`: passes, bytes a pair, gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from instances import Instance, bound_at, generate, judge
from runners import problem_of

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.lowering import lower
from oasis_alloc.program import Program

_THREADS = 2
_GAP = 1e-6


@pytest.fixture(scope="module")
def million() -> Instance:
    return generate(1_000_000)


def test_solve_of_10_000_pairs(benchmark: Any) -> None:
    instance = generate(10_000)
    problem = problem_of(instance)
    solution = benchmark.pedantic(oa.solve, (problem,), {"gap": _GAP, "threads": _THREADS}, rounds=30, warmup_rounds=2)
    verdict = judge(instance, solution.allocation, solution.prices["caps"])
    benchmark.extra_info.update(
        passes=float(solution.passes), gap=verdict.gap, violation=verdict.violation, pairs=instance.pairs
    )
    assert solution.status is oa.Status.SOLVED
    assert verdict.gap <= _GAP
    assert max(verdict.violation, verdict.worst_slate) <= 1e-6


def test_visit_of_a_million_pairs(benchmark: Any, million: Instance) -> None:
    """One visit at prices near the optimum, thresholds warm, as nearly all visits of a solve are."""
    problem = problem_of(million)
    prices = oa.solve(problem, gap=1e-3, threads=_THREADS).prices["caps"]
    program = lower(problem)
    gamma = 1e-3 * float(million.value.mean())
    with Threads(program, _THREADS) as engine:
        visit = benchmark.pedantic(engine.visit, (prices, gamma), rounds=40, warmup_rounds=3)
        assert engine.passes == (43.0 if benchmark.enabled else 1.0)
    fastest = benchmark.stats.stats.min if benchmark.stats else np.nan  # None where benchmarks are disabled
    benchmark.extra_info.update(
        bytes_a_pair=bytes_a_pair(program), pairs=program.n_pairs, pairs_a_second=program.n_pairs / fastest
    )
    bound = visit.bound + program.conjugate(prices)
    assert bound == pytest.approx(bound_at(million, prices), rel=1e-9)
    assert visit.smoothed <= visit.bound


def test_lowering_of_a_million_pairs(benchmark: Any, million: Instance) -> None:
    problem = problem_of(million)
    program = benchmark.pedantic(lower, (problem,), rounds=10, warmup_rounds=1)
    benchmark.extra_info.update(bytes_a_pair=bytes_a_pair(program), pairs=program.n_pairs)
    assert (program.n_pairs, program.n_rows) == (million.pairs, million.caps.size)
    assert np.shares_memory(program.value, problem.candidates.columns["value"])  # one column is not copied


def bytes_a_pair(program: Program) -> float:
    """What a visit reads, a pair: value, class and columns; and of each user the range, segment and threshold."""
    pairs = (program.value, program.code, program.extra)
    users = program.indptr.nbytes + program.segment.nbytes + 8 * program.n_users
    return (sum(array.nbytes for array in pairs) + users) / program.n_pairs
