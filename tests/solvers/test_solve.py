"""solve(): how a solve ends, what it leaves behind, and that the same input gives the same answer."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from effort import full_only

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES

FRAMES: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


def market(
    n_users: int = 2500, per_user: int = 24, n_items: int = 400, n_campaigns: int = 60, turned_over: int = 0
) -> oa.Candidates:
    """A heavy-tailed catalog: large enough for Newton steps and rounds of the finisher, solved in a second."""
    rng = np.random.default_rng(0)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.6
    keys = rng.exponential(size=(n_users, n_items)) / popularity
    item = np.sort(np.argpartition(keys, per_user, axis=1)[:, :per_user], axis=1)
    relevance = rng.beta(2.0, 4.0, (n_users, per_user)) * (0.5 + 0.5 * popularity[item] ** 0.3)
    campaign = rng.integers(0, n_campaigns, n_items)
    markets, artists = rng.choice(["de", "se", "us"], n_users), rng.integers(0, 90, n_items)
    campaign = np.where(rng.random(n_items) < 0.5, campaign, -1)
    campaign = np.where((campaign >= 0) & (campaign < turned_over), campaign + n_campaigns, campaign)
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * per_user,
        item.ravel(),
        {"relevance": relevance.ravel(), "streams": rng.gamma(2.0, 0.5, item.size).astype(np.float32)},
        users={"market": markets},
        items={"campaign": campaign, "artist": artists},
    )


CANDIDATES = market()
SLOTS = 3


def problem(candidates: oa.Candidates = CANDIDATES, floor: float = 30.0) -> oa.Problem:
    """Floors and caps by campaign, a share for every artist, a guard."""
    n_users = candidates.n_users
    campaigns = candidates.groups("campaign")
    floors = {label: floor + label % 7 for label in campaigns}
    caps = {label: 60.0 + 3 * (label % 11) for label in campaigns}
    return oa.Problem(
        candidates,
        oa.total("relevance") + 0.1 * oa.total("streams"),
        [
            (oa.exposure(by="campaign") >= floors).named("floors"),
            (oa.exposure(by="campaign") <= caps).named("caps"),
            (oa.exposure(by="artist") <= 0.05 * oa.exposure()).named("shares"),
            (oa.total("relevance") >= 0.2 * n_users).named("guard"),
            oa.soft(oa.exposure(by="market") == n_users, penalty=0.05).named("markets"),
        ],
        oa.Slate(SLOTS),
    )


@pytest.fixture(scope="module")
def solved() -> oa.Solution:
    return oa.solve(problem())


def check_answer(solution: oa.Solution) -> None:
    """What every answer keeps, however it ended."""
    candidates, x = solution.problem.candidates, solution.allocation
    assert ((x >= 0.0) & (x <= 1.0)).all()
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    shown = np.bincount(user, weights=x, minlength=candidates.n_users)
    assert (shown <= solution.problem.slate.size + 1e-9).all()
    if solution.violation <= 1e-6:
        assert solution.value <= solution.bound + 1e-6 * abs(solution.bound)
    assert np.isfinite([solution.value, solution.bound]).all()
    size = max(abs(solution.value), abs(solution.bound), sum(abs(part) for part in solution.parts.values()))
    gap = max(0.0, solution.bound - solution.value) / size
    assert solution.gap == (pytest.approx(gap, abs=1e-12) if solution.violation <= 1e-6 else np.inf)
    assert (np.diff(solution.pairs) > 0).all()
    assert np.array_equal(np.flatnonzero(x), solution.pairs)
    assert sum(solution.parts.values()) == pytest.approx(solution.value, rel=1e-9)


def test_solved(solved: oa.Solution) -> None:
    check_answer(solved)
    assert solved.status is oa.Status.SOLVED
    assert solved.gap <= 1e-4
    assert solved.violation <= 1e-6
    assert solved.passes > 1
    assert solved.seconds > 0
    assert list(solved.prices) == list(solved.totals) == ["floors", "caps", "shares", "guard", "markets"]
    for name in solved.prices:
        assert solved.prices[name].shape == solved.totals[name].shape == (len(solved.problem.labels(name)),)
    assert (solved.prices["floors"] < 0).any()
    assert (solved.prices["caps"] > 0).any()
    assert str(solved.status) == "solved"
    assert "solved" in repr(solved)


def test_parts_are_the_terms_of_the_objective(solved: oa.Solution) -> None:
    x = solved.allocation
    columns = CANDIDATES.columns
    expected = {
        'total("relevance")': float(columns["relevance"] @ x),
        '0.1 * total("streams")': 0.1 * float(columns["streams"].astype(np.float64) @ x),
        "markets": -0.05 * float(np.abs(solved.totals["markets"] - CANDIDATES.n_users).sum()),
    }
    assert solved.parts == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("gap", [1e-2, 1e-6])
def test_the_gap_that_is_asked_for(solved: oa.Solution, gap: float) -> None:
    other = oa.solve(problem(), gap=gap)
    check_answer(other)
    assert other.status is oa.Status.SOLVED
    assert other.gap <= gap
    assert other.bound >= solved.value - 1e-9 * solved.value
    assert solved.bound >= other.value - 1e-9 * solved.value


def test_a_time_limit_ends_a_solve(solved: oa.Solution) -> None:
    started = time.perf_counter()
    solution = oa.solve(problem(), gap=1e-12, time_limit=1e-3)
    assert time.perf_counter() - started < 5.0
    check_answer(solution)
    assert solution.status is oa.Status.TIME_LIMIT
    assert "raise time_limit" in solution.status.advice
    assert solution.bound >= solved.value - 1e-9 * solved.value, "the bound holds, whatever the solver did"


@pytest.mark.few(2)
@pytest.mark.parametrize("limit", [0.01, 1, 3, 6.5])
def test_a_pass_limit_ends_a_solve(solved: oa.Solution, limit: float) -> None:
    solution = oa.solve(problem(), pass_limit=limit)
    check_answer(solution)
    assert solution.status is oa.Status.PASS_LIMIT
    assert limit <= solution.passes < limit + 5  # as the docstring says: steps end, and the answer takes passes
    assert solution.bound >= solved.value - 1e-9 * solved.value


@pytest.mark.few(1)
@pytest.mark.parametrize("every", [5, *full_only(1)])
@pytest.mark.parametrize("rules", [{}, {"at_most": {"artist": 1}}, {"keep": {"relevance": 0.5}}])
def test_no_stage_goes_far_beyond_a_pass_limit(rules: dict[str, Any], every: int) -> None:
    asked = problem(floor=10.0).replace(slate=oa.Slate(2, **rules))
    whole = oa.solve(asked, gap=1e-6, pass_limit=25)
    for limit in range(1, int(whole.passes), every):
        solution = oa.solve(asked, gap=1e-6, pass_limit=limit)
        assert solution.passes < limit + 5, limit


def test_progress_may_stop_a_solve(solved: oa.Solution) -> None:
    states: list[oa.Progress] = []

    def watch(state: oa.Progress) -> bool:
        states.append(state)
        return len(states) >= 5

    solution = oa.solve(problem(), progress=watch)
    check_answer(solution)
    assert solution.status is oa.Status.STOPPED
    assert len(states) == 5
    assert solution.bound >= solved.value - 1e-9 * solved.value


def test_progress_is_told_how_far_it_is() -> None:
    states: list[oa.Progress] = []
    solution = oa.solve(problem(), progress=states.append)  # append returns None: only True stops
    assert solution.status is oa.Status.SOLVED
    assert len(states) >= solution.passes / 2
    for before, after in pairwise(states):
        assert after.passes > before.passes
        assert after.seconds >= before.seconds
        assert after.bound <= before.bound, "the best bound is kept"
    assert {state.stage for state in states} <= {"sample", "passes", "finish", "conflicts"}
    assert states[-1].gap <= 1e-4
    assert states[-1].target == 1e-4
    assert states[-1].bound == solution.bound
    assert states[-1].value == solution.value


def test_one_thread_and_two_give_the_same_bits(tuned: Any) -> None:
    tuned(SIZES, chunk_pairs=5_000)  # a dozen chunks
    one, two, again = (oa.solve(problem(), threads=n, gap=1e-6) for n in (1, 2, 2))
    for other in (two, again):
        assert (one.value, one.bound, one.passes) == (other.value, other.bound, other.passes)
        assert np.array_equal(one.pairs, other.pairs)
        assert np.array_equal(one.x, other.x)
        for name in one.prices:
            assert np.array_equal(one.prices[name], other.prices[name])


def test_chunks_change_nothing_but_rounding(tuned: Any, solved: oa.Solution) -> None:
    tuned(SIZES, chunk_pairs=5_000)
    other = oa.solve(problem(), threads=2)
    assert other.bound == pytest.approx(solved.bound, rel=2e-4)
    assert np.abs(other.scores() - solved.scores()).max() < 0.1


def test_earlier_prices_save_passes(solved: oa.Solution) -> None:
    """A month later: some campaigns are gone, others new, so all groups have moved; prices are found by label."""
    later = problem(market(turned_over=6))
    assert later.labels("caps") != solved.problem.labels("caps")
    cold, warm = oa.solve(later), oa.solve(later, start=solved)
    by_label = oa.solve(later, start={name: solved.prices_by_label[name] for name in ("floors", "caps")})
    for solution in (cold, warm, by_label):
        check_answer(solution)
        assert solution.status is oa.Status.SOLVED
        assert solution.gap <= 1e-4
    same = oa.solve(problem(), start=solved)
    assert same.status is oa.Status.SOLVED
    assert same.passes < solved.passes
    assert warm.passes < cold.passes


def test_a_start_of_the_wrong_sign_is_cut_to_the_domain(solved: oa.Solution) -> None:
    wrong = {name: -prices for name, prices in solved.prices.items()}
    solution = oa.solve(problem(), start=wrong)
    assert solution.status is oa.Status.SOLVED
    assert solution.bound == pytest.approx(solved.bound, rel=2e-4)


def test_inputs_are_left_alone() -> None:
    indptr, item = np.array([0, 3, 5]), np.array([0, 1, 2, 0, 2])
    columns = {"relevance": np.array([0.5, 0.25, 1.0, 0.75, 0.125]), "streams": np.arange(5, dtype=np.float32)}
    campaign, caps = np.array([1, 1, -1]), np.array([1.5])
    before = [array.copy() for array in (indptr, item, *columns.values(), campaign, caps)]
    candidates = oa.Candidates.from_arrays(indptr, item, columns, items={"campaign": campaign})
    small = oa.Problem(
        candidates,
        oa.total("relevance") + oa.total("streams"),
        [oa.exposure(by="campaign") <= caps, oa.total("streams", by="campaign") >= 1],
        oa.Slate(2),
    )
    text = repr(small)
    first = oa.solve(small)
    second = oa.solve(small)
    assert first.value == second.value
    assert np.array_equal(first.allocation, second.allocation)
    for array, copy in zip((indptr, item, *columns.values(), campaign, caps), before, strict=True):
        assert np.array_equal(array, copy)
    assert repr(small) == text
    assert not first.allocation.flags.writeable


@pytest.mark.parametrize("backend", FRAMES)
def test_the_answer_comes_back_as_a_frame_with_the_callers_ids(backend: str) -> None:
    """Rows in any order, ids of strings and of numbers, a user and an item without candidates."""
    rng = np.random.default_rng(3)
    users, tracks = [f"user {u}" for u in range(9)], np.arange(6) * 1000 + 7
    rows = [(u, t) for u in users[:-1] for t in tracks[:-1] if rng.random() < 0.7]
    rows = [rows[k] for k in rng.permutation(len(rows))]
    relevance = rng.random(len(rows))
    make = FRAMES[backend]
    candidates = oa.Candidates.from_frames(
        make({"user_id": [r[0] for r in rows], "track_id": np.array([r[1] for r in rows]), "relevance": relevance}),
        users=make({"user_id": users, "market": ["de"] * 9}),
        items=make({"track_id": tracks, "campaign": ["a", "a", "b", "b", "c", "c"]}),
        user="user_id",
        item="track_id",
    )
    caps = {"a": 3.0, "b": 2.5}
    solution = oa.solve(
        oa.Problem(candidates, oa.total("relevance"), [oa.exposure(by="campaign") <= caps], oa.Slate(2))
    )
    frame = solution.to_frame()
    assert type(frame).__module__.split(".")[0] == backend
    table = {
        name: list(frame[name].to_pylist() if backend == "pyarrow" else frame[name])
        for name in ("user_id", "track_id", "x")
    }
    assert len(table["x"]) == solution.pairs.size
    worth = dict(zip(rows, relevance, strict=True))
    campaign = dict(zip(tracks.tolist(), ["a", "a", "b", "b", "c", "c"], strict=True))
    used: dict[str, float] = {}
    slots: dict[str, float] = {}
    value = 0.0
    for user, track, x in zip(table["user_id"], table["track_id"], table["x"], strict=True):
        value += worth[user, track] * x  # a KeyError would mean ids that were never together
        used[campaign[track]] = used.get(campaign[track], 0.0) + x
        slots[user] = slots.get(user, 0.0) + x
    assert value == pytest.approx(solution.value)
    assert max(slots.values()) <= 2 + 1e-9
    assert used["a"] == pytest.approx(3.0)
    assert used["b"] == pytest.approx(2.5)
    for other in FRAMES:
        assert type(solution.to_frame(other)).__module__.split(".")[0] == other


def test_no_constraints() -> None:
    """Everybody's best slots; nothing has a price."""
    solution = oa.solve(oa.Problem(CANDIDATES, oa.total("relevance"), slate=oa.Slate(SLOTS)), gap=1e-9)
    check_answer(solution)
    per_user = CANDIDATES.columns["relevance"].reshape(CANDIDATES.n_users, -1)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(np.sort(per_user, axis=1)[:, -SLOTS:].sum(), rel=1e-12)
    assert solution.bound == pytest.approx(solution.value, rel=1e-12)
    assert solution.prices == {}
    assert solution.totals == {}
    assert np.array_equal(solution.scores(), CANDIDATES.columns["relevance"])


@pytest.mark.parametrize("solver", ["dual", "conic", "conic:clarabel"])
def test_nothing_to_show(solver: str) -> None:
    empty = oa.Candidates.from_arrays([0, 0, 0], [], {"relevance": []}, items={"campaign": ["a"]})
    for constraints in ([], [oa.exposure(by="campaign") <= 1], [oa.exposure() == 0]):
        solution = oa.solve(oa.Problem(empty, oa.total("relevance"), constraints, oa.Slate(2)), solver=solver)
        assert solution.status is oa.Status.SOLVED
        assert solution.value == 0.0
        assert solution.bound == pytest.approx(0.0, abs=1e-8)
        assert solution.allocation.shape == (0,)
        assert len(solution.to_frame("pandas")) == 0


@pytest.mark.parametrize("solver", ["dual", "conic", "conic:clarabel", "conic:osqp"])
def test_nothing_worth_showing(solver: str) -> None:
    """All values negative: showing nothing is best, unless a floor says otherwise."""
    candidates = oa.Candidates.from_arrays(
        [0, 2, 3], [0, 1, 1], {"relevance": [-1.0, -2.0, -0.5]}, items={"campaign": ["a", "b"]}
    )
    free = oa.solve(oa.Problem(candidates, oa.total("relevance"), slate=oa.Slate(2)), solver=solver)
    assert free.value == pytest.approx(0.0, abs=1e-6)
    floor = (oa.exposure(by="campaign") >= {"b": 1.5}).named("floor")
    forced = oa.solve(oa.Problem(candidates, oa.total("relevance"), [floor], oa.Slate(2)), solver=solver)
    assert forced.status is oa.Status.SOLVED
    assert forced.value == pytest.approx(-1.5, abs=1e-4)
    assert forced.prices["floor"] == pytest.approx([0.0, -2.0], abs=1e-3)


def test_the_reference_agrees_on_a_market() -> None:
    small = problem(market(n_users=400, per_user=10, n_items=60, n_campaigns=8), floor=5.0)
    ours, reference = oa.solve(small, gap=1e-7), oa.solve(small, solver="conic", gap=1e-7)
    for solution in (ours, reference):
        check_answer(solution)
        assert solution.status is oa.Status.SOLVED
    assert ours.value == pytest.approx(reference.value, rel=1e-6)
