"""Deliveries of one pacer on their way to a ledger, and the totals of all processes from it."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.pacing import accounts
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.ledger_events import Event, label_of, label_text
from oasis_alloc.pacing.ledger_merge import Change, Row, counts_as
from oasis_alloc.pacing.ratios import Found, Ratios
from oasis_alloc.pacing.rows import Rows

_log = logging.getLogger("oasis_alloc.pacing")

Claims = list[tuple[Hashable, accounts.CountedEvent]]

_STATES = {"pending": "served", "confirmed": "confirmed", "lost": "lost"}


class Recorder:
    """Events that the ledger does not have yet. Callers hold the lock of the pacer, except for `exchange`."""

    def __init__(self, ledger: Ledger, rows: Rows, confirm: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        check_fits(ledger, [goal for goal in rows.goals if not goal.per_request], "Pacer")
        self.ledger, self._goals = ledger, rows.goals
        self._is_counted = ~rows.per_request  # by the ledger; what the others have is in `ratios`
        self.ratios = Ratios(ledger.store, rows) if rows.has_ratios else None
        self.found: Found | None = None  # of the ratios, by the last `exchange`
        self._batch_state = "served" if confirm else "confirmed"
        self._writer = secrets.token_hex(8)  # a process that is started again is another writer
        self._count, self._process = 0, os.getpid()
        self._slices: list[tuple[float, int, float]] = []
        self.queue: list[Event] = []
        self.waiting = np.zeros((2, rows.n))  # confirmed and pending amounts of `queue` that the accounts have by event
        self.refused = 0
        self.syncing = threading.Lock()

    def name(self, event: Hashable) -> str:
        """The id of an event in the ledger."""
        if event is None:
            self._count += 1
            return f"{self._named()}:{self._count}"
        if not isinstance(event, str):
            raise InputError(f"observe(event={shown(event)}): expected a text, because the ledger stores it as an id.")
        return event

    def _named(self) -> str:
        if self._process != os.getpid():  # ids of two processes after a fork must differ
            self._writer, self._process = secrets.token_hex(8), os.getpid()
        return self._writer

    def add(self, name: str, event: accounts.CountedEvent, change: Floats) -> None:
        """Queue what an event is now; `change` (2, n) is what it did to confirmed and pending amounts."""
        event = self.counted(event)
        for one, row, amount in zip(self._ids(name, event), event.rows.tolist(), event.amounts.tolist(), strict=True):
            self.queue.append(Event(one, self._goals[row].label, event.time, amount, _STATES[event.state]))
        self.changed(change)

    def changed(self, change: Floats) -> None:
        """The accounts differ by `change` (2, n), confirmed and pending, from what processes will read."""
        self.waiting += change
        if self.ratios is not None:
            self.ratios.note(change.sum(axis=0))

    def counted(self, event: accounts.CountedEvent) -> accounts.CountedEvent:
        """The part of an event that the ledger counts."""
        if self.ratios is None:
            return event
        kept = self._is_counted[event.rows]
        return event._replace(rows=event.rows[kept], amounts=event.amounts[kept])

    def _ids(self, name: str, event: accounts.CountedEvent) -> list[str]:
        """Ids in the ledger of an event: one per goal."""
        rows = event.rows.tolist()
        return [name] if len(rows) == 1 else [f"{name}/{self._goals[row]}" for row in rows]

    def fates(self, claims: Claims) -> list[list[int | None]]:
        """What the ledger counts the rows of each event as: a column of totals, or None where it does not know it."""
        ids = [self._ids(str(name), self.counted(event)) for name, event in claims]
        known: dict[str, Row] = {}

        def look(rows: Any, _: int) -> Change:
            known.update({one: rows[one] for some in ids for one in some if one in rows})
            return Change()

        if ids:
            self.ledger.store.record([one for some in ids for one in some], look)
        return [[counts_as(known[one])[0] if one in known else None for one in some] for some in ids]

    def take(self, batch: int, amounts: Floats, time: float, requests: int) -> tuple[list[Event], Floats]:
        """Empty the queue, to which a batch that was counted without ids is added: (events, what they wait for).

        `requests` are those of this process so far.
        """
        if self.ratios is not None:
            self.ratios.take(amounts, requests)
        for row in np.flatnonzero(np.where(self._is_counted, amounts, 0.0)).tolist():
            goal = self._goals[row]
            name = f"{self._named()}:batch {batch}/{goal}"
            self.queue.append(Event(name, goal.label, time, float(amounts[row]), self._batch_state))
        taken, self.queue, self.waiting = (self.queue, self.waiting), [], np.zeros_like(self.waiting)
        return taken

    def put_back(self, events: Iterable[Event], waiting: Floats) -> None:
        """Queue events again that the ledger may not have; it counts every id once."""
        self.queue[:0] = events
        self.waiting += waiting

    def exchange(self, events: list[Event]) -> tuple[Floats, Floats]:
        """Record events, and return the amounts (n,) that are confirmed and pending for all processes."""
        receipt = self.ledger.record(events, on_bad="skip")
        refused = len(receipt.rejected) + receipt.late
        if refused:
            self.refused += refused
            why = receipt.rejected[0].message if receipt.rejected else f"{receipt.late} came after their day was closed"
            _log.warning("%d of %d events were refused by the ledger: %s", refused, len(events), why)
        confirmed, pending, self._slices = totals_of(self.ledger, self._goals)
        if self.ratios is not None:
            self.found = self.ratios.exchange(self._clock())
            confirmed[self.ratios.rows] = self.found[1][self.ratios.rows]
        return confirmed, pending

    def since(self, began: float) -> Floats:
        """(n,) what all processes have delivered since a time, by the last `exchange`, in whole slices."""
        out = np.zeros(len(self._goals))
        for start, row, amount in self._slices:
            if start + self.ledger.slice_seconds > began:
                out[row] += amount
        return out

    def state(self, requests: int) -> dict[str, Any]:
        """Plain lists and numbers; `requests` are those of this process so far."""
        queue = [[e.id, label_text(e.key, len(self.ledger.by)), e.time, e.amount, e.state] for e in self.queue]
        ratios = {} if self.ratios is None else {"ratios": self.ratios.state(requests)}
        return {"queue": queue, "waiting": self.waiting.tolist(), **ratios}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`; ids stay, so an event that the ledger has already counts once."""
        self.queue = [Event(name, label_of(key), *rest) for name, key, *rest in state["queue"]]
        self.waiting = np.array(state["waiting"])
        if self.ratios is not None and "ratios" in state:
            self.ratios.restore(state["ratios"])


def totals_of(ledger: Ledger, goals: Sequence[Goal]) -> tuple[Floats, Floats, list[tuple[float, int, float]]]:
    """(confirmed, pending) (n,) in the flights of the goals, and both by slice: [(start, goal, amount), ...]."""
    confirmed, pending = np.zeros((2, len(goals)))
    length, slices = ledger.slice_seconds, []
    of = {same(goal.label): row for row, goal in enumerate(goals) if not goal.per_request}
    since = max(min((goals[row].start for row in of.values()), default=0.0) // length * length, 0.0)
    for total in ledger.totals(since=since):
        row = of.get(same(total.group))
        if row is None:
            continue  # the ledger may have groups without a goal
        goal = goals[row]
        if total.start + length > goal.start and total.start < goal.end:
            confirmed[row] += total.confirmed
            pending[row] += total.pending
            slices.append((total.start, row, total.confirmed + total.pending))
    return confirmed, pending, slices


def check_fits(ledger: object, goals: Sequence[Goal], call: str) -> None:
    """`InputError` for goals that a ledger does not count."""
    if not isinstance(ledger, Ledger):
        raise InputError(f"{call}(ledger): expected oa.Ledger, got {type(ledger).__name__}.")
    seen: set[Any] = set()
    for goal in goals:
        if goal.per_request:
            raise InputError(
                f"{call}(ledger): the goal of {goal} is a ratio per request, and a ledger counts amounts by label; "
                "leave it out of the plan, or ask a pacer for its outlook."
            )
        if goal.by != ledger.by:
            raise InputError(
                f"{call}(ledger): the goal of {goal} is by {', '.join(goal.by)}, and the ledger is by "
                f"{', '.join(ledger.by)}; open a ledger with by={goal.by!r}."
            )
        if same(goal.label) in seen:
            raise InputError(
                f"{call}(ledger): {goal} has several goals, and a ledger counts one amount by label; use one ledger "
                "per measure and pass totals to sync(delivered)."
            )
        seen.add(same(goal.label))
