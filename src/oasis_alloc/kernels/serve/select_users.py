"""Slates of many users in one call: scores, then `slate_pick.py` or `slate_keep.py`, user by user.

A call from Python releases the interpreter lock and waits to get it back. For one small request of a microsecond this
costs a second thread more than it gains; for a hundred requests it does not matter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.score import best_of, score_some
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Counts, Fill, Floats, Ints, Keep, Scored, SlateOut
from oasis_alloc.kernels.serve.slate_keep import keep
from oasis_alloc.kernels.serve.slate_pick import pick

BatchFields = tuple[Ints, Ints, Floats]
"""indptr (n_users + 1,) of all users; items and columns (n_columns, ...) from the first user's candidates on."""

PriceFields = tuple[Floats, Counts, Floats, Ints]
"""blend, of_item, tables, segment: the prices of user u are tables[segment[u]]; see score.py."""

SlateRuleFields = tuple[Ints, Floats, Floats, int, float]
"""array and costs as in `CategoryRules`, costs without decrements, row of the column of `keep` or -1, its share."""


@jit(allocates=False)
def _first_wrong(
    number: int, a: int, b: int, items: Ints, columns: Floats, n_items: int, seen: npt.NDArray[np.uint64]
) -> int:
    """The first of the candidates a <= i < b that no request may have, or -1.

    Items are below n_items, -1 for unseen, and each there once; columns are finite. `seen` is a hash table, a power of
    two long, of (number of the user + 1, item), where what earlier users left counts as free.
    """
    wrong = 0
    for k in range(columns.shape[0]):
        column = columns[k, a:b]
        for i in range(np.uint64(b - a)):
            wrong += not abs(column[i]) < np.inf
    if wrong:
        for i in range(a, b):
            for k in range(columns.shape[0]):
                if not abs(columns[k, i]) < np.inf:
                    return i
    mask = np.uint64(seen.size - 1)
    stamp = np.uint64(number + 1)
    for i in range(a, b):
        item = items[i]
        if item < 0:
            if item < -1:
                return i
            continue
        if item >= n_items:
            return i
        entry = (stamp << np.uint64(32)) | np.uint64(item)
        at = ((np.uint64(item) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)) & mask
        while seen[at] >> np.uint64(32) == stamp:
            if seen[at] == entry:
                return i
            at = (at + np.uint64(1)) & mask
        seen[at] = entry
    return -1


@jit
def select_users(
    first: int, last: int, batch: BatchFields, prices: PriceFields, sizes: tuple[Ints, Ints], rules: SlateRuleFields,
    check: bool, out: tuple[Floats, Ints],
) -> int:  # fmt: skip
    """Write the priced scores of users first <= u < last, and row by row the pairs of their slates, then -1.

    `sizes` is (size, min_size) by user. `out` is (scores, slates): scores start at the first user's pairs, slates
    (last - first, k) at the first user. With `check`, returns the first pair that no request may have, and -1 where
    there is none.
    """
    indptr, items, columns = batch
    blend, of_item, tables, segment = prices
    array, costs, caps, kept, share = rules
    size, smallest = sizes
    scores, slates = out
    base = indptr[first]
    longest, n_categories = 1, array[1]
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    room = 4
    while check and room < 2 * longest:
        room *= 2
    seen = np.zeros(room, np.uint64)
    by_category = CategoryRules(array, costs, np.zeros(n_categories, np.int64))
    slate = SlateOut(np.empty(max(1, slates.shape[1]), np.int64), np.empty(max(1, slates.shape[1])))
    positions, info = slate.positions, np.empty(4)
    for u in range(first, last):
        a, b = indptr[u] - base, indptr[u + 1] - base
        mine, s, row, n = items[a:b], scores[a:b], slates[u - first], b - a
        if check:
            wrong = _first_wrong(u - first, a, b, items, columns, of_item.shape[1] - 1, seen)
            if wrong >= 0:
                return int(base + wrong)
        score_some(a, b, items, columns, blend, of_item, tables[segment[u]], scores)
        k = min(size[u], n)
        min_size = min(smallest[u], k)
        if kept >= 0:
            m = keep(
                Scored(n, s, mine, of_item), by_category, Fill(0, k, min_size, 0.0),
                Keep(columns[kept, a:b], caps, share), slate, info,
            )  # fmt: skip
        elif n_categories > 0:
            m = pick(Scored(n, s, mine, of_item), by_category, Fill(0, k, min_size, 0.0), slate)
        else:
            m = best_of(n, mine, of_item, k, min_size, 0.0, s, positions)
        for j in range(m):
            row[j] = indptr[u] + positions[j]
        row[m:] = -1
    return -1
