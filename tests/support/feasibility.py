"""Whether demands can be met, by the oracle: cases that rounding decides are left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, event
from oracle import least_relaxation, optimum, rows_of
from strategies import Case

import oasis_alloc as oa


def clear_relaxation(case: Case) -> float:
    """The least total relaxation of the demands; 1e-9 or less where they can be met."""
    relaxation = least_relaxation(case)
    # between these, rounding decides: a millionth is within what counts as kept
    assume(relaxation <= 1e-9 or relaxation >= 1e-4 * max((row.size() for row in rows_of(case)), default=1.0))
    event(f"feasible: {relaxation <= 1e-9}")
    return relaxation


def check_feasibility(case: Case, check: Callable[[Case, oa.Solution, float], None], gap: float) -> None:
    """Solved, as `check` says, where the demands can be met; else the conflicts add up to the least relaxation."""
    relaxation = clear_relaxation(case)
    solution = oa.solve(case.problem, gap=gap)
    best = optimum(case)
    if best is not None:
        check(case, solution, best)
    else:
        assert solution.status is oa.Status.INFEASIBLE
        assert sum(conflict.give for conflict in solution.conflicts) == pytest.approx(relaxation, rel=1e-6, abs=1e-6)
