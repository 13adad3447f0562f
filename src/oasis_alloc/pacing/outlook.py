"""What a flight will come to if it goes on as it has: delivered, pace, projected total, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.pickling import ByFields

if TYPE_CHECKING:
    from oasis_alloc.pacing.core import Core

_WITHIN = 0.01  # of a limit: projected totals as near as this are on track
_NOISE = 1.64  # standard deviations of the interval


@dataclass(frozen=True, eq=False)
class Outlook(ByFields):
    """One goal's outlook; `pacer.outlook(now)` returns one per goal.

    Attributes
    ----------
    label, delivered, confirmed, pending
        The group, and its totals so far; pending ones count in `delivered` as far as they are expected to be confirmed.
    planned
        What was due by now.
    pace
        delivered / planned; NaN where nothing was due.
    projected, low, high
        The total at the end of the flight if the rest of the traffic delivers as the flight so far did, cut at a hard
        cap; and an interval that holds nine in ten times for showings that come independently of each other.
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


def outlook_of(core: Core, now: float) -> list[Outlook]:
    """See `Pacer.outlook`; callers hold the lock."""
    rows, accounts = core.rows, core.accounts
    delivered, elapsed = core.delivered(), core.targets.elapsed(now)
    _, due, _ = core.targets.due(float(rows.start.min()), now)
    out = []
    for r, goal in enumerate(rows.goals):
        if goal.per_request:
            traffic = core.traffic()
            limit = (goal.floor if math.isfinite(goal.floor) else goal.cap) * traffic
            scale = core.expected / max(traffic, 1.0)
        else:
            limit = goal.floor if math.isfinite(goal.floor) else goal.cap
            scale = 1.0 / elapsed[r] if elapsed[r] > 0 else math.nan
        had = float(delivered[r])
        projected = had * scale if math.isfinite(scale) else math.nan
        spread = _NOISE * math.sqrt(max(had, 1.0)) * max(scale - 1.0, 0.0) if math.isfinite(scale) else math.nan
        hard = goal.cap if rows.hard[r] else math.inf
        low, high = (min(max(projected + s * spread, had), max(hard, had)) for s in (-1.0, 1.0))
        planned = float(due[r] * limit) if not goal.per_request else limit
        status, amount, reason = _status(core, r, now, projected, limit, float(elapsed[r]), had)
        out.append(
            Outlook(
                goal.label, had, float(accounts.confirmed[r] + accounts.local[r]), float(accounts.pending[r]), planned,
                had / planned if planned > 0 else math.nan, min(projected, max(hard, had)),
                low, high, status, amount, reason,
            )
        )  # fmt: skip
    return out


def _status(
    core: Core, r: int, now: float, projected: float, limit: float, elapsed: float, had: float
) -> tuple[str, float, str]:
    rows, goal = core.rows, core.rows.goals[r]
    if now < goal.start:
        return "not started", math.nan, "outside its flight"
    at_most = core.accounts.at_most()[r]
    if now >= goal.end or (rows.hard[r] and at_most >= goal.cap - 1e-9 * abs(goal.cap)):
        done = at_most >= goal.cap * (1.0 - _WITHIN) if math.isfinite(goal.cap) else had >= goal.floor * (1.0 - _WITHIN)
        return "stopped", math.nan, "hard cap" if done and now < goal.end else "outside its flight"
    if core.live.stopped[r]:
        left = core.rooms.share(core.rooms.left(core.accounts.at_most()), 1, 0)[r]
        return "stopped", math.nan, "hard cap" if left <= 0 or core.shares is None else "no allowance"
    if projected != projected:
        return "on track", math.nan, ""
    if not goal.per_request and math.isfinite(goal.cap) and projected > goal.cap * (1.0 + _WITHIN) and had > 0:
        part = elapsed * goal.cap / had  # of the traffic, when the cap is reached
        return "will run out", _when(core, r, part, now), _reason(core, r)
    if math.isfinite(goal.floor):
        whole = limit / max(core.traffic(), 1.0) * core.expected if goal.per_request else limit
        if whole - projected > _WITHIN * abs(whole):
            return "will fall short", float(whole - projected), _reason(core, r)
    return "on track", math.nan, ""


def _when(core: Core, r: int, part: float, now: float) -> float:
    """When so large a part of the flight's traffic has come, by bisection."""
    goal = core.rows.goals[r]
    low, high = now, goal.end
    for _ in range(40):
        middle = 0.5 * (low + high)
        if core.targets.elapsed(middle)[r] < part:
            low = middle
        else:
            high = middle
    return high


def _reason(core: Core, r: int) -> str:
    rows, price = core.rows, core.live.price[r]
    if core.rates is not None and core.rates[r] < 0.99:
        return "throttled"
    edge = 1e-9 * (rows.high[r] - rows.low[r])
    if price != 0.0 and (price <= rows.low[r] + edge or price >= rows.high[r] - edge):
        return "price at its bound"
    if core.accounts.at_most()[r] == 0 and np.isfinite(rows.floor[r]):
        return "no supply"
    return ""
