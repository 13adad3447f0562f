"""A pacer with a ledger and a schedule: what is observed is recorded once, and an outage keeps the last prices."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.pacing.ledger_merge import Change
from tests.support.paced import CAPS, END, USERS, Clock, play


class Outage:
    """The store of a ledger, which can be unavailable before or after it stores a batch."""

    def __init__(self, ledger: oa.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.when: str | None = None
        record = ledger.store.record

        def failing(*given: Any) -> Change:
            if self.when == "before":
                raise oa.LedgerUnavailableError("the store is away")
            change = record(*given)
            if self.when == "after":
                raise oa.LedgerUnavailableError("the store has gone before it answered")
            return change

        monkeypatch.setattr(ledger.store, "record", failing)


def open_ledger(path: Path | None = None, clock: Any = None, **how: Any) -> oa.Ledger:
    return oa.Ledger(path, slice_seconds=900, clock=clock or Clock(END), **how)


def pacer_of(policy: oa.Policy, ledger: oa.Ledger, clock: Any = None, **how: Any) -> oa.Pacer:
    plan = oa.Plan("campaign", 0.0, END, caps=CAPS)
    return oa.Pacer(policy, plan, ledger=ledger, requests=USERS, clock=clock or Clock(), **how)


def test_two_pacers_share_a_ledger_and_its_caps(policy: oa.Policy, cands: oa.Candidates, tmp_path: Path) -> None:
    ledgers = [open_ledger(tmp_path / "ledger.db") for _ in range(2)]
    pacers = [pacer_of(policy, ledger, replicas=2, replica=r) for r, ledger in enumerate(ledgers)]
    for first in range(0, USERS, 20):
        for r, pacer in enumerate(pacers):
            play(pacer, cands, first + 10 * r, first + 10 * r + 10)
            assert pacer.sync()
    assert all(pacer.sync() for pacer in pacers)
    assert pacers[0].delivered() == pacers[1].delivered() == ledgers[0].delivered(among=list(CAPS))
    assert all(40.0 <= amount <= 60.0 for amount in pacers[0].delivered().values())
    assert all(pacer.stats()["queued_events"] == 0 for pacer in pacers)
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_outage_keeps_prices_and_counts_nothing_twice(
    policy: oa.Policy, cands: oa.Candidates, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    ledger = open_ledger()
    outage, pacer = Outage(ledger, monkeypatch), pacer_of(policy, ledger)
    play(pacer, cands, 0, 50)
    assert pacer.sync()
    before, prices = pacer.delivered(), pacer.prices
    outage.when = when
    pacer.observe({"c0": 2.0}, event="imp-1", status="served", time=10.0)
    play(pacer, cands, 50, 60, every=1000)  # no tick
    served = pacer.delivered()
    assert sum(served.values()) > sum(before.values())
    for failures in (1, 2):
        assert not pacer.sync()
        stats = pacer.stats()
        assert (stats["failed_reads"], stats["failed_in_a_row"]) == (failures, failures)
        assert "LedgerUnavailableError" in stats["last_error"]
        assert stats["queued_events"] > 0
        assert pacer.delivered() == served
        assert pacer.prices == prices
    outage.when = None
    assert pacer.sync()
    assert pacer.delivered() == served == ledger.delivered(among=list(CAPS))
    assert (pacer.stats()["failed_in_a_row"], pacer.stats()["queued_events"]) == (0, 0)


def test_states_of_an_event_reach_the_ledger(policy: oa.Policy) -> None:
    clock = Clock(5.0)
    ledger = open_ledger(clock=clock)
    pacer = pacer_of(policy, ledger, clock, confirm_within=100.0)
    for name in ("a", "b", "c"):
        pacer.observe({"c1": 1.0}, event=name, status="served")
    pacer.observe({"c2": 3.0})
    clock.now = 50.0
    pacer.observe(event="a")
    pacer.observe(event="b", status="lost")
    assert pacer.sync()
    assert [total[2:] for total in ledger.totals()] == [(1.0, 1.0, 1.0), (3.0, 0.0, 0.0)]
    clock.now = 200.0
    pacer.tick(200.0)  # c was not confirmed in time
    assert pacer.sync()
    assert [total[2:] for total in ledger.totals()] == [(1.0, 0.0, 2.0), (3.0, 0.0, 0.0)]
    assert pacer.delivered() == {"c0": 0.0, "c1": 1.0, "c2": 3.0, "c3": 0.0}


def test_what_is_observed_during_a_read_is_kept(policy: oa.Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger()
    pacer = pacer_of(policy, ledger)
    pacer.observe({"c1": 1.0}, event="a", status="served")
    read = ledger.totals

    def slow(**how: Any) -> list[oa.DeliveredTotal]:
        found = read(**how)
        pacer.observe({"c1": 4.0}, event="b")
        return found

    monkeypatch.setattr(ledger, "totals", slow)
    assert pacer.sync()
    assert pacer.delivered()["c1"] == 5.0
    monkeypatch.setattr(ledger, "totals", read)
    assert pacer.sync()
    assert pacer.delivered()["c1"] == 5.0 == ledger.delivered()["c1"]


def test_a_restart_records_what_was_queued_once(policy: oa.Policy, tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    pacer = pacer_of(policy, ledger)
    pacer.observe({"c0": 2.0}, event="a")
    pacer.observe({"c1": 1.0})
    pacer.save(tmp_path / "state.json")
    assert pacer.sync()  # and the process ends
    again = pacer_of(policy, ledger)
    again.restore(tmp_path / "state.json")
    assert again.delivered() == pacer.delivered()
    assert again.sync()
    assert again.delivered() == ledger.delivered(among=list(CAPS)) == {"c0": 2.0, "c1": 1.0, "c2": 0.0, "c3": 0.0}
    ledger.close()


def test_the_next_plan_records_what_the_last_one_queued(policy: oa.Policy, cands: oa.Candidates) -> None:
    ledger = open_ledger()
    pacer = pacer_of(policy, ledger)
    play(pacer, cands, 0, 30)
    served = pacer.delivered()
    following = pacer.replace(plan=oa.Plan("campaign", 0.0, END, caps=dict.fromkeys(CAPS, 70.0)))
    assert following.delivered() == served
    assert following.sync()
    assert following.delivered() == served == ledger.delivered(among=list(CAPS))


def test_deliveries_outside_of_a_flight_are_not_of_it(policy: oa.Policy) -> None:
    ledger = open_ledger(clock=Clock(10_000.0))
    ledger.record_columns(["early", "in", "late"], ["c0"] * 3, [100.0, 4000.0, 9000.0])
    plan = oa.Plan("campaign", 3600.0, 7200.0, caps=CAPS)
    pacer = oa.Pacer(policy, plan, ledger=ledger, clock=Clock(4000.0))
    assert pacer.sync()
    assert pacer.delivered()["c0"] == 1.0


def test_events_that_the_ledger_refuses_are_reported(policy: oa.Policy, caplog: pytest.LogCaptureFixture) -> None:
    ledger = open_ledger(groups=["c0", "c1"])
    pacer = pacer_of(policy, ledger)
    pacer.observe({"c0": 1.0}, event="a")
    pacer.observe({"c3": 1.0}, event="b")
    with caplog.at_level("WARNING", "oasis_alloc.pacing"):
        assert pacer.sync()
    assert pacer.stats()["refused_events"] == 1
    assert "1 of 2 events were refused by the ledger" in caplog.text
    assert ledger.delivered() == {"c0": 1.0, "c1": 0.0}


def test_ledgers_that_do_not_fit_are_refused(policy: oa.Policy) -> None:
    with pytest.raises(oa.InputError, match=r"expected oa\.Ledger, got str"):
        oa.Pacer(policy, oa.Plan("campaign", 0.0, END, caps=CAPS), ledger="ledger.db")  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="by campaign, and the ledger is by licensor; open a ledger with by="):
        pacer_of(policy, open_ledger(by="licensor"))
    pacer = oa.Pacer(policy, oa.Plan("campaign", 0.0, END, caps=CAPS), clock=Clock())
    with pytest.raises(oa.InputError, match=r"expected delivered=.*or a pacer with a ledger"):
        pacer.sync()
    pacer = pacer_of(policy, open_ledger())
    with pytest.raises(oa.InputError, match=r"event=7\): expected a text"):
        pacer.observe({"c0": 1.0}, event=7)
    assert pacer.delivered()["c0"] == 0.0
    with pytest.raises(TypeError, match="of one process"):
        pickle.dumps(pacer)


def test_a_schedule_says_when_a_goal_is_due(policy: oa.Policy) -> None:
    """Twice the traffic in the second hour: a third of the cap is due in the first."""
    schedule = oa.Schedule.from_weights([1.0, 2.0] + [1.0] * 22)
    plan = oa.Plan("campaign", 0.0, 7200.0, caps=CAPS)
    flat, paced = (oa.Pacer(policy, plan, schedule=one, clock=Clock()) for one in (None, schedule.over(0.0, 7200.0)))
    for pacer in (flat, paced):
        pacer.tick(0.0)
        pacer.observe({"c0": 25.0}, event="a", time=0.0)  # less than half of the cap, more than a third
        pacer.tick(3600.0)
    assert flat.prices["c0"] <= paced.prices["c0"]
    assert paced.prices["c0"] > policy_price(policy)
    assert np.isclose(schedule.over(0.0, 7200.0).share(0.0, 3600.0), 1 / 3)


def policy_price(policy: oa.Policy) -> float:
    return oa.Pacer(policy, oa.Plan("campaign", 0.0, 7200.0, caps=CAPS), clock=Clock()).prices["c0"]
