"""The prices of a guard and of further categories around the chain of one user (chain.py).

A guard `sum r x >= target` has a price nu >= 0, which adds nu r to the scores; a further category has a price omega >=
0, which its members pay. Given these, the chain is solved exactly. The guard's price alone is a bracketed root.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.chain import solve_chain
from oasis_alloc.kernels.rules.rules import Local, Rules, User, Work
from oasis_alloc.kernels.rules.stairs import smoothed_gain
from oasis_alloc.kernels.solve.halving import middle

Floats = npt.NDArray[np.float64]

_CLOSE = 1e-11  # of a target
_ROUNDING = 2e-15  # of a score: with it goes x by so much over the smoothing
_FIRST = 1e-2  # of the largest score: the first step of a price whose end is not known
_GROWS = 8.0
_HALVED = 6  # one step in so many halves what is left, whatever the slopes say
_PATIENCE = 24  # steps of Newton's that may come one after the other
_FLAT = 1e-30  # of the steepest squared: no candidate moves the sum
_KNOWN = 1e-14  # of the value: what the dual may still have to fall
_BEYOND = 1e-9  # of a price: what tells the caller that it ended at its upper limit
_DEAREST = 1e15  # in largest scores over largest r: upper limit of the price of a guard
_SEARCH, _ALONE, _OTHER, _BETTER = range(4)


@jit(inline=True, allocates=False)
def chain_at(
    user: User, gamma: float, nu: float, start: float, rules: Rules, local: Local, work: Work
) -> tuple[float, float]:
    """Solve the chain at the prices nu and work.omega: (threshold of the slate, cost without theirs)."""
    u, n, n_more, low = user.u, user.n, user.n_more, user.low
    c = work.c
    lowest = 0.0
    for i in range(n):
        c[i] = work.given[i] + nu * work.r[i]
        if n_more > 0:
            j = 0
            while work.more[i, j] >= 0:
                c[i] -= work.omega[work.more[i, j]]
                j += 1
        lowest = min(lowest, c[i])
    if rules.least[u] > 0:  # slots that must be filled: a threshold at which all are shown
        if rules.stair >= 0:
            lowest -= rules.steps[rules.steps.size - 2] * rules.weight[u]
        low = lowest - 2.0 * gamma - 0.01 * abs(lowest)
    return solve_chain(n, rules.size[u], rules.least[u], low, start, gamma, rules.weight[u], rules, local, work)


@jit(inline=True, allocates=False)
def guarded(n: int, work: Work) -> tuple[float, float, float]:
    """(sum r x, its change per unit of nu, times gamma, and what roundings of scores do to it, times gamma)."""
    total = 0.0
    square = 0.0
    blur = 0.0
    nodes = 0
    for i in range(n):
        total += work.r[i] * work.x[i]
        if 0.0 < work.x[i] < 1.0:
            nodes = max(nodes, work.owner[i] + 1)
    for k in range(nodes):
        work.held[k] = 0.0
        work.sums[k] = 0.0
    for i in range(n):
        if 0.0 < work.x[i] < 1.0:
            square += work.r[i] * work.r[i]
            blur += _ROUNDING * abs(work.r[i]) * (abs(work.given[i]) + abs(work.c[i]))
            if work.owner[i] >= 0:
                work.held[work.owner[i]] += 1.0
                work.sums[work.owner[i]] += work.r[i]
    for k in range(nodes):
        if work.held[k] > 0.0:
            square -= work.sums[k] * work.sums[k] / work.held[k]
    return total, max(square, 0.0), blur


@jit(inline=True, allocates=False)
def worth_at(n: int, gamma: float, cost: float, work: Work) -> float:
    """The user's smoothed dual value at the chain that was just solved, with what its prices cost."""
    value = cost
    for i in range(n):
        value += smoothed_gain(work.c[i] - work.top[i], gamma)
    return value


@jit(inline=True, allocates=False)
def guard_root(
    user: User, start_nu: float, start: float, most: float, rules: Rules, local: Local, work: Work
) -> tuple[float, float, float]:
    """The guard's price and the chain at it, or only the chain without a guard: (nu, threshold, cost).

    The user's dual value is convex in nu, with the slope `sum r x - target`; this finds its minimum. With very small
    smoothing it is piecewise linear, and the lines from the two sides usually meet at the kink itself: Newton's method
    continues from there. If no price meets the target exactly, the slate is a mixture of those at the prices on the two
    sides. A price above `most` ends the search: the caller then has to look at more candidates.
    """
    u, n, gamma, steepest = user.u, user.n, user.gamma, user.steepest
    guard = rules.target.size > 0
    target = rules.target[u] if guard else 0.0
    nu = start_nu
    t = start
    largest = 0.0
    length = 0.0
    exact = _CLOSE * max(abs(target), 1e-3 * steepest)
    short, slope_short, value_short = -1.0, 0.0, 0.0  # a price at which the guard is missed; none yet
    enough, slope_enough, value_enough = np.inf, 0.0, 0.0  # and one at which it is kept
    tried = -1
    stage = _SEARCH if guard else _ALONE
    while True:
        t, cost = chain_at(user, gamma, nu, t, rules, local, work)  # the only call, so it is put in here
        if stage == _ALONE:
            return nu, t, cost
        if stage == _OTHER:  # then the side on which the dual is lower
            for i in range(n):
                work.other[i] = work.x[i]
            nu = enough if nu == short else short
            stage = _BETTER
            continue
        total, square, blur = guarded(n, work)
        f = total - target
        if stage == _BETTER:
            beyond = 0.0
            for i in range(n):
                beyond += work.r[i] * work.other[i]
            share = f / (total - beyond) if total != beyond else 0.0
            if 0.0 < share <= 1.0:
                for i in range(n):
                    work.x[i] += share * (work.other[i] - work.x[i])
            return nu, t, cost
        tried += 1
        if abs(f) <= exact or (f > 0.0 and (nu == 0.0 or f * gamma <= blur)):
            return nu, t, cost
        if tried == 0:
            lowest = 0.0
            for i in range(n):
                largest = max(largest, work.given[i])
                lowest = min(lowest, work.given[i])
            length = 2.0 * max(gamma, _FIRST * largest) / steepest
            most = min(most, _DEAREST * (largest - lowest + gamma) / steepest)
        value = worth_at(n, gamma, cost, work) - nu * target
        if f < 0.0:
            short, slope_short, value_short = nu, f, value
        else:
            enough, slope_enough, value_enough = nu, f, value
        new = nu - f * gamma / square if square > _FLAT * steepest * steepest else np.inf
        if f < 0.0 and -f * gamma <= blur:  # beyond a rounding, so that it is kept
            new = nu + 2.0 * (new - nu)
        if enough == np.inf:  # further up
            if not (nu < new <= nu + length):
                new = nu + length
            length *= _GROWS
            if new > most or not new < np.inf:
                if nu >= most or not most < np.inf:
                    return nu + _BEYOND * nu, t, cost
                new = most
        elif short < 0.0:  # further down
            if not (nu - length <= new < nu):
                new = nu - length
            new = max(0.0, new)
            length *= _GROWS
        else:
            flat = False
            halves = tried % _HALVED == 0 and tried > _PATIENCE
            if not (short < new < enough):
                halves = tried % _HALVED == 0
                bend = slope_enough - slope_short
                new = (value_short - value_enough + slope_enough * enough - slope_short * short) / bend
                least = value_short + slope_short * (new - short)  # the dual is nowhere below
                size = abs(value) + largest + nu * abs(target)
                flat = min(value_short, value_enough) - least <= _KNOWN * size
            if halves or not (short < new < enough):
                new = middle(short, enough)
            if flat or not (short < new < enough):
                new = enough if value_short <= value_enough else short
                stage = _OTHER
        nu = new
