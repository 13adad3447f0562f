"""What a pacer exchanges with other processes: deliveries, totals of all, and allowances."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, LedgerUnavailableError
from oasis_alloc.pacing.accounts import CountedEvent
from oasis_alloc.pacing.follower import Follower
from oasis_alloc.pacing.ledger_events import UNITS, Event
from oasis_alloc.pacing.ledger_merge import CONFIRMED, LOST
from oasis_alloc.pacing.recorder import Claims, Recorder
from oasis_alloc.pacing.shares import Shares
from oasis_alloc.pacing.usage import Labels

if TYPE_CHECKING:
    from oasis_alloc.pacing.core import Core


class Sharing:
    """Synchronization of a pacer; see `Pacer`."""

    _core: Core
    _given: dict[str, Any]

    def __init__(self) -> None:
        self._labels, self._follower = Labels(self._core.rows), Follower()
        self._recorder: Recorder | None = None
        if self._given["ledger"] is not None:
            self._attach(self._given["ledger"], None, [])

    def _handed_over(self) -> list[Event]:
        """What the ledger does not have yet, of all goals, also those that end with this plan."""
        core = self._core
        core.room -= core.used
        batch, amounts = core.accounts.flush()
        assert self._recorder is not None
        return self._recorder.take(batch, amounts, float(self._given["clock"]()), core.requests)[0]

    def _attach(self, ledger: Any, before: Sharing | None, events: list[Event]) -> None:
        """Take part in a ledger, with allowances and events of the pacer before this one; and hear what it knows."""
        core = self._core
        self._recorder = Recorder(ledger, core.rows, self._given["confirm"], self._given["clock"])
        with core.lock:
            core.accounts.claims = []
            shares, since = None if before is None else before._core.shares, self._recorder.since
            core.shares = (
                Shares(ledger, core, self._given["clock"], since)
                if shares is None
                else shares.moved(core, ledger, since)
            )
            if before is not None and before._recorder is not None:
                self._recorder.put_back(events, np.zeros_like(self._recorder.waiting))
                if self._recorder.ratios is not None and before._recorder.ratios is not None:
                    self._recorder.ratios.take_over(before._recorder.ratios)
                before._core.fit()
            core.fit()
        self._exchanged()

    def flush(self) -> tuple[int, dict[Any, float]]:
        """What this process served since the last flush, to be added to the ledger: (number of the batch, by label)."""
        core = self._core
        with core.lock:
            core.room -= core.used
            batch, amounts = core.accounts.flush()
        return batch, {goal.label: float(a) for goal, a in zip(core.rows.goals, amounts, strict=True) if a}

    def sync(
        self,
        delivered: Mapping[Any, float] | Callable[[], Mapping[Any, float]] | None = None,
        *,
        pending: Mapping[Any, float] | None = None,
        acknowledged: int | None = None,
        replicas: int | None = None,
        requests: float | None = None,
    ) -> bool:
        """Take the totals of all processes from a ledger; whether they could be read.

        Without `delivered`, record what this process observed in the `ledger` of the pacer, and read its totals. While
        the ledger is unavailable, the last prices go on serving, `stats()` counts the failures, and the next call sends
        the events again. Ids make every event count once.

        Parameters
        ----------
        delivered, pending
            `{label: amount}` confirmed in the flight so far, and waiting to be confirmed; or a function that reads
            `delivered`. Where it raises, the last prices go on serving, and `stats()` counts it.
        acknowledged
            The last batch of `flush` that the totals have in them.
        replicas
            How many processes share the caps from here on.
        requests
            Requests of all processes so far, for guards and shares.

        Raises
        ------
        InputError
            For labels that have no goal, and without `delivered` for a pacer without a ledger.
        """
        if delivered is None and (pending is not None or acknowledged is not None or self._recorder is None):
            raise InputError(
                "sync(): expected delivered={label: amount}, or a pacer with a ledger, whose totals have pending and "
                "acknowledged ones in them; pass Pacer(ledger=...)."
            )
        count = self._core.replicas if replicas is None else as_whole(replicas)
        if count is None or count < 1:
            raise InputError(f"sync(replicas={shown(replicas)}): expected a whole number >= 1.")
        seen = 0.0 if requests is None else as_real(requests)
        if seen is None or not 0 <= seen < math.inf:
            raise InputError(f"sync(requests={shown(requests)}): expected a finite number >= 0.")
        if acknowledged is not None and as_whole(acknowledged) is None:
            raise InputError(f"sync(acknowledged={shown(acknowledged)}): expected the number of a batch of flush().")
        if delivered is None:
            if not self._exchanged():
                return False
        else:
            found = self._follower.read(delivered) if callable(delivered) else delivered
            if found is None:
                return False
            confirmed = self._labels.array("sync(delivered)", found)
            waits = self._labels.array("sync(pending)", {} if pending is None else pending)
            with self._core.lock:
                self._core.synchronized(confirmed, waits, acknowledged)
        with self._core.lock:
            self._core.replicas = count
            if requests is not None:
                is_first, self._core.all_requests = self._core.all_requests is None, float(requests)
                if is_first:  # until now only those of this process were counted
                    self._core.last_requests = self._core.all_requests
                    self._core.count_from_here()
        return True

    def _exchanged(self) -> bool:
        """Record what is queued, take the totals of the ledger, and allowances; whether it could be reached."""
        core, recorder, shares = self._core, self._recorder, self._core.shares
        assert recorder is not None
        assert shares is not None
        with recorder.syncing:
            with core.lock:
                core.room -= core.used
                batch, amounts = core.accounts.flush()
                requests = core.requests
                events, waiting = recorder.take(batch, amounts, float(self._given["clock"]()), requests)
                claims, core.accounts.claims = core.accounts.claims or [], []
            found, is_alone = None, shares.is_moved or shares.exchange.closed
            try:
                found = self._follower.read(lambda: recorder.exchange(events), LedgerUnavailableError, is_alone)
            finally:
                with core.lock:
                    if found is None:  # the ledger may have them all the same: their ids stay as they are
                        recorder.put_back(events, waiting)
                        core.accounts.claims[:0] = claims
                    else:
                        new = recorder.waiting  # observed meanwhile
                        core.synchronized(found[0] + new[0], found[1] + new[1], batch)
                        if recorder.found is not None:
                            core.heard(recorder.found[0], requests, recorder.found[2])
            if found is None or is_alone:
                return found is not None

            def more() -> None:
                self._settle_claims(claims)
                shares.sync()

            return self._follower.does(more, LedgerUnavailableError)

    def _settle_claims(self, claims: Claims) -> None:
        """Free what lost deliveries had used of allowances, unless another process has confirmed them."""
        accounts, recorder = self._core.accounts, self._recorder
        assert recorder is not None
        try:
            fates = recorder.fates(claims)
        except LedgerUnavailableError:
            with self._core.lock:
                accounts.claims = [*claims, *(accounts.claims or [])]
            raise
        with self._core.lock:
            for (name, event), fate in zip(claims, fates, strict=True):
                if CONFIRMED in fate:
                    accounts.confirmed_elsewhere(name)
                    self._confirmed_again(event)
                event = recorder.counted(event)
                gone = [k for k, column in enumerate(fate) if column == LOST]
                accounts.give_back(event._replace(rows=event.rows[gone], amounts=event.amounts[gone]))

    def _confirmed_again(self, event: CountedEvent) -> None:
        """What a delivery had of ratios when it was counted as lost."""
        accounts, recorder = self._core.accounts, self._recorder
        if recorder is None or recorder.ratios is None:
            return
        change = np.zeros((2, self._core.rows.n))
        np.add.at(change[0], event.rows, event.amounts)
        change[0, ~self._core.rows.per_request] = 0.0
        accounts.confirmed += change[0]
        recorder.changed(change)

    def replicas(self) -> dict[str, float]:
        """{name: seconds without a `sync` that this process has seen} of all processes that have an allowance."""
        return self._allowances("replicas").exchange.replicas()

    def release(self, replica: str, spent: Mapping[Any, float] | None = None) -> None:
        """Give back the allowance of a process that is dead, given all that it has delivered; see `Allowance.release`.

        Labels that `spent` does not name return nothing, and neither do caps of days and hours, which pass.
        """
        shares, out = self._allowances("release"), {}
        rows = self._labels.array("release(spent)", {} if spent is None else spent)
        named = self._labels.array("release(spent)", dict.fromkeys(spent or {}, 1.0)) > 0
        for row in np.flatnonzero(named).tolist():
            out[shares.text(row)] = round(float(rows[row]) * UNITS)
        shares.release(replica, out)

    def close(self) -> None:
        """Record what is queued and give the rest of the allowances back: the last call of a process that ends.

        Where the ledger is unavailable, the allowances stay granted to this process, and `save` keeps what is queued.
        """
        self._exchanged()
        shares = self._core.shares
        if shares is not None and not shares.is_moved:
            self._follower.does(shares.exchange.close, LedgerUnavailableError)

    def _allowances(self, call: str) -> Shares:
        if self._core.shares is None:
            raise InputError(f"{call}(): this pacer has no ledger, and so no allowances; pass Pacer(ledger=...).")
        return self._core.shares

    def _expire(self, at: float) -> None:
        """Count deliveries as lost that were not confirmed in time, and forget old ids; callers hold the lock."""
        accounts, recorder = self._core.accounts, self._recorder
        before = np.stack([accounts.confirmed, accounts.pending])
        lost = accounts.expire(at - self._given["confirm_within"])
        if recorder is not None and lost:
            for event in lost:
                recorder.add(recorder.name(event), accounts.events[event], np.zeros_like(before))
            recorder.changed(np.stack([accounts.confirmed, accounts.pending]) - before)
        accounts.forget(at - self._given["remember"])
