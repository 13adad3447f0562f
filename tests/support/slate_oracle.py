"""What slates may be, worked out a second time from the statement: one polytope of all users' slates.

Slots of different weights are assignments of items to slots where no other rule is stated. Under other rules they are
what the statement says of them: one slate for the first k slots, for every k at which weights fall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from strategies import USER_KEYS, Case, Market

import oasis_alloc as oa

Array = np.ndarray[Any, Any]
TOLERANCES = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def labels_of(market: Market, key: str, pair: int) -> list[Any]:
    """All labels of a pair: none, one or several."""
    at = market.user[pair] if key in USER_KEYS else market.item[pair]
    label = market.labels[key][at]
    return [] if label in (None, -1) else label if isinstance(label, list) else [label]


@dataclass(frozen=True, eq=False)
class Polytope:
    """`x = shown @ v` for `lower <= rows @ v <= upper`, 0 <= v <= 1; decrements take `cost @ v`.

    `user_of` says whose a variable is. Costs and the numbers of users are not weighted by supply.
    """

    shown: sp.csr_array
    rows: sp.csr_array
    lower: Array
    upper: Array
    cost: Array
    user_of: Array
    supply: Array  # (n_users,)

    @cached_property
    def inequalities(self) -> tuple[sp.csr_array, Array]:
        """(matrix, limits) of `matrix @ v <= limits`."""
        has, needs = np.isfinite(self.upper), np.isfinite(self.lower)
        matrix = sp.vstack([self.rows[has], -self.rows[needs]], format="csr")
        return matrix, np.concatenate([self.upper[has], -self.lower[needs]])

    @cached_property
    def weighted_cost(self) -> Array:
        return self.cost * self.supply[self.user_of]

    def each(self, scores: Array) -> Array:
        """(n_users,) the most that scores less decrements can be in a slate."""
        gain = self.shown.T @ scores - self.cost
        if not gain.size:
            return np.zeros(self.supply.size)
        matrix, limits = self.inequalities
        result = linprog(-gain, matrix, limits, bounds=(0.0, 1.0), method="highs", options=TOLERANCES)
        assert result.status == 0, result.message
        return np.bincount(self.user_of, gain * result.x, self.supply.size)

    def best(self, scores: Array) -> float:
        """What everyone's best slates are worth, each counted by its supply."""
        return float(self.supply @ self.each(scores))

    def nearest(self, x: Array) -> tuple[float, float]:
        """(by how much x breaks a rule, what decrements take of it at the least, by supply)."""
        if not x.size:
            return 0.0, 0.0
        matrix, limits = self.inequalities
        n_rows, n = matrix.shape
        wide = sp.vstack([
            sp.hstack([matrix, -np.ones((n_rows, 1))]),
            sp.hstack([self.shown, -np.ones((x.size, 1))]),
            sp.hstack([-self.shown, -np.ones((x.size, 1))]),
        ])  # fmt: skip
        result = linprog(
            np.concatenate([1e-3 * self.weighted_cost, [1e3]]),
            wide,
            np.concatenate([limits, x, -x]),
            bounds=[(0.0, 1.0)] * n + [(0.0, None)],
            method="highs",
            options=TOLERANCES,
        )
        assert result.status == 0, result.message
        return float(result.x[-1]), float(self.weighted_cost @ result.x[:-1])


def polytope(market: Market, slate: oa.Slate, supply: Array | None = None) -> Polytope:
    """The slates of a statement."""
    ones = np.ones(market.n_users) if supply is None else np.asarray(supply)
    if slate.slot_weights is not None and not (slate.keys or slate.keep or np.any(slate.at_least)):
        return _assignment(market, slate, ones)
    return _levels(market, slate, ones)


def _assignment(market: Market, slate: oa.Slate, supply: Array) -> Polytope:
    """One variable for a pair and a slot; a pair has one slot at the most, and a slot one pair."""
    assert slate.slot_weights is not None
    size = np.broadcast_to(slate.size, market.n_users)
    slots = [(pair, k) for pair, u in enumerate(market.user) for k in range(size[u])]
    pair, slot = np.array(slots, np.int64).reshape(-1, 2).T
    user, n = np.array(market.user, np.int64)[pair], len(slots)
    _, place = np.unique(user * (1 + slot.max(initial=0)) + slot, return_inverse=True)
    row = np.concatenate([pair, market.n_pairs + place])
    n_rows = market.n_pairs + int(place.max(initial=-1)) + 1
    rows = sp.csr_array((np.ones(2 * n), (row, np.tile(np.arange(n), 2))), shape=(n_rows, n))
    shown = sp.csr_array((slate.slot_weights[slot], (pair, np.arange(n))), shape=(market.n_pairs, n))
    return Polytope(shown, rows, np.full(n_rows, -np.inf), np.ones(n_rows), np.zeros(n), user, supply)


def _levels(market: Market, slate: oa.Slate, supply: Array) -> Polytope:
    """The sum of a slate for the first k slots, for every k, each times the fall of the weights after it."""
    weights = np.ones(1) if slate.slot_weights is None else slate.slot_weights
    falls = weights - np.append(weights[1:], 0.0)
    parts = []
    for k, fall in enumerate(falls.tolist()):
        if fall > 0.0:
            first = None if slate.slot_weights is None else k + 1
            level = _level(market, slate, supply, first)
            parts.append(replace(level, shown=fall * level.shown, cost=fall * level.cost))
    return Polytope(
        sp.csr_array(sp.hstack([part.shown for part in parts])),
        sp.csr_array(sp.block_diag([part.rows for part in parts])),
        *(np.concatenate([getattr(part, of) for part in parts]) for of in ("lower", "upper", "cost", "user_of")),
        supply,
    )


def _level(market: Market, slate: oa.Slate, supply: Array, first: int | None) -> Polytope:
    """Slates of at most `first` items under all rules but positions."""
    size = np.array(np.broadcast_to(slate.size, market.n_users))
    least = np.minimum(np.broadcast_to(slate.at_least, market.n_users), size)
    if first is not None:
        size, least = np.minimum(size, first), np.minimum(least, first)
    plain = oa.Slate(slate.size, slate.at_most)
    if least.any():  # no more than can be had
        most = _rows(market, plain, supply, size).each(np.ones(market.n_pairs))
        least = np.minimum(least, np.floor(most + 1e-6))
    out = _rows(market, slate, supply, size, least)
    for column, share in slate.keep.items():
        numbers = market.columns[column].astype(float)
        organic = _rows(market, plain, supply, size, least).each(numbers)
        target = organic - (1.0 - share) * np.abs(organic)
        has = np.bincount(market.user, minlength=market.n_users) > 0
        guard = sp.csr_array(
            (numbers, (market.user, np.arange(market.n_pairs))), shape=(market.n_users, market.n_pairs)
        )
        guard = sp.csr_array(sp.hstack([guard, sp.csr_array((market.n_users, out.cost.size - market.n_pairs))]))
        out = replace(
            out,
            rows=sp.csr_array(sp.vstack([out.rows, guard[has]])),
            lower=np.concatenate([out.lower, target[has]]),
            upper=np.concatenate([out.upper, np.full(int(has.sum()), np.inf)]),
        )
    return out


def _rows(market: Market, slate: oa.Slate, supply: Array, size: Array, least: Array | None = None) -> Polytope:
    """Sizes, caps and steps; without a guard. The variables are the pairs, then the steps."""
    n = market.n_pairs
    row, column, entry = list(market.user), list(range(n)), [1.0] * n
    lower = np.full(market.n_users, -np.inf) if least is None else np.asarray(least, float)
    limits, cost, owner = size.astype(float).tolist(), [0.0] * n, list(market.user)
    for (user, _), key, members in _categories(market, slate):
        most = slate.at_most.get(key, len(members))
        steps = _steps(slate.diminishing.get(key, 0.0), min(most, len(members)))
        row += [len(limits)] * (len(members) + len(steps))
        column += [*members, *range(len(cost), len(cost) + len(steps))]
        entry += [1.0] * len(members) + [-1.0] * len(steps)
        limits.append(0.0)
        cost += steps
        owner += [user] * len(steps)
    rows = sp.csr_array((entry, (row, column)), shape=(len(limits), len(cost)))
    lower = np.concatenate([lower, np.full(len(limits) - market.n_users, -np.inf)])
    shown = sp.csr_array(sp.eye_array(n, len(cost)))
    return Polytope(shown, rows, lower, np.array(limits), np.array(cost), np.array(owner, np.int64), supply)


def _categories(market: Market, slate: oa.Slate) -> Iterator[tuple[tuple[int, Any], str, list[int]]]:
    for key in dict.fromkeys([*slate.at_most, *slate.diminishing]):
        members: dict[tuple[int, Any], list[int]] = {}
        for pair in range(market.n_pairs):
            for label in labels_of(market, key, pair):
                members.setdefault((market.user[pair], label), []).append(pair)
        for group, mine in members.items():
            yield group, key, mine


def _steps(step: Any, n: int) -> list[float]:
    """What the first n items of a category cost, one by one."""
    if isinstance(step, float):
        return [step * j for j in range(n)]
    return [float(step[min(j, len(step) - 1)]) for j in range(n)]


def polytope_of(case: Case) -> Polytope:
    return polytope(case.market, case.problem.slate, case.problem.supply)


def counted(case: Case) -> Array:
    """(n_pairs,) what a pair's user counts."""
    supply = case.problem.supply
    return np.ones(case.market.n_pairs) if supply is None else supply[np.array(case.market.user, np.int64)]
