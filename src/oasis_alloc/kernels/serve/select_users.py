"""Slates of many users in one call: what `serve.py`, `slate_pick.py` and `slate_keep.py` do, one user after the other.

A call from Python lets go of the interpreter and waits to get it back. Around the microsecond of one small request that
costs a second thread more than it gains; around a hundred of them it does not count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.score import best_of, score_some
from oasis_alloc.kernels.serve.slate_keep import keep
from oasis_alloc.kernels.serve.slate_pick import pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class SlateArrays(NamedTuple):
    """The rules of slates as `slate_pick.pick` and `slate_keep.keep` read them."""

    rules: npt.NDArray[np.int64]
    stairs: npt.NDArray[np.float64]
    flat: npt.NDArray[np.float64]
    kept: int  # row of the column of which a share is kept, -1 for none
    share: float


@jit
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
    first: int,
    last: int,
    indptr: Ints,
    items: Ints,
    columns: Floats,
    blend: Floats,
    of_item: npt.NDArray[np.uint32],
    tables: Floats,
    segment: Ints,
    sizes: Ints,
    leasts: Ints,
    slates: SlateArrays,
    check: bool,
    scores: Floats,
    out: Ints,
) -> int:
    """Write the priced scores of users first <= u < last, and row by row the pairs of their slates, then -1.

    `items`, `columns` and `scores` start at the first user's pairs, `out` (last - first, k) at the first user; the
    prices of user u are tables[segment[u]]. With `check`, returns the first pair that no request may have, and -1 where
    there is none.
    """
    rules, stairs, flat, kept, share = slates
    base = indptr[first]
    longest, n_categories = 1, rules[1]
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    room = 4
    while check and room < 2 * longest:
        room *= 2
    seen, counts = np.zeros(room, np.uint64), np.zeros(n_categories, np.int64)
    positions, marginal = np.empty(max(1, out.shape[1]), np.int64), np.empty(max(1, out.shape[1]))
    info = np.empty(4)
    none = counts.size - n_categories  # pinned: a literal 0 would have all that is called compiled once more
    for u in range(first, last):
        a, b = indptr[u] - base, indptr[u + 1] - base
        mine, s, row, n = items[a:b], scores[a:b], out[u - first], b - a
        if check:
            wrong = _first_wrong(u - first, a, b, items, columns, of_item.shape[1] - 1, seen)
            if wrong >= 0:
                return int(base + wrong)
        score_some(a, b, items, columns, blend, of_item, tables[segment[u]], scores)
        k = min(sizes[u], n)
        least = min(leasts[u], k)
        if kept >= 0:
            m = keep(
                n, s, columns[kept, a:b], mine, of_item, rules, stairs, flat, counts, none, k, least, 0.0, share,
                positions, marginal, info,
            )  # fmt: skip
        elif n_categories > 0:
            m = pick(n, s, mine, of_item, rules, stairs, counts, none, k, least, 0.0, positions, marginal)
        else:
            m = best_of(n, mine, of_item, k, least, 0.0, s, positions)
        for j in range(m):
            row[j] = indptr[u] + positions[j]
        row[m:] = -1
    return -1
