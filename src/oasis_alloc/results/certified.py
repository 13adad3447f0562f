"""Builds a solution from the result of a solver, and checks its certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import EPSILON, ROUNDING, is_broken, relative_gap
from oasis_alloc.engines.base import Engine
from oasis_alloc.engines.shown import NonZeros
from oasis_alloc.errors import CertificateError
from oasis_alloc.problem import Problem
from oasis_alloc.program.program import Program
from oasis_alloc.program.supply_and_positions import folded
from oasis_alloc.results.answer import Answer, linear_parts
from oasis_alloc.solvers.evaluation import evaluate, missed_cost, sizes
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.kept import Kept
from oasis_alloc.solvers.monitor import Monitor, Status
from oasis_alloc.solvers.relaxation import Relaxation, Relaxed
from oasis_alloc.solvers.stages import Outcome

_Answer = TypeVar("_Answer", bound=Answer)

_NEARLY = 1e-3  # largest gap of a relaxed answer: penalties of missed limits cost digits
_APART = 1e-12  # share of the objective above which a value over its bound is more than rounding


def parts_of(problem: Problem, program: Program) -> Callable[[npt.NDArray[np.int64], Floats], float]:
    """Returns a function that sums the absolute parts of the linear objective, for an allocation by its non-zeros."""

    def parts(positions: npt.NDArray[np.int64], x: Floats) -> float:
        return sum(abs(part) for part in linear_parts(problem, *folded(program, positions, x)).values())

    return parts


def answer_of(
    kind: type[_Answer],
    problem: Problem,
    engine: Engine,
    monitor: Monitor,
    outcome: Outcome,
    solver: str,
    threads: int | None,
) -> _Answer:
    """The answer of a solve, for every status."""
    asked = {"problem": problem, "solver": solver, "threads": threads}
    if outcome.relaxed is not None:
        return relaxed_answer(kind, engine, monitor, outcome.relaxed, asked)
    if outcome.conflict is not None:
        value = -np.inf if outcome.worthless else np.nan
        return infeasible_answer(kind, engine, monitor, outcome.conflict, value, asked)
    return solved_answer(kind, engine, monitor, outcome.status, asked)


def solved_answer(
    kind: type[_Answer], engine: Engine, monitor: Monitor, status: Status, asked: dict[str, Any]
) -> _Answer:
    """The allocation and the bound of the monitor; `CertificateError` where value and bound contradict each other."""
    program, solver, prices = engine.program, asked["solver"], monitor.prices
    assert monitor.best is not None  # `carry_out` sets both
    assert prices is not None
    best = monitor.best.as_arrays()
    monitor.restate(best)  # the answer and what it keeps share the arrays
    bound, known = float(monitor.bound), sizes(engine, best)
    if best.feasible:
        bought = missed_cost(program, prices, best.totals)
        # the parts of priced scores, and functions whose values are differences of larger numbers
        summed = monitor.rounding / ROUNDING
        priced = max(best.size, summed) + float(np.abs(prices) @ known)
        curved = [(b.function, len(b.labels)) for b in program.blocks if b.function.is_curved]
        bought += EPSILON * sum(abs(getattr(function, "weight", 1.0)) * groups for function, groups in curved)
        bought += ROUNDING * program.conjugate_parts(prices)
        if is_broken(bound, best.value, priced, bought, exact=solver == "dual"):
            raise CertificateError(bound, best.value, solver)
        if best.value - bound > monitor.rounding + _APART * best.size:
            bound = best.value  # the gain from violations that count as zero
        if abs(bound - best.value) <= EPSILON * summed:
            bound = best.value  # the same number, summed in two orders
    return kind(
        **asked,
        status=status,
        value=float(best.value),
        bound=bound,
        gap=float(relative_gap(bound, best.value, best.size, monitor.rounding)) if best.feasible else float(np.inf),
        violation=program.violation(best.totals, known),
        prices={b.name: prices[b.rows] for b in program.blocks},
        totals={b.name: best.totals[b.rows] for b in program.blocks},
        sizes={b.name: known[b.rows] for b in program.blocks if b.function.is_constraint},
        passes=float(monitor.before[0] + engine.passes),
        seconds=monitor.before[1] + monitor.seconds,
        _kept=Kept.of(program, monitor) if solver == "dual" else None,
        **_shown(engine, best),
    )


def _shown(engine: Engine, best: Allocation) -> dict[str, Any]:
    """The allocation over the candidates' own pairs, and the part of its value that decrements subtract."""
    program = engine.program
    if best.whole is not None and not best.whole.is_here:  # of slates without rules
        return {"_nonzeros": best.later, "diminished": 0.0}
    own = best.nonzeros
    diminished = program.diminished(engine.take(own[0]), own[1])
    folded_own = folded(program, *own)
    shared = best.whole is None and folded_own[0] is own[0]
    return {"_nonzeros": best.later if shared else NonZeros(*folded_own), "diminished": diminished}


def infeasible_answer(
    kind: type[_Answer], engine: Engine, monitor: Monitor, smallest: Relaxation, value: float, asked: dict[str, Any]
) -> _Answer:
    """The answer if no allocation meets all constraints: the conflict, and the totals of the least relaxation.

    `value` is minus infinity if allocations meet them but have the value minus infinity.
    """
    program, closest = engine.program, evaluate(engine, smallest.positions, smallest.x)
    return kind(
        **asked,
        status=Status.INFEASIBLE,
        value=value,
        bound=-np.inf,
        gap=np.inf,
        violation=closest.violation,
        prices={},
        totals={b.name: closest.totals[b.rows] for b in program.blocks},
        passes=float(engine.passes),
        seconds=monitor.seconds,
        _nonzeros=NonZeros(np.empty(0, np.int64), np.empty(0)),
        conflicts=smallest.conflicts,
    )


def relaxed_answer(
    kind: type[_Answer], engine: Engine, monitor: Monitor, relaxed: Relaxed, asked: dict[str, Any]
) -> _Answer:
    """The best answer at the least relaxation."""
    program, best = engine.program, relaxed.allocation
    known = sizes(engine, best)
    gap = relative_gap(relaxed.bound, best.value, best.size, max(monitor.rounding_of(best), relaxed.rounding))
    status = relaxed.status
    if status is Status.RELAXED and gap > max(monitor.target, _NEARLY):
        status = Status.STALLED  # the least total is proven, but not that this is nearly the best answer at it
    return kind(
        **asked,
        status=status,
        value=float(best.value),
        bound=float(relaxed.bound),
        gap=gap,
        violation=float(best.violation),
        prices={b.name: relaxed.prices[b.rows] for b in program.blocks},
        totals={b.name: best.totals[b.rows] for b in program.blocks},
        sizes={b.name: known[b.rows] for b in program.blocks if b.function.is_constraint},
        passes=float(engine.passes + relaxed.passes),
        seconds=monitor.seconds,
        **_shown(engine, best),
        conflicts=relaxed.conflicts,
    )
