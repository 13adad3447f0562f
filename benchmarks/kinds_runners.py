"""HiGHS, OR-tools PDLP and Clarabel on a `Linear` of `kinds_models.py`, on one thread, through their own interfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.kinds_models import Floats, Linear

Solve = Callable[[], tuple[Floats | None, str]]
"""Solves what was built; returns (y or None, what the solver calls the end)."""


@dataclass(frozen=True)
class Runner:
    """A solver: its title, the tolerance that it stops on (None: its own), how it builds, and if it has logarithms."""

    title: str
    tolerance: float | None
    build: Callable[[Linear], Solve]
    curved: bool = False


def _highs(program: Linear, solver: str) -> Solve:
    import highspy

    lp: Any = highspy.HighsLp()
    lp.num_row_, lp.num_col_ = program.matrix.shape
    lp.col_cost_ = -program.gain
    lp.col_lower_, lp.col_upper_ = np.zeros(program.gain.size), program.most
    lp.row_lower_, lp.row_upper_ = program.row_lower, program.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    matrix = program.matrix
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    highspy.Highs.resetGlobalScheduler(True)  # threads of earlier solves in this process: it refuses another number
    model = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {"output_flag": False, "solver": solver, "threads": 1}
    if solver == "ipm":
        options |= {"kkt_tolerance": 1e-4, "run_crossover": "off"}  # a basis is not needed
    for name, chosen in options.items():
        if model.setOptionValue(name, chosen) != highspy.HighsStatus.kOk:
            raise ValueError(f"HiGHS {model.version()} refuses the option {name}={chosen!r}")
    model.passModel(lp)

    def solve() -> tuple[Floats | None, str]:
        model.run()
        done = model.getModelStatus() == highspy.HighsModelStatus.kOptimal
        x = np.asarray(model.getSolution().col_value) if done else None
        return x, model.modelStatusToString(model.getModelStatus())

    return solve


def _pdlp(program: Linear) -> Solve:
    from ortools.pdlp import solve_log_pb2, solvers_pb2
    from ortools.pdlp.python import pdlp

    model = pdlp.QuadraticProgram()
    rows, columns = program.matrix.shape
    model.resize_and_initialize(columns, rows)
    model.objective_vector = -program.gain
    model.variable_lower_bounds = np.zeros(columns)
    model.variable_upper_bounds = program.most
    model.constraint_matrix = program.matrix
    model.constraint_lower_bounds = program.row_lower
    model.constraint_upper_bounds = program.row_upper
    parameters = solvers_pb2.PrimalDualHybridGradientParams()
    parameters.num_threads = 1
    parameters.termination_criteria.simple_optimality_criteria.eps_optimal_relative = 1e-4

    def solve() -> tuple[Floats | None, str]:
        result = pdlp.primal_dual_hybrid_gradient(model, parameters)
        reason = result.solve_log.termination_reason
        done = reason == solve_log_pb2.TERMINATION_REASON_OPTIMAL
        name = solve_log_pb2.TerminationReason.Name(reason).removeprefix("TERMINATION_REASON_")
        return np.asarray(result.primal_solution) if done else None, name

    return solve


def _clarabel(program: Linear) -> Solve:
    """Rows as A z + s = b with s in cones; t <= log(curved y) is (t, 1, curved y) in the exponential cone."""
    import clarabel

    matrix, n = sp.csr_array(program.matrix), program.gain.size
    equal = program.row_lower == program.row_upper
    above = np.isfinite(program.row_upper) & ~equal
    below = np.isfinite(program.row_lower) & ~equal
    most = np.isfinite(program.most)
    unit = sp.eye_array(n, format="csr")
    parts = [matrix[equal], matrix[above], -matrix[below], -unit, unit[most]]
    sides = [program.row_upper[equal], program.row_upper[above], -program.row_lower[below], np.zeros(n),
             program.most[most]]  # fmt: skip
    cones = [clarabel.ZeroConeT(int(equal.sum())), clarabel.NonnegativeConeT(sum(len(side) for side in sides[1:]))]
    a, b, cost = sp.csr_array(sp.vstack(parts)), np.concatenate(sides), -program.gain
    if program.curved is not None:
        groups = program.curved.shape[0]
        # logarithms of totals near 1, where the cone is best scaled; the objective differs by a constant
        curved = program.curved * (groups / program.curved.sum())
        at = np.arange(groups)
        first, third = (
            sp.csr_array((np.ones(groups), (3 * at + part, at)), shape=(3 * groups, groups)) for part in (0, 2)
        )
        a = sp.csr_array(sp.block_array([[a, None], [-(third @ curved), -first]]))
        one = np.zeros(3 * groups)
        one[1::3] = 1.0
        b, cost = np.append(b, one), np.append(cost, np.full(groups, -program.weight))
        cones += [clarabel.ExponentialConeT()] * groups
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-4
    model = clarabel.DefaultSolver(sp.csc_matrix((cost.size, cost.size)), cost, sp.csc_matrix(a), b, cones, settings)

    def solve() -> tuple[Floats | None, str]:
        solution = model.solve()
        done = str(solution.status) in ("Solved", "AlmostSolved")
        return np.asarray(solution.x)[:n] if done else None, str(solution.status)

    return solve


RUNNERS = {
    "highs": Runner("HiGHS simplex", None, lambda program: _highs(program, "choose")),
    "highs-ipm": Runner("HiGHS ipm", 1e-4, lambda program: _highs(program, "ipm")),
    "pdlp": Runner("OR-tools PDLP", 1e-4, _pdlp),
    "clarabel": Runner("Clarabel", 1e-4, _clarabel, curved=True),
}
"""The other solvers by name."""
