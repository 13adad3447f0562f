"""Predictions, outcomes and labels as callers pass them, checked: what fits and estimates of signals have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.checks import LARGEST, as_real
from oasis_alloc.common.labels import as_listed, storable
from oasis_alloc.common.types import Floats, Ints, LabelsLike
from oasis_alloc.data.keys import as_vector
from oasis_alloc.data.validation import as_column
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown


def numbers(name: str, given: npt.ArrayLike, n: int | None = None) -> Floats:
    """(n,) finite float64; `InputError` names the first row that is wrong."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Sized) or np.ndim(given) != 1:
        raise InputError(f"{name}: got {shown(given)}; expected (n,) numbers, one per row.")
    if n is not None and len(given) != n:
        raise InputError(f"{name}: {len(given):,} rows; expected {n:,}, one per score.")
    if np.ma.is_masked(given):
        raise InputError(f"{name}: some rows are masked; expected numbers. Leave these rows out.")
    out = np.asarray(as_column(name, given, len(given)), np.float64)
    bad = np.flatnonzero(np.abs(out) > LARGEST)
    if bad.size:
        raise InputError(
            f"{name}: row {bad[0]:,} is {out[bad[0]]:g} ({bad.size:,} such rows); expected numbers of a size up to "
            f"{LARGEST:g}. Use another unit."
        )
    return out


def outcomes_of(given: npt.ArrayLike, n: int, name: str = "outcomes") -> Floats:
    """(n,) outcomes in [0, 1], of which not all are equal."""
    out = numbers(name, given, n)
    bad = np.flatnonzero((out < 0) | (out > 1))
    if bad.size:
        raise InputError(
            f"{name}: row {bad[0]:,} is {out[bad[0]]:g} ({bad.size:,} such rows); expected numbers in [0, 1]: 1 for "
            "what happened, 0 for what did not. Divide counts by their maximum."
        )
    if n == 0:
        raise InputError(f"{name}: no rows; expected one row or more.")
    if (out == out[0]).all():
        raise InputError(
            f"{name}: all {n:,} rows are {out[0]:g}, a single class; expected rows with and without the outcome. "
            "Collect a longer log, or check how it was filtered."
        )
    return out


def weights_of(given: npt.ArrayLike | None, n: int) -> Floats:
    """(n,) weights of rows, not negative and not all 0; ones for None."""
    if given is None:
        return np.ones(n)
    out = numbers("weights", given, n)
    bad = np.flatnonzero(out < 0)
    if bad.size or not out.any():
        where = f"row {bad[0]:,} is {out[bad[0]]:g}" if bad.size else "all rows are 0"
        raise InputError(f"weights: {where}; expected numbers >= 0, not all of them 0.")
    if out.max() < 1.0 / LARGEST:
        raise InputError(
            f"weights: the largest is {out.max():g}; expected {1.0 / LARGEST:g} or more. Use another unit."
        )
    return out


def propensities_of(given: npt.ArrayLike, n: int) -> Floats:
    """(n,) probabilities in (0, 1] with which rows were shown."""
    out = numbers("propensities", given, n)
    bad = np.flatnonzero((out < 1.0 / LARGEST) | (out > 1))
    if bad.size:
        raise InputError(
            f"propensities: row {bad[0]:,} is {out[bad[0]]:g} ({bad.size:,} such rows); expected probabilities in "
            "(0, 1]. A row that could not be shown cannot be in a log; check what the log calls a propensity."
        )
    return out


def share(name: str, given: object) -> float:
    """A number strictly between 0 and 1."""
    real = as_real(given)
    if real is None or not 0 < real < 1:
        raise InputError(f"{name}={shown(given)}: expected a number between 0 and 1, such as 0.95.")
    return real


def segments_of(by: Mapping[str, LabelsLike] | None, n: int) -> tuple[str | None, tuple[Any, ...], Ints]:
    """(key, sorted labels, (n,) index of each row's label, -1 for none), of a mapping with one key."""
    if by is None:
        return None, (), np.full(n, -1, np.int64)
    if not isinstance(by, Mapping) or len(by) != 1 or not isinstance(next(iter(by)), str):
        raise InputError(
            f"by={shown(by)}: expected one key and its labels, one per row, such as {{'market': labels}}. Join several "
            "keys into one."
        )
    ((key, given),) = by.items()
    labels = storable(as_listed(as_vector(given, f"by[{key!r}]")))
    if len(labels) != n:
        raise InputError(f"by[{key!r}]: {len(labels):,} labels; expected {n:,}, one per row.")
    has = [label is not None and label == label and not (type(label) is int and label == -1) for label in labels]
    try:
        known = sorted({label for label, is_label in zip(labels, has, strict=True) if is_label})
    except TypeError as error:
        raise InputError(f"by[{key!r}]: labels of several kinds ({error}); make them strings.") from None
    code = {label: k for k, label in enumerate(known)}
    index = [code[label] if is_label else -1 for label, is_label in zip(labels, has, strict=True)]
    return key, tuple(known), np.array(index, np.int64)
