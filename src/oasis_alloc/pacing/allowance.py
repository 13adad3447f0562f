"""`Allowance`: the part of a budget that one replica may spend without asking. `docs/ledger.md` proves the bound."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from typing import Any, NoReturn

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.exchange import Exchange, running_clock
from oasis_alloc.pacing.leases import FRACTION
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.ledger_events import MOST, UNITS, label_of, label_text

_LARGEST = 1e12  # caps
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@suggesting
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
        fraction: float = FRACTION,
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
        self._n_keys, self._period = len(ledger.by), period
        self._places = {label: label_text(label, self._n_keys) for label in caps}
        self._lock = Lock()
        self._exchange = Exchange(
            ledger.store, f"account:{period}", f"lease:{period}:", replica, lock=self._lock, fraction=float(fraction),
            step=max(round(step * UNITS), 1), live_for=float(live_for), ttl=float(ttl), clock=clock,
        )  # fmt: skip
        self._exchange.add(self._amounts("caps", caps, _LARGEST), self._amounts("delivered", delivered or {}, _LARGEST))
        self._refused = 0

    @property
    def replica(self) -> str:
        """The name of this replica in the account: that it was given, and something that no other has."""
        return self._exchange.replica

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
        self._exchange.sync(wanted)

    def spend(self, label: Hashable, amount: float = 1.0) -> bool:
        """Take `amount` from the allowance and return True, or return False and take nothing. No input or output.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0})
        >>> allowance.spend("one")  # before the first `sync`
        False
        """
        exchange = self._exchange
        if os.getpid() != exchange.process:
            exchange.check_use()
        key = self._key(label)
        number = amount if type(amount) is float else as_real(amount)
        if number is None or not 0 <= number <= MOST:
            raise InputError(f"spend({shown(label)}, {shown(amount)}): expected an amount from 0 to {MOST:g}.")
        whole = round(number * UNITS)
        with self._lock:
            after = exchange.spent[key] + whole
            if after > exchange.granted[key] or exchange.has_ended():
                self._refused += 1
                return False
            exchange.spent[key] = after
            return True

    def left(self, label: Hashable) -> float:
        """What this replica may still spend of a group before the next `sync`.

        >>> import oasis_alloc as oa
        >>> oa.Allowance(oa.Ledger(), {"one": 2.0}).left("one")
        0.0
        """
        key = self._key(label)
        with self._lock:
            if self._exchange.has_ended():
                return 0.0
            return (self._exchange.granted[key] - self._exchange.spent[key]) / UNITS

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
        self._exchange.set_caps(new)
        with self._lock:
            self._places.update({label: label_text(label, self._n_keys) for label in caps})
            self._exchange.add(new, {})

    def replicas(self) -> dict[str, float]:
        """{name: seconds without a sync that this process has seen} of all replicas with a lease, as of last `sync`.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0}, replica="host-1")
        >>> allowance.sync()
        >>> [name[:7] for name in allowance.replicas()]
        ['host-1-']
        """
        return self._exchange.replicas()

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
        self._exchange.release(replica, self._amounts("spent", spent or {}, _LARGEST), label_of)

    def close(self) -> None:
        """Give everything back that was not spent, and stop spending.

        >>> import oasis_alloc as oa
        >>> allowance = oa.Allowance(oa.Ledger(), {"one": 2.0})
        >>> allowance.sync(); allowance.close(); allowance.spend("one")
        False
        """
        self._exchange.close()

    def stats(self) -> dict[str, Any]:
        """What this replica has spent and was granted, {label: amount}, and how often it had to refuse.

        >>> import oasis_alloc as oa
        >>> oa.Allowance(oa.Ledger(), {"one": 2.0}).stats()
        {'spent': {'one': 0.0}, 'granted': {'one': 0.0}, 'refused': 0}
        """
        with self._lock:
            out = {
                name: {label: amounts[key] / UNITS for label, key in self._places.items()}
                for name, amounts in (("spent", self._exchange.spent), ("granted", self._exchange.granted))
            }
            return {**out, "refused": self._refused}

    def __enter__(self) -> Allowance:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Allowance is of one process; make one with Allowance(ledger, caps) in each process.")

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
