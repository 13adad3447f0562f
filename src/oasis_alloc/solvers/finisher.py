"""The exact finisher: fix the pairs that prices decide, solve the rest exactly, and certify with the next decision.

From the prices every pair has a margin (kernels/decide.py). Pairs with a wide margin are fixed in or out; the narrow
ones are undecided and go into a linear program (restricted.py) that gives a nearly integral allocation and better
prices. It is sifting (Bixby et al., Oper. Res. 40:885) started from good prices. Margins are by row: if the
price of a row reaches the limit of its margin, the next round widens that row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.ascending import without
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import EPSILON, FEASIBLE, relative_gap
from oasis_alloc.engines.base import Engine, PairSplit
from oasis_alloc.kernels.solve.decide import N_BINS
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.crash_basis import crash_basis
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.highs import LinearProgramError, solve_lp
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.linear import LinearSolution, Statuses
from oasis_alloc.solvers.monitor import Monitor, Status, Stop, SuspectedInfeasible
from oasis_alloc.solvers.repair import trimmed_allocation
from oasis_alloc.solvers.restricted import Restricted, restricted
from oasis_alloc.solvers.settings import DUAL, DualSettings

_LEAST_MARGIN = 1e-1  # of the smoothing


@dataclass(frozen=True, eq=False)
class Round:
    """One round: an allocation and the prices of the program over the undecided pairs."""

    part: Restricted
    solution: LinearSolution
    allocation: Allocation
    prices: Floats  # (n_rows,)
    pressed: npt.NDArray[np.bool_]  # (n_rows,) rows whose price reached its radius
    missed: npt.NDArray[np.bool_]  # (n_rows,) hard rows that are missed even at the highest price of a slack


def margin_for(engine: Engine, monitor: Monitor, prices: Floats, wanted: int, guess: float) -> float:
    """A margin within which about `wanted` pairs are undecided; infinite if that is all of them.

    At least a share of `guess`, the smoothing that prices were found with: they are off by that.
    """
    if wanted >= engine.program.n_pairs:
        return np.inf
    widest = 8.0 * guess
    for _ in range(40):
        counts = np.cumsum(engine.histogram(prices, widest))
        monitor.check_limits(engine.passes)
        if counts[-1] < wanted:
            widest *= 8.0
        elif counts[0] > wanted and widest > _LEAST_MARGIN * guess:
            widest *= 2.0 / N_BINS
        else:  # the first bin may have more than wanted, because of tied pairs
            return max(widest * (int(np.searchsorted(counts, wanted)) + 1) / N_BINS, _LEAST_MARGIN * guess)
    return widest


def finish_rounds(
    engine: Engine, monitor: Monitor, prices: Floats, margins: Floats, scale: float, limit: Floats | None = None,
    known: PairSplit | None = None, settings: DualSettings | None = None, bound: float | None = None,
) -> Round | None:  # fmt: skip
    """Run rounds of the finisher until the gap is reached or no pair is left to release; return the last one.

    `margins` are by row, in units of scores; `scale` is the typical score. A row opens no pairs beyond its `limit`,
    however far its price may move: a share or a guard counts in nearly all pairs, and its price hardly changes their
    order. `known` is the decision at these prices and margins, and `bound` the one there, if the caller has them.

    Fixed pairs stay fixed until they are released, so a round starts from the last basis. A round releases pairs that
    the new prices contradict or leave close, and widens the margins of rows whose price reached its radius. Its
    decision at the new prices also says what they prove: one pass.
    """
    program, settings = engine.program, DUAL.now if settings is None else settings
    largest = np.abs(np.concatenate([[scale], *((prices * program.row_scale)[block.rows] for block in program.curved)]))
    max_price = settings.first_slack * max(float(largest.max()), engine.survey().largest)
    margins, radius = _first_radius(program, prices, margins, scale, settings)
    opens = np.full(program.n_rows, np.inf) if limit is None else limit
    decision = engine.decide(prices, np.minimum(margins, opens)) if known is None else known
    tells = program.rules is None or monitor.target >= settings.ruled_decided
    if bound is None:
        bound = _bound_of(engine, monitor, prices, decision if tells else None, scale, settings)
    center, center_bound = prices, bound
    last: Round | None = None
    violations: list[float] = []
    searching = monitor.target >= settings.loose
    stubborn = np.zeros(program.n_rows, np.bool_)
    for round_ in range(settings.max_rounds):
        start = center
        loose = searching and round_ < settings.loose_rounds
        reach = np.maximum(margins, settings.far * scale) if loose else margins
        paid = float(radius[np.isfinite(radius)].max(initial=0.0))  # that a curved function may pay, beyond its price
        max_price = max_price if paid <= max_price else settings.first_slack * paid
        try:
            last = finish(engine, monitor, decision, start, np.minimum(reach, radius), max_price, last, settings)
        except LinearProgramError:
            if last is None:
                raise
            return last  # what rounds have found so far is certified
        monitor.offer(last.allocation)
        new = program.admit(last.prices)
        if loose and monitor.reached:
            return last
        searching &= not last.allocation.feasible  # now better prices are needed, and prices from long steps are bad
        early = loose and not last.allocation.feasible  # prices that may move far are not worth a visit
        wanting = last.pressed & (np.isinf(radius) | (round_ >= settings.chords))
        margins, opens = _wider(program, decision, last, margins, opens, wanting, round_ >= settings.patience, settings)
        near = np.minimum(np.where(last.pressed, margins, settings.close * margins), opens)
        fresh = engine.decide(new, near) if tells and not early else None
        bound = np.inf if early else _bound_of(engine, monitor, new, fresh, scale, settings)
        if monitor.reached or trim(engine, monitor, last.allocation, new):
            return last
        monitor.check_limits(engine.passes)  # rounds without a bound have no tick
        better = bound <= center_bound
        if better:
            center, center_bound = new, bound
        moved = np.abs(last.prices - start) * program.row_scale
        # if prices moved far and the bound got worse, the chords are too coarse there
        narrow = settings.narrow * radius
        smallest = radius if early else np.maximum(narrow, 2.0 * moved) if better else narrow
        wide = _wide_enough(program, last, start, radius, settings)
        radius = np.where(last.pressed, wide, np.minimum(radius, smallest))
        if monitor.may_conflict and not last.allocation.feasible and not loose:
            violations.append(last.allocation.violation)
            far = margins[last.pressed].max(initial=0.0) > settings.far * scale
            if far or _stuck(violations, not program.supports, settings):
                raise SuspectedInfeasible  # prices are far above the scores, or wider margins do not help
        wider = release(decision, engine.decide(center if early else new, near) if fresh is None else fresh)
        if program.holds_back:
            stubborn = last.pressed & (stubborn | (np.count_nonzero(last.pressed) <= settings.few_pressed))
            wider = with_alternatives(engine, wider, last.allocation, stubborn, settings.alternatives)
            stubborn = last.pressed.copy()
        settled = wider.undecided.size == decision.undecided.size and not last.pressed.any() and not loose
        coarse = np.isfinite(radius) & (radius > settings.finest * scale)
        if settled and coarse.any():
            settled = False  # the chords of curved functions can still be finer
        if settled:
            # no pair is fixed against its price: more rounds would not help
            if monitor.may_conflict or not last.missed.any() or max_price > _highest(engine, last, scale, settings):
                return last
            max_price *= 1e3  # the limits can be met, but not at this price of a slack
        decision = wider
    return last


def _first_radius(
    program: Program, prices: Floats, margins: Floats, scale: float, settings: DualSettings
) -> tuple[Floats, Floats]:
    """(margins, additional radius of prices) by row, at first; the second is finite only for curved rows."""
    margins, radius = margins.copy(), np.full(program.n_rows, np.inf)
    for block in program.curved:
        own = np.maximum(scale, np.abs(prices * program.row_scale)[block.rows])  # its price may be far above the scores
        # tied pairs have margins near 0
        margins[block.rows] = np.maximum(margins[block.rows], settings.min_margin * own)
        radius[block.rows] = np.clip(margins[block.rows], settings.first_radius * own, own)
    return margins, radius


def _highest(engine: Engine, last: Round, scale: float, settings: DualSettings) -> float:
    """The price of a missed unit, in units of scores, above which slacks do not go: what the missed limits are worth.

    A limit that is a part of what a typical pair adds has a price that is as many times higher.
    """
    sizes, row_scale = last.part.small.sizes[last.missed], engine.program.row_scale[last.missed]
    times = float((row_scale[sizes > 0.0] / sizes[sizes > 0.0]).max(initial=1.0))
    return max(settings.max_slack * scale, settings.first_slack * times * engine.survey().largest)


def _wide_enough(program: Program, last: Round, start: Floats, radius: Floats, settings: DualSettings) -> Floats:
    """Radius by row for the next round of pressed rows: some times as large, or as far as a curved price has to go.

    Steep functions of tiny totals have prices of 1e12 scores, and the totals that limits leave say so at once. A price
    that ten rounds reach gets them: chords as long as its way would be too coarse.
    """
    out = settings.widen * radius
    for block in program.curved if last.pressed.any() else ():
        price = block.function.price_at(last.allocation.totals[block.rows])
        away = 2.0 * np.abs(price - start[block.rows]) * program.row_scale[block.rows]
        far = np.isfinite(away) & (away > settings.widen**10 * radius[block.rows])
        out[block.rows] = np.where(far, away, out[block.rows])
    return out


def _wider(
    program: Program,
    decision: PairSplit,
    last: Round,
    margins: Floats,
    opens: Floats,
    wanting: npt.NDArray[np.bool_],
    impatient: bool,
    settings: DualSettings,
) -> tuple[Floats, Floats]:
    """Margins by row and their limits for the next round."""
    # a curved row at its radius first needs longer chords, and more pairs only if that did not help
    margins = np.where(wanting, settings.widen * margins, margins)
    opens = np.where(last.pressed, 2.0 * opens, opens)
    if impatient:
        margins, opens = 2.0 * margins, 2.0 * opens
    if decision.undecided.size == program.n_pairs:
        # nothing is fixed, so limiting prices gains nothing
        margins = opens = np.full_like(margins, np.inf)
    return margins, opens


def _stuck(violations: list[float], tells: bool, settings: DualSettings) -> bool:
    """True if the violation stays as it is, where that `tells`, or has not halved lately after many rounds.

    It rises and falls while many prices move together, as those of floors next to guards do.
    """
    last = violations[-3:]
    if tells and len(last) == 3 and max(last) <= settings.steady * min(last):
        return True
    return len(violations) > settings.tolerant and last[-1] > 0.5 * last[0]


def release(decision: PairSplit, fresh: PairSplit) -> PairSplit:
    """The decision with more pairs undecided: all that the fresh one decides differently or leaves open."""
    less, more = decision.shown.compared(fresh.shown)
    enter, leave = without(more, decision.undecided), without(less, fresh.undecided)
    undecided = np.unique(np.concatenate([decision.undecided, fresh.undecided, enter, leave]))
    return PairSplit(undecided, decision.shown.without(undecided))


def with_alternatives(
    engine: Engine, decision: PairSplit, allocation: Allocation, rows: npt.NDArray[np.bool_], max_pairs: int
) -> PairSplit:
    """The decision with all pairs of some users undecided: users with a pair, or a possible pair, in these rows.

    A user with slots that must be filled can drop a pair only for another open one. About `max_pairs` pairs are opened.
    """
    if not rows.any():
        return decision
    program = engine.program
    inside = program.widest(rows.astype(np.float64)).ravel() > 0.0
    either = (engine.take(decision.undecided), engine.take(allocation.positions))
    users = np.unique(np.concatenate([taken.users[inside[taken.cells]] for taken in either]))
    size = np.diff(program.indptr)[users]
    open_ = np.searchsorted(decision.undecided, program.indptr[users + 1]) - np.searchsorted(
        decision.undecided, program.indptr[users]
    )
    users, size = users[open_ < size], size[open_ < size]
    if not users.size:
        return decision
    # spread over all users: the first ones may have no alternatives
    times = max(1, -(-int(size.sum()) // max_pairs))
    opened = np.concatenate([np.arange(program.indptr[u], program.indptr[u + 1]) for u in users[::times]])
    return PairSplit(np.union1d(decision.undecided, opened), decision.shown.without(opened))


def finish(
    engine: Engine,
    monitor: Monitor,
    decision: PairSplit,
    prices: Floats,
    radius: Floats,
    max_price: float | Floats,
    last: Round | None,
    settings: DualSettings,
) -> Round:
    """Solve and build the round; radius by row and `max_price`, the highest of a slack, are in units of scores.

    A slack may have a highest price of its own, by row.
    """
    program = engine.program
    undecided, shown = decision.undecided, decision.shown
    fixed = engine.sums_with(shown, np.empty(0, np.int64), np.empty(0)).totals
    kept_rows = np.empty(0, np.int64) if last is None else last.part.rows
    scale = program.row_scale
    # a curved price may go as far as its radius
    highest = np.maximum(max_price / scale, np.where(np.isfinite(radius), 2.0 * (np.abs(prices) + radius / scale), 0.0))
    part = restricted(engine, decision, fixed, prices, radius / scale, highest, kept_rows)
    basis = None
    if last is not None and part.pairs.size <= max(settings.restart, 2 * last.part.pairs.size):
        basis = last.part.basis_for(part, last.solution, last.allocation)
    solution = _solve(part, basis, prices, monitor.seconds_left)
    if solution is None:
        raise Stop(Status.TIME_LIMIT)
    x = np.clip(solution.x[: undecided.size], 0.0, 1.0)
    needed = x > part.small.allowed + settings.needed if program.holds_back else np.zeros(x.size, np.bool_)
    x = np.where(needed, x, np.minimum(x, part.small.allowed))
    kept = x > settings.about_zero * part.small.counts
    rows = part.rows
    new = prices.copy()
    new[rows] = part.prices(solution)
    # the rounding of a trillion scores would bring pairs into slates: see finer_bound.py
    size = engine.survey().size
    steep = (np.abs(new) * program.row_scale > settings.steep * size) & (size > 0.0)
    new[steep] += EPSILON * np.abs(new[steep])
    above, below = part.slack(solution)
    unit = np.where(part.small.sizes > 0.0, np.minimum(scale, part.small.sizes), scale)
    slack = np.maximum(above, below) > settings.slack * np.maximum(unit, np.abs(fixed))[rows]
    own = undecided[kept], x[kept]
    allocation = evaluate(engine, *own, whole=shown)
    if not allocation.feasible:  # a limit can be far below what a pair adds
        slack |= (program.ratios(allocation.totals) > FEASIBLE)[rows]
    pressed, missed = np.zeros((2, prices.size), np.bool_)
    pressed[rows] = slack & ~np.where(above > below, part.above_is_end, part.below_is_end)
    missed[rows] = slack & ~pressed[rows] & ~np.isfinite(program.bands()[2][rows])
    return Round(part, solution, allocation, new, pressed, missed)


def _solve(
    part: Restricted, basis: tuple[Statuses, Statuses] | None, prices: Floats, seconds: float | None
) -> LinearSolution | None:
    """Solve from the last basis if there is one, else from a basis given by the prices."""
    # presolve is better for categories, which prices do not cover, and for guards where nothing has a price; pieces are
    # not priced one by one
    covered = part.slates.n_sizes + (part.slates.n_guards if prices.any() else 0)
    if basis is not None or part.n_slates > covered or part.forms.gain.size:
        return solve_lp(part.lp, basis, seconds)
    start = crash_basis(part, prices[part.rows])
    solution = solve_lp(start.lp, start.basis, seconds)
    return None if solution is None else start.back(solution)


def trim(engine: Engine, monitor: Monitor, allocation: Allocation, prices: Floats) -> bool:
    """Whether the allocation reaches the gap after its small excess over caps is removed."""
    if allocation.feasible:
        return False
    _, upper, penalty = engine.program.bands()
    over = np.where(np.isfinite(penalty), 0.0, np.maximum(allocation.totals - upper, 0.0))
    cost = float(over @ np.maximum(prices, 0.0))
    value = allocation.value - cost
    if relative_gap(monitor.bound, value, monitor.size_of(value), monitor.rounding) > monitor.target:
        return False
    less = trimmed_allocation(engine, allocation)
    if less is not None:
        monitor.offer(less)
    return monitor.reached


def _bound_of(
    engine: Engine,
    monitor: Monitor,
    prices: Floats,
    decision: PairSplit | None,
    scale: float,
    settings: DualSettings,
) -> float:
    """The bound of a decision at some prices, offered to the monitor; without a decision, that of a visit."""
    if decision is None:
        return bound_at(engine, monitor, prices, scale, settings)
    bound = decision.bound + engine.program.conjugate(prices)
    monitor.offer_bound(bound, prices)
    monitor.tick(engine.passes)
    return bound


def bound_at(
    engine: Engine, monitor: Monitor, prices: Floats, scale: float, settings: DualSettings | None = None
) -> float:
    """The bound at some prices, offered to the monitor."""
    settings = DUAL.now if settings is None else settings
    # under rules, finer smoothing is slower: use no finer than the requested gap needs
    finest = float(np.clip(0.1 * monitor.target, 1e-12, settings.ruled_kink))
    kink = settings.kink if engine.program.rules is None else float(np.clip(0.01 * monitor.target, finest, 1e-4))
    visit = engine.visit(prices, kink * scale)
    bound = visit.bound + engine.program.conjugate(prices)
    monitor.offer_bound(bound, prices)
    monitor.tick(engine.passes)
    return bound
