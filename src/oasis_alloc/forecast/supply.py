"""The supply of a campaign: how many impressions there can be, and what they cost at the prices of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines import engine_for
from oasis_alloc.forecast.campaign_program import of_users, with_row
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.kernels.solve.opportunity import opportunity

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


def supply_of(base: QuoteBase, found: Found, asked: float, main: Floats | None, threads: int | None) -> Supply:
    """The supply curve; `asked` impressions in all are looked at most closely, `main` is the main column by pair."""
    cost, units, relevance = _steps(base, found, main)
    most = float(units.sum())
    plain = _by_steps(cost, units, relevance, most)
    rules = base.program.rules
    if rules is None or not (rules.systems or rules.target.size or rules.min_size.any()):
        return plain
    return _by_visits(base, found, plain, asked, threads)


def _steps(base: QuoteBase, found: Found, main: Floats | None) -> tuple[Floats, Floats, Floats]:
    """(cost, impressions, main column given up) of each step, ascending by price; rules besides sizes are left out."""
    score = base.scores(found.pairs, found.owner)
    n = int(found.member.sum())
    cost, pair, given = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    size = base.sizes[found.users]
    n = opportunity(found.start, score, found.member, size, cost, pair, given)
    cost, pair, given = cost[:n], pair[:n], given[:n]
    units = found.units[pair]
    lost = np.zeros(n)
    if main is not None:
        lost = (np.where(given >= 0, main[given], 0.0) - main[pair]) * units
    order = np.argsort(cost / units, kind="stable")
    return cost[order], units[order], lost[order]


def _by_steps(cost: Floats, units: Floats, relevance: Floats, most: float) -> Supply:
    free = int(np.searchsorted(cost, 0.0, side="right"))  # what is shown anyway
    begin = float(units[:free].sum())
    total = begin + np.concatenate([[0.0], np.cumsum(units[free:])])
    price = np.concatenate([[0.0], cost[free:] / units[free:]])
    spent, lost = (np.concatenate([[0.0], np.cumsum(part[free:])]) for part in (cost, relevance))
    return Supply(total, spent, price, lost, most)


def _by_visits(base: QuoteBase, found: Found, plain: Supply, asked: float, threads: int | None) -> Supply:
    """Under rules: visits to the campaign's users at several prices of it."""
    program = with_row(of_users(base.program, found.users, found.pairs), found.member, base.unit_column, 0.0)
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
        for _ in range(_CLOSER):
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
    program = base.program
    member = np.flatnonzero(found.member)
    user = np.searchsorted(found.users, found.owner[member])
    units = found.units[member]
    per_user = np.zeros(found.users.size)
    per_user[user] = units
    count = np.minimum(np.bincount(user, minlength=found.users.size), base.sizes[found.users])
    rules = program.rules
    code = program.code[found.pairs[member]].astype(np.int64)
    for system in rules.systems if rules is not None else ():
        if system.is_single:
            category = system.single[code]
            has = category >= 0
            key, times = np.unique(user[has] * system.n + category[has], return_counts=True)
            within = np.bincount(key // system.n, np.minimum(times, system.max_count), found.users.size)
            count = np.minimum(count, within + np.bincount(user[~has], minlength=found.users.size))
    room = float(count @ per_user)
    return room, min(room, _under_caps(base, found.pairs[member], units))


def _under_caps(base: QuoteBase, pairs: Ints, units: Floats) -> float:
    """The most impressions under the caps of totals that have no negative parts."""
    program, best = base.program, float(units.sum())
    _, upper, _ = program.bands()
    fit = program.hard & np.isfinite(upper) & (base.engine.survey().min_totals >= 0.0)
    if not fit.any():
        return best
    by_pair = base.adds(pairs)
    if by_pair is None:
        return best
    columns = sp.csr_array(by_pair)
    for block in program.blocks:
        rows = np.arange(program.n_rows)[block.rows][fit[block.rows]]
        if not rows.size:
            continue
        adds = sp.csc_array(columns[rows])
        adds.eliminate_zeros()
        entries = np.diff(adds.indptr)
        if (adds.data < 0.0).any() or (entries > 1).any():
            continue
        mine = np.flatnonzero(entries)
        row, rate = adds.indices, adds.data / units[mine]
        least = np.full(rows.size, np.inf)
        np.minimum.at(least, row, rate)
        there = np.bincount(row, units[mine], rows.size)
        allowed = np.minimum(there, np.where(np.isfinite(least), upper[rows] / least, 0.0))
        best = min(best, float(allowed.sum() + units[entries == 0].sum()))
    return best


def by_user_key(base: QuoteBase, found: Found, change: Floats) -> dict[str, list[tuple[Any, float, float, float]]]:
    """(label, impressions now, change, the most that slates have room for) by key of the users."""
    member = np.flatnonzero(found.member)
    owner = base.users_of(found.owner[member])
    now = (found.x * found.units)[member]
    user = np.searchsorted(found.users, found.owner[member])
    room = np.minimum(np.bincount(user, minlength=found.users.size), base.sizes[found.users])
    first: Ints = np.searchsorted(user, np.arange(found.users.size))
    most = room * found.units[member][first]
    out = {}
    for key in base.problem.candidates.users.usable():
        codes, n = key.codes[owner], key.n_groups
        parts = [np.bincount(codes + 1, part, n + 1) for part in (now, change[member])]
        parts.append(np.bincount(codes[first] + 1, most, n + 1))
        labels = [None, *key.labels.tolist()]
        present = np.flatnonzero(np.bincount(codes + 1, minlength=n + 1))
        out[key.name] = [(labels[g], float(parts[0][g]), float(parts[1][g]), float(parts[2][g])) for g in present]
    return out
