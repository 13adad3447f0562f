"""Pacers of one ledger keep every hard cap together, whatever they know of each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.pacing.leases import Account
from tests.support.paced import CAPS, EACH, END, USERS, Clock, candidates, play, problem, request


@pytest.fixture(scope="module")
def policy() -> oa.Policy:
    return oa.solve(problem(candidates()), gap=1e-4).policy()


def ledger_of(path: Path | None = None, clock: Any = None) -> oa.Ledger:
    return oa.Ledger(path, slice_seconds=900, clock=clock or Clock(END))


def pacer_of(policy: oa.Policy, ledger: oa.Ledger, clock: Any = None, **how: Any) -> oa.Pacer:
    plan = how.pop("plan", oa.Plan("campaign", 0.0, END, caps=CAPS))
    return oa.Pacer(policy, plan, ledger=ledger, requests=USERS, clock=clock or Clock(), **how)


def all_for_one(pacer: oa.Pacer, label: int, times: int) -> int:
    """Ask for slates of one campaign, which is the best by far; how many showings were served."""
    hot, user = pacer.prepare(2), pacer.user(market="SE")
    served = 0
    for _ in range(times):
        hot.items[:2] = [label, label + 6]
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[:2] = {"relevance": 50.0, "cost": 1.0}[name]
        shown = hot.select(2, user)
        hot.observe(shown)
        served += shown
    return served


def test_two_pacers_whose_views_are_old_stay_below_a_cap(policy: oa.Policy) -> None:
    """They synchronize one after the other and serve all they may in between, as no schedule would."""
    ledger = ledger_of()
    pacers = [pacer_of(policy, ledger) for _ in range(2)]
    served = 0
    for _ in range(40):
        for pacer in pacers:
            served += all_for_one(pacer, 1, 40)
            assert served <= CAPS["c1"]
            pacer.sync()
    assert served == CAPS["c1"]
    assert ledger.delivered()["c1"] == served


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4), st.sampled_from(["serve", "serve", "sync", "tick", "event", "lose", "leave", "save"])
        ),
        min_size=5, max_size=60,
    )
)  # fmt: skip
def test_no_order_of_events_crosses_a_cap(steps: Sequence[tuple[int, str]]) -> None:
    policy = _POLICY[0] if _POLICY else _POLICY.append(oa.solve(problem(candidates()), gap=1e-3).policy()) or _POLICY[0]
    clock, ledger = Clock(1.0), ledger_of(clock=Clock(END))
    pacers: dict[int, oa.Pacer] = {}
    served = lost = 0.0
    known: list[tuple[int, str]] = []
    for number, (who, what) in enumerate(steps):
        if who not in pacers:  # replicas join whenever they like
            pacers[who] = pacer_of(policy, ledger, clock, confirm=True)
        pacer = pacers[who]
        clock.now += 1.0
        if what == "serve":
            served += all_for_one(pacer, 1, 15)
        elif what == "sync":
            pacer.sync()
        elif what == "tick":
            pacer.tick(clock.now)
        elif what == "event":
            slate = pacer.select([1, 7], {"relevance": [50.0, 50.0], "cost": [1.0, 1.0]}, {"market": "SE"})
            if slate.size:
                name = f"event {number}"
                known.append((who, name))
                pacer.observe({"c1": float(slate.size)}, event=name, status="served", time=clock.now)
                served += slate.size
        elif what == "lose" and known:
            at, name = known.pop()
            if at in pacers:
                size = pacers[at]._core.accounts.events[name].amounts.sum()
                assert pacers[at].observe(event=name, status="lost")
                lost += float(size)
        elif what == "leave":
            pacers.pop(who).close()
            known = [one for one in known if one[0] != who]
        elif what == "save":
            pacer.restore(pacer.state())
        assert served - lost <= CAPS["c1"]
    account = Account.read(ledger.store.read(["account:pacer"])["account:pacer"].text)
    assert account.granted['"c1"|flight 0.000'] <= CAPS["c1"] * 1e6


_POLICY: list[oa.Policy] = []


def test_what_is_observed_by_event_takes_room_at_once(policy: oa.Policy) -> None:
    """Without a tick in between: hosts observe every slate as they serve it."""
    columns = {"relevance": np.array([50.0, 50.0]), "cost": np.ones(2)}
    for ledger in (None, ledger_of()):
        pacer, served = pacer_of(policy, ledger, confirm=True), 0  # type: ignore[arg-type]
        pacer.tick(0.0)
        for number in range(100):
            slate = pacer.select([1, 7], columns, {"market": "SE"})
            if slate.size:
                used = pacer.usage(slate, [1, 7], columns, {"market": "SE"})
                pacer.observe(used, event=f"slate {number}", status="served", time=0.0)
            served += slate.size
        assert served == (CAPS["c1"] if ledger is None else CAPS["c1"] / 2)


def test_replicas_that_come_and_go_leave_nothing_behind(policy: oa.Policy) -> None:
    ledger, served = ledger_of(), 0
    for round_ in range(30):
        pacer = pacer_of(policy, ledger)
        served += all_for_one(pacer, 1, 2 if round_ < 20 else 200)
        pacer.close()
        assert all_for_one(pacer, 1, 5) == 0
    assert served == CAPS["c1"]


def test_a_replica_that_dies_strands_its_last_allowance_until_it_is_released(policy: oa.Policy) -> None:
    ledger = ledger_of()
    dead, other = pacer_of(policy, ledger, replicas=2), pacer_of(policy, ledger, replicas=2)
    had = all_for_one(dead, 1, 3)  # and it dies
    served = 0
    for _ in range(30):
        served += all_for_one(other, 1, 40)
        other.sync()
    stranded = CAPS["c1"] - served
    assert had < stranded <= CAPS["c1"] / 4
    name = next(name for name in other.replicas() if name != other._core.shares.exchange.replica)  # type: ignore[union-attr]
    with pytest.raises(oa.InputError, match="silent for"):
        other.release(name, spent={"c1": had})
    assert other._core.shares is not None
    ahead = other._core.shares.exchange
    ahead._clock = lambda: ahead._latest + 2000.0
    other.sync()
    ahead._clock = lambda: ahead._latest
    assert name in other.replicas()
    ahead._seen[name] = (ahead._seen[name][0], ahead._latest - 1201.0)
    other.release(name, spent={"c1": had})
    for _ in range(30):
        other.sync()
        served += all_for_one(other, 1, 40)
    assert served + had == CAPS["c1"]


@pytest.mark.few(1)
@pytest.mark.parametrize(("limit", "length"), [("daily", 86400.0), ("hourly", 3600.0)])
def test_caps_of_days_and_hours_hold_for_all_replicas(policy: oa.Policy, limit: str, length: float) -> None:
    clock = Clock(5 * length)
    ledger = ledger_of(clock=Clock(9 * length))
    windows: dict[str, Any] = {limit: {"c1": 20.0}}
    plan = oa.Plan("campaign", 0.0, 8 * length, caps={"c1": 50.0}, **windows)
    pacers = [pacer_of(policy, ledger, clock, plan=plan) for _ in range(3)]
    served = np.zeros(3)
    for window in range(3):
        for part in range(12):
            clock.now = (5 + window + (part + 0.5) / 12) * length
            for k, pacer in enumerate(pacers):
                pacer.tick(clock.now)
                pacer.sync()
                served[window] += all_for_one(pacer, 1, 20)
                if part == 5 and k == 0:  # a restart in the middle of a window grants nothing again
                    pacer.close()
                    pacers[0] = pacer_of(policy, ledger, clock, plan=plan)
                    pacers[0].tick(clock.now)
        assert served[window] <= 20.0
    assert served.tolist() == [20.0, 20.0, 10.0]
    account = Account.read(ledger.store.read(["account:pacer"])["account:pacer"].text)
    kinds = [key.rpartition("|")[2].split()[0] for key in account.caps]
    assert kinds.count(limit.replace("daily", "day").replace("hourly", "hour")) <= 5


def test_a_lost_delivery_of_the_last_hour_makes_no_room_in_this_one(policy: oa.Policy) -> None:
    """With and without a ledger: what an hour's cap counts is what was delivered in that hour."""
    for ledger in (None, ledger_of(clock=Clock(1e5))):
        clock = Clock(0.0)
        plan = oa.Plan("campaign", 0.0, 86400.0, hourly={"c1": 10.0})
        pacer = oa.Pacer(policy, plan, ledger=ledger, clock=clock, confirm=True, confirm_within=1e5)
        pacer.tick(0.0)
        for k in range(5):
            pacer.observe({"c1": 1.0}, event=f"{k}", status="served", time=0.0)
        clock.now = 3700.0
        pacer.tick(clock.now)
        if ledger is not None:
            assert pacer.sync()
            pacer.tick(clock.now)
        for k in range(5):
            assert pacer.observe(event=f"{k}", status="lost")
        pacer.tick(3701.0)
        served = all_for_one(pacer, 1, 40)
        for _ in range(8):
            if ledger is not None:
                assert pacer.sync()
            pacer.tick(3702.0)
            served += all_for_one(pacer, 1, 40)
        assert served == 10


def test_a_delivery_that_another_process_confirms_is_not_free_again(policy: oa.Policy) -> None:
    """One process serves and hears nothing more; another one is told of the confirmations."""
    clock = Clock(0.0)
    ledger = ledger_of(clock=Clock(1e4))
    first, second = (pacer_of(policy, ledger, clock, confirm=True, confirm_within=100.0) for _ in range(2))
    for k in range(10):
        first.observe({"c1": 1.0}, event=f"imp-{k}", status="served", time=0.0)
    assert first.sync()
    for k in range(6):
        assert second.observe({"c1": 1.0}, event=f"imp-{k}", time=0.0)
    assert second.sync()
    clock.now = 200.0
    first.tick(150.0)
    first.tick(200.0)  # all ten are lost, as far as it knows
    assert first.sync()
    assert first.sync()
    assert first.delivered()["c1"] == 6.0
    assert first._core.accounts.spent()[0, 1] == 6.0
    assert (first._core.accounts.good, first._core.accounts.lost) == (6.0, 4.0)
    served = 0
    for _ in range(60):
        for pacer in (first, second):
            served += all_for_one(pacer, 1, 40)
            assert pacer.sync()
            pacer.tick(clock.now)
    assert served + 6.0 == CAPS["c1"]


def test_an_outage_serves_what_was_granted_and_no_more(policy: oa.Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = ledger_of()
    pacers = [pacer_of(policy, ledger) for _ in range(2)]

    def away(*_: Any) -> Any:
        raise oa.LedgerUnavailableError("the store is away")

    monkeypatch.setattr(ledger.store, "read", away)
    served = 0
    for k in range(1, 20):
        for pacer in pacers:
            assert not pacer.sync()
            pacer.tick(float(k))
            served += all_for_one(pacer, 1, 20)
    assert 0 < served <= CAPS["c1"]
    assert pacers[0].stats()["failed_in_a_row"] == 19
    outlook = {one.label: one for one in pacers[0].outlook(20.0)}
    assert (outlook["c1"].status, outlook["c1"].reason) == ("stopped", "no allowance")


def test_a_pacer_that_begins_without_a_store_serves_when_it_is_back(
    policy: oa.Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_of()

    def away(*_: Any) -> Any:
        raise oa.LedgerUnavailableError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(ledger.store, "totals", away)
        pacer = pacer_of(policy, ledger)
    assert pacer.stats()["failed_reads"] == 1
    assert all_for_one(pacer, 1, 5) == 0
    assert pacer.sync()
    assert all_for_one(pacer, 1, 5) == 10


def test_the_next_plan_takes_the_allowance_over(policy: oa.Policy) -> None:
    ledger = ledger_of()
    pacer, other = pacer_of(policy, ledger), pacer_of(policy, ledger)
    served = all_for_one(pacer, 1, 5)
    following = pacer.replace(plan=oa.Plan("campaign", 0.0, END, caps=dict.fromkeys(CAPS, 70.0)))
    assert all_for_one(pacer, 1, 5) == 0
    for _ in range(30):
        for one in (other, following):
            served += all_for_one(one, 1, 40)
            assert served <= 70
            assert one.sync()
    assert served == 70
    assert list(other.replicas()).count(following._core.shares.exchange.replica) == 1  # type: ignore[union-attr]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_an_allowance_of_its_own(policy: oa.Policy, tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path / "ledger.db")
    pacer = pacer_of(policy, ledger)
    pacer.warmup()
    pacer.tick(0.0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        served = -1
        try:
            pacer.tick(1.0)
            before = all_for_one(pacer, 1, 5)
            pacer.sync()
            pacer.tick(2.0)
            served = 100 * before + all_for_one(pacer, 1, 100)
            pacer.sync()
        finally:
            os.write(write, str(served).encode())
            os._exit(0)
    os.waitpid(child, 0)
    theirs = int(os.read(read, 100))
    assert 0 < theirs < 100, "nothing before it had an allowance of its own"
    served = 0
    for k in range(20):
        pacer.tick(3.0 + k)
        served += all_for_one(pacer, 1, 100)
        assert pacer.sync()
    assert served + theirs <= CAPS["c1"]
    assert ledger.delivered()["c1"] == served + theirs
    ledger.close()


@pytest.mark.full
def test_real_traffic_ends_at_the_caps(policy: oa.Policy, tmp_path: Path) -> None:
    """Eight pacers that take turns: nothing above a cap, and nearly all of it delivered."""
    cands, ledger = candidates(), ledger_of(tmp_path / "ledger.db")
    pacers = [pacer_of(policy, ledger, replicas=8, replica=r) for r in range(8)]
    for first in range(0, USERS, 5):
        play(pacers[first // 5 % 8], cands, first, first + 5)
        for pacer in pacers:
            pacer.sync()
            pacer.tick((first + 5) * END / USERS)
    totals = ledger.delivered(among=list(CAPS))
    assert all(52.0 <= amount <= 60.0 for amount in totals.values()), totals
    items, columns = request(cands, 0)
    assert len(pacers[0].select(items, columns, {"market": "SE"})) <= EACH
    ledger.close()
