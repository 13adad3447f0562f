"""Priced scores of one request and its best few: the formula of serving/formula.py, every operation rounded separately.

The numbers of a policy are in three arrays, because each array of a call costs as much as scoring twenty candidates:

- `blend` (1 + 2 n_terms + K,): the number of terms of the objective, their weights, the row of `columns` of each (-1
  for a constant 1), and the row of each column that has prices;
- `of_item` (2, n_items + 1): class and rank of every item, in the last column those of unknown items;
- `table` (K + 1, n_classes): prices.

Items out of range, such as -1, are unseen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]

_PEEK = 32  # candidates that are looked at together: most of them hold none of the best


@jit(inline=True, allocates=False)
def add_term(
    first: int, last: int, weight: float, row: int, is_first: bool, columns: Floats, s: Floats
) -> None:  # fmt: skip
    """s = s + weight * column, or s + weight where there is no row; the first term is added to 0."""
    n = np.uint64(last - first)
    v = columns[max(row, 0), first:last]  # one row is contiguous, a part of all rows is not: its loops have no vectors
    if row < 0:
        for i in range(n):
            s[i] = (0.0 if is_first else s[i]) + weight
    elif is_first:
        for i in range(n):
            s[i] = 0.0 + weight * v[i]
    else:
        for i in range(n):
            s[i] = s[i] + weight * v[i]


@jit(allocates=False)
def score_some(
    first: int,
    last: int,
    items: Ints,
    columns: Floats,
    blend: Floats,
    of_item: Counts,
    table: Floats,
    out: Floats,
) -> None:
    """Write the priced scores of candidates first <= i < last into out; `first` is no literal."""
    n = np.uint64(last - first)
    n_terms = int(blend[0])
    unseen = np.uint64(of_item.shape[1] - 1)
    class_of = of_item[0]
    s = out[first:last]
    item = items[first:last]
    price = table[0]
    # the last term is added where the first price is taken off: one walk less over the block
    if n_terms == 1 and blend[1] == 1.0 and blend[2] >= 0.0:
        v = columns[int(blend[2]), first:last]
        for i in range(n):
            s[i] = v[i] - price[class_of[min(np.uint64(item[i]), unseen)]]
    else:
        for t in range(n_terms - 1):
            add_term(first, last, blend[1 + t], int(blend[1 + n_terms + t]), t == 0, columns, s)
        weight = blend[n_terms] if n_terms > 0 else 0.0
        row = int(blend[2 * n_terms]) if n_terms > 0 else -1
        if n_terms > 1 and row >= 0:
            v = columns[row, first:last]
            for i in range(n):
                s[i] = (s[i] + weight * v[i]) - price[class_of[min(np.uint64(item[i]), unseen)]]
        else:
            add_term(first, last, weight, row, n_terms <= 1, columns, s)
            for i in range(n):
                s[i] = s[i] - price[class_of[min(np.uint64(item[i]), unseen)]]
    charge_columns(first, last, items, columns, blend, of_item, table, out)


@jit(inline=True, allocates=False)
def charge_columns(
    first: int, last: int, items: Ints, columns: Floats, blend: Floats, of_item: Counts, table: Floats, out: Floats
) -> None:
    """Take the prices of columns off the scores in out."""
    n, n_terms = np.uint64(last - first), int(blend[0])
    unseen, class_of = np.uint64(of_item.shape[1] - 1), of_item[0]
    s, item = out[first:last], items[first:last]
    for k in range(1, table.shape[0]):
        price = table[k]
        v = columns[int(blend[2 * n_terms + k]), first:last]
        for i in range(n):
            s[i] = s[i] - price[class_of[min(np.uint64(item[i]), unseen)]] * v[i]


@jit(allocates=False)
def score(
    n: int,
    items: Ints,
    columns: Floats,
    blend: Floats,
    of_item: Counts,
    table: Floats,
    out: Floats,
) -> None:
    """Write the priced scores of the first n candidates into out."""
    score_some(not_literal(0), n, items, columns, blend, of_item, table, out)


@jit(allocates=False)
def best(
    n: int,
    items: Ints,
    columns: Floats,
    blend: Floats,
    of_item: Counts,
    table: Floats,
    k: int,
    min_size: int,
    floor: float,
    scores: Floats,
    out: Ints,
) -> int:
    """Write the priced scores of the first n candidates, and the positions of the best k of them; as `best_of`."""
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)
    return best_of(n, items, of_item, k, min_size, floor, scores, out)


@jit(allocates=False)
def best_of(
    n: int,
    items: Ints,
    of_item: Counts,
    k: int,
    min_size: int,
    floor: float,
    scores: Floats,
    out: Ints,
) -> int:
    """Write the positions of the best k of the first n candidates by their scores, best first.

    Those not above `floor` are left out unless there are fewer than `min_size` without them. Equal scores go by rank,
    then position. NaN is never among the best. Returns how many there are.
    """
    unseen = np.uint64(of_item.shape[1] - 1)
    rank = of_item[1]
    m = 0
    k = min(k, n)
    cut = -np.inf if min_size > 0 else floor
    for start in range(0, n, _PEEK):
        end = min(start + _PEEK, n)
        block = scores[start:end]
        above = 0
        for i in range(np.uint64(end - start)):
            above += block[i] >= cut
        if above == 0 or k <= 0:
            continue
        for i in range(start, end):
            s = scores[i]
            if not s >= cut or not (s > floor or (min_size > 0 and s > -np.inf)):
                continue
            mine = rank[min(np.uint64(items[i]), unseen)]
            j = min(m, k - 1)
            if m == k:
                other = out[j]
                t = scores[other]
                if s < t or (s == t and mine >= rank[min(np.uint64(items[other]), unseen)]):
                    continue
            else:
                m += 1
            while j > 0:
                other = out[j - 1]
                t = scores[other]
                if s < t or (s == t and mine >= rank[min(np.uint64(items[other]), unseen)]):
                    break
                out[j] = other
                j -= 1
            out[j] = i
            if m == k:
                cut = max(scores[out[k - 1]], cut)
    while m > min_size and not scores[out[m - 1]] > floor:
        m -= 1
    return m


@jit(allocates=False)
def add(first: int, last: int, weight: float, column: npt.NDArray[np.floating[Any]], out: Floats) -> None:
    """out[i] = out[i] + weight * column[i], for a batch."""
    n = np.uint64(last - first)
    v = column[first:last]
    s = out[first:last]
    for i in range(n):
        s[i] = s[i] + weight * v[i]


@jit(allocates=False)
def charge(
    first: int, last: int, pairs: tuple[Ints, Counts], class_of: Counts, prices: tuple[Floats, Ints, int],
    column: npt.NDArray[np.floating[Any]] | None, out: Floats,
) -> int:  # fmt: skip
    """Take the prices of a column off the pairs of users first <= u < last of a batch; None is exposure.

    `pairs` is (indptr, items) and `prices` (tables, segment, k): those of user u are tables[segment[u], k]. `items`,
    `column` and `out` start at the first user's pairs. Returns how many scores are not finite now.
    """
    indptr, items = pairs
    tables, segment, k = prices
    base = indptr[first]
    unseen = np.uint32(class_of.size - 1)
    wrong = 0
    for u in range(first, last):
        a = indptr[u] - base
        n = np.uint64(indptr[u + 1] - indptr[u])
        item = items[a : a + n]
        s = out[a : a + n]
        price = tables[segment[u], k]
        if column is None:
            for i in range(n):
                s[i] = s[i] - price[class_of[min(item[i], unseen)]]
        else:
            c = column[a : a + n]
            for i in range(n):
                s[i] = s[i] - price[class_of[min(item[i], unseen)]] * c[i]
        for i in range(n):
            wrong += not abs(s[i]) < np.inf
    return wrong
