"""One user's smoothed slate under all rules: the chain (chain.py) inside, guards and crossing categories around it.

Given the prices of guards and of further categories, the chain is solved exactly. One price is found by a bracketed
root (guard.py), several jointly by Newton's method (joint.py). At any prices, the dual value is an upper bound of the
value of the user's slate; certificates use this.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.further_prices import recall, visited
from oasis_alloc.kernels.rules.guard import guard_root
from oasis_alloc.kernels.rules.joint import further_cost, solve_joint
from oasis_alloc.kernels.rules.mend import mend
from oasis_alloc.kernels.rules.rules import Local, Rules, User, Work, number, number_further
from oasis_alloc.kernels.rules.uncrowded import plain_slate
from oasis_alloc.kernels.solve.jobs import FurtherPrices

Floats = npt.NDArray[np.float64]

_NONE = 1e-300  # a column of zeros
_LOOKS = 2  # at more than the first but not at all candidates


class Settled(NamedTuple):
    """A user's slate: what was looked at is in work.at, with its threshold, owner and x; all others are not shown."""

    m: int  # candidates looked at
    n_more: int  # further categories that they have
    t: float  # threshold of the slate
    nu: float  # price of the guard
    cost: float  # of all prices
    again: int  # 1 where a first look was not enough though no guard had a say


@jit(inline=True, allocates=False)
def settle(
    u: int, a: int, n: int, code: npt.NDArray[np.integer[Any]], start: float, slack: float, start_nu: float,
    gamma: float, warm: bool, further: FurtherPrices, rules: Rules, local: Local, work: Work,
) -> Settled:  # fmt: skip
    """Solve user u, whose n candidates begin at pair a and have the scores work.s.

    `warm` says that the user's prices of the last visit may be used.
    """
    guarded = rules.target.size > 0
    crossing = rules.start.size > 0
    nu = start_nu  # 0 where there is no guard
    free = rules.least[u] == 0
    known = warm and crossing and visited(u, further)
    every = not free or (guarded and crossing and not known)
    if free and not crossing and nu == 0.0 and rules.size[u] > 0:
        kept, m, t, again = plain_slate(u, a, n, code, start, slack, gamma, rules, work)
        if kept:
            return Settled(m, 0, t, nu, t * rules.size[u], again)
    low = 0.0 if every else max(0.0, start - slack)
    again = 0
    looks = 0
    while True:
        m = n - n  # not 0: a literal would have everything below compiled once more
        steepest = 0.0  # the largest entry of the guard's column: what is negative comes in last
        for i in range(n):
            score = work.s[i]
            if guarded:
                score += nu * rules.guard[a + i]
                steepest = max(steepest, rules.guard[a + i])
            if score > low or every:
                work.at[m] = i
                work.given[m] = work.s[i]
                if guarded:
                    work.r[m] = rules.guard[a + i]
                m += 1
        if steepest == 0.0:
            steepest = _NONE
            for i in range(m if guarded else 0):
                steepest = max(steepest, abs(work.r[i]))
        number(rules, code, work.at, m, local)
        n_more = number_further(rules, code, m, work)
        most = np.inf
        arrived = True
        user = User(u, m, n_more, low, gamma, steepest)
        if n_more > 0:
            recall(u, n_more, known, further, work)
            nu, t, cost, arrived = solve_joint(user, start, start_nu, known, rules, local, work)
            mend(user, arrived, rules, local, work)
        else:
            if guarded and m < n:  # beyond that, those that were not looked at would come in
                most = nu + 2.0 * (slack + gamma) / steepest
            nu, t, cost = guard_root(user, nu, start, most, rules, local, work)
        if every:
            break
        enough = nu <= most and (t > low or low == 0.0) and (arrived or m == n or not guarded)
        if enough and guarded and m < n and (nu > 0.0 or start_nu > 0.0):  # none of the others may be worth showing
            j = 0
            for i in range(n):
                if j < m and work.at[j] == i:
                    j += 1
                elif work.s[i] + nu * rules.guard[a + i] > t:
                    enough = False
                    break
        if enough:
            break
        again = 1
        near = start_nu > 0.0 or nu <= most  # about where the price is
        if guarded and near and arrived and looks < _LOOKS:  # it may do, with those that come in at it
            low = max(0.0, t - slack)
            start = t
            looks += 1
        else:
            low = 0.0
            every = guarded
            nu = start_nu
    if guarded:
        cost -= nu * rules.target[u]
    cost += further_cost(n_more, rules.weight[u], rules, work)
    return Settled(m, n_more, t, nu, cost, again if nu == 0.0 and start_nu == 0.0 else 0)
