"""What functions of a measure check of their arguments: the measure, single numbers, numbers per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Numbers, as_number, numbers_of, spread
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.measures import Measure

SMALLEST, GREATEST = 1e-300, 1e300
"""Sizes of a function's numbers other than 0: inverses of others, and products with counts, are not finite."""


def check_measure(function: str, measure: object, by: str = "'artist'") -> None:
    """Raise `ProblemError` for what is not a measure; `by` is the key of the example in the message."""
    if not isinstance(measure, Measure):
        raise ProblemError(f"{function}() takes a measure such as exposure(by={by}), got {measure!r}.")


def positive(given: object, message: str, largest: float = GREATEST) -> float:
    """A positive finite number, or `ProblemError` with the message."""
    number = nonnegative(given, message, largest)
    if number == 0:
        raise ProblemError(message)
    return number


def nonnegative(given: object, message: str, largest: float = GREATEST) -> float:
    """A finite number that is 0 or more, or `ProblemError` with the message."""
    number = as_number(given)
    if number is None or not 0 <= number < np.inf:
        raise ProblemError(message)
    check_sizes(number, message.partition(":")[0], largest)
    return number


def check_sizes(numbers: float | Floats, what: str, largest: float = GREATEST) -> None:
    """Raise `ProblemError` for numbers so large or small that the function cannot be computed; 0 may be one.

    `largest` is smaller where a function squares its numbers.
    """
    sizes = np.abs(np.asarray(numbers, np.float64)).ravel()
    bad = sizes[((sizes > 0.0) & (sizes < SMALLEST)) | (sizes > largest)]
    if bad.size:
        raise ProblemError(
            f"{what}: {bad[0]:g} is too {'large' if bad[0] > 1.0 else 'small'}; expected numbers whose absolute value "
            f"is 0 or from {SMALLEST:g} to {largest:g}. Measure in another unit: divide or multiply the column by a "
            "power of ten."
        )


def numbers_per_group(
    function: str, measure: object, given: object, word: str, largest: float = GREATEST, *, otherwise: str = ""
) -> tuple[Numbers, Floats]:
    """(finite numbers as `spread` takes them, the numbers alone); `word` says what they are: a target, a weight.

    `otherwise` is for functions whose numbers must be positive: what a caller should do in place of a number of 0.
    """
    what = f"{function}({measure}, ...)"
    read = numbers_of(given, what, word)
    numbers = np.array(list(read.values()) if isinstance(read, dict) else read, dtype=np.float64)
    flat = np.atleast_1d(numbers)
    bad = np.flatnonzero(~np.isfinite(flat) | ((flat <= 0) & bool(otherwise)))
    if bad.size:
        k = int(bad[0])
        of = f" of {list(read)[k]!r}" if isinstance(read, dict) else f" at entry {k}" if numbers.ndim else ""
        raise ProblemError(
            f"{what}: the {word}{of} is {flat[k]:g}; expected {'positive ' if otherwise else ''}finite numbers, one "
            f"per group. {otherwise}".rstrip()
        )
    check_sizes(numbers, what, largest)
    return read, numbers


def for_every_group(numbers: Numbers, labels: Sequence[Any], name: str, word: str) -> Floats:
    """(n_groups,) numbers; `ProblemError` where a group has none."""
    out = spread(numbers, labels, name, free=np.nan)
    without = np.flatnonzero(np.isnan(out))
    if without.size:
        raise ProblemError(
            f"{name}: group {labels[without[0]]!r} has no {word} ({without.size} such groups); give one for "
            "every group."
        )
    return out
