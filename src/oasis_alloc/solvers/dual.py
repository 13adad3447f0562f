"""The dual solver: the smoothed dual by Newton steps with decreasing smoothing, then the exact finisher.

1. Prices on a sample of users, with much smoothing: cheap passes while prices are far off.
2. All users, smoothing divided by three until the finisher can take all fractional pairs.
3. If the loss from smoothing is within the requested gap, a few more steps meet the limits (primal_recovery.py).
4. Rounds of the finisher (finisher.py), each certified by a decision on all pairs, until the gap is reached.
5. If constraints seem to conflict, the least relaxation is solved as a separate problem (relaxation.py).

Every visit to all users gives the unsmoothed bound; the best is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import relative_gap
from oasis_alloc.engines.base import Engine, PairSplit
from oasis_alloc.program.narrowing import Narrowing
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finisher import finish_rounds, margin_for
from oasis_alloc.solvers.monitor import Monitor, SuspectedInfeasible
from oasis_alloc.solvers.nearby import Nearby
from oasis_alloc.solvers.newton import Check, Point, SmoothedDual, minimize, newton_direction
from oasis_alloc.solvers.primal_recovery import ends_with_slates, gap_ratio, recover_primal, sparse
from oasis_alloc.solvers.repair import only_caps
from oasis_alloc.solvers.settings import DUAL, DualSettings
from oasis_alloc.solvers.typical import slots_of_one_size, typical_without_rules


def optimize(
    engine: Engine, monitor: Monitor, z: Floats | None, scale: float | None, settings: DualSettings | None = None
) -> None:
    """Store the best bound, prices and allocation in the monitor; `Stop` propagates.

    `z` are dual variables to start from, and `scale` is the typical score, where the caller knows better. Rows that
    cannot have a price, or have a known one, would cost as much as others, and are left out meanwhile.
    """
    settings = (DUAL.now if settings is None else settings).for_gap(monitor.target)

    def run(engine: Engine, narrowing: Narrowing | None) -> None:
        start = z if z is None or narrowing is None else narrowing.variables(z)
        _optimize(engine, monitor, start, scale, settings)

    on_needed_rows(engine, monitor, settings, run)


def on_needed_rows(
    engine: Engine, monitor: Monitor, settings: DualSettings, run: Callable[[Engine, Narrowing | None], None]
) -> None:
    """Run with the engine of only those rows that a solve needs, and the narrowing to them; or with all, and None."""
    program = engine.program
    narrowing = Narrowing.of(program, engine.survey().max_totals, settings.few_rows)
    if narrowing is None:
        run(engine, None)
        return
    try:
        with engine.narrowed(narrowing) as narrow, monitor.narrowed(narrowing):
            run(narrow, narrowing)
    finally:  # however it ends, what was found is told of all rows
        best = monitor.best
        if best is not None and best.totals.size != program.n_rows:
            monitor.restate(evaluate(engine, best.own, best.own_x, whole=best.whole))


def _optimize(engine: Engine, monitor: Monitor, z: Floats | None, scale: float | None, settings: DualSettings) -> None:
    run = Run.of(engine, monitor, z is not None, scale, settings)
    start, gamma = first_point(run, z)
    point, wanted = None, run.settings.min_undecided
    if engine.program.row.size:
        found = with_all_users(run, first_of_all_users(run, start, gamma))
        if found is None:
            return  # the gap is reached without the finisher
        point, wanted = found
        gamma, point = point.gamma, refined(run, point)
    hand_over(run, point, gamma, wanted)


@dataclass(frozen=True, eq=False)
class Run:
    """State shared by the stages of one solve."""

    engine: Engine
    monitor: Monitor
    dual: SmoothedDual
    settings: DualSettings
    warm: bool  # there are prices to start from
    stride: int  # of the sample for prices; 1 means no sample
    rough_stride: int  # of the sample for the first prices only
    typical: float  # the typical score
    unit: float  # unit of gamma: the typical score, or the caller's number for it

    @classmethod
    def of(cls, engine: Engine, monitor: Monitor, warm: bool, scale: float | None, settings: DualSettings) -> Run:
        """Choose the samples, and estimate the value of a slot."""
        program = engine.program
        stride = 1 if warm else sample_stride(program, settings.slots_per_row, settings)
        rough = 1 if warm else sample_stride(program, settings.min_slots_per_row, settings)
        typical = monitor.typical = typical_without_rules(engine, stride, rough, settings)
        slates = ends_with_slates(engine, monitor.target, settings)
        dual = SmoothedDual(engine, reporting(engine, monitor), settings, slates)
        return cls(engine, monitor, dual, settings, warm, stride, rough, typical, typical if scale is None else scale)

    @property
    def at_no_price(self) -> float:
        """About the dual value where nothing has a price."""
        return self.typical * slots_of_one_size(self.engine.program)

    @property
    def ruled(self) -> bool:
        """True if slates have rules: passes and decisions are then expensive."""
        return self.engine.program.rules is not None

    @property
    def guarded(self) -> bool:
        """True if many slates keep a share of a column: linear programs of all their guards need good prices."""
        rules = self.engine.program.rules
        return rules is not None and rules.target.size >= self.settings.many_guards


def reporting(engine: Engine, monitor: Monitor) -> Check:
    """Returns a function that reports every visit to the monitor."""
    program = engine.program

    def check(point: Point, stride: int) -> None:
        if stride == 1:
            prices = program.prices(point.z)
            monitor.offer_bound(point.visit.bound + program.conjugate(prices), prices)
            monitor.at(point.z, point.gamma)
        monitor.tick(engine.passes, point.gamma)

    return check


def first_point(run: Run, z: Floats | None) -> tuple[Floats, float]:
    """(dual variables, smoothing) to start from."""
    program, settings = run.engine.program, run.settings
    earlier = run.monitor.first_smoothing()
    if z is not None:
        return z, settings.last_sample_gamma * run.unit if earlier is None else earlier
    start = program.variables(np.zeros(program.n_rows))
    # those of support functions begin at their mean; the one of a group that is worst off may be many times as large
    shared = [np.abs(start[block.variables]).max() for block, _ in program.supports]
    gamma = max(settings.first_gamma * run.unit, settings.first_shared_gamma * float(np.max(shared, initial=0.0)))
    own = run.engine.own_rows
    if own is not None and np.unique(program.row).size == own.rows.size:  # no steps lead to these prices
        gamma = min(gamma, settings.own_gamma * float(run.monitor.target) * run.unit)
    return start, gamma if earlier is None else earlier


def first_of_all_users(run: Run, start: Floats, gamma: float) -> Point:
    """The first point of all users: at the prices of a sample, unless no prices at all are better.

    A limit that a sample cannot meet, although all users can, takes its price as far as the steps go.
    """
    rough, rough_gamma = on_a_sample(run, start, gamma)
    run.monitor.enter("passes")
    point = run.dual.at(rough, rough_gamma)
    if run.guarded and not run.warm and run.dual.residual(point) > run.settings.roughest:
        # with little smoothing, steps to the prices that guards ask for would be short and many
        point = run.dual.at(rough, run.settings.guarded_gamma * rough_gamma)
    if rough is start or point.dual <= run.at_no_price:
        return point
    return run.dual.at(start, gamma)


def on_a_sample(run: Run, start: Floats, gamma: float) -> tuple[Floats, float]:
    """Rough prices from a sample of users, or without rules, if that saves passes; (dual variables, smoothing)."""
    program, settings = run.engine.program, run.settings
    if run.warm:
        return start, gamma
    if run.ruled:
        return without_rules(run, start, gamma)
    if run.stride > 1:
        run.monitor.enter("sample")
        # the error of prices from a sample is proportional to 1 / sqrt(slots of the row in the sample)
        per_row = program.slots / (run.stride * settings.slots_per_row * program.n_limited)
        last = settings.last_sample_gamma * run.unit / np.sqrt(max(1.0, per_row))
        return descend(run.dual, start, gamma, last, run.stride, settings.rough)
    if run.rough_stride > 1:  # too few users for more than first prices
        run.monitor.enter("sample")
        start, _ = descend(run.dual, start, gamma, gamma, run.rough_stride, settings.roughest)
    return start, gamma


def without_rules(run: Run, start: Floats, gamma: float) -> tuple[Floats, float]:
    """Rough prices of the program without its rules, which change prices a little and make passes expensive."""
    engine, monitor, settings = run.engine, run.monitor, run.settings
    monitor.enter("sample")
    with engine.plain() as plain:

        def count(point: Point, stride: int) -> None:
            monitor.tick(engine.passes + plain.passes, point.gamma)

        dual = SmoothedDual(plain, count, settings)
        try:
            if run.rough_stride > run.stride:
                start, _ = descend(dual, start, gamma, gamma, run.rough_stride, settings.roughest)
            last = settings.last_sample_gamma * run.unit
            start, gamma = descend(dual, start, gamma, last, run.stride, settings.roughest)
        finally:  # a limit may end the solve here, and these passes count
            engine.passes += plain.passes
        engine.follow(plain, gamma)
    return start, gamma


def with_all_users(run: Run, point: Point) -> tuple[Point, int] | None:
    """Reduce the smoothing; (the last point, pairs for the finisher), or None if the gap is reached."""
    with closing(Nearby(run.dual, run.monitor)) as near:
        return _with_less_smoothing(run, near, point)


def _with_less_smoothing(run: Run, near: Nearby, point: Point) -> tuple[Point, int] | None:
    """As `with_all_users`, which ends visits to some of the pairs."""
    monitor, settings = run.monitor, run.settings
    fractional, recovery_tries, last = np.inf, settings.recovery_tries, settings.last_gamma
    before, ratio, power = np.inf, settings.gamma_ratio, 2.0
    worthless = run.engine.survey().size == 0.0  # no pair has a value
    if worthless:
        recovery_tries, last = settings.worthless_tries, settings.last_worthless_gamma
    futile = 0  # tries since the last one that was better than all before it
    max_steps = min(settings.max_steps, 2 * settings.few_steps) if run.ruled else settings.max_steps
    rough = settings.guarded_rough if run.guarded else settings.rough
    while True:
        if before < np.inf and (before <= settings.core_soon or not near.dual.settled(point, rough)):
            point = near.enter(point)  # steps follow until slates are good enough
        point, gamma = minimize(near.dual, point, 1, rough, max_steps), point.gamma
        times = gap_ratio(near.dual, monitor, point, undecided_wanted(near.dual, point)) if recovery_tries else np.inf
        if times <= 1.0:
            # where steps may not arrive, one try tells: a linear program of few pairs follows
            recovery_tries = 0 if sparse(near.all, monitor, point) else recovery_tries - 1
            best = monitor.best
            point, reached = recover_primal(run.engine, monitor, near, point, run.unit)
            if reached:
                return None
            futile = futile + 1 if monitor.best is best else 0
            if worthless and monitor.bound == 0.0 and futile >= settings.futile_tries:
                recovery_tries = 0  # a small limit is missed by what less smoothing does not change
        wanted = undecided_wanted(near.dual, point)
        if monitor.may_conflict and runaway(point, run.unit, settings):
            raise SuspectedInfeasible
        # pairs that stay tied although the smoothing is finer than the values
        tied = point.visit.fractional > settings.tied_share * fractional and gamma < settings.tied_gamma * run.typical
        finishes = times == np.inf and (tied or ready_for_finisher(run, point, wanted))
        if finishes or gamma <= last * run.unit:
            point = near.leave(point)
            return point, with_ties(run, point, wanted)
        fractional = point.visit.fractional
        # the loss from smoothing falls with a power of it, of 1 to 2: stop where slates would be good enough
        if 1.0 < times < before < np.inf:
            power = min(max(np.log(before / times) / np.log(ratio), 1.0), 2.0)
        ratio = settings.gamma_ratio
        ratio = min(ratio, (times / settings.recovery_aim) ** (1.0 / power)) if times > 1.0 else ratio
        before = times
        point = near.dual.at(point.z, gamma / ratio)


def with_ties(run: Run, point: Point, wanted: int) -> int:
    """Pairs for the finisher where more than those are fractional at the end: they tie.

    A linear program with a part of the pairs that tie has no good allocation, and rounds would add the others slowly.
    With other limits than caps, such as those of a conflict of shares, a program of all of them does not end.
    """
    program, settings, fractional = run.engine.program, run.settings, point.visit.fractional
    if run.ruled or program.curved or program.supports or fractional <= wanted or not only_caps(run.engine):
        return wanted
    return min(max(wanted, int(settings.undecided_per_tied * fractional)), settings.max_undecided)


def ready_for_finisher(run: Run, point: Point, wanted: int) -> bool:
    """True if few enough pairs are open, or if less smoothing would not help to reach the gap."""
    monitor, settings = run.monitor, run.settings
    # with rules passes are expensive, so the finisher gets more pairs
    times = settings.ruled_fractional_per_undecided if run.ruled else settings.fractional_per_undecided
    times = settings.guarded_fractional_per_undecided if run.guarded else times
    if (
        times * point.visit.fractional <= wanted
        or smoothing_error(point, monitor) <= settings.loose_error * monitor.target
    ):
        return True
    if not run.ruled:
        return False
    value = point.visit.value + run.engine.program.concave(point.visit.totals)
    return relative_gap(monitor.bound, value, monitor.size_of(value)) <= settings.good * monitor.target


def refined(run: Run, point: Point) -> Point:
    """The point at the end of some more steps; `SuspectedInfeasible` if limits are still far from met."""
    settings = run.settings
    falls = _Falls(run.dual, settings)
    point = minimize(run.dual, point, 1, falls, settings.few_steps if run.ruled else settings.max_steps)
    if run.monitor.may_conflict and run.dual.residual(point) > settings.stuck:
        raise SuspectedInfeasible
    return point


class _Falls:
    """Says when a point will do for the finisher: its residual is fine, or steps hardly improve it any more."""

    def __init__(self, dual: SmoothedDual, settings: DualSettings) -> None:
        self._dual, self._settings, self._before = dual, settings, [np.inf]

    def __call__(self, point: Point) -> bool:
        settings, residual = self._settings, self._dual.residual(point, self._settings.shared)
        self._before.append(min(self._before[-1], residual))
        earlier = self._before[max(0, len(self._before) - 1 - settings.slow_steps)]
        return residual <= settings.fine or self._before[-1] > settings.slow * earlier


def hand_over(run: Run, point: Point | None, gamma: float, wanted: int, margin: float | None = None) -> None:
    """Run the finisher from the prices of a point, with about `wanted` pairs open at first.

    With a `margin`, which is measured otherwise, the bound of the point is also taken as it is.
    """
    engine, monitor, program = run.engine, run.monitor, run.engine.program
    monitor.enter("finish")
    prices = np.zeros(program.n_rows) if point is None else program.prices(point.z)
    bound = None if margin is None or run.ruled else monitor.bound
    margin = margin_for(engine, monitor, prices, wanted, gamma) if margin is None else margin
    known: PairSplit | None = None
    margins, limit = np.full(program.n_rows, margin), np.full(program.n_rows, np.inf)
    if point is not None and np.isfinite(margin):
        longest = (4.0 if bound is None else 0.5 * run.settings.widest[0]) * margin
        margins, limit, known = widened(run, run.dual.here(point), prices, margin, longest, wanted)
    finish_rounds(engine, monitor, prices, margins, run.unit, limit, known, run.settings, bound)


def widened(
    run: Run, point: Point, prices: Floats, margin: float, longest: float, wanted: int
) -> tuple[Floats, Floats, PairSplit | None]:
    """(margins by row, their limits, the decision at both): as wide as a Newton step, while few pairs are open."""
    engine, program, settings = run.engine, run.engine.program, run.settings
    step, limit = np.zeros(program.n_rows), np.full(program.n_rows, np.inf)
    np.maximum.at(step, program.row, np.abs(newton_direction(run.dual, point, longest)))
    share = point.visit.activity / (program.row_scale * max(program.slots, 1.0))
    limit[share > settings.everywhere] = margin
    margins, known = limit, None
    for widest in settings.ruled_widest if run.ruled else settings.widest:
        margins = np.maximum(margin, np.minimum(2.0 * step, widest * margin))
        known = engine.decide(prices, np.minimum(margins, limit))
        run.monitor.check_limits(engine.passes)
        if known.undecided.size <= settings.max_widened * wanted:
            break
    # the price of a row that opens no pairs is not limited
    free = np.maximum(margins, np.maximum(8.0 * step, 64.0 * margin))
    return np.where(np.isfinite(limit), free, margins), limit, known


def descend(
    dual: SmoothedDual, start: Floats, gamma: float, last: float, stride: int, tolerance: float
) -> tuple[Floats, float]:
    """Rough prices, with smoothing reduced from gamma to about `last`; and the smoothing reached."""
    while True:
        start = minimize(dual, dual.at(start, gamma, stride), stride, tolerance, dual.settings.max_steps).z
        if gamma / dual.settings.gamma_ratio < 0.99 * last:
            return start, gamma
        gamma /= dual.settings.gamma_ratio


def sample_stride(program: Program, slots_per_row: int, settings: DualSettings) -> int:
    """The stride of the first sample: enough slots for every row."""
    if program.n_pairs < settings.sample_pairs:
        return 1
    slots = program.n_users * program.size
    largest = max(settings.max_stride, program.n_pairs // settings.large_sample)
    return int(np.clip(slots // max(1, slots_per_row * program.n_limited), 1, largest))


def undecided_wanted(dual: SmoothedDual, point: Point) -> int:
    """Number of pairs for the finisher: some per row whose price is not fixed at an end of its range."""
    program, settings = dual.program, dual.settings
    each = np.full(program.n_rows, settings.undecided_per_row)
    for block in program.curved:
        each[block.rows] = settings.undecided_per_curved_row
    active = np.unique(program.row[~dual.at_bound(point)])
    return max(settings.min_undecided, min(int(each[active].sum()), settings.max_undecided))


def smoothing_error(point: Point, monitor: Monitor) -> float:
    """Share of the objective that the smoothing costs."""
    return float(abs(point.visit.bound - point.visit.smoothed)) / float(monitor.size_of(point.visit.value))


def runaway(point: Point, unit: float, settings: DualSettings) -> bool:
    """True if prices are larger than any candidate's score can pay."""
    return bool(np.abs(point.z).max(initial=0.0) > settings.runaway * unit)
