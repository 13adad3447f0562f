"""Which labels and ids are equal, in all libraries: `docs/labels.md` as code.

`same(label)` is the lookup key of a label: two labels are equal if and only if their keys are. Strings, integers and
floats are their own keys, so most lookups cost only a check of the type.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import InputError

_LARGEST = 400  # decimal digits before the point: above, a Decimal is infinite as a float


class _Boolean(Enum):
    """A separate type for booleans, because True == 1 in Python."""

    FALSE = False
    TRUE = True


_OWN = frozenset({str, int, float})  # types that are their own lookup keys
_MISSING = frozenset({"NAType", "NaTType"})


def is_none(value: object) -> bool:
    """True if a value means "missing": None, NaN, NaT, pandas' NA, null of a library.

    >>> import numpy as np
    >>> [is_none(value) for value in (None, float("nan"), np.datetime64("NaT"), 0, "")]
    [True, True, True, False, False]
    """
    if value is None or type(value).__name__ in _MISSING:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)):
        return bool(value != value)
    return hasattr(value, "as_py") and getattr(value, "is_valid", True) is False


def plain(value: Any) -> Any:
    """Return a label as a plain Python value: scalars of NumPy and pyarrow become their value, missing values None,
    `Decimal` and fractions numbers; dates, times and everything else are unchanged.

    >>> from decimal import Decimal
    >>> import numpy as np
    >>> [plain(value) for value in (np.int8(3), np.str_("a"), Decimal("2.50"), Decimal("2.00"), float("nan"))]
    [3, 'a', 2.5, 2, None]
    """
    if type(value) in _OWN:
        return None if value != value else value
    if is_none(value):
        return None
    if hasattr(value, "as_py"):  # pyarrow
        return plain(_as_py(value))
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, np.timedelta64):  # NumPy counts it as an integer
        return value.astype("m8[us]").item()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Decimal):
        return _of_fraction(value, value.is_finite() and value == value.to_integral_value(), value.adjusted())
    if isinstance(value, Fraction):
        return _of_fraction(value, value.denominator == 1, 0)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, tuple):
        return tuple(plain(part) for part in value)
    return value


def same(label: Any) -> Hashable:
    """Return the lookup key of a label, None for a missing one: keys are equal if and only if labels are equal.

    Raises `InputError` for values that cannot be labels: lists, mappings, arrays of more than one entry, complex
    numbers.

    >>> import datetime as dt
    >>> import numpy as np
    >>> same(1.0) == same(np.uint8(1)), same(True) == same(1), same("1") == same(1)
    (True, False, False)
    >>> same(dt.date(2026, 1, 2)) == same("2026-01-02") == same(np.datetime64("2026-01-02T00:00"))
    True
    """
    kind = type(label)
    if kind is str or kind is int:
        return label  # type: ignore[no-any-return]  # a str or an int
    value = plain(label)
    if isinstance(value, bool):
        return _Boolean.TRUE if value else _Boolean.FALSE
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if isinstance(value, tuple):
        return tuple(same(part) for part in value)
    if isinstance(value, (dt.date, dt.time, np.datetime64)):
        return _time_text(value)
    if isinstance(value, UUID) or kind.__name__ == "Period":
        return str(value)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return same(value.item())
    if isinstance(value, (complex, np.ndarray, np.void)) or value.__class__.__hash__ is None:
        raise InputError(f"{shown(label)} is {_article(kind.__name__)}, which cannot be a label.")
    try:
        hash(value)
    except TypeError:
        raise InputError(f"{shown(label)} is {_article(kind.__name__)}, which cannot be a label.") from None
    return value  # type: ignore[no-any-return]  # hashable, as checked above


def all_same(labels: Iterable[Any]) -> list[Any]:
    """Return `same` of every label, fast if all of them are plain.

    >>> import numpy as np
    >>> all_same(np.array([2, 1])), all_same(["a", None]), all_same([1.0, np.True_])[0]
    ([2, 1], ['a', None], 1.0)
    """
    if isinstance(labels, np.ndarray):
        if labels.dtype.kind in "iuU" or (labels.dtype.kind == "f" and not np.isnan(labels).any()):
            return labels.tolist()  # type: ignore[no-any-return]  # a list, of one dimension
        labels = list(labels) if labels.dtype.kind in "mM" else labels.tolist()  # tolist gives nanoseconds as integers
    given = labels if isinstance(labels, list) else list(labels)
    if set(map(type, given)) <= {str, int, type(None)}:
        return given
    return [same(label) for label in given]


def kind_of(looked_up: Hashable) -> str:
    """Return the kind of a result of `same`: "number", "string", "boolean", "bytes" or "other".

    >>> [kind_of(same(label)) for label in (1, 0.5, "a", True, b"a", ("a", 1))]
    ['number', 'number', 'string', 'boolean', 'bytes', 'other']
    """
    if isinstance(looked_up, str):
        return "string"
    if isinstance(looked_up, _Boolean):
        return "boolean"
    if isinstance(looked_up, bytes):
        return "bytes"
    return "number" if isinstance(looked_up, (int, float)) else "other"


def kinds_of(looked_up: Iterable[Hashable]) -> frozenset[str]:
    """Return the kinds of results of `same`; missing labels have no kind.

    >>> sorted(kinds_of([1, 2.5, None, "a"]))
    ['number', 'string']
    """
    by_type: dict[type, Hashable] = {}
    for one in looked_up:
        by_type.setdefault(type(one), one)
    return frozenset(kind_of(one) for one in by_type.values() if one is not None)


def storable(labels: Sequence[Any]) -> tuple[Any, ...]:
    """Return labels in the form of policies and snapshots: dates, times and UUIDs as strings, numbers as Python's.

    >>> import datetime as dt
    >>> storable([dt.date(2026, 1, 2)]), storable([True, False]), storable([1, 2])
    (('2026-01-02',), (True, False), (1, 2))
    """
    if set(map(type, labels)) <= {str, int, bool} or set(map(type, labels)) == {float}:
        return tuple(labels)
    out = [same(label) for label in labels]
    return tuple(one.value if isinstance(one, _Boolean) else one for one in out)


def as_listed(values: object) -> list[Any]:
    """Return ids or labels as a list: of an array, a Series, a pyarrow array, or any iterable.

    Raises `InputError` for a single string or number, a mapping, a set, which has no order, and a table.

    >>> import numpy as np
    >>> as_listed(np.array([1, 2])), as_listed(("a", None))
    ([1, 2], ['a', None])
    """
    if type(values) is list:
        return values
    if isinstance(values, (str, bytes, Mapping, set, frozenset)) or hasattr(values, "columns"):
        raise InputError(f"expected a list or an array of ids or labels, got {shown(values)}.")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InputError(f"expected a list of ids or labels, got an array of shape {values.shape}.")
        return list(values) if values.dtype.kind in "mM" else values.tolist()
    for method in ("to_pylist", "to_list"):  # pyarrow; pandas and polars
        if hasattr(values, method):
            return list(getattr(values, method)())
    if not isinstance(values, Iterable):
        raise InputError(f"expected a list or an array of ids or labels, got {shown(values)}.")
    return list(values)


def as_dates(labels: NDArray[Any]) -> NDArray[Any]:
    """Return datetime64 labels as Python dates and times, unless nanoseconds would be lost."""
    if labels.dtype.kind not in "mM":
        return labels
    unit = np.datetime_data(labels.dtype)[0]
    if unit in ("ns", "ps", "fs", "as"):
        micro = labels.astype(f"{labels.dtype.kind}8[us]")
        return np.fromiter(micro.tolist() if (micro == labels).all() else list(labels), dtype=object)
    return np.fromiter(labels.tolist(), dtype=object)


def _as_py(value: Any) -> Any:
    try:
        return value.as_py()
    except ValueError as error:  # nanoseconds without pandas, times out of Python's range
        raise InputError(f"{value!r} cannot be converted to a Python object ({error}); make it a string.") from error


def _of_fraction(value: Any, is_integer: bool, digits: int) -> int | float:
    if is_integer and digits < _LARGEST:
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _time_text(value: Any) -> str:
    """ISO 8601: only the date for midnight without a zone, UTC if there is a zone."""
    if isinstance(value, np.datetime64):
        unit = np.datetime_data(value.dtype)[0]
        if unit in ("Y", "M", "W", "D"):
            return str(value.astype("M8[D]"))
        text = str(value.astype("M8[s]") if unit in ("h", "m") else value)
        day, _, time = text.partition("T")
        time, _, fraction = time.partition(".")
        fraction = fraction.ljust(6, "0")
        if not fraction[6:].strip("0"):
            fraction = fraction[:6]
        if fraction.strip("0"):
            return f"{day}T{time}.{fraction}"
        return day if time == "00:00:00" else f"{day}T{time}"
    if not isinstance(value, dt.datetime):
        return str(value.isoformat())
    if value.tzinfo is not None:
        try:
            return str(value.astimezone(dt.UTC).isoformat())
        except OverflowError:  # the first and the last representable day
            return str(value.isoformat())
    if value == value.replace(hour=0, minute=0, second=0, microsecond=0) and not getattr(value, "nanosecond", 0):
        return value.date().isoformat()
    return str(value.isoformat())


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _length(value: object) -> int:
    """The number of entries, 0 for what has none, such as an array of no dimensions."""
    try:
        return len(value)  # type: ignore[arg-type]
    except TypeError:
        return 0


def shown(value: object, longest: int = 80) -> str:
    """A value for an error message: its `repr`, cut, or a description if that is long; tables are not written out.

    >>> shown("x"), shown("x" * 10**6)[-5:], shown([1] * 1000)
    ("'x'", 'xx...', 'a list of 1,000')
    """
    if isinstance(value, (str, bytes)):
        value = value[: longest + 1]
    elif hasattr(value, "columns") or hasattr(value, "iloc") or _length(value) > longest:
        return _article(type(value).__name__) + (f" of {_length(value):,}" if hasattr(value, "__len__") else "")
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, deep lists
        return _article(type(value).__name__)
    return text if len(text) <= longest else f"{text[:longest]}..."
