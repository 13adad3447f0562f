"""The best few of a request's candidates by counting: what `best_of` finds, for loops over many requests.

`best_of` inserts one candidate after the other, and where each one goes cannot be foreseen, so the processor waits: 0.8
us for ten of fifty. Here the candidates are dealt onto k piles. The smallest of the piles' largest scores is a cut that
at least k candidates reach, and of random scores not many more than k. The place of each of these is the number of
scores above its own, which needs no branch: 0.25 us. It takes three arrays of scratch, which a loop has and a single
request would have to pass on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.score import best_of
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints

_MANY = 128  # candidates above the cut, from which counting takes longer than inserting
_LANES = 16  # comparisons that are made at a time, at most


class Few(NamedTuple):
    """Scratch of `best_few`."""

    place: Ints  # (n or more,)
    value: Floats  # (n + _LANES or more,)
    order: Ints  # (_MANY or more,)


@jit
def few_of(longest: int) -> Few:
    """Scratch for requests of up to `longest` candidates."""
    return Few(np.empty(longest, np.int64), np.empty(longest + _LANES), np.empty(_MANY, np.int64))


@jit(allocates=False)
def best_few(
    n: int, items: Ints, of_item: Counts, k: int, min_size: int, floor: float, scores: Floats, few: Few, out: Ints
) -> int:
    """As `best_of`, position by position."""
    place, value, order = few
    k = min(k, n)
    low = -np.inf if min_size > 0 else floor
    cut = np.inf
    for pile in range(np.uint64(k)):
        top = -np.inf
        at = np.uint64(pile)
        while at < np.uint64(n):
            s = scores[at]
            top = s if s > top else top  # not NaN
            at += np.uint64(k)
        cut = top if top < cut else cut
    above = np.uint64(0)
    for i in range(np.uint64(n)):
        s = scores[i]
        place[above], value[above] = i, s
        above += np.uint64((s >= cut) & (s > low))
    m = int(np.int64(above))
    if m > _MANY:
        return best_of(n, items, of_item, k, min_size, floor, scores, out)
    end = np.uint64((m + _LANES - 1) // _LANES * _LANES)
    for j in range(above, end):
        value[j] = -np.inf
    pairs = 0
    for a in range(above):
        mine, larger = value[a], 0
        for b in range(end):
            larger += value[b] > mine
        pairs += larger
        order[larger] = place[a]
    if 2 * pairs != m * (m - 1):  # some are equal: they go by rank
        return best_of(n, items, of_item, k, min_size, floor, scores, out)
    m = min(m, k)
    for j in range(m):
        out[j] = order[j]
    while m > min_size and not scores[out[m - 1]] > floor:
        m -= 1
    return m
