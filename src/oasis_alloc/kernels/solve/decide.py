"""Decisions by prices: scores, margins, and the split of pairs into in, out and undecided.

A user's cut is midway between the last item in and the first item out of the best slate (0 where the slate is not
full). A pair's margin is the distance of its priced score to the cut: an error of the prices below the margin does
not change whether it is shown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.largest import largest
from oasis_alloc.kernels.solve.ties import spread_around
from oasis_alloc.kernels.solve.visit import Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IN, OUT_OF, UNDECIDED = 1, 0, 2
N_BINS = 512
_TIED = 1e-6  # as in visit.py
_FILLED = 1e-12  # of a slate's slots: what rounding may add to them


@jit(allocates=False)
def score(first: int, last: int, pairs: Pairs, price: Floats, out: Floats) -> None:
    """Write the priced scores of the pairs of users first <= u < last into out, which starts at the first one's."""
    indptr, code, value, extra, segment = pairs
    base = indptr[first]
    for u in range(first, last):
        a = indptr[u]
        n = np.uint64(indptr[u + 1] - a)
        v = value[a : a + n]
        k = code[a : a + n]
        s = out[a - base : a - base + n]
        table = price[0, segment[u]]
        for i in range(n):
            s[i] = v[i] - table[k[i]]
        for j in range(extra.shape[0]):
            column = extra[j, a : a + n]
            table = price[j + 1, segment[u]]
            for i in range(n):
                s[i] -= table[k[i]] * column[i]


@jit
def _cut(s: Floats, n: int, size: int, top: Floats) -> float:
    """Midway between the size-th and the next score, not below 0; 0 where fewer than `size` scores are positive."""
    largest(s, n, size, top)
    last = top[size - 1]
    if last <= 0.0:
        return 0.0
    return float(0.5 * (last + max(top[size], 0.0)))


@jit
def margins(first: int, last: int, pairs: Pairs, price: Floats, size: int, widest: float, histogram: Ints) -> None:
    """Count pairs by margin into histogram (N_BINS,) of equal bins over [0, widest); wider margins are not counted."""
    indptr = pairs.indptr
    longest = 0
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    s = np.empty(longest)
    top = np.empty(size + 1)
    per = N_BINS / widest
    for u in range(first, last):
        n = indptr[u + 1] - indptr[u]
        score(u, u + 1, pairs, price, s)
        cut = _cut(s, n, size, top)
        for i in range(n):
            margin = abs(s[i] - cut)
            if margin < widest:
                histogram[int(margin * per)] += 1


@jit
def decide(
    first: int,
    last: int,
    pairs: Pairs,
    price: Floats,
    size: int,
    margin: Floats,
    state: npt.NDArray[np.uint8],
    bound: Floats,
) -> None:
    """Write IN, OUT_OF or UNDECIDED into state, which starts at the pairs of user `first`.

    Pairs within `margin[cell]` (n_segments, n_classes) of their user's cut are undecided. What the best slates
    are worth at these prices is added to bound (1,), as a visit does.
    """
    indptr = pairs.indptr
    longest = 0
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    s = np.empty(longest)
    top = np.empty(size + 1)
    base = indptr[first]
    worth = bound[0]
    for u in range(first, last):
        a = indptr[u] - base
        n = indptr[u + 1] - indptr[u]
        k = pairs.code[indptr[u] : indptr[u + 1]]
        within = margin[pairs.segment[u]]
        score(u, u + 1, pairs, price, s)
        cut = _cut(s, n, size, top)
        for j in range(size):
            worth += max(top[j], 0.0)
        for i in range(n):
            if abs(s[i] - cut) <= within[k[i]]:
                state[a + i] = UNDECIDED
            elif s[i] > cut:
                state[a + i] = IN
            else:
                state[a + i] = OUT_OF
    bound[0] = worth


@jit
def allocate(
    first: int, last: int, pairs: Pairs, price: Floats, size: int, gamma: float, threshold: Floats, x: Floats
) -> None:  # fmt: skip
    """Write the smoothed slates of users first <= u < last, whose thresholds are known, into x of their pairs."""
    base = pairs.indptr[first]
    longest = 0
    for u in range(first, last):
        longest = max(longest, pairs.indptr[u + 1] - pairs.indptr[u])
    shared = np.empty(longest)
    for u in range(first, last):
        a = pairs.indptr[u] - base
        b = pairs.indptr[u + 1] - base
        score(u, u + 1, pairs, price, x[a:b])
        t = threshold[u]
        mass = 0.0
        for i in range(a, b):
            mass += min(1.0, max(0.0, (x[i] - t) / gamma))
        if t > 0.0 and abs(mass - size) > _TIED:
            spread_around(x[a:b], b - a, size, t, gamma, shared)
            for i in range(b - a):
                x[a + i] = shared[i]
            continue
        ones = 0.0
        for i in range(a, b):
            x[i] = min(1.0, max(0.0, (x[i] - t) / gamma))
            ones += 1.0 if x[i] == 1.0 else 0.0
        if mass - size > _FILLED * size and mass > ones:
            # thousands of ties: what a threshold rounds is in every one of them, and a slate has no more than its slots
            part = max(0.0, size - ones) / (mass - ones)
            for i in range(a, b):
                if x[i] < 1.0:
                    x[i] *= part


@jit
def add_up(first: int, positions: Ints, at: Ints, x: Floats, pairs: Pairs, n_classes: int, load: Floats) -> float:
    """Add the totals of an allocation, given by its non-zeros, to load (K + 1, n_cells); return its value v x.

    positions ascend, from user `first` on in pairs.indptr; at is where in the arrays of pairs they are.
    """
    worth = 0.0
    u = first
    for i in range(positions.size):
        while positions[i] >= pairs.indptr[u + 1]:
            u += 1
        p = at[i]
        cell = np.int64(pairs.segment[u]) * n_classes + np.int64(pairs.code[p])
        load[0, cell] += x[i]
        for j in range(pairs.extra.shape[0]):
            load[j + 1, cell] += x[i] * pairs.extra[j, p]
        worth += x[i] * pairs.value[p]
    return worth


@jit
def survey(first: int, last: int, start: int, pairs: Pairs, out: Floats) -> None:
    """Add the sizes and the negative parts of values to out[0] and out[1]; out[2] is the largest size so far.

    out[3] is added to so that it differs where values and classes stand otherwise; pairs are numbered from `start` on.
    """
    size = out[0]
    lowest = out[1]
    largest = out[2]
    mark = out[3]
    for p in range(pairs.indptr[first], pairs.indptr[last]):
        v = np.float64(pairs.value[p])
        size += abs(v)
        lowest += min(v, 0.0)
        largest = max(largest, abs(v))
        mark += (v + pairs.code[p]) * (1.0 + ((start + p - pairs.indptr[first]) & 1023))
    out[0] = size
    out[1] = lowest
    out[2] = largest
    out[3] = mark


@jit
def reach(first: int, last: int, pairs: Pairs, n_classes: int, positive: Floats, negative: Floats) -> None:
    """Add the positive and negative parts of every column of all pairs to tables (K + 1, n_cells)."""
    for u in range(first, last):
        cell0 = np.int64(pairs.segment[u]) * n_classes
        for p in range(pairs.indptr[u], pairs.indptr[u + 1]):
            cell = cell0 + np.int64(pairs.code[p])
            positive[0, cell] += 1.0
            for j in range(pairs.extra.shape[0]):
                c = pairs.extra[j, p]
                if c > 0.0:
                    positive[j + 1, cell] += c
                else:
                    negative[j + 1, cell] += c
