"""A solve from beginning to end: look ahead, run the solver, and do what is left to do where it has no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import ROUNDING
from oasis_alloc.engines.base import Engine, PairSplit
from oasis_alloc.engines.shown import NonZeros, ShownHere
from oasis_alloc.program.program import Program
from oasis_alloc.program.row_units import with_units_of_rows
from oasis_alloc.program.variants import without_idle_limits
from oasis_alloc.solvers.again import solve_again
from oasis_alloc.solvers.conic import ask_reference
from oasis_alloc.solvers.domain import domain_conflict
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finer_bound import finer_bound
from oasis_alloc.solvers.finisher import finish
from oasis_alloc.solvers.highs import LinearProgramError
from oasis_alloc.solvers.kept import WarmStart
from oasis_alloc.solvers.left_nothing import bound_of_nothing
from oasis_alloc.solvers.monitor import Monitor, Status, Stop, SuspectedInfeasible
from oasis_alloc.solvers.moving import moved_within
from oasis_alloc.solvers.presolve import quick_check
from oasis_alloc.solvers.registry import Solver
from oasis_alloc.solvers.relaxation import (
    Relaxation,
    Relaxed,
    best_relaxed,
    decided,
    neutral,
    smallest_relaxation,
    without_ties,
)
from oasis_alloc.solvers.repair import scaled
from oasis_alloc.solvers.resume import Checkpointer
from oasis_alloc.solvers.settings import DUAL

_SMALL = 20_000  # pairs of a program that one linear program of all of them answers in less than a second


@dataclass(frozen=True, eq=False)
class Task:
    """One solve: the engine of its program, and what was asked for."""

    engine: Engine
    engine_of: Callable[[Program], Engine]  # for the programs of relaxations
    monitor: Monitor
    checkpointer: Checkpointer
    name: str  # of the solver
    run: Solver
    weights: Floats | None  # of a missed unit, by row; None for those by which conflicts are named
    warm: WarmStart | None  # what an earlier solve left for this one, for the dual solver
    relaxes: bool  # whether a conflict is answered by the best allocation that relaxes the limits


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a solve ended. Without a conflict the monitor has the allocation, the bound and its prices."""

    status: Status
    conflict: Relaxation | None = None  # why no allocation meets all constraints, or is worth anything
    worthless: bool = False  # allocations meet the constraints, and none of them is worth anything
    relaxed: Relaxed | None = None  # the answer that relaxes them

    def shown(self, monitor: Monitor) -> NonZeros:
        """The non-zeros of the allocation that the answer's totals are of."""
        if self.relaxed is not None:
            return self.relaxed.allocation.later
        if self.conflict is not None:
            return NonZeros(self.conflict.positions, self.conflict.x)
        assert monitor.best is not None  # `carry_out` sets it
        return monitor.best.later


def prepare(engine: Engine, monitor: Monitor) -> bool:
    """Give rows units, leave out limits that nothing reaches, and tell the monitor of sizes.

    True where no allocation is feasible.
    """
    reach = engine.slate_reach()
    program = with_units_of_rows(engine.program, engine.survey().typical)
    engine.program = program = without_idle_limits(program, *reach)
    ahead = quick_check(engine)
    slots = max(program.slots, 1.0)
    monitor.about(program.n_pairs, ahead.lowest, ahead.scale, ROUNDING * ahead.scores, ahead.free, slots)
    if ahead.free is not None:
        monitor.offer_bound(ahead.free, np.zeros(program.n_rows))
    return ahead.trivially_infeasible


def carry_out(task: Task, trivially_infeasible: bool) -> Outcome:
    """Solve; the last state is kept in the checkpoint however it ends.

    Raises `KeyboardInterrupt` where it is interrupted with no answer to return.
    """
    engine, monitor = task.engine, task.monitor
    status: Status | None = None
    try:
        conflict = _solve(task, trivially_infeasible)
        if conflict is not None:
            task.checkpointer.end(engine, monitor)
            return conflict
    except Stop as stop:
        status = stop.status
    except KeyboardInterrupt:
        if monitor.prices is None:
            raise  # nothing is known yet
        status = Status.INTERRUPTED
    if not monitor.has_answer or monitor.prices is None:
        _fall_back(engine, monitor)
    if monitor.proven:
        status = Status.SOLVED
    task.checkpointer.end(engine, monitor)
    if status is Status.INTERRUPTED and not monitor.has_answer:
        raise KeyboardInterrupt  # no answer to return; a checkpoint has what was found
    return Outcome(Status.STALLED if status is None else status)


def _solve(task: Task, trivially_infeasible: bool) -> Outcome | None:
    """Run the solver, and where it ends without an answer look for the conflict; None where there is none."""
    engine, monitor = task.engine, task.monitor
    if not trivially_infeasible:
        worthless = domain_conflict(engine, task.engine_of, monitor)
        if worthless is not None:
            return Outcome(Status.INFEASIBLE, worthless, worthless=True)
        with suppress(SuspectedInfeasible), _other_ways(task):
            z = task.checkpointer.begin(engine, monitor)
            if not monitor.reached and task.warm is not None:
                solve_again(engine, monitor, task.warm)
            elif not monitor.reached:
                task.run(engine, monitor, z)
    if not monitor.has_answer:
        conflict = _conflict(task)
        if conflict is not None:
            return conflict
        with _other_ways(task):
            task.run(engine, monitor, None if monitor.prices is None else engine.program.variables(monitor.prices))
    if not monitor.proven:
        bound_of_nothing(engine, monitor)
        finer_bound(engine, monitor)
    if not monitor.proven and task.name == "dual":
        ask_reference(engine, monitor)
    return None


@contextmanager
def _other_ways(task: Task) -> Iterator[None]:
    """Ask the reference after a failure of our solver, which is one of a linear program: it has another one.

    What was found before is certified. A reference that was asked for has no other way.
    """
    try:
        yield
    except LinearProgramError:
        if task.name != "dual":
            raise
        ask_reference(task.engine, task.monitor)


def _conflict(task: Task) -> Outcome | None:
    """The conflict of the constraints, or the answer that relaxes them; None where they can all be met.

    The allocation that shows it is offered to the monitor then.
    """
    engine, monitor = task.engine, task.monitor
    asked = neutral(engine.program)
    smallest = decided(engine, task.engine_of, monitor, smallest_relaxation(engine, task.engine_of, monitor, asked))
    if not smallest.proven:
        monitor.demands_can_be_met()
        if smallest.x.size:
            monitor.offer(evaluate(engine, smallest.positions, smallest.x))
        return None
    if task.weights is not None and not np.array_equal(asked, task.weights):
        smallest = smallest_relaxation(engine, task.engine_of, monitor, task.weights)
    smallest = without_ties(engine, monitor, smallest)
    if not task.relaxes:
        return Outcome(Status.INFEASIBLE, smallest)
    again = ask_reference if task.name == "dual" else None
    relaxed = best_relaxed(engine, task.engine_of, monitor, task.run, smallest, again)
    return Outcome(relaxed.status, smallest, relaxed=relaxed)


def _fall_back(engine: Engine, monitor: Monitor) -> None:
    """An allocation from the prices alone, where the solve ended before the finisher: scaled until all caps hold.

    Where floors are missed, the smoothed slates at the optimizer's place often miss them by less.
    """
    program = engine.program
    if monitor.prices is None:
        prices = np.zeros(program.n_rows)
        visit = engine.visit(prices, 1e-9 * (engine.survey().size or 1.0))
        monitor.offer_bound(visit.bound + program.conjugate(prices), prices)
    assert monitor.prices is not None  # offered just now at the latest
    _offer_slates(engine, monitor, monitor.prices, 0.0)
    place = monitor.iterate
    if not monitor.has_answer and place is not None and place.gamma > 0.0:
        _offer_slates(engine, monitor, program.prices(place.z), place.gamma)
    if not monitor.has_answer and program.n_pairs <= _SMALL:
        _offer_from_program(engine, monitor)


def _offer_slates(engine: Engine, monitor: Monitor, prices: Floats, gamma: float) -> None:
    """Offer the slates at some prices: scaled until caps hold, then with moves within users for what is missed."""
    found = evaluate(engine, *scaled(engine, prices, gamma))
    monitor.offer(found)
    if not found.feasible:
        monitor.offer(evaluate(engine, *moved_within(engine, *found.nonzeros, found.totals, prices, every=True)))


def _offer_from_program(engine: Engine, monitor: Monitor) -> None:
    """Offer the allocation of one linear program of all pairs, where moves between a user's candidates do not do.

    A row may only have room after another user has moved something out of it. What caps miss costs more than what
    floors do.
    """
    program, settings = engine.program, DUAL.now
    prices = np.zeros(program.n_rows) if monitor.prices is None else monitor.prices
    everything = PairSplit(np.arange(program.n_pairs), ShownHere(np.empty(0, np.int64)))
    largest = max(engine.survey().largest, float(np.abs(prices * program.row_scale).max(initial=0.0)))
    capped = np.isfinite(program.bands()[1])
    highest = settings.first_slack * largest * np.where(capped, settings.cap_slack, 1.0)
    anywhere, own = np.full(program.n_rows, np.inf), Monitor(monitor.target)
    with suppress(LinearProgramError):
        monitor.offer(finish(engine, own, everything, prices, anywhere, highest, None, settings).allocation)
