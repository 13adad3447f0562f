"""Feasible allocations without a solver: slates at given prices, moved and scaled until all caps hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import Engine
from oasis_alloc.engines.shown import nonzeros
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.incumbent import Allocation

if TYPE_CHECKING:
    from oasis_alloc.kernels.solve.transfer import Entries

_EXACT = 1e-6  # smoothing, in typical values, of slates that are not scaled
_PART = 1 << 20  # pairs looked up at a time


def scaled(engine: Engine, prices: Floats, gamma: float = 0.0) -> tuple[Ints, Floats]:
    """Every user's best slate at these prices, each pair scaled down by the worst overrun of its caps.

    Keeps every cap on a measure with non-negative coefficients; floors may be missed, and the violation says so.
    Slates with a lower limit (a guard, slots that must be filled) are not scaled, so caps may be missed too.
    With a smoothing `gamma`, slates are the smoothed ones, whose totals are those that Newton's steps bring to limits.

    Returns
    -------
    (positions, x)
        Non-zeros of the allocation, pair numbers ascending.
    """
    program = engine.program
    if program.holds_back or gamma > 0.0:
        visit = engine.visit(prices, gamma or _EXACT * (engine.survey().size or 1.0))
        positions, x = visit.slates()
        if not program.holds_back:
            _scale(engine, positions, x, factors(program, visit.totals))
        return positions[x > 0.0], x[x > 0.0]
    shown = engine.decide(prices, np.zeros(program.n_rows)).shown.array()
    _, totals = engine.add_up(shown, np.ones(shown.size))
    factor = factors(program, totals)[engine.take(shown).cells]
    keep = factor > 0.0
    return shown[keep], factor[keep]


def factors(program: Program, totals: Floats) -> Floats:
    """Factors of x with which caps hold, (n_cells,), for an allocation with these totals."""
    _, upper, penalty = program.bands()
    hard = ~np.isfinite(penalty) & (totals > np.maximum(upper, 0.0))  # no scaling brings a total below 0
    excess = np.zeros(program.n_rows)  # 1 - factor, so that "widest" is the smallest factor
    excess[hard] = 1.0 - np.maximum(upper[hard], 0.0) / totals[hard]
    return 1.0 - program.widest(excess).ravel()


def only_caps(engine: Engine) -> bool:
    """True if all limits are upper limits, which scaling down can only help."""
    program = engine.program
    if program.holds_back:
        return False
    lower, _, penalty = program.bands()
    return bool(np.isneginf(lower[~np.isfinite(penalty)]).all() and engine.survey().min_totals.min(initial=0.0) >= 0.0)


def trimmed(engine: Engine, positions: Ints, x: Floats, totals: Floats) -> Floats | None:
    """x scaled down until caps hold, given its totals by row; None if there are other limits than caps.

    Integral pairs stay integral in rows with enough fractional pairs, such as those of a slightly inexact linear
    program.
    """
    found = _open_trimmed(engine, positions, x, totals)
    if found is None:
        return None
    out, factor = found
    _scale(engine, positions, out, factor)
    return out


def trimmed_allocation(engine: Engine, allocation: Allocation) -> Allocation | None:
    """The same for an allocation; its whole pairs stay where they are, but for those of caps that need less of them."""
    found = _open_trimmed(engine, allocation.own, allocation.own_x, allocation.totals)
    if found is None:
        return None
    out, factor = found
    own, whole = allocation.own, allocation.whole
    if factor.min(initial=1.0) < 1.0:
        if whole is not None:
            more, whole = engine.shown_in(whole, factor < 1.0)
            own, out = nonzeros(more, own, out)
        _scale(engine, own, out, factor)
    return evaluate(engine, own, out, whole=whole)


def _open_trimmed(engine: Engine, positions: Ints, x: Floats, totals: Floats) -> tuple[Floats, Floats] | None:
    """(x where pairs with x < 1 are scaled down, factors of cells for all pairs); None with other limits than caps."""
    if not only_caps(engine):
        return None
    program = engine.program
    _, upper, penalty = program.bands()
    over = ~np.isfinite(penalty) & (totals > np.maximum(upper, 0.0))
    open_ = np.flatnonzero(x < 1.0)
    _, parts = engine.add_up(positions[open_], x[open_])
    fractional = over & (totals - parts <= upper) & (parts > 0.0)
    excess = np.zeros(program.n_rows)
    # at most all of them: rounding of a ratio of 1 would make a probability negative
    excess[fractional] = np.minimum((totals[fractional] - upper[fractional]) / parts[fractional], 1.0)
    out = x.copy()
    out[open_] *= 1.0 - program.widest(excess).ravel()[engine.take(positions[open_]).cells]
    whole = np.where(over & ~fractional, totals, -np.inf)
    return out, factors(program, whole)


def rebalance(engine: Engine, positions: Ints, x: Floats, totals: Floats) -> None:
    """Make smoothed slates, whose totals by row are given, keep all caps; x is changed in place.

    The excess over a cap goes to other open pairs of the same users, as far as these have room: moving a unit costs at
    most the smoothing in priced score. Only the rest is scaled down, which costs its full value.
    """
    from oasis_alloc.kernels.solve.transfer import refill, transfer

    program = engine.program
    lower, upper, penalty = program.bands()
    soft = np.isfinite(penalty)
    lower[soft], upper[soft] = -np.inf, np.inf
    if np.isfinite(upper).any():
        entries, after = entries_of(program), totals.copy()
        for kernel in (transfer, refill):  # in this order for all users: the excess over caps takes room first
            for part, ends in _parts(program, positions):
                mine = positions[part], x[part]
                open_ = np.flatnonzero(mine[1] < 1.0)
                pairs = engine.take(mine[0][open_])
                first = np.searchsorted(pairs.positions, ends)
                extra = np.stack([pairs.extra(k) for k in range(len(program.base) - 1)] or [np.empty(0)])
                moved = mine[1][open_]
                kernel(first, pairs.cells, extra, entries, lower, upper, after, moved)
                mine[1][open_] = moved
        _scale(engine, positions, x, factors(program, after))


def _parts(program: Program, positions: Ints) -> Iterator[tuple[slice, Ints]]:
    """Positions in parts, with the ends of their users' pairs, because lookups of all pairs would take more memory."""
    indptr, start, user = program.indptr, 0, 0
    while start < positions.size:
        stop = min(start + _PART, positions.size)
        last = program.n_users
        if stop < positions.size:  # all of a user's are in the same part
            last = max(user + 1, int(np.searchsorted(indptr, positions[stop], "right")) - 1)
            stop = int(np.searchsorted(positions, indptr[last]))
        if stop > start:
            yield slice(start, stop), indptr[user : last + 1]
        start, user = stop, last


def _scale(engine: Engine, positions: Ints, x: Floats, factor: Floats) -> None:
    """Multiply x by the factors of its cells."""
    if factor.min(initial=1.0) < 1.0:
        for start in range(0, positions.size, _PART):
            part = slice(start, start + _PART)
            x[part] *= factor[engine.take(positions[part]).cells]


def entries_of(program: Program) -> Entries:
    """The rows in which the pairs of a cell count."""
    from oasis_alloc.kernels.solve.transfer import Entries

    parts = [sp.coo_array(program.arithmetic @ base) for base in program.base]
    row, cell = (np.concatenate([part.coords[side] for part in parts]) for side in (0, 1))
    order = np.argsort(cell, kind="stable")
    return Entries(
        start=np.searchsorted(cell[order], np.arange(program.n_cells + 1)).astype(np.int64),
        row=row[order].astype(np.int64),
        k=np.repeat(np.arange(len(parts)), [part.nnz for part in parts])[order],
        coefficient=np.concatenate([part.data for part in parts])[order],
    )
