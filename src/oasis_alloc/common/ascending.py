"""Comparisons of ascending arrays, which may be as long as an allocation: without sorting, and a part at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Ints

_PART = 1 << 18  # numbers that are compared at a time
_FEW = 8  # times fewer numbers are few


def among(positions: Ints, others: Ints) -> npt.NDArray[np.bool_]:
    """Which of some positions are in others, both ascending; beyond the answer, this takes the memory of a part.

    >>> among(np.array([1, 4, 9]), np.array([4, 5])).tolist()
    [False, True, False]
    """
    out = np.zeros(positions.size, np.bool_)
    for start in range(0, positions.size if others.size else 0, _PART):
        part = positions[start : start + _PART]
        at = np.minimum(np.searchsorted(others, part), others.size - 1)
        out[start : start + _PART] = others[at] == part
    return out


def without(positions: Ints, others: Ints) -> Ints:
    """Those that are not in others, both ascending; the same array where all are left.

    >>> without(np.array([1, 4, 9]), np.array([4, 5])).tolist()
    [1, 9]
    """
    if _FEW * others.size < positions.size:  # so look for these
        gone = others[among(others, positions)]
        return np.delete(positions, np.searchsorted(positions, gone)) if gone.size else positions
    out = among(positions, others)
    return positions[~out] if out.any() else positions
