"""A slate that keeps a share of a column: a price on the column, then the best single exchanges.

    maximize  worth(S)   subject to  R(S) >= target = R* - (1 - share) |R*|

with R* what the best slate for the column alone adds up to under the same caps. At a price nu >= 0 on the column greedy
solves `worth + nu R`. Two slates are drawn together: `low`, worth most, misses the target; `high`, at first the best
for the column, reaches it. The price at which both are worth the same gives a third that replaces the one on its side,
until it is neither's better: the least price that keeps the target (Handler and Zang, "A dual algorithm for the
constrained shortest path problem", Networks 10, 1980). What `high` keeps too much is spent on exchanges of one
candidate for another; `low` goes through the same once one exchange has repaired it, and the better is the answer.

`docs/snapshot.md` specifies all of it to the bit: a change here is a change there, in its vectors and in other hosts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_pick import _count, _marginal, pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NU, KEPT, TARGET, ORGANIC = range(4)  # entries of `info`

_ROUNDS = 50
_GAIN = 1e-12
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
    for j in range(m):
        inside[out[j]] = True
        _count(_class(out[j], keys, of_item), rules, counts, 1)
    for _ in range(2 * min(k, n) + 1):
        kept = _sum(m, out, column)
        gain = -np.inf if repair else _GAIN
        drop, take = -1, -1
        for j in range(pinned, min(m + 1, k)):
            base, rest = 0.0, kept
            if j < m:
                klass = _class(out[j], keys, of_item)
                _count(klass, rules, counts, -1)
                base, rest = _marginal(scores[out[j]], klass, rules, stairs, counts), kept - column[out[j]]
                if m > least and not repair and rest >= target and floor - base > gain:
                    gain, drop, take = floor - base, j, -1
            for b in range(n):
                # Steps only take off: what does not gain without them does not gain.
                if scores[b] - base > gain and rest + column[b] >= target and not inside[b]:
                    more = _marginal(scores[b], _class(b, keys, of_item), rules, stairs, counts) - base
                    if more > gain:
                        gain, drop, take = more, j, b
            if j < m:
                _count(_class(out[j], keys, of_item), rules, counts, 1)
        if drop < 0:
            break
        if drop < m:
            inside[out[drop]] = False
            _count(_class(out[drop], keys, of_item), rules, counts, -1)
        if take >= 0:
            inside[take] = True
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
    at which the search ended, what the slate keeps, the target and the organic sum.
    """
    low, high, mid = out.copy(), out.copy(), out.copy()
    m_high = pick(n, column, keys, of_item, rules, flat, counts, pinned, k, least, 0.0, high, marginal)
    kept_high = _sum(m_high, high, column)
    target = kept_high - (1.0 - share) * abs(kept_high)
    target -= _ROUNDING * abs(target)
    info[NU], info[TARGET], info[ORGANIC] = 0.0, target, kept_high
    m_low = pick(n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, out, marginal)
    info[KEPT] = kept_low = _sum(m_low, out, column)
    if kept_low >= target:
        return m_low

    low[:m_low] = out[:m_low]
    if floor < 0.0:  # all slots are to be filled, where the target lets them be
        mid[:m_high] = high[:m_high]
        m_mid = pick(n, column, keys, of_item, rules, flat, counts, m_high, k, least, floor, mid, marginal)
        if _sum(m_mid, mid, column) >= target:
            high, mid, m_high, kept_high = mid, high, m_mid, _sum(m_mid, mid, column)
    worth_low = _worth(m_low, low, scores, keys, of_item, rules, stairs, counts)
    worth_high = _worth(m_high, high, scores, keys, of_item, rules, stairs, counts)
    tilted = np.empty(n)
    for _ in range(_ROUNDS):
        nu = (worth_low - worth_high) / (kept_high - kept_low)
        for i in range(n):
            tilted[i] = scores[i] + nu * column[i] if scores[i] > -np.inf else -np.inf
        m_mid = pick(n, tilted, keys, of_item, rules, stairs, counts, pinned, k, least, floor, mid, marginal)
        kept, worth = _sum(m_mid, mid, column), _worth(m_mid, mid, scores, keys, of_item, rules, stairs, counts)
        info[NU] = nu
        if kept >= target:
            if kept >= kept_high and worth <= worth_high:
                break
            high, mid, m_high, kept_high, worth_high = mid, high, m_mid, kept, worth
        elif kept > kept_low:
            low, mid, m_low, kept_low, worth_low = mid, low, m_mid, kept, worth
        else:
            break

    m_high = _exchange(
        n, m_high, pinned, k, least, floor, high, scores, column, keys, of_item, rules, stairs, counts, target, False
    )
    m_low = _exchange(
        n, m_low, pinned, k, least, floor, low, scores, column, keys, of_item, rules, stairs, counts, target, True
    )
    if m_low >= 0:
        worth_high = _worth(m_high, high, scores, keys, of_item, rules, stairs, counts)
        if _worth(m_low, low, scores, keys, of_item, rules, stairs, counts) > worth_high:
            high, m_high = low, m_low

    for i in range(n):
        tilted[i] = -np.inf
    for j in range(m_high):
        tilted[high[j]] = scores[high[j]]
    m = pick(n, tilted, keys, of_item, rules, stairs, counts, pinned, m_high, m_high, floor, out, marginal)
    info[KEPT] = _sum(m, out, column)
    return m
