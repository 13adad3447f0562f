"""A flight cut into bins of time: what was counted in those that have passed, and what is expected in each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Labels
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Flat, RemainingShare
from oasis_alloc.pacing.instants import instant
from oasis_alloc.pacing.ledger import Ledger

_DAY, _HOUR = 86_400.0, 3600.0


@dataclass(frozen=True, eq=False)
class Flight:
    """Bins of a flight: their edges, how many have passed, and the share of the flight's traffic in each."""

    start: float
    end: float
    now: float
    edges: Floats  # (bins + 1,) now is one of them
    passed: int  # bins before now
    shares: Floats  # (n_groups or 1, bins) of the whole flight's traffic, by group where the schedule has curves

    @property
    def when(self) -> Floats:
        """(bins,) part of the flight's time at the middle of each bin."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        return (middle - self.start) / (self.end - self.start)


def flight_of(
    schedule: RemainingShare | None, start: Any, end: Any, now: Any, step: Any, labels: Labels, by_label: bool
) -> Flight:
    """Check the times of a forecast and cut the flight; raises `InputError`."""
    first = start if start is not None else getattr(schedule, "start", None)
    last = end if end is not None else getattr(schedule, "end", None)
    if first is None or last is None:
        raise InputError(
            "forecast(): start or end of the flight is missing. Pass start= and end=, or a schedule over a period: "
            "schedule.over(start, end)."
        )
    first, last, at = instant(first, "forecast(start)"), instant(last, "forecast(end)"), instant(now, "forecast(now)")
    if not first < last:
        raise InputError(
            f"forecast(): the flight ends at {last:,.0f}, but starts at {first:,.0f}; expected start < end."
        )
    if at >= last:
        raise InputError(
            f"forecast(): the flight ended at {last:,.0f} and now is {at:,.0f}: there is nothing to forecast. What it "
            "delivered is in ledger.delivered(since=start, until=end)."
        )
    if schedule is not None and not callable(getattr(schedule, "share", None)):
        raise InputError(f"forecast(schedule): {type(schedule).__name__} has no method share(t0, t1, key).")
    width = (_DAY if last - first > 2 * _DAY else _HOUR) if step is None else as_real(step)
    if width is None or not 0 < width <= last - first:
        raise InputError(f"forecast(step={shown(step)}): expected seconds above 0, and at most the flight's.")
    if (last - first) / width > 10_000:
        raise InputError(
            f"forecast(step={width:g}): the flight would have more than 10,000 steps; expected longer ones."
        )
    regular = first + width * np.arange(math.ceil((last - first) / width - 1e-9))
    inside = [at] if first < at else []
    edges = np.unique(np.concatenate([regular, inside, [last]]))
    passed = int(np.searchsorted(edges, at)) if first < at else 0
    found: RemainingShare = Flat() if schedule is None else schedule
    keys = labels if by_label else [None]
    shares = np.array([[_share(found, a, b, key) for a, b in pairwise(edges.tolist())] for key in keys])
    whole = shares.sum(axis=1, keepdims=True)
    if not (whole > 0).all():
        raise InputError("forecast(schedule): it expects no traffic in the flight; expected some.")
    return Flight(first, last, at, edges, passed, shares / whole)


def _share(schedule: RemainingShare, a: float, b: float, key: Any) -> float:
    found = as_real(schedule.share(float(a), float(b), key))
    if found is None or not 0 <= found < math.inf:
        raise InputError(f"forecast(schedule): the share of [{a:,.0f}, {b:,.0f}) is {found}; expected a number >= 0.")
    return found


def counted(
    ledger: Ledger | None, flight: Flight, by: str, labels: Labels, confirmed_share: float, others: str
) -> Floats:
    """(n_groups, bins that have passed) what the ledger has counted in the flight so far."""
    out = np.zeros((len(labels), flight.passed))
    if ledger is None or not flight.passed:
        return out
    if not isinstance(ledger, Ledger):
        raise InputError(f"forecast(ledger): expected an oa.Ledger, got {type(ledger).__name__}.")
    if by not in ledger.by:
        raise InputError(f"forecast(by={by!r}): the ledger counts by {', '.join(ledger.by)}; expected one of its keys.")
    at = ledger.by.index(by)
    for row in ledger.totals():
        if not flight.start <= row.start < flight.now:
            continue
        label = row.group[at] if len(ledger.by) > 1 else row.group
        place = labels.places.get(same(label))
        amount = row.confirmed + confirmed_share * row.pending
        if place is None:
            if others == "refuse" and amount > 0:
                raise InputError(
                    f"forecast(ledger): it has deliveries of {by} {shown(label)}, which is not in the plan."
                    f"{did_you_mean(label, labels)} others='ignore' leaves such deliveries out."
                )
            continue
        out[place, int(np.searchsorted(flight.edges, row.start, side="right")) - 1] += amount
    return out
