"""Makes smoothed slates meet caps: the excess of a row goes to another open pair of the same user, or is dropped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


_WHOLE = 1e-6  # of a slot
_NOTHING = 1e-12
_TRIES = 8  # at most so many pairs take one pair's excess


class Entries(NamedTuple):
    """The rows of a pair, by its cell: entries start[cell]:start[cell + 1], `coefficient` times column `k`."""

    start: Ints  # (n_cells + 1,)
    row: Ints
    k: Ints  # 0 for exposure, else 1 + the number of an extra column
    coefficient: Floats


@jit(inline=True, allocates=False)
def _use(e: int, i: int, entries: Entries, extra: Floats) -> float:
    """Contribution of a unit of pair i to the row of entry e."""
    k = entries.k[e]
    return float(entries.coefficient[e] * (1.0 if k == 0 else extra[k - 1, i]))


@jit(allocates=False)
def _in_row(row: int, i: int, cell: Ints, entries: Entries, extra: Floats) -> float:
    """Contribution of a unit of pair i to a row."""
    use = 0.0
    for e in range(entries.start[cell[i]], entries.start[cell[i] + 1]):
        if entries.row[e] == row:
            use += _use(e, i, entries, extra)
    return use


@jit(allocates=False)
def _room(
    i: int, j: int, most: float, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats,
    totals: Floats,
) -> float:  # fmt: skip
    """How much of `most` can go from pair i to pair j, with all totals in bounds; a negative number means no pair."""
    for side in range(2):
        pair = i if side == 0 else j
        if pair < 0:
            continue
        for e in range(entries.start[cell[pair]], entries.start[cell[pair] + 1]):
            row = entries.row[e]
            change = 0.0
            if i >= 0:
                change -= _in_row(row, i, cell, entries, extra)
            if j >= 0:
                change += _in_row(row, j, cell, entries, extra)
            if change > 0.0:
                most = min(most, max(0.0, upper[row] - totals[row]) / change)
            elif change < 0.0:
                most = min(most, max(0.0, totals[row] - lower[row]) / -change)
    return most


@jit(allocates=False)
def _add(i: int, step: float, cell: Ints, extra: Floats, entries: Entries, totals: Floats, x: Floats) -> None:
    x[i] += step
    for e in range(entries.start[cell[i]], entries.start[cell[i] + 1]):
        totals[entries.row[e]] += step * _use(e, i, entries, extra)


@jit
def transfer(
    first: Ints, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats, totals: Floats, x: Floats
) -> float:
    """Move mass between the pairs of each user until no more excess over `upper` finds room; returns the mass moved.

    If a user has a slot that is not full, mass without room is dropped, because its priced score is less than
    gamma. The pairs of user u are first[u]:first[u + 1]; cell (n,), extra (K, n) and x (n,) are theirs. x and totals,
    by row, are changed; a total within its limits stays so. Nearest in score goes first, which is highest x: it is
    clip((score - threshold) / gamma, 0, 1).
    """
    moved = 0.0
    none = min(-1, -first.size)  # a literal would have what it is given to compiled once more
    for u in range(first.size - 1):
        together = 0.0
        for i in range(first[u], first[u + 1]):
            together += x[i]
        # slots are whole, and so are pairs that are not open: with a part left over, a slot is free and costs nothing
        has_room = np.ceil(together - _WHOLE) - together > _WHOLE
        for i in range(first[u], first[u + 1]):
            for _ in range(_TRIES):
                excess = 0.0  # of pair i's worst row, in units of it
                worst = none
                for e in range(entries.start[cell[i]], entries.start[cell[i] + 1]):
                    row = entries.row[e]
                    if totals[row] > upper[row]:
                        use = _in_row(row, i, cell, entries, extra)
                        if use > 0.0 and totals[row] - upper[row] > excess * use:
                            excess = (totals[row] - upper[row]) / use
                            worst = row
                if worst < 0 or x[i] <= 0.0:
                    break
                best = none
                most = 0.0
                for j in range(first[u], first[u + 1]):
                    if j == i or x[j] >= 1.0 or (best >= 0 and x[j] <= x[best]):
                        continue
                    if _in_row(worst, j, cell, entries, extra) >= _in_row(worst, i, cell, entries, extra):
                        continue
                    step = min(excess, min(x[i], 1.0 - x[j]))
                    step = _room(i, j, step, cell, extra, entries, lower, upper, totals)
                    if step > _NOTHING:
                        best, most = j, step
                if best < 0 and has_room:
                    most = _room(i, none, min(excess, x[i]), cell, extra, entries, lower, upper, totals)
                moved += most
                _add(i, -most, cell, extra, entries, totals, x)
                if best < 0:
                    break
                _add(best, most, cell, extra, entries, totals, x)
    return moved


@jit
def fill(
    first: Ints, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats, totals: Floats,
    free: Floats, x: Floats,
) -> float:  # fmt: skip
    """Add at most `free` (n_users,) of mass to each user's pairs in their order, if rows have room; returns the sum."""
    added = 0.0
    none = min(-1, -first.size)
    for u in range(first.size - 1):
        left = free[u]
        for i in range(first[u], first[u + 1]):
            if left <= _WHOLE:
                break
            step = _room(none, i, min(left, 1.0 - x[i]), cell, extra, entries, lower, upper, totals)
            left -= step
            added += step
            _add(i, step, cell, extra, entries, totals, x)
    return added


@jit(allocates=False)
def _sink(at: int, size: int, heap: Ints, score: Floats) -> None:
    """Move entry `at` of heap[:size] down until no entry below it comes first: a higher score, or an earlier pair."""
    moved = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        for other in range(child + 1, min(child + 2, size)):
            if _before(heap[other], heap[child], score):
                child = other
        if not _before(heap[child], moved, score):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


@jit(inline=True, allocates=False)
def _before(i: int, j: int, score: Floats) -> bool:
    return bool(score[i] > score[j] or (score[i] == score[j] and i < j))


@jit
def fill_best(
    first: Ints, score: Floats, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats,
    totals: Floats, free: Floats, x: Floats,
) -> float:  # fmt: skip
    """As `fill`, but the highest scores come first, and none that is not positive.

    Most users need one or two pairs of their many, so scores are put into a heap and not sorted.
    """
    added = 0.0
    none = min(-1, -first.size)
    longest = 0
    for u in range(first.size - 1):
        longest = max(longest, first[u + 1] - first[u])
    heap = np.empty(longest, np.int64)
    for u in range(first.size - 1):
        left = free[u]
        size = 0
        for i in range(first[u], first[u + 1]):
            if score[i] > 0.0 and x[i] < 1.0:
                heap[size] = i
                size += 1
        for at in range(size // 2 - 1, -1, -1):
            _sink(at, size, heap, score)
        while size > 0 and left > _WHOLE:
            i = heap[0]
            size -= 1
            heap[0] = heap[size]
            _sink(0, size, heap, score)
            step = _room(none, i, min(left, 1.0 - x[i]), cell, extra, entries, lower, upper, totals)
            left -= step
            added += step
            _add(i, step, cell, extra, entries, totals, x)
    return added


@jit
def refill(
    first: Ints, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats, totals: Floats, x: Floats
) -> float:
    """Add mass to slots that are not full, if rows have room after `transfer`; returns the mass added."""
    free = np.empty(first.size - 1)
    for u in range(first.size - 1):
        together = 0.0
        for i in range(first[u], first[u + 1]):
            together += x[i]
        free[u] = np.ceil(together - _WHOLE) - together
    return fill(first, cell, extra, entries, lower, upper, totals, free, x)
