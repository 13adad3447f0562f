"""A linear programme in sparse form, handed to HiGHS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from oasis_alloc.errors import SolverError
from oasis_alloc.functions.base import Floats


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
    iterations: int


def solve_lp(lp: LinearProgram, threads: int | None = None, time_limit: float | None = None) -> LinearSolution | None:
    """Solve with HiGHS; None where its time ran out. The programme must be feasible and bounded by construction."""
    import highspy

    class Quiet(highspy.Highs):  # type: ignore[misc]  # highspy is untyped
        """HiGHS 1.16 prints its banner from enableCallbacks, which the constructor calls."""

        def enableCallbacks(self) -> None:  # noqa: N802  # HiGHS's name
            self.silent()
            super().enableCallbacks()

    highs = Quiet()
    model: Any = highspy.HighsLp()
    model.num_col_, model.num_row_ = lp.matrix.shape[1], lp.matrix.shape[0]
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_, model.col_lower_, model.col_upper_ = lp.cost, _finite(lp.lower), _finite(lp.upper)
    model.row_lower_, model.row_upper_ = _finite(lp.row_lower), _finite(lp.row_upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = lp.matrix.indptr
    model.a_matrix_.index_ = lp.matrix.indices
    model.a_matrix_.value_ = lp.matrix.data
    for option, value in (("primal_feasibility_tolerance", 1e-9), ("dual_feasibility_tolerance", 1e-9)):
        highs.setOptionValue(option, value)
    if threads is not None:
        highs.setOptionValue("threads", threads)
    if time_limit is not None:
        highs.setOptionValue("time_limit", max(0.01, time_limit))
    highs.passModel(model)
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kTimeLimit:
        return None
    if status != highspy.HighsModelStatus.kOptimal:
        raise SolverError(f"HiGHS ended with {highs.modelStatusToString(status)} on a feasible, bounded programme of ours.")
    solution = highs.getSolution()
    return LinearSolution(
        np.array(solution.col_value), np.array(solution.row_dual), int(highs.getInfo().simplex_iteration_count)
    )


def _finite(values: Floats) -> Floats:
    """HiGHS reads 1e30 and more as infinite."""
    return np.clip(values, -1e30, 1e30)
