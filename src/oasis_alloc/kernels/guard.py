"""The prices of a guard and of further categories around the chain of one user (chain.py).

A guard `sum r x >= target` has a price nu >= 0, which adds nu r to the scores; a further category has a price omega >=
0, which its members pay. Given these, the chain is solved exactly. The guard's price alone is a bracketed root.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.chain import solve_chain
from oasis_alloc.kernels.rules import Local, Rules, Work

Floats = npt.NDArray[np.float64]

_CLOSE = 1e-11  # of a target
_ROUNDING = 2e-15  # of the largest score, over the smoothing: what x can be known to
_FIRST = 1e-2  # of the largest score: the first step of a price whose end is not known
_GROWS = 8.0
_HALVED = 6  # one step in so many halves what is left, whatever the slopes say
_STEPS = 200
_BEYOND = 1e-9  # of a price: what tells the caller that it ended at the most that it may be


@jit(inline=True)
def chain_at(
    n: int, n_more: int, nu: float, u: int, low: float, start: float, gamma: float, rules: Rules,
    local: Local, work: Work,
) -> tuple[float, float]:  # fmt: skip
    """Solve the chain at the prices nu and work.omega: (threshold of the slate, cost without theirs)."""
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


@jit(inline=True)
def guarded(n: int, work: Work) -> tuple[float, float]:
    """(sum r x, its change per unit of nu, times gamma)."""
    total = 0.0
    square = 0.0
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
            if work.owner[i] >= 0:
                work.held[work.owner[i]] += 1.0
                work.sums[work.owner[i]] += work.r[i]
    for k in range(nodes):
        if work.held[k] > 0.0:
            square -= work.sums[k] * work.sums[k] / work.held[k]
    return total, max(square, 0.0)


@jit(inline=True)
def worth_at(n: int, gamma: float, cost: float, work: Work) -> float:
    """The user's smoothed dual value at the chain that was just solved, with what its prices cost."""
    value = cost
    for i in range(n):
        x = work.x[i]
        if x > 0.0:
            value += (work.c[i] - work.top[i]) * x - 0.5 * gamma * x * x
    return value


@jit(inline=True)
def guard_root(
    n: int, n_more: int, start_nu: float, u: int, low: float, start: float, most: float, steepest: float, gamma: float,
    rules: Rules, local: Local, work: Work,
) -> tuple[float, float, float]:  # fmt: skip
    """The guard's price and the chain at it, or the chain alone where there is no guard: (nu, threshold, cost).

    The user's dual value is convex in nu, with the slope `sum r x - target`; wanted is its minimum. With next to no
    smoothing it is made of lines, and where those of the two sides meet is mostly the kink itself: Newton's method
    takes it from there. `steepest` is the largest r of the user. A price above `most` ends the search: the caller
    then has to look at more candidates.
    """
    guard = rules.target.size > 0
    target = rules.target[u] if guard else 0.0
    nu = start_nu
    t = start
    largest = 0.0
    length = 0.0
    exact = _CLOSE * max(abs(target), 1e-3)
    short, slope_short, value_short = -1.0, 0.0, 0.0  # a price at which the guard is missed; none yet
    enough, slope_enough, value_enough = np.inf, 0.0, 0.0  # and one at which it is kept
    tried = -1
    last = not guard
    while True:
        t, cost = chain_at(n, n_more, nu, u, low, t, gamma, rules, local, work)  # the only call, so it is put in here
        if last:
            return nu, t, cost
        total, square = guarded(n, work)
        f = total - target
        tried += 1
        if abs(f) <= exact or (f > 0.0 and nu == 0.0):
            return nu, t, cost
        if tried == 0:
            for i in range(n):
                largest = max(largest, abs(work.given[i]))
            length = 2.0 * max(gamma, _FIRST * largest) / steepest
        # a high price rounds the scores that it adds to, and so the thresholds
        rounding = steepest * _ROUNDING * (largest + nu * steepest) / gamma
        done = abs(f) <= rounding or tried > _STEPS
        if not done:
            value = worth_at(n, gamma, cost, work) - nu * target
            if f < 0.0:
                short, slope_short, value_short = nu, f, value
            else:
                enough, slope_enough, value_enough = nu, f, value
            new = nu - f * gamma / square if square > 1e-300 else np.inf
            if enough == np.inf:  # further up
                if not (nu < new <= nu + length):
                    new = nu + length
                length *= _GROWS
                if new > most:
                    if nu >= most:
                        return nu + _BEYOND * (1.0 + nu), t, cost
                    new = most
            elif short < 0.0:  # further down
                if not (nu - length <= new < nu):
                    new = nu - length
                new = max(0.0, new)
                length *= _GROWS
            elif not (short < new < enough):
                bend = slope_enough - slope_short
                new = (value_short - value_enough + slope_enough * enough - slope_short * short) / bend
                if tried % _HALVED == 0 or not (short < new < enough):
                    new = 0.5 * (short + enough)
                    done = not (short < new < enough)
            if not done:
                nu = new
                continue
        if nu == short and enough < np.inf:  # within a rounding: the side on which the guard is kept
            nu = enough
            last = True
            continue
        return nu, t, cost
