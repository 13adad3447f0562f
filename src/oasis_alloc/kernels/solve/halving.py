"""Halvings that make every root finder terminate: they halve the count of floating-point numbers, not the distance.

Newton's method on a piecewise linear function may pass one piece a turn. Root finders therefore halve their bracket one
turn in a few, from some turn on, for any slopes, and end when no number is left between the two ends:
after at most 70 halvings, for the ends may be as far apart as 1e-300 and 1e300 and a halving of their *exponents* takes
11 turns to make them neighbors, and one of their distance then 53.
"""

from __future__ import annotations

from oasis_alloc.kernels._jit import jit

_SMALLEST = 5e-324
_PATIENCE = 6  # turns before the first halving; then one in _EVERY is one, whatever the slopes say
_EVERY = 3


@jit
def middle(low: float, high: float) -> float:
    """A number between two, low < high, so that at most 70 halvings lead to neighbors; one of them where they are."""
    if low < 0.0 < high:
        return 0.0
    near, far = (low, high) if low >= 0.0 else (-high, -low)
    half = near + 0.5 * (far - near) if far <= 4.0 * near else (max(near, _SMALLEST) ** 0.5) * (far**0.5)
    return float(half if low >= 0.0 else -half)


@jit
def next_turn(low: float, high: float, new: float, turn: int) -> float:
    """What a root finder tries next: `new`, or the middle of its bracket where `new` is outside or a halving is due.

    It is not between low and high where no number is left between them: then the search ends.
    """
    if (turn > _PATIENCE and turn % _EVERY == 0) or not (low < new < high):
        return middle(low, high)
    return new
