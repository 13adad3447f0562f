"""The optimum of a small problem worked out a second time: from plain lists, by SciPy's linear programming.

Nothing here comes from the package but the statement of the problem: the measures' terms, the limits as they were
given, the slate. So it shares no arithmetic with `program.py` and no solver settings with `solvers/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from scipy.special import xlogy
from slate_oracle import counted, polytope_of
from strategies import ITEM_KEYS, Case, Market

import oasis_alloc as oa
from oasis_alloc.statement.functions.entropy import Entropy
from oasis_alloc.statement.functions.gini_welfare import GiniWelfare
from oasis_alloc.statement.functions.kl import Kl
from oasis_alloc.statement.functions.reach import Reach
from oasis_alloc.statement.functions.soft import Soft
from oasis_alloc.statement.functions.square_deviation import SquareDeviation
from oasis_alloc.statement.functions.worst_off import WorstOff

Array = np.ndarray[Any, np.dtype[np.float64]]


def label_of(market: Market, key: str, pair: int) -> Any:
    """The label of a pair, None where it has none."""
    at = market.item[pair] if key in ITEM_KEYS else market.user[pair]
    label = market.labels[key][at]
    return None if label == -1 else label


def groups(market: Market, by: tuple[str, ...]) -> list[Any]:
    """Sorted labels of a key, whether or not a candidate has them; of several keys, the tuples that occur."""
    if not by:
        return [None]
    of_items, of_users = [k for k in by if k in ITEM_KEYS], [k for k in by if k not in ITEM_KEYS]
    if of_items and of_users:
        rows = [tuple(label_of(market, key, pair) for key in by) for pair in range(market.n_pairs)]
    else:
        rows = [
            tuple(None if label == -1 else label for label in row)
            for row in zip(*(market.labels[k] for k in by), strict=True)
        ]
    found = sorted({row for row in rows if None not in row})
    return found if len(by) > 1 else [row[0] for row in found]


def matrix(measure: oa.Measure, market: Market) -> Array:
    """(n_groups, n_pairs): what each pair adds to each group's total, per unit of its probability."""
    labels = groups(market, measure.by)
    out = np.zeros((len(labels), market.n_pairs))
    for g, label in enumerate(labels):
        parts = label if len(measure.by) > 1 else (label,)
        wanted = dict(zip(measure.by, parts, strict=True)) if measure.by else {}
        for term in measure.terms:
            for pair in range(market.n_pairs):
                if all(label_of(market, key, pair) == wanted[key] for key in term.by):
                    number = 1.0 if term.column is None else float(market.columns[term.column][pair])
                    out[g, pair] += term.coefficient * number
    return out


def values(case: Case) -> Array:
    """(n_pairs,) what a pair is worth, and its earlier probability where the objective stays close to a solution."""
    worth = matrix(case.problem.maximize.linear, case.market)[0]  # type: ignore[arg-type]
    for kept in case.problem.maximize.steady:
        before = shown(kept.earlier.candidates, kept.earlier.positions, kept.earlier.x)
        pairs = named(case.problem.candidates, range(case.market.n_pairs))
        worth += kept.weight * np.array([before.get(pair, 0.0) for pair in pairs])
    return worth


def named(candidates: oa.Candidates, positions: Iterable[int]) -> list[tuple[Any, Any]]:
    """The ids of the user and the item of pairs, their numbers where they have none."""
    out = []
    for position in positions:
        user = next(u for u in range(candidates.n_users) if position < candidates.indptr[u + 1])
        item = int(candidates.item[position])
        ids = candidates.user_ids, candidates.item_ids
        out.append(tuple(n if of is None else of.tolist()[n] for n, of in zip((user, item), ids, strict=True)))
    return out


def shown(candidates: oa.Candidates, positions: Array, x: Array) -> dict[tuple[Any, Any], float]:
    """Probability of every pair that an allocation shows, by ids."""
    return dict(zip(named(candidates, positions.tolist()), x.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Rows:
    """A function's rows: totals `matrix @ x`, limits (infinite where there is none), and the penalty."""

    name: str
    matrix: Array
    lower: Array
    upper: Array
    penalty: float

    @property
    def hard(self) -> bool:
        return not np.isfinite(self.penalty)

    def size(self) -> float:
        """max(1, sum of limits)."""
        lower, upper = (np.where(np.isfinite(side), np.abs(side), 0.0) for side in (self.lower, self.upper))
        return max(1.0, float(np.maximum(lower, upper).sum()))

    def ratio(self, x: Array) -> float:
        """The largest excess / max(|limit|, sum of absolute contributions) of the groups."""
        totals, made_of = self.matrix @ x, np.abs(self.matrix) @ x
        limit = np.where(totals > self.upper, self.upper, self.lower)
        size = np.maximum(np.where(np.isfinite(limit), np.abs(limit), 0.0), made_of)
        excess = self.excess(x)
        return float(np.divide(excess, size, out=np.zeros(size.size), where=excess > 0.0).max(initial=0.0))

    def excess(self, x: Array) -> Array:
        totals = self.matrix @ x
        return np.maximum(np.maximum(totals - self.upper, self.lower - totals), 0.0)

    def conjugate(self, prices: Array) -> float:
        """The most that limits let `prices @ totals` be: infinite where a price has no limit to stand on."""
        if np.any(np.abs(prices) > self.penalty * (1 + 1e-9)):
            return float(np.inf)
        out = 0.0
        for price, lower, upper in zip(prices, self.lower, self.upper, strict=True):
            if price != 0.0:
                out += price * (upper if price > 0 else lower)
        return out


def rows_of(case: Case) -> list[Rows]:
    """The rows of every constraint, in the order of the problem."""
    out = []
    for name, function in zip(case.problem.names, case.problem.subject_to, strict=False):  # functions have names too
        band: Any = function.constraint if isinstance(function, Soft) else function
        labels = groups(case.market, band.measure.by)
        if isinstance(band.limit, dict):
            limit = np.array([band.limit.get(label, np.nan) for label in labels], dtype=float)
        else:
            limit = np.broadcast_to(np.asarray(band.limit, dtype=float), (len(labels),))
        lower = np.where(np.isnan(limit) | (band.sense == "<="), -np.inf, limit)
        upper = np.where(np.isnan(limit) | (band.sense == ">="), np.inf, limit)
        penalty = function.penalty if isinstance(function, Soft) else np.inf
        out.append(Rows(name, matrix(band.measure, case.market), lower, upper, penalty))
    return out


@dataclass(frozen=True, eq=False)
class Curve:
    """A concave function of the objective: totals `matrix @ x`, and its formula, weight and all."""

    name: str
    matrix: Array
    formula: Callable[[Array], Array]

    def value(self, x: Array) -> float:
        """What these totals are worth; a rounding below 0 is 0, as no sum of exposures is below it."""
        totals, (least, most) = self.matrix @ x, self.range()
        return float(np.sum(self.formula(np.clip(totals, least, most))))

    def range(self) -> tuple[Array, Array]:
        """Between which numbers the totals lie, whatever is shown."""
        return np.minimum(self.matrix, 0.0).sum(axis=1), np.maximum(self.matrix, 0.0).sum(axis=1)

    def conjugate(self, prices: Array) -> float:
        """The most that `formula(e) + prices * e` can be over the range: by ternary search, as it is concave."""
        low, high = self.range()
        for _ in range(120):
            third = (high - low) / 3
            left, right = low + third, high - third
            better = self.formula(left) + prices * left >= self.formula(right) + prices * right
            low, high = np.where(better, low, left), np.where(better, right, high)
        ends = np.stack([self.formula(e) + prices * e for e in (*self.range(), 0.5 * (low + high))])
        return float(ends.max(axis=0).sum())


@dataclass(frozen=True, eq=False)
class Ranked:
    """A welfare by rank: `weights @ sort(totals / shares)`, which is a minimum over the weights' orders."""

    name: str
    matrix: Array
    weights: Array  # falling
    shares: Array

    def value(self, x: Array) -> float:
        return float(self.weights @ np.sort(self.matrix @ x / self.shares))

    def conjugate(self, prices: Array) -> float:
        """0 where minus the prices lie in the hull of the weights in all orders: no k of them above the k largest."""
        mu = np.sort(-prices * self.shares)[::-1]
        slop = 1e-9 * max(1e-300, float(self.weights.sum()))
        above = np.cumsum(mu) - np.cumsum(self.weights)
        inside = above.max(initial=0.0) <= slop and (not mu.size or abs(above[-1]) <= slop)
        return 0.0 if inside else float(np.inf)


def curves_of(case: Case) -> list[Curve | Ranked]:
    """The concave functions of the objective, in the order of the problem."""
    names = case.problem.names[len(case.problem.subject_to) :]
    out: list[Curve | Ranked] = []
    for name, function in zip(names, case.problem.maximize.functions, strict=True):
        labels = groups(case.market, function.measure.by)
        if isinstance(function, WorstOff | GiniWelfare):
            out.append(ranked_of(name, function, labels, matrix(function.measure, case.market)))
            continue
        slots = float(np.minimum(case.market.counts, case.problem.slate.size).sum())
        out.append(Curve(name, matrix(function.measure, case.market), formula_of(function, labels, slots)))
    return out


def ranked_of(name: str, function: Any, labels: list[Any], rows: Array) -> Ranked:
    """A welfare by rank, from its statement."""
    n = len(labels)
    weights, shares = np.zeros(n), np.ones(n)
    if isinstance(function, GiniWelfare):
        weights[:] = (
            [(2 * (n - k) + 1) / n**2 for k in range(1, n + 1)] if function.weights is None else function.weights
        )
    else:
        weights[:1] = 1.0
        given = 1.0 if function.weights is None else function.weights
        shares[:] = [given[label] for label in labels] if isinstance(given, dict) else given
    return Ranked(name, rows, function.weight * weights, shares)


def formula_of(function: Any, labels: list[Any], slots: float) -> Callable[[Array], Array]:
    """The function of every total, from its statement."""
    weight = function.weight
    target = getattr(function, "target", 0.0)
    target = np.array([target[label] for label in labels]) if isinstance(target, dict) else target
    if isinstance(function, SquareDeviation):
        return lambda e: 0.5 * weight * (e - target) ** 2
    if isinstance(function, Reach):
        return lambda e: weight * np.minimum(e, function.times)
    if isinstance(function, Entropy | Kl):
        total = max(slots, 1.0) if function.total is None else function.total
        q = np.broadcast_to(target, len(labels)) / max(np.broadcast_to(target, len(labels)).sum(), 1e-300)

        def information(e: Array) -> Array:
            share = np.maximum(e, 0.0) / total
            if isinstance(function, Entropy):
                return -weight * xlogy(share, share)
            return weight * (xlogy(share, share / q) - share + q)

        return information
    alpha, offset = getattr(function, "alpha", 1.0), function.offset

    def fair(e: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return weight * (np.log(e + offset) if alpha == 1.0 else (e + offset) ** (1.0 - alpha) / (1.0 - alpha))

    return fair


def slates(market: Market) -> sp.csr_array:
    """(n_users, n_pairs): which pairs are whose."""
    pairs = np.arange(market.n_pairs)
    return sp.csr_array((np.ones(market.n_pairs), (market.user, pairs)), shape=(market.n_users, market.n_pairs))


def optimum(case: Case) -> float | None:
    """The optimal value, or None where no allocation keeps all constraints."""
    return _elastic(case, rows_of(case), values(case), hard_costs=np.inf)


Weights = Mapping[str, Array]  # by name of a constraint, (n_groups,); 1 for the others


def least_relaxation(case: Case, weights: Weights | None = None) -> float:
    """The least (weighted) sum of what hard limits must give; 0 where an allocation keeps them all."""
    rows = [row for row in rows_of(case) if row.hard]
    value = _elastic(case, rows, None, hard_costs=1.0, weights=weights)
    assert value is not None  # everything is elastic
    return -value


def _elastic(
    case: Case,
    rows: list[Rows],
    gains: Array | None,
    hard_costs: float,
    weights: Weights | None = None,
    budget: float | None = None,
) -> float | None:
    """max gains x - (cost of a unit outside the limits); units outside hard limits cost `hard_costs` times a weight.

    Together they weigh at most `budget`, where there is one. Without `gains` decrements cost nothing either.
    """
    slates, supply = polytope_of(case), counted(case)
    n = slates.cost.size
    worth = np.zeros(n) if gains is None else slates.shown.T @ (gains * supply) - slates.weighted_cost
    cost, upper, spent = [-worth], [np.ones(n)], [np.zeros(n)]
    within, room = slates.inequalities
    blocks, limits = [[within]], [room]
    for row in rows:
        one = np.ones(row.lower.size)
        weight = (weights or {}).get(row.name, one) if row.hard else 0.0 * one
        penalty = hard_costs * weight if row.hard else row.penalty * one
        for sign, limit in ((1.0, row.upper), (-1.0, row.lower)):
            has = np.flatnonzero(np.isfinite(limit))
            if not has.size:
                continue
            blocks.append([sp.csr_array(sp.csr_array(sign * row.matrix[has] * supply) @ slates.shown)])
            limits.append(sign * limit[has])
            if np.isfinite(penalty[has]).all():
                before = sum(c.size for c in cost) - n
                blocks[-1] += [sp.csr_array((has.size, before)), -sp.eye_array(has.size, format="csr")]
                cost.append(penalty[has])
                spent.append(weight[has])
                upper.append(np.full(has.size, np.inf))
    width = sum(c.size for c in cost)
    if budget is not None:
        blocks.append([sp.csr_array(np.concatenate(spent)[None, :])])
        limits.append(np.array([budget]))
    if width == 0:
        return 0.0 if all((limit >= -1e-9).all() for limit in limits) else None
    filled = [
        sp.hstack([*parts, sp.csr_array((parts[0].shape[0], width - sum(p.shape[1] for p in parts)))])
        for parts in blocks
    ]
    bounds = np.column_stack([np.zeros(width), np.concatenate(upper)])
    result = linprog(
        np.concatenate(cost), sp.vstack(filled, format="csr"), np.concatenate(limits), bounds=bounds, method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    if result.status == 2:
        return None
    assert result.status == 0, result.message
    return float(-result.fun)


def best_relaxed(case: Case, least: float, weights: Weights | None = None) -> float:
    """The best value of those allocations that miss hard limits by no more than `least` in (weighted) total."""
    budget = least + 1e-8 * max(1.0, least)
    value = _elastic(case, rows_of(case), values(case), hard_costs=0.0, weights=weights, budget=budget)
    assert value is not None  # all hard limits are elastic, and one allocation is within the budget
    return value
