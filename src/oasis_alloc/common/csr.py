"""Lists of numbers in compressed sparse rows: list i is `codes[indptr[i]:indptr[i + 1]]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def number_sets(indptr: NDArray[np.int64], codes: NDArray[Any], n_codes: int) -> NDArray[np.int32]:
    """Number the distinct lists of a CSR structure: by length, then in lexicographic order."""
    size = np.diff(indptr)
    number = np.zeros(size.size, dtype=np.int64)
    for k in range(int(size.max(initial=0))):  # lists that agree up to their k-th entry share a number
        longer = np.flatnonzero(size > k)
        prefix = number[longer] * n_codes + codes[indptr[longer] + k]
        number[longer] = np.unique(prefix, return_inverse=True)[1]
    return np.unique(size * max(size.size, 1) + number, return_inverse=True)[1].astype(np.int32)


def gather(indptr: NDArray[np.int64], rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (indptr, positions) of the entries of `rows` of a CSR structure, row after row."""
    start = np.zeros(len(rows) + 1, dtype=np.int64)
    count = np.diff(indptr)[rows]
    np.cumsum(count, out=start[1:])
    return start, spans(indptr[:-1][rows], count)


def blocks(indptr: NDArray[np.int64], begin: int, end: int, entries: int) -> Iterator[tuple[int, int]]:
    """Ranges (first, one after the last) of rows `begin` to `end` with at most `entries` entries, or of one row.

    >>> list(blocks(np.array([0, 2, 4, 9, 10]), 0, 4, 4))
    [(0, 2), (2, 3), (3, 4)]
    """
    first = begin
    while first < end:
        last = int(np.searchsorted(indptr, indptr[first] + entries, side="right")) - 1
        last = min(max(last, first + 1), end)
        yield first, last
        first = last


def spans(first: NDArray[Any], count: NDArray[Any]) -> NDArray[np.int64]:
    """`first[i]`, `first[i] + 1` and so on, `count[i]` numbers, for one i after the other.

    >>> spans(np.array([10, 50, 20]), np.array([2, 0, 3])).tolist()
    [10, 11, 20, 21, 22]
    """
    end = np.cumsum(count, dtype=np.int64)
    out: NDArray[np.int64] = np.arange(end[-1] if end.size else 0) + np.repeat(first - (end - count), count)
    return out
