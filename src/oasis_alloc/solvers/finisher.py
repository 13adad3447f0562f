"""The exact finisher: fix what prices decide, solve what they leave open, and certify with the next visit.

From the prices every pair has a margin (kernels/decide.py). Pairs with a wide margin are fixed in or out; the narrow
ones are undecided and go into a linear programme (restricted.py) that gives a nearly integral allocation and better
prices. It is sifting (Bixby et al., Oper. Res. 40:885) started from good prices. Margins are kept a row: where the
programme wants a price to move further than its row's margin allows, the next round widens that row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.base import Floats
from oasis_alloc.kernels.decide import N_BINS
from oasis_alloc.solvers.highs import solve_lp
from oasis_alloc.solvers.restricted import restricted
from oasis_alloc.solvers.watch import Allocation, Status, Stop, Watch

_ABOUT_ZERO = 1e-11
_SLACK = 1e-9
_MOST_ROUNDS = 40
_WIDEN = 4.0
_KINK = 1e-9  # smoothing, in units of scores, of visits that are made for the bound alone


@dataclass(frozen=True, eq=False)
class Finish:
    """One round: an allocation and the prices of the programme over the undecided pairs."""

    allocation: Allocation
    prices: Floats  # (n_rows,)
    pressed: npt.NDArray[np.bool_]  # (n_rows,) rows whose price went to the end of its radius
    missed: npt.NDArray[np.bool_]  # (n_rows,) hard rows that are missed whatever it costs
    undecided: int


def margin_for(engine: Engine, prices: Floats, wanted: int, guess: float) -> float:
    """A margin within which about `wanted` pairs are undecided; infinite if that is all of them."""
    if wanted >= engine.program.n_pairs:
        return np.inf
    widest = 8.0 * guess
    for _ in range(40):
        counts = np.cumsum(engine.histogram(prices, widest))
        if counts[-1] < wanted:
            widest *= 8.0
        elif counts[0] > wanted and widest > 1e-9 * guess:
            widest *= 2.0 / N_BINS
        else:  # the first bin may hold more than wanted: pairs that tie cannot be told apart
            return widest * (int(np.searchsorted(counts, wanted)) + 1) / N_BINS
    return widest


def finish_rounds(engine: Engine, watch: Watch, prices: Floats, margins: Floats, scale: float, threads: int | None) -> bool:
    """Rounds of the finisher until the gap is reached; False where rounds stopped helping.

    `margins` are by row, in units of scores; `scale` is the typical score.
    """
    program = engine.program
    center, center_bound = prices, bound_at(engine, watch, prices, scale)
    most = 1e3 * max(scale, float(np.abs(program.value).max(initial=0.0)))
    for _ in range(_MOST_ROUNDS):
        done = finish(engine, watch, center, margins, most, threads)
        watch.offer(done.allocation)
        new = program.admit(done.prices)
        gap = watch.gap
        bound = bound_at(engine, watch, new, scale)
        if watch.reached:
            return True
        everything = done.undecided == program.n_pairs
        if everything and not done.pressed.any():
            return False  # the whole programme was solved: what is missing is not for lack of rounds
        if bound <= center_bound:
            moved = np.abs(new - center) * program.unit
            center, center_bound = new, bound
            margins = np.maximum(margins, np.minimum(2.0 * moved, _WIDEN * margins))
        if done.pressed.any():
            margins = np.where(done.pressed, _WIDEN * margins, margins)
        elif watch.gap > 0.5 * gap:
            margins = 2.0 * margins
    return False


def finish(engine: Engine, watch: Watch, prices: Floats, margins: Floats, most: float, threads: int | None) -> Finish:
    """Fix, solve, put together. `most` is the highest price of a slack, in units of scores."""
    program = engine.program
    decision = engine.decide(prices, margins)
    undecided, shown = decision.undecided, decision.shown
    _, fixed = engine.add_up(shown, np.ones(shown.size))
    part = restricted(program, decision, fixed, prices, margins / program.unit, most / program.unit)
    solution = solve_lp(part.lp, threads, watch.seconds_left)
    if solution is None:
        raise Stop(Status.TIME_LIMIT)
    x = np.clip(solution.x[: undecided.size], 0.0, 1.0)
    kept = x > _ABOUT_ZERO
    rows = part.rows
    new = prices.copy()
    new[rows] = solution.prices[part.first_row : part.first_row + rows.size]
    above, below = solution.x[part.first_slack :].reshape(2, rows.size)
    slack = np.maximum(above, below) > _SLACK * np.maximum(1.0, np.abs(fixed[rows]))
    pressed, missed = np.zeros(prices.size, np.bool_), np.zeros(prices.size, np.bool_)
    pressed[rows] = slack & ~np.where(above > below, part.above_is_end, part.below_is_end)
    missed[rows] = slack & ~pressed[rows] & ~np.isfinite(program.bands()[2][rows])
    positions = np.concatenate([shown, undecided[kept]])
    order = np.argsort(positions, kind="stable")
    weights = np.concatenate([np.ones(shown.size), x[kept]])[order]
    return Finish(worth(engine, positions[order], weights), new, pressed, missed, undecided.size)


def worth(engine: Engine, positions: npt.NDArray[np.int64], x: Floats) -> Allocation:
    """What an allocation is worth, added up from its non-zeros alone."""
    value, totals = engine.add_up(positions, x)
    program = engine.program
    return Allocation(positions, x, value + program.concave(totals), totals, program.violation(totals))


def bound_at(engine: Engine, watch: Watch, prices: Floats, scale: float) -> float:
    """The bound at some prices, offered to the watch."""
    visit = engine.visit(prices, _KINK * scale)
    bound = visit.bound + engine.program.conjugate(prices)
    watch.offer_bound(bound, prices)
    watch.tick(engine.passes)
    return bound
