"""The reference: the same program through cvxpy, for up to about a million pairs.

It is the oracle of the tests, the notebook's cross-check and an independent opinion. Its allocation and its prices are
certified like those of other solvers: the bound is the dual value of its prices, evaluated by a visit.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import SolverError
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program, RowBlock, block_of
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finer_bound import finer_bound
from oasis_alloc.solvers.finisher import bound_at
from oasis_alloc.solvers.highs import without_banner
from oasis_alloc.solvers.monitor import Monitor, Status, Stop
from oasis_alloc.solvers.slate_rows import SlateRows, slate_rows
from oasis_alloc.solvers.typical import price_of_functions
from oasis_alloc.statement.functions.band import conic_band
from oasis_alloc.statement.functions.base import Conic

MOST_PAIRS = 2_000_000
_SECOND_OPINION = 20_000  # pairs up to which the reference takes about a second
_ABOUT_ZERO, _INSIDE = 1e-11, 1e-8

# OSQP 1.x names. It stops on tolerances that are far from a vertex, so polishing matters most.
_OSQP = {"eps_abs": 1e-7, "eps_rel": 1e-7, "max_iter": 200_000, "polishing": True, "warm_starting": False}
_CLARABEL = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
_SCS = {"eps_abs": 1e-8, "eps_rel": 1e-8, "max_iters": 200_000}
# Exponential cones: without Clarabel's own scaling, which ends in numerical errors on some of them.
_CLARABEL_CURVED = {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8, "equilibrate_enable": False}
_DROPPED = 1e-12  # of a row's largest coefficient: the smallest that HiGHS can be set to keep
_HIGHS = {
    "highs_options": {
        "primal_feasibility_tolerance": 1e-9,
        "dual_feasibility_tolerance": 1e-9,
        "small_matrix_value": _DROPPED,
    }
}
_ACCEPTED = ("optimal", "optimal_inaccurate")


def optimize_conic(engine: Engine, monitor: Monitor, backend: str | None) -> None:
    """Solve with HiGHS, Clarabel or OSQP, and store the certified answer in the monitor.

    `None` takes HiGHS, or Clarabel if a function is curved.
    """
    import cvxpy as cp

    program = engine.program
    if program.n_pairs > MOST_PAIRS:
        raise SolverError(
            f"solver='conic' is a reference for up to {MOST_PAIRS:,} pairs, and there are {program.n_pairs:,}. "
            "Use solver='dual'."
        )
    monitor.enter("conic")
    # so that backends see values near 1, whatever their unit
    worth_one = engine.survey().size or price_of_functions(program, engine.survey().max_totals)
    x = cp.Variable(max(program.n_pairs, 1))
    every = engine.take(np.arange(program.n_pairs))
    slates = slate_rows(program, every, engine.take(np.empty(0, np.int64)))
    paid, constraints = _slates(slates, x[: program.n_pairs])
    constraints += [x >= 0, x <= 1]
    totals, definitions = _totals(program, every, x)
    blocks = [block for block in program.blocks if len(block.labels)]
    parts = [
        _conic(block, totals[block.rows.start : block.rows.stop], program.row_scale[block.rows]) for block in blocks
    ]
    value = every.value / worth_one if every.size else np.zeros(1)
    gained = sum((part.objective for part in parts), 0.0) / worth_one
    constraints += definitions + [c for part in parts for c in part.constraints]
    problem = cp.Problem(cp.Maximize(value @ x - paid / worth_one + gained), constraints)
    curved = bool(program.curved)
    backend = backend or ("clarabel" if curved else "highs")
    _solve(problem, backend, curved, monitor)
    if problem.status in ("infeasible", "infeasible_inaccurate"):
        return  # the caller looks for the conflict
    if problem.status not in _ACCEPTED or x.value is None:
        raise SolverError(
            f"{problem.solver_stats.solver_name if problem.solver_stats else backend} ended with {problem.status!r}."
        )
    probability = _within_slates(x.value[: program.n_pairs], slates)
    # interior points leave small values everywhere, also where a limit allows none
    positions = np.flatnonzero(probability > (_ABOUT_ZERO if backend == "highs" else _INSIDE))
    monitor.offer(evaluate(engine, positions, probability[positions]))
    prices = worth_one * np.concatenate([part.prices() for part in parts]) if parts else np.zeros(0)
    bound_at(engine, monitor, program.admit(prices), worth_one)


def ask_reference(engine: Engine, monitor: Monitor) -> None:
    """Try the reference solver on a small problem that ended without its gap; ignore a failure.

    Its answer is certified like any other, so it can only make the certificate better.
    """
    program, before = engine.program, monitor.prices
    if program.stream is None and program.n_pairs <= _SECOND_OPINION:
        with suppress(SolverError):
            optimize_conic(engine, monitor, None)
        if monitor.prices is not before:  # the bound at other prices has its own smoothing to lose
            finer_bound(engine, monitor)


def _conic(block: RowBlock, totals: Any, unit: Floats) -> Conic:
    """A function of totals in units of their rows; prices have the usual sign."""
    function = block.function
    if function.is_curved or function.is_support:
        return function.conic(sp.diags_array(unit) @ totals)
    lower, upper, penalty = function.band()
    part = conic_band(totals, lower / unit, upper / unit, penalty * unit)
    return part._replace(prices=lambda: part.prices() / unit)


def _solve(problem: Any, backend: str, curved: bool, monitor: Monitor) -> None:
    import cvxpy as cp

    left = monitor.seconds_left
    try:
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            # that an answer may be inaccurate, or took many cones: its certificate says how accurate it is
            warnings.filterwarnings("ignore", message="Solution may be inaccurate|Power atom")
            try:
                _call(problem, backend, _CLARABEL_CURVED if curved else _CLARABEL, left)
            except cp.SolverError:
                if not curved or backend != "clarabel":
                    raise
                _call(problem, "scs", {}, monitor.seconds_left)
    except cp.SolverError as error:
        if left is not None and monitor.seconds_left is not None and monitor.seconds_left <= 0:
            raise Stop(Status.TIME_LIMIT) from error
        raise SolverError(f"the reference solver failed: {error}") from error
    except (ValueError, ArithmeticError) as error:  # raised by cvxpy for numbers beyond its backends
        raise SolverError(f"the reference solver cannot represent the problem's numbers: {error}") from error


def _call(problem: Any, backend: str, clarabel: dict[str, Any], left: float | None) -> None:
    import cvxpy as cp

    limit: dict[str, Any] = {} if left is None else {"time_limit": max(left, 0.01)}
    if backend == "osqp":
        problem.solve(solver=cp.OSQP, **_OSQP, **limit)
    elif backend == "clarabel":
        problem.solve(solver=cp.CLARABEL, **clarabel, **limit)
    elif backend == "scs":  # slower, but converges where Clarabel ends with "insufficient progress"
        problem.solve(solver=cp.SCS, **_SCS, **({} if left is None else {"time_limit_secs": max(left, 0.01)}))
    else:
        with without_banner():
            problem.solve(solver=cp.HIGHS, highs_options={**_HIGHS["highs_options"], **limit})


def _slates(part: SlateRows, x: Any) -> tuple[Any, list[Any]]:
    """(cost of decrements, constraints) of the slates' rules."""
    import cvxpy as cp

    paid: Any = part.decrement @ x if part.decrement.any() else 0.0
    constraints: list[Any] = []
    used: Any = part.matrix @ x if part.names.size else None
    if part.width.size:
        step = cp.Variable(part.width.size)
        constraints += [step >= 0, step <= part.width]
        used = used - part.steps @ step
        paid = paid + part.cost @ step
    for side, limit in ((1.0, part.upper), (-1.0, -part.lower)):
        has = np.flatnonzero(np.isfinite(limit))
        if has.size:
            constraints.append(side * used[has] <= limit[has])
    return paid, constraints


def _within_slates(x: Floats, part: SlateRows) -> Floats:
    """The nearest smaller probabilities that keep ranges and caps exactly: solvers keep them to their tolerance."""
    x = np.clip(x, 0.0, 1.0)
    caps = np.flatnonzero((part.lower == -np.inf) & (np.diff(part.steps.indptr) == 0))
    matrix, room = sp.csr_array(part.matrix[caps]), part.upper[caps]
    for _ in range(2):  # once for the categories that a slate's scaling has left over
        factor = np.minimum(room / np.maximum(matrix @ x, 1e-300), 1.0)
        low = np.ones(x.size)
        row, column = matrix.nonzero()
        np.minimum.at(low, column, factor[row])
        x = x * low
    return np.asarray(x)


def _totals(program: Program, every: PairView, x: Any) -> tuple[Any, list[Any]]:
    """The measures in units of their rows, as an expression; base totals are variables, so that shares stay sparse."""
    import cvxpy as cp

    if not program.n_rows:
        return None, []
    if not program.n_pairs:
        return np.zeros((program.n_rows, 1)) @ x, []
    columns = program.columns_of(every)
    arithmetic = sp.csr_array(sp.diags_array(1.0 / program.row_scale) @ program.arithmetic)
    direct = sp.csr_array(arithmetic @ columns)
    if direct.nnz <= 4 * columns.nnz:
        _check_small(program, direct)
        return direct @ x, []
    size = abs(columns).max(axis=1).toarray().ravel()
    size = np.where(size > 0.0, size, 1.0)
    base = cp.Variable(arithmetic.shape[1])
    return (arithmetic @ sp.diags_array(size)) @ base, [base == (sp.diags_array(1.0 / size) @ columns) @ x]


def _check_small(program: Program, measures: sp.csr_array) -> None:
    """Raise SolverError if coefficients that backends ignore would matter to a limit."""
    size = abs(measures)
    largest = size.max(axis=1).toarray().ravel()
    row, _ = measures.nonzero()
    small = size.data < _DROPPED * largest[row]
    if not small.any():
        return
    left_out = np.bincount(row, np.where(small, size.data, 0.0), program.n_rows)
    lower, upper, _ = program.bands()
    for limit in (lower, upper):
        tight = np.where(np.isfinite(limit), np.abs(limit), np.inf) / program.row_scale
        bad = np.flatnonzero((left_out > 0.1 * FEASIBLE * tight) & (tight > 0.0))
        if bad.size:
            block = block_of(program.blocks, int(bad[0]))
            raise SolverError(
                f"{block.name}, group {block.labels[int(bad[0]) - block.rows.start]!r}: contributions of candidates "
                f"differ by a factor above {1 / _DROPPED:.0e}, and the limit is about as small as the smallest, which "
                "the reference solvers ignore. Use solver='dual'."
            )
