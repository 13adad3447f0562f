"""A solve from beginning to end: look ahead, run the solver, and do what is left to do where it has no answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import ROUNDING
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.program.variants import without_idle_limits
from oasis_alloc.solvers.conic import ask_reference
from oasis_alloc.solvers.domain import domain_conflict
from oasis_alloc.solvers.monitor import Conflicting, Status, Stop, Watch
from oasis_alloc.solvers.presolve import look_ahead
from oasis_alloc.solvers.registry import Solver
from oasis_alloc.solvers.relaxation import (
    Relaxation,
    Relaxed,
    best_relaxed,
    decided,
    least_relaxation,
    neutral,
    without_ties,
)
from oasis_alloc.solvers.repair import scaled
from oasis_alloc.solvers.resume import Keeping
from oasis_alloc.solvers.worth import worth


@dataclass(frozen=True, eq=False)
class Task:
    """One solve: the engine of its program, and what was asked for."""

    engine: Engine
    engine_of: Callable[[Program], Engine]  # for the programs of relaxations
    watch: Watch
    keeping: Keeping
    name: str  # of the solver
    run: Solver
    weights: Floats | None  # of a missed unit, by row; None for those by which conflicts are named
    relaxes: bool  # whether a conflict is answered by the best allocation that relaxes the limits


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a solve ended. Without a conflict the watch has the allocation, the bound and its prices."""

    status: Status
    conflict: Relaxation | None = None  # why no allocation meets all constraints, or is worth anything
    worthless: bool = False  # allocations meet the constraints, and none of them is worth anything
    relaxed: Relaxed | None = None  # the answer that relaxes them


def prepare(engine: Engine, watch: Watch) -> bool:
    """Leave out limits that nothing reaches, and tell the watch of sizes; True where no allocation is feasible."""
    survey = engine.survey()
    engine.program = program = without_idle_limits(engine.program, survey.least, survey.most)
    ahead = look_ahead(engine)
    watch.about(program.n_pairs, ahead.lowest, ahead.scale, ROUNDING * ahead.scale, ahead.free)
    if ahead.free is not None:
        watch.offer_bound(ahead.free, np.zeros(program.n_rows))
    return ahead.hopeless


def carry_out(task: Task, z: Floats | None, hopeless: bool) -> Outcome:
    """Solve from dual variables `z`, if any; the last state is kept in the checkpoint however it ends.

    Raises `KeyboardInterrupt` where it is interrupted with no answer to return.
    """
    engine, watch = task.engine, task.watch
    status: Status | None = None
    try:
        conflict = _solve(task, z, hopeless)
        if conflict is not None:
            task.keeping.end(engine, watch)
            return conflict
    except Stop as stop:
        status = stop.status
    except KeyboardInterrupt:
        if watch.prices is None:
            raise  # nothing is known yet
        status = Status.INTERRUPTED
    if not watch.has_answer or watch.prices is None:
        _fall_back(engine, watch)
    if watch.proven:
        status = Status.SOLVED
    task.keeping.end(engine, watch)
    if status is Status.INTERRUPTED and not watch.has_answer:
        raise KeyboardInterrupt  # no answer to return; a checkpoint has what was found
    return Outcome(Status.STALLED if status is None else status)


def _solve(task: Task, z: Floats | None, hopeless: bool) -> Outcome | None:
    """Run the solver, and where it ends without an answer look for the conflict; None where there is none."""
    engine, watch = task.engine, task.watch
    if not hopeless:
        with suppress(Conflicting):
            z = task.keeping.begin(engine, watch, z)
            if not watch.reached:
                task.run(engine, watch, z)
    if not watch.has_answer:
        conflict = _conflict(task)
        if conflict is not None:
            return conflict
        task.run(engine, watch, None if watch.prices is None else engine.program.variables(watch.prices))
    if not watch.proven and task.name == "dual":
        ask_reference(engine, watch)
    if watch.best is not None and np.isneginf(watch.best.value):
        least = domain_conflict(engine, task.engine_of, watch, watch.best)
        if least is not None:
            return Outcome(Status.INFEASIBLE, least, worthless=True)
    return None


def _conflict(task: Task) -> Outcome | None:
    """The conflict of the constraints, or the answer that relaxes them; None where they can all be met.

    The allocation that shows it is offered to the watch then.
    """
    engine, watch = task.engine, task.watch
    asked = neutral(engine.program)
    least = decided(engine, task.engine_of, watch, least_relaxation(engine, task.engine_of, watch, asked))
    if not least.proven:
        watch.demands_can_be_met()
        if least.x.size:
            watch.offer(worth(engine, least.positions, least.x))
        return None
    if task.weights is not None and not np.array_equal(asked, task.weights):
        least = least_relaxation(engine, task.engine_of, watch, task.weights)
    least = without_ties(engine, watch, least)
    if not task.relaxes:
        return Outcome(Status.INFEASIBLE, least)
    again = ask_reference if task.name == "dual" else None
    relaxed = best_relaxed(engine, task.engine_of, watch, task.run, least, again)
    return Outcome(relaxed.status, least, relaxed=relaxed)


def _fall_back(engine: Engine, watch: Watch) -> None:
    """An allocation from the prices alone, where the solve ended before the finisher: scaled until all caps hold."""
    program = engine.program
    if watch.prices is None:
        prices = np.zeros(program.n_rows)
        visit = engine.visit(prices, 1e-9 * (engine.survey().size or 1.0))
        watch.offer_bound(visit.bound + program.conjugate(prices), prices)
    assert watch.prices is not None  # offered just now at the latest
    positions, x = scaled(engine, watch.prices)
    watch.offer(worth(engine, positions, x))
