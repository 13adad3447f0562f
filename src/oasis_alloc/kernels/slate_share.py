"""What a slate that is begun can still add up to of the column that it keeps a share of, for picks one at a time.

A pick is let in only where the slate can still be filled so that the share is kept: greedily by the column, under caps.
Where every item has one category a key and keys nest, that is the most that there is (slate_pick.py), so nobody is kept
out in vain, and who is out once is out for good; elsewhere it is a slate that there is, so the share is kept all the
same. Greedy's own next candidate can always be let in: the slate it fills is the same. So the share, which greedy's
slate keeps from the start, is kept at the end.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.slate_keep import _ROUNDING, _class, _sum
from oasis_alloc.kernels.slate_pick import _count, _marginal, _sink, pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


class Share(NamedTuple):
    """The column that a slate keeps a share of, and how much of it the picks so far have."""

    column: Floats  # (n,), minus infinity for those that are never shown
    flat: Floats  # stairs without decrements
    target: float
    order: Ints  # candidates by column, the largest first
    inside: npt.NDArray[np.bool_]  # (n,) picked
    kept: Floats  # (2,): what picks add up to; the most that others can add when one more place is taken
    taken: Ints  # scratch (k,)


@jit
def column_of(n: int, scores: Floats, column: Floats) -> Floats:
    """The column, minus infinity for candidates that are never shown: excluded ones, and what is no number."""
    out = np.empty(n)
    for i in range(n):
        out[i] = column[i] if scores[i] > -np.inf and column[i] > -np.inf else -np.inf
    return out


@jit
def target_of(
    n: int, column: Floats, keys: Ints, of_item: Counts, rules: Ints, flat: Floats, counts: Ints, pinned: int, k: int,
    least: int, share: float, out: Ints, marginal: Floats,
) -> float:  # fmt: skip
    """How much of the column a slate keeps: as slate_keep.keep has it; `out` and `marginal` are as in `pick`."""
    other = out.copy()
    m = pick(n, column, keys, of_item, rules, flat, counts, pinned, k, least, 0.0, other, marginal)
    organic = _sum(m, other, column)
    target = organic - (1.0 - share) * abs(organic)
    return float(target - _ROUNDING * abs(target))


@jit
def _fill(
    size: int, k: int, least: int, total: float, enough: float, but: int, share: Share, keys: Ints, of_item: Counts,
    rules: Ints, counts: Ints,
) -> float:  # fmt: skip
    """Add the most of the column to a total that places from `size` to k - 1 can hold, until that is enough."""
    found = 0
    for other in share.order:
        more = share.column[other]
        done = size >= least and (total >= enough or more <= 0.0)
        if size >= k or done or more == -np.inf:
            break
        if share.inside[other] or other == but:
            continue
        klass = _class(other, keys, of_item)
        if _marginal(more, klass, rules, share.flat, counts) == -np.inf:
            continue
        _count(klass, rules, counts, 1)
        share.taken[found] = other
        found += 1
        size += 1
        total += more
    for j in range(found):
        _count(_class(share.taken[j], keys, of_item), rules, counts, -1)
    return total


@jit
def begun(
    n: int, column: Floats, keys: Ints, of_item: Counts, rules: Ints, flat: Floats, counts: Ints, pinned: int, k: int,
    target: float, out: Ints,
) -> Share:  # fmt: skip
    """The share of a slate that has its pinned items alone."""
    rank, unseen = of_item[1], np.uint64(of_item.shape[1] - 1)
    heap = np.arange(n)
    for at in range(n // 2 - 1, -1, -1):
        _sink(at, n, heap, column, keys, rank, unseen)
    for size in range(n - 1, 0, -1):  # a heap has its first on top: sorted, it has it at the end
        heap[0], heap[size] = heap[size], heap[0]
        _sink(0, size, heap, column, keys, rank, unseen)
    inside, kept = np.zeros(n, np.bool_), np.zeros(2)
    share = Share(column, flat, target, heap[::-1].copy(), inside, kept, np.empty(max(k, 1), np.int64))
    for j in range(pinned):
        _count(_class(out[j], keys, of_item), rules, counts, 1)
        inside[out[j]] = True
        kept[0] += column[out[j]]
    kept[1] = _fill(pinned + 1, k, 0, 0.0, np.inf, -1, share, keys, of_item, rules, counts)
    for j in range(pinned):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return share


@jit
def can_keep(
    i: int, m: int, keys: Ints, of_item: Counts, rules: Ints, counts: Ints, k: int, least: int, share: Share | None
) -> bool:
    """True where the slate of m picks and candidate i can be filled so that it keeps the share."""
    if share is None:
        return True
    total = share.kept[0] + share.column[i]
    if total + share.kept[1] < share.target:  # whatever the candidate's categories are
        return False
    _count(_class(i, keys, of_item), rules, counts, 1)
    total = _fill(m + 1, k, least, total, share.target, i, share, keys, of_item, rules, counts)
    _count(_class(i, keys, of_item), rules, counts, -1)
    return bool(total >= share.target)


@jit
def needed(
    m: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, least: int,
    share: Share | None,
) -> tuple[int, float]:  # fmt: skip
    """(candidate, marginal score) that the share needs though nobody is worth a slot, (-1, ...) where it is kept."""
    if share is None:
        return -1, 0.0
    for other in share.order:
        more = share.column[other]
        enough = m >= least and (share.kept[0] >= share.target or more <= 0.0)
        if enough or more == -np.inf:
            break
        klass = _class(other, keys, of_item)
        if not share.inside[other] and _marginal(more, klass, rules, share.flat, counts) > -np.inf:
            return int(other), _marginal(scores[other], klass, rules, stairs, counts)
    return -1, 0.0


@jit
def take(i: int, m: int, keys: Ints, of_item: Counts, rules: Ints, counts: Ints, k: int, share: Share | None) -> None:
    """Candidate i is the last of m picks; its categories are counted."""
    if share is not None:
        share.inside[i] = True
        share.kept[0] += share.column[i]
        share.kept[1] = _fill(m + 1, k, 0, 0.0, np.inf, -1, share, keys, of_item, rules, counts)
