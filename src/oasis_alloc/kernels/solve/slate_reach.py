"""What slates can add to a total: of every user, the largest contributions that fit into one slate.

The size of a slate and its nested caps count, so the candidates of a user are picked one by one, the largest first:
under nested rules that is the largest sum (Edmonds, "Submodular functions, matroids, and certain polyhedra", 1970).
Caps that cross, kept shares and slots that must be filled are left out; they can only make the sum smaller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.visit import Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOTAL, TERMS, FRACTION = 0, 1, 2
"""Of every row: the sum over users, the numbers that were added up, and how far those are from whole numbers."""


class Entries(NamedTuple):
    """What a pair adds to rows, by its cell."""

    start: Ints  # (n_cells + 1,)
    row: npt.NDArray[np.int32]  # (n_entries,)
    coefficient: Floats  # (K + 1, n_entries): of exposure, and of every column
    widest: int  # the most entries of a cell


class Room(NamedTuple):
    """What slates hold: their sizes, and the caps of nested categories."""

    size: Ints  # (n_users,), or (1,) where all are equal
    of: npt.NDArray[np.int32]  # (n_systems, n_classes) category of a class, -1 for none
    most: Ints  # (n_systems,) items of one category
    n: int  # categories of the system that has most


@jit
def slate_reach(
    first: int, last: int, pairs: Pairs, n_classes: int, entries: Entries, room: Room, out: Floats
) -> None:  # fmt: skip
    """Add to out (3, n_rows) what slates of users first <= u < last can add to every row; negative parts count as 0."""
    indptr, code, extra, segment = pairs.indptr, pairs.code, pairs.extra, pairs.segment
    longest = 0
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    n_rows, n_systems = out.shape[1], room.most.size
    most = longest * entries.widest
    value, category_of, next_ = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    last_user, head, count = np.full(n_rows, -1), np.empty(n_rows, np.int64), np.empty(n_rows, np.int64)
    touched = np.empty(min(n_rows, most), np.int64)
    values, at = np.empty(longest), np.empty(longest, np.int64)
    taken, stamp = np.zeros((n_systems, room.n), np.int64), np.zeros((n_systems, room.n), np.int64)
    turn = 0
    tightest = np.iinfo(np.int64).max
    for k in range(n_systems):
        tightest = min(tightest, room.most[k])
    for u in range(first, last):
        size = room.size[u if room.size.size > 1 else 0]
        n = 0
        n_touched = 0
        for p in range(indptr[u], indptr[u + 1] if size > 0 else indptr[u]):
            cell = np.int64(segment[u]) * n_classes + np.int64(code[p])
            for entry in range(entries.start[cell], entries.start[cell + 1]):
                a = entries.coefficient[0, entry]
                for j in range(extra.shape[0]):
                    if entries.coefficient[j + 1, entry] != 0.0:
                        a += entries.coefficient[j + 1, entry] * extra[j, p]
                if not a > 0.0:
                    continue
                row = entries.row[entry]
                if last_user[row] != u:
                    last_user[row] = u
                    head[row] = -1
                    count[row] = 0
                    touched[n_touched] = row
                    n_touched += 1
                value[n] = a
                category_of[n] = code[p]
                next_[n] = head[row]
                head[row] = n
                count[row] += 1
                n += 1
        for which in range(n_touched):
            row = touched[which]
            k = head[row]
            m = 0
            smallest, largest = np.inf, 0.0
            while k >= 0:
                a = value[k]
                values[m] = a
                at[m] = k
                smallest, largest = min(smallest, a), max(largest, a)
                out[FRACTION, row] += a - np.floor(a)
                k = next_[k]
                m += 1
            if m <= min(size, tightest) or (smallest == largest and m > 0 and n_systems == 0):
                shown = min(m, size)
                total = 0.0
                for i in range(shown):
                    total += values[i]
                out[TOTAL, row] += total
                out[TERMS, row] += shown
                continue
            order = np.argsort(values[:m])
            turn += 1
            shown = 0
            for i in range(m - 1, -1, -1):
                if shown == size:
                    break
                k = at[order[i]]
                fits = True
                for s in range(n_systems):
                    category = room.of[s, category_of[k]]
                    if category >= 0:
                        if stamp[s, category] != turn:
                            stamp[s, category] = turn
                            taken[s, category] = 0
                        fits = fits and taken[s, category] < room.most[s]
                if not fits:
                    continue
                for s in range(n_systems):
                    category = room.of[s, category_of[k]]
                    if category >= 0:
                        taken[s, category] += 1
                out[TOTAL, row] += value[k]
                out[TERMS, row] += 1.0
                shown += 1
