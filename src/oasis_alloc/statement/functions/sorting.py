"""Rank-weighted sums as a small linear program, by a sorting network.

A relaxed comparator turns two numbers into one that is at most the smaller and another, so that their sum stays. With
decreasing weights v, taking less than the smaller one gains nothing, so the program's optimum is `v @ sort(e)`; its
dual is Goemans' extended formulation of the permutahedron, so its prices are in it (Goemans, Math. Program. 153:5,
2015; Lim and Wright, NIPS 2014). A comparator whose inputs cannot change places is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.statement.functions.support import Linear


def sorted_pieces(weights: Floats, low: Floats, high: Floats, known: Floats) -> Linear:
    """`weights @ sort(e)` for totals in [low, high]; beyond them still at most `known @ e`, for a point of Pi."""
    import scipy.sparse as sp

    n = weights.size
    order = np.argsort(low + high, kind="stable")  # an order that needs few exchanges
    low, high = low[order], high[order]
    column = np.arange(n)  # the variable that each wire carries; the first n are the totals themselves
    n_columns, n_rows = n, 0
    row, entry, sign = [], [], []
    for one, two in layers(n):
        crossing = high[one] > low[two]
        one, two = one[crossing], two[crossing]
        k = one.size
        if not k:
            continue
        less, more = n_columns + np.arange(k), n_columns + k + np.arange(k)
        first = n_rows + np.arange(k)
        # less + more = one + two;  less <= one;  less <= two
        row += [first] * 4 + [first + k] * 2 + [first + 2 * k] * 2
        entry += [less, more, column[one], column[two], less, column[one], less, column[two]]
        sign += [np.full(k, s) for s in (1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0)]
        column[one], column[two] = less, more
        ends = np.minimum(low[one], low[two]), np.minimum(high[one], high[two])
        low[two], high[two] = np.maximum(low[one], low[two]), np.maximum(high[one], high[two])
        low[one], high[one] = ends
        n_columns, n_rows = n_columns + 2 * k, n_rows + 3 * k
    # the value is the minimum of both sums: value <= weights @ sorted, value <= known @ totals
    row += [np.repeat([n_rows, n_rows + 1], n + 1)]
    entry += [np.concatenate([[n_columns], column, [n_columns], np.arange(n)])]
    sign += [np.concatenate([[1.0], -weights, [1.0], -known[order]])]
    where = (np.concatenate(row), np.concatenate(entry))
    inner = sp.csr_array((np.concatenate(sign), where), shape=(n_rows + 2, n_columns + 1))
    equal = np.append(np.diff(inner.indptr)[:n_rows] == 4, [False, False])
    gain = np.zeros(n_columns + 1)
    gain[-1] = 1.0
    totals = sp.csr_array((np.ones(n), (order, np.arange(n))), shape=(n, n_columns + 1))
    return Linear(totals, inner, equal, gain, np.full(n_columns + 1, -np.inf))


def layers(n: int) -> Iterator[tuple[Ints, Ints]]:
    """Comparators of Batcher's merge exchange for n wires, grouped into layers that can run at the same time.

    (Knuth, The Art of Computer Programming 3, algorithm 5.2.2M.) After all, the first wire has the smallest number.

    >>> [list(zip(one.tolist(), two.tolist())) for one, two in layers(4)]
    [[(0, 2), (1, 3)], [(0, 1), (2, 3)], [(1, 2)]]
    """
    if n < 2:
        return
    top = 1 << ((n - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            wire = np.arange(n - d)
            wire = wire[(wire & p) == r]
            yield wire, wire + d
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
