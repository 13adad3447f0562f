"""Checks of arguments: one number (of Python or NumPy, not a boolean), a flag, or an array to write into."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

_NO_NUMBERS = (bool, np.bool_, np.timedelta64, np.datetime64)  # NumPy counts a timedelta64 as an integer

LARGEST = 1e50  # size of numbers, and of 1 / propensity, whose squares can be added up


def as_whole(value: object) -> int | None:
    """A whole number as a Python int, or None for anything else: booleans, times, fractions, texts and so on.

    >>> import numpy as np
    >>> as_whole(np.int8(3)), as_whole(3.0), as_whole(True), as_whole(np.timedelta64(3, "s"))
    (3, None, None, None)
    """
    if type(value) is int:
        return value
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Integral):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):  # a foreign class that only claims to be a number
        return None


def as_real(value: object) -> float | None:
    """A number as a float, or None if it is not a number or is beyond float64; NaN and infinity are numbers.

    >>> from fractions import Fraction
    >>> as_real(2), as_real(Fraction(1, 4)), as_real(10**400), as_real("2"), as_real(True)
    (2.0, 0.25, None, None, None)
    """
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def as_flag(value: object, name: str, call: str = "", error: type[Exception] = InputError) -> bool:
    """True or False, of Python or NumPy, as a Python bool; the error for anything else names call and argument.

    A text such as "no" is true, and 0 may be meant as a number: both are refused.

    >>> import numpy as np
    >>> as_flag(np.False_, "certify", "quote")
    False
    >>> as_flag("no", "certify", "quote")
    Traceback (most recent call last):
    oasis_alloc.errors.InputError: quote(certify='no'): expected True or False.
    """
    if not isinstance(value, (bool, np.bool_)):
        what = f"{name}={shown(value)}"
        raise error(f"{f'{call}({what})' if call else what}: expected True or False.")
    return bool(value)


def as_buffer(out: Any, dtype: npt.DTypeLike, *shapes: tuple[int, ...], name: str = "out") -> npt.NDArray[Any]:
    """An array to write results into, of one of several shapes; an `InputError` names the first of them."""
    fits = isinstance(out, np.ndarray) and out.dtype == dtype and out.shape in shapes
    if not (fits and out.flags.c_contiguous and out.flags.writeable):
        sizes = ", ".join(f"{size:,}" for size in shapes[0]) + ("," if len(shapes[0]) == 1 else "")
        raise InputError(f"{name}: expected a writeable, contiguous {np.dtype(dtype)} array of shape ({sizes}).")
    found: npt.NDArray[Any] = out
    return found
