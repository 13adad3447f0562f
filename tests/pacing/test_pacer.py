"""A pacer serves as its policy does until something has been observed, then its prices follow, within bounds."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support.paced import CAPS, EACH, END, USERS, Clock, play, problem, request


def plan(**how: Any) -> oa.Plan:
    return oa.Plan("campaign", 0.0, END, **{"caps": CAPS, "floors": {"c0": 50.0}} | how)


def pacer_of(policy: oa.Policy, goals: oa.Plan | None = None, **how: Any) -> oa.Pacer:
    return oa.Pacer(policy, goals or plan(), **{"requests": USERS, "clock": Clock()} | how)


def test_nothing_observed_nothing_changed(cands: oa.Candidates, policy: oa.Policy) -> None:
    pacer = pacer_of(policy)
    for now in (0.0, 10.0, 500.0):
        pacer.tick(now)
    user = pacer.user(market="SE")
    for u in range(20):
        items, columns = request(cands, u)
        for who in (None, user, u):
            assert (pacer.score(items, columns, who) == policy.score(items, columns, who)).all()
            assert pacer.select(items, columns, who).tolist() == policy.select(items, columns, who).tolist()
        assert str(pacer.explain(items, columns, user)) == str(policy.explain(items, columns, user))
    assert len(pacer.overlay()) == 0


@pytest.mark.parametrize("controller", ["adaptive", "throttle"])
def test_slates_that_were_asked_for_are_no_deliveries(cands: oa.Candidates, policy: oa.Policy, controller: str) -> None:
    """Amounts of a column are fractions: adding those of a slate and taking them off again would leave roundings."""
    spend = oa.Plan("campaign", 0.0, END, caps=dict.fromkeys(CAPS, 10.0), column="cost")
    pacer = pacer_of(policy, plan() + spend, controller=controller)
    hot, user, prices = pacer.prepare(EACH), pacer.user(market="SE"), pacer.prices
    for u in range(100):
        items, columns = request(cands, u)
        pacer.select(items, columns, user)
        hot.items[: items.size] = items
        hot.columns[:, : items.size] = [columns[name] for name in hot.names]
        hot.select(items.size, user)
        pacer.tick(float(u))
    assert set(pacer.delivered().values()) == {0.0}
    assert (pacer.prices, pacer.stats()["steps"], len(pacer.overlay())) == (prices, 0, 0)


@pytest.mark.few(2)
@pytest.mark.parametrize("controller", ["adaptive", "mirror", "entropic", "pi", "throttle", "caps"])
def test_hard_caps_hold_and_prices_stay_in_their_box(cands: oa.Candidates, policy: oa.Policy, controller: str) -> None:
    goals = plan(caps=dict.fromkeys(CAPS, 40.0), floors=None, penalty=0.5)
    options = {"first": 0.5} if controller == "throttle" else {}
    pacer = pacer_of(policy, goals, controller=controller, options=options)
    play(pacer, cands)
    delivered = pacer.delivered()
    assert all(30.0 <= amount <= 40.0 for amount in delivered.values()), delivered
    assert all(0.0 <= price <= 0.5 for price in pacer.prices.values()) or controller == "throttle"


def test_a_floor_gets_a_bonus_and_a_price_below_zero(cands: oa.Candidates, policy: oa.Policy) -> None:
    floors = {"c3": 300.0}
    signed = pacer_of(policy, oa.Plan("campaign", 0.0, END, floors=floors, penalty=1.0))
    play(signed, cands)
    capped = pacer_of(policy, oa.Plan("campaign", 0.0, END, floors=floors, penalty=1.0), controller="caps")
    play(capped, cands)
    assert signed.prices["c3"] < 0.0 <= capped.prices["c3"]
    assert signed.delivered()["c3"] > 290.0 > 1.2 * capped.delivered()["c3"]


def test_a_penalty_bounds_the_bonus(cands: oa.Candidates, policy: oa.Policy) -> None:
    pacer = pacer_of(policy, oa.Plan("campaign", 0.0, END, floors={"c3": 1e5}, penalty=0.3))
    play(pacer, cands, 0, 350)
    assert pacer.prices["c3"] == -0.3
    (outlook,) = pacer.outlook(0.9 * END)
    assert (outlook.status, outlook.reason) == ("will fall short", "price at its bound")


def test_daily_and_hourly_caps_hold_next_to_the_flight(cands: oa.Candidates, policy: oa.Policy) -> None:
    goals = oa.Plan("campaign", 0.0, 7200.0, caps={"c0": 60.0}, hourly={"c0": 20.0, "c1": 9.0})
    clock = Clock()
    pacer = pacer_of(policy, goals, clock=clock)
    hot, user = pacer.prepare(12), pacer.user()
    pacer.tick(0.0)
    for u in range(USERS):
        items, columns = request(cands, u)
        hot.items[:12] = items
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[:12] = columns[name]
        hot.observe(hot.select(12, user))
        pacer.tick(u * 3599.0 / USERS)
    assert 15.0 <= pacer.delivered()["c0"] <= 20.0
    assert pacer.delivered()["c1"] == 9.0
    pacer.tick(3601.0)
    play_more = pacer.select(*request(cands, 3))
    assert pacer.stats()["stopped"] == 0
    assert play_more.size


def test_a_cap_holds_inside_one_slate(policy: oa.Policy, cands: oa.Candidates) -> None:
    pacer = pacer_of(policy, oa.Plan("campaign", 0.0, END, caps={"c0": 1.0}))
    of_c0 = [k for k in range(60) if k % 6 == 0]
    columns = {"relevance": np.full(len(of_c0), 50.0), "cost": np.ones(len(of_c0))}
    assert policy.select(of_c0, columns).size == 2
    slate = pacer.select(of_c0, columns)
    assert slate.size == 1
    pacer.observe(pacer.usage(slate, of_c0, columns))
    pacer.tick(1.0)
    assert pacer.select(of_c0, columns).size == 0
    assert pacer.delivered() == {"c0": 1.0}


def test_columns_and_keys_of_users_are_counted(policy: oa.Policy, cands: oa.Candidates) -> None:
    spend = oa.Plan("campaign", 0.0, END, caps={"c0": 30.0}, column="cost")
    market = oa.Plan(("market", "campaign"), 0.0, END, caps={("SE", "c1"): 10.0})
    pacer = pacer_of(policy, spend + market)
    hot = pacer.prepare(12)
    expected = np.zeros(2)
    for u in range(60):
        items, columns = request(cands, u)
        hot.items[:12] = items
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[:12] = columns[name]
        user = pacer.user(market="SE" if u % 2 else "DE")
        shown = hot.select(12, user)
        used = pacer.usage(hot.positions[:shown], items, columns, user)
        expected[used.rows] += used.amounts
        hot.observe(shown)
        for i in hot.positions[:shown]:
            if items[i] % 6 == 0:
                expected[0] -= columns["cost"][i]
            expected[1] -= items[i] % 6 == 1 and bool(u % 2)
    assert np.allclose(expected, 0.0)
    found = list(pacer.delivered().values())
    assert 0.0 < found[0] <= 30.0 + 1e-9
    assert 0.0 < found[1] <= 10.0


def test_events_count_once_in_any_order(policy: oa.Policy) -> None:
    clock = Clock(100.0)
    pacer = pacer_of(policy, confirm=True, clock=clock)
    assert pacer.observe({"c0": 2.0}, event="a", status="served")
    assert not pacer.observe({"c0": 2.0}, event="a", status="served")
    assert pacer.delivered()["c0"] == 2.0
    assert pacer.observe(event="a", status="confirmed", time=90.0)
    assert not pacer.observe(event="a", status="confirmed")
    assert pacer.observe({"c1": 1.0}, event="b")  # confirmed before it is told to be served
    assert not pacer.observe({"c1": 1.0}, event="b", status="served")
    pacer.observe({"c2": 3.0}, event="c", status="served")
    assert pacer.observe(event="c", status="lost")
    assert not pacer.observe(event="nobody knows", status="confirmed")
    assert pacer.delivered() == {"c0": 2.0, "c1": 1.0, "c2": 0.0, "c3": 0.0}
    assert pacer.observe(event="c", status="confirmed")  # late, after all
    assert pacer.delivered()["c2"] == 3.0
    stats = pacer.stats()
    assert (stats["duplicates"], stats["forgotten"]) == (3, 1)


def test_what_is_not_confirmed_in_time_is_given_back(policy: oa.Policy) -> None:
    pacer = pacer_of(policy, confirm=True, confirm_within=60.0)
    for k in range(50):
        pacer.observe({"c0": 1.0}, event=k, status="served", time=0.0)
    pacer.tick(10.0)
    assert pacer.delivered()["c0"] == 50.0
    pacer.tick(100.0)
    assert pacer.delivered()["c0"] == 0.0
    assert pacer.stats()["confirmed_share"] == 0.5
    pacer.observe({"c0": 4.0}, event="next", status="served", time=0.0)
    assert pacer.delivered()["c0"] == 2.0, "a pending delivery counts as much as it is expected to be confirmed"


def test_a_saved_pacer_goes_on_as_if_nothing_had_happened(
    cands: oa.Candidates, policy: oa.Policy, tmp_path: Path
) -> None:
    straight, first = pacer_of(policy), pacer_of(policy)
    play(straight, cands)
    play(first, cands, 0, 203)
    first.save(tmp_path / "pacer.json")
    second = pacer_of(policy)
    second.restore(tmp_path / "pacer.json")
    third = pickle.loads(pickle.dumps(second))
    for other in (second, third):
        play(other, cands, 203)
        assert other.prices == straight.prices
        assert other.delivered() == straight.delivered()
    with pytest.raises(oa.InputError, match="other goals"):
        pacer_of(policy, plan(caps={"c0": 60.0})).restore(tmp_path / "pacer.json")
    with pytest.raises(oa.InputError, match="is not a saved pacer"):
        second.restore(tmp_path / "nothing.json")


def test_totals_of_a_ledger_replace_the_local_ones(policy: oa.Policy, cands: oa.Candidates) -> None:
    pacer = pacer_of(policy, replicas=2)
    play(pacer, cands, 0, 40)
    had = pacer.delivered()
    batch, amounts = pacer.flush()
    assert amounts == {label: amount for label, amount in had.items() if amount}
    assert pacer.delivered() == had, "what was sent counts until the totals have it"
    pacer.sync({label: 2.0 * amount for label, amount in had.items()}, acknowledged=batch)
    assert pacer.delivered() == {label: 2.0 * amount for label, amount in had.items()}

    def gone() -> dict[str, float]:
        raise ConnectionError("the store is not there")

    before = pacer.prices
    assert not pacer.sync(gone)
    assert pacer.prices == before
    assert (pacer.stats()["failed_reads"], "not there" in pacer.stats()["last_error"]) == (1, True)


def test_the_rooms_of_all_replicas_make_up_what_is_left(policy: oa.Policy) -> None:
    pacers = [pacer_of(policy, plan(caps=dict.fromkeys(CAPS, 61.0)), replicas=4, replica=k) for k in range(4)]
    for one in pacers:
        one.sync({"c0": 20.0, "c1": 61.0})
        one.tick(1.0)
    rooms = np.array([one._core.room for one in pacers])
    assert rooms.sum(axis=0).tolist() == [41.0, 0.0, 61.0, 61.0]
    assert np.array_equal(rooms, np.round(rooms))


@pytest.mark.parametrize("replicas", [2, pytest.param(3, marks=pytest.mark.full)])
def test_ticks_without_totals_of_the_others_grant_nothing_more(
    policy: oa.Policy, cands: oa.Candidates, replicas: int
) -> None:
    """Every process serves all of the traffic, and none hears of the others: together they keep the caps."""
    pacers = [
        pacer_of(policy, plan(floors=None, daily=dict.fromkeys(CAPS, 31.0)), replicas=replicas, replica=k)
        for k in range(replicas)
    ]
    for one in pacers:
        play(one, cands)
    sums = [sum(one.delivered()[label] for one in pacers) for label in CAPS]
    assert sums == [31.0] * 4


def test_prices_of_a_full_solve_are_merged_by_key(policy: oa.Policy, cands: oa.Candidates) -> None:
    pacer = pacer_of(policy)
    play(pacer, cands, 0, 100)
    solved = oa.solve(problem(cands), gap=1e-3, start=pacer.start())
    assert pacer.resolve(lambda: solved)
    while pacer._solving is not None:
        pacer.tick(300.0)
    caps, floors = solved.prices_by_label["caps"], solved.prices_by_label["floors"]
    assert pacer.prices == pytest.approx({label: caps[label] + floors[label] for label in CAPS}, abs=1e-12)
    assert pacer.merge({"caps": {"c1": 9.0}, "unknown": {}}) == 1
    assert pacer.prices["c1"] != 1.0
    assert pacer.remaining()["c0"][1] == 60.0 - pacer.delivered()["c0"]
    with pytest.raises(oa.InputError, match="no goal has a price"):
        pacer.merge({"cups": {"c1": 0.5}})
    pacer.resolve(lambda: 1 / 0)
    while pacer._solving is not None:
        pacer.tick(310.0)
    assert pacer.stats()["failed_solves"] == 1


def test_the_next_plan_takes_over_what_goes_on(policy: oa.Policy, cands: oa.Candidates) -> None:
    pacer = pacer_of(policy)
    play(pacer, cands, 0, 100)
    longer = oa.Plan("campaign", 0.0, 2 * END, caps={"c0": 90.0, "c1": 90.0}, starts={"c1": END})
    other = pacer.replace(plan=longer)
    assert other.prices["c0"] == pacer.prices["c0"]
    assert other.delivered() == {"c0": pacer.delivered()["c0"], "c1": 0.0}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: oa.Pacer(p, plan(caps={"c9": 1.0})), "no campaign 'c9'"),
        (lambda p: oa.Pacer(p, oa.Plan("artist", 0.0, 1.0, caps={"x": 1.0})), "no prices by 'artist'"),
        (
            lambda p: oa.Pacer(p, oa.Plan("campaign", 0.0, 1.0, caps={"c0": 1.0}, column="relevance")),
            "no prices of that",
        ),
        (lambda p: oa.Pacer(p, plan(), controller="magic"), "expected one of adaptive"),
        (lambda p: oa.Pacer(p, plan(), options={"speed": 1.0}), "no such option"),
        (lambda p: oa.Pacer(p, plan(), replicas=0), "0 <= replica < replicas"),
        (lambda p: oa.Pacer(p, CAPS), "expected oa.Plan"),
        (lambda p: plan(floors={"c0": 70.0}), "floor of 70 is above the cap of 60"),
        (lambda p: plan(caps={"c0": -1.0}, floors=None), "cap is -1"),
        (lambda p: plan(caps={"c0": float("nan")}), "caps"),
        (lambda p: oa.Plan("campaign", 5.0, 5.0, caps=CAPS), "flight is"),
        (lambda p: plan(mode=[(0.5, 0.9), (1.0, 0.8)]), "rise from"),
        (lambda p: plan(mode="soon"), "front-loaded"),
        (lambda p: oa.Plan("campaign", 0.0, 1.0), "no goals"),
        (lambda p: plan() + plan(), "two goals of 'c0'"),
        (lambda p: pacer_of(p).observe({"c7": 1.0}), "no goal of 'c7'"),
        (lambda p: pacer_of(p).observe({"c0": -1.0}), "expected a finite number >= 0"),
        (lambda p: pacer_of(p).observe({"c0": 1.0}, time=1e6), "not after now"),
        (lambda p: pacer_of(p).observe({"c0": 1.0}, time=float("nan")), "UNIX seconds"),
        (lambda p: pacer_of(p).tick(float("nan")), "finite number"),
        (lambda p: pacer_of(p).sync({"c0": 1.0}, replicas=0), "whole number >= 1"),
        (lambda p: pacer_of(p).prepare(4).observe(1), "last select"),
    ],
)  # fmt: skip
def test_bad_input_is_named(policy: oa.Policy, make: Any, text: str) -> None:
    with pytest.raises(oa.InputError, match=text):
        make(policy)


def test_a_plan_of_a_solution_has_its_limits_and_prices(cands: oa.Candidates) -> None:
    solution = oa.solve(problem(cands), gap=1e-4)
    goals = {
        (goal.terms[0][:2], goal.label): goal for goal in oa.Plan.of(solution, 0.0, END).goals if len(goal.terms) == 1
    }
    both = goals[(None, ("campaign",)), "c0"]
    assert (both.floor, both.cap, both.soft) == (50.0, 60.0, False)
    assert both.price is not None
    guard = goals[("relevance", ()), None]
    assert guard.per_request
    assert guard.floor == pytest.approx(100.0 / USERS)
    shares = [goal for goal in oa.Plan.of(solution, 0.0, END).goals if len(goal.terms) == 2]
    assert len(shares) == 3
    assert all(goal.per_request and goal.cap == 0.0 for goal in shares)
    pacer = oa.Pacer(solution.policy(), oa.Plan.of(solution, 0.0, END), requests=USERS)
    items, columns = request(cands, 0)
    assert (pacer.score(items, columns) == pacer.policy.score(items, columns)).all()
    play(pacer, cands)
    assert pacer.stats()["steps"] > 50


def test_slices_of_a_solution_say_how_a_goal_is_spread() -> None:
    cands = oa.Candidates.from_arrays(
        np.arange(41) * 2, np.tile([0, 1], 40), {"r": np.tile([0.2, 0.8], 40)},
        users={"hour": np.repeat([0, 1], 20)}, items={"campaign": ["a", None]},
    )  # fmt: skip
    hours = (oa.exposure(by=("hour", "campaign")) >= {(0, "a"): 2.0, (1, "a"): 6.0}).named("hours")
    total = (oa.exposure(by="campaign") >= {"a": 8.0}).named("floor")
    solution = oa.solve(oa.Problem(cands, oa.total("r"), [hours, total], oa.Slate(1)))
    (goal,) = oa.Plan.of(solution, 0.0, 7200.0, slices="hour").goals
    assert goal.label == "a"
    assert np.allclose(goal.mode, [(0.0, 0.0), (0.5, 0.25), (1.0, 1.0)])  # type: ignore[arg-type]


@pytest.mark.parametrize("controller", ["adaptive", "throttle"])
def test_nothing_compiles_after_warmup(cands: oa.Candidates, policy: oa.Policy, controller: str) -> None:
    from oasis_alloc.kernels.pace import limits, prices
    from oasis_alloc.kernels.serve import paced
    from oasis_alloc.serving.request.warmup import kernels

    pacer = pacer_of(policy, controller=controller)
    pacer.warmup()
    known: list[Any] = [*kernels().values(), paced.count, paced.fits, paced.drop]
    known += [limits.left, limits.share, limits.stopped, limits.planned, limits.is_moved, limits.add_moved]
    known += [prices.errors, prices.adaptive, prices.mirror]
    before = [len(kernel.signatures) for kernel in known]
    play(pacer, cands)
    items, columns = request(cands, 7)
    for value in columns.values():
        value.flags.writeable = False
    for who in (None, 3, {"market": "SE"}):
        slate = pacer.select(items, columns, who)
        pacer.score(items, columns, who)
        pacer.explain(items, columns, who)
        pacer.observe(pacer.usage(slate, items, columns, who))
    assert [len(kernel.signatures) for kernel in known] == before


def test_requests_of_many_threads_are_all_counted(cands: oa.Candidates, policy: oa.Policy) -> None:
    """Slates go on while prices change under them, and no cap is crossed."""
    import threading

    pacer = pacer_of(policy, plan(caps=dict.fromkeys(CAPS, 500.0)))
    pacer.tick(0.0)
    shown = np.zeros(4, np.int64)

    def serve(number: int) -> None:
        hot, user = pacer.prepare(12), pacer.user()
        for u in range(USERS):
            items, columns = request(cands, u)
            hot.items[:12] = items
            for row, name in zip(hot.columns, hot.names, strict=True):
                row[:12] = columns[name]
            count = hot.select(12, user)
            hot.observe(count)
            shown[number] += int((items[hot.positions[:count]] % 6 < 4).sum())

    threads = [threading.Thread(target=serve, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for now in range(1, 40):
        pacer.tick(float(now))
    for thread in threads:
        thread.join()
    assert sum(pacer.delivered().values()) == shown.sum()
    assert max(pacer.delivered().values()) <= 500.0 + 3 * 2  # a slate of each of the other threads is in flight
