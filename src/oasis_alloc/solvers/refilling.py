"""Slots that became free while limits were met, given to other candidates of the same users.

What exceeds a cap and finds no other open pair of its user is dropped, and its slot is then empty. But most users have
a candidate whose limits have room, with a priced score a little below the threshold. The loss is then the difference of
two scores instead of a whole score. Few users lose slots, so this takes no pass; of candidates in files at most one is
read, for the answer of candidates in memory.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.repair import entries_of

_LOST = 1e-6  # of a slot, from which a user lost a part of it
_MOST_PAIRS = 1 << 21  # candidates of users who lost slots; users who lost the most come first
_NOTHING = 1e-12


def shown_by_user(program: Program, positions: Ints, x: Floats) -> Floats:
    """(n_users,) the slots that an allocation, given by its non-zeros, uses."""
    return np.asarray(np.bincount(program.users_of(positions), x, program.n_users), np.float64)


def refilled(engine: Engine, positions: Ints, x: Floats, shown: Floats, prices: Floats) -> tuple[Ints, Floats]:
    """The allocation, with candidates in slots that users had before, `shown` (n_users,), and lost since.

    Candidates with a positive priced score come in by that score, as far as all limits have room. Only for slates
    without rules.
    """
    program = engine.program
    if program.rules is not None:
        return positions, x
    of_user = program.users_of(positions)
    lost = shown - np.bincount(of_user, x, program.n_users)
    users = np.flatnonzero(lost > _LOST)
    users = users[np.argsort(-lost[users], kind="stable")]
    users = np.sort(users[np.cumsum(np.diff(program.indptr)[users]) <= _MOST_PAIRS])
    if not users.size:
        return positions, x
    from oasis_alloc.kernels.solve.transfer import fill_best

    first, every = gather(program.indptr, users)
    pairs = engine.take(every)
    chosen = np.zeros(program.n_users, np.bool_)
    chosen[users] = True
    own = chosen[of_user]
    inside = np.zeros(every.size)
    inside[np.searchsorted(every, positions[own])] = x[own]
    _, totals = engine.add_up(positions, x)
    extra = np.stack([pairs.extra(k) for k in range(len(program.base) - 1)] or [np.empty(0)])
    lower, upper, penalty = program.bands()
    soft = np.isfinite(penalty)
    lower[soft], upper[soft] = -np.inf, np.inf
    score = priced(program, pairs, prices)
    fill_best(first, score, pairs.cells, extra, entries_of(program), lower, upper, totals, lost[users], inside)
    found = inside > _NOTHING
    out = np.concatenate([positions[~own], every[found]])
    by_pair = np.argsort(out, kind="stable")
    return out[by_pair], np.concatenate([x[~own], inside[found]])[by_pair]


def priced(program: Program, pairs: PairView, prices: Floats) -> Floats:
    """(n,) the scores of single pairs at prices by row."""
    tables = program.tables(prices).reshape(len(program.base), program.n_cells)
    score: Floats = pairs.value - tables[0, pairs.cells]
    for k in range(1, len(program.base)):
        score -= tables[k, pairs.cells] * pairs.extra(k - 1)
    return score
