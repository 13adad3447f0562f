"""Weights of users and of slots: programs derived from other programs.

A user of weight w adds w times as much to every total and to the objective, and has the same best slate. Slots of
different weights are users of different sizes: with w_1 >= w_2 >= ... the best slate by position is the sum over k of
(w_k - w_(k + 1)) times the best slate of k items, because under nested rules the best k items are the first k of the
best k + 1 (Edmonds, "Submodular functions, matroids, and certain polyhedra", 1970). So each user becomes one user
per distinct weight, and the other packages do not need slot weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.csr import spans
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.copies import Copies
from oasis_alloc.program.program import Origin, Program


def weighted(program: Program, weight: Floats) -> Program:
    """The program in which user u counts `weight[u]` times; exposure becomes an ordinary column."""
    nothing = sp.csr_array(program.base[0].shape)
    if program.stream is not None:
        return replace(
            program,
            value=np.empty(0),
            extra=np.empty((program.extra.shape[0] + 1, 0)),
            base=(nothing, *program.base[1:], program.base[0]),
            stream=replace(program.stream, weight=weight),
        )
    by_pair = np.repeat(weight, np.diff(program.indptr))
    return replace(
        program,
        value=program.value * by_pair,
        extra=np.concatenate([program.extra * by_pair, by_pair[None]]),
        base=(nothing, *program.base[1:], program.base[0]),
    )


def levels(positions: Floats) -> tuple[Ints, Floats]:
    """(sizes, weights) of the slates whose sum is one slate with these weights by position."""
    falls = positions - np.append(positions[1:], 0.0)
    at = np.flatnonzero(falls > 0)
    return at + 1, falls[at]


def repeated(program: Program, times: int) -> tuple[Program, Ints]:
    """The program with every user repeated `times` times in a row; and the original of each pair."""
    count = np.repeat(np.diff(program.indptr), times)
    begin = np.repeat(program.indptr[:-1], times)
    indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    pair = spans(begin, count)
    copied = replace(
        program,
        indptr=indptr,
        code=program.code[pair],
        segment=np.repeat(program.segment, times),
        value=program.value[pair],
        extra=np.ascontiguousarray(program.extra[:, pair]),
    )
    return copied, pair


def _repeated_files(program: Program, copies: Copies) -> Program:
    """The same for pairs in files, which are copied as they are read."""
    assert program.stream is not None  # checked by the caller
    count = np.repeat(np.diff(program.indptr), copies.times)
    return replace(
        program,
        indptr=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        segment=np.repeat(program.segment, copies.times),
        stream=replace(program.stream, copies=copies),
    )


def by_position(program: Program, positions: Floats, supply: Floats | None) -> tuple[Program, Ints, Floats]:
    """(program with one user per level, largest size of each of its users, weight of each of them)."""
    sizes, falls = levels(positions)
    n_users = program.n_users
    share = np.tile(falls, n_users)
    weight = share if supply is None else share * np.repeat(supply, sizes.size)
    if program.stream is not None:
        copied = _repeated_files(program, Copies(program.indptr, falls))
        return weighted(copied, weight), np.tile(sizes, n_users), weight
    copied, pair = repeated(program, sizes.size)
    origin = Origin(pair, np.repeat(share, np.diff(copied.indptr)))
    return replace(weighted(copied, weight), origin=origin), np.tile(sizes, n_users), weight


def folded(program: Program, positions: Ints, x: Floats) -> tuple[Ints, Floats]:
    """The non-zeros of an allocation over the candidates' own pairs, ascending."""
    copies = None if program.stream is None else program.stream.copies
    if copies is not None:
        return copies.folded(program.users_of(positions), positions, x)
    if program.origin is None:
        return positions, x
    pair = program.origin.pair[positions]
    found, inverse = np.unique(pair, return_inverse=True)
    return found, np.asarray(np.bincount(inverse, program.origin.share[positions] * x, found.size), np.float64)
