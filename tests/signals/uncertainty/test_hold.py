"""Floors that hold in 95 % of scenarios: in other draws than those of the solve, and against a cone program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from uncertain import market, problem

import oasis_alloc as oa

USERS, DEGREE, ITEMS = 150, 8, 24


class World:
    """Candidates whose relevance is wrong by item (a tenth) and by pair (0.15), and floors on relevance by campaign."""

    def __init__(self, seed: int, deviation: float = 0.15) -> None:
        self.rng = np.random.default_rng(seed)
        self.item = np.concatenate([self.rng.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
        self.mean = self.rng.uniform(0.3, 1.0, self.item.size) - 0.15 * (self.item % 3 == 0)
        self.deviation = deviation
        self.cands = oa.Candidates.from_arrays(
            np.arange(USERS + 1) * DEGREE,
            self.item,
            {"relevance": self.mean, "promotion": self.rng.random(self.item.size)},
            items={"campaign": np.arange(ITEMS) % 3},
            uncertainty={"relevance": np.full(self.item.size, deviation)},
        )
        floors = (oa.total("relevance", by="campaign") >= {0: 75.0, 1: 60.0}).named("floors")
        self.problem = oa.Problem(self.cands, oa.total("promotion"), floors, oa.Slate(2))

    def drawn(self, number: int, rng: np.random.Generator) -> np.ndarray:
        shared = 1.0 + 0.1 * rng.standard_normal((number, ITEMS))[:, self.item]
        return self.mean * shared + self.deviation * rng.standard_normal((number, self.item.size))

    def independent(self, number: int, rng: np.random.Generator) -> np.ndarray:
        return self.mean + self.deviation * rng.standard_normal((number, self.item.size))

    def totals(self, drawn: np.ndarray, solution: oa.Solution) -> np.ndarray:
        """(n_draws, 2): relevance by the two campaigns with a floor."""
        member = (self.item % 3 == np.arange(2)[:, None]) * solution.allocation
        return drawn @ member.T


def shares(world: World, solution: oa.Solution, drawn: np.ndarray) -> np.ndarray:
    return (world.totals(drawn, solution) >= [75.0, 60.0]).mean(axis=0)


def test_floors_of_independent_errors_hold_in_other_draws() -> None:
    world = World(0)
    plain = oa.solve(world.problem)
    answer = oa.solve_uncertain(world.problem, hold={"floors": 0.95})
    fresh = world.independent(4000, np.random.default_rng(1))
    assert shares(world, plain, fresh).min() < 0.6
    found = shares(world, answer.solution, fresh)
    assert (np.abs(found - 0.95) <= 0.02).all(), found
    assert answer.held["floors"][:2] == pytest.approx([0.95, 0.95], abs=0.002)
    assert answer.held["floors"][2] == 1.0
    assert answer.missed <= 1e-5
    assert answer.value <= plain.value
    assert answer.value <= answer.bound
    policy, scores = answer.policy(), answer.solution.scores()
    columns = answer.solution.problem.candidates.columns
    own = {name: columns[name][:DEGREE] for name in policy.columns}
    assert (policy.score(world.item[:DEGREE], own, user=0) == scores[:DEGREE]).all()


@pytest.mark.full
def test_floors_over_draws_hold_in_other_draws() -> None:
    world = World(2)
    draws = oa.Draws(world.cands, {"relevance": world.drawn(200, world.rng)})
    stated = world.problem.replace(maximize=oa.total("promotion") + 0.1 * oa.total("relevance"))
    answer = oa.solve_uncertain(stated, draws=draws, hold={"floors": 0.95}, gap=1e-4)
    assert answer.missed <= 1e-5
    assert answer.gap <= 0.02
    found = shares(world, answer.solution, world.drawn(4000, np.random.default_rng(3)))
    assert (found >= 0.92).all()
    assert (found <= 0.98).all()
    totals = world.totals(draws.columns["relevance"], answer.solution)
    assert answer.held["floors"][:2] == pytest.approx((totals >= [75.0, 60.0]).mean(axis=0))


def test_floors_are_held_by_the_best_of_a_risk() -> None:
    world = World(5)
    draws = oa.Draws(world.cands, {"relevance": world.drawn(20, world.rng)})
    stated = world.problem.replace(maximize=oa.total("promotion") + 0.1 * oa.total("relevance"))
    for how in ({"risk": oa.CVaR(0.2), "draws": draws}, {"risk": oa.LowerQuantile(0.05)}):
        answer = oa.solve_uncertain(stated, hold={"floors": 0.9}, gap=5e-3, **how)
        assert answer.missed <= 1e-5
        assert answer.value <= answer.bound
        assert answer.held["floors"][:2].min() >= 0.85
        free = oa.solve_uncertain(stated, gap=5e-3, **how)
        assert answer.value <= free.bound


@pytest.mark.full
def test_floors_hold_in_95_percent_over_many_samples_of_draws() -> None:
    held = []
    for seed in range(30):
        world = World(100 + seed)
        draws = oa.Draws(world.cands, {"relevance": world.drawn(100, world.rng)})
        stated = world.problem.replace(maximize=oa.total("promotion") + 0.1 * oa.total("relevance"))
        answer = oa.solve_uncertain(stated, draws=draws, hold={"floors": 0.95}, gap=1e-3)
        held.append(shares(world, answer.solution, world.drawn(2000, np.random.default_rng(seed))))
    assert np.abs(np.mean(held, axis=0) - 0.95).max() <= 0.02, np.mean(held, axis=0)


@pytest.mark.full
def test_the_bound_is_that_of_a_cone_program() -> None:
    import cvxpy as cp

    world = World(4)
    drawn = world.drawn(20, world.rng)
    stated = world.problem.replace(maximize=oa.total("promotion") + 0.1 * oa.total("relevance"))
    answer = oa.solve_uncertain(stated, draws=oa.Draws(world.cands, {"relevance": drawn}), hold={"floors": 0.9})
    from scipy.stats import t

    z = float(t.ppf(0.9, 19)) * np.sqrt(1 + 1 / 20)
    x = cp.Variable(world.item.size, nonneg=True)
    slots = np.zeros((USERS, world.item.size))
    slots[np.repeat(np.arange(USERS), DEGREE), np.arange(world.item.size)] = 1.0
    limits = [x <= 1, slots @ x <= 2]
    for campaign, floor in ((0, 75.0), (1, 60.0)):
        totals = (drawn * (world.item % 3 == campaign)) @ x
        off = (np.eye(20) - 1 / 20) @ totals
        limits.append(cp.sum(totals) / 20 - z * cp.norm(off) / np.sqrt(19) >= floor)
    gain = world.cands.columns["promotion"] + 0.1 * drawn.mean(axis=0)
    best = float(cp.Problem(cp.Maximize(gain @ x), limits).solve(solver="CLARABEL"))
    assert best <= answer.bound * (1 + 1e-6)
    assert answer.value <= best * (1 + 1e-5)
    assert answer.value >= best * (1 - 0.02)


def draws_of(cands: oa.Candidates, column: str = "relevance") -> oa.Draws:
    return oa.Draws(cands, {column: np.stack([cands.columns[column], 0.9 * cands.columns[column]])})


def stated(*limits: Any) -> oa.Problem:
    return problem(market(0)[0]).replace(subject_to=list(limits))


FLOOR = (oa.total("relevance", by="campaign") >= 1.0).named("floor")
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "name": (lambda: oa.solve_uncertain(stated(FLOOR), hold={"promise": 0.95}), "no constraint is named 'promise'"),
    "share": (lambda: oa.solve_uncertain(stated(FLOOR), hold={"floor": 95}), r"is 95; expected a share in \(0.5, 1\)"),
    "cap": (
        lambda: oa.solve_uncertain(stated((oa.total("relevance") <= 5.0).named("cap")), hold={"cap": 0.95}),
        "is not a floor",
    ),
    "certain": (
        lambda: oa.solve_uncertain(stated((oa.exposure() >= 5.0).named("floor")), hold={"floor": 0.95}),
        "nothing in exposure\\(\\) is uncertain",
    ),
    "keys": (
        lambda: oa.solve_uncertain(
            stated((oa.total("relevance", by="campaign") >= 0.1 * oa.total("relevance")).named("floor")),
            hold={"floor": 0.95},
        ),
        "have different keys",
    ),
    "type": (
        lambda: oa.solve_uncertain(stated(FLOOR), hold=["floor"]),  # type: ignore[arg-type]
        "expected {name of a floor: share of the draws}",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_held_is_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(oa.ProblemError, match=message):
        make()


def test_floors_that_cannot_be_held_are_a_conflict() -> None:
    cands, _ = market(0)
    own = oa.Candidates.from_arrays(
        cands.indptr,
        cands.item,
        {**cands.columns, "own": cands.columns["relevance"] * (cands.item % 3 == 0)},
        items={"campaign": np.arange(9) % 3},
        uncertainty=cands.uncertainty,
    )
    most = oa.solve(problem(own).replace(maximize=oa.total("own"), subject_to=[]), gap=1e-6).value
    floor = (oa.total("relevance", by="campaign") >= {0: 0.98 * most}).named("floor")
    near = problem(own).replace(subject_to=[floor])
    assert oa.solve(near).status.name == "SOLVED"
    answer = oa.solve_uncertain(near, hold={"floor": 0.999})
    assert answer.solution.status.name == "INFEASIBLE"
    assert np.isnan(answer.value)
