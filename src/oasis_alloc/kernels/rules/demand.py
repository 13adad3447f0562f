"""What candidates and staircases demand at a price around them (chain.py), and the price at which it is what is there.

Candidates below their `base`, the price of a coarser cap that holds them, stay at their `fixed` x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.stairs import hold, stair
from oasis_alloc.kernels.solve.halving import middle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found
_ROUNDING = 1e-15  # of the price, over the smoothing: what x can be known to
_NEAR = 1e-5  # of a slot: the most of it that is mixed away
_PATIENCE = 6  # turns before the first halving; then one in _EVERY is one, whatever the slopes say
_EVERY = 3


@jit
def demand(
    t: float, n: int, several: int, of: Ints, which: int, gamma: float, weight: float, steps: Floats, c: Floats,
    ceil: Floats, base: Floats, fixed: Floats, alone: Floats, order: Ints, ends: Ints,
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
        if t < base[i]:
            mass += fixed[i]
            if fixed[i] >= 1.0:
                above = min(above, c[i] - gamma - alone[i])
            elif fixed[i] > 0.0:
                above = min(above, base[i])
            continue
        z = (c[i] - (t + alone[i])) / gamma
        if z >= ceil[i]:
            mass += ceil[i]
            if ceil[i] > 0.0:
                above = min(above, c[i] - gamma * ceil[i] - alone[i])
        elif z > 0.0:
            mass += z
            moving += 1
        else:
            below = max(below, c[i] - alone[i])
    for j in range(several):
        i = order[ends[j]]
        if which >= 0 and of[i] != which:
            continue
        if t < base[i]:
            for h in range(ends[j], ends[j + 1]):
                mass += fixed[order[h]]
            above = min(above, base[i])
            continue
        taken, move, _, theta = stair(t, ends[j], ends[j + 1], gamma, weight, steps, order, c, ceil)
        mass += taken
        if move > 0:
            moving += move
        elif move < 0:  # held at a whole number, until the price leaves its stairs
            whole = int(taken + 0.5)
            above = min(above, theta - steps[whole - 1] * weight)
            below = max(below, theta - steps[whole] * weight)
        else:
            for h in range(ends[j], ends[j + 1]):
                i = order[h]
                if c[i] - theta > 0.0:
                    above = min(above, c[i] - gamma * ceil[i] - (theta - t))
                else:
                    below = max(below, c[i] - (theta - t))
    return mass, moving, below, above


@jit
def demand_root(
    most: float, low: float, mass: float, moving: int, above: float, start: float, n: int, several: int, of: Ints,
    which: int, gamma: float, weight: float, steps: Floats, c: Floats, ceil: Floats, base: Floats, fixed: Floats,
    alone: Floats, order: Ints, ends: Ints,
) -> tuple[float, float, float]:  # fmt: skip
    """Root t >= low of demand = most; low where the demand at low is no more. The middle where it is an interval.

    `mass`, `moving` and `above` are what demand says at low, which callers have mostly asked for already. Returns (t,
    and two numbers around it between which the demand is `most`), as level_root.
    """
    f = mass - most
    exact = _CLOSE * (most + 1.0)
    if f <= exact:
        return low, low, low
    high = low
    for i in range(n):
        high = max(high, c[i])
    first = t = low
    new = start
    if not (low < start < high):
        new = low + f * gamma / moving if moving > 0 else above + gamma * min(1.0, f)
    turn = 0
    while True:
        if not (low < new < high):
            new = middle(low, high)
            if not (low < new < high):
                return high, low, high
        t = new
        f, moving, below, above = demand(
            t, n, several, of, which, gamma, weight, steps, c, ceil, base, fixed, alone, order, ends
        )
        f -= most
        if abs(f) <= exact:
            if moving == 0:
                t = 0.5 * (max(below, low) + min(above, high))
            return t, t, t
        if moving > 0 and abs(f) <= min(_NEAR, _ROUNDING * abs(t) / gamma):  # mixed with one a few roundings on
            other = t + (2.0 * f * gamma / moving + (_ROUNDING if f > 0.0 else -_ROUNDING) * abs(t))
            return t, max(first, min(t, other)), max(t, other)
        if f > 0.0:
            low = t
        else:
            high = t
        turn += 1
        if turn > _PATIENCE and turn % _EVERY == 0:
            new = middle(low, high)
        elif moving > 0:
            new = t + f * gamma / moving
        else:
            new = above + gamma * min(1.0, f) if f > 0.0 else below - gamma * min(1.0, -f)


@jit(inline=True)
def allot(
    t: float, n: int, several: int, of: Ints, which: int, gamma: float, weight: float, steps: Floats, c: Floats,
    ceil: Floats, base: Floats, fixed: Floats, alone: Floats, order: Ints, ends: Ints, out: Floats, theta: Floats,
    moves: Ints,
) -> float:  # fmt: skip
    """Write what is demanded at a price t by those that demand speaks of into out; returns the mass.

    theta and moves get the thresholds of staircases and how many move, as `stair` has them.
    """
    mass = 0.0
    for i in range(n):
        if alone[i] < 0.0 or (which >= 0 and of[i] != which):
            continue
        out[i] = fixed[i] if t < base[i] else min(ceil[i], max(0.0, (c[i] - (t + alone[i])) / gamma))
        mass += out[i]
    for j in range(several):
        a, b = ends[j], ends[j + 1]
        i = order[a]
        if which >= 0 and of[i] != which:
            continue
        if t < base[i]:
            for h in range(a, b):
                out[order[h]] = fixed[order[h]]
        else:
            taken, move, low, high = stair(t, a, b, gamma, weight, steps, order, c, ceil)
            theta[j] = high
            moves[j] = move
            if move >= 0:
                taken = 0.0  # what it is at its threshold
            hold(taken, low, high, order, a, b, gamma, c, ceil, out)
        for h in range(a, b):
            mass += out[order[h]]
    return mass


@jit
def share_out(
    most: float, low: float, high: float, n: int, several: int, of: Ints, which: int, gamma: float, weight: float,
    steps: Floats, c: Floats, ceil: Floats, base: Floats, fixed: Floats, alone: Floats, order: Ints, ends: Ints,
    x: Floats, other: Floats, theta: Floats, moves: Ints,
) -> None:  # fmt: skip
    """Write what is demanded at prices low <= high, mixed so that the mass is `most`, into x; `other` is scratch.

    theta and moves are as in allot, at `high`.
    """
    over = 0.0
    if low < high:  # first, for `fixed` may be x
        over = allot(
            low, n, several, of, which, gamma, weight, steps, c, ceil, base, fixed, alone, order, ends, other, theta,
            moves,
        )  # fmt: skip
    under = allot(
        high, n, several, of, which, gamma, weight, steps, c, ceil, base, fixed, alone, order, ends, x, theta, moves
    )
    if over <= under or under >= most:
        return
    share = min(1.0, (most - under) / (over - under))
    for i in range(n):
        if which < 0 or of[i] == which:
            x[i] += share * (other[i] - x[i])
