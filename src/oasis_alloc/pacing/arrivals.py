"""Arrivals as they are given, and the rates that are learned from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.labels import all_same, as_listed, is_none, shown
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.calendar import CELLS, HOLIDAY, HOURS, KINDS, Calendar
from oasis_alloc.pacing.instants import EXPECTED, LATEST, seconds_array
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.ledger_events import Event, label_of, label_text

_DELIVERIES = frozenset({"state", "served", "confirmed", "delivered", "impression", "impressions"})
_FEW = 10.0  # requests that count as much as what is expected without them
_LEAST = 1e-3  # of the mean rate: what a cell has that has never seen a request


@dataclass(frozen=True)
class Arrivals:
    """Times, the number of requests at each of them, and the key of each."""

    seconds: NDArray[np.float64]
    weight: NDArray[np.float64]
    code: NDArray[np.int64]  # number in labels
    labels: list[Any]


def read_arrivals(requests: Any, by: Any, time: str, weight: Any, naive: ZoneInfo | None) -> Arrivals:
    """Check what `Schedule.fit` was given."""
    if isinstance(requests, Ledger) or (
        isinstance(requests, (list, tuple)) and any(isinstance(r, Event) for r in requests)
    ):
        raise InputError(
            "requests are deliveries; expected arrivals: all requests, whether or not something was served. A schedule "
            "of deliveries would learn the throttle of the pacer that follows it."
        )
    columns = _names(requests)
    if columns is not None:
        if served := sorted(_DELIVERIES.intersection(columns)):
            raise InputError(
                f"requests has a column {served[0]!r}, so its rows are deliveries; expected arrivals. If they are "
                "arrivals, drop the column."
            )
        times, by = _column(requests, time, columns, "time"), _column(requests, by, columns, "by")
        weight = _column(requests, weight, columns, "weight")
    else:
        times = requests
    seconds = seconds_array(times, naive)
    bad = np.flatnonzero(~((seconds >= 0) & (seconds < LATEST)))
    if bad.size:
        given = times.iloc[int(bad[0])] if hasattr(times, "iloc") else list(times)[int(bad[0])]
        raise InputError(
            f"requests: the time of row {bad[0]:,} is {shown(given)}; expected {EXPECTED}. For times without a zone "
            "say which one they are in: naive='UTC'."
        )
    return Arrivals(seconds, _weights(weight, seconds.size), *_codes(by, seconds.size))


def _names(requests: Any) -> list[str] | None:
    """The columns of a table, or None for times."""
    if isinstance(requests, dict):
        return list(map(str, requests))
    for attribute in ("column_names", "columns"):  # pyarrow; pandas and polars
        names = getattr(requests, attribute, None)
        if names is not None and not callable(names):
            return list(map(str, names))
    return None


def _column(table: Any, given: Any, columns: list[str], argument: str) -> Any:
    if not isinstance(given, str):
        return given
    if given not in columns:
        raise InputError(f"requests has no column {given!r}, which {argument} names; its columns are {columns}.")
    return table[given]


def _weights(given: Any, n: int) -> NDArray[np.float64]:
    if given is None:
        return np.ones(n)
    try:
        weight = np.array(as_listed(given), np.float64)
    except (TypeError, ValueError):
        raise InputError("weight: expected numbers of requests, one per row.") from None
    if weight.shape != (n,):
        raise InputError(f"weight has {weight.size:,} entries and requests has {n:,}; expected one per row.")
    bad = np.flatnonzero(~np.isfinite(weight) | (weight < 0))
    if bad.size:
        raise InputError(f"weight: row {bad[0]:,} is {weight[bad[0]]:g}; expected finite numbers >= 0.")
    return weight


def _codes(by: Any, n: int) -> tuple[NDArray[np.int64], list[Any]]:
    if by is None:
        return np.zeros(n, np.int64), []
    given = as_listed(by)
    if len(given) != n:
        raise InputError(f"by has {len(given):,} entries and requests has {n:,}; expected one key per row.")
    missing = next((k for k, key in enumerate(given) if is_none(key)), None)
    if missing is not None:
        raise InputError(f"by: row {missing:,} has no key; expected a label per row.")
    numbers: dict[Any, int] = {}
    code = np.array([numbers.setdefault(key, len(numbers)) for key in all_same(given)], np.int64)
    first = dict(zip(reversed(code.tolist()), reversed(given), strict=True))
    return code, [label_of(label_text(first[k], 1)) for k in range(len(numbers))]


def rates_by_key(arrivals: Arrivals, calendar: Calendar, prior: float) -> NDArray[np.float64]:
    """(1 + keys, CELLS) requests per second, of all and of every key.

    Every level falls back on the one above it: an hour of a day of the week on that hour of all days, and this on the
    mean rate; a holiday on Sundays; a key on all keys, times its own size.
    """
    first, last = float(arrivals.seconds.min()), float(arrivals.seconds.max())
    seen = calendar.dwell(*_whole_hours(first, last))  # seconds for which each cell has been watched
    cell = calendar.cells(arrivals.seconds)
    counts = np.bincount(cell, arrivals.weight, minlength=CELLS).astype(np.float64, copy=False)
    pooled = _pooled(counts, seen, prior)
    n = len(arrivals.labels)
    if not n:
        return pooled[None]
    own = np.bincount(arrivals.code * CELLS + cell, arrivals.weight, minlength=n * CELLS).astype(np.float64, copy=False)
    own, total = own.reshape(n, CELLS), counts.sum()
    size = own.sum(axis=1) / total if total else np.full(n, 1 / n)
    rows = _shrunk(own, seen, size[:, None] * pooled, prior)
    return np.vstack([pooled, rows])


def _whole_hours(first: float, last: float) -> tuple[float, float]:
    """The interval that was watched, to whole hours: requests of one moment were not seen in no time at all."""
    return first // 3600 * 3600, (last // 3600 + 1) * 3600


def _pooled(counts: NDArray[np.float64], seen: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    mean = counts.sum() / seen.sum()
    if mean <= 0:  # weights that are all 0
        return np.ones(CELLS)
    by_day, watched = counts.reshape(KINDS, HOURS), seen.reshape(KINDS, HOURS)
    hourly = _shrunk(by_day.sum(axis=0), watched.sum(axis=0), np.full(HOURS, mean), prior)
    out = _shrunk(by_day, watched, hourly[None], prior)
    out[HOLIDAY] = _shrunk(by_day[HOLIDAY], watched[HOLIDAY], out[HOLIDAY - 1], prior)
    rates: NDArray[np.float64] = np.maximum(out, _LEAST * mean).ravel()
    return rates


def _shrunk(
    counts: NDArray[np.float64], seen: NDArray[np.float64], above: NDArray[np.float64], prior: float
) -> NDArray[np.float64]:
    """Rates of cells that were watched for `seen` seconds, drawn towards the rates `above` them.

    With the weight of `prior` days, because days differ; and of a few requests, because few say little.
    """
    weight = prior * 3600 + np.divide(_FEW, above, out=np.zeros_like(above), where=above > 0)
    rates: NDArray[np.float64] = (counts + weight * above) / (seen + weight)
    return rates
