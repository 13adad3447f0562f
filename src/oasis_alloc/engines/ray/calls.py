"""Calls of actors: what they take, how large arguments travel, and how chunks are dealt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from oasis_alloc.program.program import Program

_INLINE = 1 << 16  # bytes of an argument that is sent with the call


def in_turn(calls: Sequence[tuple[str, tuple[Any, ...]]]) -> tuple[str, tuple[Any, ...]]:
    """One call of an actor for several; arguments stay on the top level, where Ray looks for those in its store."""
    plan = [(name, len(arguments)) for name, arguments in calls]
    return "in_turn", (plan, *(argument for _, arguments in calls for argument in arguments))


def slim(program: Program) -> Program:
    """The part of a program that actors need: pairs, users and rules, but no rows, labels or functions."""
    nothing = sp.csr_array((0, 0))
    none = np.empty(0)
    return replace(
        program, blocks=(), base=(nothing,) * len(program.base), arithmetic=nothing, row_scale=none,
        row=np.empty(0, np.int64), lower=none, upper=none, limit=none,
    )  # fmt: skip


def put(argument: Any, shared: dict[int, Any]) -> Any:
    """Large arguments go through the object store, once for all actors of a call."""
    import ray

    small = isinstance(argument, np.ndarray) and argument.nbytes < _INLINE
    if small or not isinstance(argument, (np.ndarray, Program)):
        return argument
    if id(argument) not in shared:
        shared[id(argument)] = ray.put(argument)
    return shared[id(argument)]


def dealt(weights: Sequence[float], n: int) -> list[list[int]]:
    """Numbers 0, 1 ... in n runs of about equal weight, each with one number or more.

    >>> dealt([1.0, 1.0, 5.0, 1.0], 3)
    [[0, 1], [2], [3]]
    """
    k, ends = np.arange(1, n), np.cumsum(weights)
    cuts = np.searchsorted(ends, ends[-1] * k / n) + 1
    cuts = np.maximum.accumulate(np.maximum(cuts - k, 0)) + k
    edges = [0, *np.minimum(cuts, len(weights) - n + k).tolist(), len(weights)]
    return [list(range(begin, end)) for begin, end in itertools.pairwise(edges)]
