"""Shares and guards of several processes that share a ledger: ratios over the traffic of all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.pacing.ratios import Ratios
from oasis_alloc.pacing.usage import Usage
from tests.support.paced import CAPS, EACH, END, USERS, Clock, candidates, problem, request

HOUR = 3600.0


@pytest.fixture(scope="module")
def market() -> oa.Candidates:
    return candidates()


@pytest.fixture(scope="module")
def solution(market: oa.Candidates) -> oa.Solution:
    return oa.solve(problem(market), gap=1e-4)


def plan_of(solution: oa.Solution, **how: Any) -> oa.Plan:
    """Caps by campaign, which the ledger counts, and the shares by licensor and the guard of the problem."""
    ratios = [goal for goal in oa.Plan.of(solution, 0.0, HOUR).goals if goal.per_request]
    assert len(ratios) == 4
    return oa.Plan.of_goals([*oa.Plan("campaign", 0.0, HOUR, caps=CAPS).goals, *ratios])


def serve(pacers: list[oa.Pacer], market: oa.Candidates, clock: Clock, every: int = 20) -> list[tuple[int, Any]]:
    """Serve users in turns and synchronize now and then: [(user, positions), ...] of all that was shown."""
    hots = [pacer.prepare(EACH) for pacer in pacers]
    users = [[pacer.user(market=one) for one in ("DE", "SE")] for pacer in pacers]
    shown = []
    for u in range(USERS):
        clock.now = (u + 1) * END / USERS
        hot, user = hots[u % len(pacers)], users[u % len(pacers)][u % 2]
        items, columns = request(market, u)
        hot.items[:EACH] = items
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[:EACH] = columns[name]
        n = hot.select(EACH, user)
        hot.observe(n)
        shown.append((u, hot.positions[:n].copy()))
        if u % every == every - 1:
            for pacer in pacers:
                assert pacer.sync()
                pacer.tick(clock.now)
    for pacer in [*pacers, *pacers]:
        assert pacer.sync()
    return shown


def ratios_of(pacer: oa.Pacer) -> list[float]:
    rows = pacer._core.rows.per_request
    return [round(amount, 6) for amount in pacer._core.delivered()[rows].tolist()]


def test_all_processes_know_the_ratios_of_the_traffic_of_all(
    market: oa.Candidates, solution: oa.Solution, tmp_path: Path
) -> None:
    policy, plan, clock = solution.policy(), plan_of(solution), Clock()
    ledger = oa.Ledger(tmp_path / "ledger.db", clock=clock)
    pacers = [oa.Pacer(policy, plan, ledger=ledger, requests=USERS, clock=clock) for _ in range(3)]
    shown = serve(pacers, market, clock)
    licensor = np.concatenate([request(market, u)[0][at] // 6 % 3 for u, at in shown])
    relevance = sum(request(market, u)[1]["relevance"][at].sum() for u, at in shown)
    counts = np.bincount(licensor, minlength=3)
    expected = [*(counts - 0.4 * counts.sum()).tolist(), relevance]
    for pacer in pacers:
        assert ratios_of(pacer) == pytest.approx(expected, abs=1e-3)
        assert pacer._core.traffic() == USERS
    # what the ledger itself counts is the campaigns alone
    assert set(ledger.delivered()) <= set(CAPS)
    assert {label: amount for (_, label), amount in pacers[0].delivered().items() if label in CAPS} == {
        label: ledger.delivered().get(label, 0.0) for label in CAPS
    }


@pytest.mark.full
def test_a_share_that_binds_is_kept_over_the_traffic_of_all(market: oa.Candidates, solution: oa.Solution) -> None:
    """A licensor may have a fifth of the slots, and would have more: three processes keep the share together."""
    terms = next(goal.terms for goal in plan_of(solution).goals if len(goal.terms) == 2)
    tight = tuple((column, keys, -0.2 if not keys else factor) for column, keys, factor in terms)
    found = {}
    for is_held in (False, True):
        clock = Clock()
        share = [Goal(tight, 0, cap=0.0, start=0.0, end=END, per_request=True, soft=True, penalty=1.0, price=0.0)]
        goals = [*oa.Plan("campaign", 0.0, END, caps=dict.fromkeys(CAPS, 500.0)).goals, *(share if is_held else [])]
        ledger = oa.Ledger(clock=clock)
        pacers = [
            oa.Pacer(solution.policy(), oa.Plan.of_goals(goals), ledger=ledger, requests=USERS, clock=clock)
            for _ in range(3)
        ]
        shown = serve(pacers, market, clock, every=5)
        licensor = np.concatenate([request(market, u)[0][at] // 6 % 3 for u, at in shown])
        found[is_held] = float((licensor == 0).mean())
    assert found[False] > 0.27
    assert found[True] == pytest.approx(0.2, abs=0.02)


class Flaky:
    """A store whose answers get lost, or that is away."""

    def __init__(self, of: Any) -> None:
        self.of, self.loses, self.is_away = of, False, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.of, name)
        if not callable(found):
            return found

        def call(*args: Any) -> Any:
            if self.is_away:
                raise oa.LedgerUnavailableError("away")
            out = found(*args)
            if self.loses and name == "swap" and any("ratios" in one for one in args[1]):
                raise oa.LedgerUnavailableError("the answer was lost")
            return out

        return call


def test_batches_count_once_whatever_is_lost(solution: oa.Solution) -> None:
    clock = Clock()
    ledger = oa.Ledger(clock=clock)
    store = Flaky(ledger.store)
    ledger.store = store  # type: ignore[assignment]
    pacer = oa.Pacer(solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock)
    rows = np.flatnonzero(pacer._core.rows.per_request)
    other = oa.Pacer(solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock)

    def shown(who: oa.Pacer, amount: float) -> None:
        who.observe(Usage(rows, np.full(rows.size, amount)), event=f"e{amount}", time=clock.now)

    shown(pacer, 1.0)
    store.loses = True
    assert not pacer.sync()
    assert pacer.sync(), "the batch is there, and nothing else has to be written"
    store.loses = False
    store.is_away = True
    shown(pacer, 2.0)
    assert not pacer.sync()
    shown(pacer, 4.0)
    state = pacer.state()  # saved while the store is away, restored twice
    store.is_away = False
    assert pacer.sync()
    for _ in range(2):
        again = oa.Pacer(solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock)
        again.restore(state)
        assert again.sync()
    assert other.sync()
    assert ratios_of(other) == [7.0] * 4
    assert other._core.traffic() == 3.0


def test_a_confirmation_by_another_process_counts_no_ratio_again(solution: oa.Solution) -> None:
    clock = Clock()
    ledger = oa.Ledger(clock=clock)
    first, second = (
        oa.Pacer(
            solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock, confirm=True,
            confirm_within=50.0,
        )
        for _ in range(2)
    )  # fmt: skip
    used = first.usage([0], [6], {"relevance": np.array([0.5]), "cost": np.ones(1)})
    for event in ("seen", "lost"):
        first.observe(used, event=event, time=0.0, status="served")
    second.observe(used, event="seen", time=0.0)
    assert second.sync()
    first.tick(0.0)
    clock.now = 60.0
    first.tick(60.0)  # neither was confirmed here in time, and one of them elsewhere
    for pacer in (first, second, first, second):
        assert pacer.sync()
    assert [ratios_of(pacer)[3] for pacer in (first, second)] == [0.5, 0.5]
    assert first._core.traffic() == second._core.traffic() == 2.0


def test_a_confirmation_that_comes_before_its_delivery_is_told_counts_once(solution: oa.Solution) -> None:
    clock = Clock()
    pacer = oa.Pacer(
        solution.policy(), plan_of(solution), ledger=oa.Ledger(clock=clock), requests=USERS, clock=clock, confirm=True
    )
    used = pacer.usage([0], [6], {"relevance": np.array([0.5]), "cost": np.ones(1)})
    for status in ("confirmed", "served", "served", "confirmed"):
        pacer.observe(used, event="one", time=0.0, status=status)
    assert pacer.sync()
    assert ratios_of(pacer)[3] == 0.5
    assert pacer._core.traffic() == 1.0
    assert {label: amount for (_, label), amount in pacer.delivered().items()}["c0"] == 1.0


def test_ratios_begin_anew_with_the_next_flight(market: oa.Candidates, solution: oa.Solution) -> None:
    """What was missed of a share in July is no debt of August, with a ledger and without one."""
    for ledger in (None, oa.Ledger(clock=lambda: 10.0)):
        clock = Clock(10.0)
        july = oa.Pacer(solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock)
        used = july.usage([0], [6], {"relevance": np.array([0.1]), "cost": np.ones(1)})
        july.tick(0.0)
        for k in range(50):
            july.observe(used, event=f"e{k}", time=1.0)
        july.tick(10.0)
        ratios = [replace(g, start=HOUR, end=2 * HOUR) for g in plan_of(solution).goals if g.per_request]
        august = [*oa.Plan("campaign", HOUR, 2 * HOUR, caps={"c0": 9.0}).goals, *ratios]
        pacer = july.replace(plan=oa.Plan.of_goals(august))
        assert ratios_of(pacer) == [0.0] * 4
        guard = {one.label: one for one in pacer.outlook(HOUR + 1.0)}[None]
        assert guard.planned == 0.0, "no request of the new flight has come"
        pacer.tick(HOUR)
        before = dict(pacer.prices)
        clock.now = HOUR + 10.0
        good = pacer.usage([0], [6], {"relevance": np.array([0.25]), "cost": np.ones(1)})
        pacer.observe(good, event="next", time=HOUR)
        pacer.tick(HOUR + 10.0)
        guards = [name for name in before if name[1] is None]
        assert [pacer.prices[name] for name in guards] == [before[name] for name in guards], "exactly what was asked"


def test_a_plan_with_fewer_goals_records_the_last_deliveries_of_those_that_ended(solution: oa.Solution) -> None:
    clock = Clock(10.0)
    ledger = oa.Ledger(clock=clock)
    pacer = oa.Pacer(solution.policy(), plan_of(solution), ledger=ledger, requests=USERS, clock=clock)
    hot, user = pacer.prepare(4), pacer.user()
    hot.items[:4], hot.columns[:, :4] = [0, 1, 2, 3], 9.0
    hot.observe(hot.select(4, user))
    pacer.observe({"c2": 5.0}, event="order", time=9.0)
    had = {label: amount for (_, label), amount in pacer.delivered().items() if label in CAPS}
    after = pacer.replace(plan=oa.Plan("campaign", 0.0, HOUR, caps={"c1": 60.0, "c3": 60.0}))
    assert after.sync()
    assert ledger.delivered() == {label: amount for label, amount in had.items() if amount}
    assert after.delivered() == {label: had[label] for label in ("c1", "c3")}


def test_silent_processes_and_ended_goals_leave_the_document(solution: oa.Solution) -> None:
    ledger = oa.Ledger()
    rows = oa.Pacer(solution.policy(), plan_of(solution))._core.rows
    first, second = Ratios(ledger.store, rows), Ratios(ledger.store, rows)
    for ratios, now in ((first, 0.0), (second, 30 * 86400.0)):
        ratios.take(np.ones(rows.n), 3)
        requests, _, _ = ratios.exchange(now)
    assert requests == 6.0
    text = ledger.store.read(["ratios:pacer"])["ratios:pacer"].text
    assert first._writer not in text
    assert second._writer in text
