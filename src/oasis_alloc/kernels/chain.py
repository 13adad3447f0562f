"""One user's smoothed slate under rules that nest: size, least size, caps of nested categories and one staircase.

    max { c x - gamma/2 |x|^2 - sum over categories of what their staircase costs : x in the slate's rules }

Its solution is x_i = clip((c_i - T_i) / gamma, 0, 1) with one threshold a candidate. Caps finer than the staircase give
it a least threshold that follows from their own members alone. A category with a staircase, at a price p of everything
around it, takes the threshold at which its mass m meets its stairs: p + steps[j] where m is between j and j + 1, or in
between where m is j. Coarser caps, and at last the slate, are then roots of the mass that is demanded at a price. All
are roots of monotone piecewise linear functions, found by Newton's method inside a bracket.

The functions of the inner loops take the few arrays that they need: all of them at once cost more than the loops.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules import Local, Rules, Work, group

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found
_ROUNDING = 1e-15  # of the largest score, over the smoothing: what x can be known to


@jit
def _level(t: float, member: Ints, a: int, b: int, gamma: float, c: Floats, floor: Floats) -> tuple[float, int]:
    """(mass, candidates that move) of member[a:b] where all are held to t, or to their own floor if that is higher."""
    mass = 0.0
    moving = 0
    for j in range(a, b):
        i = member[j]
        z = (c[i] - max(t, floor[i])) / gamma
        if z >= 1.0:
            mass += 1.0
        elif z > 0.0:
            mass += z
            if t >= floor[i]:
                moving += 1
    return mass, moving


@jit
def _level_root(most: float, low: float, member: Ints, a: int, b: int, gamma: float, c: Floats, floor: Floats) -> float:
    """Root t >= low of _level = most, which it is above at low; the middle where that is an interval."""
    high = low
    for j in range(a, b):
        high = max(high, c[member[j]])
    f_low = np.inf
    f_high = -most
    t = low
    for _ in range(200):
        f = -most
        moving = 0
        above = high  # next t at which another candidate moves
        below = low
        for j in range(a, b):
            i = member[j]
            z = (c[i] - max(t, floor[i])) / gamma
            if z >= 1.0:
                f += 1.0
                above = min(above, c[i] - gamma)
            elif z > 0.0:
                f += z
                if t >= floor[i]:
                    moving += 1
                else:
                    above = min(above, floor[i])
            else:
                below = max(below, min(c[i], t))
        if abs(f) <= _CLOSE * (most + 1.0):
            return t if moving > 0 else 0.5 * (below + above)
        if f > 0.0:
            low, f_low = t, f
        else:
            high, f_high = t, f
        if moving > 0:
            new = t + f * gamma / moving
        elif f > 0.0:
            new = above + 0.5 * gamma * f / (b - a)
        else:
            new = below + 0.5 * gamma * f / (b - a)
        if not (low < new < high):
            new = 0.5 * (low + high)
            if not (low < new < high):
                break
        t = new
    return low if f_low < -f_high else high


@jit
def _stair(
    p: float, a: int, b: int, gamma: float, weight: float, steps: Floats, order: Ints, c: Floats, floor: Floats
) -> tuple[float, int, float]:
    """(mass, candidates that move with p, threshold) of the staircase of order[a:b] at a price p around it.

    The candidates that move are -1 where the mass is held at a whole number.
    """
    j = 0
    mass = 0.0
    moving = 0
    while True:
        step = steps[j] * weight
        if step == np.inf:
            mass = 0.0
            break
        mass, moving = _level(p + step, order, a, b, gamma, c, floor)
        if mass <= j + 1.0:
            break
        j += 1
    if j == 0 or (step < np.inf and mass >= j):
        return mass, moving, p + step
    return float(j), -1, _level_root(float(j), p + steps[j - 1] * weight, order, a, b, gamma, c, floor)


@jit
def _demand(
    t: float, n: int, several: int, of: Ints, which: int, gamma: float, weight: float, steps: Floats, c: Floats,
    floor: Floats, base: Floats, alone: Floats, order: Ints, ends: Ints,
) -> tuple[float, int, float, float]:  # fmt: skip
    """What is demanded at a price t by those with the number `which` in `of`, or by all where it is -1.

    Returns (mass, candidates that move, the nearest prices below and above at which others begin to move).
    """
    mass = 0.0
    moving = 0
    below = -np.inf
    above = np.inf
    for i in range(n):
        if alone[i] < 0.0 or (which >= 0 and of[i] != which):
            continue
        held = max(t, base[i]) + alone[i]
        z = (c[i] - max(held, floor[i])) / gamma
        follows = t >= base[i] and held >= floor[i]
        if z >= 1.0:
            mass += 1.0
            above = min(above, c[i] - gamma - alone[i])
        elif z > 0.0:
            mass += z
            if follows:
                moving += 1
            else:
                above = min(above, max(base[i], floor[i] - alone[i]))
        elif follows:
            below = max(below, c[i] - alone[i])
    for j in range(several):
        i = order[ends[j]]
        if which >= 0 and of[i] != which:
            continue
        p = max(t, base[i])
        taken, move, theta = _stair(p, ends[j], ends[j + 1], gamma, weight, steps, order, c, floor)
        mass += taken
        if t < base[i]:
            above = min(above, base[i])
            continue
        if move > 0:
            moving += move
        elif move < 0:  # held at a whole number, until the price leaves its stairs
            whole = int(taken + 0.5)
            above = min(above, theta - steps[whole - 1] * weight)
            below = max(below, theta - steps[whole] * weight)
        else:
            for h in range(ends[j], ends[j + 1]):
                i = order[h]
                if c[i] - max(theta, floor[i]) > 0.0:
                    above = min(above, max(c[i] - gamma, floor[i]) - (theta - t))
                elif theta >= floor[i]:
                    below = max(below, c[i] - (theta - t))
    return mass, moving, below, above


@jit
def _demand_root(
    most: float, low: float, start: float, n: int, several: int, of: Ints, which: int, gamma: float, weight: float,
    steps: Floats, c: Floats, floor: Floats, base: Floats, alone: Floats, order: Ints, ends: Ints,
) -> float:  # fmt: skip
    """Root t >= low of _demand = most; low where the demand at low is no more. The middle where it is an interval."""
    f, moving, below, above = _demand(
        low, n, several, of, which, gamma, weight, steps, c, floor, base, alone, order, ends
    )
    f -= most
    if f <= _CLOSE * (most + 1.0):
        return low
    high = low
    for i in range(n):
        high = max(high, c[i])
    close = max(_CLOSE * (most + 1.0), _ROUNDING * high / gamma)
    f_low = f
    f_high = -most
    t = low
    new = start
    if not (low < start < high):
        new = low + f * gamma / moving if moving > 0 else above + gamma * min(1.0, f)
    for _ in range(200):
        if not (low < new < high):
            new = 0.5 * (low + high)
            if not (low < new < high):
                break
        t = new
        f, moving, below, above = _demand(
            t, n, several, of, which, gamma, weight, steps, c, floor, base, alone, order, ends
        )
        f -= most
        if abs(f) <= close:
            return t if moving > 0 else 0.5 * (max(below, low) + min(above, high))
        if f > 0.0:
            low, f_low = t, f
        else:
            high, f_high = t, f
        if moving > 0:
            new = t + f * gamma / moving
        else:
            new = above + gamma * min(1.0, f) if f > 0.0 else below - gamma * min(1.0, -f)
    return low if f_low < -f_high else high


@jit(inline=True)
def solve_chain(
    n: int, size: int, least: int, low: float, start: float, gamma: float, weight: float,
    rules: Rules, local: Local, work: Work,
) -> tuple[float, float]:  # fmt: skip
    """Thresholds, owners and x of n candidates with scores work.c; returns (the slate's threshold, what prices cost).

    No threshold is below `low`, which the caller knows to be low enough. The dual value of the user is the cost plus
    the sum of each candidate's gain over its threshold.
    """
    c, floor, base, top, owner, x = work.c, work.floor, work.base, work.top, work.owner, work.x
    alone, order, ends, steps = work.alone, work.order, work.ends, rules.steps
    n_systems = rules.most.size
    for i in range(n):
        floor[i] = low
        base[i] = low
    # caps finer than the staircase: each by its own members
    finer = rules.stair if rules.stair >= 0 else n_systems
    for k in range(finer):
        of = local.of[k]
        for which in range(local.counts[k]):
            work.stairs[which] = 0
            work.root[k, which] = low
        for i in range(n):
            if of[i] >= 0:
                work.stairs[of[i]] += 1
        for which in range(local.counts[k]):
            if work.stairs[which] <= rules.most[k]:
                continue
            mine = 0
            for i in range(n):
                if of[i] == which:
                    work.member[mine] = i
                    mine += 1
            mass, _ = _level(low, work.member, mine - mine, mine, gamma, c, floor)
            if mass <= rules.most[k]:
                continue
            root = _level_root(float(rules.most[k]), low, work.member, mine - mine, mine, gamma, c, floor)
            work.root[k, which] = root
            for j in range(mine):
                floor[work.member[j]] = max(floor[work.member[j]], root)
    several = group(rules, n, weight, local, work)
    # coarser caps: at the price at which their categories ask for no more
    for k in range(finer + 1, n_systems):
        for which in range(local.counts[k]):
            root = _demand_root(
                float(rules.most[k]), low, low, n, several, local.of[k], which, gamma, weight, steps, c, floor, base,
                alone, order, ends,
            )  # fmt: skip
            work.root[k, which] = root
            if root > low:
                for i in range(n):
                    if local.of[k, i] == which:
                        base[i] = max(base[i], root)
    every = min(-1, -n)  # of no category: everything; a literal -1 would have all of it compiled once more
    of = work.node
    t = max(low, 0.0)
    mass, _, _, _ = _demand(t, n, several, of, every, gamma, weight, steps, c, floor, base, alone, order, ends)
    if mass < least - _CLOSE * (least + 1.0):
        t = _demand_root(
            float(least), low, t, n, several, of, every, gamma, weight, steps, c, floor, base, alone, order, ends
        )
        if t > 0.0:
            t = 0.0
    elif mass > size:
        t = _demand_root(
            float(size), t, start, n, several, of, every, gamma, weight, steps, c, floor, base, alone, order, ends
        )
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
                _, moving, theta = _stair(p, a, b, gamma, weight, steps, order, c, floor)
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
    for i in range(n):
        x[i] = min(1.0, max(0.0, (c[i] - top[i]) / gamma))
    return t, cost
