"""One user's smoothed slate under rules that nest: size, least size, caps of nested categories and one staircase.

    max { c x - gamma/2 |x|^2 - sum over categories of what their staircase costs : x in the slate's rules }

Its solution is x_i = clip((c_i - T_i) / gamma, 0, 1) with one threshold per candidate. Caps finer than the staircase
give it a least threshold that follows from their own members alone. A category with a staircase, at a price p of
everything around it, takes the threshold at which its mass m meets its stairs: p + steps[j] where m is between j and
j + 1, or in between where m is j. Coarser caps, and at last the slate, are then roots of the mass that is demanded at a
price. All are roots of monotone piecewise linear functions, found by Newton's method inside a bracket that is halved
when Newton steps are too short (halving.py).

Where scores are so large that two neighboring numbers differ by more than the smoothing (ties, above all), no threshold
gives the right mass: it is too much at one number and too little at the next. The slate is then a mixture of the two,
with exactly the required mass. So the upper limit of a candidate from a cap is stored as x, not as a threshold. The
thresholds are dual prices: exact to the last digit, and used for bounds.

The functions of the inner loops take only the arrays that they need (`Chain`): passing all of them costs more than the
loops.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.demand import Chain, allot, demand, demand_root, share_out
from oasis_alloc.kernels.rules.rules import Local, Rules, Work, group
from oasis_alloc.kernels.rules.stairs import hold, level, level_root, stair

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found


@jit(inline=True, allocates=False)
def solve_chain(
    n: int, size: int, least: int, low: float, start: float, gamma: float, weight: float,
    rules: Rules, local: Local, work: Work,
) -> tuple[float, float]:  # fmt: skip
    """Thresholds, owners and x of n candidates with scores work.c; returns (the slate's threshold, what prices cost).

    No threshold is below `low`, which the caller knows to be low enough. The dual value of the user is the cost plus
    the sum of each candidate's gain over its threshold.
    """
    c, ceil, base, top, owner, x = work.c, work.ceil, work.base, work.top, work.owner, work.x
    alone, order, ends, steps, member = work.alone, work.order, work.ends, rules.steps, work.member
    n_systems = rules.most.size
    for i in range(n):
        ceil[i] = 1.0
        base[i] = low
    # caps finer than the staircase: each by its own members
    finer = rules.stair if rules.stair >= 0 else n_systems
    for k in range(finer):
        of, stairs, room = local.of[k], work.stairs, rules.most[k]
        for which in range(local.counts[k]):
            stairs[which] = 0
            work.root[k, which] = low
        for i in range(n):
            if of[i] >= 0:
                stairs[of[i]] += 1
        end = n - n  # members of categories that may be too many stand together, as in `group`
        for which in range(local.counts[k]):
            if stairs[which] > room:
                end += stairs[which]
                stairs[which] = end - stairs[which]
            else:
                stairs[which] = -1
        if end == 0:
            continue
        for i in range(n):
            if of[i] >= 0 and stairs[of[i]] >= 0:
                member[stairs[of[i]]] = i
                stairs[of[i]] += 1
        begin = n - n
        for which in range(local.counts[k]):
            if stairs[which] < 0:
                continue
            a = begin
            begin = stairs[which]
            mass, _ = level(low, member, a, begin, gamma, c, ceil)
            if mass <= room:
                continue
            root, below, above = level_root(float(room), low, member, a, begin, gamma, c, ceil)
            work.root[k, which] = root
            hold(float(room), below, above, member, a, begin, gamma, c, ceil, ceil)
    several = group(rules, n, weight, local, work)
    chain = Chain(n, several, gamma, weight, steps, c, ceil, base, x, alone, order, ends)
    # coarser caps: at the price at which their categories ask for no more
    for k in range(finer + 1, n_systems):
        of, limit = local.of[k], float(rules.most[k])
        for which in range(local.counts[k]):
            at_low = demand(low, chain, of, which)
            root, below, above = demand_root(limit, low, at_low, low, chain, of, which)
            work.root[k, which] = root
            if root > low:
                share_out(limit, below, above, chain, of, which, work.held, work.sums, member)
                for i in range(n):
                    if of[i] == which:
                        base[i] = max(base[i], root)
    every = min(-1, -n)  # of no category: everything; a literal -1 would have all of it compiled once more
    of = work.node
    t = max(low, 0.0)
    below = above = t
    filled = size
    at_low = demand(t, chain, of, every)
    if at_low[0] < least - _CLOSE * (least + 1.0):
        filled = least
        at_low = demand(low, chain, of, every)
        t, below, above = demand_root(float(least), low, at_low, t, chain, of, every)
        if t > 0.0:
            t = 0.0
    elif at_low[0] > size:
        t, below, above = demand_root(float(size), t, at_low, start, chain, of, every)
    if below < above:
        share_out(float(filled), below, above, chain, of, every, work.held, work.sums, member)
    else:  # as nearly always, and so without a call
        allot(above, chain, of, every, x, work.sums, member)
    cost = t * (size if t > 0.0 else least)
    for i in range(n):
        top[i] = t
        owner[i] = -1 if t == 0.0 else 0
    node = 0
    for k in range(n_systems - 1, -1, -1):
        if k == rules.stair:
            for i in range(n):
                top[i] += max(alone[i], 0.0)
            for j in range(several):
                a, b = ends[j], ends[j + 1]
                p = top[order[a]]
                theta, moving = work.sums[j], member[j]
                if p != above:  # a coarser cap's
                    _, moving, _, theta = stair(p, a, b, gamma, weight, steps, order, c, ceil)
                step = 0
                while theta - p > steps[step] * weight:
                    cost += theta - p - steps[step] * weight
                    step += 1
                node += 1
                for h in range(a, b):
                    top[order[h]] = theta
                    if moving < 0:
                        owner[order[h]] = node
            continue
        for which in range(local.counts[k]):
            work.node[which] = 0
        for i in range(n):
            which = local.of[k, i]
            if which < 0 or work.root[k, which] <= top[i]:
                continue
            if work.node[which] == 0:
                node += 1
                work.node[which] = node
                cost += rules.most[k] * (work.root[k, which] - top[i])
            top[i] = work.root[k, which]
            owner[i] = work.node[which]
    return t, cost
