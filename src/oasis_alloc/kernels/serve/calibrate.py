"""Calibrated columns of requests: monotone piecewise-linear maps, to the bits of data/column_map.py.

What a request of one kind of user needs is one array, because each array of a call costs as much as scoring a hundred
candidates. `plan`, of one dimension, has

- the number n of calibrated columns, and the number of pieces of a map, a multiple of 4;
- for each of the n: its row among the columns; where its knots begin; where the user's map begins, and the row of
  `of_item` with the place of the map of every class of items if the map depends on the item, else -1;
- the knots of each column: where each piece begins, infinite for pieces that it does not have, then its last knot;
- the maps, one after the other: for each piece the value at its knot, then its slope.

A value that is not finite becomes NaN, for the checks of the scores.

The specification adds all pieces up, in order. A value beyond a piece adds its whole width, to the bit, because
differences are monotone under rounding, and a value below adds 0. So the last piece that begins at or below the value
gives the bits of all, if `starts` of column_map.py is the value at its knot. Values are compared with four knots in one
loop, which the compiler makes vectors of.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints


@jit(inline=True, allocates=False)
def within(g: float, low: float, high: float) -> float:
    """NaN stays so."""
    c = low if g < low else g
    return high if c > high else c


@jit(allocates=False)
def piecewise(first: int, last: int, v: Floats, plan: Floats, knots: int, at: int, out: Floats) -> None:
    """Write the values at v[first:last] of the map that begins at plan[at] into out[first:last]; not in place.

    `first` is no literal, here and below.
    """
    n, n_pieces = np.uint64(last - first), int(plan[1])
    given, s = v[first:last], out[first:last]
    low, high = plan[knots], plan[knots + n_pieces]
    for k in range(0, n_pieces, 4):
        x0, x1, x2, x3 = plan[knots + k], plan[knots + k + 1], plan[knots + k + 2], plan[knots + k + 3]
        one = plan[at + 2 * k : at + 2 * k + 8]
        y0, y1, y2, y3, b0, b1, b2, b3 = one[0], one[2], one[4], one[6], one[1], one[3], one[5], one[7]
        if not x0 < np.inf:
            break
        for i in range(n):
            g = given[i]
            x, y, b = x0, y0, b0
            if g >= x1:
                x, y, b = x1, y1, b1
            if g >= x2:
                x, y, b = x2, y2, b2
            if g >= x3:
                x, y, b = x3, y3, b3
            t = (y + (g - g)) + b * (within(g, low, high) - x)
            s[i] = t if k == 0 or g >= x0 else s[i]


@jit(inline=True, allocates=False)
def copy_column(first: int, last: int, v: Floats, out: Floats) -> None:
    """In a loop: assigning a slice looks for overlaps first, which takes longer than the copy."""
    n = np.uint64(last - first)
    given, s = v[first:last], out[first:last]
    for i in range(n):
        s[i] = given[i]


@jit(allocates=False)
def piecewise_by_item(
    first: int, last: int, items: Ints, v: Floats, plan: Floats, knots: int, class_of: Counts, map_of: Counts,
    out: Floats,
) -> None:  # fmt: skip
    """The same where every candidate has the map of its item's class, which begins at plan[map_of[class]]."""
    n, n_pieces = np.uint64(last - first), int(plan[1])
    unseen, one = np.uint64(class_of.size - 1), np.uint64(1)
    given, item, s = v[first:last], items[first:last], out[first:last]
    for k in range(0, n_pieces, 4):  # twice the number of the piece
        x0, x1, x2, x3 = plan[knots + k], plan[knots + k + 1], plan[knots + k + 2], plan[knots + k + 3]
        if not x0 < np.inf:
            break
        for i in range(n):
            g = given[i]
            t = (0.0 if k == 0 else s[i]) + (2.0 if k > 0 and g >= x0 else 0.0)
            s[i] = (t + (2.0 if g >= x1 else 0.0)) + ((2.0 if g >= x2 else 0.0) + (2.0 if g >= x3 else 0.0))
    begins = plan[knots : knots + n_pieces]
    low, high = plan[knots], plan[knots + n_pieces]
    for i in range(n):
        g, double = given[i], np.uint64(np.int64(s[i]))  # signed numbers are checked for being negative at each use
        at = np.uint64(map_of[class_of[min(np.uint64(item[i]), unseen)]]) + double
        s[i] = (plan[at] + (g - g)) + plan[at + one] * (within(g, low, high) - begins[double >> one])


@jit(allocates=False)
def map_column(
    c: int, first: int, last: int, items: Ints, given: Floats, plan: Floats, of_item: Counts, out: Floats
) -> None:  # fmt: skip
    knots, place = int(plan[3 + 4 * c]), int(plan[5 + 4 * c])
    if place < 0:
        piecewise(first, last, given, plan, knots, int(plan[4 + 4 * c]), out)
    else:
        piecewise_by_item(first, last, items, given, plan, knots, of_item[0], of_item[place], out)


@jit(allocates=False)
def calibrate(
    first: int, last: int, items: Ints, given: Floats, n_columns: int, plan: Floats, of_item: Counts, out: Floats
) -> None:
    """Write the first `n_columns` columns of candidates first <= i < last into out, calibrated where the plan says."""
    n = int(plan[0])
    for row in range(n_columns):
        is_mapped = False
        for c in range(n):
            is_mapped |= int(plan[2 + 4 * c]) == row
        if not is_mapped:
            copy_column(first, last, given[row], out[row])
    for c in range(n):
        row = int(plan[2 + 4 * c])
        if row < n_columns:
            map_column(c, first, last, items, given[row], plan, of_item, out[row])


@jit(allocates=False)
def calibrate_users(
    kind: Ints, indptr: Ints, items: Ints, column: Floats, c: int, which: Ints, plan: Floats, of_item: Counts,
    out: Floats,
) -> None:  # fmt: skip
    """Calibrated column c of a batch: `which` (n_kinds,) is where the map of each kind of user begins in `plan`."""
    knots, place = int(plan[3 + 4 * c]), int(plan[5 + 4 * c])
    for u in range(indptr.size - 1):
        first, last = indptr[u], indptr[u + 1]
        if place < 0:
            piecewise(first, last, column, plan, knots, which[kind[u]], out)
        else:
            piecewise_by_item(first, last, items, column, plan, knots, of_item[0], of_item[place], out)
