"""Demands that conflict: named, with how much each would have to give; and demands that only look as if they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracle import least_relaxation
from strategies import Case, Market

import oasis_alloc as oa
from oasis_alloc.errors import SolverError

SOLVERS = ("dual", "conic")
each_solver = pytest.mark.parametrize("solver", SOLVERS)


def market(n_users: int = 10, n_items: int = 4, seed: int = 0) -> oa.Candidates:
    """Every user could be shown every item; two campaigns of two items each, two markets."""
    rng = np.random.default_rng(seed)
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n_items,
        np.tile(np.arange(n_items), n_users),
        {"relevance": rng.uniform(0.1, 1.0, n_users * n_items)},
        users={"market": ["de" if u % 2 else "se" for u in range(n_users)]},
        items={"campaign": ["a", "a", "b", "b"][:n_items], "artist": ["x", "y", "x", "y"][:n_items]},
    )


def solve(
    constraints: list[Any], solver: str = "dual", slots: int = 1, candidates: oa.Candidates | None = None
) -> oa.Solution:
    candidates = market() if candidates is None else candidates
    return oa.solve(oa.Problem(candidates, oa.total("relevance"), constraints, oa.Slate(slots)), solver=solver)


def gives(solution: oa.Solution) -> dict[tuple[str, Any], float]:
    return {(c.constraint, c.label): c.give for c in solution.conflicts if c.give > 0}


def check_infeasible(solution: oa.Solution, total: float) -> None:
    """Status, certificate and amounts of a problem whose limits must give `total` together."""
    assert solution.status is oa.Status.INFEASIBLE
    assert np.isnan(solution.value)
    assert solution.bound == -np.inf
    assert solution.violation > 1e-6
    assert solution.prices == {}
    assert sum(gives(solution).values()) == pytest.approx(total, rel=1e-6)
    assert [c.give for c in solution.conflicts] == sorted((c.give for c in solution.conflicts), reverse=True)
    for conflict in solution.conflicts:
        total_there = solution.totals[conflict.constraint][
            solution.problem.labels(conflict.constraint).index(conflict.label)
        ]
        assert conflict.reached == pytest.approx(total_there)
        if conflict.give:
            over = {"<=": conflict.reached - conflict.limit, ">=": conflict.limit - conflict.reached}
            assert conflict.give == pytest.approx(over.get(conflict.sense, abs(conflict.reached - conflict.limit)))
            assert "relax it by" in str(conflict)
        else:
            assert "leaves no room" in str(conflict)
        assert conflict.constraint in str(conflict)
        assert repr(conflict.label) in str(conflict) or conflict.label is None
    for access in ("allocation", "parts"):
        with pytest.raises(SolverError, match="infeasible"):
            getattr(solution, access)
    for call in (solution.to_frame, solution.scores, solution.raise_if_infeasible):
        with pytest.raises(SolverError) as caught:
            call()
        assert str(solution.conflicts[0]) in str(caught.value)


@each_solver
def test_a_floor_above_all_candidates(solver: str) -> None:
    """Ten users, one slot each: no price brings a campaign eleven impressions."""
    solution = solve([(oa.exposure(by="campaign") >= {"b": 25.0}).named("delivery")], solver, slots=3)
    check_infeasible(solution, 5.0)  # ten users with two candidates of b each
    (conflict,) = solution.conflicts
    assert (conflict.constraint, conflict.label, conflict.sense) == ("delivery", "b", ">=")
    assert (conflict.limit, conflict.reached, conflict.give) == pytest.approx((25.0, 20.0, 5.0))
    assert str(conflict) == "delivery, group 'b': requires >= 25, can reach 20; relax it by 5"


@each_solver
def test_a_floor_within_all_candidates_but_not_within_the_slots(solver: str) -> None:
    solution = solve([(oa.exposure(by="campaign") >= {"b": 12.0}).named("delivery")], solver)
    check_infeasible(solution, 2.0)
    assert gives(solution) == {("delivery", "b"): pytest.approx(2.0)}


@each_solver
def test_floors_that_only_conflict_together(solver: str) -> None:
    solution = solve([(oa.exposure(by="campaign") >= [6.0, 7.0]).named("delivery")], solver)
    check_infeasible(solution, 3.0)
    assert {c.label for c in solution.conflicts} == {"a", "b"}, "both take part, whichever of them gives"


@each_solver
def test_a_floor_against_the_cap_of_another_key(solver: str) -> None:
    """Campaign a is artists x and y, whose caps leave it 5 of the 8 that it asks for."""
    solution = solve(
        [
            (oa.exposure(by="campaign") >= {"a": 8.0}).named("delivery"),
            (oa.exposure(by="artist") <= [2.0, 3.0]).named("variety"),
        ],
        solver,
    )
    check_infeasible(solution, 3.0)
    assert {(c.constraint, c.label) for c in solution.conflicts} == {
        ("delivery", "a"),
        ("variety", "x"),
        ("variety", "y"),
    }
    assert {c.sense for c in solution.conflicts if c.constraint == "variety"} == {"<="}


@each_solver
def test_equalities_that_conflict(solver: str) -> None:
    solution = solve(
        [(oa.exposure() == 4.0).named("all"), (oa.exposure(by="market") == {"de": 3.0, "se": 2.5}).named("each")],
        solver,
    )
    check_infeasible(solution, 1.5)
    assert all(conflict.sense == "==" for conflict in solution.conflicts)
    assert {conflict.constraint for conflict in solution.conflicts} == {"all", "each"}


@each_solver
def test_a_guard_that_cannot_be_kept(solver: str) -> None:
    """97 % of the relevance of the best slates, while half of the slots go to items that nobody likes."""
    n = 20
    candidates = oa.Candidates.from_arrays(
        np.arange(n + 1) * 2,
        np.tile([0, 1], n),
        {"relevance": np.tile([1.0, 0.2], n)},
        items={"campaign": ["good", "promoted"]},
    )
    problem = oa.Problem(
        candidates,
        oa.total("relevance"),
        [
            (oa.total("relevance") >= 0.97 * n).named("guard"),
            (oa.exposure(by="campaign") >= {"promoted": n / 2}).named("delivery"),
        ],
        oa.Slate(1),
    )
    solution = oa.solve(problem, solver=solver)
    # 10 promoted cost 8 of relevance, the guard allows 0.6: 7.4 of relevance, or 9.25 impressions of 0.8 each
    check_infeasible(solution, 7.4)
    assert gives(solution) == {("guard", None): pytest.approx(7.4)}
    assert {c.constraint for c in solution.conflicts} == {"guard", "delivery"}


@each_solver
def test_demands_on_a_group_that_nobody_can_see(solver: str) -> None:
    """A label among the items, but no candidate of it: any floor is out of reach, zero is not."""
    candidates = oa.Candidates.from_arrays([0, 1, 1], [0], {"relevance": [1.0]}, items={"campaign": ["a", "ghost"]})
    ghost = oa.exposure(by="campaign")
    solution = solve([(ghost >= {"ghost": 0.5}).named("delivery")], solver, candidates=candidates)
    check_infeasible(solution, 0.5)
    assert (
        solve([ghost >= {"ghost": 0.0}, ghost <= {"ghost": 0.0}], solver, candidates=candidates).status
        is oa.Status.SOLVED
    )


@each_solver
def test_no_candidates_at_all(solver: str) -> None:
    candidates = oa.Candidates.from_arrays([0, 0], [], {"relevance": []}, items={"campaign": ["a"]})
    check_infeasible(solve([(oa.exposure(by="campaign") >= 1).named("delivery")], solver, candidates=candidates), 1.0)


@pytest.mark.few(3)
@each_solver
@pytest.mark.parametrize(
    "constraints",
    [
        [oa.exposure(by="campaign") >= [4.0, 6.0]],
        [oa.exposure(by="campaign") == [0.0, 10.0]],
        [oa.exposure() == 10.0, oa.exposure(by="market") == 5.0],
        [oa.exposure() <= 0.0],
        [oa.exposure(by="campaign") - 0.5 * oa.exposure() == 0.0, oa.exposure() >= 10.0],
        [oa.exposure(by="campaign") >= 5.0, oa.exposure(by="artist") <= 5.0, oa.exposure(by="market") >= 5.0],
    ],
    ids=lambda constraints: repr(constraints),
)
def test_demands_that_just_fit_are_not_called_infeasible(solver: str, constraints: list[Any]) -> None:
    solution = solve(constraints, solver)
    assert solution.status is oa.Status.SOLVED
    assert solution.conflicts == ()
    assert solution.violation <= 1e-6


def test_soft_demands_never_conflict() -> None:
    wish = oa.soft(oa.exposure(by="campaign") >= [60.0, 70.0], penalty=2.0).named("wish")
    solution = solve([wish, oa.exposure() <= 4.0])
    assert solution.status is oa.Status.SOLVED
    assert solution.totals["wish"].sum() == pytest.approx(4.0)


def test_a_rounding_above_what_there_is_counts_as_kept() -> None:
    """A millionth of the limits is what a violation may be, so it is not a conflict either."""
    assert solve([oa.exposure() == 10.0 + 5e-6]).status is oa.Status.SOLVED
    check_infeasible(solve([(oa.exposure() >= 10.01).named("all")]), 0.01)


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 4))])
def test_a_larger_market_gives_what_linear_programming_says(seed: int) -> None:
    """Random floors that are too much together, caps and a guard; the least relaxation is the oracle's."""
    rng = np.random.default_rng(seed)
    n_users, n_items, per_user = 300, 40, 12
    item = np.concatenate([rng.choice(n_items, per_user, replace=False) for _ in range(n_users)])
    user = np.repeat(np.arange(n_users), per_user)
    columns = {"relevance": rng.uniform(0, 1, item.size), "streams": rng.uniform(0, 3, item.size).astype(np.float32)}
    labels = {
        "campaign": rng.integers(-1, 12, n_items).tolist(),
        "artist": [f"artist {k}" for k in rng.integers(0, 9, n_items)],
        "market": rng.choice(["de", "se", "us"], n_users).tolist(),
        "hour": rng.integers(0, 4, n_users).tolist(),
    }
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * per_user,
        item,
        columns,
        users={key: labels[key] for key in ("market", "hour")},
        items={key: labels[key] for key in ("campaign", "artist")},
    )
    floors = rng.uniform(40, 110, candidates.grouping("campaign").n_groups)
    problem = oa.Problem(
        candidates,
        oa.total("relevance"),
        [
            (oa.exposure(by="campaign") >= floors).named("floors"),
            (oa.exposure(by=("market", "campaign")) <= 30.0).named("caps"),
            (oa.total("streams") >= 1000.0).named("guard"),
            (oa.exposure(by="artist") <= 0.2 * oa.exposure()).named("shares"),
        ],
        oa.Slate(2),
    )
    case = Case(Market(user.tolist(), item.tolist(), columns, labels, n_users, n_items, candidates), problem)
    check_infeasible(oa.solve(problem), least_relaxation(case))
