"""Solves a linear program with HiGHS, and returns its basis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from oasis_alloc.errors import SolverError
from oasis_alloc.solvers.linear import BASIC, LinearProgram, LinearSolution, Statuses
from oasis_alloc.solvers.scaling import scaled

_TOLERANCE = 1e-9  # of rows, bounds and reduced costs
_BANNER = threading.RLock()

# options tried in order: with numbers of very different sizes, one method can fail where another works
_WAYS: tuple[dict[str, object], ...] = (
    {},
    {"presolve": "off"},
    {"solver": "ipm", "run_crossover": "on"},
    {"simplex_strategy": 4, "presolve": "off"},
)


class LinearProgramError(SolverError):
    """HiGHS has no answer to a linear program that has one.

    A solve may have another way then. It has none after other errors of a solver, such as lost actors or a wrong bound,
    so those are never caught.
    """


def solve_lp(
    lp: LinearProgram, basis: tuple[Statuses, Statuses] | None = None, time_limit: float | None = None
) -> LinearSolution | None:
    """Solve with HiGHS, from a basis if there is one; None if its time ran out.

    The program must be feasible and bounded by construction. HiGHS is given it in numbers near 1 (scaling.py).
    """
    if not lp.matrix.shape[1]:  # HiGHS has a separate status for a program without columns
        n_rows = lp.matrix.shape[0]
        return LinearSolution(np.empty(0), np.zeros(n_rows), np.empty(0, np.int8), np.full(n_rows, BASIC, np.int8), 0)
    import highspy

    begun, scale = time.perf_counter(), scaled(lp)
    # with prices of very different sizes, a start can be worse than no start
    tries = [(basis, _WAYS[0])] if basis is not None else []
    ended = ""
    for start, options in [*tries, *((None, way) for way in _WAYS)]:
        left = None if time_limit is None else time_limit - (time.perf_counter() - begun)
        highs = _loaded(scale.lp, start, options, left)
        highs.run()
        status = highs.getModelStatus()
        if status == highspy.HighsModelStatus.kTimeLimit:
            return None
        if status == highspy.HighsModelStatus.kOptimal or _is_optimal(highs, scale.lp):
            return scale.back(_solution(highs))
        ended = highs.modelStatusToString(status)
    raise LinearProgramError(
        f"HiGHS ended with {ended} on a program known to be feasible and bounded. Please report this."
    )


def _loaded(
    lp: LinearProgram, basis: tuple[Statuses, Statuses] | None, options: dict[str, object], time_limit: float | None
) -> Any:
    import highspy

    with without_banner():
        highs = _library().Highs()
    highs.silent()
    matrix = lp.matrix  # arrays as they are: attributes of a HighsLp are filled number by number
    highs.setOptionValue("small_matrix_value", 1e-12)
    highs.passModel(
        matrix.shape[1], matrix.shape[0], matrix.nnz, int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMaximize), 0.0, lp.cost, lp.lower, lp.upper, lp.row_lower, lp.row_upper,
        matrix.indptr, matrix.indices, matrix.data, np.zeros(matrix.shape[1], np.int32),
    )  # fmt: skip
    highs.setOptionValue("primal_feasibility_tolerance", _TOLERANCE)
    highs.setOptionValue("dual_feasibility_tolerance", _TOLERANCE)
    for name, value in options.items():
        highs.setOptionValue(name, value)
    if time_limit is not None:
        highs.setOptionValue("time_limit", max(0.01, time_limit))
    if basis is not None:
        kinds = np.array([highspy.HighsBasisStatus(k) for k in range(5)], object)
        start: Any = highspy.HighsBasis()
        start.col_status, start.row_status = kinds[basis[0]].tolist(), kinds[basis[1]].tolist()
        start.valid = True
        highs.setBasis(start)
    return highs


def _is_optimal(highs: Any, lp: LinearProgram) -> bool:
    """True of a basic solution that keeps both tolerances, whatever the status.

    With numbers of very different sizes, HiGHS can end with "Unknown" there: the objectives of both sides differ by
    more than it expects, or a row is off by a rounding of what it adds up, which is more than its tolerance.
    """
    import highspy

    info = highs.getInfo()
    if not info.basis_validity or int(info.dual_solution_status) != int(highspy.SolutionStatus.kSolutionStatusFeasible):
        return False
    x = np.array(highs.getSolution().col_value)
    sums, sizes = lp.matrix @ x, abs(lp.matrix) @ np.abs(x)
    off = np.maximum(np.maximum(sums - lp.row_upper, lp.row_lower - sums), 0.0)
    beyond = np.maximum(np.maximum(x - lp.upper, lp.lower - x), 0.0)
    return bool(np.all(off <= _TOLERANCE * np.maximum(sizes, 1.0)) and np.all(beyond <= _TOLERANCE))


def _solution(highs: Any) -> LinearSolution:
    solution, end = highs.getSolution(), highs.getBasis()
    return LinearSolution(
        np.array(solution.col_value),
        np.array(solution.row_dual),
        np.array([status.value for status in end.col_status], np.int8),
        np.array([status.value for status in end.row_status], np.int8),
        int(highs.getInfo().simplex_iteration_count),
    )


def _library() -> Any:
    import highspy

    return highspy  # untyped calls, said once


@contextmanager
def without_banner() -> Iterator[None]:
    """Make HiGHS without two lines on standard output.

    highspy 1.16 prints its banner from `enableCallbacks`, which its constructor calls before any option can be set; so
    the method is silenced while objects of ours, or of cvxpy's on our behalf, are made.
    """
    import highspy

    def silenced(self: Any) -> None:
        self.setOptionValue("output_flag", False)
        original(self)
        self.setOptionValue("output_flag", True)

    with _BANNER:
        made: Any = highspy.Highs
        original = made.enableCallbacks
        made.enableCallbacks = silenced
        try:
            yield
        finally:
            made.enableCallbacks = original
