"""The state of a pacer and what a tick does to it; `docs/pacing.md` has the formulas."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.accounts import Accounts
from oasis_alloc.pacing.controllers.base import Controller, View
from oasis_alloc.pacing.curves import RemainingShare
from oasis_alloc.pacing.live import Live
from oasis_alloc.pacing.outlook import Standing
from oasis_alloc.pacing.rooms import Rooms
from oasis_alloc.pacing.rows import Rows
from oasis_alloc.pacing.shares import Shares
from oasis_alloc.pacing.targets import Targets

_MOVED = 0.01  # of the scale: smaller moves are not published
_GAP = 10.0  # ticks


class Core:
    """Accounts, prices and rooms of the goals; callers hold `lock`."""

    def __init__(
        self, rows: Rows, live: Live, controller: Controller, schedule: RemainingShare, keys: Sequence[Any],
        requests: float, replicas: int, replica: int, day_starts: float, confirm: bool,
    ) -> None:  # fmt: skip
        from oasis_alloc.kernels.pace import limits

        self._kernel = limits
        self.rows, self.live, self.controller, self.confirm = rows, live, controller, confirm
        self.targets = Targets(rows.goals, schedule, keys, day_starts)
        self.rooms = Rooms(rows, self.targets)
        self.accounts = Accounts(rows.n, self.rooms.began, self.rooms.before)
        self.shares: Shares | None = None  # allowances, where there is a ledger
        self.expected, self.replicas, self.replica = max(requests, 1.0), replicas, replica
        self.lock = threading.RLock()
        self.price: Floats = rows.first.copy()
        self.used: Floats = self.accounts.local  # what this process counts, in place
        self.room: Floats = self.rooms.share(self.rooms.left(self.used), replicas, replica)  # of `used`
        self.granted: Floats = np.zeros(rows.n)  # delivered by all processes at the last synchronization
        self._unit = _units(rows)
        self.near, self.draws, self.requests = 1, 0, 0
        self.rates: Floats | None = None
        self.last: float | None = None
        self.last_delivered: Floats = np.zeros(rows.n)
        self.last_requests = 0.0
        self.began: float | None = None  # since when requests are counted, and how many there were before
        self.began_requests = 0.0
        self.all_requests: float | None = None  # of all processes, where a ledger says so
        self.reported: int | None = None  # those of this process that are in it, where it is known
        self.requests_before: Floats = np.zeros(rows.n)  # each goal per request began
        self.seen = 0.0  # the last tick, whether or not anything had happened
        self.usual = 0.0  # seconds between two ticks
        self.ticks = self.clock_steps = self.steps = 0

    def delivered(self) -> Floats:
        """(n,) confirmed, and what is expected of the rest."""
        accounts = self.accounts
        unsure = (1.0 - accounts.rate) * (accounts.local + accounts.sent()) if self.confirm else 0.0
        return accounts.delivered() - unsure

    def standing(self) -> Standing:
        """What an outlook is made of."""
        accounts, rows = self.accounts, self.rows
        confirmed = accounts.confirmed + accounts.local + accounts.sent()
        left = self.rooms.share(self.rooms.left(accounts.at_most()), 1, 0)
        return Standing(
            rows.goals, self.targets, confirmed, accounts.pending.copy(), self.delivered() - confirmed, rows.hard,
            self.traffic() - self.requests_before, self.expected, self.live.price, rows.low, rows.high, self.rates,
            self.live.stopped, left, self.shares is not None,
        )  # fmt: skip

    def traffic(self) -> float:
        """Requests so far, of all processes where that is known."""
        if self.all_requests is None:
            return float(self.requests)
        return self.all_requests + (self.requests - self.reported if self.reported is not None else 0.0)

    def heard(self, requests: float, reported: int, before: Floats) -> None:
        """All processes had so many requests, `reported` of them here; each ratio began after `before` (n,) of them."""
        is_first, at = self.reported is None, self.rows.per_request
        self.all_requests, self.reported, self.requests_before = requests, reported, before
        if is_first and self.last is not None:  # until now only those of this process were counted
            self.last_requests = self.traffic()
            self.last_delivered = np.where(at, self.delivered(), self.last_delivered)
            self.count_from_here()

    def tick(self, now: float) -> bool:
        """Move prices by what happened since the last tick; whether other prices are served now."""
        self.ticks += 1
        if self.last is None:
            self._remember(now)
            self.count_from_here()
            self.seen = now
            return self.settle(now)
        if now < self.seen:
            self.clock_steps += 1
            return False
        if now > self.last:
            delivered = self.delivered()
            happened = self.traffic() > self.last_requests or bool((delivered != self.last_delivered).any())
            if happened:
                self.price = self.controller.step(self._view(now, delivered))
                self.rates = self.controller.pass_rates(self.rows.n)
                self.steps += 1
            self._pass(now, delivered if happened else None)
        return self.settle(now)

    def rest(self, now: float) -> None:
        """What `tick` does at a time at which nothing has happened since the last, and nothing begins or ends."""
        self.ticks += 1
        self._pass(now, None)

    def _pass(self, now: float, delivered: Floats | None) -> None:
        # a moment without requests belongs to the next interval: leaving it out would leave out what it missed
        is_long = self.last is not None and now - self.last > _GAP * (self.usual or now - self.seen)
        if delivered is not None or is_long:
            self._remember(now, delivered)
        self.seen = now

    def count_from_here(self) -> None:
        """Begin to compare requests with the schedule: at the start, and where another count of them begins."""
        self.began, self.began_requests = self.last, self.traffic()

    def _remember(self, now: float, delivered: Floats | None = None) -> None:
        if self.last is not None:
            gap = now - self.seen
            self.usual = gap if self.usual == 0.0 else self.usual + 0.1 * (min(gap, _GAP * self.usual) - self.usual)
        self.last, self.last_requests = now, self.traffic()
        self.last_delivered = self.delivered() if delivered is None else delivered

    def _view(self, now: float, delivered: Floats) -> View:
        rows, last, before = self.rows, self.last, self.last_delivered
        assert last is not None
        of_rest, of_all, elapsed = self.targets.due(last, now)
        fresh, began = self.traffic() - self.last_requests, last if self.began is None else self.began
        seen = of_rest  # where nobody counts requests, they come as the schedule says
        if fresh > 0:
            seen = self.targets.due_by_requests(began, last, now, fresh, self.traffic() - self.began_requests)
        out, live = np.empty((7, rows.n)), np.empty(rows.n, np.bool_)
        flights = self._kernel.Flights(rows.cap, rows.floor, rows.start, rows.end, self.live.stopped)
        self._kernel.planned(now, last, flights, before, delivered, self._kernel.Due(of_rest, of_all, seen), out, live)
        used, floor, cap, floor_whole, cap_whole, floor_seen, cap_seen = out
        if self.targets.has_windows:
            windows = self._windows(last, now, before)
            cap, cap_seen = np.minimum(cap, windows), np.minimum(cap_seen, windows)
        unit = self._unit
        if rows.has_ratios:
            unit = unit.copy()
            self._ratios(now, of_rest, cap, floor, cap_whole, floor_whole, unit)
            cap_seen, floor_seen = (np.where(rows.per_request, a, b) for a, b in ((cap, cap_seen), (floor, floor_seen)))
        after_gap = self.usual > 0 and now - last > _GAP * self.usual
        return View(
            live, self.price, rows.base, rows.low, rows.high, rows.scale, used, floor, cap, floor_whole, cap_whole,
            floor_seen, cap_seen, unit, elapsed, now - last, after_gap,
        )  # fmt: skip

    def _windows(self, last: float, now: float, before: Floats) -> Floats:
        """(n,) what the caps of the day and the hour leave for the interval."""
        out = np.full(self.rows.n, np.inf)
        for w, (cap, length) in enumerate(((self.rows.daily, 86400.0), (self.rows.hourly, 3600.0))):
            left = np.maximum(cap - (before - self.rooms.before[w]), 0.0)
            part = self.targets.due_in_window(last, now, length)
            out = np.minimum(out, np.where(np.isfinite(cap), left * part, np.inf))
        return out

    def _ratios(
        self, now: float, of_rest: Floats, cap: Floats, floor: Floats, cap_whole: Floats, floor_whole: Floats,
        unit: Floats,
    ) -> None:  # fmt: skip
        """Limits per request, over the requests of the interval and what was missed so far."""
        rows, at = self.rows, self.rows.per_request
        fresh = self.traffic() - self.last_requests
        for limit, planned, whole in ((rows.cap, cap, cap_whole), (rows.floor, floor, floor_whole)):
            some = at & np.isfinite(limit)
            missed = limit[some] * (self.last_requests - self.requests_before[some]) - self.last_delivered[some]
            planned[some] = limit[some] * fresh + missed * of_rest[some]
            whole[some] = limit[some] * fresh
        size = np.abs(np.where(np.isfinite(rows.cap), rows.cap, rows.floor))
        per_request = np.abs(self.last_delivered) / np.maximum(self.last_requests - self.requests_before, 1.0)
        unit[at] = (np.maximum(np.maximum(size, per_request), 1e-3) * self.expected)[at]

    def settle(self, now: float) -> bool:
        """Bring rooms and stops up to date, and serve other prices where they moved enough; whether they did."""
        at_most = self.accounts.at_most()
        rolled = self.rooms.roll(now, at_most)
        for window, is_first in rolled:
            if not is_first:
                self.accounts.begin(window)
            elif self.shares is not None:  # a process that starts in the middle of a day
                self.rooms.before[window] -= self.shares.in_window(float(self.rooms.began[window]))
        if rolled and self.shares is not None:
            self.shares.roll()
        return self._publish(self.rooms.stopped(now, self.fit(at_most)))

    def fit(self, at_most: Floats | None = None) -> Floats:
        """Set the rooms of this process to what caps, and its allowances, leave it; returns that."""
        at_most = self.accounts.at_most() if at_most is None else at_most
        if self.shares is None:
            mine = self.rooms.mine(at_most, self.granted, self.replicas, self.replica)
        else:
            mine = self.rooms.share(np.minimum(self.rooms.left(at_most), self.shares.left()), 1, 0)
        self.room[:] = self.used + mine
        self.near = 0 if bool((mine > 64.0).all()) else 1
        return mine

    def synchronized(self, confirmed: Floats, pending: Floats, acknowledged: int | None) -> None:
        """Take totals of all processes, from which this one has a new part of the rooms."""
        self.accounts.sync(confirmed, pending, acknowledged)
        self.granted[:] = self.accounts.at_most()

    def took(self, amounts: Floats) -> None:
        """Deliveries outside of `used` have taken so much of the rooms; what they gave back is for the next tick."""
        if not (amounts > 0.0).any():
            return
        self.room -= np.maximum(amounts, 0.0)
        left = self.room - self.used
        if self.near == 0 and not (left > 64.0).all():
            self.near = 1
        if self.last is not None and (self.rooms.stopped(self.last, left) & ~self.live.stopped).any():
            self.crossed()

    def crossed(self) -> None:
        """Stop goals that have used up their room between two ticks."""
        if self.last is not None:
            self._publish(self.live.stopped | self.rooms.stopped(self.last, self.room - self.used))

    def _publish(self, stopped: Any) -> bool:
        live, rows = self.live, self.rows
        if not self._kernel.is_moved(
            self.price, live.price, stopped, live.stopped, rows.low, rows.high, rows.scale, _MOVED
        ):
            return False
        live.publish(self.price, stopped)
        return True

    def take_over(self, other: Core) -> None:
        """Prices and accounts of the goals that another core has too; accounts only where the flight began the same."""
        place = {goal.name: r for r, goal in enumerate(other.rows.goals)}
        pairs: dict[int, int] = {}
        for r, goal in enumerate(self.rows.goals):
            before = place.get(goal.name, -1)
            if before < 0:
                continue
            self.price[r] = np.clip(other.price[before], self.rows.low[r], self.rows.high[r])
            if goal.start == other.rows.goals[before].start:
                pairs[before] = r
                self.granted[r] = other.granted[before]
        self.requests_before[:] = other.traffic()
        for before, r in pairs.items():
            self.requests_before[r] = other.requests_before[before]
        self.accounts.take_over(other.accounts, pairs)
        self.requests, self.last, self.seen = other.requests, other.last, other.seen
        self.all_requests, self.reported = other.all_requests, other.reported
        self.last_requests, self.last_delivered = other.last_requests, self.delivered()
        self.count_from_here()
        if self.last is not None:
            self.settle(self.last)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as plain lists and numbers."""
        return {
            "accounts": self.accounts.state(), "rooms": self.rooms.state(), "controller": self.controller.state(),
            "price": self.price.tolist(), "published": self.live.price.tolist(), "stopped": self.live.stopped.tolist(),
            "rates": None if self.rates is None else self.rates.tolist(), "last": self.last,
            "last_delivered": self.last_delivered.tolist(), "room": np.minimum(self.room, 1e300).tolist(),
            "granted": self.granted.tolist(), "requests_before": self.requests_before.tolist(),
            "reported": self.reported, **{name: getattr(self, name) for name in _NUMBERS},
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.accounts.restore(state["accounts"])
        self.rooms.restore(state["rooms"])
        self.controller.restore(state["controller"])
        self.price, self.last, self.last_delivered = (
            np.array(state["price"]),
            state["last"],
            np.array(state["last_delivered"]),
        )
        self.rates = None if state["rates"] is None else np.array(state["rates"])
        room = np.array(state["room"])
        self.room[:] = np.where(room >= 1e300, np.inf, room)
        self.granted[:] = state["granted"]
        self.requests_before[:] = state.get("requests_before", 0.0)  # states of earlier versions have none
        for name in _NUMBERS:
            setattr(self, name, state[name])
        self.reported = state.get("reported")
        self.live.publish(np.array(state["published"]), np.array(state["stopped"], np.bool_))
        if self.shares is not None:
            self.shares.roll()
            self.fit()


def _units(rows: Rows) -> Floats:
    """(n,) the limit of a goal as a size to divide by: its cap, its floor, or what days and hours allow."""
    unit = np.where(rows.capped, rows.cap, np.where(rows.floored, rows.floor, 0.0))
    days = (rows.end - rows.start) / 86400.0
    unit = np.where(unit > 0, unit, np.minimum(rows.daily * days, rows.hourly * 24.0 * days))
    return np.where(np.isfinite(unit) & (unit > 0), unit, 1.0)


_NUMBERS = (
    "requests", "all_requests", "last_requests", "began", "began_requests", "seen", "usual", "ticks", "clock_steps",
    "steps", "near", "draws",
)  # fmt: skip
