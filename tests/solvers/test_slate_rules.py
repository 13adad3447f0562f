"""Rules of slates of every kind, alone and together, on random markets: against linear programs of the statement."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples
from feasibility import check_feasibility
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from oracle import optimum, rows_of, values
from ruled_statements import labeled, ruled_problems
from slate_oracle import counted, polytope, polytope_of
from strategies import Case, Market

import oasis_alloc as oa

GAP = 1e-5


def most_within_rounding(case: Case, best: float) -> float:
    """The optimum where a billionth less is kept, as of solutions: worth much where its price is hundreds of values."""
    slate = case.problem.slate
    if not slate.keep:
        return best
    less = {column: max(0.0, share - 1e-9) for column, share in slate.keep.items()}
    return max(best, optimum(Case(case.market, case.problem.replace(slate=replace(slate, keep=less)))) or best)


def check(case: Case, solution: oa.Solution, best: float, gap: float = GAP) -> None:
    """All that a solved problem promises: rules kept, a bracket of the optimum, and prices that prove it."""
    assert solution.status is oa.Status.SOLVED
    assert solution.gap <= gap
    x, weight, within, rows = solution.allocation, counted(case), polytope_of(case), rows_of(case)
    size = max(1.0, abs(best), abs(solution.bound))
    assert ((x >= 0.0) & (x <= 1.0 + 1e-12)).all()
    broken, paid = within.nearest(x)
    assert broken <= 1e-7
    for row in rows:
        scale = 1.0 + (np.abs(row.matrix) @ weight)
        assert np.all(np.abs(solution.totals[row.name] - row.matrix @ (weight * x)) <= 1e-9 * scale)
    lost = sum(row.penalty * float(row.excess(weight * x).sum()) for row in rows if not row.hard)
    worth = float(values(case) @ (weight * x)) - lost
    # with slots of several weights, of the slates whose sum is x those that were solved for may not cost the least
    mixed = case.problem.slate.slot_weights is not None and bool(case.problem.slate.diminishing)
    assert solution.value <= worth - paid + 1e-7 * size
    assert solution.value >= worth - paid - (gap if mixed else 1e-7) * size
    assert sum(solution.parts.values()) == pytest.approx(solution.value, rel=1e-9, abs=1e-9 * size)
    assert max((float(row.excess(weight * x).sum()) / row.size() for row in rows if row.hard), default=0.0) <= 1e-6
    bought = sum(float(np.abs(solution.prices[row.name]) @ row.excess(weight * x)) for row in rows)
    assert solution.value <= most_within_rounding(case, best) + bought + 1e-7 * size
    assert best <= solution.bound + 1e-8 * size
    scores, priced, proven = solution.scores(), values(case), 0.0
    for row in rows:
        conjugate = row.conjugate(solution.prices[row.name])
        assert np.isfinite(conjugate), f"{row.name}: prices outside their domain"
        priced = priced - row.matrix.T @ solution.prices[row.name]
        proven += conjugate
    assert scores == pytest.approx(priced, rel=1e-9, abs=1e-9 * (1.0 + float(np.abs(priced).max(initial=0.0))))
    proven += within.best(scores)
    steep = max(size, float(np.abs(priced).sum()))
    assert proven <= solution.bound + 1e-8 * steep
    # under rules the bound is a dual value at a smoothing of 1e-7 of a typical score: a little more for every user
    assert solution.bound <= proven + 5e-7 * steep


def all_kept(relevance: float) -> Case:
    """Everything has to be shown, though a second calm item costs hundreds of times what it is worth."""
    user, item = [1, 2, 2, 2], [0, 0, 1, 4]
    columns = {"relevance": np.full(4, relevance), "streams": np.zeros(4)}
    labels: dict[str, Any] = {
        "campaign": [3, -1, -1, -1, 3], "artist": [None] * 5, "mood": [[], ["calm"], [], [], ["calm"]],
    }  # fmt: skip
    candidates = oa.Candidates.from_arrays([0, 0, 1, 4], item, columns, items=labels)
    steps = {"artist": 0.25, "campaign": 0.25, "mood": 300.0}
    slate = oa.Slate(3, diminishing=steps, keep={"relevance": 1.0})
    market = Market(user, item, columns, labels, 3, 5, candidates)
    return Case(market, oa.Problem(candidates, oa.total("relevance"), slate=slate))


def softly_capped() -> Case:
    """Many tied pairs under a guard that asks for nothing: smoothed slates are the answer, at a rough smoothing."""
    user, item = [0, 0, 1, 1, 1, 1, 1, 3, 3, 3, 3, 4, 4, 4, 4], [2, 4, 0, 1, 2, 3, 4, 0, 2, 3, 4, 1, 3, 4, 5]
    relevance = np.zeros(15)
    relevance[[4, 6, 8]] = 0.25, 0.25, 0.75
    columns = {"relevance": relevance, "streams": np.full(15, 150.0)}
    labels: dict[str, Any] = {"campaign": [-1, -1, -1, 8, 8, -1], "artist": [None] * 6, "mood": [[]] * 6}
    candidates = oa.Candidates.from_arrays([0, 2, 7, 7, 11, 15], item, columns, items=labels)
    total = oa.total("relevance", by="campaign") + 0.5 * oa.total("streams") - 0.25 * oa.exposure(by="campaign")
    value = 2 * oa.total("streams") + oa.exposure() - oa.total("relevance")
    slate = oa.Slate(4, diminishing={"campaign": 0.125}, keep={"relevance": 0.0})
    problem = oa.Problem(candidates, value, [oa.soft(total <= np.array([562.1875]), penalty=1)], slate)
    return Case(Market(user, item, columns, labels, 5, 6, candidates), problem)


@settings(max_examples=examples(50))
@given(case=ruled_problems())
@example(case=all_kept(0.5))
@example(case=all_kept(0.25))
def test_the_bracket_holds_the_optimum(case: Case) -> None:
    best = optimum(case)
    assert best is not None  # by construction
    plain = Case(case.market, case.problem.replace(slate=oa.Slate(case.problem.slate.size)))
    event(f"the rules change the optimum: {abs((optimum(plain) or 0.0) - best) > 1e-9}")
    check(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(25))
@given(case=ruled_problems(max_users=9, max_items=7))
@example(case=softly_capped())
@pytest.mark.usefixtures("small_steps")
def test_the_bracket_by_the_paths_of_large_problems(case: Case) -> None:
    best = optimum(case)
    assert best is not None
    check(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(20))
@given(case=ruled_problems())
def test_the_conic_solver_agrees(case: Case) -> None:
    best = optimum(case)
    assert best is not None
    check(case, oa.solve(case.problem, solver="conic", gap=GAP), best)


@settings(max_examples=examples(20))
@given(case=ruled_problems(feasible=False))
def test_infeasible_if_and_only_if_the_oracle_says_so(case: Case) -> None:
    check_feasibility(case, check, GAP)


@settings(max_examples=examples(30))
@given(market=labeled(nested=False), size=st.integers(1, 3), seed=st.integers(0, 2**20))
def test_slots_by_weight_are_slates_of_their_first_slots(market: Market, size: int, seed: int) -> None:
    """Assignments of items to slots are worth as much as the slates of k items that positions are made of."""
    rng = np.random.default_rng(seed)
    slate = oa.Slate(size, slot_weights=np.sort(rng.uniform(0.1, 1.0, size))[::-1])
    slots, levels = (polytope(market, s) for s in (slate, oa.Slate(size, {"mood": 9}, slot_weights=slate.slot_weights)))
    scores = rng.normal(size=market.n_pairs)
    assert slots.each(scores) == pytest.approx(levels.each(scores), abs=1e-9)


def test_what_is_kept_where_nothing_is_worth_showing() -> None:
    """Values of 0, so that no candidate is looked at before the guard has a price."""
    candidates = oa.Candidates.from_arrays([0, 2], [0, 1], {"relevance": [0.25, 0.25]})
    objective = oa.total("relevance") - 0.25 * oa.exposure()
    for share in (0.0, 0.5, 1.0):
        problem = oa.Problem(candidates, objective, slate=oa.Slate(1, keep={"relevance": share}))
        solution = oa.solve(problem)
        assert solution.allocation.sum() >= share - 1e-6
        assert (solution.value, solution.bound) == pytest.approx((0.0, 0.0), abs=1e-6)
        assert solution.bound >= solution.value


def test_keys_that_cross_are_mixed() -> None:
    """Three items of which any two share a category: whole slates hold one, mixtures half of each."""
    candidates = oa.Candidates.from_arrays(
        [0, 3], [0, 1, 2], {"r": [1.0, 1.0, 1.0]}, items={"mood": [[0, 1], [1, 2], [0, 2]]}
    )
    problem = oa.Problem(candidates, oa.total("r"), slate=oa.Slate(3, {"mood": 1}))
    for solver in ("dual", "conic"):
        solution = oa.solve(problem, solver=solver, gap=1e-8)
        assert solution.bound == pytest.approx(1.5)
        assert solution.allocation == pytest.approx([0.5, 0.5, 0.5])


def test_a_solve_that_is_stopped_keeps_what_slates_have_to_hold() -> None:
    rng = np.random.default_rng(5)
    n_users, n_items, degree = 40, 12, 8
    item = np.concatenate([np.sort(rng.choice(n_items, degree, replace=False)) for _ in range(n_users)])
    relevance, promotion = rng.uniform(0.1, 1.0, item.size), rng.uniform(0.0, 2.0, item.size)
    cands = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * degree,
        item,
        {"relevance": relevance, "promotion": promotion},
        items={"campaign": np.arange(n_items) % 4},
    )
    slate = oa.Slate(3, keep={"relevance": 0.9}, at_least=3)
    caps = oa.exposure(by="campaign") <= 25.0
    solution = oa.solve(oa.Problem(cands, oa.total("promotion"), caps, slate), pass_limit=1.0, gap=1e-6)
    assert solution.status is oa.Status.PASS_LIMIT
    by_user = solution.allocation.reshape(n_users, degree)
    best = np.sort(relevance.reshape(n_users, degree), axis=1)[:, -3:].sum(axis=1)
    kept = (by_user * relevance.reshape(n_users, degree)).sum(axis=1)
    assert by_user.sum(axis=1) == pytest.approx(np.full(n_users, 3.0), abs=1e-6)
    assert (kept >= 0.9 * best - 1e-5).all()
    assert solution.value <= solution.bound * (1 + 1e-6) or solution.violation > 0
