"""Steps and slates of users with more crossing categories than a dense matrix is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import full_only
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

import oasis_alloc as oa
from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.rules import ruled
from oasis_alloc.kernels.rules.many_prices import newton_many
from oasis_alloc.kernels.rules.rules import FREE, Rules, User, Work, scratch
from oasis_alloc.kernels.rules.settle import Settled
from oasis_alloc.kernels.solve import jobs

Array = np.ndarray[Any, Any]
N, CATEGORIES, NODES = 90, 60, 7


def mixed_user(seed: int, guarded: bool) -> tuple[User, Work, Array]:
    """A user in the middle of a search, with candidates of up to two categories; (user, scratch, membership)."""
    rng = np.random.default_rng(seed)
    rules = Rules(
        size=np.array([9]), least=np.zeros(1, np.int64), weight=np.ones(1), of=np.zeros((1, N), np.int32),
        most=np.array([1]), free=np.array([1]), n=1, stair=-1, steps=np.array([0.0, np.inf]),
        start=2 * np.arange(N + 1), further=np.zeros(2 * N, np.int32),
        staircase=np.tile([0.0, np.inf], (CATEGORIES, 1)), guard=readonly(np.empty(0)), target=np.empty(0),
    )  # fmt: skip
    _, work = scratch(0, 1, readonly(np.array([0, N])), rules)
    member = np.zeros((N, CATEGORIES + 1))
    for i in range(N):
        some = rng.choice(CATEGORIES, int(rng.integers(0, 3)), replace=False)
        work.more[i] = -1
        work.more[i, : some.size] = some
        member[i, some] = 1.0
    work.x[:N] = np.clip(rng.uniform(-0.3, 1.3, N), 0.0, 1.0)
    work.owner[:N] = rng.integers(-1, NODES, N)
    work.r[:N] = rng.random(N) if guarded else 0.0
    steepest = float(work.r.max()) or 1.0
    member[:, CATEGORIES] = -work.r[:N] / steepest
    return User(0, N, CATEGORIES, 0.0, 1e-3, steepest), work, member


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_step_of_many_prices_solves_the_equations_of_a_dense_matrix(seed: int, guarded: bool) -> None:
    user, work, member = mixed_user(seed, guarded)
    rng, damping, gamma = np.random.default_rng(100 + seed), 1e-3, 0.01
    free = np.sort(rng.choice(CATEGORIES + guarded, FREE + 5, replace=False))
    slope = rng.normal(size=CATEGORIES + 1)
    step, place = np.empty(CATEGORIES + 1), np.empty(CATEGORIES + 1, np.int64)
    newton_many(
        user, gamma, damping, free.size, np.append(free, [0] * 5), slope, place,
        np.empty((4, CATEGORIES + 1)), step, work,
    )  # fmt: skip
    move = (work.x[:N] > 0.0) & (work.x[:N] < 1.0)
    a = member[move][:, free]
    for node in range(NODES):
        of = work.owner[:N][move] == node
        a[of] -= a[of].mean(axis=0) if of.any() else 0.0
    # what is added to the diagonal is relative to the entries before means are taken off
    added = 1e-12 * float(np.sum(member[move][:, free] ** 2)) + damping
    unit = np.where(free == CATEGORIES, user.steepest, 1.0)
    expected = np.linalg.solve(a.T @ a + added * np.eye(free.size), -gamma * slope[free] / unit) / unit
    assert step[: free.size] == pytest.approx(expected, rel=1e-8, abs=1e-12)


def crossing(n: int, slots: int, categories: tuple[int, int], kind: str) -> oa.Problem:
    """One user whose slate may have one item of each artist and of each genre."""
    rng = np.random.default_rng(0)
    scores = {
        "equal": np.ones(n),
        "nearly equal": 1.0 + 1e-9 * rng.random(n),
        "three values": rng.integers(1, 4, n) / 3.0,
        "uniform": rng.random(n),
    }[kind]
    items = {key: rng.integers(many, size=n) for key, many in zip("ag", categories, strict=True)}
    candidates = oa.Candidates.from_arrays([0, n], np.arange(n), {"r": scores}, items=items)
    return oa.Problem(candidates, oa.total("r"), slate=oa.Slate(slots, at_most={"a": 1, "g": 1}))


def best_by_program(problem: oa.Problem, slots: int) -> float:
    candidates = problem.candidates
    n, scores = candidates.n_pairs, np.asarray(candidates.columns["r"])
    rows = [csr_array((np.ones(n), (np.asarray(candidates.items[key].codes), np.arange(n)))) for key in "ag"]
    matrix = vstack([csr_array(np.ones((1, n))), *rows])
    limits = np.append(float(slots), np.ones(matrix.shape[0] - 1))
    return -float(linprog(-scores, matrix, limits, bounds=(0.0, 1.0)).fun)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["uniform", "three values", *full_only("equal", "nearly equal")])
def test_hundreds_of_crossing_categories_keep_their_caps_and_their_value_is_proven(kind: str) -> None:
    """A search that moved 48 prices at a time ended with slates over their caps, and a bound below their value."""
    problem = crossing(1_000, 200, (400, 300), kind)
    solution = oa.solve(problem)
    best = best_by_program(problem, 200)
    x = solution.allocation
    assert solution.status is oa.Status.SOLVED
    assert x.sum() <= 200 * (1 + 1e-9)
    for key in "ag":
        assert np.bincount(np.asarray(problem.candidates.items[key].codes), x).max() <= 1.0 + 1e-9
    assert solution.value <= best * (1 + 1e-9) <= solution.bound * (1 + 2e-9)
    assert solution.value >= best * (1 - 1e-4)


@pytest.mark.full
def test_a_thousand_slots_of_equal_scores_are_filled() -> None:
    solution = oa.solve(crossing(4_000, 1_000, (2_000, 1_500), "equal"))
    assert solution.status is oa.Status.SOLVED
    assert solution.allocation.sum() == pytest.approx(1_000.0, abs=1e-6)
    assert solution.passes <= 10


@pytest.mark.parametrize(("shown", "crowded"), [([0], False), ([0, 2], False), ([0, 1], True), ([1, 2, 3], True)])
def test_what_is_decided_in_never_crowds_a_category(shown: list[int], crowded: bool) -> None:
    """Candidates 0 and 1 share a category of one place, and 1 and 3 another."""
    rules = Rules(
        size=np.array([4]), least=np.zeros(1, np.int64), weight=np.ones(1), of=np.empty((0, 4), np.int32),
        most=np.empty(0, np.int64), free=np.empty(0, np.int64), n=0, stair=-1, steps=np.array([0.0, np.inf]),
        start=np.array([0, 1, 3, 3, 4]), further=np.array([0, 0, 1, 1], np.int32),
        staircase=np.tile([0.0, np.inf], (2, 1)), guard=readonly(np.empty(0)), target=np.empty(0),
    )  # fmt: skip
    _, work = scratch(0, 1, readonly(np.array([0, 4])), rules)
    work.at[:4], work.which[:2] = np.arange(4), np.arange(2)
    for i, own in enumerate(([0], [0, 1], [], [1])):
        work.more[i, : len(own) + 1] = [*own, -1]
    state = np.zeros(4, np.uint8)
    state[shown] = 1
    settled = Settled(4, 2, 0.0, 0.0, 0.0, 0)
    assert ruled._crowded(settled, 0, jobs.marks(state=state), rules, work) is crowded
