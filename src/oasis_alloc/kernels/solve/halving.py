"""Halvings that make every root finder terminate: they halve the count of floating-point numbers, not the distance.

Newton's method on a piecewise linear function may pass one piece a turn. Root finders therefore halve their bracket one
turn in `EVERY` from turn `PATIENCE` on, for any slopes, and end when no number is left between the two ends:
after at most 70 halvings, for the ends may be as far apart as 1e-300 and 1e300 and a halving of their *exponents* takes
11 turns to make them neighbors, and one of their distance then 53.
"""

from __future__ import annotations

from oasis_alloc.kernels._jit import jit

_SMALLEST = 5e-324


@jit
def middle(low: float, high: float) -> float:
    """A number between two, low < high, so that at most 70 halvings lead to neighbors; one of them where they are."""
    if low < 0.0 < high:
        return 0.0
    near, far = (low, high) if low >= 0.0 else (-high, -low)
    half = near + 0.5 * (far - near) if far <= 4.0 * near else (max(near, _SMALLEST) ** 0.5) * (far**0.5)
    return float(half if low >= 0.0 else -half)
