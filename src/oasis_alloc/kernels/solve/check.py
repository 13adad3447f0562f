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


@jit
def scan(
    user: NDArray[np.int64], item: NDArray[np.int64], last: int, mark: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[int, int]:
    """Count the pairs of users, who must ascend from `last` on; (pair, what is wrong): 1 order, 2 item, -1 and 0: none.

    counts (n_users,) is added to; mark (n_items,) has, for every item, the last user that has it plus one.
    """
    for pair in range(len(user)):
        u = user[pair]
        if u < last:
            return pair, 1
        last = u
        if mark[item[pair]] == u + 1:
            return pair, 2
        mark[item[pair]] = u + 1
        counts[u] += 1
    return -1, 0


@jit
def add_sizes(column: NDArray[Any], start: int, sums: NDArray[np.float64]) -> None:
    """Add |c| of pair `start` and so on to sums (8,) in turn, so that it does not matter where pairs are cut."""
    for k in range(len(column)):
        sums[(start + k) & 7] += abs(np.float64(column[k]))


@jit
def find_items(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    first: int,
    begin: int,
    start: NDArray[np.int64],
    wanted: NDArray[np.int64],
    mark: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Find the pairs of user `first` and so on with the items `wanted[start[u]:start[u + 1]]` of every user u.

    The pairs are `begin` and so on; found (wanted.size,) gets the pair of each wanted item that occurs. mark (n_items,)
    zeros, scratch.
    """
    for user in range(len(indptr) - 1):
        low = start[first + user]
        high = start[first + user + 1]
        if low == high:
            continue
        for k in range(low, high):
            mark[wanted[k]] = k + 1
        for pair in range(indptr[user], indptr[user + 1]):
            k = mark[item[pair]]
            if k > 0:
                found[k - 1] = begin + pair
        for k in range(low, high):
            mark[wanted[k]] = 0
