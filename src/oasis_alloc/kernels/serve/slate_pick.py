"""One slate under rules by category: greedy by marginal priced score, and the share of a column that is kept.

`rules` is one array of integers: [n_systems, n_categories, n_entries, start (n_classes + 1,), category (n_entries,),
system (n_categories,)]. A class has the categories `category[start[c]:start[c + 1]]`, those of the first system first;
the last class is of items that were never seen and has none. `stairs` (n_systems, k): what the j-th item of a category
costs, infinite from the system's cap on.

The marginal of a candidate is `s - steps`, the steps of its categories taken off one after the other. Greedy takes the
largest, ties by rank, then position, until none is above the floor. Where every item has one category a system and
systems nest, the slate's worth is an M-natural concave function, for which this is optimal (Murota, "Discrete Convex
Analysis", 2003, ch. 6); elsewhere caps are kept all the same and the rest is greedy's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HEAD = 3


@jit
def _marginal(s: float, klass: int, rules: Ints, stairs: Floats, counts: Ints) -> float:
    """Score less the steps that the candidate's categories are at."""
    start = rules[_HEAD + klass]
    end = rules[_HEAD + klass + 1]
    n_categories = rules[1]
    n_entries = rules[2]
    systems = rules.size - n_categories
    entries = systems - n_entries
    for e in range(entries + start, entries + end):
        category = rules[e]
        s = s - stairs[rules[systems + category], min(counts[category], stairs.shape[1] - 1)]
    return s


@jit
def _count(klass: int, rules: Ints, counts: Ints, change: int) -> None:
    entries = rules.size - rules[1] - rules[2]
    for e in range(entries + rules[_HEAD + klass], entries + rules[_HEAD + klass + 1]):
        counts[rules[e]] += change


@jit(inline=True)
def _before(a: int, b: int, bound: Floats, keys: Ints, rank: npt.NDArray[np.uint32], unseen: np.uint64) -> bool:
    """True where candidate a goes before candidate b."""
    if bound[a] != bound[b]:
        return bool(bound[a] > bound[b])
    mine, other = rank[min(np.uint64(keys[a]), unseen)], rank[min(np.uint64(keys[b]), unseen)]
    return bool(mine < other or (mine == other and a < b))


@jit
def _sink(
    at: int, size: int, heap: Ints, bound: Floats, keys: Ints, rank: npt.NDArray[np.uint32], unseen: np.uint64
) -> None:
    """Restore the heap below an entry whose bound has fallen."""
    moved = heap[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _before(heap[child + 1], heap[child], bound, keys, rank, unseen):
            child += 1
        if not _before(heap[child], moved, bound, keys, rank, unseen):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moved


@jit
def pick(
    n: int,
    scores: Floats,
    keys: Ints,
    of_item: npt.NDArray[np.uint32],
    rules: Ints,
    stairs: Floats,
    counts: Ints,
    pinned: int,
    k: int,
    least: int,
    floor: float,
    out: Ints,
    marginal: Floats,
) -> int:
    """Fill out[pinned:] with positions of the best slate of up to k, best first, and `marginal` with their worth.

    `out[:pinned]` are in already. Scores of minus infinity and NaN are never taken. Slots from `least` on are filled
    only by what is worth more than `floor`. `counts` (n_categories,) is all zero, and is so again at the end. Returns
    how many the slate has.
    """
    unseen = np.uint64(of_item.shape[1] - 1)
    rank = of_item[1]
    for j in range(pinned):
        i = out[j]
        klass = of_item[0, min(np.uint64(keys[i]), unseen)]
        marginal[j] = _marginal(scores[i], klass, rules, stairs, counts)
        _count(klass, rules, counts, 1)
    heap = np.empty(n, np.int64)
    bound = np.empty(n)
    size = 0
    for i in range(n):
        bound[i] = scores[i]
        if scores[i] > floor or (least > pinned and scores[i] > -np.inf):
            heap[size] = i
            size += 1
    for j in range(pinned):  # they are in once
        bound[out[j]] = -np.inf
    for at in range(size // 2 - 1, -1, -1):
        _sink(at, size, heap, bound, keys, rank, unseen)
    m = pinned
    # A bound was a marginal at earlier counts, and counts only grow: the first whose bound still holds is the largest.
    while m < k and size > 0:
        i = heap[0]
        klass = of_item[0, min(np.uint64(keys[i]), unseen)]
        now = -np.inf if bound[i] == -np.inf else _marginal(scores[i], klass, rules, stairs, counts)
        if now == -np.inf or now == bound[i]:
            if now > floor or (m < least and now > -np.inf):
                out[m] = i
                marginal[m] = now
                m += 1
                _count(klass, rules, counts, 1)
            elif now > -np.inf:
                break
            size -= 1
            heap[0] = heap[size]
        else:
            bound[i] = now
        if size > 0:
            _sink(0, size, heap, bound, keys, rank, unseen)
    for j in range(m):
        _count(of_item[0, min(np.uint64(keys[out[j]]), unseen)], rules, counts, -1)
    return m
