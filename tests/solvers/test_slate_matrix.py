"""Every function times every rule of a slate, by both solvers, on one small market; all checked from the statement.

Every run has a diagonal of this table, with each function and each rule in it; a full run has all of it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from curved import FUNCTIONS
from effort import diagonal
from slate_oracle import Polytope, counted, polytope, polytope_of
from strategies import Case, Market

import oasis_alloc as oa

GAP = 1e-4
N_USERS, N_ITEMS, DEGREE = 24, 14, 7


def market() -> Market:
    """Seven artists of two items, three genres that their artists lie in; moods cross both and items have several."""
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(N_USERS), DEGREE)
    item = np.concatenate([np.sort(rng.permutation(N_ITEMS)[:DEGREE]) for _ in range(N_USERS)])
    columns = {"relevance": rng.beta(2.0, 3.0, user.size), "streams": rng.gamma(2.0, 0.5, user.size)}
    labels: dict[str, list[Any]] = {
        "artist": [i // 2 for i in range(N_ITEMS)],
        "genre": [i // 6 for i in range(N_ITEMS)],
        "kind": [i % 3 for i in range(N_ITEMS)],
        "mood": [[m for m in range(4) if (i * 5 + m * m) % 4 < 2][:2] for i in range(N_ITEMS)],
    }
    candidates = oa.Candidates.from_arrays(np.arange(N_USERS + 1) * DEGREE, item, columns, items=labels)
    return Market(user.tolist(), item.tolist(), columns, labels, N_USERS, N_ITEMS, candidates)


MARKET = market()
SIZES = np.arange(N_USERS) % 4
WEIGHTS = np.array([1.0, 0.6, 0.6, 0.25])
SLATES = {
    "plain": oa.Slate(3),
    "size by user": oa.Slate(SIZES),
    "nested caps": oa.Slate(4, {"artist": 1, "genre": 2}),
    "crossing caps": oa.Slate(4, {"artist": 1, "kind": 2}),
    "caps of several": oa.Slate(4, {"mood": 2}),
    "diminishing": oa.Slate(4, diminishing={"genre": 0.125}),
    "diminishing and caps": oa.Slate(4, {"artist": 1, "genre": 3}, {"genre": [0.0, 0.1, 0.1, 0.5]}),
    "diminishing that crosses": oa.Slate(4, {"kind": 2}, {"genre": 0.1, "mood": 0.05}),
    "keep": oa.Slate(3, keep={"relevance": 0.9}),
    "keep under caps": oa.Slate(3, {"artist": 1, "kind": 2}, keep={"relevance": 0.8}),
    "at least": oa.Slate(4, {"artist": 1}, at_least=2),
    "positions": oa.Slate(4, slot_weights=WEIGHTS),
    "all": oa.Slate(
        4, {"artist": 1, "genre": 2}, {"genre": 0.05}, {"relevance": 0.8}, at_least=1 + SIZES // 2, slot_weights=WEIGHTS
    ),
}  # fmt: skip
SUPPLY = {"positions": np.linspace(0.5, 2.0, N_USERS), "diminishing": np.linspace(0.5, 2.0, N_USERS)}
TERMS = [*FUNCTIONS, "band", "soft band"]


def stated(term: str, slate: str) -> Case:
    exposure = oa.exposure(by="artist")
    objective, constraints = oa.total("relevance"), [(oa.exposure(by="kind") <= 22.0).named("caps")]
    if term == "band":
        constraints.append((exposure >= 1.0).named("floors"))
    elif term == "soft band":
        constraints.append(oa.soft(exposure >= 6.0, 0.3).named("floors"))
    else:
        objective = objective + FUNCTIONS[term](exposure).named("function")
    return Case(MARKET, oa.Problem(MARKET.candidates, objective, constraints, SLATES[slate], SUPPLY.get(slate)))


@cache
def slates(name: str) -> Polytope:
    return polytope_of(stated("band", name))


def check(case: Case, solution: oa.Solution, within: Polytope, gap: float = GAP) -> None:
    """What a solved problem promises, from the statement: rules, value, parts, and the bound that prices prove."""
    assert solution.status is oa.Status.SOLVED
    assert 0.0 <= solution.gap <= gap
    assert solution.violation <= 1e-6
    x, weight, problem = solution.allocation, counted(case), case.problem
    broken, paid = within.nearest(x)
    assert broken <= 1e-7
    size = max(1.0, abs(solution.bound))
    worth, proven, slack = float(case.market.columns["relevance"] * weight @ x), 0.0, 0.0
    for name, function in zip(problem.names, problem.bound, strict=True):
        prices, totals = solution.prices[name], solution.totals[name]
        assert np.isfinite(prices).all()
        value = 0.0 if function.is_constraint else function.value(totals)
        worth += value
        if function.is_curved:
            continue
        conjugate = function.conjugate(prices)
        assert np.isfinite(conjugate), f"{name}: prices outside their domain: {prices}"
        proven += conjugate
        slack += conjugate - value - float(prices @ totals)
    # decrements of slates by position are those of the levels that were mixed, which may be some others of the same sum
    off = gap if problem.slate.slot_weights is not None and problem.slate.diminishing else 1e-7
    assert solution.value == pytest.approx(worth - paid, abs=off * size)
    assert sum(solution.parts.values()) == pytest.approx(solution.value, rel=1e-9, abs=1e-9)
    assert slack <= (gap + 1e-6) * size + float(sum(np.abs(p).sum() for p in solution.prices.values())) * 1e-6
    # what is left of the bound is what the curved functions' conjugates are; Fenchel's equality holds up to the gap
    proven += within.best(solution.scores())
    curved = [name for name, f in zip(problem.names, problem.bound, strict=True) if f.is_curved]
    conjugates = solution.bound - proven
    values = sum(solution.parts[name] for name in curved)
    bought = sum(float(solution.prices[name] @ solution.totals[name]) for name in curved)
    slop = 2e-7 * max(size, abs(bought))
    assert -slop <= conjugates - values - bought <= gap * size + slop


@pytest.mark.few(2)
@pytest.mark.parametrize(("term", "slate"), diagonal(TERMS, list(SLATES), every=2))
def test_every_function_under_every_rule(term: str, slate: str) -> None:
    case = stated(term, slate)
    ours, reference = oa.solve(case.problem, gap=GAP), oa.solve(case.problem, solver="conic", gap=GAP)
    check(case, ours, slates(slate))
    check(case, reference, slates(slate))
    size = 1e-7 * max(1.0, abs(ours.bound))
    assert ours.value <= reference.bound + size
    assert reference.value <= ours.bound + size


@pytest.mark.few(2)
@pytest.mark.parametrize("slate", [name for name in SLATES if name not in ("plain", "size by user")])
def test_the_rules_bind(slate: str) -> None:
    """Or the table above would say little."""
    relevance = MARKET.columns["relevance"]
    if SLATES[slate].keep:
        relevance = relevance - MARKET.columns["streams"]
    elif np.any(SLATES[slate].at_least):
        relevance = relevance - 1.0
    free = oa.Slate(SLATES[slate].size)
    assert slates(slate).each(relevance).sum() < polytope(MARKET, free).each(relevance).sum() - 0.1
