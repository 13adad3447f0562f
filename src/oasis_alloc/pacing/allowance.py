"""`Allowance`: the part of a budget that one replica may spend without asking. `docs/ledger.md` proves the bound."""

from __future__ import annotations

import math
import os
import re
import secrets
import time
from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from typing import Any, NoReturn

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, LedgerUnavailableError
from oasis_alloc.pacing.leases import Account, Lease, Parts
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.ledger_events import MOST, UNITS, label_of, label_text
from oasis_alloc.pacing.ledger_stores import Document

_TRIES = 200
_LARGEST = 1e12  # caps
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def running_clock() -> float:
    """Seconds that only go forward, and go on while the machine sleeps where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Allowance:
    """The part of every capped group's budget that this replica may spend; all replicas together never exceed a cap.

    `caps` are {label: cap} by the ledger's keys, and `delivered` what had been delivered before the account was made.
    The account is in the ledger's store, one per `period`; caps that it has stay, until `set_caps`. Call `sync` every
    few seconds from a timer, and `spend` per delivery. `sync` takes up to `fraction` of an equal part of the rest, at
    least `step`. A replica that has not reached the store for `ttl` seconds stops spending.

    >>> import oasis_alloc as oa
    >>> ledger = oa.Ledger()
    >>> allowance = oa.Allowance(ledger, {"one": 2.0}, replica="host-1")
    >>> allowance.sync()
    >>> allowance.spend("one"), allowance.spend("one"), allowance.left("one")
    (True, False, 0.0)
    >>> allowance.sync()
    >>> allowance.spend("one"), allowance.spend("one")
    (True, False)
    """

    def __init__(
        self,
        ledger: Ledger,
        caps: Mapping[Any, float],
        *,
        replica: str = "replica",
        period: str = "flight",
        delivered: Mapping[Any, float] | None = None,
        fraction: float = 0.5,
        step: float = 1.0,
        live_for: float = 30.0,
        ttl: float = 600.0,
        clock: Callable[[], float] = running_clock,
    ) -> None:
        if not isinstance(ledger, Ledger):
            raise InputError(f"Allowance({shown(ledger)}, ...): expected an oasis_alloc.Ledger.")
        for name, text in (("replica", replica), ("period", period)):
            if not isinstance(text, str) or not _NAME.fullmatch(text):
                raise InputError(
                    f"Allowance({name}={shown(text)}): expected up to 100 letters, digits, '-', '_' and '.'."
                )
        for name, given, most in (
            ("fraction", fraction, 1.0), ("step", step, MOST), ("live_for", live_for, 1e9), ("ttl", ttl, 1e9),
        ):  # fmt: skip
            number = as_real(given)
            if number is None or not 0 < number <= most:
                raise InputError(f"Allowance({name}={shown(given)}): expected a number above 0, up to {most:g}.")
        self.replica = f"{replica}-{secrets.token_hex(4)}"  # a process that is started again is another replica
        self._store, self._n_keys = ledger.store, len(ledger.by)
        self._account_name = f"account:{period}"
        self._lease_name = f"lease:{period}:{self.replica}"
        self._period = period
        self._caps = self._amounts("caps", caps, _LARGEST)
        self._before = self._amounts("delivered", delivered or {}, _LARGEST)
        self._places = {label: label_text(label, self._n_keys) for label in caps}
        self._parts = Parts(float(fraction), max(round(step * UNITS), 1))
        self._live_for, self._ttl, self._clock = float(live_for), float(ttl), clock
        self._lock = Lock()
        self._syncing = Lock()
        self._granted = dict.fromkeys(self._caps, 0)
        self._spent = dict.fromkeys(self._caps, 0)
        self._seen: dict[str, tuple[int, float]] = {}  # of each replica, its counter and when it was first seen so
        self._deadline = self._latest = -math.inf
        self._process = os.getpid()
        self._refused = 0
        self._closed = False

    def sync(self, demand: Mapping[Any, float] | None = None) -> None:
        """Report what was spent, take more, and give back what is above this replica's part.

        `demand`, {label: amount} expected until the next calls, keeps the allowance of a group at about that.
        `LedgerUnavailableError` where the store cannot be reached: the allowance goes on until `ttl` has passed.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 100.0})
        >>> allowance.sync(demand={"one": 5.0})
        >>> allowance.left("one")
        5.0
        """
        wanted = None if demand is None else self._amounts("demand", demand, math.inf)
        self._check_use()
        with self._syncing:
            for _ in range(_TRIES):
                began = self._now()
                documents = self._store.read([self._account_name, self._lease_name])
                account = self._account(documents)
                lease = Lease.read(documents[self._lease_name].text)
                live = self._live(account, began)
                with self._lock:  # nothing is spent between a look at what was spent and the new limit of it
                    spent = dict(self._spent)
                    new = {
                        key: self._parts.granted(account.free(key), lease.granted.get(key, 0), mine, live, wanted, key)
                        for key, mine in spent.items()
                    }
                    for key, granted in new.items():
                        self._granted[key] = min(self._granted[key], granted)
                account.beat(self.replica)
                if self._write(documents, account, lease, new, spent):
                    with self._lock:
                        self._granted = new
                        self._deadline = began + self._ttl
                    return
                self._pause()
        raise self._busy()

    def spend(self, label: Hashable, amount: float = 1.0) -> bool:
        """Take `amount` from the allowance and return True, or return False and take nothing. No input or output.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0})
        >>> allowance.spend("one")  # before the first `sync`
        False
        """
        if os.getpid() != self._process:
            self._check_use()
        key = self._key(label)
        number = amount if type(amount) is float else as_real(amount)
        if number is None or not 0 <= number <= MOST:
            raise InputError(f"spend({shown(label)}, {shown(amount)}): expected an amount from 0 to {MOST:g}.")
        whole = round(number * UNITS)
        with self._lock:
            after = self._spent[key] + whole
            if after > self._granted[key] or self._now() >= self._deadline:
                self._refused += 1
                return False
            self._spent[key] = after
            return True

    def left(self, label: Hashable) -> float:
        """What this replica may still spend of a group before the next `sync`.

        >>> import oasis_alloc as oa
        >>> oa.Allowance(oa.Ledger(), {"one": 2.0}).left("one")
        0.0
        """
        key = self._key(label)
        with self._lock:
            if self._now() >= self._deadline:
                return 0.0
            return (self._granted[key] - self._spent[key]) / UNITS

    def set_caps(self, caps: Mapping[Any, float]) -> None:
        """Change caps of the account, for all replicas. Below what was granted, a cap only stops further grants.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0})
        >>> allowance.set_caps({"one": 20.0, "two": 5.0})
        >>> allowance.sync()
        >>> allowance.left("one"), allowance.left("two")
        (10.0, 3.0)
        """
        new = self._amounts("caps", caps, _LARGEST)
        self._check_use()
        with self._syncing:
            for _ in range(_TRIES):
                documents = self._store.read([self._account_name])
                account = self._account(documents, new)
                if self._store.swap(
                    {self._account_name: documents[self._account_name].version}, {self._account_name: account.text()}
                ):
                    self._take_groups(caps, new)
                    return
                self._pause()
        raise self._busy()

    def replicas(self) -> dict[str, float]:
        """{name: seconds without a sync that this process has seen} of all replicas with a lease, as of last `sync`.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0}, replica="host-1")
        >>> allowance.sync()
        >>> [name[:7] for name in allowance.replicas()]
        ['host-1-']
        """
        now = self._now()
        return {name: max(now - since, 0.0) for name, (_, since) in self._seen.items()}

    def release(self, replica: str, spent: Mapping[Any, float] | None = None) -> None:
        """Give back the rest of the lease of a replica that is dead, given what it has spent of every group.

        Groups that `spent` does not name return nothing. Only the deliveries that are known to be all of them may be
        named: what was spent and is released here can be spent twice. It is refused until this process has seen the
        replica silent for two `ttl`.

        >>> import oasis_alloc as oa
        >>> now, ledger = 0.0, oa.Ledger()
        >>> one, two = (oa.Allowance(ledger, {"one": 8.0}, ttl=60, clock=lambda: now) for _ in range(2))
        >>> one.sync(), two.sync()
        (None, None)
        >>> now = 130.0
        >>> two.sync()
        >>> two.release(one.replica, spent={"one": 1.0})
        >>> list(two.replicas()) == [two.replica]
        True
        """
        known = self._amounts("spent", spent or {}, _LARGEST)
        self._check_use()
        with self._syncing:
            for _ in range(_TRIES):
                name = f"lease:{self._period}:{replica}"
                documents = self._store.read([self._account_name, name])
                account, lease = self._account(documents), Lease.read(documents[name].text)
                self._check_silent(replica, account)
                for key, amount in known.items():
                    if amount < lease.spent.get(key, 0):
                        raise InputError(
                            f"release({replica!r}): it has reported {lease.spent[key] / UNITS:g} spent of "
                            f"{label_of(key)!r}, and not {amount / UNITS:g}; expected at least that."
                        )
                    account.grant(key, amount - lease.granted.get(key, 0))
                    lease.granted[key] = amount
                account.beats.pop(replica, None)
                texts = {self._account_name: account.text(), name: lease.text()}
                if self._store.swap({key: document.version for key, document in documents.items()}, texts):
                    self._seen.pop(replica, None)
                    return
                self._pause()
        raise self._busy()

    def close(self) -> None:
        """Give everything back that was not spent, and stop spending.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0})
        >>> allowance.sync(); allowance.close(); allowance.spend("one")
        False
        """
        if self._closed or os.getpid() != self._process:
            return
        with self._syncing:
            with self._lock:
                self._deadline, self._granted = -math.inf, dict(self._spent)
            for _ in range(_TRIES):
                documents = self._store.read([self._account_name, self._lease_name])
                account = self._account(documents)
                account.beats.pop(self.replica, None)
                lease = Lease.read(documents[self._lease_name].text)
                if self._write(documents, account, lease, dict(self._spent), None):
                    self._closed = True
                    return
                self._pause()
        raise self._busy()

    def stats(self) -> dict[str, Any]:
        """What this replica has spent and was granted, {label: amount}, and how often it had to refuse.

        >>> import oasis_alloc as oa
        >>> oa.Allowance(oa.Ledger(), {"one": 2.0}).stats()
        {'spent': {'one': 0.0}, 'granted': {'one': 0.0}, 'refused': 0}
        """
        with self._lock:
            out = {
                name: {label: amounts[key] / UNITS for label, key in self._places.items()}
                for name, amounts in (("spent", self._spent), ("granted", self._granted))
            }
            return {**out, "refused": self._refused}

    def __enter__(self) -> Allowance:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Allowance is of one process; make one with Allowance(ledger, caps) in each process.")

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
        return self._store.swap(expected, {self._account_name: account.text(), self._lease_name: text})

    def _account(self, documents: Mapping[str, Document], caps: Mapping[str, int] | None = None) -> Account:
        """The account as it is, with groups that it does not have yet; `caps` replace those that it has."""
        account = Account.read(documents[self._account_name].text)
        for key, cap in self._caps.items():
            if key not in account.caps:
                account.caps[key] = cap
                account.grant(key, self._before.get(key, 0))
        account.caps.update(caps or {})
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
        silent = self._now() - since if beat == account.beats[replica] else 0.0
        if silent < 2 * self._ttl:
            raise InputError(
                f"release({replica!r}): this process has seen it silent for {silent:,.0f} s; expected two ttl, "
                f"{2 * self._ttl:,.0f} s, after which a replica that still runs has stopped spending. Call sync(), and "
                "release later."
            )

    def _take_groups(self, caps: Mapping[Any, float], new: Mapping[str, int]) -> None:
        with self._lock:
            self._caps.update(new)
            for label in caps:
                key = self._places.setdefault(label, label_text(label, self._n_keys))
                self._granted.setdefault(key, 0)
                self._spent.setdefault(key, 0)

    def _amounts(self, name: str, given: Mapping[Any, float], most: float) -> dict[str, int]:
        if not isinstance(given, Mapping):
            raise InputError(f"{name} is {shown(given)}; expected {{label: amount}}.")
        out = {}
        for label, amount in given.items():
            number = as_real(amount)
            if number is None or not 0 <= number <= most:
                limit = f"from 0 to {most:g}" if most < math.inf else "of 0 or more"
                raise InputError(f"{name}: {shown(label)} has {shown(amount)}; expected a number {limit}.")
            out[label_text(label, self._n_keys)] = math.floor(min(number, _LARGEST) * UNITS + 1e-3)
        return out

    def _key(self, label: Any) -> str:
        try:
            return self._places[label]
        except (KeyError, TypeError):
            raise InputError(f"{shown(label)} has no cap in this allowance; expected one of its labels.") from None

    def _now(self) -> float:
        """The clock, which does not go back: a step back must not make an allowance last longer."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _pause(self) -> None:
        """Another replica was faster. A moment that differs between replicas lets one of them through."""
        time.sleep(secrets.randbelow(1000) * 5e-6)

    def _check_use(self) -> None:
        if os.getpid() != self._process:
            raise InputError(
                "this Allowance was made before a fork; make one in each process, or budget is spent twice."
            )
        if self._closed:
            raise InputError("this Allowance is closed; make another one.")

    def _busy(self) -> LedgerUnavailableError:
        return LedgerUnavailableError(f"{self._store.place}: other replicas were faster {_TRIES} times; sync again.")
