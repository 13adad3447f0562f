"""The supply of a campaign: how many impressions there can be, and what they cost at the prices of the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.forecast.best_slates import has_rules
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.kernels.rules.insertions import insertions
from oasis_alloc.kernels.solve.ascending import ascending
from oasis_alloc.kernels.solve.opportunity import opportunity

MainColumn: TypeAlias = Callable[[Ints], Floats | None]
"""The main column of the objective by pair of the program; None without one."""


@dataclass(frozen=True, eq=False)
class Supply:
    """The least that a campaign's impressions cost at fixed prices of everything else: a lower bound, by duality.

    For any price mu >= 0 of an impression, F of them cost at least `mu F - (what slates gain at mu)`. The least cost is
    the largest of these, a convex function of F, given by its corners.
    """

    units: Floats  # impressions of the campaign in all, ascending
    cost: Floats  # from 0 on
    price: Floats  # of an impression up to each corner
    relevance: Floats  # the main column that was given up, an estimate
    most: float  # impressions beyond which slates have no room
    dual: float  # the bound of the plan from which costs are counted

    def cost_of(self, units: Floats) -> Floats:
        """The least cost of that many impressions in all; infinite beyond `most`."""
        found = np.interp(units, self.units, self.cost)
        return np.where(units > self.most * (1.0 + 1e-12) + 1e-12, np.inf, found)

    def relevance_of(self, units: Floats) -> Floats:
        return np.asarray(np.interp(units, self.units, self.relevance))

    def price_of(self, units: Floats) -> Floats:
        """The price of the next impression."""
        at = np.searchsorted(self.units, units * (1.0 + 1e-12), side="right")
        return np.where(at < self.units.size, self.price[np.minimum(at, self.units.size - 1)], np.inf)

    def units_at(self, price: float) -> float:
        """Impressions whose price is at most that."""
        at = int(np.searchsorted(self.price, price * (1.0 + 1e-12), side="right"))
        return float(self.units[max(0, at - 1)]) if self.units.size else 0.0


def supply_of(base: QuoteBase, found: Found, main: MainColumn, threads: int | None) -> Supply:
    """The supply curve."""
    cost, units, relevance = _steps(base, found, main, threads)
    free = int(np.searchsorted(cost, 0.0, side="right"))  # what is shown anyway
    begin = float(units[:free].sum())
    total = begin + np.concatenate([[0.0], np.cumsum(units[free:])])
    price = np.concatenate([[0.0], cost[free:] / units[free:]])
    spent, lost = (np.concatenate([[0.0], np.cumsum(part[free:])]) for part in (cost, relevance))
    dual = base.slates(threads).dual if has_rules(base.program) else base.dual
    return Supply(total, spent, price, lost, float(units.sum()), dual)


def _steps(
    base: QuoteBase, found: Found, main: MainColumn, threads: int | None
) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """(cost, impressions, main column given up) of each step, ascending by price."""
    n = found.mine.size
    cost, place, given = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    mine = found.users, found.begin, found.mine
    if has_rules(base.program):
        known = base.slates(threads)
        n = insertions(*mine, base.priced, known.rules, known.own, known.best, cost, place, given)
    else:
        n = opportunity(*mine, base.priced, base.sizes(found.users), cost, place, given)
    cost, pair, given = cost[:n], found.mine[place[:n]], given[:n]
    units = base.units(pair)
    order = ascending(cost / units)
    cost, units, pair, given = cost[order], units[order], pair[order], given[order]
    own = main(pair)
    if own is None:
        return cost, units, np.zeros(n)
    lost, others = -own, np.flatnonzero(given >= 0)
    given_up = main(given[others])
    if given_up is not None:
        lost[others] += given_up
    return cost, units, lost * units


def most_units(base: QuoteBase, found: Found) -> tuple[float, float]:
    """(impressions that slates have room for, the same under caps): no allocation has more."""
    rules, n = base.program.rules, found.users.size
    count = _room(base, found)
    if rules is not None and rules.systems:
        user = found.user[found.member]
        code = base.program.code[found.mine].astype(np.int64)
        for system in rules.systems:
            if system.is_single:
                category = system.single[code]
                has = category >= 0
                key, times = np.unique(user[has] * system.n + category[has], return_counts=True)
                within = np.bincount(key // system.n, np.minimum(times, system.max_count), n)
                count = np.minimum(count, within + np.bincount(user[~has], minlength=n))
    units = base.units(found.mine)
    room = float(count @ units[found.begin[:-1]])
    return room, min(room, _under_caps(base, found.mine, units))


def _room(base: QuoteBase, found: Found) -> Ints:
    """(n_users,) pairs of the campaign that a slate of each user has room for."""
    return np.minimum(np.diff(found.begin), base.sizes(found.users))


def _under_caps(base: QuoteBase, pairs: Ints, units: Floats) -> float:
    """The most impressions under the caps of totals that have no negative parts."""
    program, best = base.program, float(units.sum())
    _, upper, _ = program.bands()
    fit = program.hard & np.isfinite(upper) & (base.engine.survey().min_totals >= 0.0)
    entries = base.entries(pairs) if fit.any() else None
    if entries is None:
        return best
    pair, row, adds = entries
    kept = fit[row] & (adds != 0.0)
    pair, row, adds = pair[kept], row[kept], adds[kept]
    for block in program.blocks:
        n = block.rows.stop - block.rows.start
        of = np.flatnonzero((row >= block.rows.start) & (row < block.rows.stop))
        mine, rows, rate = pair[of], row[of] - block.rows.start, adds[of] / units[pair[of]]
        limited = np.zeros(units.size, np.bool_)
        limited[mine] = True
        if not of.size or (rate < 0.0).any() or np.count_nonzero(limited) < of.size:
            continue
        least = np.full(n, np.inf)
        np.minimum.at(least, rows, rate)
        there = np.bincount(rows, units[mine], n)
        some = np.flatnonzero(np.isfinite(least))
        allowed = np.minimum(there[some], upper[block.rows][some] / least[some])
        best = min(best, float(allowed.sum() + units[~limited].sum()))
    return best


def by_user_key(base: QuoteBase, found: Found, change: Floats) -> dict[str, list[tuple[Any, float, float, float]]]:
    """(label, impressions now, change, the most that slates have room for) by key of the users."""
    n, user = found.users.size, found.user[found.member]
    now, more = (np.bincount(user, part[found.member], n) for part in (found.x * found.units, change))
    most = _room(base, found) * base.units(found.mine[found.begin[:-1]])
    owner = base.users_of(found.users)
    out = {}
    for key in base.problem.candidates.users.usable():
        codes, groups = key.codes[owner] + 1, key.n_groups + 1
        parts = [np.bincount(codes, part, groups).tolist() for part in (now, more, most)]
        labels = [None, *key.labels.tolist()]
        present = np.flatnonzero(np.bincount(codes, minlength=groups)).tolist()
        out[key.name] = [(labels[g], parts[0][g], parts[1][g], parts[2][g]) for g in present]
    return out
