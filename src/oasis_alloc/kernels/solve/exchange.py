"""Exchanges within slates that give a campaign impressions and keep every limit and every rule of slates.

What comes out is an allocation, so its value proves what the impressions cost at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST = 1e-12  # of a slot, that is worth an exchange


class Shown(NamedTuple):
    """Pairs that are shown or wanted, by user; x is changed."""

    start: Ints  # (n_users + 1,)
    user: Ints  # (n_pairs,)
    x: Floats  # (n_pairs,) in [0, 1]
    room: Floats  # (n_users,) empty slots
    units: Floats  # (n_users,) impressions of one slot
    guard: Floats  # (n_pairs,) the kept column, or empty
    spare: Floats  # (n_users,) what a user has above the share that is kept, or empty


class Limits(NamedTuple):
    """Rows with hard limits, and what one slot of a pair adds to them: adds[0] + sum_k adds[k] extra[k - 1]."""

    start: Ints  # (n_cells + 1,)
    row: Ints
    adds: Floats  # (K + 1, entries)
    cell: Ints  # (n_pairs,)
    extra: Floats  # (K, n_pairs)
    slack: Floats  # (n_rows, 2) what may still be added and taken away; it is changed
    stopped: Floats  # (n_rows,) impressions that a row stopped; it is added to


class Categories(NamedTuple):
    """Categories of pairs with a cap per slate; empty arrays without such rules."""

    start: Ints  # (n_pairs + 1,)
    of: Ints
    cap: Floats  # (n_categories,)


@jit(allocates=False)
def _room_in(category: int, u: int, shown: Shown, categories: Categories) -> float:
    """How much more of a category a user's slate may have."""
    mass = 0.0
    for i in range(shown.start[u], shown.start[u + 1]):
        if shown.x[i] > 0.0:
            for e in range(categories.start[i], categories.start[i + 1]):
                if categories.of[e] == category:
                    mass += shown.x[i]
    return float(categories.cap[category] - mass)


@jit(allocates=False)
def _has(category: int, i: int, categories: Categories) -> bool:
    if i >= 0:
        for e in range(categories.start[i], categories.start[i + 1]):
            if categories.of[e] == category:
                return True
    return False


@jit
def exchange(
    order: Ints, wanted: Ints, giver: Ints, need: float, shown: Shown, limits: Limits, categories: Categories
) -> float:
    """Carry out exchanges in order until `need` impressions are gained; returns how many are.

    wanted and giver are pairs of one user, giver -1 for an empty slot; order are the exchanges to try.
    """
    change = np.zeros(limits.slack.shape[0])
    rows = np.empty(limits.slack.shape[0], np.int64)
    gained = 0.0
    for at in order:
        if gained >= need:
            break
        p = wanted[at]
        q = giver[at]
        u = shown.user[p]
        units = shown.units[u]
        most = min(1.0 - shown.x[p], shown.x[q] if q >= 0 else shown.room[u], (need - gained) / units)
        if most <= _LEAST:
            continue
        if shown.guard.size > 0:
            lost = (shown.guard[q] if q >= 0 else 0.0) - shown.guard[p]
            if lost > 0.0:
                most = min(most, shown.spare[u] / lost)
        for e in range(categories.start[p], categories.start[p + 1]):
            if most > _LEAST and not _has(categories.of[e], q, categories):
                most = min(most, _room_in(categories.of[e], u, shown, categories))
        if most <= _LEAST:
            continue
        n = 0
        for side in range(2):
            i = p if side == 0 else q
            if i < 0:
                continue
            sign = 1.0 if side == 0 else -1.0
            for e in range(limits.start[limits.cell[i]], limits.start[limits.cell[i] + 1]):
                r = limits.row[e]
                if change[r] == 0.0:
                    rows[n] = r
                    n += 1
                    change[r] = 1e-300  # marks the row as listed
                adds = limits.adds[0, e]
                for k in range(limits.extra.shape[0]):
                    adds += limits.adds[k + 1, e] * limits.extra[k, i]
                change[r] += sign * adds
        before = most
        worst = -1
        for k in range(n):
            d = change[rows[k]]
            if abs(d) <= 1e-300:
                continue
            can = max(0.0, limits.slack[rows[k], 0 if d > 0.0 else 1]) / abs(d)
            if can < most:
                most = can
                worst = rows[k]
        if worst >= 0:
            limits.stopped[worst] += (before - most) * units
        if most > _LEAST:
            for k in range(n):
                limits.slack[rows[k], 0] -= most * change[rows[k]]
                limits.slack[rows[k], 1] += most * change[rows[k]]
            shown.x[p] += most
            if q >= 0:
                shown.x[q] = max(0.0, shown.x[q] - most)
            else:
                shown.room[u] -= most
            if shown.guard.size > 0:
                shown.spare[u] += most * (shown.guard[p] - (shown.guard[q] if q >= 0 else 0.0))
            gained += most * units
        for k in range(n):
            change[rows[k]] = 0.0
    return gained
