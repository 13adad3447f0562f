"""Pairs in memory in the types of the kernels under rules, block by block.

Kernels under rules are compiled for one type per kind of array, because they compile slowly. Pairs in memory stay in
the types in which they were given, which are half as large or less, and the column of `keep` in its own unit: blocks
of whole users are converted as they are visited, into a buffer that fits the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Ints
from oasis_alloc.program.pair_arrays import PairArrays, user_edges
from oasis_alloc.program.program import Program


def wide(program: Program) -> PairArrays:
    """Arrays of no pairs, with the types and the number of columns that kernels under rules read."""
    n_extra, n_guard = program.extra.shape[0], program.guard.shape[0]
    return PairArrays(np.empty(0, np.uint32), np.empty(0), np.empty((n_extra, 0)), np.empty((n_guard, 0)))


def is_wide(program: Program) -> bool:
    """Whether kernels under rules can read the pairs as they are."""
    if program.guard.shape[0]:
        return False  # not in users' units
    return all(one.dtype == other.dtype for one, other in zip(program.arrays, wide(program), strict=True))


def wide_blocks(
    program: Program, users: tuple[int, int], pairs: int, needed: npt.NDArray[np.bool_] | None = None
) -> Iterator[tuple[int, int, Ints, PairArrays]]:
    """(first user, one after the last, indptr, arrays) of the users first to one after the last, in blocks.

    A block has at most so many pairs, or one user. The indptr is by the program's user numbers; only those of the block
    are written. Users that are not `needed`, by their place, have no pairs. The next block is written to the same
    arrays.

    Example
    -------
    >>> import numpy as np
    >>> import oasis_alloc as oa
    >>> from oasis_alloc.program.lowering import lower
    >>> columns = {"relevance": np.array([0.5, 0.25, 3.0], np.float32)}
    >>> candidates = oa.Candidates.from_arrays(np.array([0, 2, 3]), np.array([0, 1, 0], np.uint16), columns)
    >>> program = lower(oa.Problem(candidates, oa.total("relevance"), [], oa.Slate(1, keep={"relevance": 0.9})))
    >>> program.value.dtype
    dtype('float32')
    >>> [(first, last, arrays.value, arrays.guard) for first, last, _, arrays in wide_blocks(program, (0, 2), 10)]
    [(0, 2, array([0.5 , 0.25, 3.  ]), array([[0.5 , 0.25, 0.75]]))]
    """
    first, last = users
    count = np.diff(program.indptr[first : last + 1])
    if needed is not None:
        count = np.where(needed, count, 0)
    ends = np.concatenate([[0], np.cumsum(count)])
    edges = user_edges(ends, pairs)
    buffer = wide(program).like(int(np.diff(ends[edges]).max(initial=0)))
    indptr = np.empty(program.indptr.size, np.int64)  # takes memory only where it is written
    for begin, end in pairwise(edges.tolist()):
        indptr[first + begin : first + end + 1] = ends[begin : end + 1] - ends[begin]
        arrays = buffer.first(int(ends[end] - ends[begin]))
        for a, b in _runs(begin, end, needed):
            here = slice(int(ends[a] - ends[begin]), int(ends[b] - ends[begin]))
            _widen(program, (first + a, first + b), here, arrays)
        yield first + begin, first + end, indptr, arrays


def _runs(begin: int, end: int, needed: npt.NDArray[np.bool_] | None) -> list[tuple[int, int]]:
    """Runs of users that are needed."""
    if needed is None:
        return [(begin, end)]
    changes = np.flatnonzero(np.diff(np.concatenate([[False], needed[begin:end], [False]])))
    return [(begin + a, begin + b) for a, b in changes.reshape(-1, 2).tolist()]


def _widen(program: Program, users: tuple[int, int], here: slice, into: PairArrays) -> None:
    """Write the pairs of some users in a row to a place in the arrays of a block."""
    own = program.indptr[users[0] : users[1] + 1]
    pairs = slice(int(own[0]), int(own[-1]))
    into.code[here], into.value[here] = program.code[pairs], program.value[pairs]
    into.extra[:, here] = program.extra[:, pairs]
    if into.guard.shape[0]:
        assert program.rules is not None  # which has the column
        column, unit = program.rules.guard
        by_pair = np.repeat(unit[users[0] : users[1]], np.diff(own))
        np.divide(column[pairs], by_pair, out=into.guard[0, here])
