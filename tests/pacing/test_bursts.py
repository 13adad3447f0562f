"""Traffic in bursts, between which nothing comes: prices follow what is delivered per request, not per second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa
from oasis_alloc.pacing.targets import Targets
from oasis_alloc.replay.metrics import targets_of
from oasis_alloc.replay.run import contend
from oasis_alloc.replay.scenario import world_of
from oasis_alloc.replay.stream import Layout
from tests.support.paced import CAPS, END, USERS, Clock, candidates, problem


@pytest.fixture(scope="module")
def policy() -> oa.Policy:
    return oa.solve(problem(candidates()), gap=1e-4).policy()


def in_bursts(seed: int) -> oa.Requests:
    """Ten bursts at random times, each within a thousandth of the flight."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.uniform(0.0, 0.99 * END, 10))
    times = first[rng.integers(0, 10, USERS)] + rng.uniform(0.0, END / 1000.0, USERS)
    return oa.Requests(candidates(), times, 0.0, END)


@pytest.mark.parametrize("seed", [0, *full_only(1, 2)])
def test_bursts_are_no_reason_to_deliver_less(policy: oa.Policy, seed: int) -> None:
    """No forecast knows when they come, and the policy's own prices are right for all of them together."""
    requests = in_bursts(seed)
    plan = oa.Plan("campaign", 0.0, END, caps=CAPS, floors={"c0": 50.0})
    layout, scenario = Layout(requests, policy), oa.Scenario(sync=0.2)
    world = world_of(scenario, requests, plan, 0, layout.worth())
    pacer = oa.Pacer(policy, plan, schedule=oa.Schedule.from_weights([1.0] * 24).over(0.0, END))
    trace = contend(pacer, layout, world, scenario, 0)
    assert (trace.delivered <= 60.0).all()
    assert (trace.delivered >= 0.75 * targets_of(world)).all(), "a third, where prices followed the clock"


def goals(**how: Any) -> tuple[Any, ...]:
    return oa.Plan("campaign", 0.0, 100.0, **{"caps": {"a": 10.0, "b": 10.0}} | how).goals


class Even:
    def share(self, t0: float, t1: float, key: object) -> float:
        return max(t1 - t0, 0.0)


def test_a_request_stands_for_its_part_of_the_traffic() -> None:
    targets = Targets(goals(), Even(), [None, None], 0.0)
    # 50 requests in the first half; 10 more in a moment are due a tenth of all, of the half that is left
    assert targets.due_by_requests(0.0, 50.0, 50.0, 10.0, 60.0).tolist() == pytest.approx([50 / 60 * 0.2] * 2)
    # as many as ever in their time: what the clock says
    assert targets.due_by_requests(0.0, 50.0, 60.0, 10.0, 60.0).tolist() == pytest.approx([0.2] * 2)
    assert targets.due(50.0, 60.0)[0].tolist() == pytest.approx([0.2] * 2)
    # a pacer that began in mid-flight compares with what came since
    assert targets.due_by_requests(50.0, 50.0, 60.0, 10.0, 10.0).tolist() == pytest.approx([0.2] * 2)
    assert targets.due_by_requests(0.0, 90.0, 91.0, 1e6, 2e6).tolist() == [1.0, 1.0]


def test_shorter_flights_have_fewer_requests() -> None:
    targets = Targets(goals(starts={"b": 50.0}), Even(), [None, None], 0.0)
    due = targets.due_by_requests(0.0, 50.0, 60.0, 10.0, 60.0)
    assert due.tolist() == pytest.approx([0.2, 0.2])
    assert targets.due_by_requests(0.0, 75.0, 80.0, 5.0, 80.0).tolist() == pytest.approx([0.2, 0.2])


def test_keys_have_their_own_hours() -> None:
    class ByKey:
        def share(self, t0: float, t1: float, key: object) -> float:
            even = max(t1 - t0, 0.0)
            return even if key != "late" else max(t1 - max(t0, 50.0), 0.0)

    targets = Targets(goals(), ByKey(), ["a", "late"], 0.0)
    assert targets.due_by_requests(0.0, 20.0, 30.0, 10.0, 30.0).tolist() == pytest.approx([0.125, 0.0])
    assert targets.due_by_requests(0.0, 60.0, 70.0, 10.0, 70.0).tolist() == pytest.approx([0.25, 0.25])


def test_where_nobody_counts_requests_the_clock_decides(policy: oa.Policy) -> None:
    """Amounts without ids are no requests; exactly as planned by the clock, no price moves."""
    pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, END, caps=CAPS), requests=USERS, clock=Clock())
    pacer.tick(0.0)
    before = pacer.prices
    for k in range(1, 40):
        pacer.observe(dict.fromkeys(CAPS, 0.6))
        pacer.tick(10.0 * k)
    assert pacer.stats()["requests"] == 0
    assert pacer.prices == pytest.approx(before, abs=1e-9)


def test_the_count_goes_on_in_a_saved_state_and_begins_again_with_a_plan(policy: oa.Policy) -> None:
    pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, END, caps=CAPS), clock=Clock())
    pacer.tick(100.0)
    pacer._core.requests = 50
    pacer.tick(200.0)
    again = oa.Pacer(policy, pacer.plan, clock=Clock())
    again.restore(pacer.state())
    assert (again._core.began, again._core.began_requests) == (100.0, 0.0)
    following = pacer.replace(plan=oa.Plan("campaign", 0.0, 2 * END, caps=CAPS))
    assert (following._core.began, following._core.began_requests) == (200.0, 50.0)
    pacer.sync({"c0": 1.0}, requests=900.0)
    assert (pacer._core.began_requests, pacer._core.last_requests) == (900.0, 900.0)
