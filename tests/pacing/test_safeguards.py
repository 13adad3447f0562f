"""Failures that pacers have had elsewhere, each with a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.pacing.controllers.registry import NAMES
from oasis_alloc.pacing.curves import ExpectedArrivals
from tests.support.paced import END, USERS, Clock, candidates, play, problem, request

CAPS = dict.fromkeys(["c0", "c1", "c2", "c3"], 60.0)


@pytest.fixture(scope="module")
def policy() -> oa.Policy:
    return oa.solve(problem(candidates()), gap=1e-4).policy()


def pacer_of(policy: oa.Policy, **how: Any) -> oa.Pacer:
    plan = how.pop("plan", oa.Plan("campaign", 0.0, END, caps=CAPS))
    return oa.Pacer(policy, plan, **{"requests": USERS, "clock": Clock()} | how)


@pytest.mark.few(2)
@pytest.mark.parametrize("controller", NAMES)
def test_an_expectation_near_zero_is_no_blackout(policy: oa.Policy, controller: str) -> None:
    """Spend over an expectation of 1e-7 once gave a ratio of 492,570, and full throttle for weeks."""
    forecast = ExpectedArrivals([1e-9] * 50 + [1.0] * 50, END / 100)
    pacer = pacer_of(policy, schedule=forecast, controller=controller)
    pacer.tick(0.0)
    for k in range(1, 40):  # a few showings where none are expected
        pacer.observe(dict.fromkeys(CAPS, 0.2))
        pacer._core.requests += 1
        pacer.tick(10.0 * k)
    assert max(pacer.prices.values()) <= 1.0
    for k in range(1, 60):  # nothing more: prices come back, and candidates are shown again
        pacer._core.requests += 1
        pacer.tick(400.0 + 10.0 * k)
    items = [k for k in range(60) if k % 6 < 4][:10]
    shown = [pacer.select(items, {"relevance": np.full(10, 0.9), "cost": np.ones(10)}).size for _ in range(50)]
    assert sum(shown) > 0
    assert pacer.stats()["stopped"] == 0


@pytest.mark.few(2)
@pytest.mark.parametrize("controller", NAMES)
def test_hours_without_traffic_wind_nothing_up(policy: oa.Policy, controller: str) -> None:
    pacer = pacer_of(policy, controller=controller)
    play(pacer, candidates(), 0, 100)
    before, rates = pacer.prices, None if pacer._core.rates is None else pacer._core.rates.copy()
    for k in range(200):
        pacer.tick(END / 4 + k)
    assert pacer.prices == before
    assert rates is None or (pacer._core.rates == rates).all()


def test_a_pass_rate_is_never_zero_nor_one_by_control(policy: oa.Policy) -> None:
    pacer = pacer_of(policy, controller="throttle")
    pacer.tick(0.0)
    for k in range(1, 200):
        pacer.observe(dict.fromkeys(CAPS, 0.29))
        pacer._core.requests += 1
        pacer.tick(5.0 * k)
    assert pacer._core.rates is not None
    assert 0.01 <= pacer._core.rates.min() <= pacer._core.rates.max() <= 1.0


def test_an_exhausted_campaign_moves_no_other(policy: oa.Policy) -> None:
    pacer = pacer_of(policy)
    pacer.tick(0.0)
    pacer.observe({"c0": 60.0})
    pacer.tick(1.0)
    assert pacer.stats()["stopped"] == 1
    before = {label: price for label, price in pacer.prices.items() if label != "c0"}
    for k in range(2, 10):
        pacer.observe(dict.fromkeys(("c1", "c2", "c3"), 60.0 / END))  # exactly as planned
        pacer._core.requests += 1
        pacer.tick(float(k))
    after = {label: price for label, price in pacer.prices.items() if label != "c0"}
    assert after == pytest.approx(before, abs=0.02)


def test_campaigns_that_start_and_end_in_mid_flight_are_off_outside(policy: oa.Policy) -> None:
    plan = oa.Plan("campaign", 0.0, END, caps=CAPS, starts={"c0": 400.0}, ends={"c1": 600.0})
    pacer = pacer_of(policy, plan=plan)
    items = [k for k in range(60) if k % 6 < 2][:10]
    columns = {"relevance": np.full(10, 5.0), "cost": np.ones(10)}
    found = {}
    for now in (1.0, 500.0, 700.0):
        pacer.tick(now)
        found[now] = {items[at] % 6 for at in pacer.select(items, columns, k=10)}
    assert found == {1.0: {1}, 500.0: {0, 1}, 700.0: {0}}


def test_a_clock_that_steps_back_changes_nothing(policy: oa.Policy) -> None:
    pacer = pacer_of(policy)
    play(pacer, candidates(), 0, 100)
    before = pacer.prices
    for now in (10.0, -1e9):
        assert not pacer.tick(now)
    assert pacer.prices == before
    assert pacer.stats()["clock_steps"] == 2
    play(pacer, candidates(), 100, USERS)
    assert all(50.0 <= amount <= 60.0 for amount in pacer.delivered().values())


def test_a_forecast_of_nothing_counts_as_flat(policy: oa.Policy) -> None:
    pacers = [pacer_of(policy, schedule=schedule) for schedule in (None, ExpectedArrivals([0.0] * 10, END / 10))]
    for pacer in pacers:
        play(pacer, candidates())
    assert pacers[0].prices == pacers[1].prices


class Broken:
    """A schedule that says something else from a time on."""

    def __init__(self, from_: float, said: float) -> None:
        self.from_, self.said = from_, said

    def share(self, t0: float, t1: float, key: object) -> float:
        return self.said if self.from_ <= t1 < END else t1 - t0


def test_a_schedule_that_breaks_while_it_serves_breaks_no_price(policy: oa.Policy) -> None:
    pacer = pacer_of(policy, schedule=Broken(300.0, float("nan")))
    play(pacer, candidates())
    assert all(np.isfinite(price) for price in pacer.prices.values())
    assert all(50.0 <= amount <= 60.0 for amount in pacer.delivered().values())


def test_what_is_no_schedule_is_refused(policy: oa.Policy) -> None:
    class Nan:
        def share(self, t0: float, t1: float, key: object) -> float:
            return float("nan")

    with pytest.raises(oa.InputError, match="is nan for key"):
        pacer_of(policy, schedule=Nan())
    with pytest.raises(oa.InputError, match="float has no method share"):
        pacer_of(policy, schedule=1.0)


def test_wrong_schedules_are_named() -> None:
    with pytest.raises(oa.InputError, match="step 1 is nan"):
        ExpectedArrivals([1.0, float("nan")], 60.0)
    with pytest.raises(oa.InputError, match="step 0 is -1"):
        ExpectedArrivals([-1.0], 60.0)


def test_a_month_that_turns_over_keeps_prices_by_key(policy: oa.Policy) -> None:
    july = pacer_of(policy)
    play(july, candidates(), 0, 390)
    august = july.replace(plan=oa.Plan("campaign", END, 2 * END, caps={"c0": 60.0, "c2": 30.0}))
    assert august.delivered() == {"c0": 0.0, "c2": 0.0}
    assert august.prices == {label: july.prices[label] for label in ("c0", "c2")}
    august.tick(END)
    assert august.stats()["stopped"] == 0


def test_a_gap_forgets_the_integral(policy: oa.Policy) -> None:
    pacer = pacer_of(policy, controller="pi")
    play(pacer, candidates(), 0, 100)
    pacer.observe({"c0": 25.0})
    pacer.tick(251.0)
    controller: Any = pacer._core.controller
    assert controller._integral.max() > 0.0
    before = pacer.prices
    pacer._core.requests += 1
    pacer.tick(900.0)
    assert not controller._integral.any()
    assert pacer.prices == before


def test_stops_are_told_apart_from_prices(policy: oa.Policy) -> None:
    """A blackout that looked like no demand: what is stopped is counted, and its price is not moved."""
    pacer = pacer_of(policy)
    pacer.tick(0.0)
    price = pacer.prices["c1"]
    pacer.observe({"c1": 60.0})
    pacer.tick(1.0)
    pacer.tick(2.0)
    items, columns = request(candidates(), 0)
    assert pacer.stats()["stopped"] == 1
    assert pacer.prices["c1"] == pytest.approx(price, abs=0.25)
    assert pacer.score(items, columns).min() < -1e6
    outlook = {one.label: one for one in pacer.outlook(2.0)}
    assert (outlook["c1"].status, outlook["c1"].reason) == ("stopped", "hard cap")
