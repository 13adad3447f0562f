"""Pieces of chunks, the parts in which results by pair are written, and their sum over all chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Ints
from oasis_alloc.kernels.solve import visit as visit_kernels
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.pair_lookup import PairStore
from oasis_alloc.program.program import Program

_PART_PAIRS = 1 << 19  # pairs of a chunk for which results are written at a time


class Piece(NamedTuple):
    """Users of one chunk, with the arrays that hold their pairs."""

    chunk: int
    begins: bool  # the chunk's first
    first: int  # users, by their numbers in the program
    last: int
    start: int  # position of the first user's first pair
    pairs: visit_kernels.Pairs  # indptr, by the program's user numbers, says where in these arrays a user's pairs are
    guard: npt.NDArray[np.floating[Any]] | None = None  # (1, n) or (0, n), as in `PairArrays`; None if nothing is kept


class ChunkPart(NamedTuple):
    """Results of a part of a piece: pairs by their numbers in it (half the memory), and their data."""

    start: int  # position of the part's first pair
    first: npt.NDArray[np.uint32]
    second: npt.NDArray[Any]


def pairs_of(program: Program, store: PairStore, indptr: Ints | None = None) -> visit_kernels.Pairs:
    """Pairs in the form of the kernels; all are read-only, because writable arrays would have other compiled types."""
    return visit_kernels.Pairs(
        readonly(program.indptr if indptr is None else indptr), readonly(store.code), readonly(store.value),
        readonly(store.extra), readonly(program.segment),
    )  # fmt: skip


def part_of(program: Program, place: tuple[int, bool, int, int, int], arrays: PairArrays, indptr: Ints) -> Piece:
    """A piece whose pairs are in separate arrays; `place` has its other members, in their order."""
    return Piece(*place, pairs_of(program, arrays, indptr), arrays.guard)


def parts_of(piece: Piece) -> Iterator[Piece]:
    """A piece in parts with few pairs each, so that results by pair stay small."""
    indptr, first = piece.pairs.indptr, piece.first
    while first < piece.last:
        ends = indptr[first + 1 : piece.last + 1]
        last = first + max(1, int(np.searchsorted(ends, indptr[first] + _PART_PAIRS, side="right")))
        start = piece.start + int(indptr[first] - indptr[piece.first])
        yield piece._replace(first=first, last=last, start=start)
        first = last


def n_pairs_of(piece: Piece) -> int:
    return int(piece.pairs.indptr[piece.last] - piece.pairs.indptr[piece.first])


def positions_of(parts: list[list[ChunkPart]], second: bool = False) -> Ints:
    """Positions of the pairs of all parts, chunk by chunk; the data of the parts are released on the way."""
    every = [(chunk, k) for chunk in parts for k in range(len(chunk))]
    out = np.empty(sum((chunk[k].second if second else chunk[k].first).size for chunk, k in every), np.int64)
    at = 0
    for chunk, k in every:
        part = chunk[k]
        numbers = part.second if second else part.first
        np.add(numbers, np.int64(part.start), out=out[at : at + numbers.size])
        at += numbers.size
        none = np.empty(0, np.uint32)  # a view would keep the whole array
        chunk[k] = part._replace(second=none) if second else part._replace(first=none)
    return out
