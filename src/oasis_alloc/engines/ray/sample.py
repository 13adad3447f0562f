"""A sample of users at the driver: visits to it are no rounds.

It has the users whom a visit with a stride goes to, chunk by chunk, numbered from 0 in each. Kernels then give the same
bits as a visit with that stride to all users, as long as they keep every user's curvature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import in_sample
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Those of the users of a sample, chunk by chunk."""

    stride: int
    by_chunk: list[Floats]

    def copy(self) -> Thresholds:
        """The same, as they are now."""
        return Thresholds(self.stride, [part.copy() for part in self.by_chunk])

    def of(self, chunks: Sequence[int]) -> Floats:
        """Those in some chunks."""
        return np.concatenate([self.by_chunk[chunk] for chunk in chunks])


@dataclass(frozen=True, eq=False)
class SampledPairs:
    """Pairs, chunk by chunk, and thresholds of a sample. The arrays of pairs are where Ray has put them, not copied."""

    pairs: list[visit_kernels.Pairs]
    thresholds: Thresholds

    @classmethod
    def of(cls, program: Program, edges: Ints, stride: int, sent: Sequence[tuple[PairArrays, Floats]]) -> SampledPairs:
        """From what actors send of each chunk."""
        pairs = []
        for first, last, (arrays, _) in zip(edges[:-1].tolist(), edges[1:].tolist(), sent, strict=True):
            users = sampled(first, last, stride)
            indptr = np.concatenate([[0], np.cumsum(program.indptr[users + 1] - program.indptr[users])])
            pairs.append(
                visit_kernels.Pairs(
                    readonly(indptr.astype(np.int64)), readonly(arrays.code), readonly(arrays.value),
                    readonly(arrays.extra), readonly(program.segment[users]),
                )
            )  # fmt: skip
        return cls(pairs, Thresholds(stride, [np.array(threshold) for _, threshold in sent]))

    def visit(self, chunk: int, size: int, point: jobs.Point, sums: jobs.Sums) -> None:
        """Visit the sample's users of a chunk, and add to sums."""
        threshold = self.thresholds.by_chunk[chunk]
        users = jobs.Users(0, threshold.size, 1)
        visit_kernels.visit(users, self.pairs[chunk], size, point._replace(threshold=threshold), sums)


def sampled(first: int, last: int, stride: int) -> Ints:
    """The users of a sample, by their numbers in the program.

    >>> sampled(32, 100, 3).tolist()
    [96, 97, 98, 99]
    """
    users = np.arange(first, last)
    return users[in_sample(users, stride)]
