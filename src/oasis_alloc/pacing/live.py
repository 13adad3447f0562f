"""A policy at prices that change: one table per kind of user, replaced as a whole."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.rows import STOP, Rows, Uses
from oasis_alloc.policy import Policy
from oasis_alloc.serving.formula import formula_of
from oasis_alloc.serving.overlay import Overlay, at_prices, overlay_of
from oasis_alloc.serving.request.reader import User

_KINDS = 1 << 14  # users that are known at a time


class Kind:
    """One user as the policy knows them, the same at the prices of now, and what showings to them use."""

    __slots__ = ("base", "user", "uses")

    def __init__(self, base: User, user: User, uses: Uses) -> None:
        self.base, self.user, self.uses = base, user, uses


class Live:
    """What a pacer serves with. `price` is what goals cost; those that are stopped cost a stop."""

    def __init__(self, policy: Policy, rows: Rows) -> None:
        self.policy, self.rows = policy, rows
        self.formula = formula_of(policy.data)
        self.price, self.stopped = rows.base.copy(), np.zeros(rows.n, np.bool_)
        self.version = 0
        self._lock = threading.Lock()
        self._kinds: dict[User, Kind] = {}
        self._uses: dict[tuple[int, ...], Uses] = {}
        self._repriced: Any = None  # None at the policy's own prices
        self._policy: tuple[int, Policy] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("the live prices of a pacer are of one process; pickle the pacer.")

    @property
    def effective(self) -> Floats:
        """(n,) what goals cost now."""
        return np.where(self.stopped, STOP * self.rows.scale, self.price)

    def kind(self, user: User) -> Kind:
        """A user of the policy, at the prices of now."""
        found = self._kinds.get(user)
        return self._made(user) if found is None else found

    def _made(self, user: User) -> Kind:
        if not isinstance(user, User) or user.owner is not self.formula:
            raise InputError("user: expected what pacer.user(...) or policy.user(...) of this policy returns.")
        with self._lock:
            if user.codes not in self._uses:
                if len(self._uses) >= _KINDS:
                    self._uses.clear()
                self._uses[user.codes] = self.rows.uses(self.formula, user.codes)
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            made = Kind(user, self._at_prices(user, {}), self._uses[user.codes])
            self._kinds[user] = made
            return made

    def _at_prices(self, user: User, tables: dict[tuple[int, ...], Floats]) -> User:
        if self._repriced is None:
            return user
        table = tables.get(user.codes)
        if table is None:
            table = tables[user.codes] = self.formula.fold(user.codes, self.formula.everyone, self._repriced)
        return User(user.owner, user.codes, table, user.size, user.at_least, user.plan)

    def publish(self, price: Floats, stopped: Any) -> None:
        """Serve at these prices from here on; a request in progress ends at those that it began with."""
        with self._lock:
            self.price, self.stopped = price.copy(), stopped.copy()
            now = self.effective
            moved = bool((now != self.rows.base).any())
            self._repriced = self.formula.repriced(self.rows.prices(now)) if moved else None
            tables: dict[tuple[int, ...], Floats] = {}
            for kind in self._kinds.values():
                kind.user = self._at_prices(kind.base, tables)
            self.version += 1

    def at_now(self) -> Policy:
        """The policy at the prices of now, for what needs more than tables: explanations, labels of new items."""
        if self._repriced is None:
            return self.policy
        found = self._policy
        if found is None or found[0] != self.version:
            now = self.effective
            name = f"{self.policy.policy_id}+{self.version}"
            data = at_prices(self.policy.data, self.rows.prices(now), self.rows.constraint_prices(now), name)
            found = self._policy = (self.version, Policy(data))
        return found[1]

    def overlay(self, created: float) -> Overlay:
        """What differs from the policy."""
        now = self.effective
        return overlay_of(
            self.policy.data, created, self.version, self.rows.prices(now), self.rows.constraint_prices(now)
        )
