"""One user's smoothed slate by size only: found first, then checked against the rules.

    max { s x - gamma/2 |x|^2 : 0 <= x <= 1, sum x <= size }

Usually it is the answer under all rules: if no category has more than its free places (the steps of its staircase
that cost nothing) and the guard is kept, all prices except the slate's are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.rules import Rules, Work
from oasis_alloc.kernels.solve.halving import next_turn
from oasis_alloc.kernels.solve.largest import largest
from oasis_alloc.kernels.solve.ties import spread

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLOSE = 1e-13  # of the mass: a root is found, as in stairs.py
_ROUNDING = 1e-15  # of the threshold, over the smoothing: what x can be known to
_NEAR = 1e-5  # of a slot: the most of it that is mixed away
_LEAST_FREE = 1e-12  # of a mass that fills its places


@jit(allocates=False)
def _full_root(
    c: Floats, m: int, size: int, low: float, start: float, gamma: float, top: Floats
) -> tuple[float, float, float]:
    """Threshold t >= low at which the mass of c[:m] is size, which it is above at low; the middle of an interval.

    Returns (t, and two numbers around it between which the mass is `size`), as stairs.level_root. `top` (size + 1,) is
    scratch.
    """
    largest(c, m, size, top)
    above = top[size - 1] - gamma
    below = max(top[size], low)
    if above >= below and below < top[size - 1]:  # whole items: in between, nothing moves
        t = float(0.5 * (above + below))
        return t, t, t
    # the root is between: at `below` the mass is no less than size, at the largest score of all it is nothing
    high = top[0]
    exact = _CLOSE * (size + 1.0)
    rounding = _ROUNDING / gamma
    low = max(low, top[size - 1] - gamma - _ROUNDING * abs(top[size - 1]))  # size candidates are full at it
    t = start if low < start < high else low
    turn = 0
    while True:
        f = -float(size)
        moving = 0
        for i in range(m):
            z = (c[i] - t) / gamma
            if z >= 1.0:
                f += 1.0
            elif z > 0.0:
                f += z
                moving += 1
        if abs(f) <= exact:
            return t, t, t
        if moving > 0 and abs(f) <= min(_NEAR, rounding * abs(t)):  # mixed with one a few roundings on
            other = t + (2.0 * f * gamma / moving + (_ROUNDING if f > 0.0 else -_ROUNDING) * abs(t))
            return t, min(t, other), max(t, other)  # below the first one, too, scores are what they are
        if f > 0.0:
            low = t
        else:
            high = t
        turn += 1
        t = next_turn(low, high, t + f * gamma / moving if moving > 0 else low, turn)
        if not (low < t < high):
            return high, low, high


@jit(allocates=False)
def _crowded(
    m: int, code: npt.NDArray[np.integer[Any]], at: Ints, x: Floats, of: npt.NDArray[np.int32], free: Ints
) -> bool:
    """Whether a category has more mass than its free places."""
    for k in range(free.size):
        room = free[k] + _LEAST_FREE
        for i in range(m):
            if x[i] <= 0.0:
                continue
            category = of[k, code[at[i]]]
            if category < 0:
                continue
            mass = x[i]
            for j in range(i):
                if x[j] > 0.0 and of[k, code[at[j]]] == category:
                    mass += x[j]
            if mass > room:
                return True
    return False


@jit(inline=True, allocates=False)
def plain_slate(
    u: int, a: int, n: int, code: npt.NDArray[np.integer[Any]], start: float, slack: float, gamma: float,
    rules: Rules, work: Work,
) -> tuple[bool, int, float, int]:  # fmt: skip
    """Solve user u by size alone: (all rules are kept, candidates looked at, threshold, 1 for a second look)."""
    s, at, c, x = work.s, work.at, work.c, work.x
    size = rules.size[u]
    low = max(0.0, start - slack)
    again = 0
    while True:
        m = n - n  # not 0, as in settle
        for i in range(n):
            if s[i] > low:
                at[m] = i
                c[m] = s[i]
                m += 1
        mass = 0.0
        for i in range(m):
            mass += min(1.0, (c[i] - low) / gamma)
        t = below = above = low
        if mass > size + _CLOSE * (size + 1.0):
            t, below, above = _full_root(c, m, size, low, start, gamma, work.held)
        if low == 0.0 or t > low:
            break
        again = 1
        low = 0.0
    owner = -1 if t == 0.0 else 0
    for i in range(m):
        x[i] = min(1.0, max(0.0, (c[i] - above) / gamma))
        work.top[i] = t
        work.owner[i] = owner
        work.alone[i] = 0.0
    if below < above:
        spread(c, m, size, below, above, gamma, x)
    work.ends[0] = 0
    kept = not _crowded(m, code, at, x, rules.of, rules.free)
    if kept and rules.target.size > 0:
        total = 0.0
        for i in range(m):
            if x[i] > 0.0:
                total += x[i] * rules.guard[a + at[i]]
        kept = total >= rules.target[u]
    return kept, m, t, again
