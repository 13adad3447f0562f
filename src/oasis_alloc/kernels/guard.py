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
_FIRST = 1e-3  # first smoothing, in largest scores
_DIVIDE = 100.0
_STEPS = 200

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
    return solve_chain(
        n, rules.size[u], rules.least[u], low, start, gamma, rules.weight[u], rules, local, work
    )


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
def guard_root(
    n: int, n_more: int, start_nu: float, u: int, low: float, start: float, most: float, gamma: float, rules: Rules,
    local: Local, work: Work,
) -> tuple[float, float, float]:  # fmt: skip
    """The guard's price and the chain at it, or the chain alone where there is no guard: (nu, threshold, cost).

    A price above `most` ends the search: the caller then has to look at more candidates.
    """
    guard = rules.target.size > 0
    target = rules.target[u] if guard else 0.0
    nu = start_nu
    now = gamma
    t = start
    steepest = 1e-300
    largest = 0.0
    length = 0.0
    short = -1.0  # a price at which the guard is missed, -1 where none is known
    enough = np.inf  # and one at which it is kept
    tried = -1  # steps at this smoothing; -1 for the price that was given, which is mostly still right
    last = not guard
    while True:
        t, cost = chain_at(n, n_more, nu, u, low, t, now, rules, local, work)  # the only call, so it is put in here
        if last:
            return nu, t, cost
        total, square = guarded(n, work)
        f = total - target
        exact = _CLOSE * max(abs(target), 1e-3)
        if tried < 0:
            if abs(f) <= exact or (f > 0.0 and nu == 0.0):
                return nu, t, cost
            for i in range(n):
                steepest = max(steepest, abs(work.r[i]))
                largest = max(largest, abs(work.given[i]))
            # with next to no smoothing sums of r x are steps, which a price from afar would have to be halved into
            now = max(gamma, _FIRST * largest)
            length = 2.0 * now / steepest
            tried = 0
            if now != gamma:
                continue
        # a high price rounds the scores that it adds to, and so the thresholds
        rounding = steepest * _ROUNDING * (largest + nu * steepest) / now
        done = abs(f) <= max(exact, rounding) or (f > 0.0 and nu == 0.0) or tried > _STEPS
        if not done:
            tried += 1
            if f < 0.0:
                short = nu
            else:
                enough = nu
            new = nu - f * now / square if square > 1e-300 else np.inf
            if enough == np.inf:  # further up
                if not (nu < new <= nu + length):
                    new = nu + length
                length *= 4.0
                if new > most:
                    return new, t, cost
            elif short < 0.0:  # further down
                if not (nu - length <= new < nu):
                    new = nu - length
                new = max(0.0, new)
                length *= 4.0
            elif not (short < new < enough):
                new = 0.5 * (short + enough)
                done = not (short < new < enough)
            if not done:
                nu = new
                continue
        missed = nu == short and enough < np.inf
        if missed:  # within a rounding: the side on which the guard is kept
            nu = enough
        if now <= gamma:
            if not missed:
                return nu, t, cost
            last = True
            continue
        now = max(gamma, now / _DIVIDE)
        length = 2.0 * now / steepest
        short = -1.0
        enough = np.inf
        tried = 0
