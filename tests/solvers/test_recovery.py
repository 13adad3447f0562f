"""The end without a linear program, against the reference solver; and conflicts among many pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa
from benchmarks.shape_markets import EXACT
from benchmarks.shapes import SHAPES
from oasis_alloc.engines.threads import Threads
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import finisher
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.refilling import priced, refilled, shown_by_user
from oasis_alloc.solvers.repair import factors
from oasis_alloc.solvers.settings import DUAL

USERS, DEGREE, ITEMS = 250, 12, 60
E = oa.exposure


def candidates(seed: int = 0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
    value = rng.lognormal(0.0, 0.5, item.size)
    return oa.Candidates.from_arrays(
        DEGREE * np.arange(USERS + 1),
        item,
        {"value": value, "relevance": value * np.exp(0.3 * rng.standard_normal(item.size))},
        items={"campaign": np.arange(ITEMS) // 5, "artist": np.arange(ITEMS) // 3, "genre": np.arange(ITEMS) % 7},
        users={"person": np.arange(USERS) // 2},
    )


CAPS = (E("campaign") <= 70.0).named("caps")
PROGRAMS: dict[str, Callable[[oa.Candidates], oa.Problem]] = {
    "frequency": lambda c: oa.Problem(c, oa.total("value"), [CAPS, E(("person", "campaign")) <= 1.0], oa.Slate(3)),
    "keep": lambda c: oa.Problem(c, oa.total("value"), [CAPS], oa.Slate(3, keep={"relevance": 0.9})),
    "crossing": lambda c: oa.Problem(c, oa.total("value"), [CAPS], oa.Slate(3, at_most={"artist": 1, "genre": 1})),
    "worst off": lambda c: oa.Problem(c, oa.total("value") + 10.0 * oa.worst_off(E("artist")), [CAPS], oa.Slate(3)),
    "slot weights": lambda c: oa.Problem(c, oa.total("value"), [CAPS], oa.Slate(3, slot_weights=[1.0, 0.7, 0.3])),
}


@pytest.fixture
def no_linear_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a linear program is solved")

    monkeypatch.setattr(finisher, "_solve", refuse)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("no_linear_program")
def test_the_slates_of_the_smoothed_dual_are_the_answer(name: str) -> None:
    problem = PROGRAMS[name](candidates())
    with DUAL.using(fractional_per_row=0.0, fractional_per_ruled_row=0.0, large=0):
        found = oa.solve(problem, gap=1e-3)
    assert found.status is oa.Status.SOLVED
    assert found.violation <= 1e-6
    assert found.gap <= 1e-3
    reference = oa.solve(problem, solver="conic", gap=1e-6)
    size = abs(reference.value)
    assert found.value <= reference.bound + 1e-6 * size
    assert found.bound >= reference.value - 1e-6 * size
    assert found.value >= reference.value - 1e-3 * size


def test_many_caps_end_with_slates_where_the_linear_program_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked by counts of prices that can move and of fractional pairs, and by the gap; never by a clock."""
    made = matching(users=4_000, degree=50, campaigns=400, size=3, tightness=0.7, seed=3).problem()
    asked, solve = [], finisher._solve
    monkeypatch.setattr(finisher, "_solve", lambda *given: asked.append(given) or solve(*given))
    with DUAL.using(min_capped=100):
        slates = oa.solve(made, gap=1e-3, threads=1)
    assert not asked
    exact = oa.solve(made, gap=1e-3, threads=1)
    assert asked, "few prices"
    for found in (slates, exact):
        assert found.status is oa.Status.SOLVED
        assert found.violation <= 1e-6
        assert found.bound >= max(slates.value, exact.value)
    for other in ({"slates_gap": 1e-2}, {"fractional_per_capped_row": 1e6}):
        asked.clear()
        with DUAL.using(**{"min_capped": 100, **other}):
            oa.solve(made, gap=1e-3, threads=1)
        assert asked, other


@pytest.mark.usefixtures("no_linear_program")
def test_every_user_keeps_the_share() -> None:
    cands = candidates(3)
    problem = oa.Problem(cands, oa.total("value"), [CAPS], oa.Slate(3, keep={"relevance": 0.9}))
    with DUAL.using(fractional_per_ruled_row=0.0):
        found = oa.solve(problem, gap=1e-3)
    relevance = np.asarray(cands.columns["relevance"], np.float64)
    kept = np.bincount(found.pairs // DEGREE, found.x * relevance[found.pairs], USERS)
    most = np.sort(relevance.reshape(USERS, DEGREE), axis=1)[:, -3:].sum(axis=1)
    assert (kept >= 0.9 * most * (1.0 - 1e-6)).all()


def shares(short: float) -> oa.Problem:
    """Four licensors of at most `(1 - short) / 4` of the total each, of which 600 are asked for."""
    cands = candidates(5)
    fourth = oa.Candidates.from_arrays(
        cands.indptr, cands.item, dict(cands.columns), items={"licensor": np.arange(ITEMS) % 4}
    )
    limits = [
        (E("licensor") - (1.0 - short) / 4.0 * E() <= 0).named("shares"),
        (E() >= 600.0).named("some"),
    ]
    return oa.Problem(fourth, oa.total("value"), limits, oa.Slate(3))


@pytest.mark.full
@pytest.mark.parametrize("short", [4e-4, *full_only(0.02)])
def test_a_small_conflict_among_many_pairs_is_proven_and_measured(short: float) -> None:
    problem = shares(short)
    with DUAL.using(whole_relaxation=0):  # as among many pairs
        found = oa.solve(problem)
    assert found.status is oa.Status.INFEASIBLE
    assert {conflict.constraint for conflict in found.conflicts} == {"shares", "some"}
    # a unit shown costs `short` units of shares together, or the floor gives it for 1
    given = sum(conflict.give for conflict in found.conflicts)
    assert given == pytest.approx(600.0 * short, rel=1e-3)


def test_a_time_limit_within_the_search_for_a_conflict_is_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amounts of a relaxation that was not solved are not the least, and are not reported."""
    looks = itertools.count()

    def late(monitor: Monitor) -> float:  # the clock of the relaxation, which cannot conflict, runs out
        return 0.0 if monitor.may_conflict else 1e9 * (next(looks) > 25)

    monkeypatch.setattr(Monitor, "seconds", property(late))
    with DUAL.using(whole_relaxation=0):
        found = oa.solve(shares(0.02), time_limit=1e6)
    assert next(looks) > 25
    assert found.status is oa.Status.TIME_LIMIT
    assert not found.conflicts


def test_shares_that_just_add_up_are_solved() -> None:
    with DUAL.using(whole_relaxation=0):
        found = oa.solve(shares(-4e-4))
    assert found.status is oa.Status.SOLVED


def test_slots_that_caps_took_are_filled_with_other_candidates() -> None:
    """What is dropped for a cap leaves a slot, and the best candidates that limits have room for come in."""
    cands = candidates()
    program = lower(PROGRAMS["frequency"](cands))
    rng = np.random.default_rng(3)
    prices = rng.uniform(0.0, 0.3, program.n_rows)
    with Threads(program, 1) as engine:
        positions, x = engine.visit(prices, 0.2).slates()
        shown = shown_by_user(program, positions, x)
        less = np.where(rng.random(x.size) < 0.2, 0.0, x) * 0.9  # of a feasible allocation or not: rows have room now
        less *= factors(program, engine.add_up(positions, less)[1])[engine.take(positions).cells]
        found, more = refilled(engine, positions, less, shown, prices)
        before, after = evaluate(engine, positions, less), evaluate(engine, found, more)
        assert after.violation <= 1e-9
        assert (np.diff(found) > 0).all()
        assert more.max() <= 1.0 + 1e-12
        used = shown_by_user(program, found, more)
        assert (used <= shown + 1e-9).all()
        assert used.sum() > shown_by_user(program, positions, less).sum() + 50.0
        assert after.value > before.value
        # a user who still has a free slot has no candidate of a positive score with room in all of its rows
        every = engine.take(np.arange(program.n_pairs))
        in_ = np.zeros(program.n_pairs)
        in_[found] = more
        score = priced(program, every, prices)
        assert score == pytest.approx(engine.scores(prices), abs=1e-12)
        _, upper, _ = program.bands()
        room = upper - after.totals
        touches = program.columns_of(every)
        rows = program.arithmetic @ touches
        fits = np.array([(room[rows[:, [p]].nonzero()[0]] > 1e-5).all() for p in range(program.n_pairs)])
        free = (shown - used)[every.users] > 1e-5
        assert not (free & fits & (score > 0.0) & (in_ < 1.0 - 1e-6)).any()


@pytest.mark.full
def test_a_linear_program_has_all_pairs_that_tie() -> None:
    problem = SHAPES["caps"](EXACT["few campaigns"](20_000))
    solution = oa.solve(problem, gap=1e-6, threads=1)
    assert solution.status is oa.Status.SOLVED
    assert solution.passes <= 30
    with DUAL.using(undecided_per_tied=0.0):  # 63 passes before margins had a least size, 29 since
        assert oa.solve(problem, gap=1e-6, threads=1).passes > solution.passes
