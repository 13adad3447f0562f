"""Passes over pairs that check them or find which groups occur. See `_jit.py` for the rules of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.kernels._jit import jit


@jit
def first_duplicate(indptr: NDArray[np.int64], item: NDArray[Any], mark: NDArray[np.int64]) -> int:
    """Return the first pair whose item its user already has, or -1; `mark`: (n_items,) zeros, scratch."""
    for user in range(len(indptr) - 1):
        stamp = user + 1
        for pair in range(indptr[user], indptr[user + 1]):
            if mark[item[pair]] == stamp:
                return pair
            mark[item[pair]] = stamp
    return -1


@jit
def mark_occurring(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    occurs: NDArray[np.bool_],
) -> None:
    """Set `occurs[user code, item code]` for every pair in which neither code is -1."""
    for user in range(len(indptr) - 1):
        row = user_part[user]
        if row < 0:
            continue
        for pair in range(indptr[user], indptr[user + 1]):
            column = item_part[item[pair]]
            if column >= 0:
                occurs[row, column] = True


@jit
def mark_occurring_sets(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    first: NDArray[np.int64],
    codes: NDArray[np.int64],
    occurs: NDArray[np.bool_],
) -> None:
    """As `mark_occurring`, where an item has the codes `codes[first[s]:first[s + 1]]` of its set s = item_part."""
    for user in range(len(indptr) - 1):
        row = user_part[user]
        if row < 0:
            continue
        for pair in range(indptr[user], indptr[user + 1]):
            of = item_part[item[pair]]
            for entry in range(first[of], first[of + 1]):
                occurs[row, codes[entry]] = True
