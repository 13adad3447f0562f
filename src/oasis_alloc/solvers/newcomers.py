"""First prices of rows that an earlier solve did not have, such as the caps of new campaigns.

Next to rows with a price, a row at no price takes everything, and Newton's steps of a few smoothings bring its price up
slowly. But at given thresholds of the users the demand of a row is known at every price: a pair enters below the price
at which its score is the user's threshold. So the pairs of new caps are sorted by that price, and the price of a cap is
where they use it up. New rows do not see each other, which is right to first order while they are few.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.dual import Run
from oasis_alloc.solvers.refilling import priced

_OUT = 8.0  # price at which nothing of a row is shown, in the largest value
_PART = 1 << 22  # pairs looked up at a time


def with_newcomers(run: Run, prices: Floats, known: npt.NDArray[np.bool_], gamma: float) -> Floats:
    """Prices by row, with first prices of the rows that are not `known`."""
    program = run.engine.program
    if known.all():
        return prices
    prices = _like_others(program, prices, known)
    rows = np.flatnonzero(_is_cap(run.engine) & ~known)
    if not rows.size or program.stream is not None:
        return prices
    if not run.ruled:
        return _sold_out(run.engine, prices, rows, gamma, run.engine.survey().largest)
    with run.engine.plain() as plain:
        try:
            return _sold_out(plain, prices, rows, gamma, run.engine.survey().largest)
        finally:
            run.engine.passes += plain.passes


def _like_others(program: Program, prices: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """The prices, with the mean price of a function's known groups for its new ones; those of constraints stay."""
    out = prices.copy()
    for block in program.blocks:
        here = known[block.rows]
        if not block.function.is_constraint and here.any():
            out[block.rows] = np.where(here, prices[block.rows], prices[block.rows][here].mean())
    return out


def _is_cap(engine: Engine) -> npt.NDArray[np.bool_]:
    """(n_rows,) True for hard upper limits of totals that are never negative."""
    lower, upper, _ = engine.program.bands()
    return engine.program.hard & np.isfinite(upper) & (engine.survey().min_totals >= 0.0) & np.isneginf(lower)


def _sold_out(engine: Engine, prices: Floats, rows: Ints, gamma: float, largest: float) -> Floats:
    """Prices at which the demand of each of these caps is its limit, at the thresholds without them: one visit."""
    program = engine.program
    out = prices.copy()
    out[rows] = _OUT * largest / program.row_scale[rows]
    engine.visit(out, gamma)
    thresholds = engine.thresholds
    positions = _pairs_in(engine, rows)
    out[rows] = 0.0
    pairs = engine.take(positions)
    gain = priced(program, pairs, out) - thresholds[pairs.users]
    adds = sp.coo_array(program.arithmetic[rows] @ program.columns_of(pairs))
    row, pair = adds.coords
    entry = np.divide(gain[pair], adds.data, out=np.full(pair.size, -np.inf), where=adds.data > 0.0)
    inside = entry > 0.0
    row, pair, entry, amount = row[inside], pair[inside], entry[inside], adds.data[inside]
    order = np.lexsort((-entry, row))
    row, entry, amount = row[order], entry[order], amount[order]
    _, upper, _ = program.bands()
    starts = np.searchsorted(row, np.arange(rows.size + 1))
    used = np.concatenate([[0.0], np.cumsum(amount)])
    for k in range(rows.size):
        first, last = int(starts[k]), int(starts[k + 1])
        at = first + int(np.searchsorted(used[first + 1 : last + 1] - used[first], upper[rows[k]], side="right"))
        out[rows[k]] = entry[at] if at < last else 0.0  # the first pair that no longer fits
    return out


def _pairs_in(engine: Engine, rows: Ints) -> Ints:
    """The pairs that add to some of the rows."""
    program = engine.program
    chosen = np.zeros(program.n_rows)
    chosen[rows] = 1.0
    inside = program.widest(chosen).ravel() > 0.0
    parts = [
        part[inside[engine.take(part).cells]]
        for start in range(0, program.n_pairs, _PART)
        if (part := np.arange(start, min(start + _PART, program.n_pairs))).size
    ]
    return np.concatenate(parts)
