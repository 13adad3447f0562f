"""Clarabel, OSQP and SCS on an instance, through cvxpy: one vectorized model for all three."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.instances import Instance
from benchmarks.runners import Answer

_NO_LIMIT = 10_000_000  # iterations: only the time ends them early


def clarabel(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """Its interior point method; `tolerance` for gap and feasibility."""
    options: dict[str, Any] = {"max_threads": threads}
    if tolerance is not None:
        options |= {"tol_gap_abs": tolerance, "tol_gap_rel": tolerance, "tol_feas": tolerance}
    return _run("CLARABEL", "time_limit", options, instance, limit)


def osqp(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """Its operator splitting, on one thread whatever is asked for."""
    options: dict[str, Any] = {"max_iter": _NO_LIMIT}
    if tolerance is not None:
        options |= {"eps_abs": tolerance, "eps_rel": tolerance}
    return _run("OSQP", "time_limit", options, instance, limit)


def scs(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """Its operator splitting on the cone, on one thread whatever is asked for."""
    options: dict[str, Any] = {"max_iters": _NO_LIMIT}
    if tolerance is not None:
        options |= {"eps_abs": tolerance, "eps_rel": tolerance}
    return _run("SCS", "time_limit_secs", options, instance, limit)


def _run(solver: str, limit_name: str, options: dict[str, Any], instance: Instance, limit: float) -> Answer:
    """Building is cvxpy's model and its translation to what the solver reads."""
    import cvxpy as cp

    start = time.perf_counter()
    matrix = sp.csr_array(instance.matrix())
    x = cp.Variable(instance.pairs, bounds=[0.0, 1.0])
    slates = matrix[: instance.users] @ x <= float(instance.size)
    caps = matrix[instance.users :] @ x <= instance.caps
    problem = cp.Problem(cp.Maximize(instance.value.astype(np.float64) @ x), [slates, caps])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a solution may be inaccurate: the judge says how much
        problem.get_problem_data(solver)  # kept by the problem: solve() does not do it again
        built = time.perf_counter()
        options = options | {limit_name: max(0.01, limit - (built - start))}
        try:
            problem.solve(solver=solver, **options)
        except cp.SolverError as error:
            return Answer(built - start, time.perf_counter() - built, False, None, None, {"status": str(error)})
    solved = time.perf_counter()
    stats = problem.solver_stats
    return Answer(
        build_seconds=built - start,
        solve_seconds=solved - built,
        done=problem.status == cp.OPTIMAL,
        x=None if x.value is None else np.asarray(x.value),
        prices=None if caps.dual_value is None else np.asarray(caps.dual_value),
        reported={
            "status": str(problem.status),
            "value": None if problem.value is None else float(problem.value),
            "iterations": None if stats is None else stats.num_iters,
            "solver_seconds": None if stats is None else stats.solve_time,
        },
    )
