"""Whole slates of users from fractional ones: every pair is in with its own probability, and rules of slates hold.

If categories nest, pivotal sampling (sample.py) goes category by category, the finest first: at most one fractional
pair per category is left when its others are in or out, and it is then paired with those of the enclosing category. So
every category of the tree, and the slate, ends with floor or ceil of its sum (Chauvet, Stat. Sinica 19:1021, 2009, for
one level of strata).

If they cross, a random walk moves x within the rows that have become integral, forward or backward along a direction of
their null space with probabilities that keep its mean, until it is at a vertex (the flight phase of Deville and Tille's
cube method, Biometrika 91:893, 2004). Two systems of nested categories have integral vertices (Edmonds 1970; Budish et
al., AER 103:585, 2013). Otherwise a vertex may be fractional: then rows are dropped one by one, rows without a cap
first, and the size of the slate never.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.draw.sample import ONE, STEP, first_wins, mix, stream, uniform, whole
from oasis_alloc.kernels.literals import not_literal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-9  # a sum is at a whole number
_AT = 1e-12  # a probability is 0 or 1
_ROUNDING = 1e-6  # tolerance of limits
_ZERO = 1e-9  # an entry of a reduced column is 0


class Slots(NamedTuple):
    """The non-zeros of an allocation, user by user, and the maximum and minimum length of slates."""

    start: Ints  # (n_users + 1,) into the arrays by pair
    item: Ints  # (n,) item of the pair
    x: Floats  # (n,)
    size: Ints  # (n_users,)
    least: Ints  # (n_users,)


@jit
def round_nested(
    first: int, last: int, slots: Slots, of: npt.NDArray[np.int32], most: Ints, n_categories: int, seed: int,
    shown: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Write which pairs of users first <= u < last are shown; of (n_systems, n_items), the finest categories first."""
    start, item, x, size, least = slots
    n_systems = of.shape[0]
    longest = 0
    for u in range(first, last):
        longest = max(longest, start[u + 1] - start[u])
    left = np.empty(longest, np.int64)  # what is left to decide of a pair, in units of 1 / ONE
    open_ = np.empty(longest, np.int64)
    mine = np.empty(longest, np.int64)  # number of a pair's category, -1 for none
    number = np.empty(max(1, n_categories), np.int64)  # of a category, right only where label agrees
    label = np.empty(longest + 1, np.int64)
    holder = np.empty(longest + 1, np.int64)  # by number: the open pair without a partner yet
    full = np.empty(longest + 1, np.int64)  # by number: pairs that are in
    for u in range(first, last):
        a = start[u]
        n = start[u + 1] - a
        n_open = 0
        for i in range(n):
            left[i] = whole(x[a + i])
            shown[a + i] = left[i] >= ONE
            if 0 < left[i] < ONE:
                open_[n_open] = i
                n_open += 1
        if n_open == 0:
            continue
        state = stream(seed, u)
        for k in range(n_systems + 1):  # the last is the slate
            so_far = 0
            for i in range(n):
                c = np.int64(of[k, item[a + i]]) if k < n_systems else 0
                mine[i] = -1
                if c < 0:
                    continue
                known = number[c]
                if not (0 <= known < so_far and label[known] == c):
                    known = so_far
                    so_far += 1
                    number[c] = known
                    label[known] = c
                    holder[known] = -1
                    full[known] = 0
                mine[i] = known
                full[known] += shown[a + i]
            kept = 0
            for j in range(n_open):
                i = open_[j]
                c = mine[i]
                if c < 0:
                    open_[kept] = i
                    kept += 1
                    continue
                other = holder[c]
                if other < 0:
                    holder[c] = i
                    continue
                state += STEP
                won, lost = (other, i) if first_wins(left[other], left[i], mix(state)) else (i, other)
                total = left[won] + left[lost]
                left[won] = min(total, ONE)
                left[lost] = total - left[won]
                rest = won
                if total >= ONE:
                    shown[a + won] = True
                    full[c] += 1
                    rest = lost
                holder[c] = rest if left[rest] > 0 and not shown[a + rest] else -1
            room = most[k] if k < n_systems else size[u]
            for i in range(n):
                c = mine[i]
                if c >= 0 and holder[c] == i and full[c] < room:  # else what is left is rounding
                    open_[kept] = i
                    kept += 1
            n_open = kept
        if n_open > 0:
            i = open_[0]
            state += STEP
            short = full[0] < least[u] and left[i] > (1.0 - _ROUNDING) * ONE
            shown[a + i] = short or uniform(mix(state)) * ONE < left[i]


class Lists(NamedTuple):
    """Categories of all systems as lists by item, numbered on from system to system."""

    start: Ints  # (n_items + 1,)
    of: Ints  # category numbers
    most: Ints  # by category


class Rows(NamedTuple):
    """Sums that a slate has limits on, the slate's own first, and which are at one."""

    of: Ints  # (n, any) the rows of each pair, -1 behind the last
    tight: npt.NDArray[np.bool_]  # at a limit: it may not change
    gone: npt.NDArray[np.bool_]  # given up
    total: Floats
    low: Floats
    high: Floats
    slope: Floats  # scratch


@jit
def _direction(
    n: int, x: Floats, n_rows: int, of_rows: Rows, basis: Floats, parts: Floats, pivot: Ints, d: Floats
) -> bool:
    """Write a change of the fractional entries that keeps the tight rows into d; False if there is none."""
    rows, tight, _, _, _, _, _ = of_rows
    found = 0
    column = basis[n_rows]
    for i in range(n):
        if x[i] <= 0.0 or x[i] >= 1.0:
            continue
        for r in range(n_rows):
            column[r] = 0.0
        j = 0
        while rows[i, j] >= 0:
            if tight[rows[i, j]]:
                column[rows[i, j]] = 1.0
            j += 1
        for k in range(n):
            d[k] = 0.0
        d[i] = 1.0
        for b in range(found):  # less what the columns before it explain
            factor = column[pivot[b]] / basis[b, pivot[b]]
            if factor != 0.0:
                for r in range(n_rows):
                    column[r] -= factor * basis[b, r]
                column[pivot[b]] = 0.0
                for k in range(n):
                    d[k] -= factor * parts[b, k]
        largest = 0
        for r in range(n_rows):
            if abs(column[r]) > abs(column[largest]):
                largest = r
        if abs(column[largest]) < _ZERO:
            return True
        pivot[found] = largest
        for r in range(n_rows):
            basis[found, r] = column[r]
        for k in range(n):
            parts[found, k] = d[k]
        found += 1
    return False


@jit
def _length(n: int, x: Floats, d: Floats, sign: float, n_rows: int, of_rows: Rows) -> float:
    """How far x can go along sign * d until an entry is 0 or 1 or a row is at its end."""
    rows, tight, gone, total, low, high, slope = of_rows
    far = np.inf
    for r in range(n_rows):
        slope[r] = 0.0
    for i in range(n):
        by = sign * d[i]
        if by == 0.0:
            continue
        far = min(far, (1.0 - x[i]) / by if by > 0.0 else x[i] / -by)
        j = 0
        while rows[i, j] >= 0:
            slope[rows[i, j]] += by
            j += 1
    for r in range(n_rows):
        if gone[r] or tight[r]:
            continue
        if slope[r] > _ZERO:
            far = min(far, (high[r] - total[r]) / slope[r])
        elif slope[r] < -_ZERO:
            far = min(far, (low[r] - total[r]) / slope[r])
    return max(far, 0.0)


@jit
def round_crossing(
    first: int, last: int, slots: Slots, lists: Lists, widest: int, seed: int, shown: npt.NDArray[np.bool_]
) -> None:
    """As `round_nested`, where categories cross or items have several: no more than `widest` each."""
    start, item, given, size, least = slots
    longest = 1
    for u in range(first, last):
        longest = max(longest, start[u + 1] - start[u])
    most_rows = longest * widest + 1
    x = np.empty(longest)
    d = np.empty(longest)
    pair = np.empty(longest, np.int64)
    rows = np.empty((longest, widest + 2), np.int64)
    number = np.empty(max(1, lists.most.size), np.int64)  # of a category's row, right only where label agrees
    label = np.empty(most_rows, np.int64)
    total, low, high, slope = np.empty(most_rows), np.empty(most_rows), np.empty(most_rows), np.empty(most_rows)
    room = np.empty(most_rows, np.int64)
    members = np.empty(most_rows, np.int64)
    tight, gone = np.empty(most_rows, np.bool_), np.empty(most_rows, np.bool_)
    of_rows = Rows(rows, tight, gone, total, low, high, slope)
    pivot = np.empty(longest, np.int64)
    for u in range(first, last):
        a = start[u]
        n = not_literal(0)
        certain = 0
        for p in range(a, start[u + 1]):
            shown[p] = given[p] >= 1.0 - _AT
            if shown[p]:
                certain += 1
            elif given[p] > _AT:
                x[n] = given[p]
                pair[n] = p
                n += 1
        if n == 0:
            continue
        # row 0 is the slate
        n_rows = not_literal(1)
        room[0] = size[u] - certain
        for i in range(n):
            k = item[pair[i]]
            rows[i, 0] = 0
            j = 1
            for entry in range(lists.start[k], lists.start[k + 1]):
                c = lists.of[entry]
                if not (number[c] < n_rows and number[c] > 0 and label[number[c]] == c):
                    number[c] = n_rows
                    label[n_rows] = c
                    room[n_rows] = lists.most[c]
                    n_rows += 1
                rows[i, j] = number[c]
                j += 1
            rows[i, j] = -1
        for p in range(a, start[u + 1]):
            if shown[p]:
                for entry in range(lists.start[item[p]], lists.start[item[p] + 1]):
                    c = lists.of[entry]
                    if 0 < number[c] < n_rows and label[number[c]] == c:
                        room[number[c]] -= 1
        for r in range(n_rows):
            total[r] = 0.0
            gone[r] = False
        for i in range(n):
            j = 0
            while rows[i, j] >= 0:
                total[rows[i, j]] += x[i]
                j += 1
        for r in range(n_rows):
            low[r] = np.floor(total[r] + _CLOSE)
            high[r] = max(low[r], min(np.ceil(total[r] - _CLOSE), float(room[r])))
        low[0] = max(low[0], min(float(least[u] - certain), high[0]))
        basis = np.empty((n_rows + 1, n_rows))
        parts = np.empty((n_rows, n))
        state = stream(seed, u)
        while True:
            n_open = 0
            for r in range(n_rows):
                total[r] = 0.0
                members[r] = 0
            for i in range(n):
                is_open = 0.0 < x[i] < 1.0
                n_open += is_open
                j = 0
                while rows[i, j] >= 0:
                    total[rows[i, j]] += x[i]
                    members[rows[i, j]] += is_open
                    j += 1
            if n_open == 0:
                break
            for r in range(n_rows):
                at_end = total[r] <= low[r] + _CLOSE or total[r] >= high[r] - _CLOSE
                tight[r] = at_end and members[r] > 0 and not gone[r]
            if not _direction(n, x, n_rows, of_rows, basis, parts, pivot, d):
                near = 0
                for i in range(n):
                    if 0.0 < x[i] < 1.0 and abs(x[i] - np.rint(x[i])) < _ROUNDING:
                        x[i] = np.rint(x[i])
                        near += 1
                if near > 0:
                    continue
                worst = 0  # a corner that is not whole: give up the row with fewest open pairs, caps later
                for r in range(1, n_rows):
                    if not tight[r]:
                        continue
                    rests = high[r] == room[r] and total[r] >= high[r] - _CLOSE
                    best = high[worst] == room[worst] and total[worst] >= high[worst] - _CLOSE
                    if worst == 0 or rests < best or (rests == best and members[r] < members[worst]):
                        worst = r
                if worst == 0:  # the size of the slate alone is left, and missed by more than rounding
                    gone[0] = True
                    continue
                gone[worst] = True
                continue
            up = _length(n, x, d, 1.0, n_rows, of_rows)
            down = _length(n, x, d, -1.0, n_rows, of_rows)
            state += STEP
            by = up if uniform(mix(state)) * (up + down) < down else -down
            for i in range(n):
                if d[i] != 0.0:
                    x[i] += by * d[i]
                    if x[i] < _AT:
                        x[i] = 0.0
                    elif x[i] > 1.0 - _AT:
                        x[i] = 1.0
        for i in range(n):
            shown[pair[i]] = x[i] == 1.0
