"""Numbers of twice the digits: a float64 and what it leaves, for sums that cancel.

Products and sums of two numbers are exact as pairs of numbers (T. J. Dekker, 1971, doi 10.1007/BF01397083). No function
here may be compiled with `fastmath`, which would take what is left for 0.
"""

from __future__ import annotations

from oasis_alloc.kernels._jit import jit

_SPLIT = 134217729.0  # 2^27 + 1: the upper 26 bits of a number
_LARGE = 1e290  # numbers from which the split would overflow; products of those have no exact rest


@jit(allocates=False)
def summed(a: float, a_rest: float, b: float, b_rest: float) -> tuple[float, float]:
    """The sum of two numbers."""
    high = a + b
    part = high - a
    rest = (a - (high - part)) + (b - part) + a_rest + b_rest
    total = high + rest
    return total, rest - (total - high)


@jit(allocates=False)
def times(a: float, a_rest: float, b: float, b_rest: float) -> tuple[float, float]:
    """The product of two numbers."""
    high = a * b
    if not (abs(a) < _LARGE and abs(b) < _LARGE and abs(high) < _LARGE):
        return high, 0.0
    up = _SPLIT * a
    a_up = up - (up - a)
    up = _SPLIT * b
    b_up = up - (up - b)
    a_low = a - a_up
    b_low = b - b_up
    rest = ((a_up * b_up - high) + a_up * b_low + a_low * b_up) + a_low * b_low + a * b_rest + a_rest * b
    total = high + rest
    return total, rest - (total - high)


@jit(allocates=False)
def inverse_root(a: float, a_rest: float) -> tuple[float, float]:
    """1 / sqrt(a) of a positive number, by one step of Newton's method from the root of a float64."""
    x = 1.0 / a**0.5
    square, square_rest = times(x, 0.0, x, 0.0)
    off, off_rest = times(square, square_rest, a, a_rest)
    miss = (1.0 - off) - off_rest
    return summed(x, 0.0, 0.5 * x * miss, 0.0)
