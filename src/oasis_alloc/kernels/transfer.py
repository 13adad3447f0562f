"""Smoothed slates made to meet caps: what is too much of one row goes to another open pair of the same user, or out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


_WHOLE = 1e-6  # of a slot


class Entries(NamedTuple):
    """Which rows a pair of a cell counts in: entries start[cell]:start[cell + 1], `coefficient` times column `k`."""

    start: Ints  # (n_cells + 1,)
    row: Ints
    k: Ints  # 0 for exposure, else 1 + the number of an extra column
    coefficient: Floats


@jit(inline=True)
def _use(e: int, i: int, entries: Entries, extra: Floats) -> float:
    """What a unit of pair i adds to the row of entry e."""
    k = entries.k[e]
    return float(entries.coefficient[e] * (1.0 if k == 0 else extra[k - 1, i]))


@jit
def transfer(
    first: Ints, cell: Ints, extra: Floats, entries: Entries, lower: Floats, upper: Floats, totals: Floats, x: Floats
) -> float:
    """Move mass between the pairs of each user until no more of what exceeds `upper` finds room; what was moved.

    Where a user has a slot that is not full, mass that finds no room is dropped: its priced score is less than gamma.
    The pairs of user u are first[u]:first[u + 1]; cell (n,), extra (K, n) and x (n,) are theirs. x and totals, by row,
    are changed; a total within its limits stays so. Nearest in score goes first, which is highest x: it is
    clip((score - threshold) / gamma, 0, 1).
    """
    moved = 0.0
    for u in range(first.size - 1):
        together = 0.0
        for i in range(first[u], first[u + 1]):
            together += x[i]
        # slots are whole, and so are pairs that are not open: with a part left over, a slot is free and costs nothing
        has_room = abs(together - np.rint(together)) > _WHOLE
        for i in range(first[u], first[u + 1]):
            a, b = entries.start[cell[i]], entries.start[cell[i] + 1]
            while x[i] > 0.0:
                excess = 0.0  # of pair i's rows, in units of it
                for e in range(a, b):
                    use = _use(e, i, entries, extra)
                    row = entries.row[e]
                    if use > 0.0 and totals[row] > upper[row]:
                        excess = max(excess, (totals[row] - upper[row]) / use)
                if excess <= 0.0:
                    break
                best = -1
                most = 0.0
                for j in range(first[u], first[u + 1]):
                    if j == i or x[j] >= 1.0 or (best >= 0 and x[j] <= x[best]):
                        continue
                    step = min(excess, min(x[i], 1.0 - x[j]))
                    for e in range(a, b):  # rows that lose, unless j gives it back
                        change = -_use(e, i, entries, extra)
                        row = entries.row[e]
                        for f in range(entries.start[cell[j]], entries.start[cell[j] + 1]):
                            if entries.row[f] == row:
                                change += _use(f, j, entries, extra)
                        if change < 0.0:
                            step = min(step, max(0.0, totals[row] - lower[row]) / -change)
                        elif change > 0.0:
                            step = min(step, max(0.0, upper[row] - totals[row]) / change)
                    for f in range(entries.start[cell[j]], entries.start[cell[j] + 1]):
                        row = entries.row[f]
                        change = _use(f, j, entries, extra)
                        for e in range(a, b):
                            if entries.row[e] == row:
                                change = 0.0  # looked at above
                        if change > 0.0:
                            step = min(step, max(0.0, upper[row] - totals[row]) / change)
                        elif change < 0.0:
                            step = min(step, max(0.0, totals[row] - lower[row]) / -change)
                    if step > 1e-12:
                        best, most = j, step
                if best < 0:
                    if has_room:
                        best, most = i, min(excess, x[i])
                        for e in range(a, b):
                            use, row = _use(e, i, entries, extra), entries.row[e]
                            if use > 0.0:
                                most = min(most, max(0.0, totals[row] - lower[row]) / use)
                            elif use < 0.0:
                                most = min(most, max(0.0, upper[row] - totals[row]) / -use)
                        x[i] -= most
                        moved += most
                        for e in range(a, b):
                            totals[entries.row[e]] -= most * _use(e, i, entries, extra)
                    break
                x[i] -= most
                x[best] += most
                moved += most
                for e in range(a, b):
                    totals[entries.row[e]] -= most * _use(e, i, entries, extra)
                for f in range(entries.start[cell[best]], entries.start[cell[best] + 1]):
                    totals[entries.row[f]] += most * _use(f, best, entries, extra)
    return moved
