"""Random small problems for Hypothesis: markets as plain lists, measures over them, limits that can be kept or not.

A `Market` holds what the test knows without the package: users' lists of items, numbers, labels. `oracle.py` works out
totals and optima from it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import oasis_alloc as oa

LABELS: dict[str, list[Any]] = {
    "campaign": [-1, 3, 5, 8],
    "artist": [None, "ann", "bo", "cy"],
    "market": [None, "de", "se"],
    "hour": [-1, 0, 7],
}
ITEM_KEYS, USER_KEYS = ("campaign", "artist"), ("market", "hour")
COLUMNS = ("relevance", "streams")


@dataclass(frozen=True, eq=False)
class Market:
    """Users' candidates, their numbers and everybody's labels; `candidates` is the same as the package knows it."""

    user: list[int]  # of every pair
    item: list[int]
    columns: dict[str, np.ndarray[Any, Any]]
    labels: dict[str, list[Any]]
    n_users: int
    n_items: int
    candidates: oa.Candidates

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}={c.tolist()} ({c.dtype})" for name, c in self.columns.items())
        return f"Market(user={self.user}, item={self.item}, {columns}, {self.labels})"

    @property
    def n_pairs(self) -> int:
        return len(self.user)

    @property
    def counts(self) -> np.ndarray[Any, Any]:
        return np.bincount(self.user, minlength=self.n_users) if self.user else np.zeros(self.n_users, int)


@dataclass(frozen=True, eq=False)
class Case:
    """A problem with the market that it is about."""

    market: Market
    problem: oa.Problem

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would print every array of the package's objects

    def __repr__(self) -> str:
        limits = [getattr(f, "constraint", f).limit for f in self.problem.subject_to]
        return f"{self.market!r}\n{self.problem!r}\nlimits: {limits}"


@st.composite
def markets(draw: st.DrawFn, max_users: int = 6, max_items: int = 6) -> Market:
    """Users of 0, 1 and many candidates; ties; both signs; attributes that are missing; either type of float."""
    n_items = draw(st.integers(1, max_items))
    n_users = draw(st.integers(1, max_users))
    user, item = [], []
    for u in range(n_users):
        has = draw(st.integers(0, 2**n_items - 1))
        mine = [i for i in range(n_items) if has >> i & 1]
        if draw(st.booleans()):
            mine.reverse()  # candidates come in any order
        user += [u] * len(mine)
        item += mine
    columns = {name: draw(numbers(len(user))) for name in COLUMNS}
    labels = {key: draw(_labels(key, n_items if key in ITEM_KEYS else n_users)) for key in LABELS}
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=n_users) if user else np.zeros(n_users, int))])
    candidates = oa.Candidates.from_arrays(
        indptr,
        np.array(item, np.int64),
        columns,
        users={key: labels[key] for key in USER_KEYS},
        items={key: labels[key] for key in ITEM_KEYS},
    )
    return Market(user, item, columns, labels, n_users, n_items, candidates)


@st.composite
def numbers(draw: st.DrawFn, n: int) -> np.ndarray[Any, Any]:
    """A column: quarters that tie, one number for all, or numbers of full precision; of small or large size."""
    kind = draw(st.sampled_from(["quarters", "quarters", "positive", "same", "uniform"]))
    if kind == "same":
        values = np.full(n, draw(st.integers(-4, 8)) / 4)
    elif kind == "uniform":
        low = draw(st.sampled_from([-1.0, 0.0]))
        values = np.random.default_rng(draw(st.integers(0, 2**20))).uniform(low, 1.0, n)
    else:
        least = 0 if kind == "positive" else -6
        values = np.array(draw(st.lists(st.integers(least, 8), min_size=n, max_size=n)), float) / 4
    scale = draw(st.sampled_from([1.0, 1.0, 1.0, 0.01, 300.0]))
    return (values * scale).astype(draw(st.sampled_from([np.float64, np.float32])))


def _labels(key: str, n: int) -> st.SearchStrategy[list[Any]]:
    choices = st.sampled_from(LABELS[key])
    return st.lists(choices, min_size=n, max_size=n)


COUNTS = [
    (),
    ("campaign",),
    ("artist",),
    ("market",),
    ("hour",),
    ("campaign", "artist"),
    ("market", "campaign"),
    ("artist", "hour"),
    ("market", "hour", "artist"),
]


@st.composite
def measures(draw: st.DrawFn) -> oa.Measure:
    """Exposure or a column by keys of either side or of both; shares; sums of several terms."""
    by = draw(st.sampled_from(COUNTS))
    keys = by or None
    kind = draw(st.sampled_from(["exposure", "exposure", "total", "share", "rate", "mixture"]))
    if kind == "exposure":
        return oa.exposure(by=keys)
    if kind == "total":
        return draw(st.sampled_from([1.0, 1.0, -2.0])) * oa.total(draw(st.sampled_from(COLUMNS)), by=keys)
    if kind == "share":
        fewer = tuple(key for key in by if draw(st.booleans())) or None
        return oa.exposure(by=keys) - draw(st.sampled_from([0.25, 0.5, 1.0])) * oa.exposure(by=fewer)
    if kind == "rate":
        return oa.total(draw(st.sampled_from(COLUMNS)), by=keys) - draw(st.sampled_from([0.3, 1.0])) * oa.exposure(
            by=keys
        )
    return oa.total(COLUMNS[0], by=keys) + 0.5 * oa.total(COLUMNS[1]) - 0.25 * oa.exposure(by=keys)


@st.composite
def allocations(draw: st.DrawFn, market: Market, size: int) -> np.ndarray[Any, Any]:
    """An allocation in quarters that keeps every slate."""
    quarters = np.array(draw(st.lists(st.integers(0, 4), min_size=market.n_pairs, max_size=market.n_pairs)), float)
    left = np.full(market.n_users, 4 * size)
    for pair, u in enumerate(market.user):
        quarters[pair] = min(quarters[pair], left[u])
        left[u] -= int(quarters[pair])
    return quarters / 4


@st.composite
def limits(
    draw: st.DrawFn, totals: np.ndarray[Any, Any], labels: list[Any], sense: str, slack: st.SearchStrategy[float]
) -> Any:
    """A limit that these totals keep by `slack`: an array, a number for all groups, or a mapping of some of them."""
    sign = {"<=": 1.0, ">=": -1.0, "==": 0.0}[sense]
    given = totals + sign * np.array([draw(slack) for _ in labels])
    form = draw(st.sampled_from(["array", "mapping", "scalar"]))
    if form == "mapping":
        return {label: float(limit) for label, limit in zip(labels, given, strict=True) if draw(st.booleans())}
    if form == "scalar" and labels and (sense != "==" or np.ptp(given) == 0):
        return float(given.max() if sense == "<=" else given.min())
    return given


OBJECTIVES = [
    oa.total("relevance"),
    oa.total("relevance") + 0.5 * oa.total("streams"),
    oa.total("relevance") - 0.25 * oa.exposure(),
    2.0 * oa.total("streams") + oa.exposure() - oa.total("relevance"),
]


@st.composite
def problems(draw: st.DrawFn, feasible: bool = True, max_constraints: int = 4, **sizes: int) -> Case:
    """A problem. `feasible`: limits are set around the totals of some allocation; else they are what they are."""
    market = draw(markets(**sizes))
    size = draw(st.sampled_from([1, 1, 2, 3, 7]))
    x = draw(allocations(market, size))
    constraints = draw(demands(market, x, feasible, max_constraints))
    problem = oa.Problem(market.candidates, draw(st.sampled_from(OBJECTIVES)), constraints, oa.Slate(size))
    return Case(market, problem)


@st.composite
def demands(
    draw: st.DrawFn,
    market: Market,
    x: np.ndarray[Any, Any],
    feasible: bool = True,
    max_count: int = 3,
    min_count: int = 0,
    soft: bool = True,
) -> list[Any]:
    """Constraints, hard and soft, around the totals of x if `feasible`; else some are far from them."""
    from oracle import matrix

    constraints: list[Any] = []
    used: set[str] = set()
    for k in range(draw(st.integers(min_count, max_count))):
        measure = draw(measures())
        is_soft = soft and draw(st.sampled_from([False, False, True]))
        sense = draw(st.sampled_from(["<=", "<=", ">=", ">=", "=="]))
        labels = market.candidates.groups(measure.by or None)
        totals = matrix(measure, market) @ x
        slack = st.sampled_from([0.0, 0.0, 0.25, 1.0])
        if not feasible and not is_soft:
            if str(measure) in used:
                continue  # a floor above a cap is refused as a statement
            used.add(str(measure))
            # far from what the allocation does, on either side
            scale = max(1.0, float(np.abs(totals).max(initial=0.0)))
            slack = st.sampled_from([0.0, 0.5, 2.0, -0.25, -0.5]).map(lambda s, scale=scale: s * scale)
            totals = np.maximum(totals, scale) if sense == "<=" else totals
        limit = draw(limits(totals, labels, sense, slack))
        band = {"<=": measure <= limit, ">=": measure >= limit, "==": measure == limit}[sense]
        constraint = oa.soft(band, penalty=draw(st.sampled_from([0.125, 1.0, 40.0]))) if is_soft else band
        constraints.append(constraint.named(f"demand {k}") if draw(st.booleans()) else constraint)
    return constraints


KINDS = ["log", "alpha_fair", "alpha_fair", "square_deviation", "entropy", "kl", "reach", "worst_off", "gini_welfare"]


@st.composite
def curved_problems(draw: st.DrawFn, **sizes: int) -> Case:
    """A feasible problem with one or two concave functions in its objective, every one of its own measure."""
    from oracle import matrix

    case = draw(problems(max_constraints=2, **sizes))
    market, objective = case.market, case.problem.maximize
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(KINDS))
        weight = draw(st.sampled_from([0.01, 0.5, 1.0, 4.0, 100.0]))
        if kind == "square_deviation":
            measure = draw(measures())
            labels = market.candidates.groups(measure.by or None)
            numbers = [float(draw(st.integers(-4, 12))) / 4 for _ in labels]
            target: Any = draw(st.sampled_from([2.0, numbers, dict(zip(labels, numbers, strict=True))]))
            objective = objective - weight * oa.square_deviation(measure, target)
            continue
        if kind == "reach":
            objective = objective + weight * oa.reach(draw(measures()), draw(st.sampled_from([0.5, 1.0, 2.0])))
            continue
        if kind in ("worst_off", "gini_welfare"):
            measure = draw(measures())
            labels = market.candidates.groups(measure.by or None)
            if kind == "worst_off":
                shares = {label: draw(st.sampled_from([0.5, 1.0, 3.0])) for label in labels}
                objective = objective + weight * oa.worst_off(measure, draw(st.sampled_from([None, 2.0, shares])))
                continue
            ranks = sorted(draw(st.sampled_from([0.0, 0.25, 1.0, 4.0])) for _ in labels)[::-1]
            ranks = draw(st.sampled_from([None, ranks])) if any(ranks) else None
            objective = objective + weight * oa.gini_welfare(measure, ranks)
            continue
        measure = oa.exposure(by=draw(st.sampled_from(COUNTS)) or None)
        if draw(st.booleans()) and (market.columns["streams"] >= 0).all():
            measure = oa.total("streams", by=measure.by or None) + 0.25 * measure
        if kind in ("entropy", "kl"):
            total = draw(st.sampled_from([None, None, 1.0, 10.0]))
            labels = market.candidates.groups(measure.by or None)
            shares = {label: draw(st.sampled_from([0.125, 1.0, 2.0])) for label in labels}
            if kind == "entropy":
                objective = objective + weight * oa.entropy(measure, total)
            else:
                objective = objective - weight * oa.kl(measure, draw(st.sampled_from([0.3, shares])), total)
            continue
        offset = draw(st.sampled_from([0.1, 1.0, 0.0]))
        if offset == 0.0 and (case.problem.subject_to or not (matrix(measure, market).sum(axis=1) > 0).all()):
            offset = 0.01  # a group that has nothing, or is allowed nothing, has no logarithm
        if kind == "log":
            objective = objective + weight * oa.log(measure, offset)
        else:
            alpha = draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.5]))
            if alpha > 1.0:
                offset = max(offset, 0.1)  # 0.01 ** -3.5 is ten million: a price beyond what rounds can find
            objective = objective + weight * oa.alpha_fair(measure, alpha, offset)
    return Case(market, case.problem.replace(maximize=objective))
