"""Tuning of how engines split users into pieces. The last bits of an answer depend on the chunks."""

from __future__ import annotations

from dataclasses import dataclass

from oasis_alloc.common.tuning import Tuning


@dataclass(frozen=True)
class EngineSizes:
    """Sizes of the pieces that are visited at a time."""

    chunk_pairs: int = 250_000  # minimum per chunk: with fewer, threads cost more than they gain
    large_chunk_pairs: int = 1 << 24  # with more than 64 of these there are more chunks, for the actors of a cluster
    users: int = 32  # in a block of users; samples are of whole blocks (kernels/solve/visit.py), and so are chunks
    max_block: int = 1 << 18  # pairs of files that are read together
    wide_block: int = 1 << 16  # pairs in memory that are converted together to the types of kernels under rules
    wide_bytes: int = 1 << 26  # of pairs that are converted once; more are converted block by block in every pass
    max_sample: int = 1 << 26  # bytes of the pairs of a sample that the driver of a cluster holds
    max_small: int = 1 << 25  # the same of all pairs: a pass over them there takes about as long as a round
    min_block: int = 1 << 14  # the same with little memory; with less there are fewer lanes


SIZES = Tuning(EngineSizes())
"""The sizes that an engine reads when it is made: `with SIZES.using(chunk_pairs=5_000): oa.solve(problem)`."""
