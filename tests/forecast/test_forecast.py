"""Forecasts of a small flight: what was counted is in them, trends show, causes are named, and remedies add up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support import planned
from tests.support.forecast_month import DAY, DAYS, END, START, ledger, schedule


@pytest.fixture(scope="module")
def plan() -> oa.Solution:
    return oa.solve(planned.problem(), gap=1e-6)


def test_a_plan_that_is_followed_is_on_track(plan: oa.Solution) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 5))
    assert [one.label for one in found] == planned.CAMPAIGNS
    for one in found:
        assert one.delivered == pytest.approx(one.planned / 2, rel=0.02)
        assert one.low <= one.planned <= one.high
        assert one.mid == pytest.approx(one.planned, rel=0.05)
        assert one.status != "will fall short"
    assert found.traffic[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_traffic_that_differs_is_seen_in_all_campaigns(plan: oa.Solution, factor: float) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 6, factor))
    assert found.traffic[0] == pytest.approx(factor, abs=0.08)
    for one in found:
        assert one.mid == pytest.approx(factor * one.planned, rel=0.1)
    if factor < 1:
        assert {one.label for one in found.shortfalls} == {"c3", "c4"}
        assert "less than expected: traffic differs" in " ".join(found["c3"].reasons)


def test_a_campaign_that_is_behind_by_itself_says_so(plan: oa.Solution) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 6, {"c3": 0.5}), own=0.3)
    assert found["c3"].status == "will fall short"
    assert found["c4"].status != "will fall short"
    assert "less than other campaigns" in " ".join(found["c3"].reasons)
    assert found["c3"].shortfall == found["c3"].floor - found["c3"].mid > 0.05 * found["c3"].floor
    assert found["c3"].competitors
    assert found["c3"].competitors == oa.reasons(plan, "c3").competitors


def test_points_by_day(plan: oa.Solution) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 4), now=START + 4.5 * DAY)
    one = found["c0"]
    assert [point.start for point in one.points] == [START + d * DAY for d in (0, 1, 2, 3, 4, 4.5, 5, 6, 7, 8, 9)]
    assert one.points[-1].end == END
    assert [point.low == point.high for point in one.points] == [True] * 5 + [False] * 6
    assert one.points[4].mid == one.delivered
    assert (one.points[-1].low, one.points[-1].mid, one.points[-1].high) == (one.low, one.mid, one.high)
    for name in ("low", "mid", "high"):
        numbers = [getattr(point, name) for point in one.points]
        assert numbers == sorted(numbers)
    widths = [point.high - point.low for point in one.points[5:]]
    assert widths == sorted(widths)


def test_before_the_flight_scenarios_are_all_there_is(plan: oa.Solution) -> None:
    narrow, wide = (
        oa.forecast(plan, schedule(), now=START - DAY, traffic=traffic) for traffic in (0.05, 0.3)
    )  # fmt: skip
    for few, many in zip(narrow, wide, strict=True):
        assert few.delivered == 0.0
        assert few.mid == pytest.approx(few.planned, rel=0.05)
        assert many.high - many.low > 2 * (few.high - few.low)
    twice = oa.forecast(plan, schedule(), now=START, requests=2.0 * planned.USERS)
    assert twice["c3"].mid == pytest.approx(2 * narrow["c3"].mid, rel=0.05)


def test_hard_caps_stop_deliveries(plan: oa.Solution) -> None:
    ahead = ledger(plan, 6, 1.6)
    open_end, stopped = (oa.forecast(plan, schedule(), ahead, hard_caps=hard) for hard in (False, True))
    assert open_end["c0"].high > 150.0
    assert stopped["c0"].high == stopped["c0"].mid == 150.0
    assert stopped["c0"].status == open_end["c0"].status == "will reach its cap"
    assert stopped["c5"].high == open_end["c5"].high, "no cap, no stop"


def test_a_pacer_makes_up_for_a_part(plan: oa.Solution) -> None:
    """A campaign that is behind the others ends between its own pace and theirs; the others stay where they are."""
    behind = ledger(plan, 6, {"c3": 0.5})
    alone, paced = (oa.forecast(plan, schedule(), behind, own=0.3, paced=of) for of in (False, True))
    assert alone["c3"].mid < paced["c3"].mid < paced["c3"].planned
    assert alone["c3"].low < paced["c3"].high
    assert paced["c3"].mid == pytest.approx(0.5 * (alone["c3"].mid + paced["c3"].planned), rel=0.05)
    assert paced["c5"].mid == pytest.approx(alone["c5"].mid, rel=0.05)
    held = oa.forecast(plan, schedule(), ledger(plan, 6, 1.6), paced=True, hard_caps=True)["c0"]
    assert 0.99 * 150.0 <= held.low < held.mid < held.high <= 150.0


def test_remedies_make_up_for_the_shortfall(plan: oa.Solution) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 6, 0.7))
    one = found["c4"]
    by_kind: dict[str, list[oa.Remedy]] = {}
    for remedy in one.remedies:
        by_kind.setdefault(remedy.kind, []).append(remedy)
    assert set(by_kind) == {"relax the floor", "higher bonus", "other market", "longer flight"}
    assert by_kind["relax the floor"][0].amount == pytest.approx(one.shortfall)
    assert by_kind["relax the floor"][0].price == pytest.approx(float(plan.prices["floors"][4]))
    assert by_kind["higher bonus"][0].amount == pytest.approx(one.shortfall, rel=1e-6)
    assert by_kind["higher bonus"][0].price > 0
    cheapest = min(remedy.price for remedy in by_kind["other market"])
    assert by_kind["higher bonus"][0].price <= cheapest + 1e-9, "all markets together are at least as cheap as one"
    costs = [remedy.total_cost for remedy in one.remedies]
    assert costs == sorted(costs)
    assert "days at" in by_kind["longer flight"][0].sentence


def test_the_price_of_a_higher_bonus_is_a_lower_bound_that_a_solve_confirms(plan: oa.Solution) -> None:
    """Serving `amount` more of a campaign over the whole flight costs at least what its remedy says."""
    short = oa.forecast(plan, schedule(), now=START, traffic=0.01, requests=0.85 * planned.USERS)
    remedy = next(one for one in short["c4"].remedies if one.kind == "higher bonus")
    solved = plan.what_if(limits={"floors": {"c4": float(plan.totals["floors"][4]) + remedy.amount}}, gap=1e-6)
    bonus = -float(plan.prices["floors"][4])
    per_unit = -solved.value.change / remedy.amount
    assert remedy.price + bonus <= per_unit * 1.2 + 1e-3


def test_ledgers_of_several_keys_and_of_other_campaigns(plan: oa.Solution) -> None:
    clock = START + 2 * DAY
    both = oa.Ledger(clock=lambda: clock, by=("market", "campaign"))
    for market in ("DE", "SE"):
        both.record([oa.Event(f"{market}-1", (market, "c0"), START + DAY, amount=7.0)])
    assert oa.forecast(plan, schedule(), both)["c0"].delivered == 14.0
    assert oa.forecast(plan, schedule(), both, confirmed_share=0.5)["c0"].delivered == 7.0
    both.record([oa.Event("new", ("DE", "c99"), START + DAY, amount=7.0)])
    with pytest.raises(oa.InputError, match="campaign 'c99', which is not in the plan"):
        oa.forecast(plan, schedule(), both)
    assert oa.forecast(plan, schedule(), both, others="ignore")["c0"].delivered == 14.0


def test_a_plan_that_counts_earlier_deliveries_has_the_limits_of_the_flight() -> None:
    campaign = oa.exposure(by="campaign").delivered_so_far({"c3": 100.0})
    rest = oa.solve(planned.problem(subject_to=[(campaign >= {"c3": 450.0}).named("floors")]))
    assert oa.forecast(rest, schedule(), now=START)["c3"].floor == 450.0


def test_songs_of_several_campaigns_and_supply() -> None:
    """A song may count for several campaigns, and users may stand for several visits."""
    rng = np.random.default_rng(0)
    labels = [["a", "b"], ["a"], None, ["b"]]
    cands = oa.Candidates.from_arrays(
        np.arange(301) * 4, np.tile(np.arange(4), 300), {"relevance": rng.random(1200)}, items={"campaign": labels}
    )
    supply = rng.uniform(0.5, 2.0, 300)
    plan = oa.solve(oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(1), supply=supply))
    found = oa.forecast(plan, schedule(), now=START)
    units = cands.grouping("campaign").totals(cands, plan.pairs, plan.x * supply[cands.user_of(plan.pairs)])
    assert [one.planned for one in found] == pytest.approx(units.tolist())
    assert [one.mid for one in found] == pytest.approx(units.tolist(), rel=0.05)
    assert all((one.floor, one.risk, one.shortfall) == (-np.inf, 0.0, 0.0) for one in found)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a flight that has ended": ({"now": END + DAY}, "the flight ended at .* nothing to forecast"),
    "a flight that ends first": ({"start": END, "end": START}, "expected start < end"),
    "no flight": ({"schedule": None}, "start or end of the flight is missing. Pass start= and end="),
    "a time of NaN": ({"now": float("nan")}, r"forecast\(now\) is nan"),
    "negative units": ({"requests": -5.0}, "requests=-5.0"),
    "NaN": ({"traffic": float("nan")}, "traffic=nan.*from 0 to 3"),
    "an unknown key": ({"by": "campain"}, "by='campain'.*Did you mean 'campaign'"),
    "an unknown market": ({"market": "country"}, "market='country'"),
    "few scenarios": ({"scenarios": 10}, "scenarios=10.*at least 100"),
    "a share above 1": ({"confirmed_share": 2.0}, "confirmed_share=2.0"),
    "no schedule": ({"schedule": 3, "start": START, "end": END}, "int has no method share"),
    "steps of nothing": ({"step": 0.0}, "step=0.0"),
    "others": ({"others": "keep"}, "expected 'refuse' or 'ignore'"),
    "a ledger of something else": ({"ledger": 3}, "expected an oa[.]Ledger, got int"),
    "a flag": ({"hard_caps": 1}, "hard_caps=1"),
    "another flag": ({"paced": "yes"}, "paced='yes'"),
}


def stated(supply: float, item: int = 2) -> oa.Solution:
    """Two campaigns, of which the second has `item`, and a supply of the same number for every user."""
    r = np.random.default_rng(0).random(900)
    cands = oa.Candidates.from_arrays(
        np.arange(301) * 3, np.tile([0, 1, 2], 300), {"r": r}, item_ids=[0, 1, 2, 3],
        items={"campaign": ["a", None] + ["b" if k == item else None for k in (2, 3)]})  # fmt: skip
    caps = (oa.exposure(by="campaign") <= {"a": 60.0 * supply}).named("caps")
    return oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1), supply=np.full(300, supply)), gap=1e-6)


@pytest.mark.parametrize("supply", [2.0**-20, 2.0**20])
def test_the_unit_of_the_supply_does_not_matter(supply: float) -> None:
    found, same = (oa.forecast(stated(one), start=START, end=END, now=START, requests=3000.0) for one in (supply, 1.0))
    for one, other in zip(found, same, strict=True):
        assert (one.planned, one.low, one.mid, one.high) == pytest.approx(
            (other.planned, other.low, other.mid, other.high), rel=0.05
        )
    assert same["a"].mid == pytest.approx(600.0, rel=0.1)


def test_a_campaign_without_candidates_delivers_nothing_more() -> None:
    found = oa.forecast(stated(1.0, item=3), start=START, end=END, now=START)
    assert (found["b"].low, found["b"].mid, found["b"].high) == (0.0, 0.0, 0.0)
    assert found["a"].low > 0.0


@pytest.mark.parametrize("name", BAD)
def test_bad_input(plan: oa.Solution, name: str) -> None:
    given, expected = BAD[name]
    how: dict[str, Any] = {"schedule": schedule(), "now": START + DAY} | given
    with pytest.raises(oa.InputError, match=expected):
        oa.forecast(plan, how.pop("schedule"), how.pop("ledger", None), **how)


def test_reports_frames_and_documents(plan: oa.Solution) -> None:
    found = oa.forecast(plan, schedule(), ledger(plan, 6, 0.7))
    text = str(found)
    for words in ("60 % of the flight has passed", "will fall short", "relax the floor", "higher bonus"):
        assert words in text
    assert "<table>" in found._repr_html_()
    assert "c3: " in str(found["c3"])
    frame = found.to_frame("pandas")
    assert frame["status"].tolist() == [one.status for one in found]
    assert len(found.days_frame("pandas")) == DAYS * len(found)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["format"] == "oasis_alloc.forecast"
    one = document["campaigns"][3]
    assert one["points"][-1]["metrics"]["impressions"] == one["projected_end_state"]["metrics"]["impressions"]
    assert one["pacing_risk"]["level"] == "high"
    assert one["advisories"] == ["pacing_risk", "inventory_shortfall_forecast"]
    assert document["method"] == "modeled"
    assert one["inventory_shortfall"]["impressions"] == pytest.approx(found["c3"].shortfall)
    assert one["cap"] is None
    with pytest.raises(oa.InputError, match="no campaign 'c9'"):
        found["c9"]
    again = oa.forecast(plan, schedule(), ledger(plan, 6, 0.7))
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict()), "the same seed, the same forecast"
    other = oa.forecast(plan, schedule(), ledger(plan, 6, 0.7), seed=1)
    assert np.abs(np.array([one.mid for one in other]) - [one.mid for one in found]).max() > 0
