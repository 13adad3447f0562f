"""A slate that keeps a share of a column: a price on the column, then the best single exchanges.

    maximise  worth(S)   subject to  R(S) >= target = R* - (1 - share) |R*|

with R* what the best slate for the column alone adds up to under the same caps. At a price nu >= 0 on the column greedy
solves `worth + nu R`; the least nu whose slate keeps the target is found by bisection. What that slate keeps too much
is spent on exchanges of one candidate for another; the slate just below goes through the same once one exchange has
repaired it, and the better of the two is the answer. Where no price reaches the target, the organic slate, which does,
is what exchanges start from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.slate_pick import _count, _marginal, pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NU, KEPT, TARGET, ORGANIC = range(4)  # entries of `info`

_DOUBLINGS = 60
_HALVINGS = 40
_ROUNDING = 1e-9


@jit
def _class(i: int, keys: Ints, of_item: npt.NDArray[np.uint32]) -> int:
    return int(of_item[0, min(np.uint64(keys[i]), np.uint64(of_item.shape[1] - 1))])


@jit
def _exchange(
    n: int, m: int, pinned: int, k: int, least: int, floor: float, out: Ints, scores: Floats, column: Floats,
    keys: Ints, of_item: npt.NDArray[np.uint32], rules: Ints, stairs: Floats, counts: Ints, target: float, repair: bool,
) -> int:  # fmt: skip
    """Exchange, add and drop single candidates of a slate as long as it gains; return how many it has.

    With `repair`, the first exchange is the one that reaches the target at the least loss; -1 where none does.
    """
    inside = np.zeros(n, np.bool_)
    kept = 0.0
    for j in range(m):
        inside[out[j]] = True
        kept += column[out[j]]
        _count(_class(out[j], keys, of_item), rules, counts, 1)
    for _ in range(2 * k + 1):
        gain = -np.inf if repair else 1e-12
        drop, take = -1, -1
        for j in range(pinned, m + 1):
            base, rest = 0.0, kept
            if j < m:
                klass = _class(out[j], keys, of_item)
                _count(klass, rules, counts, -1)
                base, rest = _marginal(scores[out[j]], klass, rules, stairs, counts), kept - column[out[j]]
                if m > least and not repair and rest >= target and floor - base > gain:
                    gain, drop, take = floor - base, j, -1
            if j < m or m < k:
                for b in range(n):
                    if not inside[b] and scores[b] > -np.inf and rest + column[b] >= target:
                        more = _marginal(scores[b], _class(b, keys, of_item), rules, stairs, counts) - base
                        if more > gain:
                            gain, drop, take = more, j, b
            if j < m:
                _count(_class(out[j], keys, of_item), rules, counts, 1)
        if drop < 0:
            break
        if drop < m:
            a = out[drop]
            inside[a] = False
            kept -= column[a]
            _count(_class(a, keys, of_item), rules, counts, -1)
        if take >= 0:
            inside[take] = True
            kept += column[take]
            _count(_class(take, keys, of_item), rules, counts, 1)
            out[drop] = take
            m = max(m, drop + 1)
        else:
            m -= 1
            out[drop] = out[m]
        repair = False
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return -1 if repair else m


@jit
def _worth(
    m: int, out: Ints, scores: Floats, keys: Ints, of_item: npt.NDArray[np.uint32], rules: Ints, stairs: Floats,
    counts: Ints,
) -> float:  # fmt: skip
    total = 0.0
    for j in range(m):
        klass = _class(out[j], keys, of_item)
        total += _marginal(scores[out[j]], klass, rules, stairs, counts)
        _count(klass, rules, counts, 1)
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return total


@jit
def _sum(m: int, out: Ints, column: Floats) -> float:
    total = 0.0
    for j in range(m):
        total += column[out[j]]
    return total


@jit
def keep(
    n: int,
    scores: Floats,
    column: Floats,
    keys: Ints,
    of_item: npt.NDArray[np.uint32],
    rules: Ints,
    stairs: Floats,
    flat: Floats,
    counts: Ints,
    pinned: int,
    k: int,
    least: int,
    floor: float,
    share: float,
    out: Ints,
    marginal: Floats,
    info: Floats,
) -> int:
    """As `pick`, and keep the share of `column`; `flat` is `stairs` without decrements.

    Scores and entries of the column of excluded candidates are minus infinity. `info` (4,) gets the price of the column
    at the slate that was started from, what the slate keeps, the target and the organic sum.
    """
    slate, other = out.copy(), out.copy()
    m_organic = pick(n, column, keys, of_item, rules, flat, counts, pinned, k, least, 0.0, other, marginal)
    info[ORGANIC] = _sum(m_organic, other, column)
    target = info[ORGANIC] - (1.0 - share) * abs(info[ORGANIC])
    target -= _ROUNDING * abs(target)
    info[TARGET] = target
    info[NU] = 0.0
    m = pick(n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, out, marginal)
    info[KEPT] = _sum(m, out, column)
    if info[KEPT] >= target:
        return m

    m_best, worth = -1, -np.inf
    best = other.copy()
    tilted = np.empty(n)
    low, high = 0.0, 1e-6
    for i in range(n):
        if scores[i] > -np.inf:
            high = max(high, 1e-3 * abs(scores[i]))
    reached = False
    for step in range(_DOUBLINGS + _HALVINGS):
        nu = 0.5 * (low + high) if reached else high
        for i in range(n):
            tilted[i] = scores[i] + nu * column[i] if scores[i] > -np.inf else -np.inf
        m = pick(n, tilted, keys, of_item, rules, stairs, counts, pinned, k, least, floor, slate, marginal)
        if _sum(m, slate, column) >= target:
            reached, high = True, nu
        elif reached:
            low = nu
        else:
            low, high = high, 2.0 * high
            if step >= _DOUBLINGS:
                break
        if reached and high - low <= 1e-12 * high:
            break
    for side in range(2):
        nu = high if side == 0 else low
        for i in range(n):
            tilted[i] = scores[i] + nu * column[i] if scores[i] > -np.inf else -np.inf
        m = pick(n, tilted, keys, of_item, rules, stairs, counts, pinned, k, least, floor, slate, marginal)
        repair = _sum(m, slate, column) < target
        m = _exchange(
            n, m, pinned, k, least, floor, slate, scores, column, keys, of_item, rules, stairs, counts, target, repair
        )
        if m >= 0:
            value = _worth(m, slate, scores, keys, of_item, rules, stairs, counts)
            if value > worth:
                m_best, worth = m, value
                best[:] = slate
    info[NU] = high if reached else np.inf
    if m_best < 0:
        m_best = _exchange(
            n, m_organic, pinned, k, least, floor, best, scores, column, keys, of_item, rules, stairs, counts, target,
            False,
        )  # fmt: skip

    for i in range(n):
        tilted[i] = -np.inf
    for j in range(m_best):
        tilted[best[j]] = scores[best[j]]
    m = pick(n, tilted, keys, of_item, rules, stairs, counts, pinned, m_best, m_best, floor, out, marginal)
    info[KEPT] = _sum(m, out, column)
    return m
