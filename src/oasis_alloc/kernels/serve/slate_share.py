"""What a slate that is begun can still add up to of the column that it keeps a share of, for picks one at a time.

With the picks goes a *rest*: candidates that fill the slate and keep the share with them, at first greedy's own by the
column. A candidate that is picked displaces those of the rest that its categories and the size have no room for beside
it, the least of each; it may be picked if the share is kept all the same. So the rest is there at the end, too.

Where every item has one category a key and keys nest, slates are a matroid: one is displaced, of the innermost category
that is full, and what is left is the best rest there is (Oxley, "Matroid Theory", 2011, sec. 1.8). Nobody is kept out
in vain then, and who is out once is out for good. Elsewhere it is a rest that there is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_keep import _ROUNDING, _class, _sum
from oasis_alloc.kernels.serve.slate_pick import _HEAD, _count, _marginal, pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


class Share(NamedTuple):
    """The column that a slate keeps a share of, and the picks so far with their rest."""

    column: Floats  # (n,), minus infinity for those that are never shown
    flat: Floats  # stairs without decrements
    target: float
    kept: Floats  # (2,): what picks and rest add up to, what picks do
    size: Ints  # (1,) of the rest
    rest: Ints  # (k,), by column, the largest first
    inside: npt.NDArray[np.bool_]  # (n,) of the rest
    full: Ints  # (n_categories,) of picks and rest
    out: Ints  # (k,) scratch: places in the rest of those displaced


@jit
def column_of(n: int, scores: Floats, column: Floats) -> Floats:
    """The column, minus infinity for candidates that are never shown: excluded ones, and what is no number."""
    out = np.empty(n)
    for i in range(n):
        out[i] = column[i] if scores[i] > -np.inf and column[i] > -np.inf else -np.inf
    return out


@jit
def begun(
    n: int, column: Floats, keys: Ints, of_item: Counts, rules: Ints, flat: Floats, counts: Ints, pinned: int, k: int,
    least: int, share: float, out: Ints, marginal: Floats,
) -> Share:  # fmt: skip
    """The share of a slate that has its pinned items alone: greedy's slate by the column, and the target that it sets.

    `out` and `marginal` are as in `pick`, and of them no more than the pinned items is read.
    """
    slate = out.copy()
    m = pick(n, column, keys, of_item, rules, flat, counts, pinned, k, least, 0.0, slate, marginal)
    organic = _sum(m, slate, column)
    target = organic - (1.0 - share) * abs(organic)
    full, inside = np.zeros(counts.size, np.int64), np.zeros(n, np.bool_)
    for j in range(m):
        _count(_class(slate[j], keys, of_item), rules, full, 1)
        inside[slate[j]] = j >= pinned
    kept = np.array([organic, _sum(pinned, slate, column)])
    return Share(
        column, flat, target - _ROUNDING * abs(target), kept, np.array([m - pinned]), slate[pinned:],
        inside, full, np.empty(max(k, 1), np.int64),
    )  # fmt: skip


@jit
def _has(i: int, category: int, keys: Ints, of_item: Counts, rules: Ints) -> bool:
    klass = _class(i, keys, of_item)
    entries = rules.size - rules[1] - rules[2]
    found = False
    for e in range(entries + rules[_HEAD + klass], entries + rules[_HEAD + klass + 1]):
        found = found or rules[e] == category
    return found


@jit
def _displaced(
    i: int, m: int, keys: Ints, of_item: Counts, rules: Ints, k: int, least: int, share: Share
) -> tuple[int, float]:  # fmt: skip
    """(how many of the rest make room for candidate i beside m picks, what picks and rest add up to then)."""
    total = share.kept[0]
    size = share.size[0]
    if share.inside[i]:
        r = 0
        while share.rest[r] != i:
            r += 1
        share.out[0] = r
        return 1, total
    total += share.column[i]
    least_of_rest = share.column[share.rest[size - 1]] if size > 0 else 0.0
    is_full = m + 1 + size > k
    if total - (least_of_rest if is_full else min(least_of_rest, 0.0)) < share.target:  # whatever the categories are
        return 0, -np.inf
    found = 0
    klass = _class(i, keys, of_item)
    entries = rules.size - rules[1] - rules[2]
    systems = rules.size - rules[1]
    start, end = entries + rules[_HEAD + klass], entries + rules[_HEAD + klass + 1]
    width = share.flat.shape[1] - 1
    for _ in range(start, end):
        category = -1  # the full one with fewest that has lost nobody yet: the innermost, where they nest
        for e in range(start, end):
            c = rules[e]
            if share.flat[rules[systems + c], min(share.full[c], width)] != np.inf:
                continue
            lost = False
            for j in range(found):
                lost = lost or _has(share.rest[share.out[j]], c, keys, of_item, rules)
            if not lost and (category < 0 or share.full[c] < share.full[category]):
                category = c
        if category < 0:
            break
        r = size - 1
        while r >= 0 and not _has(share.rest[r], category, keys, of_item, rules):
            r -= 1
        if r < 0:  # full of picks
            return 0, -np.inf
        share.out[found] = r
        found += 1
        total -= share.column[share.rest[r]]
    if found == 0 and size > 0 and (is_full or (least_of_rest <= 0.0 and m + size >= least)):
        share.out[0] = size - 1
        return 1, total - least_of_rest
    return found, total


@jit
def can_keep(
    i: int, m: int, keys: Ints, of_item: Counts, rules: Ints, k: int, least: int, share: Share | None
) -> bool:  # fmt: skip
    """True where the slate of m picks and candidate i can be filled so that it keeps the share."""
    if share is None:
        return True
    _, total = _displaced(i, m, keys, of_item, rules, k, least, share)
    return bool(total >= share.target)


@jit
def needed(
    m: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, least: int,
    share: Share | None,
) -> tuple[int, float]:  # fmt: skip
    """(candidate, marginal score) that the share needs though nobody is worth a slot, (-1, ...) where it is kept."""
    if share is None:
        return -1, 0.0
    if share.size[0] == 0 or (share.kept[1] >= share.target and m >= least):
        return -1, 0.0
    i = share.rest[0]
    return int(i), _marginal(scores[i], _class(i, keys, of_item), rules, stairs, counts)


@jit
def take(
    i: int, m: int, keys: Ints, of_item: Counts, rules: Ints, k: int, least: int, share: Share | None
) -> None:  # fmt: skip
    """Candidate i is picked beside m picks: the rest loses those that it displaces."""
    if share is None:
        return
    found, share.kept[0] = _displaced(i, m, keys, of_item, rules, k, least, share)
    share.kept[1] += share.column[i]
    _count(_class(i, keys, of_item), rules, share.full, 1)
    size = 0
    for r in range(share.size[0]):
        other = share.rest[r]
        share.inside[other] = False
        stays = True
        for j in range(found):
            stays = stays and share.out[j] != r
        if stays:
            share.rest[size] = other
            share.inside[other] = True
            size += 1
        else:
            _count(_class(other, keys, of_item), rules, share.full, -1)
    share.size[0] = size
