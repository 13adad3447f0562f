"""The demand of candidates and staircases at an outside price (chain.py), and the price at which it meets the supply.

Candidates below their `base`, the price of a coarser cap that holds them, stay at the x that they have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.stairs import hold, stair
from oasis_alloc.kernels.solve.halving import next_turn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found
_ROUNDING = 1e-15  # of the price, over the smoothing: what x can be known to
_NEAR = 1e-5  # of a slot: the most of it that is mixed away


class Chain(NamedTuple):
    """One user's candidates and staircases as demand reads them; arrays by candidate unless said otherwise."""

    n: int  # candidates
    several: int  # staircases with several candidates
    gamma: float  # smoothing
    weight: float  # of the user: the steps of staircases are times this
    steps: Floats  # the staircase, ends with infinity
    c: Floats  # scores
    ceil: Floats  # the most that finer caps leave to a candidate
    base: Floats  # the highest price of the coarser caps that hold it
    x: Floats  # what it has at prices below that
    alone: Floats  # first step of a candidate that is the only one of its staircase, -1 for others
    order: Ints  # candidates of staircases with several, staircase by staircase
    ends: Ints  # (several + 1,) where each of those starts


@jit(allocates=False)
def demand(t: float, chain: Chain, of: Ints, which: int) -> tuple[float, int, float, float]:
    """What is demanded at a price t by those with the number `which` in `of`, or by all where it is -1.

    Returns (mass, candidates that move, the nearest prices below and above at which others begin to move).
    """
    n, several, gamma, weight, steps, c, ceil, base, x, alone, order, ends = chain
    mass = 0.0
    moving = 0
    below = -np.inf
    above = np.inf
    for i in range(n):
        if alone[i] < 0.0 or (which >= 0 and of[i] != which):
            continue
        if t < base[i]:
            mass += x[i]
            if x[i] >= 1.0:
                above = min(above, c[i] - gamma - alone[i])
            elif x[i] > 0.0:
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
                mass += x[order[h]]
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


@jit(allocates=False)
def demand_root(
    most: float, low: float, at_low: tuple[float, int, float, float], start: float, chain: Chain, of: Ints, which: int
) -> tuple[float, float, float]:
    """Root t >= low of demand = most; low where the demand at low is no more. The middle where it is an interval.

    `at_low` is what demand says at low, which callers have mostly asked for already. Returns (t, and two numbers around
    it between which the demand is `most`), as level_root.
    """
    gamma, c = chain.gamma, chain.c
    mass, moving, _, above = at_low
    f = mass - most
    exact = _CLOSE * (most + 1.0)
    if f <= exact:
        return low, low, low
    high = low
    for i in range(chain.n):
        high = max(high, c[i])
    first = t = low
    new = start
    if not (low < start < high):
        new = low + f * gamma / moving if moving > 0 else above + gamma * min(1.0, f)
    turn = 0
    while True:
        t = next_turn(low, high, new, turn)
        if not (low < t < high):
            return high, low, high
        f, moving, below, above = demand(t, chain, of, which)
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
        if moving > 0:
            new = t + f * gamma / moving
        else:
            new = above + gamma * min(1.0, f) if f > 0.0 else below - gamma * min(1.0, -f)


@jit(inline=True, allocates=False)
def allot(t: float, chain: Chain, of: Ints, which: int, out: Floats, theta: Floats, moves: Ints) -> float:
    """Write what is demanded at a price t by those that demand speaks of into out; returns the mass.

    theta and moves get the thresholds of staircases and how many move, as `stair` has them.
    """
    n, several, gamma, weight, steps, c, ceil, base, x, alone, order, ends = chain
    mass = 0.0
    for i in range(n):
        if alone[i] < 0.0 or (which >= 0 and of[i] != which):
            continue
        out[i] = x[i] if t < base[i] else min(ceil[i], max(0.0, (c[i] - (t + alone[i])) / gamma))
        mass += out[i]
    for j in range(several):
        a, b = ends[j], ends[j + 1]
        i = order[a]
        if which >= 0 and of[i] != which:
            continue
        if t < base[i]:
            for h in range(a, b):
                out[order[h]] = x[order[h]]
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


@jit(allocates=False)
def share_out(
    most: float, low: float, high: float, chain: Chain, of: Ints, which: int, other: Floats, theta: Floats, moves: Ints
) -> None:
    """Write what is demanded at prices low <= high, mixed so that the mass is `most`, into x; `other` is scratch.

    theta and moves are as in allot, at `high`.
    """
    over = 0.0
    if low < high:  # first, for it reads x
        over = allot(low, chain, of, which, other, theta, moves)
    under = allot(high, chain, of, which, chain.x, theta, moves)
    if over <= under or under >= most:
        return
    share = min(1.0, (most - under) / (over - under))
    x = chain.x
    for i in range(chain.n):
        if which < 0 or of[i] == which:
            x[i] += share * (other[i] - x[i])
