"""Functions by (user, genre): prices found within users' blocks are those of the rows, and of a reference solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program import own_rows
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.own_rows import OwnRows

USERS, EACH, ITEMS = 12, 14, 40
GENRES = ("folk", "jazz", "pop", "rock")
GENRE = oa.exposure(by=("who", "genre"))

FUNCTIONS: dict[str, Callable[[], Any]] = {
    "kl": lambda: -30.0 * oa.kl(GENRE, 1.0),
    "kl of parts": lambda: -20.0 * oa.kl(oa.total("part", by=("who", "genre")), 1.0),
    "kl of targets": lambda: -30.0 * oa.kl(GENRE, 1.0, smoothing=0.05),
    "entropy": lambda: 15.0 * oa.entropy(GENRE),
    "log": lambda: 0.4 * oa.log(GENRE, offset=0.2),
    "alpha_fair": lambda: 0.3 * oa.alpha_fair(GENRE, 2.0, offset=0.5),
    "square_deviation": lambda: -0.3 * oa.square_deviation(GENRE, 1.2),
}


def market(users: int = USERS, several: bool = True) -> oa.Candidates:
    """Users with their own candidates; items have one to three genres, and a campaign."""
    rng = np.random.default_rng(5)
    items = np.concatenate([rng.permutation(ITEMS)[:EACH] for _ in range(users)])
    genres = [sorted(rng.choice(GENRES, rng.integers(1, 4 if several else 2), replace=False)) for _ in range(ITEMS)]
    part = 1.0 / np.array([len(genres[item]) for item in items])
    columns = {"relevance": rng.random(items.size), "part": part}
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * EACH, items, columns, users={"who": np.arange(users)},
        items={"genre": genres, "campaign": np.arange(ITEMS) % 5},
    )  # fmt: skip


def problem(name: str, *limits: Any, size: int = 4) -> oa.Problem:
    return oa.Problem(market(), oa.total("relevance") + FUNCTIONS[name](), list(limits), oa.Slate(size))


CAPS = oa.exposure(by="campaign") <= 7.5
GUARD = oa.total("relevance", by="who") >= 2.2
LIMITS: dict[str, tuple[Any, ...]] = {"alone": (), "caps": (CAPS,), "caps and guards": (CAPS, GUARD)}


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "limits"), diagonal(FUNCTIONS.keys(), LIMITS))
def test_the_answer_is_the_reference_solvers(name: str, limits: tuple[Any, ...]) -> None:
    stated = problem(name, *limits)
    ours, reference = oa.solve(stated, gap=1e-5), oa.solve(stated, solver="conic:clarabel", gap=1e-5)
    assert ours.status is oa.Status.SOLVED
    assert ours.gap <= 1e-5
    assert ours.violation <= 1e-6
    size = max(abs(reference.value), abs(reference.bound), 20.0)
    assert ours.value <= reference.bound + 1e-6 * size
    assert ours.bound >= reference.value - 1e-6 * size
    assert ours.value == pytest.approx(reference.value, abs=2e-5 * size)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_rows_and_blocks_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = problem(name, CAPS)
    blocks = oa.solve(stated, gap=1e-5)
    monkeypatch.setattr(own_rows, "_MOST_GROUPS", 0)
    rows = oa.solve(stated, gap=1e-5)
    size = max(abs(rows.value), 20.0)
    assert abs(blocks.value - rows.value) <= 1e-5 * size
    function = stated.names[0] if "campaign" not in stated.names[0] else stated.names[1]
    # the functions are strictly concave in the totals, so these agree to the root of the gap
    np.testing.assert_allclose(blocks.totals[function], rows.totals[function], atol=0.1)


@pytest.mark.parametrize(("name", "gamma"), diagonal(FUNCTIONS.keys(), {"0.3": 0.3, "0.01": 1e-2, "0.0001": 1e-4}))
def test_own_prices_are_those_of_the_smoothed_slates(name: str, gamma: float) -> None:
    """At the optimum of a user's dual the slates have the totals that the prices ask for."""
    program = lower(problem(name, CAPS))
    with Threads(program, 1) as engine:
        own = engine.own_rows
        assert own is not None
        prices = np.zeros(program.n_rows)
        prices[program.blocks[-1].rows if "campaign" in program.blocks[-1].name else program.blocks[0].rows] = 0.1
        found = engine.with_own_prices(prices, gamma)
        visit = engine.visit(found, gamma)
        asked = program.conjugate_at(program.variables(found)).gradient[own.variable] * program.row_scale[own.rows]
        np.testing.assert_allclose(visit.totals[own.rows], asked, atol=2e-3 if gamma < 1e-3 else 2e-4)
        before = visit.smoothed + program.conjugate(found)
        rng = np.random.default_rng(0)
        for _ in range(20):  # and no other prices have a smaller dual value
            other = found.copy()
            other[own.rows] += rng.normal(0.0, rng.choice([1e-3, 1e-2, 0.1]), own.rows.size)
            other = program.admit(other)
            there = engine.visit(other, gamma).smoothed + program.conjugate(other)
            assert there >= before - 1e-9 * abs(before)
        np.testing.assert_array_equal(np.delete(found, own.rows), np.delete(prices, own.rows))


def test_threads_do_not_matter() -> None:
    stated = problem("kl", CAPS)
    one, two = (oa.solve(stated, gap=1e-5, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.allocation, two.allocation)
    assert one.bound == two.bound


def test_few_passes_are_needed_where_nothing_couples_users() -> None:
    solution = oa.solve(problem("kl"), gap=1e-4)
    assert solution.gap <= 1e-4
    assert solution.passes <= 6


def test_rows_of_several_users_are_no_own_rows() -> None:
    cands = market()
    of_all = oa.Problem(cands, oa.total("relevance") - 5.0 * oa.kl(oa.exposure(by="genre"), 1.0), [], oa.Slate(4))
    assert OwnRows.of(lower(of_all)) is None
    ruled = oa.Problem(cands, oa.total("relevance") - 5.0 * oa.kl(GENRE, 1.0), [], oa.Slate(4, at_most={"genre": 2}))
    assert OwnRows.of(lower(ruled)) is None
    found = OwnRows.of(lower(problem("kl")))
    assert found is not None
    assert found.rows.size <= USERS * len(GENRES)


def test_a_user_with_fewer_candidates_than_slots() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 2, 2, 5], [0, 1, 0, 1, 2], {"r": [0.9, 0.2, 0.3, 0.4, 0.5]}, users={"who": [0, 1, 2]},
        items={"genre": ["a", "b", "b"]},
    )  # fmt: skip
    stated = oa.Problem(cands, oa.total("r") - 5.0 * oa.kl(oa.exposure(by=("who", "genre")), 1.0), [], oa.Slate(3))
    ours, reference = oa.solve(stated, gap=1e-6), oa.solve(stated, solver="conic:clarabel", gap=1e-6)
    assert ours.value == pytest.approx(reference.value, abs=1e-5)
