"""Moments as seconds since 1970 UTC: from numbers, and from dates with a time zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

When: TypeAlias = float | dt.datetime
"""A moment: seconds since 1970 UTC, or a datetime with a time zone."""

EXPECTED = "seconds since 1970 UTC, or a datetime with a time zone"
LATEST = 253_402_300_800.0  # the year 10000: what datetime can hold


def instant(value: Any, what: str) -> float:
    """Seconds since 1970 UTC of one moment, or `InputError` that begins with `what`.

    >>> instant(dt.datetime(2026, 7, 1, tzinfo=dt.UTC), "since")
    1782864000.0
    """
    seconds = seconds_of(value)
    if seconds is None or not 0 <= seconds < LATEST:
        naive = isinstance(value, dt.datetime) and value.tzinfo is None
        hint = " It has no time zone: add tzinfo=datetime.timezone.utc, or the zone it is in." if naive else ""
        raise InputError(f"{what} is {shown(value)}; expected {EXPECTED}.{hint}")
    return seconds


def seconds_of(value: Any, naive: dt.tzinfo | None = None) -> float | None:
    """The same, or None for what is no moment; a datetime without a zone is of `naive`."""
    if isinstance(value, np.datetime64):
        if np.isnat(value):
            return None
        value = value.astype("M8[us]").item()
    if isinstance(value, dt.datetime):  # pandas' Timestamp too
        if value != value:  # NaT
            return None
        if value.tzinfo is None:
            if naive is None:
                return None
            value = value.replace(tzinfo=naive)
        return float(value.timestamp())
    return as_real(value)


def seconds_array(values: Any, naive: ZoneInfo | None = None) -> NDArray[np.float64]:
    """(n,) seconds since 1970 UTC of a list, an array or a column of a table; NaN for what is no moment.

    >>> seconds_array([0.0, "noon", dt.datetime(1970, 1, 2, tzinfo=dt.UTC)]).tolist()
    [0.0, nan, 86400.0]
    """
    zone = getattr(values, "dtype", None)
    if getattr(zone, "tz", None) is not None and hasattr(values, "dt"):  # pandas, with a zone
        return seconds_array(values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), ZoneInfo("UTC"))
    if getattr(zone, "time_zone", None) is not None and hasattr(values, "to_numpy"):  # polars keeps UTC
        return seconds_array(values.to_numpy(), ZoneInfo("UTC"))
    if getattr(getattr(values, "type", None), "tz", None) is not None:  # pyarrow keeps UTC
        return seconds_array(np.asarray(values), ZoneInfo("UTC"))
    array = np.asarray(values) if hasattr(values, "__array__") else _of_list(values)
    if array.ndim != 1:
        raise InputError(f"times have shape {array.shape}; expected one column of {EXPECTED}.")
    if array.dtype.kind == "M":
        if naive is None:
            return np.full(array.size, np.nan)
        if str(naive) == "UTC":
            seconds = array.astype("M8[us]").astype(np.int64) / 1e6
            return np.where(np.isnat(array), np.nan, seconds)
        return seconds_array(array.astype("M8[us]").tolist(), naive)
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    found = [seconds_of(value, naive) for value in array.tolist()]
    return np.array([np.nan if one is None else one for one in found], np.float64)


def _of_list(values: Any) -> NDArray[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputError(f"times are {shown(values)}; expected a list or array of {EXPECTED}.")
    given: Sequence[Any] = list(values)
    if set(map(type, given)) <= {float, int}:
        try:
            return np.array(given, np.float64)
        except OverflowError:
            pass
    array = np.empty(len(given), object)
    for k, value in enumerate(given):  # one by one: NumPy would look into lists, and into times of its own
        array[k] = value
    return array
