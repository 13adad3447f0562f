"""The order in which the tables of chunks are added up: a binary tree that the number of chunks decides.

A branch has a run of chunks; it is split at the largest power of 2 below their number. A process that has all chunks of
a branch may add them up, and the sum over all chunks has the same bits. So an actor sends the sums of a few branches,
not of all its chunks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from oasis_alloc.common.types import Floats


def added_up(tables: Floats, starts: Sequence[int] | None = None) -> Floats:
    """The sum over the first axis, in the order of the tree.

    With `starts`, ascending, only the entries there are read: each is the sum of the branch that begins there.

    >>> import numpy as np
    >>> added_up(np.array([[1.0], [2.0], [4.0]])), added_up(np.array([[3.0], [np.nan], [4.0]]), [0, 2])
    (array([7.]), array([7.]))
    """
    at = range(len(tables)) if starts is None else starts

    def branch(first: int, last: int, begin: int, end: int) -> Floats:
        if end - begin == 1:
            out: Floats = tables[at[begin]]
            return out
        middle = _middle(first, last)
        split = bisect_left(at, middle, begin, end)
        left, right = branch(first, middle, begin, split), branch(middle, last, split, end)
        if split - begin == 1:  # it is the caller's
            return left + right
        left += right
        return left

    total = branch(0, len(tables), 0, len(at))
    return total.copy() if len(at) == 1 else total


def branches_of(chunks: Sequence[int], n: int) -> list[tuple[int, int]]:
    """(first chunk, one after the last) of the largest branches of n chunks that some of them, ascending, fill.

    >>> branches_of([1, 2, 3, 4, 5, 6, 7], 8)
    [(1, 2), (2, 4), (4, 8)]
    >>> branches_of([4, 5, 6], 7)
    [(4, 7)]
    """

    def filled(first: int, last: int) -> list[tuple[int, int]]:
        found = bisect_left(chunks, last) - bisect_left(chunks, first)
        if found in (0, last - first):
            return [(first, last)] if found else []
        middle = _middle(first, last)
        return filled(first, middle) + filled(middle, last)

    return filled(0, n)


def _middle(first: int, last: int) -> int:
    return first + (1 << ((last - first - 1).bit_length() - 1))
