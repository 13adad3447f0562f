"""The innermost of a chain (chain.py): candidates of one category at a threshold, and on a staircase.

No candidate is above its `ceil`, the limit from finer caps. Where scores are so large that two neighboring numbers
differ by more than the smoothing (ties, above all), no threshold gives a mass that is asked for: it is too much at one
number and too little at the next. Roots then come with both, and slates are a mixture of what they are at the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.halving import next_turn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found


@jit(allocates=False)
def level(t: float, member: Ints, a: int, b: int, gamma: float, c: Floats, ceil: Floats) -> tuple[float, int]:
    """(mass, candidates that move) of member[a:b] where all are held to t, and none is above its ceil."""
    mass = 0.0
    moving = 0
    for j in range(a, b):
        i = member[j]
        z = (c[i] - t) / gamma
        if z >= ceil[i]:
            mass += ceil[i]
        elif z > 0.0:
            mass += z
            moving += 1
    return mass, moving


@jit(allocates=False)
def level_root(
    most: float, low: float, member: Ints, a: int, b: int, gamma: float, c: Floats, ceil: Floats
) -> tuple[float, float, float]:
    """Root t >= low of level = most, which it is above at low; the middle where that is an interval.

    Returns (t, and two numbers around it between which the mass is `most`): they differ where no number has it.
    """
    high = low
    for j in range(a, b):
        high = max(high, c[member[j]])
    t = low
    turn = 0
    while True:
        f = -most
        moving = 0
        above = high  # next t at which another candidate moves
        below = low
        for j in range(a, b):
            i = member[j]
            z = (c[i] - t) / gamma
            if z >= ceil[i]:
                f += ceil[i]
                if ceil[i] > 0.0:
                    above = min(above, c[i] - gamma * ceil[i])
            elif z > 0.0:
                f += z
                moving += 1
            else:
                below = max(below, min(c[i], t))
        if abs(f) <= _CLOSE * (most + 1.0):
            if moving == 0:
                t = 0.5 * (below + above)
            return t, t, t
        if f > 0.0:
            low = t
        else:
            high = t
        turn += 1
        if moving > 0:
            new = t + f * gamma / moving
        elif f > 0.0:
            new = above + 0.5 * gamma * f / (b - a)
        else:
            new = below + 0.5 * gamma * f / (b - a)
        t = next_turn(low, high, new, turn)
        if not (low < t < high):
            return high, low, high


@jit(allocates=False)
def hold(
    most: float, low: float, high: float, member: Ints, a: int, b: int, gamma: float, c: Floats, ceil: Floats,
    out: Floats,
) -> None:  # fmt: skip
    """Write what member[a:b] are at thresholds low <= high, mixed so that their mass is `most`, into out."""
    if low == high:
        for j in range(a, b):
            i = member[j]
            out[i] = min(ceil[i], max(0.0, (c[i] - high) / gamma))
        return
    under = 0.0
    over = 0.0
    for j in range(a, b):
        i = member[j]
        under += min(ceil[i], max(0.0, (c[i] - high) / gamma))
        over += min(ceil[i], max(0.0, (c[i] - low) / gamma))
    share = min(1.0, (most - under) / (over - under)) if under < most and over > under else 0.0
    for j in range(a, b):
        i = member[j]
        x = min(ceil[i], max(0.0, (c[i] - high) / gamma))
        if share > 0.0:
            x += share * (min(ceil[i], max(0.0, (c[i] - low) / gamma)) - x)
        out[i] = x


@jit(allocates=False)
def stair(
    p: float, a: int, b: int, gamma: float, weight: float, steps: Floats, order: Ints, c: Floats, ceil: Floats
) -> tuple[float, int, float, float]:
    """(mass, candidates that move with p, two thresholds as in level_root) of the staircase of order[a:b] at a price p.

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
        mass, moving = level(p + step, order, a, b, gamma, c, ceil)
        if mass <= j + 1.0:
            break
        j += 1
    if j == 0 or (step < np.inf and mass >= j):
        return mass, moving, p + step, p + step
    _, low, high = level_root(float(j), p + steps[j - 1] * weight, order, a, b, gamma, c, ceil)
    return float(j), -1, low, high


@jit(allocates=False)
def smoothed_gain(gain: float, gamma: float) -> float:
    """The most that `gain x - gamma/2 x^2` can be for 0 <= x <= 1: what a candidate adds to the dual value."""
    if gain <= 0.0:  # most candidates
        return 0.0
    if gain >= gamma:  # nearly all that are shown, without a division
        return gain - 0.5 * gamma
    x = gain / gamma
    return gain * x - 0.5 * gamma * x * x
