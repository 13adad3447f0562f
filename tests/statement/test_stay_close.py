"""Staying close to an earlier solution: pairs matched by ids, one more value a pair, slots that change counted."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import named, optimum, shown, values
from strategies import Case, problems

import oasis_alloc as oa
from oasis_alloc.statement import stay_close as steadiness
from oasis_alloc.statement.stay_close import Earlier

REL = oa.total("relevance")
IDS: dict[str, list[Any]] = {
    "numbers": [0, 1, 2, 3, 4, 5, 6, 7],
    "integers": [40, 2, 7, 1, 3, 0, 5, 11],
    "texts": ["g", "b", "ab", "d", "e", "f", "a", "h"],
    "mixed": ["g", 3, ("b", 1), 0, "e", 5, "a", 1],
}


@st.composite
def candidates(draw: st.DrawFn, kind: str) -> oa.Candidates:
    """Users and items that are some of the ids of a kind, in any order; "numbers" may have no ids at all."""
    ids: dict[str, Any] = {}
    for side in ("user_ids", "item_ids"):
        ids[side] = draw(st.lists(st.sampled_from(IDS[kind]), min_size=1, max_size=6, unique=True))
    n_users, n_items = len(ids["user_ids"]), len(ids["item_ids"])
    has = [draw(st.lists(st.integers(0, n_items - 1), unique=True)) for _ in range(n_users)]
    if kind == "numbers" and draw(st.booleans()):
        ids = {}
    elif kind in ("numbers", "integers") and draw(st.booleans()):
        ids = {side: np.array(of) for side, of in ids.items()}
    item = np.array([i for mine in has for i in mine], np.int64)
    indptr = np.cumsum([0, *map(len, has)])
    return oa.Candidates.from_arrays(indptr, item, {"relevance": np.zeros(item.size)}, n_items=n_items, **ids)


@st.composite
def two_plans(draw: st.DrawFn) -> tuple[Earlier, Earlier]:
    """An earlier and a later allocation, of candidates that share some ids, or of the same."""
    kind = draw(st.sampled_from(list(IDS)))
    first = draw(candidates(kind))
    second = draw(st.one_of(candidates(kind), st.just(first)))
    plans = []
    for of in (first, second):
        quarters = np.array([draw(st.integers(0, 4)) for _ in range(of.n_pairs)]) / 4
        plans.append(Earlier(of, np.flatnonzero(quarters), quarters[quarters > 0]))
    return plans[0], plans[1]


@pytest.mark.parametrize("chunk", [1 << 20, 3])
def test_pairs_are_matched_by_ids(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadiness, "_CHUNK", chunk)

    @settings(max_examples=examples(150))
    @given(two_plans())
    def check(plans: tuple[Earlier, Earlier]) -> None:
        first, second = plans
        before = shown(first.candidates, first.positions, first.x)
        pairs = named(second.candidates, range(second.candidates.n_pairs))
        expected = [before.get(pair, 0.0) for pair in pairs]
        try:
            found = first.everywhere(second.candidates).tolist()
        except oa.ProblemError:  # ids of other types, of which none is the same
            found = [0.0] * len(expected)
            assert found == expected
            return
        assert found == expected
        backwards = np.arange(second.candidates.n_pairs)[::-1].copy()
        assert first.probability(second.candidates, backwards).tolist() == expected[::-1]
        kept = sum(min(x, expected[p]) for p, x in zip(second.positions.tolist(), second.x.tolist(), strict=True))
        churn = first.churn(second.candidates, second.positions, second.x)
        assert churn == pytest.approx(1 - kept / second.x.sum() if second.x.size else 0.0)

    check()


@st.composite
def steady_problems(draw: st.DrawFn) -> Case:
    """A problem that stays close to a solution of another one over the same users and items."""
    case = draw(problems(max_constraints=2))
    free = case.problem.replace(subject_to=(), maximize=draw(st.sampled_from([oa.total("streams"), -REL])))
    weight = draw(st.sampled_from([0.125, 1.0, 50.0]))
    return Case(
        case.market, case.problem.replace(maximize=case.problem.maximize + oa.stay_close(oa.solve(free), weight))
    )


@settings(max_examples=examples(60))
@given(steady_problems())
def test_the_optimum_is_that_of_the_values_with_it(case: Case) -> None:
    solution = oa.solve(case.problem, gap=1e-6)
    best = optimum(case)
    assert best is not None
    scale = max(1.0, abs(best), float(np.abs(values(case)).sum()))
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(best, abs=2e-6 * scale)
    assert solution.bound >= best - 1e-9 * scale
    assert sum(solution.parts.values()) == pytest.approx(solution.value, abs=1e-9 * scale)


def hour(seed: int, n_users: int = 60) -> oa.Problem:
    """Relevance that moves a little from hour to hour, and a cap on every campaign: optimal slates are integral."""
    rng, noise = np.random.default_rng(0), np.random.default_rng(seed)
    n_items = 12
    relevance = rng.uniform(0, 1, n_users * n_items) + noise.normal(0, 0.15, n_users * n_items)
    cands = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n_items,
        np.tile(np.arange(n_items), n_users),
        {"relevance": relevance},
        items={"campaign": [*"aabbcc", *[None] * 6]},
    )
    return oa.Problem(cands, REL, (oa.exposure(by="campaign") <= 15.0).named("caps"), oa.Slate(2))


@pytest.mark.full
def test_the_dearer_a_kept_slot_the_fewer_change() -> None:
    first = oa.solve(hour(1), gap=1e-8)
    problem = hour(2)
    churn, value = [], []
    for weight in (1e-6, 0.02, 0.05, 0.1, 0.3, 1.0, 100.0):
        steady = problem.replace(maximize=problem.maximize + oa.stay_close(first, weight))
        solution, reference = oa.solve(steady, gap=1e-8), oa.solve(steady, solver="conic", gap=1e-8)
        assert solution.value == pytest.approx(reference.value, rel=1e-7)
        slots = solution.x.sum()
        kept = float(first.allocation @ solution.allocation)
        assert solution.parts[f"stay_close(previous, weight={weight:g})"] == pytest.approx(weight * kept)
        assert solution.churn(first) == pytest.approx(1 - kept / slots)
        churn.append(solution.churn(first))
        value.append(solution.parts['total("relevance")'])
    free = oa.solve(problem, gap=1e-8)
    assert churn[0] == pytest.approx(free.churn(first))
    assert value[0] == pytest.approx(free.value)
    assert all(np.diff(churn) <= 1e-9)
    assert all(np.diff(value) <= 1e-9)
    assert churn[0] > 0.2
    assert churn[-1] == pytest.approx(0.0, abs=1e-9), "the earlier plan keeps all rules, so it can be kept whole"
    assert len(set(np.round(churn, 6))) >= 5


def test_a_market_that_has_changed() -> None:
    """New users, songs that are gone: what both hours have is kept, by id."""

    def plan(users: list[str], songs: list[str], best: str) -> oa.Problem:
        relevance = np.tile([1.0 if song == best else 0.9 for song in songs], len(users))
        cands = oa.Candidates.from_arrays(
            np.arange(len(users) + 1) * len(songs),
            np.tile(np.arange(len(songs)), len(users)),
            {"relevance": relevance},
            user_ids=users,
            item_ids=songs,
        )
        return oa.Problem(cands, REL, slate=oa.Slate(1))

    first = oa.solve(plan(["ann", "bo"], ["x", "y"], "x"))
    later = plan(["cy", "bo"], ["z", "x"], "z")
    assert oa.solve(later).churn(first) == 1.0
    steady = oa.solve(later.replace(maximize=REL + oa.stay_close(first, 0.2)))
    assert steady.allocation.tolist() == [1, 0, 0, 1], "bo keeps x, cy has none to keep"
    assert steady.churn(first) == 0.5
    assert steady.churn(steady) == 0.0
    nothing = oa.solve(later.replace(subject_to=oa.exposure() <= 0))
    assert nothing.churn(first) == 0.0
    assert steady.churn(nothing) == 1.0


def test_the_report_says_what_changed() -> None:
    first, problem = oa.solve(hour(1)), hour(2)
    steady = oa.solve(problem.replace(maximize=REL + oa.stay_close(first, 0.05)))
    (line,) = (line for line in str(steady).splitlines() if line.startswith("churn"))
    assert (
        line.split() == f"churn {100 * steady.churn(first):.1f} % of slots changed since the previous solution".split()
    )
    assert "stay_close(previous, weight=0.05)" in str(steady)
    assert "churn" in steady._repr_html_()
    assert "churn" not in str(first)


def test_scores_include_it_and_prices_start_from_it() -> None:
    first, problem = oa.solve(hour(1), gap=1e-8), hour(2)
    steady = problem.replace(maximize=REL + oa.stay_close(first, 0.25))
    solution = oa.solve(steady, start=first, gap=1e-8)
    campaign = np.array([0, 0, 1, 1, 2, 2] + [3] * 6)[problem.candidates.item]
    price = np.append(solution.prices["caps"], 0.0)[campaign]
    expected = problem.candidates.columns["relevance"] + 0.25 * first.allocation - price
    assert solution.scores() == pytest.approx(expected, abs=1e-12)


def test_an_earlier_solution_is_not_kept_alive() -> None:
    """Else every hour would hold all hours before it."""
    first, problem = oa.solve(hour(1)), hour(2)
    gone = weakref.ref(first)
    steady = problem.replace(maximize=REL + oa.stay_close(first, 0.05))
    del first
    gc.collect()
    assert gone() is None
    assert oa.solve(steady).status is oa.Status.SOLVED
