"""The supply of a campaign: how many impressions there can be, and what they cost at the prices of the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines import engine_for
from oasis_alloc.forecast.campaign_program import of_users, with_row
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.kernels.solve.ascending import ascending
from oasis_alloc.kernels.solve.opportunity import opportunity

MainColumn: TypeAlias = Callable[[Ints], Floats | None]
"""The main column of the objective by pair of the program; None without one."""

_PRICES = 9  # visits at prices of the campaign, under rules of slates
_CLOSER = 4  # further ones, near the price of what is asked


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


def supply_of(base: QuoteBase, found: Found, asked: float, main: MainColumn, threads: int | None) -> Supply:
    """The supply curve; `asked` impressions in all are looked at most closely."""
    cost, units, relevance = _steps(base, found, main)
    most = float(units.sum())
    plain = _by_steps(cost, units, relevance, most)
    rules = base.program.rules
    if rules is None or not (rules.systems or rules.target.size or rules.min_size.any()):
        return plain
    return _by_visits(base, found, plain, asked, threads)


def _steps(base: QuoteBase, found: Found, main: MainColumn) -> tuple[Floats, Floats, Floats]:
    """(cost, impressions, main column given up) of each step, ascending by price; rules besides sizes are left out."""
    n = found.mine.size
    cost, place, given = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    n = opportunity(found.users, found.begin, found.mine, base.priced, base.sizes(found.users), cost, place, given)
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


def _by_steps(cost: Floats, units: Floats, relevance: Floats, most: float) -> Supply:
    free = int(np.searchsorted(cost, 0.0, side="right"))  # what is shown anyway
    begin = float(units[:free].sum())
    total = begin + np.concatenate([[0.0], np.cumsum(units[free:])])
    price = np.concatenate([[0.0], cost[free:] / units[free:]])
    spent, lost = (np.concatenate([[0.0], np.cumsum(part[free:])]) for part in (cost, relevance))
    return Supply(total, spent, price, lost, most)


def _by_visits(base: QuoteBase, found: Found, plain: Supply, asked: float, threads: int | None) -> Supply:
    """Under rules: visits to the campaign's users at several prices of it."""
    ours = of_users(base.program, found)
    program = with_row(ours.program, ours.member, base.unit_column, 0.0)
    top = max(float(plain.price[-1]), 1e-9 * (base.engine.survey().size or 1.0))
    some = np.unique(np.quantile(plain.price, np.linspace(0.0, 1.0, _PRICES - 3)))
    tried = [0.0, *some[some > 0.0].tolist(), 1.5 * top, 4.0 * top]
    with engine_for(program, threads) as engine:
        gamma = base.smoothing  # as in the visit that `base.dual` comes from

        def look(price: float) -> tuple[float, float]:
            visit = engine.visit(np.append(base.prices, -price), gamma)
            return float(visit.bound), float(visit.totals[-1])

        start = look(0.0)[0]
        seen = {price: look(price) for price in tried[1:]}
        for _ in range(_CLOSER if asked > found.now else 0):
            below = max((p for p, (_, n) in seen.items() if n < asked), default=0.0)
            above = min((p for p, (_, n) in seen.items() if n >= asked), default=np.inf)
            if not np.isfinite(above) or above - below <= 1e-6 * top:
                break
            middle = 0.5 * (below + above)
            seen[middle] = look(middle)
    prices = np.array([0.0, *sorted(seen)])
    gain = np.array([0.0, *(max(0.0, seen[p][0] - start) for p in sorted(seen))])
    return _envelope(prices, gain, plain)


def _envelope(prices: Floats, gain: Floats, plain: Supply) -> Supply:
    """The largest of `price * F - gain` over the prices, as a function of F by its corners."""
    keep = [0]
    for k in range(1, prices.size):
        while len(keep) > 1:
            i, j = keep[-2], keep[-1]
            first = (gain[j] - gain[i]) * (prices[k] - prices[j])
            if first < (gain[k] - gain[j]) * (prices[j] - prices[i]):
                break
            keep.pop()
        keep.append(k)
    p, g = prices[keep], gain[keep]
    corner = np.diff(g) / np.diff(p)  # where the line of the next price takes over
    units = np.append(corner, max(plain.most, float(corner[-1]) if corner.size else 0.0))
    cost = p * units - g
    lost = plain.relevance_of(units)
    return Supply(units, np.maximum(cost, 0.0), p, lost, plain.most)


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
