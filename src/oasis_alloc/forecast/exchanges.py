"""A change of the plan that delivers more of a campaign and keeps all limits: it proves what that costs at most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.kernels.solve.exchange import Categories, Limits, Shown, exchange
from oasis_alloc.program.slate_rules import LoweredRules

_MOST_WAYS = 20_000_000  # exchanges above which none is tried: a campaign of a large part of all pairs
_AHEAD = 8.0  # exchanges looked at first, per impression that is wanted


@dataclass(frozen=True, eq=False)
class Exchanged:
    """Changed slates of the campaign's users, and what came of trying."""

    at: Ints  # places in `Found.pairs` that may have changed
    x: Floats  # their probabilities
    gained: float
    stopped: Floats  # (n_rows,) impressions that a row stopped

    def slates(self, found: Found) -> Floats:
        """The probabilities of all pairs of the campaign's users."""
        out = np.array(found.x)
        out[self.at] = self.x
        return out


class Exchanges:
    """The exchanges of one campaign, cheapest first."""

    def __init__(self, base: QuoteBase, found: Found) -> None:
        self._base, self._found = base, found
        shown = np.flatnonzero(found.member | (found.x > 0.0))
        self._at = shown
        self._state = _state(base, found, shown)
        self._limits = _limits(base, found.pairs[shown]) if _count(found, shown, self._state) <= _MOST_WAYS else None
        self._categories = _categories(base, found.pairs[shown])
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        ways = none if self._limits is None else _ways(base, found, shown, self._state)
        self._wanted, self._giver, self._cost = ways

    def gain(self, need: float) -> Exchanged:
        """Go on until `need` impressions are gained in all (infinite: all that can be), or nothing is left to try."""
        if self._limits is None:
            return Exchanged(self._at, np.array(self._state.x), 0.0, np.zeros(self._base.program.n_rows))
        gained = float(((self._state.x - self._found.x[self._at]) * self._found.units[self._at])[self._member].sum())
        n = self._cost.size
        first = int(min(n, _AHEAD * need + 64)) if np.isfinite(need) else n
        for count in {first: None, n: None}:
            if gained >= need - 1e-12 * max(1.0, need):
                break
            order = np.argpartition(self._cost, count - 1)[:count] if count < n else np.arange(n)
            order = order[np.argsort(self._cost[order], kind="stable")]
            gained += exchange(
                order, self._wanted, self._giver, need - gained, self._state, self._limits, self._categories
            )
        return Exchanged(self._at, np.array(self._state.x), gained, np.array(self._limits.stopped))

    @property
    def _member(self) -> Ints:
        return np.flatnonzero(self._found.member[self._at])


def _count(found: Found, at: Ints, state: Shown) -> int:
    """How many exchanges there are."""
    member = found.member[at]
    wanted = np.bincount(state.user[member], minlength=found.users.size)
    givers = np.bincount(state.user[~member], minlength=found.users.size)
    return int(wanted @ (givers + 1))


def _limits(base: QuoteBase, pairs: Ints) -> Limits | None:
    """Rows with hard limits, and what pairs add to them; None where that is too much."""
    program = base.program
    lower, upper, _ = program.bands()
    rows = np.flatnonzero(program.hard & (np.isfinite(lower) | np.isfinite(upper)))
    adds = base.adds(pairs)
    if adds is None:
        return None
    adds = sp.csc_array(sp.csr_array(adds)[rows])
    slack = np.full((program.n_rows, 2), np.inf)
    totals = base.allocation.totals
    slack[:, 0], slack[:, 1] = upper - totals, totals - lower
    return Limits(
        adds.indptr.astype(np.int64), rows[adds.indices], np.array(adds.data), slack, np.zeros(program.n_rows)
    )  # fmt: skip


def _state(base: QuoteBase, found: Found, at: Ints) -> Shown:
    """The slates of the campaign's users, to be changed."""
    user = np.searchsorted(found.users, found.owner[at])
    start = np.searchsorted(user, np.arange(found.users.size + 1))
    x = np.array(found.x[at])
    filled = np.bincount(user, x, found.users.size)
    rules: LoweredRules | None = base.program.rules
    guard, spare = np.empty(0), np.empty(0)
    if rules is not None and rules.target.size:
        guard = np.asarray(rules.guard[found.pairs[at]], np.float64)
        spare = np.maximum(0.0, np.bincount(user, guard * x, found.users.size) - rules.target[found.users])
    units = np.ones(found.users.size)
    units[user] = found.units[at]
    room = np.maximum(0.0, base.sizes[found.users] - filled)
    return Shown(start.astype(np.int64), user.astype(np.int64), x, room, units, guard, spare)


def _categories(base: QuoteBase, pairs: Ints) -> Categories:
    """The categories of pairs that have a cap per slate."""
    rules, n = base.program.rules, pairs.size
    entries, of = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    cap: list[Floats] = []
    n_categories = 0
    for system in rules.systems if rules is not None else ():
        entry, category = system.members(base.program.code[pairs].astype(np.int64))
        entries.append(entry)
        of.append(category + n_categories)
        cap.append(np.full(system.n, float(system.max_count)))
        n_categories += system.n
    entry, category = np.concatenate(entries), np.concatenate(of)
    order = np.argsort(entry, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(entry, minlength=n))]).astype(np.int64)
    return Categories(start, category[order], np.concatenate(cap) if cap else np.empty(0))


def _ways(base: QuoteBase, found: Found, at: Ints, state: Shown) -> tuple[Ints, Ints, Floats]:
    """(pair of the campaign, pair that gives its place or -1, cost per impression) of every exchange.

    The cost is what the objective loses: values, and the slopes of its functions, but no prices of limits, because
    what a limit gains is not used by others.
    """
    program, pairs = base.program, found.pairs[at]
    own = np.where(program.hard, 0.0, base.prices)
    tables = program.tables(own)
    view = base.engine.take(pairs)
    value = view.value - tables[0].ravel()[view.cells]
    for k in range(1, len(program.base)):
        value -= tables[k].ravel()[view.cells] * view.extra(k - 1)
    member = found.member[at]
    wanted = np.flatnonzero(member & (state.x < 1.0))
    givers = np.flatnonzero(~member & (state.x > 0.0))
    first = np.searchsorted(state.user[givers], np.arange(found.users.size + 1))
    count = np.diff(first)[state.user[wanted]] + 1  # and an empty slot
    begin = np.concatenate([[0], np.cumsum(count)])
    way = np.repeat(np.arange(wanted.size), count)
    place = np.arange(int(begin[-1])) - begin[way]
    is_empty = place == count[way] - 1
    index = np.where(is_empty, 0, first[state.user[wanted[way]]] + place)
    giver = np.where(is_empty, -1, givers[np.minimum(index, max(0, givers.size - 1))] if givers.size else -1)
    cost = np.where(giver >= 0, value[giver], 0.0) - value[wanted[way]]
    return readonly(wanted[way]), readonly(giver.astype(np.int64)), cost / state.units[state.user[wanted[way]]]
