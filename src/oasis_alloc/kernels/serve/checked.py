"""One request checked and scored in one call. It says whether a request is right; Python finds out what is wrong.

Items must be below the number of items, or -1 for unseen, and for a slate each there once; scores must be finite.
Columns that are scored need no check of their own: a score is finite only if all that it is made of is.

`columns` has one more row than the request has columns: its scores. `seen` has a bit per item, all zero before and
after. Batches, which have no buffers to keep between calls, look for duplicates in a hash table instead
(select_users.py), which takes twice as long here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.score import best_of, score_some
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints

Bits = npt.NDArray[np.uint64]


@jit(allocates=False)
def are_items(n: int, items: Ints, n_items: int, seen: Bits) -> bool:
    """Whether the first n are numbers of different items, or -1."""
    six, low, one = np.uint64(6), np.uint64(63), np.uint64(1)
    end = np.uint64(n_items)
    wrong = 0
    for i in range(np.uint64(n)):
        item = np.uint64(items[i])
        if item < end:
            word = item >> six
            bit = one << (item & low)
            before = seen[word]
            wrong += (before & bit) != 0
            seen[word] = before | bit
        else:
            wrong += items[i] != -1
    if n > seen.size:
        seen[:] = 0
    else:
        for i in range(np.uint64(n)):
            item = np.uint64(items[i])
            if item < end:
                seen[item >> six] = 0
    return wrong == 0


@jit(allocates=False)
def are_in_range(n: int, items: Ints, n_items: int) -> bool:
    wrong = 0
    for i in range(np.uint64(n)):
        wrong += (items[i] < -1) | (items[i] >= n_items)
    return wrong == 0


@jit(allocates=False)
def are_finite(n: int, values: Floats) -> bool:
    wrong = 0
    for i in range(np.uint64(n)):
        wrong += not abs(values[i]) < np.inf
    return wrong == 0


@jit(allocates=False)
def checked_scores(
    n: int, items: Ints, columns: Floats, kept: int, is_slate: bool, blend: Floats, of_item: Counts, table: Floats,
    seen: Bits,
) -> bool:  # fmt: skip
    """Write the priced scores of the first n candidates into the last row of `columns`; False if anything is wrong.

    `kept` is the row of a column that slates keep a share of, and that scores may not read; -1 if there is none.
    """
    n_items = of_item.shape[1] - 1
    if not (are_items(n, items, n_items, seen) if is_slate else are_in_range(n, items, n_items)):
        return False
    if kept >= 0 and not are_finite(n, columns[kept]):
        return False
    scores = columns[columns.shape[0] - 1]
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)
    return are_finite(n, scores)


@jit(allocates=False)
def checked_best(
    n: int, items: Ints, columns: Floats, blend: Floats, of_item: Counts, table: Floats, seen: Bits,
    size: int, min_size: int, floor: float, out: Ints,
) -> int:  # fmt: skip
    """As `checked_scores`, and the slate of `best_of`; -1 if anything is wrong."""
    if not are_items(n, items, of_item.shape[1] - 1, seen):
        return -1
    scores = columns[columns.shape[0] - 1]
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)
    if not are_finite(n, scores):
        return -1
    return best_of(n, items, of_item, size, min_size, floor, scores, out)
