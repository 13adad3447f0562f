"""What a flight will come to if it goes on as it has: delivered, pace, projected total, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.pacing.targets import Targets

_WITHIN = 0.01  # of a limit: projected totals as near as this are on track
_NOISE = 1.64  # standard deviations of the interval


@dataclass(frozen=True, eq=False)
class Outlook(ByFields):
    """One goal's outlook; `pacer.outlook(now)` and `oa.outlook(plan, ledger)` return one per goal.

    Attributes
    ----------
    label, delivered, confirmed, pending
        The group, and its totals so far; pending ones count in `delivered` as far as they are expected to be confirmed.
    planned
        What was due by now.
    pace
        delivered / planned; NaN where nothing was due.
    projected, low, high
        The total at the end of the flight if it goes on at its pace, cut at a hard cap; and an interval that holds nine
        in ten times for showings that come independently of each other.
    status
        "on track", "will fall short", "will run out", "stopped" or "not started".
    amount
        By how much it will fall short, or the UNIX seconds at which it will run out.
    reason
        "price at its bound", "no supply", "throttled", "hard cap", "no allowance" (this process has used up what the
        ledger granted it), "outside its flight" or "".

    >>> import oasis_alloc as oa
    >>> oa.Outlook("a", 40.0, 40.0, 0.0, 50.0, 0.8, 80.0, 69.6, 90.4, "will fall short", 20.0, "no supply").status
    'will fall short'
    """

    label: Any
    delivered: float
    confirmed: float
    pending: float
    planned: float
    pace: float
    projected: float
    low: float
    high: float
    status: str
    amount: float
    reason: str

    def __str__(self) -> str:
        after = {"will fall short": f" by {self.amount:,.6g}", "will run out": f" at {self.amount:,.0f}"}
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.label}: {self.delivered:,.6g} delivered, {self.status}{after.get(self.status, '')}{why}"

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, for JSON: None for what is not known."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in found.items()}


@dataclass(frozen=True, eq=False)
class Standing:
    """What is known of the goals at a time; arrays have an entry per goal."""

    goals: Sequence[Goal]
    targets: Targets
    confirmed: Floats
    pending: Floats
    expected: Floats  # of pending ones, those that will be confirmed
    hard: Any  # whether caps stop something
    traffic: Floats | float = math.nan  # requests so far since each goal began, and of the whole flight
    all_traffic: float = math.nan
    price: Floats | None = None  # None where nobody serves: a ledger alone
    low: Floats | None = None
    high: Floats | None = None
    rates: Floats | None = None
    stopped: Any = None
    left: Floats | None = None  # before caps stop it, for all processes
    has_allowances: bool = False

    @property
    def delivered(self) -> Floats:
        return self.confirmed + self.expected

    @property
    def at_most(self) -> Floats:
        return self.confirmed + self.pending


def outlooks(standing: Standing, now: float) -> list[Outlook]:
    """The outlook of every goal."""
    goals, delivered = standing.goals, standing.delivered
    traffic = np.broadcast_to(np.asarray(standing.traffic, np.float64), delivered.shape).tolist()
    elapsed = standing.targets.elapsed(now)
    _, due, _ = standing.targets.due(min(goal.start for goal in goals), now)
    out = []
    for r, goal in enumerate(goals):
        limit, had = goal.floor if math.isfinite(goal.floor) else goal.cap, float(delivered[r])
        if goal.per_request:
            planned = limit = limit * traffic[r]
            scale = standing.all_traffic / max(traffic[r], 1.0)
        else:
            planned = float(due[r]) * limit if due[r] > 0 else 0.0
            part = float(elapsed[r] if goal.mode == "asap" else due[r])
            scale = 1.0 / part if part > 0 else math.nan
        projected = had * scale
        # what is to come varies, and so does the pace that was seen
        spread = _NOISE * math.sqrt(max(abs(had), 1.0) * max(scale - 1.0, 0.0) * scale) if scale == scale else math.nan
        most = max(goal.cap if standing.hard[r] else math.inf, had)
        low, high = projected - spread, projected + spread
        if not goal.per_request:  # a ratio may be of what has both signs
            low, high = (min(max(end, had), most) for end in (low, high))
        status, amount, reason = _status(standing, r, now, projected, limit, float(elapsed[r]), had)
        out.append(
            Outlook(
                goal.label, had, float(standing.confirmed[r]), float(standing.pending[r]), planned,
                had / planned if 0 < planned < math.inf else math.nan, min(projected, most), low, high, status, amount,
                reason,
            )
        )  # fmt: skip
    return out


def _status(
    standing: Standing, r: int, now: float, projected: float, limit: float, elapsed: float, had: float
) -> tuple[str, float, str]:
    goal, at_most = standing.goals[r], float(standing.at_most[r])
    if now < goal.start:
        return "not started", math.nan, "outside its flight"
    if now >= goal.end or (standing.hard[r] and at_most >= goal.cap - 1e-9 * abs(goal.cap)):
        done = at_most >= goal.cap * (1.0 - _WITHIN) if math.isfinite(goal.cap) else had >= goal.floor * (1.0 - _WITHIN)
        return "stopped", math.nan, "hard cap" if done and now < goal.end else "outside its flight"
    if standing.stopped is not None and standing.stopped[r]:
        is_out = standing.has_allowances and standing.left is not None and standing.left[r] > 0
        return "stopped", math.nan, "no allowance" if is_out else "hard cap"
    if projected != projected:
        return "on track", math.nan, ""
    if not goal.per_request and math.isfinite(goal.cap) and projected > goal.cap * (1.0 + _WITHIN) and had > 0:
        part = elapsed * goal.cap / had  # of the traffic, when the cap is reached
        return "will run out", _when(standing, r, part, now), _reason(standing, r)
    if math.isfinite(goal.floor):
        whole = goal.floor * standing.all_traffic if goal.per_request else limit
        if whole - projected > _WITHIN * abs(whole):
            return "will fall short", float(whole - projected), _reason(standing, r)
    return "on track", math.nan, ""


def _when(standing: Standing, r: int, part: float, now: float) -> float:
    """When so large a part of the flight's traffic has come, by bisection."""
    low, high = now, standing.goals[r].end
    for _ in range(40):
        middle = 0.5 * (low + high)
        if standing.targets.elapsed(middle)[r] < part:
            low = middle
        else:
            high = middle
    return high


def _reason(standing: Standing, r: int) -> str:
    if standing.rates is not None and standing.rates[r] < 0.99:
        return "throttled"
    if standing.price is not None and standing.low is not None and standing.high is not None:
        price, low, high = standing.price[r], standing.low[r], standing.high[r]
        edge = 1e-9 * (high - low)
        if price != 0.0 and (price <= low + edge or price >= high - edge):
            return "price at its bound"
    if standing.at_most[r] == 0 and np.isfinite(standing.goals[r].floor):
        return "no supply"
    return ""
