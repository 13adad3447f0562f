"""The allowances of a pacer: what this process may still deliver of hard caps, however old its view of the others is.

Every hard cap of a goal has an account in the ledger's store, one per flight, day or hour; `docs/ledger.md` proves that
all replicas together never exceed it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.exchange import Exchange
from oasis_alloc.pacing.leases import PARTS
from oasis_alloc.pacing.ledger import Ledger
from oasis_alloc.pacing.ledger_events import UNITS, label_of, label_text
from oasis_alloc.pacing.targets import DAY, HOUR

if TYPE_CHECKING:
    from oasis_alloc.pacing.core import Core

_KINDS = ("flight", "day", "hour")
_LENGTHS = {"day": DAY, "hour": HOUR}


class Shares:
    """Keys of the accounts, what was granted of them, and what is left; callers hold the lock, except for `sync`."""

    def __init__(
        self,
        ledger: Ledger,
        core: Core,
        clock: Callable[[], float],
        in_window: Callable[[float], Floats],
        exchange: Exchange | None = None,
    ) -> None:
        self._core, self._clock, self._n_keys = core, clock, len(ledger.by)
        self.in_window = in_window  # what all processes have delivered since a time, as far as is known
        self._texts = ["" if g.per_request else label_text(g.label, self._n_keys) for g in core.rows.goals]
        self._caps = core.rows.hard_caps
        self._limited = [(w, r) for w, r in np.argwhere(np.isfinite(self._caps)).tolist()]
        self._granted: Floats = np.where(np.isfinite(self._caps), 0.0, np.inf)
        self._is_new, self.is_moved = True, False
        if exchange is None:
            exchange = Exchange(ledger.store, "account:pacer", "lease:pacer:", "pacer", lock=core.lock, step=UNITS)
        exchange.attach(core.lock, self._look, self._fit, self._is_over)
        self.exchange = exchange
        self._load()

    def moved(self, core: Core, ledger: Ledger, in_window: Callable[[float], Floats]) -> Shares:
        """The same lease for another core; this one has nothing left."""
        self.is_moved = True
        self._granted[np.isfinite(self._granted)] = 0.0
        return Shares(ledger, core, self._clock, in_window, self.exchange)

    def left(self) -> Floats:
        """(n,) what this process may still deliver; infinite without a hard cap."""
        spent = self._core.accounts.spent()
        left: Floats = np.maximum(self._granted - spent, 0.0).min(axis=0)
        is_out = self.is_moved or self.exchange.process != os.getpid() or self.exchange.has_ended()
        return np.where(np.isfinite(left) & is_out, 0.0, left)

    def roll(self) -> None:
        """A day or an hour has begun: what was granted of the last one stays with it."""
        current = {key for w, r in self._limited for key in self._keys(w, r)}
        self.exchange.drop([key for key in self.exchange.caps if self._starts(key) and key not in current])
        self._load()

    def sync(self) -> None:
        """Report what was delivered, and take more."""
        with self._core.lock:
            if self.exchange.process != os.getpid():  # the parent process has the lease
                self.exchange.renew()
                self._core.accounts.own = np.stack([-self._core.accounts.local] * 3)
            wanted = self._prepare()
        self.exchange.sync(wanted)

    def _prepare(self) -> dict[str, int]:
        """Take part in the accounts of now, and of the day and hour to come, so that they do not begin with nothing.

        Returns the keys of which nothing is wanted: of goals that have ended or reached their caps.
        """
        core, spent = self._core, self._core.accounts.spent()
        self.exchange.replicas_expected = core.replicas
        flight = core.accounts.at_most() - spent[0]
        wanted = {}
        for w, r in self._limited:
            cap = math.floor(self._caps[w, r] * UNITS + 1e-3)
            step = UNITS if core.rooms.whole[r] else max(cap // PARTS, 1)
            for number, key in enumerate(self._keys(w, r)):
                wanted[key] = cap
                if key in self.exchange.caps:
                    continue
                had = flight[r] if w == 0 else 0.0
                if w > 0 and number == 0:
                    had = self.in_window(self._began(_KINDS[w]))[r] - spent[w, r]
                self.exchange.add({key: cap}, {key: _units(had)}, step)
        self.exchange.drop([key for key in self.exchange.caps if key not in wanted])
        if self._is_new:
            self.exchange.say(wanted)
            self._is_new = False
        now = -math.inf if core.last is None else core.last
        done = (core.rooms.left(core.accounts.at_most()) <= 0) | (now >= core.rows.end)
        return {self._keys(w, r)[0]: 0 for w, r in self._limited if done[r]}

    def release(self, replica: str, spent: Mapping[str, int]) -> None:
        """See `Pacer.release`; `spent` by the texts of labels."""
        keys = {self._texts[r]: self._keys(w, r)[0] for w, r in self._limited if w == 0}
        known = {keys[text]: amount for text, amount in spent.items() if text in keys}
        self.exchange.release(replica, known, lambda key: label_of(key.rpartition("|")[0]))

    def text(self, row: int) -> str:
        """The text of the label of a goal."""
        return self._texts[row]

    def _look(self) -> None:
        spent = self._core.accounts.spent()
        for w, r in self._limited:
            key = self._keys(w, r)[0]
            if key in self.exchange.spent:
                self.exchange.spent[key] = _units(spent[w, r])

    def _fit(self) -> None:
        self._load()
        self._core.fit()

    def _load(self) -> None:
        granted = self.exchange.granted
        for w, r in self._limited:
            self._granted[w, r] = granted.get(self._keys(w, r)[0], 0) / UNITS

    def _keys(self, w: int, r: int) -> list[str]:
        """Names of an account: of the flight, or of the day or hour of now and the next one."""
        kind, text = _KINDS[w], self._texts[r]
        if kind == "flight":
            return [f"{text}|flight {self._core.rows.start[r]:.3f}"]
        began = self._began(kind)
        return [f"{text}|{kind} {start:.0f}" for start in (began, began + _LENGTHS[kind])]

    def _began(self, kind: str) -> float:
        began = float(self._core.rooms.began[_KINDS.index(kind) - 1])
        return began if began > -math.inf else self._core.targets.window(self._clock(), _LENGTHS[kind])

    @staticmethod
    def _starts(key: str) -> tuple[float, float] | None:
        """(start, length) of a key of a day or an hour."""
        kind, _, start = key.rpartition("|")[2].partition(" ")
        return (float(start), _LENGTHS[kind]) if kind in _LENGTHS else None

    def _is_over(self, key: str) -> bool:
        """Whether all replicas are surely past the day or hour of an account."""
        found = self._starts(key)
        return found is not None and found[0] + 2 * found[1] < self._began("hour")


def _units(amount: Any) -> int:
    return max(math.ceil(float(amount) * UNITS - 1e-3), 0)
