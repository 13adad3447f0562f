"""A slate that keeps a share of a column: a price on the column, then the best single exchanges.

    maximize  worth(S)   subject to  R(S) >= target = R* - (1 - share) |R*|

with R* the sum of the column over the best slate for the column, under the same caps. At a price nu >= 0 on the column
greedy solves `worth + nu R`. Two slates are drawn together: `low`, worth most, misses the target; `high`, at first the
best for the column, reaches it. The price at which both are worth the same gives a third that replaces the one on its
side, until it improves neither: the least price that keeps the target (Handler and Zang, "A dual algorithm for the
constrained shortest path problem", Networks 10, 1980). The surplus of `high` is used for exchanges of one
candidate for another; `low` is improved in the same way after one exchange has repaired it. The better is the answer.

`docs/snapshot.md` specifies all of it to the bit: a change here must be made there, in its vectors and in other hosts.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Fill, Floats, Ints, Keep, Scored, SlateOut
from oasis_alloc.kernels.serve.slate_pick import class_of, count, marginal_score, pick

NU, KEPT, TARGET, ORGANIC = range(4)  # entries of `info`

ROUNDING = 1e-9  # of the target, that it is missed by and kept all the same
_ROUNDS = 50
_GAIN = 1e-12


@jit
def _exchange(
    m: int, scored: Scored, column: Floats, rules: CategoryRules, fill: Fill, out: Ints, target: float, repair: int
) -> int:
    """Exchange, add and drop single candidates of a slate as long as it gains; return how many it has.

    With `repair`, the first exchange is the one that reaches the target at the least loss; -1 if none does.
    """
    n, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, k, min_size, floor = fill
    one = not_literal(1)
    inside = np.zeros(n, np.bool_)
    for j in range(m):
        inside[out[j]] = True
        count(class_of(out[j], keys, of_item), array, counts, one)
    for _ in range(2 * min(k, n) + 1):
        kept = sum_of(m, out, column)
        gain = -np.inf if repair else _GAIN
        drop = take = not_literal(-1)
        for j in range(pinned, min(m + 1, k)):
            base, rest = 0.0, kept
            if j < m:
                class_ = class_of(out[j], keys, of_item)
                count(class_, array, counts, -one)
                base = marginal_score(scores[out[j]], class_, array, costs, counts)
                rest = kept - column[out[j]]
                if m > min_size and not repair and rest >= target and floor - base > gain:
                    gain, drop, take = floor - base, j, -1
            for b in range(n):
                # Costs only take off: what does not gain without them does not gain.
                if scores[b] - base > gain and rest + column[b] >= target and not inside[b]:
                    more = marginal_score(scores[b], class_of(b, keys, of_item), array, costs, counts) - base
                    if more > gain:
                        gain, drop, take = more, j, b
            if j < m:
                count(class_of(out[j], keys, of_item), array, counts, one)
        if drop < 0:
            break
        if drop < m:
            inside[out[drop]] = False
            count(class_of(out[drop], keys, of_item), array, counts, -one)
        if take >= 0:
            inside[take] = True
            count(class_of(take, keys, of_item), array, counts, one)
            out[drop] = take
            m = max(m, drop + 1)
        else:
            m -= 1
            out[drop] = out[m]
        repair = 0
    for j in range(m):
        count(class_of(out[j], keys, of_item), array, counts, -one)
    return -1 if repair else m


@jit(allocates=False)
def _worth(m: int, out: Ints, scored: Scored, rules: CategoryRules) -> float:
    """What m picks are worth together."""
    _, scores, keys, of_item = scored
    array, costs, counts = rules
    one = not_literal(1)
    total = 0.0
    for j in range(m):
        class_ = class_of(out[j], keys, of_item)
        total += marginal_score(scores[out[j]], class_, array, costs, counts)
        count(class_, array, counts, one)
    for j in range(m):
        count(class_of(out[j], keys, of_item), array, counts, -one)
    return total


@jit(allocates=False)
def sum_of(m: int, out: Ints, column: Floats) -> float:
    """What the column adds up to over m picks."""
    total = 0.0
    for j in range(m):
        total += column[out[j]]
    return total


@jit
def keep(scored: Scored, rules: CategoryRules, fill: Fill, share: Keep, slate: SlateOut, info: Floats) -> int:
    """As `pick`, and keep the share of a column.

    Entries of the column of excluded candidates are minus infinity. `info` (4,) gets the price of the column at which
    the search ended, what the slate keeps, the target and the organic sum.
    """
    n, scores, keys, of_item = scored
    pinned, k, min_size, floor = fill
    column, caps, part = share
    out, marginal = slate
    low, high, mid = out.copy(), out.copy(), out.copy()
    by_column, capped = Scored(n, column, keys, of_item), CategoryRules(rules.array, caps, rules.counts)
    m_high = pick(by_column, capped, Fill(pinned, k, min_size, 0.0), SlateOut(high, marginal))
    kept_high = sum_of(m_high, high, column)
    target = kept_high - (1.0 - part) * abs(kept_high)
    target -= ROUNDING * abs(target)
    info[NU], info[TARGET], info[ORGANIC] = 0.0, target, kept_high
    m_low = pick(scored, rules, fill, slate)
    info[KEPT] = kept_low = sum_of(m_low, out, column)
    if kept_low >= target:
        return m_low

    for j in range(m_low):
        low[j] = out[j]
    if floor < 0.0:  # all slots are to be filled, where the target lets them be
        for j in range(m_high):
            mid[j] = high[j]
        m_mid = pick(by_column, capped, Fill(m_high, k, min_size, floor), SlateOut(mid, marginal))
        if sum_of(m_mid, mid, column) >= target:
            high, mid, m_high, kept_high = mid, high, m_mid, sum_of(m_mid, mid, column)
    worth_low = _worth(m_low, low, scored, rules)
    worth_high = _worth(m_high, high, scored, rules)
    tilted = np.empty(n)
    by_tilted = Scored(n, tilted, keys, of_item)
    for _ in range(_ROUNDS):
        nu = (worth_low - worth_high) / (kept_high - kept_low)
        for i in range(n):
            tilted[i] = scores[i] + nu * column[i] if scores[i] > -np.inf else -np.inf
        m_mid = pick(by_tilted, rules, fill, SlateOut(mid, marginal))
        kept, worth = sum_of(m_mid, mid, column), _worth(m_mid, mid, scored, rules)
        info[NU] = nu
        if kept >= target:
            if kept >= kept_high and worth <= worth_high:
                break
            high, mid, m_high, kept_high, worth_high = mid, high, m_mid, kept, worth
        elif kept > kept_low:
            low, mid, m_low, kept_low, worth_low = mid, low, m_mid, kept, worth
        else:
            break

    m_high = _exchange(m_high, scored, column, rules, fill, high, target, not_literal(False))
    m_low = _exchange(m_low, scored, column, rules, fill, low, target, not_literal(True))
    if m_low >= 0:
        worth_high = _worth(m_high, high, scored, rules)
        if _worth(m_low, low, scored, rules) > worth_high:
            high, m_high = low, m_low

    for i in range(n):
        tilted[i] = -np.inf
    for j in range(m_high):
        tilted[high[j]] = scores[high[j]]
    m = pick(by_tilted, rules, Fill(pinned, m_high, m_high, floor), slate)
    info[KEPT] = sum_of(m, out, column)
    return m
