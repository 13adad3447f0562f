"""Solving again: from the prices, the smoothing and the allocation of an earlier solve.

1. If the earlier allocation still meets all limits, the bound at the earlier prices may prove it: one visit.
2. Rows that are new get a price at which their demand is their limit (newcomers.py).
3. One visit at the smoothing where the earlier solve ended. A Newton step there says how far prices are off. If that is
   far beyond the smoothing, more smoothing is taken, or the problem is solved from the beginning.
4. The usual end: primal recovery, or rounds of the finisher, whose margins are as wide as the Newton step.

`docs/solving-again.md` has the reasons and what was measured.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.base import Engine, in_sample
from oasis_alloc.program.narrowing import Narrowing
from oasis_alloc.solvers.dual import (
    Run,
    hand_over,
    on_needed_rows,
    optimize,
    reporting,
    sample_stride,
    with_all_users,
)
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finisher import bound_at
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.kept import WarmStart
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.newcomers import with_newcomers
from oasis_alloc.solvers.newton import Point, SmoothedDual, newton_direction
from oasis_alloc.solvers.primal_recovery import ends_with_slates
from oasis_alloc.solvers.repair import only_caps
from oasis_alloc.solvers.settings import DUAL, DualSettings
from oasis_alloc.solvers.typical import typical_without_rules

_EXACT = 1e-3  # of the tolerance, that an earlier allocation may violate limits by, and by how much more than before
_SAMPLED_GAMMA = 1e-6  # smoothing of a visit to a sample for its bound alone, in typical scores


def solve_again(engine: Engine, monitor: Monitor, warm: WarmStart, settings: DualSettings | None = None) -> None:
    """Store the best bound, prices and allocation in the monitor, as `optimize` does; `Stop` propagates."""
    settings = DUAL.now if settings is None else settings
    typical = warm.typical or _typical(engine, settings)
    monitor.typical = typical
    _keep_place(engine, monitor, warm)
    if _still_holds(engine, monitor, warm, typical, settings):
        return
    cold = False

    def run(engine: Engine, narrowing: Narrowing | None) -> None:
        nonlocal cold
        slates = ends_with_slates(engine, monitor.target, settings)
        dual = SmoothedDual(engine, reporting(engine, monitor), settings, slates)
        cold = not _from_earlier(Run(engine, monitor, dual, settings, True, 1, 1, typical, typical), warm, narrowing)

    if engine.program.row.size:
        on_needed_rows(engine, monitor, settings, run)
    else:
        cold = True  # there are no prices
    if cold:
        optimize(engine, monitor, None, None, settings)


def _typical(engine: Engine, settings: DualSettings) -> float:
    """The typical score, of a sample of users."""
    numbers = (settings.slots_per_row, settings.min_slots_per_row)
    stride, rough = (sample_stride(engine.program, number, settings) for number in numbers)
    return typical_without_rules(engine, stride, rough, settings)


def _keep_place(engine: Engine, monitor: Monitor, warm: WarmStart) -> None:
    """Take the earlier place of the optimizer as the place of this solve, which may end before it moves."""
    if warm.smoothed is not None:
        monitor.at(engine.program.variables(warm.smoothed), warm.gamma)


def _still_holds(engine: Engine, monitor: Monitor, warm: WarmStart, typical: float, settings: DualSettings) -> bool:
    """Whether the earlier allocation reaches the gap; the bound at its prices is only found if it may prove that."""
    if warm.allocation is None:
        return False
    program = engine.program
    allocation = evaluate(engine, *warm.allocation)
    if allocation.violation > max(_EXACT * FEASIBLE, (1.0 + _EXACT) * warm.violation):
        return False  # limits that moved by less than the tolerance count
    monitor.offer(allocation)
    prices, most = program.admit(warm.prices), monitor.target * monitor.size_of(allocation.value)
    if not warm.known.all() or _lost_in_rows(engine, prices, allocation) > most:
        return False
    stride = settings.max_stride if program.n_pairs >= settings.sample_pairs else 1
    if stride > 1 and _lost_in_slates(engine, prices, allocation, typical, stride) > settings.likely * most:
        return False
    bound_at(engine, monitor, prices, typical, settings)
    return monitor.reached


def _lost_in_rows(engine: Engine, prices: Floats, allocation: Allocation) -> float:
    """The part of bound minus value that rows account for: limits that are priced and not used, and functions.

    The other part is what slates could gain at these prices, which takes a visit.
    """
    program, totals = engine.program, allocation.totals
    return float(program.conjugate(prices) - prices @ totals - program.concave(totals))


def _lost_in_slates(engine: Engine, prices: Floats, allocation: Allocation, typical: float, stride: int) -> float:
    """The other part, of a sample of users: what their slates could gain at these prices."""
    program = engine.program
    visit = engine.visit(prices, _SAMPLED_GAMMA * typical, stride)
    positions, x = allocation.nonzeros
    users = program.users_of(positions)
    mine = np.flatnonzero(in_sample(users, stride))
    value, totals = engine.add_up(positions[mine], x[mine])
    share = np.count_nonzero(in_sample(np.arange(program.n_users), stride)) / max(1, program.n_users)
    return float(visit.bound - (value - prices @ totals) / share) if share else 0.0


def _from_earlier(run: Run, warm: WarmStart, narrowing: Narrowing | None) -> bool:
    """Solve from the earlier place; False if it is no better than none."""
    program, settings, monitor = run.engine.program, run.settings, run.monitor
    monitor.enter("passes")
    rows = slice(None) if narrowing is None else narrowing.rows
    prices = (warm.prices if warm.smoothed is None else warm.smoothed)[rows]
    gamma = (settings.again_finer if warm.recovered else 1.0) * warm.gamma or settings.again_gamma * run.typical
    gamma = float(np.clip(gamma, settings.last_gamma * run.typical, settings.first_gamma * run.typical))
    prices = with_newcomers(run, prices, warm.known[rows], gamma)
    point = _at_enough_smoothing(run, run.dual.at(program.variables(prices), gamma))
    if point is None:
        return False
    if point.gamma <= settings.again_ratio * gamma:  # prices are near: few steps are worth a pass
        run = replace(run, settings=near(settings, run.engine, run.dual.curves_count))
        run.dual.settings = run.settings
    found = with_all_users(run, point)
    if found is not None:
        point, wanted = found
        margin = None if program.supports else _margin(run, point, wanted)
        hand_over(run, point, point.gamma, wanted, margin)
    return True


def _at_enough_smoothing(run: Run, point: Point) -> Point | None:
    """The point, with more smoothing while its prices are too far off; None if a solve from the beginning is better.

    A Newton step is only valid for a few smoothings: what is further off takes one step for each few.
    """
    dual, settings = run.dual, run.settings
    most = settings.first_gamma * run.typical
    for sure in (False, True):
        off, gamma = np.abs(newton_direction(dual, point)), point.gamma
        while dual.share_of(point, off > settings.max_radius * gamma) > settings.far_off:
            gamma *= settings.again_ratio
        if gamma > most and not sure:  # with little smoothing few pairs say how far that is: ask once more
            gamma = float(np.sqrt(point.gamma * most))
        if gamma == point.gamma:
            break
        if gamma > most:
            return None
        point = dual.at(point.z, gamma)
    return point


def _margin(run: Run, point: Point, wanted: int) -> float:
    """A margin within which about `wanted` pairs are open: a pair is fractional for one smoothing of its score."""
    settings = run.settings
    times = settings.again_ruled_open if run.ruled else settings.again_open
    return times * point.gamma * wanted / max(point.visit.fractional, 1.0)


def near(settings: DualSettings, engine: Engine, curves_count: bool) -> DualSettings:
    """The settings for prices that are nearly right: no steps before the finisher, which corrects more prices per pass.

    Where curved functions count, no finisher follows, and a step does. Where there are only caps, what exceeds them is
    moved, which may then cost more; other slates have to meet limits.
    """
    return replace(
        settings,
        max_steps=settings.again_curved_steps if curves_count else 0,
        widest=(settings.widest[0], settings.widest[-2]),
        fractional_per_undecided=0.0,
        ruled_fractional_per_undecided=0.0,
        smoothing_share=settings.again_share if only_caps(engine) else settings.smoothing_share,
    )
