"""A solve that starts from an earlier one: fewer passes, the same proof, never the earlier answer to a new question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st

import oasis_alloc as oa
from benchmarks import again, shapes
from oasis_alloc.common.labels import same
from oasis_alloc.engines.threads import Threads
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.program import RowBlock
from oasis_alloc.solvers.dual import Run, reporting
from oasis_alloc.solvers.kept import _same_places
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.newcomers import with_newcomers
from oasis_alloc.solvers.newton import SmoothedDual
from oasis_alloc.solvers.settings import DUAL

USERS, DEGREE, CAMPAIGNS, SIZE = 1_500, 20, 60, 3
MARKET = next(iter(matching(users=USERS, degree=DEGREE, campaigns=CAMPAIGNS, size=SIZE, seed=3).blocks()))
ITEM, VALUE = MARKET.item.ravel(), MARKET.columns["value"].ravel().astype(np.float64)
BEST = np.argsort(-VALUE.reshape(USERS, DEGREE), axis=1)[:, :SIZE]
SHOWN = np.bincount(np.take_along_axis(ITEM.reshape(USERS, DEGREE), BEST, axis=1).ravel(), minlength=CAMPAIGNS)
CAPS = dict(enumerate((0.8 * SHOWN + 30.0).tolist()))
POPULAR = int(SHOWN.argmax())


def problem(
    value: np.ndarray = VALUE,
    caps: dict[Any, float] = CAPS,
    campaign: np.ndarray | None = None,
    users: np.ndarray | None = None,
    slate: oa.Slate | None = None,
    **more: Any,
) -> oa.Problem:
    """Caps by campaign, on some of the users; other rules where they are given."""
    users = np.arange(USERS) if users is None else users
    pairs = (users[:, None] * DEGREE + np.arange(DEGREE)).ravel()
    items = {"campaign": np.arange(CAMPAIGNS) if campaign is None else campaign, "genre": np.arange(CAMPAIGNS) % 7}
    cands = oa.Candidates.from_arrays(
        np.arange(users.size + 1) * DEGREE, ITEM[pairs], {"value": value[pairs]}, items=items, user_ids=users.tolist()
    )
    limits = [(oa.exposure(by="campaign") <= caps).named("caps"), *more.pop("limits", ())]
    return oa.Problem(
        cands, oa.total("value") + more.pop("gain", 0.0 * oa.total("value")), limits, slate or oa.Slate(SIZE)
    )


def agree(one: oa.Solution, other: oa.Solution, gap: float) -> None:
    """Both are certified, and neither contradicts the other."""
    for solution in (one, other):
        assert solution.status is oa.Status.SOLVED
        assert solution.gap <= gap
        assert solution.violation <= 1e-6
    size = max(abs(one.bound), 1e-300)
    assert one.value <= other.bound + 1e-6 * size
    assert other.value <= one.bound + 1e-6 * size


@pytest.fixture(scope="module")
def earlier() -> oa.Solution:
    return oa.solve(problem(), gap=1e-4, threads=1)


KINDS: dict[str, dict[str, Any]] = {
    "caps": {},
    "floors": {"limits": [(oa.exposure(by="genre") >= 450.0).named("floors")]},
    "curves": {"gain": 50.0 * oa.log(oa.exposure(by="genre"))},
    "support": {"gain": 5.0 * oa.worst_off(oa.exposure(by="genre"))},
    "keep": {"slate": oa.Slate(SIZE, keep={"value": 0.8})},
    "crossing": {"slate": oa.Slate(SIZE, at_most={"genre": 1})},
    "slot weights": {"slate": oa.Slate(SIZE, slot_weights=[1.0, 0.5, 0.25])},
}


@pytest.mark.few(2)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_problem_takes_one_visit(kind: str) -> None:
    first = oa.solve(problem(**KINDS[kind]), gap=1e-3)
    again = oa.solve(problem(**KINDS[kind]), gap=1e-3, start=first)
    agree(first, again, 1e-3)
    assert again.passes <= 2.0 < first.passes
    third = oa.solve(problem(**KINDS[kind]), gap=1e-3, start=again)  # what is kept is handed on
    assert third.passes <= 2.0
    assert third.value == pytest.approx(first.value, rel=1e-9)


def test_few_changes_take_few_passes(earlier: oa.Solution) -> None:
    rng = np.random.default_rng(1)
    one_cap = {**CAPS, POPULAR: 0.8 * CAPS[POPULAR]}
    some = np.where(rng.random(VALUE.size) < 0.05, 0.9 * VALUE, VALUE)
    all_ = VALUE * np.exp(0.05 * rng.standard_normal(VALUE.size))
    renamed = np.where(np.arange(CAMPAIGNS) == 7, 1007, np.arange(CAMPAIGNS))
    caps = {label: CAPS[int(label) % 1000] for label in renamed.tolist()}
    for changed, passes in (
        (problem(caps=one_cap), 4.0),
        (problem(value=some), 5.0),
        (problem(value=all_, caps=caps, campaign=renamed), 8.0),
    ):
        cold, warm = oa.solve(changed, threads=1), oa.solve(changed, start=earlier, threads=1)
        agree(cold, warm, 1e-4)
        assert warm.passes <= passes < cold.passes


def test_prices_alone_are_a_start(earlier: oa.Solution) -> None:
    again = oa.solve(problem(), start=earlier.prices_by_label)
    agree(earlier, again, 1e-4)
    assert again.passes < 0.7 * earlier.passes


@settings(max_examples=examples(40))
@given(data=st.data())
def test_answers_do_not_depend_on_the_start(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kind = KINDS[data.draw(st.sampled_from(["caps", "floors", "curves", "crossing"]))]
    users = rng.permutation(USERS)[: data.draw(st.sampled_from([300, 400]))]
    scale = {label: cap * users.size / USERS for label, cap in CAPS.items()}
    limits = {"limits": [(oa.exposure(by="genre") >= 0.2 * users.size).named("floors")]} if "limits" in kind else {}
    base = {"users": np.sort(users), "caps": scale, **kind, **limits}
    first = oa.solve(problem(**base), gap=1e-3, threads=1)
    changed = dict(base)
    what = data.draw(st.sets(st.sampled_from(["limits", "values", "users", "campaigns"]), min_size=1))
    campaign = np.arange(CAMPAIGNS)
    if "campaigns" in what:
        campaign = np.where(rng.random(CAMPAIGNS) < data.draw(st.sampled_from([0.02, 0.5])), campaign + 1000, campaign)
        changed["campaign"] = campaign
    factor = rng.uniform(0.5, 2.0, CAMPAIGNS) if "limits" in what else np.ones(CAMPAIGNS)
    changed["caps"] = {int(c): scale[int(c) % 1000] * f for c, f in zip(campaign, factor, strict=True)}
    if "values" in what:
        changed["value"] = VALUE * np.exp(data.draw(st.sampled_from([0.02, 0.5])) * rng.standard_normal(VALUE.size))
    if "users" in what:
        changed["users"] = np.sort(rng.permutation(USERS)[: users.size])
    stated = problem(**changed)
    cold, warm = oa.solve(stated, gap=1e-3, threads=1), oa.solve(stated, gap=1e-3, threads=1, start=first)
    assert warm.status is cold.status
    if cold.status is oa.Status.SOLVED:
        agree(cold, warm, 1e-3)


@pytest.mark.parametrize("seed", [0, *full_only(1, 2)])
def test_a_bad_start_costs_little(earlier: oa.Solution, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wrong = {label: float(price) for label, price in zip(CAPS, rng.uniform(0.0, 10.0, CAMPAIGNS), strict=True)}
    reversed_ = replace(earlier, prices={"caps": earlier.prices["caps"][::-1].copy()}, _kept=None)
    for start in ({"caps": wrong}, reversed_):
        solution = oa.solve(problem(), start=start, threads=1)
        agree(earlier, solution, 1e-4)
        assert solution.passes <= earlier.passes + 4.0


def test_slates_that_are_not_allowed_any_more_are_not_used(earlier: oa.Solution) -> None:
    smaller = oa.solve(problem(slate=oa.Slate(2)), start=earlier)
    assert np.bincount(smaller.problem.candidates.user_of(smaller.pairs), smaller.x).max() <= 2.0 + 1e-9
    agree(smaller, oa.solve(problem(slate=oa.Slate(2))), 1e-4)
    ruled = oa.solve(problem(slate=oa.Slate(SIZE, at_most={"genre": 1})), start=earlier)
    user = ruled.problem.candidates.user_of(ruled.pairs)
    by_genre = np.bincount(user * 7 + ITEM[ruled.pairs] % 7, ruled.x)
    assert by_genre.max() <= 1.0 + 1e-9


def test_kept_shares_of_other_values_are_not_taken_as_met() -> None:
    slate = oa.Slate(SIZE, keep={"value": 0.8})
    first = oa.solve(problem(slate=slate), gap=1e-3)
    other = VALUE * np.exp(0.3 * np.random.default_rng(0).standard_normal(VALUE.size))
    stated = problem(value=other, slate=slate)
    warm = oa.solve(stated, gap=1e-3, start=first)
    agree(oa.solve(stated, gap=1e-3), warm, 1e-3)
    most = -np.sort(-other.reshape(USERS, DEGREE), axis=1)[:, :SIZE].sum(axis=1)
    user = stated.candidates.user_of(warm.pairs)
    assert (np.bincount(user, warm.x * other[warm.pairs], USERS) >= 0.8 * most - 1e-6).all()


def test_limits_that_move_by_less_than_the_tolerance_are_seen(earlier: oa.Solution) -> None:
    tight = {label: cap * (1.0 - 5e-7) for label, cap in CAPS.items()}
    moved = oa.solve(problem(caps=tight), start=earlier)
    assert moved.violation <= 1e-7


@pytest.mark.full
def test_a_start_of_an_infeasible_problem_is_none() -> None:
    floors = [(oa.exposure(by="genre") >= 1_000.0).named("floors")]
    infeasible = oa.solve(problem(limits=floors))
    assert infeasible.status is oa.Status.INFEASIBLE
    agree(oa.solve(problem()), oa.solve(problem(), start=infeasible), 1e-4)


def test_new_caps_are_sold_out_at_their_first_price() -> None:
    """At the first price of a new cap, its demand next to the prices of the others is about its limit."""
    stated = problem(caps={**CAPS, POPULAR: 40.0})
    program, prices = lower(stated), np.full(CAMPAIGNS, 0.2 * VALUE.mean())
    with Threads(program, 1) as engine:
        monitor, here = Monitor(1e-4), DUAL.now
        dual = SmoothedDual(engine, reporting(engine, monitor), here)
        run = Run(engine, monitor, dual, here, True, 1, 1, float(VALUE.mean()), float(VALUE.mean()))
        known = np.arange(CAMPAIGNS) != POPULAR
        found = with_newcomers(run, np.where(known, prices, 0.0), known, 1e-6 * float(VALUE.mean()))
        demand = engine.visit(found, 1e-6 * float(VALUE.mean())).totals
    assert np.array_equal(found[known], prices[known])
    assert 30.0 <= demand[POPULAR] <= 50.0 < 0.2 * SHOWN[POPULAR]


@pytest.mark.parametrize("kind", ["keep", "floors", "slot weights"])
def test_a_cap_that_moves_takes_fewer_passes(kind: str) -> None:
    first = oa.solve(problem(**KINDS[kind]), threads=1)
    changed = problem(**KINDS[kind], caps={**CAPS, POPULAR: 0.8 * CAPS[POPULAR]})
    cold, warm = oa.solve(changed, threads=1), oa.solve(changed, start=first, threads=1)
    agree(cold, warm, 1e-4)
    assert warm.passes < cold.passes


def test_groups_of_several_keys_are_matched_label_by_label() -> None:
    """Where labels are added, left out and in another order, every price stays with its own."""
    rng = np.random.default_rng(5)
    kinds: list[Any] = ["a", 7, 7.5, None, True, "7"]
    pairs = [(kinds[k], int(j)) for k in range(len(kinds)) for j in range(9)]
    for one in (pairs, [label for label, _ in pairs[::9]], [pairs[3]]):
        for _ in range(5):
            before = [one[k] for k in rng.permutation(len(one))[: max(1, len(one) - 2)]]
            now = [one[k] for k in rng.permutation(len(one))[: max(1, len(one) - 2)]]
            block = RowBlock("b", slice(0, len(now)), object(), now)  # type: ignore[arg-type]  # only labels count
            at, of = _same_places(before, block)
            found = {(type(now[g]), now[g]): (type(before[k]), before[k]) for g, k in zip(at, of, strict=True)}
            assert all(new == old for new, old in found.items())
            keys = [{same(label) for label in labels} for labels in (before, now)]
            assert len(found) == len(keys[0] & keys[1])


@pytest.mark.full
def test_changes_next_to_kept_shares_take_few_passes() -> None:
    """A million pairs of `benchmarks/shapes.py`: limits are met by moves within users, not by steps."""
    market = again.Given(*shapes.market(20_000))
    first = oa.solve(shapes.SHAPES["keep"](shapes.Given(market.cands, market.caps, market.floors)), threads=1)
    for change, passes in (("limits", 5.0), ("values", 5.0), ("hour", 8.0)):
        now = again.changed(market, change)
        stated = shapes.SHAPES["keep"](shapes.Given(now.cands, now.caps, now.floors))
        warm = oa.solve(stated, start=first, threads=1)
        assert warm.status is oa.Status.SOLVED
        assert warm.violation <= 1e-6
        assert warm.passes <= passes
