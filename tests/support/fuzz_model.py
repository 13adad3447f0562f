"""A concave program put together block by block, solved by HiGHS where it is linear and by Clarabel where it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from random_programs import Array
from scipy.optimize import linprog

EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


class Unsure(Exception):
    """The judge's own solver did not reach an answer that can be judged by."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Infeasible, or the optimum with its variables and how exact it is, relative to the objective's size."""

    infeasible: bool
    value: float = float(np.nan)
    y: Array | None = None
    x: Array | None = None
    accuracy: float = 1e-8

    def with_x(self, x: Array) -> Outcome:
        return replace(self, x=x)


class Model:
    """Maximize `gain @ y` plus curves of `matrix @ y`, subject to rows and bounds."""

    def __init__(self) -> None:
        self.n = 0
        self._gain: list[Array] = []
        self._lower: list[Array] = []
        self._upper: list[Array] = []
        self._rows: list[tuple[list[tuple[slice, Any]], Array, Array]] = []
        self._curves: list[tuple[Any, slice, Any]] = []

    def add(self, gain: Array, lower: float, upper: float) -> slice:
        """New variables, one for every entry of `gain`."""
        at = slice(self.n, self.n + gain.size)
        self.n += gain.size
        self._gain.append(np.asarray(gain, float))
        self._lower.append(np.full(gain.size, lower))
        self._upper.append(np.full(gain.size, upper))
        return at

    def rows(self, blocks: list[tuple[slice, Any]], lower: float | Array, upper: float | Array) -> None:
        """`lower <= sum of matrices times their variables <= upper`."""
        n = blocks[0][1].shape[0]
        self._rows.append((blocks, np.broadcast_to(lower, n), np.broadcast_to(upper, n)))

    def curve(self, stated: Any, at: slice, matrix: Any) -> None:
        """A curved function of `matrix @ y[at]`."""
        self._curves.append((stated, at, matrix))

    def _matrix(self) -> tuple[Any, Array, Array]:
        if not self._rows:
            return sp.csr_array((0, self.n)), np.empty(0), np.empty(0)
        parts = []
        for blocks, _, _ in self._rows:
            wide = sp.csr_array((blocks[0][1].shape[0], self.n))
            for at, matrix in blocks:
                wide = wide + _placed(matrix, at, self.n)
            parts.append(wide)
        matrix = sp.csr_array(sp.vstack(parts, format="csr"))
        lower, upper = (np.concatenate([row[k] for row in self._rows]) for k in (1, 2))
        # rows of size 1: a tolerance of 1e-10 is then one of every row's own numbers
        size = np.maximum(np.abs(matrix).max(axis=1).toarray().ravel() if matrix.nnz else 0.0, 1e-9)
        limit = np.maximum(*(np.where(np.isfinite(side), np.abs(side), 0.0) for side in (lower, upper)))
        size = np.maximum(size, 1e-3 * limit)
        return sp.csr_array(sp.diags_array(1.0 / size) @ matrix), lower / size, upper / size

    def solve(self) -> Outcome:
        """The optimum, or that there is none; `Unsure` where the solver says neither."""
        gain, low, high = (np.concatenate(part) for part in (self._gain, self._lower, self._upper))
        matrix, lower, upper = self._matrix()
        if self.n == 0 or matrix.shape[1] == 0:
            broken = bool((lower > 1e-10).any() or (upper < -1e-10).any())
            worth = sum(stated.value(np.zeros(matrix.shape[0])) for stated, _, matrix in self._curves)
            return Outcome(broken, float(worth), np.empty(0))
        if self._curves:
            return self._curved(gain, low, high, matrix, lower, upper)
        cap, floor = np.flatnonzero(np.isfinite(upper)), np.flatnonzero(np.isfinite(lower))
        size = max(float(np.abs(gain).max(initial=0.0)), 1e-300)
        result = linprog(
            -gain / size,
            sp.vstack([matrix[cap], -matrix[floor]], format="csr") if cap.size + floor.size else None,
            np.concatenate([upper[cap], -lower[floor]]) if cap.size + floor.size else None,
            bounds=np.column_stack([low, high]),
            method="highs",
            options=EXACT,
        )
        if result.status == 2:
            return Outcome(True)
        if result.status != 0:
            raise Unsure(f"HiGHS: {result.message}")
        return Outcome(False, float(gain @ result.x), result.x)

    def _curved(self, gain: Array, low: Array, high: Array, matrix: Any, lower: Array, upper: Array) -> Outcome:
        import cvxpy as cp

        y = cp.Variable(self.n)
        some, has = np.isfinite(high), np.isfinite(low)
        constraints = [y[some] <= high[some], y[has] >= low[has]]
        cap, floor = np.flatnonzero(np.isfinite(upper)), np.flatnonzero(np.isfinite(lower))
        if cap.size:
            constraints.append(matrix[cap] @ y <= upper[cap])
        if floor.size:
            constraints.append(matrix[floor] @ y >= lower[floor])
        objective = gain @ y + sum(stated.expression(part @ y[at]) for stated, at, part in self._curves)
        problem, said = cp.Problem(cp.Maximize(objective), constraints), "nothing"
        for solver, options in _SOLVERS:
            try:
                problem.solve(solver=solver, **options)
            except (cp.SolverError, ValueError, ArithmeticError) as error:
                said = str(error)
                continue
            said = f"{solver}: {problem.status}"
            if problem.status not in ("optimal", "optimal_inaccurate") or y.value is None:
                continue
            value = np.clip(y.value, low, high)
            rows = matrix @ value
            off = float(np.maximum(rows - upper, lower - rows).max(initial=0.0))
            worth = float(gain @ value) + sum(stated.value(part @ value[at]) for stated, at, part in self._curves)
            said = f"{said}, rows are off by {off:.1e}, worth {worth:.6g}"
            if off <= 1e-6 and np.isfinite(worth):
                return Outcome(False, worth, value, accuracy=1e-6 if problem.status == "optimal" else 1e-4)
        raise Unsure(said)


_SOLVERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CLARABEL", {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10, "max_iter": 300}),
    ("CLARABEL", {"max_iter": 300}),
    ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 50_000}),
)


def _placed(matrix: Any, at: slice, width: int) -> Any:
    coo = sp.coo_array(matrix)
    return sp.csr_array((coo.data, (coo.row, coo.col + at.start)), shape=(matrix.shape[0], width))
