"""A change of the plan that delivers more of a campaign and keeps all limits: it proves what that costs at most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.kernels.solve.ascending import ascending
from oasis_alloc.kernels.solve.exchange import Categories, Limits, Shown, exchange
from oasis_alloc.kernels.solve.quoted_pairs import exchanges
from oasis_alloc.program.slate_rules import LoweredRules

_MOST_WAYS = 20_000_000  # exchanges above which none is tried: a campaign of a large part of all pairs
_AHEAD = 8.0  # exchanges looked at first, per impression that is wanted


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Changed slates of the campaign's users, and what came of trying."""

    x: Floats  # the probabilities of `Found.pairs`
    gained: float
    stopped: Floats  # (n_rows,) impressions that a row stopped


class Exchanges:
    """The exchanges of one campaign, cheapest first."""

    def __init__(self, base: QuoteBase, found: Found) -> None:
        self._base, self._found = base, found
        self._member = np.flatnonzero(found.member)
        self._state = _state(base, found)
        self._limits = _limits(base, found) if _count(found) <= _MOST_WAYS else None
        self._categories = _categories(base, found.pairs)
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        ways = none if self._limits is None else _ways(base, found, self._state)
        self._wanted, self._giver, self._cost = ways

    def gain(self, need: float) -> Exchanged:
        """Go on until `need` impressions are gained in all (infinite: all that can be), or nothing is left to try."""
        if self._limits is None:
            return Exchanged(np.array(self._state.x), 0.0, np.zeros(self._base.program.n_rows))
        moved = (self._state.x - self._found.x)[self._member]
        gained = float((moved * self._found.units[self._member]).sum())
        n = self._cost.size
        first = int(min(n, _AHEAD * need + 64)) if np.isfinite(need) else n
        for count in {first: None, n: None}:
            if gained >= need - 1e-12 * max(1.0, need):
                break
            gained += exchange(
                self._cheapest(count), self._wanted, self._giver, need - gained, self._state, self._limits,
                self._categories,
            )  # fmt: skip
        return Exchanged(np.array(self._state.x), gained, np.array(self._limits.stopped))

    def _cheapest(self, count: int) -> Ints:
        """The first `count` exchanges by cost."""
        if count == self._cost.size:
            return self._all
        some = np.argpartition(self._cost, count - 1)[:count]
        return some[np.argsort(self._cost[some], kind="stable")]

    @cached_property
    def _all(self) -> Ints:
        return ascending(self._cost)


def _count(found: Found) -> int:
    """How many exchanges there are at most."""
    wanted = np.bincount(found.user[found.member], minlength=found.users.size)
    givers = np.diff(found.start) - wanted
    return int(wanted @ (givers + 1))


def _limits(base: QuoteBase, found: Found) -> Limits | None:
    """Rows with hard limits, and what pairs add to them; None where that is too much."""
    program = base.program
    by_cell = base.limits_of_cells
    if by_cell is None:
        return None
    lower, upper, _ = program.bands()
    totals = base.allocation.totals
    slack = np.stack([upper - totals, totals - lower], axis=1)
    cells, extra = base.columns(found.pairs, found.users[found.user])
    return Limits(*by_cell, cells, extra, slack, np.zeros(program.n_rows))


def _state(base: QuoteBase, found: Found) -> Shown:
    """The slates of the campaign's users, to be changed."""
    user, x = found.user, np.array(found.x)
    filled = np.bincount(user, x, found.users.size)
    rules: LoweredRules | None = base.program.rules
    guard, spare = np.empty(0), np.empty(0)
    if rules is not None and rules.target.size:
        guard = rules.guard.at(found.pairs, found.users[user])
        spare = np.maximum(0.0, np.bincount(user, guard * x, found.users.size) - rules.target[found.users])
    units = np.ones(found.users.size)
    units[user] = found.units
    room = np.maximum(0.0, base.sizes(found.users) - filled)
    return Shown(found.start, user, x, room, units, guard, spare)


def _categories(base: QuoteBase, pairs: Ints) -> Categories:
    """The categories of pairs that have a cap per slate."""
    rules, n = base.program.rules, pairs.size
    if rules is None or not rules.systems:
        return Categories(np.zeros(n + 1, np.int64), np.empty(0, np.int64), np.empty(0))
    entries, of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    cap: list[Floats] = []
    n_categories = 0
    for system in rules.systems:
        entry, category = system.members(base.program.code[pairs].astype(np.int64))
        entries.append(entry)
        of.append(category + n_categories)
        cap.append(np.full(system.n, float(system.max_count)))
        n_categories += system.n
    entry, category = np.concatenate(entries), np.concatenate(of)
    order = np.argsort(entry, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(entry, minlength=n))]).astype(np.int64)
    return Categories(start, category[order], np.concatenate(cap))


def _ways(base: QuoteBase, found: Found, state: Shown) -> tuple[Ints, Ints, Floats]:
    """(pair of the campaign, pair that gives its place or -1, cost per impression) of every exchange.

    The cost is what the objective loses: values, and the slopes of its functions, but no prices of limits, because
    what a limit gains is not used by others.
    """
    program, pairs = base.program, found.pairs
    tables = program.tables(np.where(program.hard, 0.0, base.prices))
    cells, extra = base.columns(pairs, found.users[found.user])
    value = program.value[pairs].astype(np.float64) - tables[0].ravel()[cells]
    for k in range(extra.shape[0]):
        value -= tables[k + 1].ravel()[cells] * extra[k]
    room = _count(found)
    wanted, giver, cost = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    n = exchanges(found.start, found.member, state.x, value, state.units, state.room, wanted, giver, cost)
    return wanted[:n], giver[:n], cost[:n]
