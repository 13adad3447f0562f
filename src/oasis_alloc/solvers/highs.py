"""A linear programme in sparse form, handed to HiGHS, and back with its basis."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.errors import SolverError
from oasis_alloc.functions.base import Floats

Statuses = npt.NDArray[np.int8]

_BANNER = threading.RLock()

AT_LOWER, BASIC, AT_UPPER = 0, 1, 2  # HighsBasisStatus


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """maximise cost x subject to row_lower <= A x <= row_upper, lower <= x <= upper."""

    cost: Floats
    matrix: sp.csc_array
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """An optimal basic solution: x and the rows' shadow prices (change of the optimum per unit of limit)."""

    x: Floats
    prices: Floats
    columns: Statuses
    rows: Statuses
    iterations: int


def solve_lp(
    lp: LinearProgram, basis: tuple[Statuses, Statuses] | None = None, time_limit: float | None = None
) -> LinearSolution | None:
    """Solve with HiGHS, from a basis if there is one; None where its time ran out.

    The programme must be feasible and bounded by construction.
    """
    if not lp.matrix.shape[1]:  # HiGHS has a status of its own for a programme without columns
        n_rows = lp.matrix.shape[0]
        return LinearSolution(np.empty(0), np.zeros(n_rows), np.empty(0, np.int8), np.full(n_rows, BASIC, np.int8), 0)
    import highspy

    with without_banner():
        highs = _library().Highs()
    highs.silent()
    matrix = lp.matrix  # arrays as they are: attributes of a HighsLp are filled number by number
    highs.passModel(
        matrix.shape[1], matrix.shape[0], matrix.nnz, int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMaximize), 0.0, lp.cost, _finite(lp.lower), _finite(lp.upper),
        _finite(lp.row_lower), _finite(lp.row_upper), matrix.indptr, matrix.indices, matrix.data,
        np.zeros(matrix.shape[1], np.int32),
    )  # fmt: skip
    highs.setOptionValue("primal_feasibility_tolerance", 1e-9)
    highs.setOptionValue("dual_feasibility_tolerance", 1e-9)
    if time_limit is not None:
        highs.setOptionValue("time_limit", max(0.01, time_limit))
    if basis is not None:
        kinds = np.array([highspy.HighsBasisStatus(k) for k in range(5)], object)
        start: Any = highspy.HighsBasis()
        start.col_status, start.row_status = kinds[basis[0]].tolist(), kinds[basis[1]].tolist()
        start.valid = True
        highs.setBasis(start)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kTimeLimit:
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        if basis is not None:  # with prices of very different sizes a start can be worse than none
            return solve_lp(lp, None, time_limit)
        raise SolverError(
            f"HiGHS ended with {highs.modelStatusToString(status)} on a feasible, bounded programme of ours."
        )
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


def _finite(values: Floats) -> Floats:
    """HiGHS reads 1e30 and more as infinite."""
    return np.clip(values, -1e30, 1e30)
