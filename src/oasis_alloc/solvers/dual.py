"""The dual solver: smoothed dual by Newton steps, smoothing taken down, then the exact finisher.

1. Prices on a sample of users, with much smoothing: cheap passes where prices are far off.
2. All users, smoothing divided by three while about as many pairs are fractional as the finisher can take.
3. Where the smoothing is already within the gap asked for, a few steps more meet the demands (landing.py). Else:
4. Rounds of the finisher (finisher.py), each certified by a visit, until the gap is reached.
5. Where demands seem to conflict, the least relaxation is solved as a problem of its own (relaxation.py).

Every visit to all users gives the unsmoothed bound; the best is kept whatever happens later.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import relative_gap
from oasis_alloc.engines.base import Decision, Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.finisher import finish_rounds, margin_for
from oasis_alloc.solvers.landing import land, missing
from oasis_alloc.solvers.monitor import Conflicting, Place, Watch
from oasis_alloc.solvers.newton import Point, SmoothedDual, minimize, newton_direction

_FIRST_GAMMA = 0.3  # in units of the typical score
_LAST_SAMPLE_GAMMA = 0.03
_LAST_GAMMA = 1e-7
_DIVIDE = 3.0
_ROUGHEST, _ROUGH, _FINE = 1e-1, 2e-2, 3e-3  # residuals at which a smoothing is left
_STUCK = 0.1  # residual that is left only where prices run away
_MOST_STEPS, _FEW_STEPS = 25, 4
_SAMPLE_PAIRS = 200_000  # below this many pairs a sample saves nothing
_USERS_A_ROW = 20  # slots in a sample for every row that it has to price
_FEWEST_A_ROW = 10  # the same where all users are asked next at the same smoothing; with 4, curved rows went astray
_UNDECIDED_A_ROW = 10
_UNDECIDED_A_CURVED_ROW = 1  # a curved total that is a little off costs the square of it
_LEAST_UNDECIDED = 2_000
_MOST_UNDECIDED = 200_000
_EVERYWHERE = 0.05  # share of all slots from which a row opens no more pairs than others
_MOST_WIDENED = 4.0  # times the pairs that the finisher is to be given, for prices that may be further off
_GOOD = 0.5  # share of the gap asked for that the slates at hand may miss, where passes are dear
_MOST_LANDINGS = 2
_LANDS = 0.9  # of what smoothing may take
_ORDINARY = 1e3  # sizes of prices that a start at 1 finds as well
_RUNAWAY = 1e4  # prices beyond this many typical scores: the dual is running to minus infinity


def optimize(engine: Engine, watch: Watch, z: Floats | None, scale: float | None) -> None:
    """Leave the best bound, prices and allocation with the watch; `Stop` passes through."""
    program = engine.program

    def check(point: Point, stride: int) -> None:
        if stride == 1:
            prices = program.prices(point.z)
            watch.offer_bound(point.visit.bound + program.conjugate(prices), prices)
            watch.place = Place(point.z, point.gamma)
        watch.tick(engine.passes, point.gamma)

    dual = SmoothedDual(engine, check)
    warm = z is not None
    start = program.variables(np.zeros(program.n_rows)) if z is None else z
    stride = 1 if warm else sample_stride(program, _USERS_A_ROW)
    rough = 1 if warm else sample_stride(program, _FEWEST_A_ROW)
    if program.rules is None:
        worth = typical_score(engine, stride)
    else:
        with engine.plain() as plain:
            worth = typical_score(plain, rough)
    unit = scale if scale is not None else worth
    gamma = (_LAST_SAMPLE_GAMMA if warm else _FIRST_GAMMA) * unit
    if not warm:  # prices of support functions add up to their weight, and may have as far to go
        shared = [np.abs(start[block.variables]).max() for block, _ in program.supports]
        gamma = max(gamma, _FIRST_GAMMA * float(np.max(shared, initial=0.0)))
    if watch.smoothing is not None:  # where an earlier solve was
        gamma, watch.smoothing = watch.smoothing, None
    point: Point | None = None
    wanted = _LEAST_UNDECIDED
    if program.row.size:
        if program.rules is not None and not warm:  # prices that rules move a little are found without them, for less
            watch.stage = "sample"
            with engine.plain() as plain:

                def count(point: Point, stride: int) -> None:
                    watch.tick(engine.passes + plain.passes, point.gamma)

                first = SmoothedDual(plain, count)
                try:
                    if rough > stride:
                        start, _ = descend(first, start, gamma, gamma, rough, _ROUGHEST)
                    start, gamma = descend(first, start, gamma, _LAST_SAMPLE_GAMMA * unit, stride, _ROUGHEST)
                finally:  # a limit may end it in between, and these passes were made
                    engine.passes += plain.passes
                engine.follow(plain, gamma)
        elif stride > 1:
            watch.stage = "sample"
            # what a sample leaves open of prices goes with one over the root of the slots that a row has in it
            a_row = program.slots / (stride * _USERS_A_ROW * program.n_limited)
            last = _LAST_SAMPLE_GAMMA * unit / np.sqrt(max(1.0, a_row))
            start, gamma = descend(dual, start, gamma, last, stride, _ROUGH)
        elif rough > 1:  # too few users for more than the first prices
            watch.stage = "sample"
            start, _ = descend(dual, start, gamma, gamma, rough, _ROUGHEST)
        watch.stage = "passes"
        fractional = np.inf
        landings = _MOST_LANDINGS
        most_steps = _MOST_STEPS if program.rules is None else 2 * _FEW_STEPS
        while True:
            point = minimize(dual, dual.at(start, gamma), 1, _ROUGH, most_steps)
            times = missing(dual, watch, point, undecided_wanted(dual, point)) if landings else np.inf
            if times <= 1.0:
                landings -= 1
                point, reached = land(engine, watch, dual, point, unit)
                if reached:
                    return
            start = point.z
            wanted = undecided_wanted(dual, point)
            # with rules passes are dear, and the finisher is given more
            enough = (2.0 if program.rules is None else 0.75) * point.visit.fractional <= wanted
            loose = smoothing_error(point, watch) <= 0.1 * watch.target
            if program.rules is not None:  # dear passes end where the slates at hand would be good enough
                worth_now = point.visit.value + program.concave(point.visit.totals)
                loose |= relative_gap(watch.bound, worth_now, watch.size_of(worth_now)) <= _GOOD * watch.target
            if watch.may_conflict and runaway(point, unit):
                raise Conflicting
            # pairs that less smoothing does not tell apart, though it is finer than the values
            tied = point.visit.fractional > 0.8 * fractional and gamma < 0.03 * worth
            if ((enough or loose) and times == np.inf) or tied or gamma <= _LAST_GAMMA * unit:
                break
            fractional = point.visit.fractional
            # what smoothing takes goes with its square: no further than where the slates at hand would be good enough
            gamma /= min(_DIVIDE, np.sqrt(times / _LANDS)) if times > 1.0 else _DIVIDE
        point = minimize(dual, point, 1, _FINE, _MOST_STEPS if program.rules is None else _FEW_STEPS)
        if watch.may_conflict and dual.residual(point) > _STUCK:
            raise Conflicting
    watch.stage = "finish"
    prices = np.zeros(program.n_rows)
    if point is not None:
        prices = program.prices(point.z)
    if program.supports:
        prices = program.admit(prices)
    margin = margin_for(engine, watch, prices, wanted, gamma)
    known: Decision | None = None
    margins, limit = np.full(program.n_rows, margin), np.full(program.n_rows, np.inf)
    if point is not None and np.isfinite(margin):
        point = dual.here(point)  # so that the Hessian is this point's
        step = np.zeros(program.n_rows)
        np.maximum.at(step, program.row, np.abs(newton_direction(dual, point, 4.0 * margin)))
        share = point.visit.activity / (program.unit * max(program.slots, 1.0))
        limit[share > _EVERYWHERE] = margin
        # as wide as the step says, while the programme stays small; decisions under rules are dear
        for widest in (64.0, 16.0, 4.0, 1.0) if program.rules is None else (8.0, 1.0):
            margins = np.maximum(margin, np.minimum(2.0 * step, widest * margin))
            known = engine.decide(prices, np.minimum(margins, limit))
            watch.check_limits(engine.passes)
            if known.undecided.size <= _MOST_WIDENED * wanted:
                break
        # the price of a row that opens no pairs may go as far as it likes
        margins = np.where(np.isfinite(limit), np.maximum(margins, np.maximum(8.0 * step, 64.0 * margin)), margins)
    finish_rounds(engine, watch, prices, margins, unit, limit, known)


def descend(
    dual: SmoothedDual, start: Floats, gamma: float, last: float, stride: int, tolerance: float
) -> tuple[Floats, float]:
    """Rough prices, the smoothing taken down from gamma to about `last`; and the smoothing that was reached."""
    while True:
        start = minimize(dual, dual.at(start, gamma, stride), stride, tolerance, _MOST_STEPS).z
        if gamma / _DIVIDE < 0.99 * last:
            return start, gamma
        gamma /= _DIVIDE


def sample_stride(program: Program, slots_a_row: int) -> int:
    """One block of users in how many is visited first: enough slots for every row, at most one in 16."""
    if program.n_pairs < _SAMPLE_PAIRS:
        return 1
    slots = program.n_users * program.size
    return int(np.clip(slots // max(1, slots_a_row * program.n_limited), 1, 16))


def undecided_wanted(dual: SmoothedDual, point: Point) -> int:
    """Pairs that the finisher is given: some for every row whose price is not held at the end of its range."""
    program = dual.program
    each = np.full(program.n_rows, _UNDECIDED_A_ROW)
    for block in program.curved:
        each[block.rows] = _UNDECIDED_A_CURVED_ROW
    active = np.unique(program.row[~dual.held(point)])
    return max(_LEAST_UNDECIDED, min(int(each[active].sum()), _MOST_UNDECIDED))


def typical_score(engine: Engine, stride: int) -> float:
    """Mean value of a slot when nothing has a price; where nothing is worth showing, the size of what is."""
    program = engine.program
    size = engine.survey().size
    visit = engine.visit(np.zeros(program.n_rows), max(size, 1e-300), stride)
    slots = float(np.minimum(np.diff(program.indptr), program.size).sum())
    return max(visit.bound / max(1.0, slots), size) or price_of_functions(program, visit.totals)


def price_of_functions(program: Program, totals: Floats) -> float:
    """What functions typically pay for a pair at some totals: the size of scores where all values are 0.

    1 where there are none, and where it is of about that size: a start needs no more than the order of magnitude.
    """
    paid = [0.0]
    largest = {block.name: function.largest() for block, function in program.supports}
    for block in program.blocks:
        function, unit = block.function, program.unit[block.rows]
        if function.is_curved:
            prices = np.abs(function.price_at(totals[block.rows]))
        else:
            prices = largest.get(block.name, function.band()[2])
        known = (prices * unit)[np.isfinite(prices)]
        paid.append(float(known.mean()) if known.size else 0.0)
    typical = max(paid)
    return typical if typical > 0.0 and not 1.0 / _ORDINARY <= typical <= _ORDINARY else 1.0


def smoothing_error(point: Point, watch: Watch) -> float:
    """Share of the objective that the smoothing costs."""
    return float(abs(point.visit.bound - point.visit.smoothed)) / float(watch.size_of(point.visit.value))


def runaway(point: Point, unit: float) -> bool:
    """True where prices have grown past anything that candidates can pay."""
    return bool(np.abs(point.z).max(initial=0.0) > _RUNAWAY * unit)
