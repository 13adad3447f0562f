"""Arguments of the estimators, checked: what is wrong is said with its row, and what was expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.checks import LARGEST, as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.signals.off_policy.intervals import KINDS

_ABOVE = 1e-9  # propensities are sums of floats: so far above 1 they count as 1


@dataclass(frozen=True)
class Options:
    """What the estimates are made with, checked."""

    interval: str
    confidence: float
    resamples: int
    seed: int
    min_effective: float
    bounds: tuple[float, float] | None


def options(
    interval: str,
    confidence: float,
    resamples: int,
    seed: int,
    min_effective: float,
    bounds: tuple[float, float] | None,
    what: str,
) -> Options:
    """Check the options that all estimators share; `what` begins the error messages."""
    if interval not in KINDS:
        raise InputError(f"{what}(interval={shown(interval)}): expected one of {', '.join(map(repr, KINDS))}.")
    share, count, number = as_real(confidence), as_whole(resamples), as_whole(seed)
    if share is None or not 0.5 <= share < 1.0:
        raise InputError(
            f"{what}(confidence={shown(confidence)}): expected a probability from 0.5 to below 1, such as 0.95."
        )
    if count is None or count < 100:
        raise InputError(f"{what}(resamples={shown(resamples)}): expected a whole number, 100 or more.")
    if number is None or number < 0:
        raise InputError(f"{what}(seed={shown(seed)}): expected a whole number, 0 or more.")
    least = as_real(min_effective)
    if least is None or not 0.0 <= least < math.inf:
        raise InputError(f"{what}(min_effective={shown(min_effective)}): expected a number, 0 or more.")
    if bounds is not None:
        pair = bounds if isinstance(bounds, tuple) and len(bounds) == 2 else (None, None)
        low, high = as_real(pair[0]), as_real(pair[1])
        if low is None or high is None or not -math.inf < low < high < math.inf:
            raise InputError(f"{what}(bounds={shown(bounds)}): expected (lowest, highest) possible outcome.")
        bounds = low, high
    return Options(interval, share, count, number, least, bounds)


def numbers(values: ArrayLike, name: str, shape: tuple[int, ...] | None = None, ndim: int = 1) -> Floats:
    """Finite numbers of a shape as float64; the error names the first row that is wrong."""
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biuf" and not (given.dtype.kind == "O" and all(_is_number(v) for v in given.flat)):
            raise TypeError
        found = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers, got {shown(values)}.") from error
    if shape is None and (found.ndim != ndim or found.size == 0):
        form = "a row of numbers" if ndim == 1 else "a table of numbers, one row per slate and one column per slot"
        raise InputError(f"{name} has shape {found.shape}; expected {form}, at least one.")
    if shape is not None and found.shape != shape:
        raise InputError(f"{name} has shape {found.shape}; expected {shape}, as outcomes.")
    if np.ma.is_masked(values):
        raise InputError(f"{name}: some rows are masked; expected numbers. Leave these rows out.")
    first_wrong(found, np.isfinite(found), name, "a finite number")
    first_wrong(found, np.abs(found) <= LARGEST, name, f"a number of a size up to {LARGEST:g}; use another unit")
    return found


def _is_number(value: Any) -> bool:
    return as_real(value) is not None


def first_wrong(values: Floats, good: np.ndarray[Any, np.dtype[np.bool_]], name: str, expected: str) -> None:
    """Raise `InputError` for the first value that is not good, with its row and how many there are."""
    if good.all():
        return
    wrong = np.argwhere(~good)
    where = f"row {wrong[0][0]:,}" + (f", slot {wrong[0][1]}" if values.ndim == 2 else "")
    more = f" ({len(wrong):,} such values)" if len(wrong) > 1 else ""
    raise InputError(f"{name}, {where}: {values[tuple(wrong[0])]:g}; expected {expected}{more}.")


def logged_propensities(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Propensities of what was shown: above 0 and at most 1."""
    found = numbers(values, "logged", shape)
    first_wrong(
        found, (found >= 1.0 / LARGEST) & (found <= 1.0 + _ABOVE), "logged",
        "a propensity above 0 and at most 1: the probability with which the log showed this item",
    )  # fmt: skip
    return np.minimum(found, 1.0)


def target_probabilities(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Probabilities with which another policy shows what was shown: from 0 to 1."""
    found = numbers(values, "target", shape)
    first_wrong(
        found, (found >= 0.0) & (found <= 1.0 + _ABOVE), "target",
        "a probability from 0 to 1 with which the other policy shows this item",
    )  # fmt: skip
    return np.minimum(found, 1.0)


def informative(outcomes: Floats) -> Floats:
    """Outcomes of which at least two differ, for intervals have no length otherwise."""
    if outcomes.size > 1 and (outcomes == outcomes.flat[0]).all():
        raise InputError(
            f"outcomes: all {outcomes.size:,} are {outcomes.flat[0]:g}, a single class. Nothing can be estimated; "
            "check how outcomes were joined with the log, or read more of it."
        )
    return outcomes


def bounded(outcomes: Floats, given: Options, reason: str, name: str = "outcomes") -> tuple[float, float]:
    """The bounds of outcomes, (0, 1) by default, for what needs them; InputError if an outcome is outside."""
    low, high = given.bounds or (0.0, 1.0)
    first_wrong(
        outcomes, (outcomes >= low) & (outcomes <= high), name,
        f"a number from {low:g} to {high:g}, which {reason} needs; pass bounds=(lowest, highest)",
    )  # fmt: skip
    return low, high


def numbered(values: Any, n: int, name: str) -> tuple[Ints, int]:
    """Numbers 0, 1, ... of labels in the order in which they appear, and how many there are.

    A label that is missing (None, NaN) is refused: rows without one would all be one unit.
    """
    known: dict[Any, int] = {}
    try:
        labels = values.tolist() if hasattr(values, "tolist") else list(values)
        found = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.int64, len(labels))
    except TypeError as error:
        raise InputError(f"{name}: expected one label per outcome, got {shown(values)}.") from error
    if found.size != n:
        raise InputError(f"{name} has {found.size:,} labels; expected {n:,}, one per outcome.")
    missing = [row for row, label in enumerate(labels) if label is None or label != label]
    if missing:
        raise InputError(
            f"{name}, row {missing[0]}: {labels[missing[0]]}; expected a label ({len(missing):,} such rows). Give each "
            "of these rows a label of its own, or leave them out."
        )
    return found, len(known)
