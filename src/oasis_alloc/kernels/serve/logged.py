"""Packed decisions of a service, cut into the columns of its log: `publish/decisions/packed.py` has their form.

It is compiled so that thousands of decisions are cut at once without the GIL: requests go on meanwhile.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_FIXED = 40  # bytes before the sizes of columns: time, k, and 6 numbers of 4 bytes
_LENGTHS = 16  # where these numbers begin
_TIMES, _SIZES, _CONTEXT, _COLUMNS = 0, 1, 2, 5
_NAMED = 7  # parts that every decision has; the others carry their number


@jit(inline=True, allocates=False)
def _whole(packed: Bytes, at: int) -> int:
    """The number of 4 bytes at a place."""
    return int(
        np.int64(packed[at])
        | np.int64(packed[at + 1]) << 8
        | np.int64(packed[at + 2]) << 16
        | np.int64(packed[at + 3]) << 24
    )


@jit(allocates=False)
def measure_logged(packed: Bytes, ends: Ints, has: Flags) -> int:
    """Write the lengths of parts into `ends[part, 1 + decision]`, and which parts a decision has into `has`.

    Returns the number of decisions in `packed`; both arrays have zeros before.
    """
    at = n = 0
    while at < packed.size:
        n_columns, total = _whole(packed, at + _LENGTHS), 0
        ends[_TIMES, n + 1] = _LENGTHS
        ends[_SIZES, n + 1] = 4 * n_columns
        for c in range(n_columns):
            total += _whole(packed, at + _FIXED + 4 * c)
        ends[_COLUMNS, n + 1] = total
        for j in range(4):  # context, request, items; and the slate, which is behind the columns
            ends[_CONTEXT + j if j < 3 else _COLUMNS + 1, n + 1] = _whole(packed, at + _LENGTHS + 4 + 4 * j)
        for part in range(_NAMED):
            has[part, n] = True
        tail = _whole(packed, at + _LENGTHS + 20)
        at += _FIXED + 4 * n_columns
        for part in range(_CONTEXT, _NAMED):
            at += ends[part, n + 1]
        end = at + tail
        while at < end:
            part, size = _whole(packed, at), _whole(packed, at + 4)
            ends[part, n + 1], has[part, n] = size, True
            at += 8 + size
        n += 1
    return n


@jit(allocates=False)
def cut_logged(packed: Bytes, ends: Ints, out: Bytes) -> None:
    """Copy part p of decision i to `out[ends[p, i] : ends[p, i + 1]]`.

    `ends` has the lengths of `measure_logged`, and in `ends[p, 0]` where each part begins; the sums replace them.
    """
    at = 0
    for i in range(ends.shape[1] - 1):
        for part in range(ends.shape[0]):
            ends[part, i + 1] += ends[part, i]
        n_columns, tail = _whole(packed, at + _LENGTHS), _whole(packed, at + _LENGTHS + 20)
        _copy(packed, at, out, ends[_TIMES, i], _LENGTHS)
        _copy(packed, at + _FIXED, out, ends[_SIZES, i], 4 * n_columns)
        at += _FIXED + 4 * n_columns
        for part in range(_CONTEXT, _NAMED):
            size = ends[part, i + 1] - ends[part, i]
            _copy(packed, at, out, ends[part, i], size)
            at += size
        end = at + tail
        while at < end:
            part, size = _whole(packed, at), _whole(packed, at + 4)
            _copy(packed, at + 8, out, ends[part, i], size)
            at += 8 + size


@jit(inline=True, allocates=False)
def _copy(packed: Bytes, at: int, out: Bytes, to: int, size: int) -> None:
    for b in range(size):  # a slice would be copied twice, in case both overlap
        out[to + b] = packed[at + b]
