"""Slates with at most so many items of a category, where rules nest: solved, proven against all slates, and kept."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from effort import examples
from feasibility import check_feasibility
from hypothesis import event, given, settings
from hypothesis import strategies as st
from oracle import label_of, optimum, rows_of, slates, values
from strategies import OBJECTIVES, Case, Market, demands, markets

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.engines.threads import Threads
from oasis_alloc.kernels.rules import ruled
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.repair import scaled

GAP = 1e-6


def nested(market: Market, parents: dict[Any, Any]) -> Market:
    """The market with every artist's items in one campaign, or in none: `parents` says which."""
    labels = dict(market.labels)
    labels["campaign"] = [
        own if artist is None else parents[artist]
        for own, artist in zip(labels["campaign"], labels["artist"], strict=True)
    ]
    old = market.candidates
    candidates = oa.Candidates.from_arrays(
        old.indptr,
        np.array(market.item, np.int64),
        market.columns,
        users={key: labels[key] for key in ("market", "hour")},
        items={key: labels[key] for key in ("campaign", "artist")},
    )
    return Market(market.user, market.item, market.columns, labels, market.n_users, market.n_items, candidates)


@st.composite
def capped_problems(draw: st.DrawFn, feasible: bool = True, soft: bool = True, **sizes: int) -> Case:
    """A problem with one rule by category or two nested ones; `feasible` as in strategies.problems."""
    market = draw(markets(**sizes))
    parent = st.sampled_from([-1, 3, 3, 5])
    market = nested(market, {artist: draw(parent) for artist in ("ann", "bo", "cy")})
    size = draw(st.sampled_from([1, 2, 3, 4, 7]))
    keys = draw(st.sampled_from([("artist",), ("campaign",), ("artist", "campaign"), ("campaign", "artist")]))
    at_most = {key: draw(st.sampled_from([1, 1, 2, 3, 9])) for key in keys}
    case = Case(market, oa.Problem(market.candidates, OBJECTIVES[0], slate=oa.Slate(size, at_most)))
    x = draw(allocations(case))
    constraints = draw(demands(market, x, feasible, soft=soft))
    return Case(market, case.problem.replace(maximize=draw(st.sampled_from(OBJECTIVES)), subject_to=constraints))


@st.composite
def allocations(draw: st.DrawFn, case: Case) -> np.ndarray[Any, Any]:
    """An allocation in quarters that keeps every slate and every category of a slate."""
    n = case.market.n_pairs
    x = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), float) / 4
    rules, most = all_rules(case)
    for pair in range(n):
        others = x.copy()
        others[pair:] = 0.0
        room = (most - rules @ others)[rules[:, [pair]].nonzero()[0]]
        x[pair] = min(x[pair], room.min())
    return x


def categories(case: Case) -> tuple[sp.csr_array, np.ndarray[Any, Any]]:
    """(rows, limits) of the slates' rules by category: one row for every user and label of a key of `at_most`."""
    market, row, column, limits = case.market, [], [], []
    for key, most in case.problem.slate.at_most.items():
        members: dict[Any, list[int]] = {}
        for pair in range(market.n_pairs):
            label = label_of(market, key, pair)
            if label is not None:
                members.setdefault((market.user[pair], label), []).append(pair)
        for mine in members.values():
            row += [len(limits)] * len(mine)
            column += mine
            limits.append(float(most))
    return sp.csr_array((np.ones(len(row)), (row, column)), shape=(len(limits), market.n_pairs)), np.array(limits)


def all_rules(case: Case) -> tuple[Any, np.ndarray[Any, Any]]:
    """(rows, limits) of slates and of their categories."""
    rules, most = categories(case)
    rows = np.vstack([slates(case.market).toarray(), rules.toarray()])
    return rows, np.concatenate([np.full(case.market.n_users, float(case.problem.slate.size)), most])


def best_slate(case: Case, mine: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The value of a user's best slate, by trying every subset of the few candidates."""
    rows, most = all_rules(case)
    subsets = (np.arange(1 << mine.size)[:, None] >> np.arange(mine.size)) & 1
    kept = (subsets @ rows[:, mine].T <= most).all(axis=1)
    return float((subsets[kept] @ scores[mine]).max())


def check_rules(case: Case, x: np.ndarray[Any, Any]) -> None:
    rows, most = all_rules(case)
    assert ((x >= 0.0) & (x <= 1.0)).all()
    assert (rows @ x <= most + 1e-9).all()


def check_bound(case: Case, solution: oa.Solution) -> None:
    """The prices prove the bound: conjugates and everybody's best slates, found by trying all."""
    scores, priced, proven = solution.scores(), values(case), 0.0
    for row in rows_of(case):
        priced = priced - row.matrix.T @ solution.prices[row.name]
        proven += row.conjugate(solution.prices[row.name])
    assert scores == pytest.approx(priced, rel=1e-9, abs=1e-9 * (1.0 + float(np.abs(priced).max(initial=0.0))))
    for u in range(case.market.n_users):
        proven += best_slate(case, np.flatnonzero(np.array(case.market.user) == u), scores)
    size = 1e-7 * max(case.market.n_users, abs(proven))
    # under rules the bound is a dual value with some smoothing: a little more, and no more than the gap has room for
    room = 0.0 if case.problem.slate.is_plain else GAP * float(np.abs(values(case)) @ solution.allocation)
    assert proven - 0.01 * size <= solution.bound <= proven + max(size, room)


def check_solved(case: Case, solution: oa.Solution, best: float, gap: float = GAP) -> None:
    """A solved problem: rules and limits kept, the bracket holds the optimum, and the prices prove it."""
    assert solution.status is oa.Status.SOLVED
    assert solution.gap <= gap
    x, rows = solution.allocation, rows_of(case)
    check_rules(case, x)
    size = max(1.0, abs(best))
    lost = sum(row.penalty * float(row.excess(x).sum()) for row in rows if not row.hard)
    assert solution.value == pytest.approx(float(values(case) @ x) - lost, rel=1e-9, abs=1e-9 * size)
    assert max((float(row.excess(x).sum()) / row.size() for row in rows if row.hard), default=0.0) <= 1e-6
    paid = sum(float(np.abs(solution.prices[row.name]) @ row.excess(x)) for row in rows)
    assert solution.value <= best + paid + 1e-8 * size
    assert best <= solution.bound + 1e-8 * size
    check_bound(case, solution)


@settings(max_examples=examples(25))
@given(case=capped_problems())
def test_the_bracket_holds_the_optimum(case: Case) -> None:
    best = optimum(case)
    assert best is not None  # by construction
    free = optimum(Case(case.market, case.problem.replace(slate=oa.Slate(case.problem.slate.size))))
    event(f"the rules cost something: {free is not None and free > best + 1e-9}")
    check_solved(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(10))
@given(case=capped_problems(max_users=9, max_items=7))
@pytest.mark.usefixtures("small_steps")
def test_the_bracket_by_the_paths_of_large_problems(case: Case) -> None:
    best = optimum(case)
    assert best is not None
    check_solved(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(10))
@given(case=capped_problems())
def test_the_conic_solver_agrees(case: Case) -> None:
    best = optimum(case)
    assert best is not None
    check_solved(case, oa.solve(case.problem, solver="conic", gap=GAP), best)


@settings(max_examples=examples(10))
@given(case=capped_problems(soft=False), by=st.sampled_from(["campaign", "artist", "market"]))
def test_log_fairness_with_categories(case: Case, by: str) -> None:
    """Curved functions of totals over capped slates: both solvers' brackets meet, and the rules are kept."""
    objective = OBJECTIVES[0] + 0.3 * oa.log(oa.exposure(by=by), offset=1.0)
    problem = case.problem.replace(maximize=objective)
    ours, reference = oa.solve(problem, gap=1e-5), oa.solve(problem, solver="conic", gap=1e-5)
    size = max(1.0, abs(reference.bound))
    assert ours.status is oa.Status.SOLVED
    event(f"reference: {reference.status}")  # whose bracket holds however well it did
    for solution in (ours, reference):
        check_rules(case, solution.allocation)
    assert ours.value <= reference.bound + 2e-6 * size
    assert reference.value <= ours.bound + 2e-6 * size


@settings(max_examples=examples(25))
@given(case=capped_problems(feasible=False))
def test_infeasible_if_and_only_if_the_oracle_says_so(case: Case) -> None:
    check_feasibility(case, check_solved, GAP)


@settings(max_examples=examples(12))
@given(case=capped_problems(feasible=False, max_users=9))
@pytest.mark.usefixtures("small_steps")
def test_infeasible_by_the_paths_of_large_problems(case: Case) -> None:
    check_feasibility(case, check_solved, GAP)


def market(n_users: int = 60, n_items: int = 30, degree: int = 12, seed: int = 0) -> oa.Candidates:
    """Ten artists of three items, five genres of two artists; promotion on every third item."""
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.permutation(n_items)[:degree] for _ in range(n_users)])
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * degree,
        item,
        {"relevance": rng.uniform(0.1, 1.0, item.size)},
        items={
            "artist": np.arange(n_items) // 3,
            "genre": np.arange(n_items) // 6,
            "mood": np.arange(n_items) % 4,
            "campaign": np.where(np.arange(n_items) % 3 == 0, np.arange(n_items) // 3, -1),
        },
    )


CANDIDATES = market()
RULES = oa.Slate(5, {"artist": 1, "genre": 2})


def by_label(candidates: oa.Candidates, x: np.ndarray[Any, Any], key: str) -> np.ndarray[Any, Any]:
    """(n_users, n_labels) of an allocation."""
    label = np.asarray(candidates.items[key].codes)[candidates.item]
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    out = np.zeros((candidates.n_users, label.max() + 1))
    np.add.at(out, (user[label >= 0], label[label >= 0]), x[label >= 0])
    return out


def counted(solution: oa.Solution, key: str) -> np.ndarray[Any, Any]:
    return by_label(solution.problem.candidates, solution.allocation, key)


@pytest.mark.parametrize("solver", ["dual", "conic"])
def test_floors_that_only_the_rules_make_impossible(solver: str) -> None:
    """Two items of an artist to everyone: fine in a slate of 5, not where it may hold one of an artist."""
    candidates = oa.Candidates.from_arrays(
        np.arange(11) * 3,
        np.tile([0, 1, 2], 10),
        {"relevance": np.linspace(0.1, 1.0, 30)},
        items={"campaign": ["a", "a", "b"], "artist": ["x", "x", "y"]},
    )
    demand = (oa.exposure(by="campaign") >= {"a": 14.0}).named("delivery")
    problem = oa.Problem(candidates, oa.total("relevance"), [demand], oa.Slate(3))
    assert oa.solve(problem, solver=solver).status is oa.Status.SOLVED
    ruled = oa.solve(problem.replace(slate=oa.Slate(3, {"artist": 1})), solver=solver)
    assert ruled.status is oa.Status.INFEASIBLE
    (conflict,) = ruled.conflicts
    assert (conflict.constraint, conflict.label) == ("delivery", "a")
    assert (conflict.reached, conflict.give) == pytest.approx((10.0, 4.0))


def test_rules_of_a_market_cost_and_are_kept() -> None:
    caps = (oa.exposure(by="campaign") <= 8.0).named("caps")
    problem = oa.Problem(CANDIDATES, oa.total("relevance"), [caps, oa.exposure(by="genre") >= 35.0], RULES)
    solution = oa.solve(problem, gap=GAP)
    assert solution.status is oa.Status.SOLVED
    assert counted(solution, "artist").max() <= 1.0 + 1e-9
    assert counted(solution, "genre").max() <= 2.0 + 1e-9
    free = oa.solve(problem.replace(slate=oa.Slate(5)), gap=GAP)
    assert counted(free, "artist").max() > 1.5
    assert solution.bound < free.value
    reference = oa.solve(problem, solver="conic", gap=GAP)
    assert solution.value == pytest.approx(reference.value, rel=2 * GAP)


def test_the_order_of_the_rules_does_not_matter() -> None:
    problem = oa.Problem(CANDIDATES, oa.total("relevance"), [oa.exposure(by="campaign") <= 8.0], RULES)
    other = problem.replace(slate=oa.Slate(5, {"genre": 2, "artist": 1}))
    assert oa.solve(problem).value == oa.solve(other).value


def test_any_number_of_threads_gives_the_same_answer(tuned: Any) -> None:
    tuned(SIZES, chunk_pairs=100)
    problem = oa.Problem(CANDIDATES, oa.total("relevance"), [oa.exposure(by="campaign") <= 8.0], RULES)
    one, three = (oa.solve(problem, threads=n) for n in (1, 3))
    assert one.bound == three.bound
    assert np.array_equal(one.allocation, three.allocation)
    for name, prices in one.prices.items():
        assert np.array_equal(prices, three.prices[name])


def test_rules_that_cannot_bind_change_nothing() -> None:
    """Caps as large as the slate: the same optimum as without them."""
    problem = oa.Problem(
        CANDIDATES, oa.total("relevance"), [oa.exposure(by="campaign") <= 8.0], oa.Slate(5, {"artist": 5, "genre": 9})
    )
    plain = oa.solve(problem.replace(slate=oa.Slate(5)), gap=1e-9)
    ruled = oa.solve(problem, gap=1e-9)
    assert ruled.value == pytest.approx(plain.value, rel=2e-9)


def test_scaling_down_keeps_the_rules() -> None:
    caps = (oa.exposure(by="campaign") <= 3.0).named("caps")
    problem = oa.Problem(CANDIDATES, oa.total("relevance"), [caps], RULES)
    program = lower(problem)
    with Threads(program, 1) as engine:
        positions, x = scaled(engine, np.zeros(program.n_rows))
        _, totals = engine.add_up(positions, x)
    assert (totals <= 3.0 + 1e-9).all()
    assert totals.max() == pytest.approx(3.0)
    own = np.zeros(CANDIDATES.n_pairs)
    own[positions] = x
    assert by_label(CANDIDATES, own, "artist").max() <= 1 + 1e-9
    assert by_label(CANDIDATES, own, "genre").max() <= 2 + 1e-9
    assert np.bincount(program.users_of(positions), weights=x).max() <= 5 + 1e-9


def test_what_is_said_of_the_rules() -> None:
    problem = oa.Problem(CANDIDATES, oa.total("relevance"), [oa.exposure(by="campaign") <= 8.0], RULES)
    words = "Slate(size=5, at_most={'artist': 1, 'genre': 2})"
    assert words in repr(problem)
    report = str(oa.solve(problem))
    assert "slates of up to 5, at most 1 of an artist and 2 of a genre" in " ".join(report.split())


def labeled(**items: list[int]) -> oa.Problem:
    n = len(next(iter(items.values())))
    candidates = oa.Candidates.from_arrays([0, n], np.arange(n), {"r": np.linspace(1.0, 2.0, n)}, items=items)
    return oa.Problem(candidates, oa.total("r"), slate=oa.Slate(n, dict.fromkeys(items, 1)))


def chain(problem: oa.Problem) -> list[str]:
    """The keys whose categories nest, the finest first."""
    rules = lower(problem).rules
    assert rules is not None
    return [rules.systems[k].key for k in rules.chain]


def test_the_finer_key_need_not_have_more_categories() -> None:
    """A key that few items have lies within one that all have, though it has fewer categories."""
    problem = labeled(artist=[0, 0, 1, 1], single=[-1, 7, -1, -1])
    assert chain(problem) == ["single", "artist"]
    assert oa.solve(problem).value == pytest.approx(1.0 + 1.0 / 3.0 + 2.0)


def test_a_key_between_that_misses_items_hides_no_crossing() -> None:
    """a lies within (none of) b, and b within c, but a has items of two c."""
    problem = labeled(a=[1, 1, 2, 3, 4], b=[-1, -1, 5, 6, 6], c=[8, 9, 9, 8, 8])
    assert len(chain(problem)) == 2
    assert oa.solve(problem).value == pytest.approx(2.0 + 1.5)


PLAIN = """
import sys
import numpy as np
import oasis_alloc as oa

candidates = oa.Candidates.from_arrays(
    [0, 3, 6], [0, 1, 2, 0, 1, 2], {"r": [3.0, 2.0, 1.0, 1.0, 2.0, 4.0]}, items={"artist": [0, 0, 1]}
)
problem = oa.Problem(candidates, oa.total("r"), [oa.exposure(by="artist") <= 2.5], oa.Slate(2))
oa.solve(problem).scores()
oa.solve(problem.replace(supply=[2.0, 0.5])).scores()
from oasis_alloc.kernels.rules import ruled
from oasis_alloc.kernels.solve import decide, visit
assert visit.visit.signatures and decide.decide.signatures
assert not ruled.visit.signatures, "rules that are not used are compiled"
oa.solve(problem.replace(slate=oa.Slate(2, {"artist": 1}))).scores()
assert len(ruled.visit.signatures) == 1
oa.solve(problem.replace(slate=oa.Slate([1, 2], diminishing={"artist": 0.5}, keep={"r": 0.5}, slot_weights=[1, 0.5])))
assert len(ruled.visit.signatures) == 1, "rules are compiled once more"
"""


def test_rules_are_visited_by_one_kernel_and_only_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = oa.Candidates.from_arrays(
        [0, 3, 6], [0, 1, 2, 0, 1, 2], {"r": [3.0, 2.0, 1.0, 1.0, 2.0, 4.0]}, items={"artist": [0, 0, 1]}
    )
    plain = oa.Problem(candidates, oa.total("r"), [oa.exposure(by="artist") <= 2.5], oa.Slate(2))
    visit: Any = ruled.visit
    one = plain.replace(slate=oa.Slate(2, {"artist": 1}))
    other = plain.replace(slate=oa.Slate([1, 2], diminishing={"artist": 0.5}, keep={"r": 0.5}, slot_weights=[1, 0.5]))
    oa.solve(one)
    compiled, visits = list(visit.signatures), []
    oa.solve(other)
    assert visit.signatures == compiled, "rules are compiled once more"
    monkeypatch.setattr(ruled, "visit", lambda *given: visits.append(given) or visit(*given))
    oa.solve(plain).scores()
    oa.solve(plain.replace(supply=[2.0, 0.5])).scores()
    assert not visits, "rules that are not used are visited"
    oa.solve(one)
    assert visits


@pytest.mark.full
def test_a_problem_without_rules_runs_the_plain_kernels() -> None:
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
