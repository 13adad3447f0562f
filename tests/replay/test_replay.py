"""A replay plays what a host would serve, the same for all contenders, and says what came of it."""

from __future__ import annotations

import html
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import diagonal, full_only

import oasis_alloc as oa
from oasis_alloc.replay.allowances import Allowances
from oasis_alloc.replay.hindsight import gained, hindsight_of
from oasis_alloc.replay.ledger import Confirmations, Repeats
from oasis_alloc.replay.run import contend
from oasis_alloc.replay.scenario import world_of
from oasis_alloc.replay.stream import Layout
from tests.support import paced
from tests.support.paced import CAPS, END, USERS, Clock, request

cands, policy = paced.cands, paced.policy  # fixtures


@pytest.fixture(scope="module")
def requests(cands: oa.Candidates) -> oa.Requests:
    return oa.Requests(cands, (np.arange(USERS) + 0.5) * END / USERS, 0.0, END)


def plan(**how: Any) -> oa.Plan:
    return oa.Plan("campaign", 0.0, END, **{"caps": CAPS} | how)


def test_what_is_played_is_what_a_pacer_serves(cands: oa.Candidates, policy: oa.Policy, requests: oa.Requests) -> None:
    """The same slates, prices and totals as of a pacer that is asked request by request."""
    scenario = oa.Scenario(sync=10.0)
    layout = Layout(requests, policy)
    world = world_of(scenario, requests, plan(), 0, layout.worth())
    trace = contend(oa.Pacer(policy, plan(), requests=USERS), layout, world, scenario, 0, slates=True)
    from oasis_alloc.pacing.curves import ExpectedArrivals

    pacer = oa.Pacer(
        policy,
        plan(),
        requests=USERS,
        clock=Clock(),
        schedule=ExpectedArrivals(world.forecast, world.step, world.start),
    )
    hot = pacer.prepare(12)
    codes = {market: pacer.user(market=market) for market in ("DE", "SE")}
    market = cands.users["market"].labels[cands.users["market"].codes]
    ticks = np.arange(0.0, END, 10.0)
    at = 0
    for u in range(USERS):
        while at < ticks.size and ticks[at] <= requests.time[u]:
            pacer.tick(float(ticks[at]))
            at += 1
        items, columns = request(cands, u)
        hot.items[:12] = items
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[:12] = columns[name]
        shown = hot.select(12, codes[market[u]])
        hot.observe(shown)
        got = trace.shown[u][trace.shown[u] >= 0] - cands.indptr[u]
        assert got.tolist() == hot.positions[:shown].tolist(), u
    assert trace.delivered.tolist() == list(pacer.delivered().values())
    assert trace.gained[0, 0] == pytest.approx(cands.columns["relevance"][trace.shown[0][trace.shown[0] >= 0]].sum())


@pytest.mark.parametrize("seeds", [1, *full_only(3)])
def test_no_contender_is_above_the_bound_of_hindsight(policy: oa.Policy, requests: oa.Requests, seeds: int) -> None:
    goals = plan(floors={"c0": 55.0}, penalty=0.7)
    scenario = oa.Scenario(arrivals="iid", sync=5.0)
    layout = Layout(requests, policy)
    for seed in range(seeds):
        world = world_of(scenario, requests, goals, seed, layout.worth())
        best = hindsight_of(layout, world, scenario, policy, 1e-4)
        assert best.value <= best.bound
        for controller in ("adaptive", "mirror", "throttle"):
            trace = contend(oa.Pacer(policy, goals, controller=controller), layout, world, scenario, seed)
            assert gained(trace, goals, USERS) <= best.bound + 1e-9
            assert gained(trace, goals, USERS) >= 0.7 * best.value


ALL_AT_ONCE = (
    oa.Scenario(arrivals="two peaks", traffic=2.0)
    + oa.Scenario(turnover=0.5)
    + oa.Scenario(confirm_median=20.0, confirm_p99=200.0, lost=0.02, duplicates=0.2)
    + oa.Scenario(dies=0.6)
    + oa.Scenario(replicas=8, sync=20.0, staggered=True)
    + oa.Scenario(drift=-0.2, silent=((0.3, 0.4),))
)


def test_what_is_said_as_it_is_without_being_said_counts(policy: oa.Policy, requests: oa.Requests) -> None:
    """10 seconds are the default of `sync`, and a sum that names them means them."""
    slow = oa.Scenario(arrivals="two peaks", sync=120.0, replicas=8)
    assert (slow + oa.Scenario(sync=10.0)).sync == 10.0
    assert (slow + oa.Scenario(replicas=1) + oa.Scenario(traffic=2.0)) == oa.Scenario(
        arrivals="two peaks", sync=120.0, traffic=2.0
    )
    both = oa.Scenario(sync=10.0) + oa.Scenario(replicas=1)
    assert (slow + both).sync == 10.0, "and so does a sum of sums"
    assert (slow + pickle.loads(pickle.dumps(both))).replicas == 1


@pytest.mark.few(1)
@pytest.mark.parametrize(("controller", "replicas"), diagonal(["adaptive", "pi", "throttle"], {"8": 8, "1": 1}))
def test_ticks_at_which_nothing_happens_are_skipped_without_a_difference(
    policy: oa.Policy, requests: oa.Requests, controller: Any, replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals = plan(floors={"c1": 30.0}, starts={"c0": 300.0}, ends={"c1": 400.0})
    scenario = oa.Scenario(arrivals="iid", replicas=replicas, sync=0.5, dies=0.6 if replicas > 1 else None)
    layout = Layout(requests, policy)
    world = world_of(scenario, requests, goals, 0, layout.worth())
    skipping = contend(oa.Pacer(policy, goals, controller=controller), layout, world, scenario, 0, slates=True)
    monkeypatch.setattr(sys.modules[contend.__module__], "_quiet", lambda ticks, *_: np.zeros(ticks.size, np.bool_))
    whole = contend(oa.Pacer(policy, goals, controller=controller), layout, world, scenario, 0, slates=True)
    for name in ("shown", "delivered", "totals", "prices", "exhausted"):
        assert (getattr(skipping, name) == getattr(whole, name)).all(), name
    assert skipping.stats == whole.stats


@pytest.mark.full
def test_worlds_with_the_same_requests_share_the_optimum(
    policy: oa.Policy, requests: oa.Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[oa.replay.__module__]
    solved: list[str] = []
    known = module.hindsight_of
    monkeypatch.setattr(module, "hindsight_of", lambda *given: (solved.append("one"), known(*given))[1])
    scenarios = {
        "alone": oa.Scenario(arrivals="iid"), "several": oa.Scenario(arrivals="iid", replicas=4, sync=50.0),
        "late": oa.Scenario(arrivals="iid", confirm_median=5.0, confirm_p99=50.0, sync=50.0),
        "drift": oa.Scenario(arrivals="iid", drift=-0.5, sync=50.0),
    }  # fmt: skip
    pacers = {"a": oa.Pacer(policy, plan()), "b": oa.Pacer(policy, plan(), controller="pi")}
    done = oa.replay(requests, pacers, scenario=scenarios, seeds=2)
    assert len(solved) == 2 * 2, "per seed: one for three scenarios, and one for the drift"
    for scenario in scenarios:
        assert done.values("share of hindsight", scenario, "a").max() <= 1.0 + 1e-9


def test_scenarios_add_up() -> None:
    assert (ALL_AT_ONCE.arrivals, ALL_AT_ONCE.traffic, ALL_AT_ONCE.turnover) == ("two peaks", 2.0, 0.5)
    assert (ALL_AT_ONCE.duplicates, ALL_AT_ONCE.staggered, ALL_AT_ONCE.dies) == (0.2, True, 0.6)
    assert (ALL_AT_ONCE.step, ALL_AT_ONCE.silent) == (2.5, ((0.3, 0.4),))
    assert oa.Scenario() + ALL_AT_ONCE == ALL_AT_ONCE


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "scenario",
    [
        oa.Scenario(arrivals="two peaks", replicas=8),
        pytest.param(oa.Scenario(replicas=64, sync=60.0), marks=pytest.mark.full),
        pytest.param(oa.Scenario(traffic=0.5), marks=pytest.mark.full),
        pytest.param(oa.Scenario(traffic=2.0), marks=pytest.mark.full),
        pytest.param(oa.Scenario(turnover=0.5), marks=pytest.mark.full),
        oa.Scenario(confirm_median=30.0, confirm_p99=600.0, lost=0.02),
        pytest.param(oa.Scenario(floors=50.0), marks=pytest.mark.full),
        pytest.param(oa.Scenario(drift=-0.5), marks=pytest.mark.full),
        pytest.param(oa.Scenario(arrivals="adversarial"), marks=pytest.mark.full),
        oa.Scenario(silent=((0.2, 0.6),)),
        oa.Scenario(replicas=4, dies=0.5) + oa.Scenario(arrivals="iid"),
        pytest.param(oa.Scenario(replicas=8, sync=40.0, staggered=True), marks=pytest.mark.full),
        pytest.param(oa.Scenario(replicas=64, sync=60.0, staggered=True), marks=pytest.mark.full),
        oa.Scenario(duplicates=0.3),
        pytest.param(ALL_AT_ONCE, marks=pytest.mark.full),
    ],
    ids=lambda s: " ".join(f"{k}={v}" for k, v in vars(s).items() if k[0] != "_" and v != getattr(oa.Scenario(), k)),
)
@pytest.mark.parametrize("seeds", [1, *full_only(2)])
def test_caps_hold_and_nothing_blacks_out_in_any_scenario(
    policy: oa.Policy, requests: oa.Requests, scenario: oa.Scenario, seeds: int
) -> None:
    goals = plan(floors=dict.fromkeys(CAPS, 30.0))
    contenders = {name: oa.Pacer(policy, goals, controller=name) for name in ("adaptive", "pi")}
    done = oa.replay(requests, contenders, scenario=scenario, seeds=seeds, hindsight=None)
    for name in contenders:
        assert done.values("above hard caps", "scenario", name).max() <= 0.0
        assert (
            done.values("delivery ratio", "scenario", name).min() > 0.3 * min(1.0, scenario.traffic) / scenario.floors
        )


@pytest.mark.full
def test_arrivals_are_common_and_intervals_paired(policy: oa.Policy, requests: oa.Requests) -> None:
    pacers = {
        "a": oa.Pacer(policy, plan()),
        "again": oa.Pacer(policy, plan()),
        "mirror": oa.Pacer(policy, plan(), controller="mirror"),
    }
    done = oa.replay(requests, pacers, scenario=oa.Scenario(arrivals="iid"), seeds=4, hindsight=1e-2)
    assert done.difference("value", "scenario", "a", "again") == (0.0, 0.0, 0.0)
    mean, low, high = done.difference("value", "scenario", "a", "mirror")
    assert low < mean < high
    assert np.unique(done.values("value", "scenario", "a")).size == 4
    with pytest.raises(oa.InputError, match="no metric 'valu'"):
        done.values("valu", "scenario", "a")


@pytest.mark.full
def test_an_interrupted_replay_goes_on(policy: oa.Policy, requests: oa.Requests, tmp_path: Path) -> None:
    pacers = {"a": oa.Pacer(policy, plan())}
    whole = oa.replay(requests, pacers, seeds=3, hindsight=None)
    seen: list[str] = []

    def stop(done: int, _all: int, what: str) -> None:
        seen.append(what)
        if done == 2 and len(seen) == 3:
            raise KeyboardInterrupt

    how: dict[str, Any] = {"seeds": 3, "hindsight": None, "resume": tmp_path / "replay.json", "progress": stop}
    with pytest.raises(KeyboardInterrupt):
        oa.replay(requests, pacers, **how)
    again = oa.replay(requests, pacers, **how)
    timed = "decisions per second"
    for one, other in zip(whole.rows, again.rows, strict=True):
        assert {k: v for k, v in one.items() if k != timed} == pytest.approx(
            {k: v for k, v in other.items() if k != timed}, nan_ok=True
        )
    assert again.campaigns("polars").equals(whole.campaigns("polars"), null_equal=True), "limits that are infinite, too"
    whole.page(tmp_path / "whole.html")
    oa.replay(requests, pacers, **how).page(tmp_path / "again.html")
    untimed = [re.sub(r"<td>[0-9,]{6,}</td>", "", (tmp_path / name).read_text("utf-8")) for name in PAGES]
    assert untimed[0] == untimed[1]
    with pytest.raises(oa.InputError, match="another replay"):
        oa.replay(requests, {"b": oa.Pacer(policy, plan())}, **how)


PAGES = ("whole.html", "again.html")


def test_frames_and_a_page(policy: oa.Policy, requests: oa.Requests, tmp_path: Path) -> None:
    done = oa.replay(requests, {"<a>": policy, "b": oa.Pacer(policy, plan())}, hindsight=None)
    frame = done.frame()
    assert len(frame) == 2
    assert done.campaigns("polars").shape == (8, 9)
    done.page(tmp_path / "replay.html")
    text = (tmp_path / "replay.html").read_text("utf-8")
    assert text.count("<svg") == 8
    assert "&lt;a&gt;" in text
    assert "<a>" not in text
    assert "delivery ratio" in str(done)
    assert text.count("<table>") == 2
    assert all(f"<td>{html.escape(goal['goal'])}</td>" in text for goal in done.goals)


def test_a_page_says_when_goals_ran_out(policy: oa.Policy, requests: oa.Requests, tmp_path: Path) -> None:
    """Also of goals that have no limit of the flight, and so no plan."""
    hourly = oa.Plan("campaign", 0.0, END, caps={"c0": 3.0}, hourly={"c1": 9.0}, mode={"c0": "asap"})
    done = oa.replay(requests, {"a": oa.Pacer(policy, hourly)}, hindsight=None)
    done.page(tmp_path / "replay.html")
    text = (tmp_path / "replay.html").read_text("utf-8")
    assert 0.0 < done.rows[0]["exhaustion time"] == done.goals[0]["exhausted"] / END < 0.2
    assert re.search(r"<td>3</td><td>1</td><td>1970-01-01 00:\d\d:\d\d</td>", text), "3 of 3, and when"
    assert "nan" not in text
    assert "inf" not in re.sub("infinite|information", "", text)


@pytest.mark.parametrize(
    ("replicas", "how"),
    [(1, {}), *full_only((8, {}), (8, {"staggered": True}), (8, {"dies": 0.3, "staggered": True}))],
    ids=["1", "8", "8 staggered", "8 staggered, and one dies"],
)
def test_caps_of_days_and_hours_hold_in_a_replay(
    policy: oa.Policy, requests: oa.Requests, replicas: int, how: dict[str, Any]
) -> None:
    """The requests are spread over three hours, of which each has a cap; all of the traffic wants it."""
    times = requests.time * 10.8
    spread = oa.Requests(requests.candidates, times, 0.0, 10_800.0)
    goals = oa.Plan("campaign", 0.0, 10_800.0, caps={"c0": 50.0}, hourly={"c0": 10.0, "c1": 12.0}, daily={"c2": 25.0})
    scenario = oa.Scenario(replicas=replicas, sync=90.0, **how)
    layout = Layout(spread, policy)
    world = world_of(scenario, spread, goals, 0, layout.worth())
    trace = contend(oa.Pacer(policy, goals), layout, world, scenario, 0, slates=True)
    used = np.zeros((3, 3))
    campaign = spread.candidates.items["campaign"]
    names = {name: list(campaign.labels).index(name) for name in ("c0", "c1", "c2")}
    for at, slate in zip(world.time, trace.shown, strict=True):
        codes = campaign.codes[spread.candidates.item[slate[slate >= 0]]]
        used[int(at // 3600)] += [(codes == code).sum() for code in names.values()]
    assert used[:, 0].max() <= 10.0
    assert used[:, 1].max() <= 12.0
    assert used[:, 2].sum() <= 25.0
    assert used.sum() >= 0.85 * (30.0 + 36.0 + 25.0), "and they are used"


def test_allowances_of_replicas_are_those_of_the_ledger(policy: oa.Policy) -> None:
    """The arrays of a replay against the accounts of `oa.Allowance`, step by step."""
    pacer = oa.Pacer(policy, plan(caps={"c0": 60.0, "c1": 7.0}), clock=Clock())
    mine = Allowances(pacer._core.rows, pacer._core.rooms, 4)
    theirs = [oa.Allowance(LEDGER, {"c0": 60.0, "c1": 7.0}, clock=lambda: 0.0, period="replay") for _ in range(4)]
    for r, one in enumerate(theirs):
        one.sync()
        mine.sync(np.array([r]), np.zeros((1, 2)), r + 1)
    rng = np.random.default_rng(2)
    for _ in range(60):
        r = int(rng.integers(4))
        left = [theirs[r].left(label) for label in ("c0", "c1")]
        assert mine.left(np.array([r]))[0].tolist() == left
        used = np.array([float(rng.integers(0, int(most) + 1)) for most in left])
        for label, amount in zip(("c0", "c1"), used, strict=True):
            assert theirs[r].spend(label, float(amount))
        theirs[r].sync()
        mine.sync(np.array([r]), used[None], 4)


LEDGER = oa.Ledger()


def test_events_that_come_twice_count_once() -> None:
    repeats = Repeats(3, 0.5, 0)
    rng = np.random.default_rng(1)
    sent = rng.integers(0, 9, (200, 3)).astype(float)
    counted = np.array([repeats.counted(amounts) for amounts in sent])
    assert (counted == sent).all()
    assert repeats._ledger.stats()["repeated"] > 200, "they did come twice"


def test_late_confirmations_add_up() -> None:
    scenario = oa.Scenario(confirm_median=30.0, confirm_p99=600.0, lost=0.1, sync=10.0)
    ledger = Confirmations(scenario, 2, 0)
    halfway = 0.0
    for t in range(400):
        ledger.advance(10.0 * t)
        if t < 100:
            ledger.serve(np.array([20.0, 5.0]), 10.0 * t)
        if t == 3:
            halfway = float(ledger.confirmed[0])
    assert 10.0 < halfway < 50.0
    assert ledger.served.tolist() == [2000.0, 500.0]
    ledger.finish()
    assert 0.87 < ledger.confirmed[0] / 2000.0 < 0.93
    assert ledger.pending().max() < 1e-9


PLAYED = oa.Replay(({"contender": "a", "scenario": "s", "seed": 0, "value": 2.0},), (), ("a",), ("s",), (0,))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p, r: oa.replay(r, {}), "at least one"),
        (lambda p, r: oa.replay(r, {"x": 3}), "expected oa.Policy or oa.Pacer"),
        (lambda p, r: oa.replay(r, {"x": p}), "pass plan="),
        (lambda p, r: oa.replay(r.candidates, {"x": p}), "expected oa.Requests"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), seeds=0), "number of seeds"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=3), r"replay\(plan\): expected oa.Plan, got int"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), scenario="busy"), r"replay\(scenario\): got str; expected"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), scenario={"busy": 3}), r"replay\(scenario\): got int"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), scenario={}), r"replay\(scenario\): there are none"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), hindsight=-1.0), "hindsight=-1.0.*above 0"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), hindsight="exact"), "hindsight='exact'"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), progress=3), "progress=3.*a function of"),
        (lambda p, r: oa.replay(r, {"x": p}, plan=plan(), resume="no such/x.json"), "there is no directory no such"),
        (lambda p, r: oa.Requests(r.candidates, r.time, start=np.nan), "start=nan.*finite UNIX seconds"),
        (lambda p, r: oa.Requests(r.candidates, r.time, end="noon"), "end='noon'.*finite UNIX seconds"),
        (lambda p, r: oa.Requests.generated(r.candidates, 0.0, 9.0, schedule=3), "int has no method share"),
        (lambda p, r: oa.Requests.generated(r.candidates, 0.0, 9.0, seed=-1), "seed=-1.*whole number >= 0"),
        (lambda p, r: oa.Requests.generated(r.candidates, 0.0, 9.0, seed="x"), "seed='x'"),
        (lambda p, r: PLAYED.values("value", "s", "b"), "no contender 'b'. Known: a"),
        (lambda p, r: PLAYED.difference("value", "t", "a", "a"), "no scenario 't'. Known: s"),
        (lambda p, r: PLAYED.difference("valu", "s", "a", "a"), "no metric 'valu'. Did you mean 'value'"),
        (lambda p, r: oa.Scenario(arrivals="often"), "two peaks"),
        (lambda p, r: oa.Scenario(replicas=0), "1 to 4096"),
        (lambda p, r: oa.Scenario(lost=1.0), "lost"),
        (lambda p, r: oa.Scenario(dies=1.5), "share of the time"),
        (lambda p, r: oa.Scenario(duplicates=-0.1), "duplicates"),
        (lambda p, r: oa.Scenario(staggered=2), "True or False"),
        (lambda p, r: oa.Scenario(silent=0.3), "from, to"),
        (lambda p, r: oa.Scenario(silent=((0.4, 0.1),)), "0 <= from < to <= 1"),
        (lambda p, r: oa.Scenario(silent=((0.1, 0.2, 0.3),)), "from, to"),
        (lambda p, r: oa.Scenario(silent=((0.1, np.nan),)), "from, to"),
        (
            lambda p, r: oa.replay(r, {"x": oa.Pacer(p, plan())}, scenario=oa.Scenario(silent=[(0.0, 1.0)])),
            "no request is left",
        ),
        (lambda p, r: oa.replay(r, {"x": oa.Pacer(p, plan())}, scenario=oa.Scenario(dies=0.5)), "two replicas"),
        (lambda p, r: oa.Scenario(confirm_median=9.0), "confirm_p99"),
        (lambda p, r: oa.Requests(r.candidates, [1.0]), "one per request"),
        (lambda p, r: oa.Requests(r.candidates, np.full(USERS, np.nan)), "entry 0 is nan"),
        (lambda p, r: oa.Requests(r.candidates, np.zeros(USERS), 5.0), "times outside"),
    ],
)
def test_bad_input_is_named(policy: oa.Policy, requests: oa.Requests, make: Any, text: str) -> None:
    with pytest.raises(oa.InputError, match=text):
        make(policy, requests)


def test_frames_of_requests_bring_their_times() -> None:
    import pandas as pd

    pairs = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"], "r": [0.1, 0.2, 0.3]})
    when = pd.DataFrame({"user": ["a", "b"], "time": [7.0, 3.0]})
    found = oa.Requests.from_frames(pairs, when)
    assert sorted(found.time.tolist()) == [3.0, 7.0]
