"""The state of a solve as one file, so that long work outlives its process.

A checkpoint has the best prices, the dual variables and smoothing of the optimizer, and the best allocation.
It is written next to its place and moved there, so a reader sees the last one or this one, never a part. A resumed
solve computes value and bound again: no certificate relies on numbers in a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.digests import content
from oasis_alloc.common.tensors import read_tensors, write_tensors
from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import InputError, ProblemError

_FORMAT = "oasis_alloc checkpoint 2"
_NUMBERS = ("gamma", "passes", "seconds", "bound", "value")
_BY_PAIR = ("guard",)  # fields with a number for every pair, which are determined by others


@dataclasses.dataclass(frozen=True, eq=False)
class SolverState:
    """The state from which a solve resumes."""

    z: Floats  # dual variables of the optimizer
    gamma: float  # and its smoothing
    prices: Floats  # (n_rows,) of the best bound
    positions: npt.NDArray[np.int64]  # non-zeros of the best allocation; empty without one
    x: Floats
    stage: str
    passes: float
    seconds: float
    bound: float  # for information only: a resumed solve computes them again
    value: float


def save(path: Path, state: SolverState, fingerprint: str) -> None:
    """Write a checkpoint; at any time `path` has a complete one or none. Raises `OSError` on failure."""
    tensors = {"z": state.z, "prices": state.prices, "positions": state.positions, "x": state.x}
    numbers = {name: repr(float(getattr(state, name))) for name in _NUMBERS}
    write_tensors(path, _FORMAT, tensors, {"problem": fingerprint, "stage": state.stage, **numbers})


def load(path: Path, fingerprint: str) -> SolverState:
    """Read a checkpoint of the problem with this fingerprint; raise `ProblemError` for any other file."""
    try:
        tensors, about = read_tensors(path, _FORMAT)
    except InputError as error:
        raise ProblemError(f"resume={str(path)!r} {error}") from error
    if about.get("problem") != fingerprint:
        raise ProblemError(
            f"resume={str(path)!r} is a checkpoint of another problem: its candidates, statement or slate differ from "
            "this one's. Solve without resume=, or from its prices with start=."
        )
    try:
        numbers: dict[str, Any] = {name: float(about[name]) for name in _NUMBERS}
        arrays: dict[str, Any] = tensors
        return SolverState(**arrays, **numbers, stage=about["stage"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProblemError(f"resume={str(path)!r} lacks a part of a checkpoint ({error}).") from error


def fingerprint(engine: Engine) -> str:
    """A text that identifies a problem: from all numbers of the statement, and sums over all pairs."""
    program, survey = engine.program, engine.survey()
    digest = hashlib.sha256()
    left_out = ("code", "value", "extra", "stream", "origin")  # by pair; the survey sums them up
    for part in dataclasses.fields(program):
        if part.name not in left_out:
            add_to_digest(digest, part.name)
            add_to_digest(digest, getattr(program, part.name))
    add_to_digest(digest, survey)
    return digest.hexdigest()


def add_to_digest(digest: Any, part: Any) -> None:
    """Add a part of a program to a digest, by its content; numbers by pair are left out, as the survey sums them up."""
    for chunk in content(part, named=True, left_out=_BY_PAIR):
        digest.update(chunk)
