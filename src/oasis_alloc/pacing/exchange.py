"""How the lease of a replica is moved in the account of a budget; `docs/ledger.md` has the proof of the bound."""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from threading import Lock

from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, LedgerUnavailableError
from oasis_alloc.pacing.leases import FRACTION, Account, Lease, Parts
from oasis_alloc.pacing.ledger_events import UNITS
from oasis_alloc.pacing.ledger_stores import Document, Store

_TRIES = 200


def running_clock() -> float:
    """Seconds that only go forward, and go on while the machine sleeps where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def _nothing() -> None:
    pass


class Exchange:
    """What one replica was granted and has spent of each key, in millionths.

    `spent` and `granted` are read and written under `lock`. The owner keeps `spent` up to date, or does so in `look`;
    `fit` is called whenever `granted` has changed. Both are given to `attach`, and called under the lock.
    """

    def __init__(
        self,
        store: Store,
        account: str,
        leases: str,
        replica: str,
        *,
        lock: AbstractContextManager[object],
        fraction: float = FRACTION,
        step: int,
        live_for: float = 30.0,
        ttl: float = 600.0,
        clock: Callable[[], float] = running_clock,
    ) -> None:
        self.store, self._account_name, self._leases, self._name = store, account, leases, replica
        self.attach(lock)
        self._parts, self._live_for, self._ttl, self._clock = Parts(fraction, step), live_for, ttl, clock
        self.caps: dict[str, int] = {}
        self.before: dict[str, int] = {}  # delivered before the account was made
        self.steps: dict[str, int] = {}  # of keys that are not counted in `step`
        self.granted: dict[str, int] = {}
        self.spent: dict[str, int] = {}
        self.replicas_expected = 1
        self._said: dict[str, int] | None = None  # caps that the account is to be told
        self._syncing = Lock()
        self.renew()

    def attach(
        self,
        lock: AbstractContextManager[object],
        look: Callable[[], object] = _nothing,
        fit: Callable[[], object] = _nothing,
        is_over: Callable[[str], bool] | None = None,
    ) -> None:
        """Be of this owner from now on; `is_over` says of a key whether no replica uses it any more."""
        self.lock, self._look, self._fit, self._is_over = lock, look, fit, is_over

    def renew(self) -> None:
        """Become another replica, with nothing granted: in a new process, and after a fork."""
        self.replica = f"{self._name}-{secrets.token_hex(4)}"  # a process that is started again is another replica
        self.lease_name = self._leases + self.replica
        self.granted = dict.fromkeys(self.granted, 0)
        self._seen: dict[str, tuple[int, float]] = {}  # of each replica, its counter and when it was first seen so
        self._deadline = self._latest = -math.inf
        self.process, self.closed = os.getpid(), False

    def add(self, caps: Mapping[str, int], before: Mapping[str, int], step: int | None = None) -> None:
        """Take part in these keys too; callers hold the lock."""
        self.caps.update(caps)
        self.before.update(before)
        for key in caps:
            self.granted.setdefault(key, 0)
            self.spent.setdefault(key, 0)
            if step is not None:
                self.steps[key] = step

    def drop(self, keys: list[str]) -> None:
        """Take no part in these keys any more; callers hold the lock."""
        for key in keys:
            for of in (self.caps, self.before, self.granted, self.spent, self.steps):
                of.pop(key, None)

    def has_ended(self) -> bool:
        """Whether what was granted may no longer be spent: the store was not reached for `ttl`."""
        return self.now() >= self._deadline

    def sync(self, wanted: Mapping[str, int] | None = None) -> None:
        """Report what was spent, take more, and give back what is above this replica's part."""
        self.check_use()
        with self._syncing:
            for _ in range(_TRIES):
                began = self.now()
                documents = self.store.read([self._account_name, self.lease_name])
                account = self._account(documents)
                lease = Lease.read(documents[self.lease_name].text)
                live = max(self._live(account, began), self.replicas_expected)
                with self.lock:  # nothing is spent between a look at what was spent and the new limit of it
                    self._look()
                    spent = dict(self.spent)
                    new = {key: self._part(account, lease, key, mine, live, wanted) for key, mine in spent.items()}
                    for key, granted in new.items():
                        self.granted[key] = min(self.granted[key], granted)
                    self._fit()
                account.beat(self.replica)
                if self._write(documents, account, lease, new, spent):
                    with self.lock:
                        self.granted = {key: new.get(key, 0) for key in self.spent}
                        self._deadline = began + self._ttl
                        self._said = None
                        self._fit()
                    return
                self._pause()
        raise self._busy()

    def say(self, caps: Mapping[str, int]) -> None:
        """Have the next `sync` change these caps of the account, for all replicas."""
        self._said = dict(caps)

    def set_caps(self, caps: Mapping[str, int]) -> None:
        """Change caps of the account now."""
        self.check_use()
        with self._syncing:
            for _ in range(_TRIES):
                documents = self.store.read([self._account_name])
                text = self._account(documents, caps).text()
                if self.store.swap({self._account_name: documents[self._account_name].version},
                                   {self._account_name: text}):  # fmt: skip
                    return
                self._pause()
        raise self._busy()

    def replicas(self) -> dict[str, float]:
        """{name: seconds without a sync that this process has seen} of all replicas with a lease."""
        now = self.now()
        return {name: max(now - since, 0.0) for name, (_, since) in self._seen.items()}

    def release(self, replica: str, known: Mapping[str, int], called: Callable[[str], object]) -> None:
        """Give back the rest of the lease of a dead replica, given what it has spent; `called` names a key."""
        self.check_use()
        with self._syncing:
            for _ in range(_TRIES):
                name = self._leases + str(replica)
                documents = self.store.read([self._account_name, name])
                account, lease = self._account(documents), Lease.read(documents[name].text)
                self._check_silent(replica, account)
                for key, amount in known.items():
                    least = lease.spent.get(key, 0)
                    if amount < least:
                        raise InputError(
                            f"release({replica!r}): it has reported {least / UNITS:g} spent of {called(key)!r}, and "
                            f"not {amount / UNITS:g}; expected at least that."
                        )
                    account.grant(key, amount - lease.granted.get(key, 0))
                    lease.granted[key] = amount
                account.beats.pop(replica, None)
                texts = {self._account_name: account.text(), name: lease.text()}
                if self.store.swap({key: document.version for key, document in documents.items()}, texts):
                    self._seen.pop(replica, None)
                    return
                self._pause()
        raise self._busy()

    def reported(self, replica: str) -> dict[str, int]:
        """What a replica has reported as spent, by key."""
        return Lease.read(self.store.read([self._leases + str(replica)])[self._leases + str(replica)].text).spent

    def close(self) -> None:
        """Give everything back that was not spent, and stop spending."""
        if self.closed or os.getpid() != self.process:
            return
        with self._syncing:
            with self.lock:
                self._look()
                self._deadline, self.granted = -math.inf, dict(self.spent)
                self._fit()
            for _ in range(_TRIES):
                documents = self.store.read([self._account_name, self.lease_name])
                account = self._account(documents)
                account.beats.pop(self.replica, None)
                lease = Lease.read(documents[self.lease_name].text)
                if self._write(documents, account, lease, dict(self.granted), None):
                    self.closed = True
                    return
                self._pause()
        raise self._busy()

    def check_use(self) -> None:
        """`InputError` where this may not be used any more."""
        if os.getpid() != self.process:
            raise InputError(
                "this Allowance was made before a fork; make one in each process, or budget is spent twice."
            )
        if self.closed:
            raise InputError("this Allowance is closed; make another one.")

    def now(self) -> float:
        """The clock, which does not go back: a step back must not make an allowance last longer."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _part(
        self, account: Account, lease: Lease, key: str, spent: int, live: int, wanted: Mapping[str, int] | None
    ) -> int:
        free, leased = account.free(key), lease.granted.get(key, 0)
        return self._parts.granted(free, leased, spent, live, wanted, key, self.steps.get(key))

    def _write(
        self,
        documents: Mapping[str, Document],
        account: Account,
        lease: Lease,
        new: Mapping[str, int],
        spent: Mapping[str, int] | None,
    ) -> bool:
        """Move the lease to what is `new`, in the account and in the lease at once; without `spent` it ends."""
        for key, granted in new.items():
            account.grant(key, granted - lease.granted.get(key, 0))
        text = None if spent is None else Lease(dict(new), dict(spent)).text()
        expected = {name: document.version for name, document in documents.items()}
        return self.store.swap(expected, {self._account_name: account.text(), self.lease_name: text})

    def _account(self, documents: Mapping[str, Document], caps: Mapping[str, int] | None = None) -> Account:
        """The account as it is, with keys that it does not have yet and without those that are over."""
        account = Account.read(documents[self._account_name].text)
        for key in [key for key in account.caps if key not in self.caps and self._is_over and self._is_over(key)]:
            del account.caps[key]
            account.granted.pop(key, None)
        for key, cap in self.caps.items():
            if key not in account.caps:
                account.caps[key] = cap
                account.grant(key, self.before.get(key, 0))
        account.caps.update((self._said if caps is None else caps) or {})
        return account

    def _live(self, account: Account, now: float) -> int:
        """How many replicas have synchronized lately, this one among them."""
        for name, beat in account.beats.items():
            if self._seen.get(name, (None,))[0] != beat:
                self._seen[name] = beat, now
        self._seen = {name: seen for name, seen in self._seen.items() if name in account.beats}
        self._seen[self.replica] = account.beats.get(self.replica, 0) + 1, now
        return sum(now - since <= self._live_for for _, since in self._seen.values())

    def _check_silent(self, replica: str, account: Account) -> None:
        beat, since = self._seen.get(replica, (None, 0.0))
        if replica not in account.beats:
            raise InputError(f"release({shown(replica)}): no replica has this name; see replicas().")
        silent = self.now() - since if beat == account.beats[replica] else 0.0
        if silent < 2 * self._ttl:
            raise InputError(
                f"release({replica!r}): this process has seen it silent for {silent:,.0f} s; expected two ttl, "
                f"{2 * self._ttl:,.0f} s, after which a replica that still runs has stopped spending. Call sync(), and "
                "release later."
            )

    def _pause(self) -> None:
        """Another replica was faster. A moment that differs between replicas lets one of them through."""
        time.sleep(secrets.randbelow(1000) * 5e-6)

    def _busy(self) -> LedgerUnavailableError:
        return LedgerUnavailableError(f"{self.store.place}: other replicas were faster {_TRIES} times; sync again.")
