"""Moves probability between candidates of a user so that rows meet their limits, and the rules of the slate still hold.

What a pair has too much of a capped row goes to another candidate of the same user, and what a row misses of its floor
comes from one. Where the user keeps a share of a column and the other candidate has less of it, a second move pays for
that, from a candidate with little of the column to one with much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.transfer import Entries, _add, _in_row, _room

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NOTHING = 1e-12
_TRIES = 16  # moves that one pair starts


class Held(NamedTuple):
    """What the slates of some users hold: by user, and by candidate of these users."""

    least: Floats  # (n_users,) minimum number of items
    size: Floats  # (n_users,) most items
    target: Floats  # (n_users,) the least sum of `kept`
    kept: Floats  # (n,) the kept column, 0 where nothing is kept
    of: Ints  # (n,) class
    start: Ints  # (n_classes + 1,) categories of a class: category[start[c]:start[c + 1]]
    category: Ints
    most: Floats  # by category, the most items of it in one slate


@jit(allocates=False)
def _has(k: int, category: int, held: Held) -> bool:
    """Whether candidate k is in a category."""
    for e in range(held.start[held.of[k]], held.start[held.of[k] + 1]):  # noqa: SIM110 - kernels have no generators
        if held.category[e] == category:
            return True
    return False


class Weights(NamedTuple):
    """What the slate of one user has, so that no move has to add it up."""

    size: Floats  # (1,) items
    mass: Floats  # by category; those of the user's candidates are valid


@jit(allocates=False)
def _weigh(u: int, first: Ints, held: Held, x: Floats, weights: Weights) -> None:
    """Add up the slate of a user."""
    together = 0.0
    for k in range(first[u], first[u + 1]):
        together += x[k]
        for e in range(held.start[held.of[k]], held.start[held.of[k] + 1]):
            weights.mass[held.category[e]] = 0.0
    for k in range(first[u], first[u + 1]):
        if x[k] > 0.0:
            for e in range(held.start[held.of[k]], held.start[held.of[k] + 1]):
                weights.mass[held.category[e]] += x[k]
    weights.size[0] = together


@jit(allocates=False)
def _allowed(
    u: int, i: int, j: int, most: float, weights: Weights, cell: Ints, extra: Floats, entries: Entries, lower: Floats,
    upper: Floats, totals: Floats, held: Held, x: Floats,
) -> float:  # fmt: skip
    """How much of `most` may go from i to j, of which one may be nobody (a negative number), but for the kept share."""
    if i >= 0:
        most = min(most, x[i])
    if j >= 0:
        most = min(most, 1.0 - x[j])
    if most <= _NOTHING:
        return 0.0
    if i < 0 or j < 0:
        most = min(most, held.size[u] - weights.size[0] if i < 0 else weights.size[0] - held.least[u])
    if j >= 0:
        for e in range(held.start[held.of[j]], held.start[held.of[j] + 1]):
            category = held.category[e]
            if i >= 0 and _has(i, category, held):
                continue
            most = min(most, held.most[category] - weights.mass[category])
    if most <= _NOTHING:
        return 0.0
    return max(0.0, _room(i, j, most, cell, extra, entries, lower, upper, totals))


@jit(allocates=False)
def _move(i: int, j: int, step: float, cell: Ints, extra: Floats, entries: Entries, totals: Floats, x: Floats) -> None:
    if i >= 0:
        _add(i, -step, cell, extra, entries, totals, x)
        x[i] = max(x[i], 0.0)
    if j >= 0:
        _add(j, step, cell, extra, entries, totals, x)
        x[j] = min(x[j], 1.0)


@jit(allocates=False)
def _wanted(
    i: int, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats, totals: Floats, short: bool
) -> float:
    """How much of pair i its rows have too much of, or miss where they are `short`: the most of any row."""
    most = 0.0
    for e in range(entries.start[cell[i]], entries.start[cell[i] + 1]):
        row = entries.row[e]
        away = lower[row] - totals[row] if short else totals[row] - upper[row]
        if away > 0.0:
            use = _in_row(row, i, cell, entries, extra)
            if use > 0.0:
                most = max(most, away / use)
    return most


@jit
def move_within(
    first: Ints, score: Floats, movable: npt.NDArray[np.bool_], cell: Ints, extra: Floats, entries: Entries,
    lower: Floats, upper: Floats, totals: Floats, held: Held, x: Floats, work: float,
) -> tuple[float, float]:  # fmt: skip
    """Move mass within users until no more of what rows have too much or too little of can go.

    The candidates of user u are first[u]:first[u + 1], and those that are `movable` (n,) take part; score (n,) is what
    a unit of each is worth at the prices of rows. Of the moves that are possible, the one that loses least is made. x
    and totals, by row, are changed. A total within its limits stays so, and so does every rule of a slate that holds.

    Returns (mass moved, work left): it ends when it has compared `work` pairs of candidates, however long lists are.
    """
    moved = 0.0
    weights = Weights(np.zeros(1), np.zeros(held.most.size))
    none = min(-1, -first.size)  # a literal would have what it is given to compiled once more
    for u in range(first.size - 1):
        slack = -held.target[u]
        for k in range(first[u], first[u + 1]):
            slack += x[k] * held.kept[k]
        stale, weighed = True, False
        source, sink, rate = none, none, np.inf
        for a in range(first[u], first[u + 1]):
            if not movable[a]:
                continue
            for side in range(2):
                short = side == 1
                for _ in range(_TRIES):
                    wanted = _wanted(a, cell, extra, entries, lower, upper, totals, short)
                    if wanted <= _NOTHING or (x[a] >= 1.0 if short else x[a] <= 0.0):
                        break
                    if work <= 0.0:
                        return moved, work
                    if not weighed:
                        _weigh(u, first, held, x, weights)
                        weighed = True
                    # the cheapest move that gives the user more of the kept column
                    if stale:
                        source, sink, rate = none, none, np.inf
                    for p in range(first[u] - 1, first[u + 1] if stale and slack <= _NOTHING else first[u] - 1):
                        out = p if p >= first[u] else none
                        if out >= 0 and (not movable[out] or x[out] <= 0.0):
                            continue
                        work -= first[u + 1] - first[u]
                        for q in range(first[u] - 1, first[u + 1]):
                            into = q if q >= first[u] else none
                            if into == out or (into >= 0 and (not movable[into] or x[into] >= 1.0)):
                                continue
                            gain = (held.kept[into] if into >= 0 else 0.0) - (held.kept[out] if out >= 0 else 0.0)
                            loss = (score[out] if out >= 0 else 0.0) - (score[into] if into >= 0 else 0.0)
                            if gain <= _NOTHING or (rate < np.inf and loss >= rate * gain):
                                continue
                            if _allowed(u, out, into, 1.0, weights, cell, extra, entries, lower, upper, totals, held,
                                        x) > _NOTHING:  # fmt: skip
                                source, sink, rate = out, into, loss / gain
                    stale = False
                    # the cheapest partner of this pair
                    work -= first[u + 1] - first[u]
                    best, cheapest, step = none, np.inf, 0.0
                    for b in range(first[u] - 1, first[u + 1]):
                        other = b if b >= first[u] else none
                        if other == a or (other >= 0 and not movable[other]):
                            continue
                        i, j = (other, a) if short else (a, other)
                        less = (held.kept[i] if i >= 0 else 0.0) - (held.kept[j] if j >= 0 else 0.0)
                        paid = less > 0.0 and slack <= _NOTHING
                        if paid and rate == np.inf:
                            continue
                        loss = (score[i] if i >= 0 else 0.0) - (score[j] if j >= 0 else 0.0)
                        loss += less * rate if paid else 0.0
                        if loss >= cheapest:
                            continue
                        most = _allowed(u, i, j, wanted, weights, cell, extra, entries, lower, upper, totals, held, x)
                        if less > 0.0 and not paid:
                            most = min(most, slack / less)
                        if most > _NOTHING:
                            best, cheapest, step = other, loss, most
                    if cheapest == np.inf:
                        break
                    i, j = (best, a) if short else (a, best)
                    less = (held.kept[i] if i >= 0 else 0.0) - (held.kept[j] if j >= 0 else 0.0)
                    if less > 0.0 and slack <= _NOTHING:
                        gain = (held.kept[sink] if sink >= 0 else 0.0) - (held.kept[source] if source >= 0 else 0.0)
                        more = step * less / gain
                        if source == i and i >= 0:
                            more = min(more, x[i] * less / (gain + less))
                        if sink == j and j >= 0:
                            more = min(more, (1.0 - x[j]) * less / (gain + less))
                        more = _allowed(
                            u, source, sink, more, weights, cell, extra, entries, lower, upper, totals, held, x
                        )
                        _move(source, sink, more, cell, extra, entries, totals, x)
                        slack += more * gain
                        stale = True
                        _weigh(u, first, held, x, weights)
                        step = min(step, max(0.0, slack) / less)
                        step = _allowed(u, i, j, step, weights, cell, extra, entries, lower, upper, totals, held, x)
                        moved += more
                    if step <= 0.0:
                        break
                    _move(i, j, step, cell, extra, entries, totals, x)
                    slack -= step * less
                    moved += step
                    stale, weighed = True, False
    return moved, work
