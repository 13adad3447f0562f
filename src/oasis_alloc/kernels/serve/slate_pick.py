"""One slate under rules by category: greedy by marginal priced score.

`CategoryRules.array` is one array of integers: [n_systems, n_categories, n_entries, start (n_classes + 1,), category
(n_entries,), system (n_categories,)]. A class has the categories `category[start[c]:start[c + 1]]`, those of the first
system first; the last class is for unknown items and has none. `costs` (n_systems, k): what the j-th item
of a category costs, infinite from the system's cap on.

The marginal of a candidate is `s - costs`, the costs of its categories taken off one after the other. Greedy takes the
largest, ties by rank, then position, until none is above the floor. If every item has one category per system and
systems nest, the slate's worth is an M-natural concave function, for which this is optimal (Murota, "Discrete Convex
Analysis", 2003, ch. 6); otherwise caps are still kept, and the slate is the greedy one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Fill, Floats, Ints, Scored, SlateOut

HEAD = 3  # entries of the array before `start`


@jit(allocates=False)
def class_of(i: int, keys: Ints, of_item: npt.NDArray[np.uint32]) -> int:
    """The class of candidate i."""
    return int(np.int64(of_item[0, min(np.uint64(keys[i]), np.uint64(of_item.shape[1] - 1))]))


@jit(allocates=False)
def marginal_score(s: float, class_: int, array: Ints, costs: Floats, counts: Ints) -> float:
    """Score less what the candidate's categories cost at these counts."""
    start = array[HEAD + class_]
    end = array[HEAD + class_ + 1]
    n_categories = array[1]
    n_entries = array[2]
    systems = array.size - n_categories
    entries = systems - n_entries
    for e in range(entries + start, entries + end):
        category = array[e]
        s = s - costs[array[systems + category], min(counts[category], costs.shape[1] - 1)]
    return s


@jit(allocates=False)
def count(class_: int, array: Ints, counts: Ints, change: int) -> None:
    """Add `change` to the counts of a class's categories."""
    entries = array.size - array[1] - array[2]
    for e in range(entries + array[HEAD + class_], entries + array[HEAD + class_ + 1]):
        counts[array[e]] += change


@jit(inline=True, allocates=False)
def _before(a: int, b: int, bound: Floats, keys: Ints, rank: npt.NDArray[np.uint32], unseen: np.uint64) -> bool:
    """True where candidate a goes before candidate b."""
    if bound[a] != bound[b]:
        return bool(bound[a] > bound[b])
    mine, other = rank[min(np.uint64(keys[a]), unseen)], rank[min(np.uint64(keys[b]), unseen)]
    return bool(mine < other or (mine == other and a < b))


@jit(allocates=False)
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
def pick(scored: Scored, rules: CategoryRules, fill: Fill, slate: SlateOut) -> int:
    """Fill the slate behind its pinned positions with the best ones, best first; return how many it has then.

    Scores of minus infinity and NaN are never taken.
    """
    n, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, k, min_size, floor = fill
    out, marginal = slate
    unseen = np.uint64(of_item.shape[1] - 1)
    rank = of_item[1]
    root, one = not_literal(0), not_literal(1)
    for j in range(pinned):
        i = out[j]
        class_ = class_of(i, keys, of_item)
        marginal[j] = marginal_score(scores[i], class_, array, costs, counts)
        count(class_, array, counts, one)
    heap = np.empty(n, np.int64)
    bound = np.empty(n)
    size = not_literal(0)
    for i in range(n):
        bound[i] = scores[i]
        if scores[i] > floor or (min_size > pinned and scores[i] > -np.inf):
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
        class_ = class_of(i, keys, of_item)
        now = -np.inf if bound[i] == -np.inf else marginal_score(scores[i], class_, array, costs, counts)
        if now == -np.inf or now == bound[i]:
            if now > floor or (m < min_size and now > -np.inf):
                out[m] = i
                marginal[m] = now
                m += 1
                count(class_, array, counts, one)
            elif now > -np.inf:
                break
            size -= 1
            heap[0] = heap[size]
        else:
            bound[i] = now
        if size > 0:
            _sink(root, size, heap, bound, keys, rank, unseen)
    for j in range(m):
        count(class_of(out[j], keys, of_item), array, counts, -one)
    return m
