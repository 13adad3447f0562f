"""Time in cells of a week: how many seconds of an interval are Monday 10 to 11 in a time zone, and so on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.labels import as_listed, shown
from oasis_alloc.errors import InputError

HOURS, KINDS = 24, 8  # Monday to Sunday, and holidays
HOLIDAY = 7
CELLS = KINDS * HOURS
_QUARTER = 900  # seconds: since 1972, offsets of zones are whole quarters of an hour
_MOST = 40_000_000  # quarters that an interval may have: a thousand years
_KEPT = 1_000  # intervals
_EPOCH = dt.date(1970, 1, 1)
_THURSDAY = 3  # which day of the week that was


def zone_of(name: Any) -> ZoneInfo:
    """The time zone of a name, or `InputError`.

    >>> zone_of("Europe/Stockholm").key
    'Europe/Stockholm'
    """
    try:
        if isinstance(name, str) and name:
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise InputError(
        f"the time zone is {shown(name)}, which this machine does not know; expected a name such as 'Europe/Oslo'. "
        "Where the system has no time zones, pip install tzdata."
    )


class Calendar:
    """The cells of times in a zone: 24 * kind of day + hour; days that are `holidays` are of a kind of their own."""

    def __init__(self, zone: str = "UTC", holidays: Iterable[Any] = ()) -> None:
        self._zone = zone_of(zone)
        self.zone = zone
        self.holidays = tuple(sorted({_date(day) for day in as_listed(holidays)}))
        self._days = np.array([(dt.date.fromisoformat(day) - _EPOCH).days for day in self.holidays], np.int64)
        self._offsets: dict[int, int] = {}  # of the quarters that were asked for, in seconds
        self._dwells: dict[tuple[float, float], NDArray[np.float64]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Calendar, (self.zone, self.holidays)

    def cells(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The cell of every time, in seconds since 1970 UTC.

        >>> Calendar("Europe/Stockholm", ["2026-01-06"]).cells(np.array([0.0, 1_767_657_600.0])).tolist()
        [73, 169]
        """
        quarters, of = np.unique(np.floor(seconds / _QUARTER).astype(np.int64), return_inverse=True)
        return self._of_quarters(quarters)[of]

    def days(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The local day of every time, as days since 1970."""
        quarters, of = np.unique(np.floor(seconds / _QUARTER).astype(np.int64), return_inverse=True)
        return (self._local(quarters) // 86_400)[of]

    def dwell(self, start: float, end: float) -> NDArray[np.float64]:
        """(CELLS,) seconds that an interval spends in each cell; the latest intervals are kept, for they come by key.

        >>> Calendar().dwell(1800.0, 7200.0)[[72, 73]].tolist()
        [1800.0, 3600.0]
        """
        kept = self._dwells.get((start, end))
        if kept is None:
            if len(self._dwells) >= _KEPT:
                self._dwells.clear()
            kept = self._dwells[start, end] = self._dwell(start, end)
            kept.flags.writeable = False
        return kept

    def _dwell(self, start: float, end: float) -> NDArray[np.float64]:
        if end <= start:
            return np.zeros(CELLS)
        first, last = int(start // _QUARTER), int(-(-end // _QUARTER))
        if last - first > _MOST:
            raise InputError(f"an interval of {(end - start) / 86_400:,.0f} days; expected at most 1,000 years.")
        quarters = np.arange(first, last, dtype=np.int64)
        length = np.full(quarters.size, float(_QUARTER))
        length[0] -= start - first * _QUARTER
        length[-1] -= last * _QUARTER - end
        return np.bincount(self._of_quarters(quarters), length, minlength=CELLS).astype(np.float64, copy=False)

    def _of_quarters(self, quarters: NDArray[np.int64]) -> NDArray[np.int64]:
        local = self._local(quarters)
        day = local // 86_400
        kind = (day + _THURSDAY) % 7
        if self._days.size:
            kind[np.isin(day, self._days)] = HOLIDAY
        return kind * HOURS + local % 86_400 // 3600

    def _local(self, quarters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Local seconds at the beginning of quarters of an hour, which are sorted."""
        seconds: NDArray[np.int64] = quarters * _QUARTER
        if self.zone == "UTC" or not seconds.size:
            return seconds
        # Offsets change a few times a year, so most days have one: only the others are looked at by the quarter.
        day = seconds // 86_400
        known = np.arange(day[0], day[-1] + 2)
        edges = np.array([self._offset(int(k) * 96) for k in known], np.int64)
        offset = edges[day - known[0]]
        for k in np.flatnonzero(edges[:-1] != edges[1:]):
            within = np.flatnonzero(day == known[k])
            offset[within] = [self._offset(int(quarters[w])) for w in within]
        local: NDArray[np.int64] = seconds + offset
        return local

    def _offset(self, quarter: int) -> int:
        found = self._offsets.get(quarter)
        if found is None:
            at = dt.datetime.fromtimestamp(quarter * _QUARTER, dt.UTC).astimezone(self._zone)
            found = self._offsets[quarter] = int((at.utcoffset() or dt.timedelta()).total_seconds())
        return found


def _date(day: Any) -> str:
    if isinstance(day, np.datetime64):
        day = day.astype("M8[D]").item()
    if isinstance(day, dt.datetime):
        day = day.date()
    if isinstance(day, str):
        with suppress(ValueError):
            day = dt.date.fromisoformat(day)
    if not isinstance(day, dt.date):
        raise InputError(f"holidays: {shown(day)} is not a date; expected dates such as '2026-12-25'.")
    return day.isoformat()
