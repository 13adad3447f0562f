"""solve(on_conflict="relax"): the best allocation among those that relax the limits by the least total."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from oracle import best_relaxed, least_relaxation, rows_of, values
from strategies import Case, problems

import oasis_alloc as oa

PENALTY = 1e4


@settings(max_examples=150)
@given(problems(feasible=False))
def test_least_relaxation_first_then_value(case: Case) -> None:
    least = least_relaxation(case)
    solution = oa.solve(case.problem, on_conflict="relax", gap=1e-6)
    if solution.status is oa.Status.SOLVED:
        assert least <= 1e-5 * max((row.size() for row in rows_of(case)), default=1.0)
        return
    assert solution.status is oa.Status.RELAXED
    missed = sum(float(row.excess(solution.allocation).sum()) for row in rows_of(case) if row.hard)
    assert missed == pytest.approx(least, rel=1e-6, abs=1e-6)
    # with the least relaxation reached, the rest of the elastic optimum is value
    best = best_relaxed(case, PENALTY) + PENALTY * least
    scale = max(1.0, abs(best), float(np.abs(values(case)).sum()))
    assert solution.value == pytest.approx(best, abs=1e-3 * scale)
    assert solution.bound >= solution.value - 1e-9 * scale
    given_up = sum(conflict.give for conflict in solution.conflicts)
    assert given_up == pytest.approx(least, rel=1e-5, abs=1e-5)


@pytest.fixture
def two() -> oa.Candidates:
    return oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], columns={"r": [0.9, 0.5, 0.8, 0.7]}, items={"campaign": ["a", "b"]}
    )


def test_the_report_names_who_fell_short_and_shows_the_allocation(two: oa.Candidates) -> None:
    problem = oa.Problem(
        two, oa.total("r"), [(oa.exposure(by="campaign") >= {"a": 2.0, "b": 1.0}).named("promises")], oa.Slate(1)
    )
    solution = oa.solve(problem, on_conflict="relax")
    assert solution.status is oa.Status.RELAXED
    text = str(solution)
    assert "relaxed" in text
    assert "promises" in text
    assert "must give" in text
    assert solution.allocation.sum() == pytest.approx(2.0)
    assert len(solution.to_frame()) == solution.positions.size
    assert sum(conflict.give for conflict in solution.conflicts) == pytest.approx(1.0)


def test_the_default_stays_an_honest_no(two: oa.Candidates) -> None:
    problem = oa.Problem(two, oa.total("r"), oa.exposure() >= 3, oa.Slate(1))
    solution = oa.solve(problem)
    assert solution.status is oa.Status.INFEASIBLE
    with pytest.raises(oa.SolverError, match="infeasible"):
        _ = solution.allocation


def test_a_problem_without_conflict_is_simply_solved(two: oa.Candidates) -> None:
    problem = oa.Problem(two, oa.total("r"), oa.exposure() <= 1, oa.Slate(1))
    relaxed, plain = oa.solve(problem, on_conflict="relax"), oa.solve(problem)
    assert relaxed.status is oa.Status.SOLVED
    assert relaxed.value == plain.value
    assert not relaxed.conflicts


def test_another_choice_is_refused(two: oa.Candidates) -> None:
    with pytest.raises(oa.ProblemError, match=r"on_conflict='relaxed'.*Did you mean 'relax'"):
        oa.solve(oa.Problem(two, oa.total("r")), on_conflict="relaxed")
