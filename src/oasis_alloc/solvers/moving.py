"""Slates with rules, changed until caps and floors hold: probability moves between candidates of the same user.

Slates that have to be filled, or to keep a share of a column, cannot be scaled down. Newton's steps bring their totals
to the limits, and the last digits take most of the steps. A unit that is moved to another open candidate of its user
costs about the smoothing, so prices that are nearly right are enough. Where a solve has to end earlier, all candidates
of the users who are shown too much of a row take part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import joined_lists
from oasis_alloc.solvers.refilling import priced
from oasis_alloc.solvers.repair import entries_of

if TYPE_CHECKING:
    from oasis_alloc.kernels.solve.moves import Held

_MOST_PAIRS = 1 << 21  # candidates that are looked up at once
_NOTHING = 1e-12
_ROUNDING = 1e-10  # of a limit
_SWEEPS = 4  # over all users: what one gives up makes room for another
_WORK = 1e8  # pairs of candidates compared at most: about a second, which a stopped solve has no more of


def moved_within(
    engine: Engine, positions: Ints, x: Floats, totals: Floats, prices: Floats, every: bool = False
) -> tuple[Ints, Floats]:
    """The allocation with totals by row moved to their limits, as far as candidates of the same users have room.

    Only pairs with 0 < x < 1 take part, or with `every` all candidates of the users concerned. Every slate keeps the
    rules that it keeps. Priced scores, at `prices` by row, say which move loses least.
    """
    program = engine.program
    lower, upper, penalty = program.bands()
    soft = np.isfinite(penalty)
    lower[soft], upper[soft] = -np.inf, np.inf
    away = _away(totals, lower, upper)
    if not away.any():
        return positions, x
    looked = positions
    if not every:
        looked = positions[(x > 0.0) & (x < 1.0)]
    elif (totals < lower).any() and program.n_pairs <= _MOST_PAIRS:
        looked = np.arange(program.n_pairs)  # a floor may need candidates of users who are shown none of it
    users = _concerned(engine, looked, away)
    if every:
        users = users[np.cumsum(np.diff(program.indptr)[users]) <= _MOST_PAIRS]
    if not users.size:
        return positions, x
    mine, of_user = _mine(program, positions, users)
    first, at = gather(program.indptr, users) if every else (_ends(of_user, users), positions[mine])
    inside = np.zeros(at.size)
    inside[np.searchsorted(at, positions[mine])] = x[mine]
    _run(engine, users, first, engine.take(at), inside, totals.copy(), (lower, upper), prices, every)
    if not every:
        out = x.copy()
        out[mine] = inside
        kept = out > _NOTHING
        return positions[kept], out[kept]
    found = inside > _NOTHING
    merged = np.concatenate([positions[~mine], at[found]])
    order = np.argsort(merged, kind="stable")
    return merged[order], np.concatenate([x[~mine], inside[found]])[order]


def _away(totals: Floats, lower: Floats, upper: Floats) -> npt.NDArray[np.bool_]:
    """Rows that miss a limit by more than the rounding of a total."""
    limit = np.where(totals > upper, upper, lower)
    size = np.where(np.isfinite(limit), np.abs(limit), 0.0)
    return np.asarray(np.maximum(totals - upper, lower - totals) > _ROUNDING * size)


def _concerned(engine: Engine, looked: Ints, away: npt.NDArray[np.bool_]) -> Ints:
    """The users of those of the pairs that are in a row that misses its limit."""
    program = engine.program
    cells = program.widest(away.astype(np.float64)).ravel() > 0.0
    parts = [looked[k : k + _MOST_PAIRS] for k in range(0, looked.size, _MOST_PAIRS)]
    inside = [part[cells[engine.take(part).cells]] for part in parts]
    return np.unique(program.users_of(np.concatenate([looked[:0], *inside])))


def _mine(program: Program, positions: Ints, users: Ints) -> tuple[npt.NDArray[np.bool_], Ints]:
    """(which non-zeros are of these users, their users)."""
    of = program.users_of(positions)
    chosen = np.zeros(program.n_users, np.bool_)
    chosen[users] = True
    mine = chosen[of]
    return mine, of[mine]


def _ends(of_user: Ints, users: Ints) -> Ints:
    """(n_users + 1,) where the pairs of each of these users begin, in ascending order of users."""
    return np.append(np.searchsorted(of_user, users), of_user.size).astype(np.int64)


def _run(
    engine: Engine, users: Ints, first: Ints, pairs: PairView, x: Floats, totals: Floats,
    limits: tuple[Floats, Floats], prices: Floats, every: bool,
) -> None:  # fmt: skip
    """Call the kernel until it moves nothing more; x is changed in place."""
    from oasis_alloc.kernels.solve.moves import move_within

    program, (lower, upper) = engine.program, limits
    extra = np.stack([pairs.extra(k) for k in range(len(program.base) - 1)] or [np.empty(0)])
    movable = np.ones(x.size, np.bool_) if every else (x > 0.0) & (x < 1.0)
    held, score, entries = _held(program, users, pairs), priced(program, pairs, prices), entries_of(program)
    work = _WORK
    for _ in range(_SWEEPS):
        moved, work = move_within(
            first, score, movable, pairs.cells, extra, entries, lower, upper, totals, held, x, work
        )
        if moved <= _NOTHING or work <= 0.0 or not _away(totals, lower, upper).any():
            return


def _held(program: Program, users: Ints, pairs: PairView) -> Held:
    """What the slates of these users hold."""
    from oasis_alloc.kernels.solve.moves import Held

    rules = program.rules
    systems = () if rules is None else rules.systems
    start, category, _ = joined_lists(systems, program.n_classes)
    most = np.concatenate([np.empty(0), *(np.full(system.n, float(system.max_count)) for system in systems)])
    n = users.size
    keeps = rules is not None and rules.target.size > 0
    return Held(
        least=np.zeros(n) if rules is None else rules.min_size[users].astype(np.float64),
        size=np.full(n, float(program.size)) if rules is None else rules.size[users].astype(np.float64),
        target=rules.target[users] if rules is not None and keeps else np.full(n, -1.0),  # less than nothing
        kept=pairs.guard if keeps else np.zeros(pairs.size),
        of=pairs.code,
        start=start,
        category=category,
        most=most,
    )
