"""`Schedule`: when requests arrive, by hour, day of the week and holiday, so that budgets follow the traffic."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.documents import from_json
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.common.remote_path import name_of, text_at, write_at
from oasis_alloc.common.types import LabelsLike, Table
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.arrivals import rates_by_key, read_arrivals
from oasis_alloc.pacing.calendar import CELLS, HOLIDAY, HOURS, KINDS, Calendar, zone_of
from oasis_alloc.pacing.instants import When, instant
from oasis_alloc.pacing.ledger_events import label_of, label_text

_FORMAT = "oasis_alloc schedule 1"
_WEEK = np.repeat([1.0] * HOLIDAY + [0.0], HOURS) * 3600  # seconds of a week without holidays


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Schedule(ByFields):
    """How many requests are expected when: by hour and day of the week in a time zone, with a curve per key.

    `Schedule.fit` learns it from arrivals, `Schedule.from_weights` takes a curve that is given, and `Schedule.flat` is
    one without a shape. `over(start, end)` names the period of which `share` and `remaining` are fractions. Without it
    they are in average weeks.

    >>> import oasis_alloc as oa
    >>> flat = oa.Schedule.flat().over(0.0, 4 * 3600.0)
    >>> flat.share(0.0, 3600.0), flat.remaining(3 * 3600.0)
    (0.25, 0.25)
    """

    calendar: Calendar
    rates: NDArray[np.float64]  # (1 + keys, CELLS) requests per second: of all, and of every key
    by_key: FrozenMapping[Any, int]  # rows of rates
    n_requests: int  # that it was learned from
    start: float | None = None
    end: float | None = None

    @classmethod
    def fit(
        cls,
        requests: LabelsLike | Table,
        *,
        by: str | LabelsLike | None = None,
        time: str = "time",
        weight: str | LabelsLike | None = None,
        zone: str = "UTC",
        holidays: Iterable[Any] = (),
        naive: str | None = None,
        prior_days: float = 1.0,
    ) -> Schedule:
        """Learn from arrivals: all requests, whether or not something was served. Never from impressions.

        `requests` is a list or array of times, or a table with a column `time`; `by` is an array of keys or the name of
        a column, and so is `weight`, the number of requests of a row. Times are seconds since 1970 UTC or have a time
        zone; `naive` is the zone of those that have no zone. `zone` is the one whose hours and days matter, and
        `holidays` its dates on which traffic is unlike that of other days. `prior_days` says how much data makes a cell
        its own: an hour of a weekday that was seen on this many days, with many requests, counts half by itself.

        >>> import oasis_alloc as oa
        >>> evening = [day * 86_400.0 + 20 * 3600 + k for day in range(14) for k in range(100)]
        >>> schedule = oa.Schedule.fit(evening)
        >>> schedule.expected(20 * 3600.0, 21 * 3600.0) > 60 * schedule.expected(8 * 3600.0, 9 * 3600.0) > 0
        True
        >>> print(oa.Schedule.fit([]))
        Schedule: flat, because there are no requests to learn from
        """
        calendar = Calendar(zone, holidays)
        arrivals = read_arrivals(requests, by, time, weight, None if naive is None else zone_of(naive))
        prior = as_real(prior_days)
        if prior is None or not 0 < prior < np.inf:
            raise InputError(f"prior_days is {shown(prior_days)}; expected a finite number above 0.")
        if not arrivals.seconds.size:
            return cls.flat(zone=zone, holidays=holidays)
        rates = rates_by_key(arrivals, calendar, prior)
        rates.flags.writeable = False
        rows = FrozenMapping({label: k + 1 for k, label in enumerate(arrivals.labels)})
        return cls(calendar, rates, rows, int(arrivals.seconds.size))

    @classmethod
    def flat(cls, *, zone: str = "UTC", holidays: Iterable[Any] = ()) -> Schedule:
        """A schedule without a shape: one request per second, at any time.

        >>> import oasis_alloc as oa
        >>> oa.Schedule.flat().expected(0.0, 60.0)
        60.0
        """
        rates = np.ones((1, CELLS))
        rates.flags.writeable = False
        return cls(Calendar(zone, holidays), rates, FrozenMapping({}), 0)

    @classmethod
    def from_weights(
        cls, weights: ArrayLike | Mapping[Any, ArrayLike], *, zone: str = "UTC", holidays: Iterable[Any] = ()
    ) -> Schedule:
        """A curve that is given: requests per hour, as 24 numbers, 7 days of 24, or 8, the last one of holidays.

        `weights` may be a mapping of keys to such curves; the curve of all is then their sum.

        >>> import oasis_alloc as oa
        >>> schedule = oa.Schedule.from_weights({"SE": [1.0] * 24, "DE": [3.0] * 24})
        >>> schedule.expected(0.0, 3600.0, "DE"), schedule.expected(0.0, 3600.0)
        (3.0, 4.0)
        """
        given = weights if isinstance(weights, Mapping) else {None: weights}
        if not given:
            raise InputError("weights has no curve; expected one, or a mapping of keys to curves.")
        curves = [
            _curve(curve, f"weights of {shown(key)}" if key is not None else "weights") for key, curve in given.items()
        ]
        named = {label_of(label_text(key, 1)): k + 1 for k, key in enumerate(given) if key is not None}
        rates = np.array([np.sum(curves, axis=0), *(curves if named else [])]) / 3600
        rates.flags.writeable = False
        return cls(Calendar(zone, holidays), rates, FrozenMapping(named), 0)

    @property
    def is_flat(self) -> bool:
        """Whether all hours are alike, as they are without data."""
        return bool(np.all(self.rates == self.rates[:, :1]))

    @property
    def keys(self) -> list[Any]:
        """The keys that have a curve of their own."""
        return list(self.by_key)

    def over(self, start: When, end: When) -> Schedule:
        """The same schedule of a flight or a month: shares are of what is expected between these times.

        >>> import oasis_alloc as oa
        >>> day = oa.Schedule.flat().over(0.0, 86_400.0)
        >>> day.share(43_200.0, 200_000.0)  # what is after the end is not of it
        0.5
        """
        first, last = instant(start, "start"), instant(end, "end")
        if last <= first:
            raise InputError(f"start is {shown(start)} and end is {shown(end)}; expected an end after the start.")
        made = replace(self, start=first, end=last)
        empty = [label for label in (None, *made.by_key) if made.expected(first, last, label) <= 0]
        if empty:
            which = "" if empty[0] is None else f" of {shown(empty[0])}"
            raise InputError(f"no requests{which} are expected between {shown(start)} and {shown(end)}; expected some.")
        return made

    def expected(self, t0: When, t1: When, key: Hashable = None) -> float:
        """Requests that are expected from `t0` to before `t1`: of all, or of one key.

        >>> import oasis_alloc as oa
        >>> oa.Schedule.from_weights([1.0] * 12 + [5.0] * 12).expected(11 * 3600.0, 13 * 3600.0)
        6.0
        """
        first, last = instant(t0, "t0"), instant(t1, "t1")
        if last < first:
            raise InputError(f"t0 is {shown(t0)} and t1 is {shown(t1)}; expected t1 at or after t0.")
        return float(self.rates[self._row(key)] @ self.calendar.dwell(first, last))

    def share(self, t0: When, t1: When, key: Hashable = None) -> float:
        """The same as a fraction of the period of `over`, or in average weeks without one.

        >>> import oasis_alloc as oa
        >>> oa.Schedule.flat().share(0.0, 7 * 86_400.0)
        1.0
        """
        first, last = instant(t0, "t0"), instant(t1, "t1")
        if self.start is None or self.end is None:
            return self.expected(first, last, key) / float(self.rates[self._row(key)] @ _WEEK)
        if last < first:
            raise InputError(f"t0 is {shown(t0)} and t1 is {shown(t1)}; expected t1 at or after t0.")
        first, last = (min(max(at, self.start), self.end) for at in (first, last))
        return self.expected(first, last, key) / self.expected(self.start, self.end, key)

    def remaining(self, now: When, end: When | None = None, key: Hashable = None) -> float:
        """The share from now to the end, by default that of `over`; 0 after the end.

        >>> import oasis_alloc as oa
        >>> oa.Schedule.flat().over(0.0, 100.0).remaining(75.0)
        0.25
        """
        last = self.end if end is None else instant(end, "end")
        if last is None:
            raise InputError("remaining(now) needs an end: pass end=, or name the period with over(start, end).")
        return self.share(min(instant(now, "now"), last), last, key)

    def to_dict(self) -> dict[str, Any]:
        """The schedule as JSON has it; `save` writes it.

        >>> import oasis_alloc as oa
        >>> sorted(oa.Schedule.flat().to_dict())
        ['curves', 'end', 'format', 'holidays', 'keys', 'requests', 'start', 'zone']
        """
        return {
            "format": _FORMAT,
            "zone": self.calendar.zone,
            "holidays": list(self.calendar.holidays),
            "requests": self.n_requests,
            "start": self.start,
            "end": self.end,
            "keys": [json.loads(label_text(label, 1)) for label in self.by_key],
            "curves": (self.rates.reshape(-1, KINDS, HOURS) * 3600).tolist(),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all.

        >>> import tempfile, oasis_alloc as oa
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     oa.Schedule.flat(zone="Asia/Tokyo").save(f"{folder}/schedule.json")
        ...     print(oa.Schedule.load(f"{folder}/schedule.json").calendar.zone)
        Asia/Tokyo
        """
        write_at(path, json.dumps(self.to_dict(), ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Schedule:
        """Read what `save` has written; see there."""
        try:
            found = from_json(text_at(path))
        except (OSError, ValueError) as error:
            raise InputError(f"{name_of(path)} cannot be read as a schedule: {reason_of(error)}") from error
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise InputError(f"{name_of(path)} is not a schedule; expected JSON with format {_FORMAT!r}.")
        try:
            curves = [_curve(curve, f"curve {k}") for k, curve in enumerate(found["curves"])]
            rows = FrozenMapping({label: k + 1 for k, label in enumerate(found["keys"])})
            requests, period = int(found["requests"]), (found["start"], found["end"])
            made = cls(Calendar(found["zone"], found["holidays"]), np.array(curves) / 3600, rows, requests)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{name_of(path)} is not a complete schedule: {error}") from error
        if len(curves) != 1 + len(rows):
            raise InputError(f"{name_of(path)} has {len(curves)} curves; expected {1 + len(rows)}: all, then keys.")
        made.rates.flags.writeable = False
        return made if period == (None, None) else made.over(*period)

    def __str__(self) -> str:
        if self.is_flat and not self.n_requests:
            return "Schedule: flat, because there are no requests to learn from"
        keys = f", {len(self.by_key):,} keys" if self.by_key else ""
        return f"Schedule: {self.calendar.zone}, learned from {self.n_requests:,} rows{keys}{', flat' * self.is_flat}"

    __repr__ = __str__

    def _row(self, key: Any) -> int:
        if key is None:
            return 0
        try:
            return self.by_key[label_of(label_text(key, 1))]
        except KeyError:
            if not self.by_key:
                return 0  # without curves by key, all keys follow the one that there is
            hint = did_you_mean(key, self.by_key)
            raise InputError(
                f"{shown(key)} is not among the {len(self.by_key):,} keys of this schedule.{hint}"
            ) from None


def _curve(given: Any, what: str) -> NDArray[np.float64]:
    """(CELLS,) numbers of a curve that is given by hour, by day and hour, or with holidays."""
    try:
        curve = np.array(given, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected numbers per hour, got {shown(given)}.") from None
    if curve.shape == (HOURS,):
        curve = np.tile(curve, (KINDS, 1))
    elif curve.shape == (HOLIDAY, HOURS):
        curve = np.vstack([curve, curve[6]])  # holidays are like Sundays
    if curve.shape != (KINDS, HOURS):
        raise InputError(f"{what} has shape {curve.shape}; expected (24,), (7, 24) or (8, 24).")
    bad = np.argwhere(~np.isfinite(curve) | (curve < 0))
    if bad.size:
        day, hour = bad[0]
        raise InputError(f"{what}: day {day}, hour {hour} is {curve[day, hour]:g}; expected finite numbers >= 0.")
    if not curve.any():
        raise InputError(f"{what} is 0 everywhere; expected some requests.")
    return curve.ravel()
