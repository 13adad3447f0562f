"""Calibrated columns of requests: monotone pieces added one by one, in the arithmetic of data/column_map.py.

What a request of one kind of user needs is one array, because each array of a call costs as much as scoring a hundred
candidates. `plan` (1 + n + m, 1 + 4 K) has

- in row 0 the number n of calibrated columns;
- a row for each of these: its row among the columns; its map, or -1 if that depends on the item; and then the row of
  `of_item` that has the map of every item, in the last column that of unknown items;
- the m maps, numbered by their rows of `plan`: the value at the first knot, then K knots, K widths, and for each of the
  K pieces the value at its knot and its slope. Maps with fewer pieces end with pieces of width 0, which add 0.

A value that is not finite stays so (NaN), for the checks of the scores.

The value at a knot is the sum of the pieces below it, in the order of the specification. A value beyond a piece adds
its whole width, to the bit, because differences are monotone under rounding; a value below adds 0. So one piece alone
gives the bits of all. That is what maps by item do: all maps of a column have the same knots, so the pieces are found
for all candidates at once, and each candidate reads two neighbors of its own map. With one map for all candidates there
is nothing to look up, and adding all pieces takes no longer than choosing one.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.checked import Bits, checked_best, checked_scores
from oasis_alloc.kernels.serve.score import best
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints


@jit(allocates=False)
def piecewise(first: int, last: int, v: Floats, one: Floats, out: Floats) -> None:
    """Write the values of one map at v[first:last] into out[first:last]; not in place. `first` is no literal."""
    n = np.uint64(last - first)
    n_pieces = (one.size - 1) // 4
    given, s = v[first:last], out[first:last]
    low, knot, width, slope = one[0], one[1], one[1 + n_pieces], one[2 + 2 * n_pieces]
    for i in range(n):
        d = given[i] - knot
        d = d if d > 0.0 else 0.0
        d = d if d < width else width
        s[i] = (low + (given[i] - given[i])) + slope * d
    for k in range(2, 1 + n_pieces):
        knot, width, slope = one[k], one[n_pieces + k], one[2 * n_pieces + 2 * k]
        if width > 0.0:
            for i in range(n):
                d = given[i] - knot
                d = d if d > 0.0 else 0.0
                d = d if d < width else width
                s[i] = s[i] + slope * d


@jit(inline=True, allocates=False)
def _copy(first: int, last: int, v: Floats, out: Floats) -> None:
    """In a loop: assigning a slice looks for overlaps first, which takes longer than the copy."""
    n = np.uint64(last - first)
    given, s = v[first:last], out[first:last]
    for i in range(n):
        s[i] = given[i]


@jit(allocates=False)
def piecewise_by_item(
    first: int, last: int, items: Ints, v: Floats, maps: Floats, map_of: Counts, out: Floats
) -> None:  # fmt: skip
    """The same where every candidate has the map of its item; all have the knots of the map of unseen items."""
    n = np.uint64(last - first)
    n_pieces = (maps.shape[1] - 1) // 4
    unseen = np.uint64(map_of.size - 1)
    shared = maps[map_of[unseen]]
    given, item, s = v[first:last], items[first:last], out[first:last]
    for i in range(n):
        s[i] = 0.0
    for k in range(2, 1 + n_pieces):
        knot = shared[k]
        if shared[n_pieces + k] > 0.0:
            for i in range(n):
                s[i] = s[i] + (1.0 if given[i] >= knot else 0.0)
    knots, widths = shared[1 : 1 + n_pieces], shared[1 + n_pieces : 1 + 2 * n_pieces]
    values, slopes = maps[:, 1 + 2 * n_pieces :], maps[:, 2 + 2 * n_pieces :]
    for i in range(n):
        piece = np.uint64(np.int64(s[i]))  # signed ones are checked for being negative wherever they are used
        d = given[i] - knots[piece]
        d = d if d > 0.0 else 0.0
        d = d if d < widths[piece] else widths[piece]
        one, at = map_of[min(np.uint64(item[i]), unseen)], piece + piece
        s[i] = (values[one, at] + (given[i] - given[i])) + slopes[one, at] * d


@jit(allocates=False)
def _map_column(
    c: int, first: int, last: int, items: Ints, given: Floats, plan: Floats, of_item: Counts, out: Floats
) -> None:  # fmt: skip
    one = int(plan[c, 1])
    if one >= 0:
        piecewise(first, last, given, plan[one], out)
    else:
        piecewise_by_item(first, last, items, given, plan, of_item[int(plan[c, 2])], out)


@jit(allocates=False)
def calibrate(
    first: int, last: int, items: Ints, given: Floats, n_columns: int, plan: Floats, of_item: Counts, out: Floats
) -> None:
    """Write the first `n_columns` columns of candidates first <= i < last into out, calibrated where the plan says."""
    n = int(plan[0, 0])
    for row in range(n_columns):
        is_mapped = False
        for c in range(1, 1 + n):
            is_mapped |= int(plan[c, 0]) == row
        if not is_mapped:
            _copy(first, last, given[row], out[row])
    for c in range(1, 1 + n):
        row = int(plan[c, 0])
        if row < n_columns:
            _map_column(c, first, last, items, given[row], plan, of_item, out[row])


@jit(allocates=False)
def calibrate_in_place(n: int, items: Ints, columns: Floats, plan: Floats, of_item: Counts) -> None:
    """Calibrate the columns of buffers whose last row is for scores; it holds one column meanwhile."""
    end = columns.shape[0] - 1
    room = columns[end]
    for c in range(1, 1 + int(plan[0, 0])):
        row = int(plan[c, 0])
        if row < end:
            _map_column(c, not_literal(0), n, items, columns[row], plan, of_item, room)
            _copy(not_literal(0), n, room, columns[row])


@jit(allocates=False)
def calibrated_scores(
    n: int, items: Ints, columns: Floats, kept: int, is_slate: bool, blend: Floats, of_item: Counts, table: Floats,
    seen: Bits, plan: Floats,
) -> bool:  # fmt: skip
    """As `checked_scores`, of columns that are calibrated first."""
    calibrate_in_place(n, items, columns, plan, of_item)
    return checked_scores(n, items, columns, kept, is_slate, blend, of_item, table, seen)


@jit(allocates=False)
def calibrated_best(
    n: int, items: Ints, columns: Floats, blend: Floats, of_item: Counts, table: Floats, seen: Bits,
    size: int, min_size: int, floor: float, out: Ints, plan: Floats,
) -> int:  # fmt: skip
    """As `checked_best`, of columns that are calibrated first."""
    calibrate_in_place(n, items, columns, plan, of_item)
    return checked_best(n, items, columns, blend, of_item, table, seen, size, min_size, floor, out)


@jit(allocates=False)
def best_calibrated(
    n: int, items: Ints, both: Floats, blend: Floats, of_item: Counts, table: Floats, k: int, min_size: int,
    floor: float, scores: Floats, out: Ints, plan: Floats,
) -> int:  # fmt: skip
    """As `best`, of columns that are calibrated from the first block of `both` (2, n_columns, ...) into the second."""
    given, values = both[0], both[1]
    calibrate(not_literal(0), n, items, given, given.shape[0], plan, of_item, values)
    return best(n, items, values, blend, of_item, table, k, min_size, floor, scores, out)


@jit(allocates=False)
def calibrate_users(
    kind: Ints, indptr: Ints, items: Ints, column: Floats, which: Ints, maps: Floats, map_of: Counts, out: Floats
) -> None:
    """One column of a batch: `which` (n_kinds,) is the map of each kind of user, -1 if that is the item's."""
    for u in range(indptr.size - 1):
        one = which[kind[u]]
        if one >= 0:
            piecewise(indptr[u], indptr[u + 1], column, maps[one], out)
        else:
            piecewise_by_item(indptr[u], indptr[u + 1], items, column, maps, map_of, out)
