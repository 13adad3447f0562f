"""Scores of requests with calibrated columns, to the bits of `calibrate` followed by `score_some`.

Mapping a column first and scoring it then reads the class of every item twice, and writes what is read back at once.
So where one column is calibrated, in the last term of the objective or in one of two, and nothing else reads it, its
values are never written:

- a loop of vectors finds the piece of every score, and how far the score is behind the knot of the piece;
- the loop that takes the first price off knows the item's class. It reads value and slope of the piece, in the user's
  map or in the map of the class.

Other policies map their columns in blocks that stay in the cache, and score each block.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.calibrate import calibrate, copy_column, map_column, within
from oasis_alloc.kernels.serve.checked import Bits, are_finite, are_in_range, are_items
from oasis_alloc.kernels.serve.score import add_term, best_of, charge_columns, score_some
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints

_BLOCK = 256  # candidates that are calibrated and scored together: what is written for them stays in the cache


@jit(allocates=False)
def _mapped_term(plan: Floats, blend: Floats) -> int:
    """The term whose calibrated column is mapped where it is scored; -1 if columns are mapped first.

    Two terms may change places: (0 + a) + b has the bits of (0 + b) + a.
    """
    n_terms, found = int(blend[0]), -1
    for k in range(1 + n_terms, blend.size):
        if blend[k] == plan[2]:
            found = k - 1 - n_terms if found == -1 else n_terms
    fits = plan[0] == 1.0 and 0 <= found < n_terms and (found == n_terms - 1 or n_terms == 2)
    return found if fits else -1


@jit(inline=True, allocates=False)
def _pieces(n: np.uint64, given: Floats, plan: Floats, knots: int, piece: Ints, behind: Floats, room: Floats) -> None:
    """Write twice the number of the piece of each value, and how far the value is behind the piece's knot.

    The latter is NaN for values that are not finite. `room` has the knots meanwhile.
    """
    n_pieces = int(plan[1])
    low, high = plan[knots], plan[knots + n_pieces]
    if n_pieces == 4:  # maps of up to five knots: one loop
        x1, x2, x3 = plan[knots + 1], plan[knots + 2], plan[knots + 3]
        for i in range(n):
            g, x = given[i], low
            if g >= x1:
                x = x1
            if g >= x2:
                x = x2
            if g >= x3:
                x = x3
            piece[i] = (2 if g >= x1 else 0) + (2 if g >= x2 else 0) + (2 if g >= x3 else 0)
            behind[i] = (within(g, low, high) - x) + (g - g)
        return
    for k in range(0, n_pieces, 4):
        x0, x1, x2, x3 = plan[knots + k], plan[knots + k + 1], plan[knots + k + 2], plan[knots + k + 3]
        if not x0 < np.inf:
            break
        for i in range(n):
            g, x, j = given[i], low if k == 0 else room[i], 0 if k == 0 else piece[i]
            if k > 0 and g >= x0:
                x, j = x0, j + 2
            if g >= x1:
                x = x1
            if g >= x2:
                x = x2
            if g >= x3:
                x = x3
            room[i] = x
            piece[i] = j + ((2 if g >= x1 else 0) + (2 if g >= x2 else 0) + (2 if g >= x3 else 0))
    for i in range(n):
        g = given[i]
        behind[i] = (within(g, low, high) - room[i]) + (g - g)


@jit(allocates=False)
def _score_mapped(
    first: int, last: int, items: Ints, given: Floats, behind: Floats, room: Floats, blend: Floats, of_item: Counts,
    table: Floats, scores: Floats, plan: Floats, term: int,
) -> None:  # fmt: skip
    """Scores of a block; `behind` and `room` (at least its length,) are scratch."""
    n, n_terms, row = np.uint64(last - first), int(blend[0]), int(plan[2])
    own, place = np.uint64(plan[4]), int(plan[5])
    unseen, one, class_of = np.uint64(of_item.shape[1] - 1), np.uint64(1), of_item[0]
    item, s, price, weight = items[first:last], scores[first:last], table[0], blend[1 + term]
    piece = room.view(np.int64)
    _pieces(n, given[row, first:last], plan, int(plan[3]), piece, behind, s)
    if n_terms == 1:
        begin = -0.0 if weight == 1.0 else 0.0  # a single term of weight 1 as it is: -0.0 adds nothing
        for i in range(n):
            s[i] = begin
    is_first = True
    for t in range(n_terms):
        if t != term:
            add_term(first, last, blend[1 + t], int(blend[1 + n_terms + t]), is_first, given, s)
            is_first = False
    if place < 0:  # a choice within the loop would take twice as long
        for i in range(n):
            at = own + np.uint64(piece[i])
            y = plan[at] + plan[at + one] * behind[i]
            s[i] = (s[i] + weight * y) - price[class_of[min(np.uint64(item[i]), unseen)]]
    else:
        of_map = of_item[place]
        for i in range(n):
            c = class_of[min(np.uint64(item[i]), unseen)]
            at = np.uint64(of_map[c]) + np.uint64(piece[i])
            y = plan[at] + plan[at + one] * behind[i]
            s[i] = (s[i] + weight * y) - price[c]
    charge_columns(first, last, items, given, blend, of_item, table, scores)


@jit(allocates=False)
def score_calibrated(
    n: int, items: Ints, both: Floats, writes: bool, blend: Floats, of_item: Counts, table: Floats, scores: Floats,
    plan: Floats,
) -> None:  # fmt: skip
    """As `score`, of columns that are calibrated from the first block of `both`.

    Both blocks have one row more than columns, which is scratch. The second block has the calibrated columns afterwards
    if `writes`; otherwise it may be scratch, too.
    """
    given, values, term = both[0], both[1], -1 if writes else _mapped_term(plan, blend)
    end = given.shape[0] - 1
    behind, room = given[end], values[end]
    for first in range(0, n, _BLOCK):
        last = min(first + _BLOCK, n)
        if term < 0:
            calibrate(first, last, items, given, end, plan, of_item, values)
            score_some(first, last, items, values, blend, of_item, table, scores)
        else:
            _score_mapped(first, last, items, given, behind, room, blend, of_item, table, scores, plan, term)


@jit(allocates=False)
def best_calibrated(
    n: int, items: Ints, both: Floats, writes: bool, blend: Floats, of_item: Counts, table: Floats, k: int,
    min_size: int, floor: float, scores: Floats, out: Ints, plan: Floats,
) -> int:  # fmt: skip
    """As `best`, of columns that are calibrated; `both` and `writes` as for `score_calibrated`."""
    score_calibrated(n, items, both, writes, blend, of_item, table, scores, plan)
    return best_of(n, items, of_item, k, min_size, floor, scores, out)


@jit(allocates=False)
def _score_in_place(
    n: int, items: Ints, columns: Floats, writes: bool, blend: Floats, of_item: Counts, table: Floats, plan: Floats
) -> None:
    """Write scores into the third last row of `columns`, and calibrated columns over what was given if `writes`."""
    end = columns.shape[0] - 3
    scores, behind, room = columns[end], columns[end + 1], columns[end + 2]
    term = -1 if writes else _mapped_term(plan, blend)
    if term >= 0:
        for first in range(0, n, _BLOCK):
            last = min(first + _BLOCK, n)
            _score_mapped(first, last, items, columns, behind, room, blend, of_item, table, scores, plan, term)
        return
    for c in range(int(plan[0])):
        row = int(plan[2 + 4 * c])
        if row < end:
            map_column(c, not_literal(0), n, items, columns[row], plan, of_item, scores)
            copy_column(not_literal(0), n, scores, columns[row])
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)


@jit(allocates=False)
def calibrated_scores(
    n: int, items: Ints, columns: Floats, kept: int, is_slate: bool, blend: Floats, of_item: Counts, table: Floats,
    seen: Bits, plan: Floats,
) -> bool:  # fmt: skip
    """As `checked_scores`, of columns that are calibrated; `columns` has two rows of scratch after the scores."""
    n_items = of_item.shape[1] - 1
    if not (are_items(n, items, n_items, seen) if is_slate else are_in_range(n, items, n_items)):
        return False
    _score_in_place(n, items, columns, kept >= 0, blend, of_item, table, plan)
    return are_finite(n, columns[columns.shape[0] - 3]) and (kept < 0 or are_finite(n, columns[kept]))


@jit(allocates=False)
def calibrated_best(
    n: int, items: Ints, columns: Floats, blend: Floats, of_item: Counts, table: Floats, seen: Bits,
    size: int, min_size: int, floor: float, out: Ints, plan: Floats,
) -> int:  # fmt: skip
    """As `checked_best`, of columns that are calibrated; `columns` as for `calibrated_scores`."""
    if not are_items(n, items, of_item.shape[1] - 1, seen):
        return -1
    _score_in_place(n, items, columns, False, blend, of_item, table, plan)
    scores = columns[columns.shape[0] - 3]
    return best_of(n, items, of_item, size, min_size, floor, scores, out) if are_finite(n, scores) else -1
