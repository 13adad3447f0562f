"""Ours, OR-tools PDLP and HiGHS on an instance: each builds its own model of it, then solves it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.instances import Floats, Instance

if TYPE_CHECKING:
    import oasis_alloc as oa


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solver gave back, and what it says of it.

    `x` (n_pairs,) and `prices` (n_campaigns,) are None where it gave none; `done` is False where it stopped
    early. `reported` holds its own words: status, objective, bound, iterations.
    """

    build_seconds: float
    solve_seconds: float
    done: bool
    x: Floats | None
    prices: Floats | None
    reported: dict[str, Any] = field(default_factory=dict)


def problem_of(instance: Instance) -> oa.Problem:
    """The program of the instance, stated in the package's words."""
    import oasis_alloc as oa

    candidates = oa.Candidates.from_arrays(
        instance.indptr,
        instance.item,
        columns={"value": instance.value},
        items={"campaign": np.arange(instance.caps.size)},
    )
    caps = (oa.exposure(by="campaign") <= instance.caps).named("caps")
    return oa.Problem(candidates, maximize=oa.total("value"), subject_to=[caps], slate=oa.Slate(size=instance.size))


def ours(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """oasis_alloc to a gap of `tolerance`; its build is Candidates, with all their checks, and Problem."""
    import oasis_alloc as oa

    start = time.perf_counter()
    problem = problem_of(instance)
    built = time.perf_counter()
    solution = oa.solve(problem, gap=tolerance or 1e-4, threads=threads, time_limit=max(0.01, limit - (built - start)))
    solved = time.perf_counter()
    return Answer(
        build_seconds=built - start,
        solve_seconds=solved - built,
        done=solution.status is oa.Status.SOLVED,
        x=solution.allocation,
        prices=solution.prices["caps"],
        reported={
            "status": str(solution.status),
            "value": solution.value,
            "bound": solution.bound,
            "gap": solution.gap,
            "violation": solution.violation,
            "passes": solution.passes,
            "seconds": solution.seconds,
        },
    )


def pdlp(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """OR-tools PDLP, its defaults but for the relative tolerance, the threads and the time limit."""
    from ortools.pdlp import solve_log_pb2, solvers_pb2
    from ortools.pdlp.python import pdlp as ortools_pdlp

    start = time.perf_counter()
    model = ortools_pdlp.QuadraticProgram()
    limits = instance.limits()
    model.resize_and_initialize(instance.pairs, limits.size)
    model.objective_vector = -instance.value.astype(np.float64)
    model.variable_lower_bounds = np.zeros(instance.pairs)
    model.variable_upper_bounds = np.ones(instance.pairs)
    model.constraint_matrix = instance.matrix()
    model.constraint_lower_bounds = np.full(limits.size, -np.inf)
    model.constraint_upper_bounds = limits
    built = time.perf_counter()
    params = solvers_pb2.PrimalDualHybridGradientParams()
    params.num_threads = threads
    params.termination_criteria.time_sec_limit = max(0.01, limit - (built - start))
    if tolerance is not None:
        params.termination_criteria.simple_optimality_criteria.eps_optimal_relative = tolerance
    result = ortools_pdlp.primal_dual_hybrid_gradient(model, params)
    solved = time.perf_counter()
    log, reasons = result.solve_log, solve_log_pb2.TerminationReason
    reported: dict[str, Any] = {
        "status": reasons.Name(log.termination_reason).removeprefix("TERMINATION_REASON_"),
        "iterations": log.iteration_count,
    }
    for information in log.solution_stats.convergence_information:
        if information.candidate_type == log.solution_type:
            reported["value"] = -information.primal_objective
            reported["bound"] = -information.dual_objective
            reported["residual"] = information.l_inf_primal_residual
    return Answer(
        build_seconds=built - start,
        solve_seconds=solved - built,
        done=log.termination_reason == solve_log_pb2.TERMINATION_REASON_OPTIMAL,
        x=np.asarray(result.primal_solution),
        prices=-np.asarray(result.dual_solution)[instance.users :],
        reported=reported,
    )


def highs(instance: Instance, tolerance: float | None, threads: int, limit: float, solver: str = "choose") -> Answer:
    """HiGHS by its option `solver`; "choose", its default, means the dual simplex method for an LP."""
    import highspy

    start = time.perf_counter()
    limits, matrix = instance.limits(), instance.matrix()
    lp: Any = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = instance.pairs, limits.size
    lp.col_cost_ = -instance.value.astype(np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(instance.pairs), np.ones(instance.pairs)
    lp.row_lower_, lp.row_upper_ = np.full(limits.size, -highspy.kHighsInf), limits
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    model = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"output_flag": False, "solver": solver, "threads": threads}
    if tolerance is not None:
        options["kkt_tolerance"] = tolerance  # the one tolerance of all its measures
    if solver == "ipm":
        options["run_crossover"] = "off"  # nobody here needs a basis, and it can take longer than the rest
    for name, chosen in options.items():
        if model.setOptionValue(name, chosen) != highspy.HighsStatus.kOk:
            raise ValueError(f"HiGHS {model.version()} refuses the option {name}={chosen!r}")
    model.passModel(lp)
    built = time.perf_counter()
    model.setOptionValue("time_limit", max(0.01, limit - (built - start)))
    model.run()
    solved = time.perf_counter()
    solution, information = model.getSolution(), model.getInfo()
    counts = ("simplex_iteration_count", "ipm_iteration_count", "pdlp_iteration_count")
    return Answer(
        build_seconds=built - start,
        solve_seconds=solved - built,
        done=model.getModelStatus() == highspy.HighsModelStatus.kOptimal,
        x=np.asarray(solution.col_value) if solution.value_valid else None,
        prices=-np.asarray(solution.row_dual)[instance.users :] if solution.dual_valid else None,
        reported={
            "status": model.modelStatusToString(model.getModelStatus()),
            "value": -information.objective_function_value,
            "iterations": sum(max(0, getattr(information, name, 0)) for name in counts),
        },
    )


def highs_ipm(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """HiGHS, its interior point method without crossover."""
    return highs(instance, tolerance, threads, limit, "ipm")


def highs_pdlp(instance: Instance, tolerance: float | None, threads: int, limit: float) -> Answer:
    """HiGHS, its first-order method."""
    return highs(instance, tolerance, threads, limit, "pdlp")
