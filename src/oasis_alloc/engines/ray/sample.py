"""A sample of users at the driver: visits to it are no rounds.

It has the users whom a visit with a stride goes to, chunk by chunk, under numbers of their own. Kernels then give the
same bits as a visit with that stride to all users, as long as they keep every user's curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import in_sample
from oasis_alloc.engines.ray.found import joined
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Those of the users of a sample; `edges` are their numbers in it, between chunks."""

    stride: int
    edges: Ints
    threshold: Floats

    def copy(self) -> Thresholds:
        """The same, as they are now."""
        return Thresholds(self.stride, self.edges, self.threshold.copy())

    def of(self, chunks: list[int]) -> Floats:
        """Those in some chunks."""
        return np.concatenate([self.threshold[self.edges[chunk] : self.edges[chunk + 1]] for chunk in chunks])


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs and thresholds of a sample."""

    thresholds: Thresholds
    pairs: visit_kernels.Pairs

    @classmethod
    def of(
        cls, program: Program, edges: Ints, stride: int, arrays: list[PairArrays], threshold: list[Floats]
    ) -> Sample:
        """From what actors send of each chunk."""
        sizes, segments = [np.zeros(1, np.int64)], []
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            users = sampled(first, last, stride)
            sizes.append(program.indptr[users + 1] - program.indptr[users])
            segments.append(program.segment[users])
        indptr, own = np.cumsum(np.concatenate(sizes)), joined(arrays)
        given = (indptr, own.code, own.value, own.extra, np.concatenate(segments))
        pairs = visit_kernels.Pairs(*(readonly(array) for array in given))
        return cls(Thresholds(stride, number_in_sample(edges, stride), np.concatenate(threshold)), pairs)

    def visit(self, chunk: int, size: int, point: jobs.Point, sums: jobs.Sums) -> None:
        """Visit the sample's users of a chunk, and add to sums."""
        of = self.thresholds
        users = jobs.Users(int(of.edges[chunk]), int(of.edges[chunk + 1]), 1)
        visit_kernels.visit(users, self.pairs, size, point._replace(threshold=of.threshold), sums)


def sampled(first: int, last: int, stride: int) -> Ints:
    """The users of a sample, by their numbers in the program.

    >>> sampled(32, 100, 3).tolist()
    [96, 97, 98, 99]
    """
    users = np.arange(first, last)
    return users[in_sample(users, stride)]


def number_in_sample(users: Ints, stride: int) -> Ints:
    """How many users of the sample come before each of these.

    >>> number_in_sample(np.array([0, 32, 98, 130]), 3).tolist()
    [0, 32, 34, 64]
    """
    block = users >> 5
    inside = np.where(block % stride == 0, users & 31, 0)
    return np.asarray(-(-block // stride) * 32 + inside, np.int64)
