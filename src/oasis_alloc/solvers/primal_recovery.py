"""An end without a linear program: the smoothed slates themselves as the allocation.

At the optimum of the smoothed dual, the smoothed slates meet every limit, and their value is about
`sum gamma/2 x (1 - x)` below the bound. If that is within the requested gap, Newton steps continue until the limits are
met to rounding. This takes a few steps, because they converge quadratically once the set of fractional pairs is fixed
(Qi and Sun, Math. Program. 58:353, 1993). Curved functions, rules of slates and many limits, which make the linear
program of the finisher large, cost nothing here. If there are only caps, the excess is moved within users (repair.py),
and rough prices are enough. A gap of 1e-6 still needs the finisher: with very small smoothing the set of fractional
pairs keeps changing with every step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from oasis_alloc.common.verdicts import FEASIBLE, relative_gap
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finisher import bound_at
from oasis_alloc.solvers.losses import lost_by_curves, lost_by_smoothing, lost_by_supports
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.moving import moved_within
from oasis_alloc.solvers.nearby import Nearby
from oasis_alloc.solvers.newton import Point, SmoothedDual, minimize
from oasis_alloc.solvers.refilling import refilled, shown_by_user
from oasis_alloc.solvers.repair import only_caps, rebalance, trimmed
from oasis_alloc.solvers.settings import DualSettings


def gap_ratio(dual: SmoothedDual, monitor: Monitor, point: Point, undecided: int) -> float:
    """The gap divided by the requested gap, if the smoothed slates of a point met all limits.

    Infinite if the finisher is better: if its linear program, of `undecided` pairs, is small and exact, without curves,
    support functions and rules, or if few pairs would be fractional per price that can move.
    """
    program, settings = dual.program, dual.settings
    if dual.engine.survey().size == 0.0:  # all pairs tie: a little smoothing chooses the most even of the best slates
        return 1.0
    plain = program.rules is None and not program.curved and not program.supports
    if plain and undecided < settings.large and not many_caps(dual, monitor, point):
        return np.inf
    size = float(monitor.size_of(point.visit.value))
    times = lost_by_smoothing(program, point.visit) / size / (settings.smoothing_share * float(monitor.target))
    if dual.engine.own_rows is not None:  # rows of every user: the linear program would have them all
        return times
    if dual.curves_count:
        return times
    pieces = sum(function.linear_size() for _, function in program.supports)
    if undecided + settings.pairs_per_piece * pieces >= settings.large:
        return times  # whatever is fractional: the linear program would take longer than the passes that are left
    per_row = settings.fractional_per_capped_row if plain else settings.fractional_per_row
    if program.rules is not None or program.supports:
        per_row = settings.fractional_per_coupled_row
        if program.rules is not None:
            per_row = settings.fractional_per_ruled_row if only_caps(dual.engine) else settings.fractional_per_exact_row
            if monitor.target >= settings.loose and program.curved and not only_caps(dual.engine):
                per_row = min(per_row, settings.loose_per_exact_row)
    # the final number: it is proportional to the smoothing
    return times if point.visit.fractional >= per_row * moving(dual, point) * max(np.sqrt(times), 1.0) else np.inf


def sparse(dual: SmoothedDual, monitor: Monitor, point: Point) -> bool:
    """True if a loose gap lets steps be tried with so few fractional pairs per price that they may not arrive."""
    settings, program = dual.settings, dual.program
    if monitor.target < settings.loose or program.rules is None or dual.engine.survey().size == 0.0:
        return False
    return point.visit.fractional < settings.fractional_per_exact_row * moving(dual, point)


class _Slow:
    """Says when steps are over: a point is good enough, or their residual no longer falls as of steps that arrive."""

    def __init__(self, dual: SmoothedDual, enough: Callable[[Point], bool]) -> None:
        self._dual, self._enough, self._residuals = dual, enough, list[float]()

    def __call__(self, point: Point) -> bool:
        settings, residuals = self._dual.settings, self._residuals
        residuals.append(self._dual.residual(point))
        earlier = residuals[-1 - settings.sparse_steps] if len(residuals) > settings.sparse_steps else np.inf
        return residuals[-1] > settings.sparse_fall * earlier or self._enough(point)


def moving(dual: SmoothedDual, point: Point) -> int:
    """The rows whose price is not fixed at an end of its range."""
    return int(np.unique(dual.program.row[~dual.at_bound(point)]).size)


def many_caps(dual: SmoothedDual, monitor: Monitor, point: Point) -> bool:
    """True if there are caps alone, and a linear program for their prices takes longer than passes to meet them.

    It is compared by counts, so that an answer is the same on every machine. With few caps the program is small; among
    pairs that tie its prices also serve better (docs/decisions/0023-few-coarse-caps.md).
    """
    settings = dual.settings
    if monitor.target < settings.slates_gap or not only_caps(dual.engine):
        return False
    return settings.undecided_per_row * moving(dual, point) >= settings.min_capped


def ends_with_slates(engine: Engine, gap: float, settings: DualSettings) -> bool:
    """True where curved functions make the smoothed slates the better end of a solve to a gap.

    Its linear program needs a round for every few steps of all their prices, as their chords are not valid further.
    """
    program = engine.program
    return bool(program.curved) and program.rules is None and gap >= settings.slates_gap and only_caps(engine)


def recover_primal(engine: Engine, monitor: Monitor, near: Nearby, point: Point, scale: float) -> tuple[Point, bool]:
    """Continue until the limits are met and offer the slates; (the last point, True if the gap is reached).

    `scale` is the typical score. Where there are only caps, rough prices do: without rules what is too much is moved to
    other pairs, for about gamma a unit; with rules it is taken off.
    """
    program, settings = engine.program, near.dual.settings
    monitor.enter("recovery")
    may_drop = only_caps(engine)
    may_move = may_drop and program.rules is None and not program.supports
    may_swap = not may_drop and not program.supports and not program.curved
    parts = settings.moved if may_drop else (*settings.moved_within, 0.0) if may_swap else (0.0,)
    steps = settings.worthless_steps if engine.survey().size == 0.0 else settings.recovery_steps
    enough: Callable[[Point], bool]
    for part in parts:
        if may_move or (may_swap and part > 0.0):
            enough = partial(_few, program, monitor, settings, part * monitor.target, scale)
        elif may_drop:
            enough = partial(_cheap, program, monitor, part * monitor.target)
        else:
            enough = partial(_met, near.all, monitor)
            if sparse(near.all, monitor, point):
                enough = _Slow(near.all, enough)
        point = point if enough(point) else near.enter(point)
        point = minimize(near.dual, point, 1, enough, round(steps * near.steps_per_pass))
        if not may_drop and part == 0.0 and _violation(program, point) > FEASIBLE:
            break
        point = near.dual.here(point)  # its slates are needed
        prices = program.prices(point.z)
        positions, x = point.visit.slates()
        if may_move:
            shown = shown_by_user(program, positions, x)
            rebalance(engine, positions, x, point.visit.totals)
            positions, x = refilled(engine, positions, x, shown, prices)
        elif may_swap and part > 0.0:
            for every in (False, True):
                positions, x = moved_within(engine, positions, x, engine.add_up(positions, x)[1], prices, every)
        elif may_drop:
            less = trimmed(engine, positions, x, point.visit.totals)
            x = x if less is None else less
        found = evaluate(engine, positions, x)
        monitor.offer(found)
        if may_swap and not found.feasible:
            continue
        looked_at = part == parts[-1] or not (near.is_part or may_swap)
        if not looked_at and not _promising(program, monitor, settings, point, may_swap):
            continue
        if near.is_part and program.rules is None:
            point = near.leave(point)
        if program.rules is not None:  # the bound of a visit has smoothed thresholds of rules
            bound_at(engine, monitor, prices, scale, settings)
        if monitor.reached:
            break
        point = near.leave(point)
    monitor.enter("passes")
    return point, monitor.reached


def _promising(program: Program, monitor: Monitor, settings: DualSettings, point: Point, guarded: bool) -> bool:
    """Whether the best allocation reaches the gap if a visit to all users finds the bound of some of their pairs.

    Where slates are `guarded`, the bound of a visit is that of smoothed guards, and an estimate takes its place: slates
    lose no more by smoothing than it says.
    """
    best, visit = monitor.best, point.visit
    if best is None or not best.feasible:
        return False
    told, most = visit.bound, monitor.target
    if guarded:
        told = visit.value - float(visit.prices @ visit.totals) + lost_by_smoothing(program, visit)
        most *= settings.promising
    bound = min(monitor.bound, told + program.conjugate(visit.prices))
    return relative_gap(bound, best.value, best.size, monitor.rounding) <= most


def _violation(program: Program, point: Point) -> float:
    """The largest violation of any limit by the smoothed slates of a point."""
    return program.violation(point.visit.totals, program.kept_share * point.visit.activity)


def _met(dual: SmoothedDual, monitor: Monitor, point: Point) -> bool:
    """Whether every limit is met, of small totals too, and what totals are off by costs a small part of the gap."""
    program, settings, visit = dual.program, dual.settings, point.visit
    gap = monitor.target * monitor.size_of(visit.bound)
    if lost_by_supports(program, visit.prices, visit.totals) > settings.lost * gap:
        return False
    cost = dual.off(point) * np.abs(point.z)
    for block, _ in program.supports:
        cost[block.variables] = 0.0  # counted above
    if float(cost.sum()) > settings.moved[-1] * gap:
        return False
    return dual.residual(point, 0.0) <= settings.met and _violation(program, point) <= FEASIBLE


def _cheap(program: Program, monitor: Monitor, gap: float, point: Point) -> bool:
    """Whether taking off what exceeds caps, and what they leave of their prices' worth, takes no more than a gap."""
    _, upper, penalty = program.bands()
    prices = np.maximum(program.prices(point.z), 0.0)
    off = np.where(np.isfinite(penalty) | np.isinf(upper), 0.0, np.abs(point.visit.totals - upper))
    cost = float(off @ prices) + lost_by_supports(program, point.visit.prices, point.visit.totals)
    return cost <= gap * monitor.size_of(point.visit.bound)


def _few(program: Program, monitor: Monitor, settings: DualSettings, gap: float, scale: float, point: Point) -> bool:
    """Whether moving what misses limits, and what these leave of their prices' worth, takes no more than a gap."""
    lower, upper, penalty = program.bands()
    prices, totals = program.prices(point.z), point.visit.totals
    hard = ~np.isfinite(penalty)
    over = np.where(hard, np.maximum(np.maximum(totals - upper, lower - totals), 0.0), 0.0)
    limit = np.where(prices > 0.0, upper, lower)
    bound_by = hard & np.isfinite(limit) & (prices != 0.0)
    limit = np.where(bound_by, limit, 0.0)
    under = np.where(bound_by, np.maximum(np.sign(prices) * (limit - totals), 0.0), 0.0)
    open_ = settings.movable * point.visit.diagonal * point.gamma / program.row_scale
    moved = np.minimum(over + under, open_) / program.row_scale * point.gamma
    dropped = np.maximum(over - open_, 0.0) / program.row_scale * min(scale, settings.dropped * point.gamma)
    missed = np.maximum(under - open_, 0.0) * np.abs(prices)
    cost = float(np.sum(moved + dropped + missed)) + lost_by_curves(program, prices, totals)
    return cost <= gap * monitor.size_of(point.visit.bound)
