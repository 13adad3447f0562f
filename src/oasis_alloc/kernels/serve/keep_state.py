"""Checks, pick by pick, that a partial slate can still reach its share of a column.

The picks have a *rest*: candidates that fill the slate and reach the share together with them; at first, the greedy
slate by the column. A picked candidate displaces those of the rest for which its categories and the size leave no room,
the smallest of each; it may be picked if the share is still reached. So a rest exists until the end.

If every item has one category per key and keys nest, slates are a matroid: one candidate is displaced, from the
innermost full category, and the others are the best rest (Oxley, "Matroid Theory", 2011, sec. 1.8). Then no candidate
is excluded unnecessarily, and an excluded candidate stays excluded. Otherwise it is some rest, not always the best.

A state limits picks only when `limits` says so: without a share (`NO_SHARE`) it never does. The check is one read per
candidate that would be picked; code of its own for slates without a share took twice as long to compile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Fill, Floats, Ints, KeepFields, Scored, SlateOut
from oasis_alloc.kernels.serve.slate_keep import ROUNDING, sum_of
from oasis_alloc.kernels.serve.slate_pick import HEAD, class_of, count, marginal_score, pick


class KeepState(NamedTuple):
    """The column that a slate keeps a share of, and the picks so far with their rest."""

    limits: Ints  # (1,): 1 where candidates are left out after which the share cannot be kept
    column: Floats  # (n,), minus infinity for those that are never shown
    caps: Floats  # costs without decrements
    target: float
    kept: Floats  # (2,): the sum of picks and rest, the sum of picks
    size: Ints  # (1,) of the rest
    rest: Ints  # (k,), by column, the largest first
    inside: npt.NDArray[np.bool_]  # (n,) of the rest
    full: Ints  # (n_categories,) of picks and rest
    out: Ints  # (k,) scratch: places in the rest of those displaced


@jit
def _shown_column(n: int, scores: Floats, column: Floats) -> Floats:
    """The column, minus infinity for candidates that are never shown: excluded ones, and NaN."""
    out = np.empty(n)
    for i in range(n):
        out[i] = column[i] if scores[i] > -np.inf and column[i] > -np.inf else -np.inf
    return out


@jit
def start(scored: Scored, rules: CategoryRules, fill: Fill, slate: SlateOut, keep: KeepFields) -> KeepState:
    """The state of a slate with only its pinned items: the greedy slate by the column, and the target from it.

    Of `slate`, only the pinned items are read. Without a share, the target is minus infinity.
    """
    n, scores, keys, of_item = scored
    array, _, counts = rules
    pinned, k, min_size, _ = fill
    every, caps, share = keep
    limits = np.zeros(1, np.int64)
    if share == -np.inf:
        return KeepState(limits, every, caps, -np.inf, every, limits, limits, np.zeros(0, np.bool_), limits, limits)
    column = _shown_column(n, scores, every)
    picks = slate.positions.copy()
    by_column, capped = Scored(n, column, keys, of_item), CategoryRules(array, caps, counts)
    m = pick(by_column, capped, Fill(pinned, k, min_size, 0.0), SlateOut(picks, slate.marginal))
    organic = sum_of(m, picks, column)
    target = organic - (1.0 - share) * abs(organic)
    full, inside = np.zeros(counts.size, np.int64), np.zeros(n, np.bool_)
    one = not_literal(1)
    for j in range(m):
        count(class_of(picks[j], keys, of_item), array, full, one)
        inside[picks[j]] = j >= pinned
    kept, size = np.empty(2), np.empty(1, np.int64)
    kept[0], kept[1], size[0] = organic, sum_of(pinned, picks, column), m - pinned
    return KeepState(
        limits, column, caps, target - ROUNDING * abs(target), kept, size, picks[pinned:], inside, full,
        np.empty(max(k, 1), np.int64),
    )  # fmt: skip


@jit(allocates=False)
def is_kept(m: int, slate: SlateOut, state: KeepState) -> bool:
    """True if m picks reach the share by themselves, and where there is none."""
    return bool(state.target == -np.inf or sum_of(m, slate.positions, state.column) >= state.target)


@jit(allocates=False)
def _has(class_: int, category: int, array: Ints) -> bool:
    """True where a class has a category."""
    entries = array.size - array[1] - array[2]
    found = False
    for e in range(entries + array[HEAD + class_], entries + array[HEAD + class_ + 1]):
        found = found or array[e] == category
    return found


@jit(allocates=False)
def _displaced(i: int, m: int, scored: Scored, array: Ints, fill: Fill, state: KeepState) -> tuple[int, float]:
    """(number of displaced candidates if candidate i is added to m picks, the sum of picks and rest after it)."""
    _, _, keys, of_item = scored
    _, column, caps, target, kept, sizes, rest, inside, full, out = state
    total = kept[0]
    size = sizes[0]
    if inside[i]:
        r = 0
        while rest[r] != i:
            r += 1
        out[0] = r
        return 1, total
    total += column[i]
    min_of_rest = column[rest[size - 1]] if size > 0 else 0.0
    is_full = m + 1 + size > fill.size
    if total - (min_of_rest if is_full else min(min_of_rest, 0.0)) < target:  # for any categories
        return 0, -np.inf
    found = 0
    class_ = class_of(i, keys, of_item)
    entries = array.size - array[1] - array[2]
    systems = array.size - array[1]
    first, end = entries + array[HEAD + class_], entries + array[HEAD + class_ + 1]
    width = caps.shape[1] - 1
    for _ in range(first, end):
        category = not_literal(-1)  # the full one with the fewest places that has not lost one yet: innermost
        for e in range(first, end):
            c = array[e]
            if caps[array[systems + c], min(full[c], width)] != np.inf:
                continue
            lost = False
            for j in range(found):
                lost = lost or _has(class_of(rest[out[j]], keys, of_item), c, array)
            if not lost and (category < 0 or full[c] < full[category]):
                category = c
        if category < 0:
            break
        r = size - 1
        while r >= 0 and not _has(class_of(rest[r], keys, of_item), category, array):
            r -= 1
        if r < 0:  # full of picks
            return 0, -np.inf
        out[found] = r
        found += 1
        total -= column[rest[r]]
    if found == 0 and size > 0 and (is_full or (min_of_rest <= 0.0 and m + size >= fill.min_size)):
        out[0] = size - 1
        return 1, total - min_of_rest
    return found, total


@jit(allocates=False)
def can_keep(i: int, m: int, scored: Scored, array: Ints, fill: Fill, state: KeepState) -> bool:
    """True if the slate of m picks and candidate i can be filled so that it reaches the share."""
    if state.limits[0] == 0:
        return True
    _, total = _displaced(i, m, scored, array, fill, state)
    return bool(total >= state.target)


@jit(allocates=False)
def needed(m: int, scored: Scored, rules: CategoryRules, min_size: int, state: KeepState) -> tuple[int, float]:
    """(candidate, marginal score) that the share needs although no score is positive, (-1, ...) if it is reached."""
    if state.limits[0] == 0 or state.size[0] == 0 or (state.kept[1] >= state.target and m >= min_size):
        return -1, 0.0
    i = state.rest[0]
    class_ = class_of(i, scored.keys, scored.of_item)
    return int(i), marginal_score(scored.scores[i], class_, rules.array, rules.costs, rules.counts)


@jit(allocates=False)
def take(i: int, m: int, scored: Scored, array: Ints, fill: Fill, state: KeepState) -> None:
    """Add candidate i to m picks: the rest loses the candidates that it displaces."""
    if state.limits[0] == 0:
        return
    _, _, keys, of_item = scored
    one = not_literal(1)
    found, state.kept[0] = _displaced(i, m, scored, array, fill, state)
    state.kept[1] += state.column[i]
    count(class_of(i, keys, of_item), array, state.full, one)
    size = 0
    for r in range(state.size[0]):
        other = state.rest[r]
        state.inside[other] = False
        stays = True
        for j in range(found):
            stays = stays and state.out[j] != r
        if stays:
            state.rest[size] = other
            state.inside[other] = True
            size += 1
        else:
            count(class_of(other, keys, of_item), array, state.full, -one)
    state.size[0] = size
