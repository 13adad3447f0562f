"""The state of a solve as one file, so that long work outlives its process.

A checkpoint has the best prices, the dual variables and smoothing that the optimiser was at, and the best allocation.
It is written beside its place and moved there, so whoever looks sees the last one or this one, never a part. Who goes
on from one recomputes what prices and allocation are worth: no certificate rests on what a file says.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import ProblemError
from oasis_alloc.functions.base import Floats

_FORMAT = "oasis_alloc checkpoint 1"
_NUMBERS = ("gamma", "passes", "seconds", "bound", "value")
_BY_PAIR = ("guard",)  # fields with a number for every pair: what they mean is in others


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """What a solve goes on from."""

    z: Floats  # dual variables that the optimiser was at
    gamma: float  # and its smoothing
    prices: Floats  # (n_rows,) of the best bound
    positions: npt.NDArray[np.int64]  # non-zeros of the best allocation; none where there was none
    x: Floats
    stage: str
    passes: float
    seconds: float
    bound: float  # as they were; for people, who go on computes them
    value: float


def save(path: Path, state: State, fingerprint: str) -> None:
    """Write a checkpoint; at any moment there is a whole one at `path`, or none."""
    from safetensors.numpy import save as packed

    tensors = {"z": state.z, "prices": state.prices, "positions": state.positions, "x": state.x}
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    about = {
        "format": _FORMAT, "problem": fingerprint, "digest": _digest(tensors), "stage": state.stage,
        **{name: repr(float(getattr(state, name))) for name in _NUMBERS},
    }  # fmt: skip
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed(tensors, about))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def load(path: Path, fingerprint: str) -> State:
    """Read a checkpoint of the problem with this fingerprint; raise `ProblemError` for any other file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise ProblemError(f"resume={str(path)!r} cannot be read as a checkpoint ({error}).") from error
    if about.get("format") != _FORMAT:
        raise ProblemError(f"resume={str(path)!r} is no checkpoint of this version: it says {about.get('format')!r}.")
    if about["digest"] != _digest(tensors):
        raise ProblemError(f"resume={str(path)!r} is damaged: its numbers are not those that were written.")
    if about["problem"] != fingerprint:
        raise ProblemError(
            f"resume={str(path)!r} is a checkpoint of another problem: its candidates, statement or slate differ from "
            "this one's. Solve without resume=, or from its prices with start=."
        )
    fields: dict[str, Any] = {name: float(about[name]) for name in _NUMBERS}
    return State(**tensors, **fields, stage=about["stage"])


def fingerprint(engine: Engine) -> str:
    """A text that differs between problems: of the statement in all its numbers, and of sums over all pairs."""
    program, survey = engine.program, engine.survey()
    digest = hashlib.sha256()
    left_out = ("code", "value", "extra", "stream", "origin")  # by pair; the survey sums them up
    for part in dataclasses.fields(program):
        if part.name not in left_out:
            _add(digest, part.name)
            _add(digest, getattr(program, part.name))
    _add(digest, survey)
    return digest.hexdigest()


def _add(digest: Any, part: Any) -> None:
    """Add a part of a program to a digest, by what is in it."""
    if isinstance(part, np.ndarray) and part.dtype != object:
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    elif isinstance(part, sp.csr_array):
        for array in (part.indptr.astype(np.int64), part.indices.astype(np.int64), part.data):
            _add(digest, array)
    elif dataclasses.is_dataclass(part):
        digest.update(type(part).__name__.encode())
        for each in dataclasses.fields(part):
            if each.name not in _BY_PAIR:
                _add(digest, getattr(part, each.name))
    elif isinstance(part, Mapping):
        for key, value in part.items():
            _add(digest, key)
            _add(digest, value)
    elif isinstance(part, (str, bytes, int, float, slice, type(None), np.generic)):
        digest.update(f"{part!r};".encode())
    elif isinstance(part, (Sequence, np.ndarray)):
        digest.update(f"{len(part)} of".encode())
        for each in part:
            _add(digest, each)
    elif hasattr(part, "__dict__"):
        digest.update(type(part).__name__.encode())
        _add(digest, {name: value for name, value in vars(part).items() if not name.startswith("_")})
    else:  # labels of other kinds, such as dates
        digest.update(f"{part!r};".encode())


def _digest(tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        _add(digest, name)
        _add(digest, tensors[name])
    return digest.hexdigest()
