"""The order of numbers, by their bits: several times as fast as sorting by comparisons where there are many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DIGITS, _BITS = 6, 11  # of 64 bits, the last digit being shorter


@jit
def ascending(numbers: Floats) -> Ints:
    """The positions of numbers from the smallest to the largest, equal ones in their order; none may be NaN.

    The bits of a number >= 0 are those of a whole number that grows with it; those of a negative one are inverted. They
    are then sorted digit by digit, from the last one on (Knuth, The Art of Computer Programming 3, section 5.2.5).
    """
    n = numbers.size
    sign = np.uint64(1) << np.uint64(63)
    everything = ~np.uint64(0)
    mask = np.uint64((1 << _BITS) - 1)
    bits = (numbers + 0.0).view(np.uint64)  # -0 becomes 0
    count = np.zeros((_DIGITS, 1 << _BITS), np.int64)
    for i in range(n):
        key = bits[i]
        key ^= everything if key & sign else sign
        bits[i] = key
        for d in range(_DIGITS):
            count[d, np.int64((key >> np.uint64(d * _BITS)) & mask)] += 1
    order = np.arange(n)
    other = np.empty(n, np.int64)
    keys = np.empty(n, np.uint64)
    for d in range(_DIGITS):
        shift = np.uint64(d * _BITS)
        if n == 0 or count[d, np.int64((bits[0] >> shift) & mask)] == n:
            continue  # a digit that all have in common
        begin = 0
        for value in range(1 << _BITS):
            many = count[d, value]
            count[d, value] = begin
            begin += many
        for i in range(n):
            key = bits[i]
            digit = np.int64((key >> shift) & mask)
            at = count[d, digit]
            count[d, digit] = at + 1
            keys[at] = key
            other[at] = order[i]
        bits, keys = keys, bits
        order, other = other, order
    return order
