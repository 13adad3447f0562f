"""What further impressions of a campaign cost within the rules of slates, at given prices of everything else.

A user's own prices (those of the kept column and of categories that cross) are given, too. The rest of the rules,
nested caps and a staircase, has one whole slate that is best, and greedy choice finds it: sums of concave functions of
nested categories are a valuated matroid. There the best slate with one more item of the campaign differs from the last
one by one exchange: an item of the campaign enters, another one or an empty slot leaves (Gabow and Tarjan, Efficient
algorithms for a family of matroid intersection problems, 1984; Murota, Discrete Convex Analysis, 2003). So the costs of
further impressions never fall, and they are read from the items that are shown and those of the campaign alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.rules import Rules
from oasis_alloc.kernels.solve.jobs import FurtherPrices
from oasis_alloc.kernels.solve.opportunity import Priced

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class OwnPrices(NamedTuple):
    """Prices that users have for themselves, at any values of which bounds hold."""

    guard: npt.NDArray[Any]  # (n_pairs,) the kept column, or empty
    unit: Floats  # (n_users,) its unit, or empty
    nu: Floats  # (n_users,) its price, or empty
    further: FurtherPrices  # of categories that cross


class Best(NamedTuple):
    """The best whole slate of every user at prices."""

    start: Ints  # (n_users + 1,) where a user's slots begin
    pair: Ints  # (slots,) a user's items come first, then -1


@jit(inline=True, allocates=False)
def _net(u: int, p: int, priced: Priced, rules: Rules, own: OwnPrices) -> float:
    """The priced score of a pair minus the user's own prices."""
    code = priced.code[p]
    segment = priced.segment[u]
    s = np.float64(priced.value[p]) - priced.tables[0, segment, code]
    for c in range(priced.extra.shape[0]):
        s -= priced.tables[c + 1, segment, code] * priced.extra[c, p]
    if own.nu.size > 0 and own.nu[u] > 0.0:
        s += own.nu[u] * (own.guard[p] / own.unit[u])
    if own.further.start.size > 0:
        for entry in range(rules.start[code], rules.start[code + 1]):
            for at in range(own.further.start[u], own.further.start[u + 1]):
                if own.further.category[at] < 0:
                    break
                if own.further.category[at] == rules.further[entry]:
                    s -= own.further.price[at]
    return float(s)


@jit(inline=True, allocates=False)
def _step(code: int, given: int, weight: float, rules: Rules, counts: Ints) -> float:
    """What the staircase takes when a class enters and `given` (-1: an empty slot) leaves; infinite above a cap."""
    cost = 0.0
    for k in range(rules.most.size):
        enters = rules.of[k, code]
        leaves = -1
        if given >= 0:
            leaves = rules.of[k, given]
        if enters == leaves:
            continue
        if enters >= 0:
            if counts[k, enters] >= rules.most[k]:
                return float(np.inf)
            if k == rules.stair:
                cost += rules.steps[counts[k, enters]] * weight
        if leaves >= 0 and k == rules.stair:
            cost -= rules.steps[counts[k, leaves] - 1] * weight
    return cost


@jit(inline=True, allocates=False)
def _count(code: int, by: int, rules: Rules, counts: Ints) -> None:
    """Add to the items of a class's categories."""
    for k in range(rules.most.size):
        if rules.of[k, code] >= 0:
            counts[k, rules.of[k, code]] += by


@jit(inline=True, allocates=False)
def _own_cost(u: int, rules: Rules, own: OwnPrices) -> float:
    """What a user's own prices add to the dual value."""
    cost = 0.0
    if own.nu.size > 0:
        cost -= own.nu[u] * rules.target[u]
    if own.further.start.size > 0:
        for at in range(own.further.start[u], own.further.start[u + 1]):
            if own.further.category[at] < 0:
                break
            price = own.further.price[at]
            step = 0
            while rules.staircase[own.further.category[at], step] * rules.weight[u] < price:
                cost += price - rules.staircase[own.further.category[at], step] * rules.weight[u]
                step += 1
    return cost


@jit
def best_slates(priced: Priced, rules: Rules, own: OwnPrices, best: Best) -> float:
    """Write the best slates; returns the dual value of all users at these prices, which no slates exceed."""
    total = 0.0
    longest = 1
    n_users = priced.indptr.size - 1
    for u in range(n_users):
        longest = max(longest, priced.indptr[u + 1] - priced.indptr[u])
    net = np.empty(longest)
    taken = np.zeros(longest, np.bool_)
    counts = np.zeros((rules.most.size, max(1, rules.n)), np.int64)
    for u in range(n_users):
        a = priced.indptr[u]
        n = priced.indptr[u + 1] - a
        for i in range(n):
            net[i] = _net(u, a + i, priced, rules, own)
            taken[i] = False
        begin = best.start[u]
        for j in range(best.start[u + 1] - begin):
            entered = -1
            gain = -np.inf if j < rules.least[u] else 0.0
            for i in range(n):
                if net[i] > gain and not taken[i]:  # no step is negative
                    after = net[i] - _step(priced.code[a + i], -1, rules.weight[u], rules, counts)
                    if after > gain:
                        gain = after
                        entered = i
            if entered < 0:
                break
            taken[entered] = True
            best.pair[begin + j] = a + entered
            _count(priced.code[a + entered], 1, rules, counts)
            total += gain
        for at in range(begin, best.start[u + 1]):
            if best.pair[at] < 0:
                break
            _count(priced.code[best.pair[at]], -1, rules, counts)
        total += _own_cost(u, rules, own)
    return total


@jit
def insertions(
    users: Ints, begin: Ints, mine: Ints, priced: Priced, rules: Rules, own: OwnPrices, best: Best, cost: Floats,
    place: Ints, given: Ints,
) -> int:  # fmt: skip
    """Write the cost of each impression of the campaign, user by user; returns how many there are.

    Arguments are those of `opportunity.opportunity`. What is shown without a promise costs 0.
    """
    count = 0
    most = 1
    widest = 1
    for u in range(users.size):
        most = max(most, begin[u + 1] - begin[u])
        widest = max(widest, best.start[users[u] + 1] - best.start[users[u]])
    net = np.empty(most)  # of the campaign's pairs
    free = np.empty(most, np.bool_)  # those that are not in the slate
    slate = np.empty(widest, np.int64)
    score = np.empty(widest)
    fixed = np.empty(widest, np.bool_)  # of the campaign
    counts = np.zeros((rules.most.size, max(1, rules.n)), np.int64)
    for h in range(users.size):
        u = users[h]
        a = begin[h]
        m = begin[h + 1] - a
        for i in range(m):
            net[i] = _net(u, mine[a + i], priced, rules, own)
            free[i] = True
        room = best.start[u + 1] - best.start[u]
        k = 0
        while k < room and best.pair[best.start[u] + k] >= 0:
            p = best.pair[best.start[u] + k]
            slate[k] = p
            score[k] = _net(u, p, priced, rules, own)
            fixed[k] = False
            _count(priced.code[p], 1, rules, counts)
            for i in range(m):
                if mine[a + i] == p:
                    free[i] = False
                    fixed[k] = True
                    cost[count] = 0.0
                    place[count] = a + i
                    given[count] = -1
                    count += 1
            k += 1
        while True:
            least = np.inf
            enters = -1
            leaves = -1
            for i in range(m):
                if not free[i]:
                    continue
                code = priced.code[mine[a + i]]
                if k < room:
                    price = _step(code, -1, rules.weight[u], rules, counts) - net[i]
                    if price < least:
                        least, enters, leaves = price, i, -1
                for j in range(k):
                    if not fixed[j]:
                        step = _step(code, int(priced.code[slate[j]]), rules.weight[u], rules, counts)
                        price = step + score[j] - net[i]
                        if price < least:
                            least, enters, leaves = price, i, j
            if enters < 0:
                break
            p = mine[a + enters]
            cost[count] = max(0.0, least)
            place[count] = a + enters
            given[count] = -1
            if leaves >= 0:
                given[count] = slate[leaves]
                _count(priced.code[slate[leaves]], -1, rules, counts)
            else:
                leaves = k
                k += 1
            _count(priced.code[p], 1, rules, counts)
            slate[leaves] = p
            score[leaves] = net[enters]
            fixed[leaves] = True
            free[enters] = False
            count += 1
        for j in range(k):
            _count(priced.code[slate[j]], -1, rules, counts)
    return count
