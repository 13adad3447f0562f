"""Pairs in memory in the types of the kernels under rules, block by block.

Kernels under rules are compiled for one type per kind of array, because they compile slowly. Pairs in memory stay in
the types in which they were given, which are half as large or less, and the column of `keep` in its own unit: blocks
of whole users are converted as they are visited, into a buffer that fits the processor's cache. Few pairs are converted
once (engines/threads.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Ints
from oasis_alloc.kernels.solve.in_units import in_units
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


class WideBlocks:
    """Buffers of one thread for blocks of a program's pairs, each of at most so many pairs, or one user.

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
    >>> [(first, last, arrays.value, arrays.guard) for first, last, _, arrays in WideBlocks(program, 10).of(0, 2)]
    [(0, 2, array([0.5 , 0.25, 3.  ]), array([[0.5 , 0.25, 0.75]]))]
    """

    def __init__(self, program: Program, pairs: int) -> None:
        self._program, self._pairs = program, pairs
        self._buffer = wide(program).like(min(pairs, program.n_pairs))  # new ones per block would be as slow as a visit
        self._indptr = np.empty(program.indptr.size, np.int64)

    def of(
        self, first: int, last: int, needed: npt.NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[int, int, Ints, PairArrays]]:
        """(first user, one after the last, indptr, arrays) of the users first to one after the last, in blocks.

        The indptr is by the program's user numbers; only those of the block are written. Users that are not `needed`,
        by their place, have no pairs. The next block is written to the same arrays.
        """
        indptr = self._indptr
        count = np.diff(self._program.indptr[first : last + 1])
        if needed is not None:
            count = np.where(needed, count, 0)
        ends = np.concatenate([[0], np.cumsum(count)])
        edges = user_edges(ends, self._pairs)
        longest = int(np.diff(ends[edges]).max(initial=0))
        if longest > self._buffer.code.size:
            self._buffer = self._buffer.like(longest)
        for begin, end in pairwise(edges.tolist()):
            indptr[first + begin : first + end + 1] = ends[begin : end + 1] - ends[begin]
            arrays = self._buffer.first(int(ends[end] - ends[begin]))
            for a, b in _runs(begin, end, needed):
                here = slice(int(ends[a] - ends[begin]), int(ends[b] - ends[begin]))
                self._convert(first + a, first + b, here, arrays)
            yield first + begin, first + end, indptr, arrays

    def all(self) -> PairArrays:
        """All pairs in new arrays, for which the block has to be large enough."""
        return next((arrays for *_, arrays in self.of(0, self._program.n_users)), self._buffer)

    def _convert(self, first: int, last: int, here: slice, into: PairArrays) -> None:
        """Write the pairs of some users in a row to a place in the arrays of a block."""
        program = self._program
        pairs = slice(int(program.indptr[first]), int(program.indptr[last]))
        into.code[here], into.value[here] = program.code[pairs], program.value[pairs]
        if into.extra.shape[0]:
            into.extra[:, here] = program.extra[:, pairs]
        if into.guard.shape[0]:
            assert program.rules is not None  # which has the column
            column, unit = program.rules.guard
            made = np.asarray(into.guard[0], np.float64)[here]
            in_units(first, last, readonly(program.indptr), readonly(column), readonly(unit), made)


def _runs(begin: int, end: int, needed: npt.NDArray[np.bool_] | None) -> list[tuple[int, int]]:
    """Runs of users that are needed."""
    if needed is None:
        return [(begin, end)]
    changes = np.flatnonzero(np.diff(np.concatenate([[False], needed[begin:end], [False]])))
    return [(begin + a, begin + b) for a, b in changes.reshape(-1, 2).tolist()]
