"""Input that cannot be is named, changes nothing, and does not stop what serves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.pacing.curves import ExpectedArrivals
from tests.support.paced import CAPS, END, USERS, Clock, candidates, play, problem, request

EVENT: dict[str, Any] = {"amounts": {"c0": 1.0}, "event": "imp-2", "status": "served", "time": 5.0}


@pytest.fixture(scope="module")
def policy() -> oa.Policy:
    return oa.solve(problem(candidates()), gap=1e-4).policy()


def plan(**how: Any) -> oa.Plan:
    return oa.Plan("campaign", 0.0, END, **{"caps": CAPS} | how)


def pacer_of(policy: oa.Policy, **how: Any) -> oa.Pacer:
    return oa.Pacer(policy, plan(), **{"requests": USERS, "clock": Clock(10.0)} | how)


WRONG = [
    ({"amounts": {"c9": 1.0}}, "no goal of 'c9'"),
    ({"amounts": {"c0": -1.0}}, "-1.*expected a finite number >= 0"),
    ({"amounts": {"c0": math.nan}}, "nan.*expected a finite number >= 0"),
    ({"amounts": {"c0": math.inf}}, "inf.*expected a finite number >= 0"),
    ({"amounts": {"c0": 1.0, "c9": 1.0}}, "no goal of 'c9'"),
    ({"time": 71.0}, r"expected UNIX seconds, not after now \(10\)"),
    ({"time": math.nan}, "expected UNIX seconds"),
    ({"status": "seen"}, "expected 'served', 'confirmed' or 'lost'"),
    ({"amounts": None}, "expected the amounts of the event"),
]


@pytest.mark.parametrize("with_ledger", [False, True])
@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(change) for change, _ in WRONG])
def test_a_wrong_event_is_named_and_changes_nothing(
    policy: oa.Policy, change: dict[str, Any], words: str, with_ledger: bool
) -> None:
    ledger = oa.Ledger(clock=Clock(10.0)) if with_ledger else None
    pacer = pacer_of(policy, ledger=ledger)
    pacer.tick(0.0)
    pacer.observe({"c0": 2.0}, event="imp-1", status="served", time=5.0)
    before = pacer.state()
    given = EVENT | change
    with pytest.raises(oa.InputError, match=words):
        pacer.observe(given.pop("amounts"), **given)
    assert pacer.state() == before
    assert pacer.observe(EVENT["amounts"], event="imp-2", status="served", time=5.0), "the right one still counts"
    assert pacer.delivered()["c0"] == 3.0


def test_a_wrong_event_of_a_batch_is_refused_by_the_ledger_with_its_reason() -> None:
    ledger = oa.Ledger(groups=["c0", "c1"], clock=Clock(10.0))
    events = [
        oa.Event("a", "c0", 5.0),
        oa.Event("b", "c9", 5.0),
        oa.Event("c", "c0", 5.0, -1.0),
        oa.Event("d", "c0", 71.0),
        oa.Event("e", "c1", 5.0),
    ]
    with pytest.raises(oa.InputError, match=r"event 1 \(id 'b'\)"):
        ledger.record(events)
    assert ledger.delivered() == {"c0": 0.0, "c1": 0.0}
    receipt = ledger.record(events, on_bad="skip")
    assert [(bad.id, bad.reason) for bad in receipt.rejected] == [
        ("b", "unknown group"), ("c", "amount"), ("d", "in the future"),
    ]  # fmt: skip
    assert ledger.delivered() == {"c0": 1.0, "c1": 1.0}


class Broken:
    """A schedule whose shares are what a test says."""

    def __init__(self, said: float) -> None:
        self.said = said

    def share(self, t0: float, t1: float, key: object) -> float:
        return self.said


@pytest.mark.parametrize("said", [math.nan, math.inf, -1.0])
def test_a_schedule_with_nan_is_refused_wherever_it_is_given(policy: oa.Policy, said: float) -> None:
    with pytest.raises(oa.InputError, match=r"Pacer\(schedule\): the share of \[0, 1000\) is"):
        pacer_of(policy, schedule=Broken(said))
    with pytest.raises(oa.InputError, match="the share of"):
        oa.outlook(plan(), oa.Ledger(), Broken(said), now=10.0)
    with pytest.raises(oa.InputError, match="step 1 is"):
        ExpectedArrivals([1.0, said], 60.0)
    with pytest.raises(oa.InputError, match="weight"):
        oa.Schedule.from_weights([1.0, said])
    requests = candidates()
    with pytest.raises(oa.InputError, match="finite, >= 0"):
        oa.Requests.generated(requests, 0.0, END, schedule=Broken(said))


def test_a_plan_for_another_policy_is_named(policy: oa.Policy) -> None:
    other = oa.Plan("campaign", 0.0, END, caps={"c0": 60.0, "summer": 10.0})
    with pytest.raises(oa.InputError, match=rf"the policy {policy.policy_id} has no campaign 'summer'.*another policy"):
        oa.Pacer(policy, other)
    pacer = pacer_of(policy)
    play(pacer, candidates(), 0, 50)
    before = pacer.state()
    with pytest.raises(oa.InputError, match="no campaign 'summer'"):
        pacer.replace(plan=other)
    with pytest.raises(oa.InputError, match="no prices by 'artist'"):
        pacer.replace(plan=oa.Plan("artist", 0.0, END, caps={"x": 1.0}))
    assert pacer.state() == before, "the plan that there is goes on"
    play(pacer, candidates(), 50, 60)


def test_a_next_plan_that_does_not_fit_keeps_the_allowances(policy: oa.Policy) -> None:
    ledger = oa.Ledger(slice_seconds=900, clock=Clock(END))
    pacer = pacer_of(policy, ledger=ledger)
    with pytest.raises(oa.InputError, match="no campaign 'summer'"):
        pacer.replace(plan=oa.Plan("campaign", 0.0, END, caps={"summer": 10.0}))
    licensors = oa.Plan("licensor", 0.0, END, caps={0: 10.0})
    with pytest.raises(oa.InputError, match="the ledger is by campaign"):
        pacer.replace(plan=licensors)
    assert pacer.sync()
    items, columns = request(candidates(), 0)
    assert pacer.select(items, columns, {"market": "SE"}).size > 0
    assert pacer._core.shares is not None
    assert (pacer._core.shares.left() > 0).all()


class Gone:
    """A store that is there for the first calls, and then for none."""

    def __init__(self, ledger: oa.Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_gone = False
        for name in ("record", "totals", "read", "swap"):
            monkeypatch.setattr(ledger.store, name, self._wrapped(getattr(ledger.store, name)))

    def _wrapped(self, call: Any) -> Any:
        def wrapped(*given: Any) -> Any:
            if self.is_gone:
                raise oa.LedgerUnavailableError("the store is away")
            return call(*given)

        return wrapped


def test_a_store_that_disappears_is_counted_and_reported_and_prices_stay(
    policy: oa.Policy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cands, ledger = candidates(), oa.Ledger(slice_seconds=900, clock=Clock(END))
    store, pacer = Gone(ledger, monkeypatch), pacer_of(policy, ledger=ledger)
    play(pacer, cands, 0, 60)
    assert pacer.sync()
    prices = pacer.prices
    store.is_gone = True
    with caplog.at_level("WARNING", "oasis_alloc.pacing"):
        for failures in range(1, 4):
            assert not pacer.sync()
            assert pacer.stats()["failed_in_a_row"] == failures
    assert "serving goes on at the last prices" in caplog.text
    assert len(caplog.records) == 1, "at most one line every 30 seconds"
    assert "the store is away" in pacer.stats()["last_error"]
    assert pacer.prices == prices
    items, columns = request(cands, 61)
    assert pacer.select(items, columns, {"market": "SE"}).size > 0
    assert np.isfinite(pacer.score(items, columns, {"market": "SE"})).all()
    store.is_gone = False
    assert pacer.sync()
    assert (pacer.stats()["failed_in_a_row"], pacer.stats()["failed_reads"]) == (0, 3)


def broken(said: Any) -> Any:
    """A schedule that says something else once the flight has begun."""

    class Schedule:
        def share(self, t0: float, t1: float, key: object) -> Any:
            if 5.0 < t1 < END:
                return said()
            return t1 - t0

    return Schedule()


@pytest.mark.parametrize(
    "said",
    [lambda: None, lambda: "x", lambda: 1 / 0, lambda: -1.0, lambda: math.inf],
    ids=["None", "text", "raises", "negative", "infinite"],
)
def test_a_schedule_that_fails_while_it_serves_counts_as_flat(policy: oa.Policy, said: Any) -> None:
    found = []
    for schedule in (broken(said), None):
        pacer = pacer_of(policy, schedule=schedule, clock=Clock(100.0))
        pacer.tick(0.0)
        for k in range(1, 20):
            pacer.observe({"c0": 1.0}, event=f"{k}", time=0.0)
            pacer.tick(5.0 * k)
        found.append(pacer.prices)
    assert all(math.isfinite(price) for price in found[0].values())
    assert found[0]["c0"] == pytest.approx(found[1]["c0"], abs=0.05)


@pytest.mark.parametrize("said", [math.nan, math.inf, None, "x", OverflowError("late")])
def test_a_curve_that_fails_while_it_serves_counts_as_even(policy: oa.Policy, said: object) -> None:
    def curve(s: float) -> Any:
        if s in (0.0, 0.25, 0.5, 0.75, 1.0):
            return s
        if isinstance(said, Exception):
            raise said
        return said

    found = []
    for mode in (curve, "even"):
        pacer = oa.Pacer(policy, plan(mode=mode), requests=USERS, clock=Clock())
        play(pacer, candidates(), 0, 200)
        found.append(pacer.prices)
    assert found[0] == found[1]


def hot_of(pacer: oa.Pacer) -> Any:
    hot = pacer.prepare(4)
    hot.items[:4], hot.columns[:, :4] = [0, 1, 2, 3], 0.5
    hot.select(2, pacer.user())
    return hot


ONE = {"relevance": np.ones(1), "cost": np.ones(1)}
CALLS: list[tuple[Any, str]] = [
    (lambda p, o: p.restore([1]), "expected a path or what state"),
    (lambda p, o: p.restore({k: v for k, v in p.state().items() if k != "accounts"}), "damaged .*KeyError: 'accounts'"),
    (lambda p, o: p.restore(p.state() | {"price": [1.0]}), "not 4 finite numbers"),
    (lambda p, o: p.restore(p.state() | {"price": [math.nan] * 4}), "not 4 finite numbers"),
    (lambda p, o: p.restore(p.state() | {"room": "x"}), "damaged"),
    (lambda p, o: p.outlook("noon"), "outlook.*expected UNIX seconds"),
    (lambda p, o: p.outlook(math.nan), "outlook.*expected UNIX seconds"),
    (lambda p, o: p.observe({"c0": 1.0}, event=["x"]), "expected an id"),
    (lambda p, o: p.observe({"c0": 1.0}, event=math.nan), "expected an id that is equal to itself"),
    (lambda p, o: p.sync({"c0": 1.0}, requests="many"), "requests='many'.*finite number"),
    (lambda p, o: p.sync({"c0": 1.0}, requests=math.nan), "requests=nan.*finite number"),
    (lambda p, o: p.sync({"c0": 1.0}, requests=-1.0), "requests=-1.0.*>= 0"),
    (lambda p, o: p.sync({"c0": 1.0}, acknowledged="x"), "number of a batch"),
    (lambda p, o: p.prepare(4).select(2, o.user()), "user: expected what pacer.user"),
    (lambda p, o: p.prepare(4).select(2, None), "user: expected what pacer.user"),
    (lambda p, o: hot_of(p).observe("x"), "expected what the last select"),
    (lambda p, o: hot_of(p).observe(1.5), "expected what the last select"),
    (lambda p, o: hot_of(p).observe(4), "expected what the last select"),
    (lambda p, o: p.usage(["a"], [0], ONE), "usage.positions.*whole numbers"),
    (lambda p, o: p.usage([0], [10**9], ONE), r"usage.items.*expected -1 or \[0, 60\)"),
    (lambda p, o: p.usage([0], [[0]], ONE), r"usage.items.*shape \(1, 1\)"),
    (lambda p, o: costs(p).usage([1], [0, 6], ONE), "row 1 of 'cost' is not a finite number"),
    (lambda p, o: costs(p).usage([0], [0], {"cost": [math.nan]}), "row 0 of 'cost' is not a finite number"),
    (lambda p, o: oa.Pacer(p.policy, plan(), clock=3.0), "expected a function"),  # type: ignore[arg-type]
    (lambda p, o: oa.Pacer(p.policy, plan(), clock=lambda: None).observe({"c0": 1.0}), "expected UNIX seconds"),
    (lambda p, o: oa.Pacer(p.policy, plan(), options=[1]), "options"),  # type: ignore[arg-type]
    (lambda p, o: oa.Pacer(p.policy, plan(), day_starts=math.nan), "seconds after midnight"),
    (lambda p, o: oa.Pacer(p.policy, plan(), confirm="yes"), "True or False"),  # type: ignore[arg-type]
    (lambda p, o: p.observe({"c0": 1.0}, event="imp-2", time=-math.inf), "expected UNIX seconds"),
    (lambda p, o: plan(floors={"c0": math.inf}, caps=None), "the floor is inf"),
    (lambda p, o: oa.Plan(None, 0.0, 1.0, caps={"c0": 1.0}), "by=None.*expected a key"),  # type: ignore[arg-type]
    (lambda p, o: plan(mode=[("noon", 1.0)]), "mode=.*share of traffic"),
    (lambda p, o: plan(mode=[(0.5, 0.5, 0.5), (1.0, 1.0)]), "mode=.*share of traffic"),
    (lambda p, o: plan(mode=lambda s: math.nan if s == 0.5 else s), "0.25, nan, 0.75.*expected to rise"),
    (lambda p, o: plan(mode=lambda s: 1 / 0), "the curve raises ZeroDivisionError"),
    (lambda p, o: plan(starts={"c9": 1.0}), "starts.*'c9' has no goal"),
    (lambda p, o: plan(ends={"c9": 1.0}), "ends.*'c9' has no goal"),
    (lambda p, o: plan(mode={"c9": "even"}), "mode.*'c9' has no goal"),
]


def costs(pacer: oa.Pacer) -> oa.Pacer:
    return oa.Pacer(pacer.policy, oa.Plan("campaign", 0.0, END, caps={"c0": 5.0}, column="cost"), clock=Clock())


@pytest.mark.parametrize(("call", "words"), CALLS, ids=[f"{k} {words[:30]}" for k, (_, words) in enumerate(CALLS)])
def test_a_wrong_call_is_named_and_changes_nothing(policy: oa.Policy, other: oa.Policy, call: Any, words: str) -> None:
    pacer = pacer_of(policy)
    pacer.tick(0.0)
    pacer.observe({"c0": 2.0}, event="imp-1", status="served", time=5.0)
    before = pacer.state()
    with pytest.raises(oa.InputError, match=words):
        call(pacer, oa.Pacer(other, oa.Plan("licensor", 0.0, END, caps={0: 9.0})))
    assert pacer.state() == before


@pytest.fixture(scope="module")
def other() -> oa.Policy:
    licensors = (oa.exposure(by="licensor") <= 50.0).named("licensors")
    return oa.solve(oa.Problem(candidates(), oa.total("relevance"), licensors, oa.Slate(2)), gap=1e-2).policy()


def test_states_of_earlier_versions_are_read(policy: oa.Policy) -> None:
    pacer, again = pacer_of(policy), pacer_of(policy)
    play(pacer, candidates(), 0, 100)
    state = pacer.state()
    assert state.pop("requests_before") == [0.0] * 4
    assert state.pop("reported") is None
    again.restore(state)
    assert again.prices == pacer.prices
    assert again.delivered() == pacer.delivered()
