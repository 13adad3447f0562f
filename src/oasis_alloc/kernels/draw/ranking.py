"""Attention as a mixture of orderings: slates whose places count, drawn so that every pair's mean is its x.

With places of weights w_1 >= w_2 >= ... and W(k) the sum of the first k, what orderings of slates under rules that nest
can be mixed to is the polymatroid

    sum of x over A  <=  W(r(A))   for every set A of items,    r(A): the most items of A that one slate can hold,

whose vertices are the orderings that greedy finds (Edmonds 1970): W(r(A)) is the sum of the ranks of matroids, one a
level of weights (program/supply_and_positions.py). x is taken apart as Caratheodory's theorem says: an ordering on the
least face that x is on, as much of it as leaves the rest in the polymatroid, and so on with the rest, which is then on
a smaller face. A face is a partition of the items into blocks, and sets that become tight split blocks (lattices of
tight sets: Fujishige, "Submodular Functions and Optimization", 2005, sec. 3.3; for permutations alone: Yasutake et al.,
ISAAC 2011). So n items need at most n + 1 orderings.

Categories are stretches of the items' order. The set that is nearest to tight is the best path along the items: each is
left out, or taken for one place, or a category is taken whole for as many places as its cap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.draw.rounding import Lists, Slots
from oasis_alloc.kernels.draw.sample import STEP, mix, stream, uniform
from oasis_alloc.kernels.literals import not_literal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROUNDING = 1e-9  # tolerance of sums
_TINY = 1e-12  # a smaller remaining probability is rounding
_LEFT_OUT, _TAKEN, _ALL = -1, -2, -3  # steps of a path; others are the number of a category


class Categories(NamedTuple):
    """Categories that a user has too many items of: stretches of the items' order that nest or have none in common."""

    first: Ints
    last: Ints  # one past the end
    most: Ints


class Drawn(NamedTuple):
    """The draw of each pair, in the order of the pairs."""

    place: Ints  # from 0; -1: not shown
    chance: Floats  # to be shown at all
    at_place: Floats  # to be shown at the place that was drawn


@jit
def _path(n: int, size: int, y: Floats, categories: Categories, best: Floats, step: Ints) -> None:
    """Write best[p, k], the most y of a set among the first p items that takes k places, and the steps there."""
    first, last, most = categories
    best[0, : size + 1] = 0.0
    for p in range(1, n + 1):
        for k in range(size + 1):
            best[p, k] = best[p - 1, k]
            step[p, k] = _LEFT_OUT
            if k > 0 and best[p - 1, k - 1] + y[p - 1] > best[p, k]:
                best[p, k] = best[p - 1, k - 1] + y[p - 1]
                step[p, k] = _TAKEN
        for c in range(first.size):
            if last[c] != p:
                continue
            inside = 0.0
            for i in range(first[c], p):
                inside += y[i]
            for k in range(most[c], size + 1):
                if best[first[c], k - most[c]] + inside > best[p, k]:
                    best[p, k] = best[first[c], k - most[c]] + inside
                    step[p, k] = c
    inside = 0.0
    for i in range(n):
        inside += y[i]
    if inside > best[n, size]:
        best[n, size] = inside
        step[n, size] = _ALL


@jit
def _nearest(
    n: int, size: int, y: Floats, left: float, worth: Floats, categories: Categories, best: Floats, step: Ints,
    inside: npt.NDArray[np.bool_],
) -> tuple[float, int]:  # fmt: skip
    """(least of left * W(r(A)) - y(A) over all sets A, r(A)); `inside` gets a set that has it."""
    _path(n, size, y, categories, best, step)
    least, at = 0.0, 0
    for k in range(1, size + 1):
        slack = left * worth[k] - best[n, k]
        if slack < least:
            least, at = slack, k
    inside[:n] = False
    p, k = n, at
    while p > 0 and k > 0:
        taken = step[p, k]
        if taken == _LEFT_OUT:
            p -= 1
        elif taken == _TAKEN:
            p -= 1
            k -= 1
            inside[p] = True
        else:
            start = 0 if taken == _ALL else categories.first[taken]
            inside[start:p] = True
            k -= size if taken == _ALL else categories.most[taken]
            p = start
    return least, at


@jit
def _ordering(n: int, size: int, order: Ints, categories: Categories, counts: Ints, slate: Ints) -> int:
    """Write the items that fit, in this order, into slate[:size], -1 behind them; returns how many there are."""
    first, last, most = categories
    counts[:] = 0
    slate[:] = -1
    m = 0
    for at in range(n):
        i = order[at]
        if m == size:
            break
        fits = True
        for c in range(first.size):
            fits = fits and not (first[c] <= i < last[c] and counts[c] >= most[c])
        if not fits:
            continue
        for c in range(first.size):
            counts[c] += first[c] <= i < last[c]
        slate[m] = i
        m += 1
    return m


@jit
def _sort(n: int, order: Ints, block: Ints, y: Floats) -> int:
    """Sort items by block, the largest first within one, and number the blocks from 0; returns how many there are."""
    for at in range(1, n):
        i = order[at]
        j = at
        while j > 0:
            other = order[j - 1]
            if block[other] < block[i] or (
                block[other] == block[i] and (y[other] > y[i] or (y[other] == y[i] and other < i))
            ):
                break
            order[j] = other
            j -= 1
        order[j] = i
    blocks, before = -1, np.int64(-1)
    for at in range(n):
        i = order[at]
        if blocks < 0 or block[i] != before:
            blocks += 1
            before = block[i]
        block[i] = blocks
    return blocks + 1


@jit
def decompose(
    x: Floats, size: int, least: int, weights: Floats, categories: Categories, slates: Ints, share: Floats
) -> int:
    """Take x (n,) apart: `sum over t of share[t] * (weights by place in slates[t]) = x`; returns how many there are.

    Every slate has from `least` to `size` items and, of every category, at most as many as its cap; slates are as long
    as floor and ceil of what x fills. slates (n + 2, size or more) gets items, -1 behind the last, share (n + 2,) what
    each counts. An x that rules are missed by, by rounding, is scaled down until they hold.
    """
    n = x.size
    worth = np.zeros(size + 1)  # W
    for k in range(size):
        worth[k + 1] = worth[k] + weights[k]
    rest = np.empty(n)
    filled = 0.0
    for i in range(n):
        rest[i] = max(x[i], 0.0)
        filled += rest[i]
    floor = 0
    while floor < size and worth[floor + 1] <= filled + _ROUNDING:
        floor += 1
    order, counts = np.arange(n), np.empty(categories.first.size, np.int64)
    floor = max(floor, min(least, _ordering(n, size, order, categories, counts, slates[0])))
    size = floor if filled <= worth[floor] + _ROUNDING else min(floor + 1, size)
    best, step = np.empty((n + 1, size + 1)), np.empty((n + 1, size + 1), np.int64)
    inside, tight = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    v, y = np.empty(n), np.empty(n)
    block = np.zeros(n, np.int64)
    for _ in range(n + 2):
        slack, k = _nearest(n, size, rest, 1.0, worth, categories, best, step, inside)
        if slack >= -_TINY:
            break
        over = 0.0
        for i in range(n):
            over += rest[i] if inside[i] else 0.0
        for i in range(n):
            rest[i] *= worth[k] / over
    alive = not_literal(0)
    for i in range(n):
        if rest[i] > _TINY:
            order[alive] = i
            alive += 1
    blocks = _sort(alive, order, block, rest)
    found = 0
    left = 1.0
    for _ in range(3 * n + 3):
        m = _ordering(alive, size, order, categories, counts, slates[found])
        if m < floor and found > 0:
            break
        v[:] = 0.0
        total, filled = 0.0, 0.0
        by = left
        for j in range(m):
            i = slates[found, j]
            v[i] = weights[j]
            total += weights[j]
            by = min(by, rest[i] / weights[j])
        for at in range(alive):
            filled += rest[order[at]]
        shortens = total > worth[floor] and filled - by * total <= (left - by) * worth[floor]
        if shortens:
            by = max((filled - left * worth[floor]) / (total - worth[floor]), 0.0)
        splits = False
        while by > 0.0:
            largest = 0.0
            for i in range(n):
                y[i] = max(rest[i] - by * v[i], 0.0)
                largest = max(largest, y[i])
            if largest <= _TINY:
                break
            slack, k = _nearest(n, size, y, left - by, worth, categories, best, step, inside)
            if slack >= -_TINY:
                break
            has, uses = 0.0, 0.0
            for i in range(n):
                if inside[i]:
                    has += rest[i]
                    uses += v[i]
            if worth[k] - uses <= _ROUNDING:
                break
            less = max((left * worth[k] - has) / (worth[k] - uses), 0.0)
            if less >= by:
                break
            by, splits = less, True
            for i in range(n):
                tight[i] = inside[i]
        if left - by <= _TINY or found == n + 1:
            share[found] = left
            return found + 1
        if by > 0.0:
            share[found] = by
            found += 1
            left -= by
            for i in range(n):
                rest[i] -= by * v[i]
        was_alive, was_blocks, was_size, alive = alive, blocks, size, not_literal(0)
        for at in range(was_alive):
            i = order[at]
            if rest[i] > _TINY:
                order[alive] = i
                alive += 1
                block[i] = 2 * block[i] + (splits and not tight[i])
        blocks = _sort(alive, order, block, rest)
        if shortens and not splits:
            size = floor
        if alive == was_alive and blocks == was_blocks and size == was_size:
            break
    if found == 0:  # nothing but rounding
        share[0] = 1.0
        return 1
    share[found - 1] += left
    return found


@jit
def _arranged(
    a: int, n: int, item: Ints, lists: Lists, number: Ints, order: Ints, crossed: Ints
) -> tuple[bool, Categories]:
    """Order a user's items so that categories with more of them than their cap are stretches; False where two cross."""
    start, of, cap = lists
    width = 0
    for i in range(n):
        width = max(width, start[item[a + i] + 1] - start[item[a + i]])
        order[i] = i
    label = np.empty(n * width, np.int64)
    members = np.zeros(n * width, np.int64)
    found = 0
    for i in range(n):
        for entry in range(start[item[a + i]], start[item[a + i] + 1]):
            c = of[entry]
            if not (0 <= number[c] < found and label[number[c]] == c):
                number[c] = found
                label[found] = c
                found += 1
            members[number[c]] += 1
    kept = 0
    for r in range(found):
        if members[r] > cap[label[r]]:
            label[kept] = label[r]
            members[kept] = members[r]
            kept += 1
    has = np.zeros((kept, n), np.bool_)
    for r in range(kept):
        number[label[r]] = r
    for i in range(n):
        for entry in range(start[item[a + i]], start[item[a + i] + 1]):
            r = number[of[entry]]
            if 0 <= r < kept and label[r] == of[entry]:
                has[r, i] = True
    first, last, most = np.empty(kept, np.int64), np.empty(kept, np.int64), np.empty(kept, np.int64)
    for r in range(kept):
        most[r] = cap[label[r]]
        for other in range(r):
            common = 0
            for i in range(n):
                common += has[r, i] and has[other, i]
            if 0 < common < min(members[r], members[other]):
                crossed[0], crossed[1] = label[other], label[r]
                return False, Categories(first, last, most)
    kind = np.argsort(-members[:kept], kind="mergesort")  # those around others first
    moved = np.empty(n, np.int64)
    for r in kind:
        at = 0
        while not has[r, order[at]]:
            at += 1
        into, outside = at, at + members[r]
        for p in range(at, n):
            i = order[p]
            if has[r, i]:
                moved[into] = i
                into += 1
            else:
                moved[outside] = i
                outside += 1
        for p in range(at, n):
            order[p] = moved[p]
    for r in range(kept):
        at = 0
        while not has[r, order[at]]:
            at += 1
        first[r], last[r] = at, at + members[r]
    return True, Categories(first, last, most)


@jit
def round_ranked(
    first: int, last: int, slots: Slots, lists: Lists, weights: Floats, seed: int, drawn: Drawn, crossed: Ints
) -> int:
    """Draw an ordering for each of users first <= u < last; weights (longest slate,) are the weights of places.

    Returns -1, or the first user whose categories cross, which `crossed` (2,) then has.
    """
    start, item, x, size, least = slots
    longest = 0
    for u in range(first, last):
        longest = max(longest, start[u + 1] - start[u])
    order = np.empty(longest, np.int64)
    number = np.empty(max(1, lists.most.size), np.int64)  # of a category, right only where label agrees
    mine, share = np.empty(longest), np.empty(longest + 2)
    slates = np.empty((longest + 2, max(1, weights.size)), np.int64)
    for u in range(first, last):
        a = start[u]
        n = start[u + 1] - a
        if n == 0:
            continue
        nests, categories = _arranged(a, n, item, lists, number, order, crossed)
        if not nests:
            return u
        for i in range(n):
            mine[i] = x[a + order[i]]
        found = decompose(mine[:n], size[u], least[u], weights, categories, slates, share)
        draw = uniform(mix(stream(seed, u) + STEP))
        taken = 0
        while taken < found - 1 and draw >= share[taken]:
            draw -= share[taken]
            taken += 1
        for t in range(found):
            for j in range(slates.shape[1]):
                if slates[t, j] < 0:
                    break
                p = a + order[slates[t, j]]
                drawn.chance[p] += share[t]
                if slates[t, j] == slates[taken, j]:
                    drawn.at_place[p] += share[t]
        for j in range(slates.shape[1]):
            if slates[taken, j] < 0:
                break
            drawn.place[a + order[slates[taken, j]]] = j
    return -1
