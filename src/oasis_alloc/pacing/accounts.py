"""What has been delivered: by goal, confirmed and pending, every event once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from oasis_alloc.common.types import Floats, Ints

_PRIOR = 50.0  # confirmations that the rate begins with, all of them good


class CountedEvent(NamedTuple):
    """One event that may come again: what it used, when it was first heard of, and how far it is."""

    rows: Ints
    amounts: Floats
    time: float
    state: str  # "pending", "confirmed" or "lost"
    mine: bool = False  # this process has delivered it: it is in `own`


class Accounts:
    """Totals by goal. `local` is what this process counted since totals were last synchronized.

    `own` is what it delivered of the flight, the day and the hour, without `local`; `began` and `before` are those of
    `Rooms`: when the day and the hour began, and what had been delivered by then.
    """

    def __init__(self, n: int, began: Floats, before: Floats) -> None:
        self.began, self.before = began, before
        self.own = np.zeros((3, n))
        self.claims: list[tuple[Hashable, CountedEvent]] | None = (
            None  # lost ones, until a ledger says that nobody confirmed
        )
        self.confirmed, self.pending, self.local = np.zeros((3, n))
        self.flushed: OrderedDict[int, Floats] = OrderedDict()  # sent to the ledger, not yet in its totals
        self.batch = 0
        self.events: OrderedDict[Hashable, CountedEvent] = OrderedDict()  # in the order in which they were heard of
        self.waiting: OrderedDict[Hashable, float] = OrderedDict()  # pending ones, and their times
        self.good, self.lost = 0.0, 0.0
        self.duplicates, self.forgotten = 0, 0

    @property
    def rate(self) -> float:
        """The share of pending deliveries that is expected to be confirmed."""
        return (self.good + _PRIOR) / (self.good + self.lost + _PRIOR)

    def delivered(self) -> Floats:
        """(n,) confirmed, and what is expected of the rest."""
        return self._certain() + self.rate * self.pending

    def at_most(self) -> Floats:
        """(n,) what is delivered if everything pending is confirmed: what hard caps count."""
        return self._certain() + self.pending

    def _certain(self) -> Floats:
        found = self.confirmed + self.local
        return found + self.sent() if self.flushed else found

    def sent(self) -> Floats:
        return np.sum(list(self.flushed.values()), axis=0) if self.flushed else np.zeros_like(self.local)

    def spent(self) -> Floats:
        """(3, n) what this process has delivered of the flight, of the day and of the hour."""
        found: Floats = self.own + self.local
        return found

    def begin(self, window: int) -> None:
        """Count what this process delivers in a day (0) or an hour (1) from 0 on."""
        self.own[1 + window] = -self.local

    def spend(self, rows: Ints, amounts: Floats) -> None:
        """This process has delivered so much."""
        for own in self.own:
            np.add.at(own, rows, amounts)

    def _shrink(self, event: CountedEvent) -> None:
        """A delivery did not happen, or happened otherwise: what was delivered before this day or hour is less."""
        for w, began in enumerate(self.began.tolist()):
            if event.time < began:
                np.subtract.at(self.before[w], event.rows, event.amounts)

    def give_back(self, event: CountedEvent) -> None:
        """Free what this process had spent on a delivery, in the windows that it was in."""
        for own, began in zip(self.own, (-np.inf, *self.began.tolist()), strict=True):
            if event.mine and event.time >= began:
                np.subtract.at(own, event.rows, event.amounts)

    def confirmed_elsewhere(self, name: Hashable) -> None:
        """Another process has heard that a delivery was confirmed, which counted as lost here."""
        event = self.events.get(name)
        self.lost, self.good = self.lost - 1.0, self.good + 1.0
        if event is not None and event.state == "lost":
            self.events[name] = event._replace(state="confirmed")

    def take_in(
        self, name: Hashable, status: str, rows: Ints | None, amounts: Floats | None, time: float, mine: bool
    ) -> bool:
        """An event in one of its three states; whether it changed anything. `mine` if this process delivered it."""
        if status == "lost":
            return self.lose(name)
        if status == "served" and rows is not None and amounts is not None:
            return self.serve(name, rows, amounts, time)
        return self.confirm(name, rows, amounts, time, mine)

    def serve(self, name: Hashable, rows: Ints, amounts: Floats, time: float) -> bool:
        """A delivery that waits to be confirmed; False where the event is known."""
        known = self.events.get(name)
        if known is not None:
            if known.state == "confirmed" and not known.mine:  # its confirmation was heard of first
                self.spend(known.rows, known.amounts)
                self.events[name] = known._replace(mine=True)
            self.duplicates += 1
            return False
        self.events[name] = CountedEvent(rows, amounts, time, "pending", True)
        self.waiting[name] = time
        np.add.at(self.pending, rows, amounts)
        self.spend(rows, amounts)
        return True

    def confirm(
        self, name: Hashable, rows: Ints | None, amounts: Floats | None, time: float, mine: bool = True
    ) -> bool:
        """A delivery that is certain, heard of before or not; False where it is counted already or nothing is known."""
        event = self.events.get(name)
        if event is None:
            if rows is None or amounts is None:
                self.forgotten += 1
                return False
            event = CountedEvent(rows, amounts, time, "new", mine)
        elif event.state == "confirmed":
            self.duplicates += 1
            return False
        if event.state == "pending":
            np.subtract.at(self.pending, event.rows, event.amounts)
            del self.waiting[name]
            self.good += 1.0
        elif event.state == "lost":
            self.lost, self.good = self.lost - 1.0, self.good + 1.0
        used = event.amounts if amounts is None else amounts
        at = event.rows if rows is None else rows
        np.add.at(self.confirmed, at, used)
        if event.state == "pending" and used is not event.amounts:
            self._shrink(event)
            self.give_back(event)
        if event.mine and not (event.state == "pending" and used is event.amounts):
            self.spend(at, used)
        self.events[name] = CountedEvent(at, used, event.time, "confirmed", event.mine)
        return True

    def lose(self, name: Hashable) -> bool:
        """A delivery that will not be confirmed; False where there is no such pending one."""
        event = self.events.get(name)
        if event is None or event.state != "pending":
            self.duplicates += event is not None
            return False
        np.subtract.at(self.pending, event.rows, event.amounts)
        self._shrink(event)
        if self.claims is None:
            self.give_back(event)
        elif event.mine:
            self.claims.append((name, event))
        self.events[name] = event._replace(state="lost")
        del self.waiting[name]
        self.lost += 1.0
        return True

    def expire(self, before: float) -> list[Hashable]:
        """Count what has been pending since before a time as lost, and return its ids."""
        lost = []
        while self.waiting:
            name, time = next(iter(self.waiting.items()))
            if time >= before:
                break
            self.lose(name)
            lost.append(name)
        return lost

    def forget(self, before: float) -> None:
        """Forget events from before a time."""
        while self.events:
            name, event = next(iter(self.events.items()))
            if event.time >= before:
                break
            del self.events[name]

    def flush(self) -> tuple[int, Floats]:
        """Take what was counted here since the last call, to be added to the ledger: (number of the batch, amounts)."""
        self.batch += 1
        amounts = self.local.copy()
        self.flushed[self.batch] = amounts
        self.own += amounts
        self.local[:] = 0.0
        return self.batch, amounts

    def sync(self, confirmed: Floats, pending: Floats, acknowledged: int | None) -> None:
        """Totals of all processes, which have the batches of this one up to `acknowledged` in them."""
        self.confirmed, self.pending = confirmed, pending
        for batch in [batch for batch in self.flushed if acknowledged is not None and batch <= acknowledged]:
            del self.flushed[batch]

    def take_over(self, other: Accounts, pairs: dict[int, int]) -> None:
        """Go on with the totals and events of other accounts; `pairs` has {row there: row here}."""
        there, here = np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)
        for name in ("confirmed", "pending", "local"):
            getattr(self, name)[here] = getattr(other, name)[there]
        self.own[:, here], self.before[:, here] = other.own[:, there], other.before[:, there]
        self.began[:] = other.began
        for batch, amounts in other.flushed.items():
            self.flushed[batch] = np.zeros_like(self.local)
            self.flushed[batch][here] = amounts[there]
        for event_id, event in other.events.items():
            kept = [k for k, row in enumerate(event.rows.tolist()) if row in pairs]
            rows = np.array([pairs[int(event.rows[k])] for k in kept], np.int64)
            if kept:
                self.events[event_id] = event._replace(rows=rows, amounts=event.amounts[kept])
        self.waiting = OrderedDict((name, time) for name, time in other.waiting.items() if name in self.events)
        for number in ("batch", "good", "lost", "duplicates", "forgotten"):
            setattr(self, number, getattr(other, number))

    def state(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {
            "confirmed": self.confirmed.tolist(), "pending": self.pending.tolist(), "local": self.local.tolist(),
            "flushed": [[batch, amounts.tolist()] for batch, amounts in self.flushed.items()], "batch": self.batch,
            "events": [[name, e.rows.tolist(), e.amounts.tolist(), e.time, e.state] for name, e in self.events.items()],
            "good": self.good, "lost": self.lost, "duplicates": self.duplicates, "forgotten": self.forgotten,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`; what this process has delivered itself stays as it is."""
        self.own += self.local - np.array(state["local"])
        for name in ("confirmed", "pending", "local"):
            getattr(self, name)[:] = state[name]
        self.flushed = OrderedDict((batch, np.array(amounts)) for batch, amounts in state["flushed"])
        self.events = OrderedDict(
            (name, CountedEvent(np.array(rows, np.int64), np.array(amounts), time, how))
            for name, rows, amounts, time, how in state["events"]
        )
        self.waiting = OrderedDict((name, e.time) for name, e in self.events.items() if e.state == "pending")
        for name in ("batch", "good", "lost", "duplicates", "forgotten"):
            setattr(self, name, state[name])
