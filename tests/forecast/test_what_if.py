"""A what-if answer is the solve of the changed problem; bad changes change nothing and say why."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.solvers import stages
from tests.support import planned


@pytest.fixture(scope="module")
def plan() -> oa.Solution:
    return oa.solve(planned.problem(), gap=1e-6)


def units(solution: oa.Solution, by: str) -> dict[Any, float]:
    """Units by label, added up pair by pair."""
    cands = solution.problem.candidates
    key = cands.items[by] if by in cands.items else cands.users[by]
    codes = key.codes[cands.item[solution.pairs]] if by in cands.items else key.codes[cands.user_of(solution.pairs)]
    out = dict.fromkeys(key.labels.tolist(), 0.0)
    for code, x in zip(codes.tolist(), solution.x.tolist(), strict=True):
        if code >= 0:
            out[key.labels[code]] += x
    return out


def same_optimum(one: oa.Solution, other: oa.Solution) -> None:
    """Both certificates are of one optimum."""
    assert one.status is other.status is oa.Status.SOLVED
    assert one.value <= other.bound + 1e-9
    assert other.value <= one.bound + 1e-9


LIMITS: dict[str, Any] = {
    "a floor of one campaign": {"floors": {"c3": 480.0}},
    "a cap that is lifted": {"caps": {"c0": None}},
    "several": {"caps": {"c0": 100.0, "c2": 300.0}, "guard": 1400.0},
}


@pytest.mark.few(2)
@pytest.mark.parametrize("change", LIMITS)
def test_changed_limits_are_those_of_a_solve(plan: oa.Solution, change: str) -> None:
    what = plan.what_if(limits=LIMITS[change], gap=1e-6)
    session = oa.Session(plan.problem)
    session.change(limits=LIMITS[change])
    fresh = oa.solve(session.problem, gap=1e-6)
    same_optimum(what.after, fresh)
    low, high = what.value_range
    assert low - 1e-9 <= fresh.value - plan.value <= high + 1e-9
    assert what.relevance.before == pytest.approx(plan.parts['total("relevance")'])
    assert what.relevance.after == pytest.approx(what.after.parts['total("relevance")'])
    assert what.before is plan
    assert plan.problem.names == ("caps", "floors", "guard")


@pytest.mark.parametrize("by", ["campaign", "artist", "market", "day"])
def test_who_gains_and_who_is_displaced(plan: oa.Solution, by: str) -> None:
    what = plan.what_if(limits={"floors": {"c3": 480.0}})
    before, after = units(plan, by), units(what.after, by)
    moves = what.moved(by)
    assert {one.label: one.before for one in moves} == pytest.approx(before)
    assert {one.label: one.after for one in moves} == pytest.approx(after)
    changes = [abs(one.change) for one in moves]
    assert changes == sorted(changes, reverse=True)
    assert {one.label for one in moves.gained} == {k for k in before if after[k] > before[k] + 1e-5}
    assert {one.label for one in moves.displaced} == {k for k in before if after[k] < before[k] - 1e-5}
    if by == "campaign":
        assert moves.gained[0].label == "c3"


def test_displacement_adds_up_to_what_is_booked(plan: oa.Solution) -> None:
    """Slates are full before and after, so what one label gains others lose, unpromoted items among them."""
    what = plan.what_if(limits={"floors": {"c3": 480.0}})
    assert plan.x.sum() == pytest.approx(2 * planned.USERS)
    assert sum(one.change for one in what.moved("artist")) == pytest.approx(0.0, abs=1e-6)
    booked = next(one for one in what.moved() if one.label == "c3").change
    unpromoted = -sum(one.change for one in what.moved())
    assert booked + sum(one.change for one in what.moved() if one.label != "c3") + unpromoted == pytest.approx(0.0)


def test_weights(plan: oa.Solution) -> None:
    what = plan.what_if(weights={"promotion": 2.0}, gap=1e-6)
    limits = list(plan.problem.subject_to)
    again = planned.problem(plan.problem.candidates, maximize=oa.total("relevance") + 2.0 * oa.total("promotion"))
    same_optimum(what.after, oa.solve(again.replace(subject_to=limits), gap=1e-6))
    assert what.relevance.change < 0
    assert what.changes == ("the weight of promotion is 2",)


def test_an_infeasible_change_is_an_answer(plan: oa.Solution) -> None:
    what = plan.what_if(limits={"floors": {"c3": 5000.0}})
    assert not what.is_feasible
    assert np.isnan(what.value.after)
    assert np.isnan(what.relevance.change)
    assert all(np.isnan(one.after) for one in what.moved())
    assert "can reach" in str(what)
    assert json.loads(json.dumps(what.to_dict(), allow_nan=False))["status"] == "INFEASIBLE"


def test_songs_are_opted_out_and_in(plan: oa.Solution) -> None:
    songs = ["song-02", "song-11"]  # of c2
    what = plan.what_if(opt_out=songs, gap=1e-6)
    cands = planned.candidates()
    campaign = [None if k in (2, 11) else planned.CAMPAIGNS[k % 9] if k % 9 < 6 else None for k in range(planned.ITEMS)]
    promotion = np.where(np.isin(cands.item, [2, 11]), 0.0, cands.columns["promotion"])
    artist = cands.items["artist"]
    changed = oa.Candidates.from_arrays(
        cands.indptr, cands.item, {"relevance": cands.columns["relevance"], "promotion": promotion},
        items={"campaign": campaign, "artist": artist.labels[artist.codes]},
    )  # fmt: skip
    same_optimum(what.after, oa.solve(planned.problem(changed), gap=1e-6))
    back = oa.what_if(what.after, opt_in=dict.fromkeys(songs, "c2"))
    key = back.after.problem.candidates.items["campaign"]
    assert np.array_equal(key.codes, plan.problem.candidates.items["campaign"].codes)
    column = back.after.problem.candidates.columns["promotion"]
    other = np.isin(cands.item, [20, 29, 38])
    assert column[np.isin(cands.item, [2, 11])] == pytest.approx(float(cands.columns["promotion"][other].mean()))
    assert "2 items are opted in to a campaign" in back.changes[0]


def test_dates_move_a_flight(plan: oa.Solution) -> None:
    what = plan.what_if(dates={"c5": (2, 3)}, slices="day")
    first = what.moved(("day", "campaign"))
    after = {one.label: one.after for one in first}
    assert after[0, "c5"] == after[1, "c5"] == 0.0
    assert after[2, "c5"] > 0
    again = oa.what_if(what.after, dates={"c5": (1, 3)}, slices="day")
    longer = {one.label: one.after for one in again.moved(("day", "campaign"))}
    assert longer[0, "c5"] == 0.0 < longer[1, "c5"], "caps of 0 are lifted inside the new flight"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown limit": ({"limits": {"cap": 1.0}}, r"what_if\(limits=.*no constraint .* 'cap'.*'caps'"),
    "a new label": ({"limits": {"caps": {"c99": 1.0}}}, "no group 'c99'"),
    "NaN": ({"limits": {"caps": {"c0": float("nan")}}}, "caps: the limit of 'c0' is nan; expected numbers"),
    "negative units": ({"limits": {"floors": {"c3": -5.0}}}, "'c3': the limit is -5 units; expected .* at least 0"),
    "limits without names": ({"limits": 3.0}, "limits=3.0.*expected {name: new limit}"),
    "an unknown weight": ({"weights": {"promotoin": 1.0}}, "no term 'promotoin'.*promotion"),
    "the weight of a limit": ({"weights": {"caps": 1.0}}, "no term 'caps'"),
    "a weight of NaN": ({"weights": {"promotion": float("nan")}}, "weight of 'promotion' is nan; expected a finite"),
    "an unknown song": ({"opt_out": ["song-77"]}, "no item 'song-77'"),
    "a song twice": ({"opt_out": ["song-02", "song-02"]}, "named twice"),
    "a song that is not in": ({"opt_out": ["song-08"]}, "song-08.* has no campaign"),
    "songs as a text": ({"opt_out": "song-02"}, "expected a list of items"),
    "in and out": ({"opt_out": ["song-02"], "opt_in": {"song-02": "c0"}}, "opted in and out"),
    "a new campaign": ({"opt_in": {"song-08": "c77"}}, "campaign: there is no group 'c77'"),
    "opt_in as a list": ({"opt_in": ["song-08"]}, "expected {item: label of its campaign}"),
    "an unknown key": ({"opt_out": ["song-02"], "by": "label"}, "by='label'"),
    "an unknown column": ({"opt_out": ["song-02"], "promotion": "promo"}, "no such column.*promotion"),
    "dates without slices": ({"dates": {"c5": (0, 1)}}, "slices=None.*day, market"),
    "past dates": ({"dates": {"c5": (-3, 1)}, "slices": "day"}, "'c5' has the day -3.*0 to 3. What is past"),
    "dates that end first": ({"dates": {"c5": (2, 1)}, "slices": "day"}, "ends at 1, before it starts at 2"),
    "half a flight": ({"dates": {"c5": 2}, "slices": "day"}, r"flight of 'c5' is 2; expected \(first, last\)"),
    "dates of a new label": ({"dates": {"c77": (1, 2)}, "slices": "day"}, "no group 'c77'"),
}


@pytest.mark.parametrize("change", BAD)
def test_bad_changes(plan: oa.Solution, change: str) -> None:
    given, expected = BAD[change]
    with pytest.raises(oa.ProblemError, match=expected):
        plan.what_if(**given)


def test_only_a_plan_can_be_changed(plan: oa.Solution) -> None:
    with pytest.raises(oa.ProblemError, match=r"expected an oa[.]Solution, got Problem"):
        oa.what_if(plan.problem)  # type: ignore[arg-type]
    with pytest.raises(oa.ProblemError, match="infeasible, so there is no plan"):
        oa.what_if(plan.what_if(limits={"floors": {"c3": 5000.0}}).after)


def test_the_arrays_of_a_solution_are_kept_as_long_as_it_is(plan: oa.Solution) -> None:
    import gc

    from oasis_alloc.forecast.what_if import _sessions

    one = oa.solve(planned.problem(plan.problem.candidates))
    one.what_if(limits={"guard": 1490.0})
    assert one in _sessions
    assert _sessions[one].session.reused.arrays != "all"
    one.what_if(limits={"guard": 1480.0})
    assert _sessions[one].session.reused.arrays == "structure"
    before = len(_sessions)
    del one
    gc.collect()
    assert len(_sessions) < before


def test_reports_frames_and_documents(plan: oa.Solution) -> None:
    what = plan.what_if(limits={"floors": {"c3": 480.0}}, weights={"promotion": 0.5})
    text = str(what)
    for words in ("floors of 'c3' is >= 480", "the weight of promotion is 0.5", "units by campaign", "price by name"):
        assert words in text
    assert "<table>" in what._repr_html_()
    frame = what.to_frame("market", backend="pandas")
    assert frame.columns.tolist() == ["label", "before", "after", "change"]
    assert frame["change"].sum() == pytest.approx(0.0, abs=1e-6)
    document = json.loads(json.dumps(what.to_dict(), allow_nan=False))
    assert document["format"] == "oasis_alloc.what_if"
    assert document["value"]["change"] == pytest.approx(what.value.change)
    assert {row["label"] for row in document["moved"]["rows"]} == set(planned.CAMPAIGNS)
    assert ["floors", "c3"] in [row["label"] for row in document["prices"]["rows"]]


def test_a_plan_that_was_stopped_early_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # as in a program that is too large to be mended after the stop
    monkeypatch.setattr(stages, "_SMALL", 0)
    monkeypatch.setattr(stages, "moved_within", lambda engine, positions, x, *others, **named: (positions, x))
    early = oa.solve(planned.problem(), time_limit=1e-9)
    assert early.gap == np.inf
    assert early.violation > 0.01
    what = early.what_if(limits=LIMITS["a floor of one campaign"])
    assert what.after.gap <= 1e-4
    low, high = what.value_range
    assert low == what.after.value - early.bound
    assert high == np.inf, "the value of a plan that misses limits says nothing of the optimum"
    assert oa.limit_curve(early, "floors", "c3", [480.0]).what_if(0).after.gap <= 1e-4


def test_dates_of_numpy_move_a_flight_as_texts_do() -> None:
    relevance = np.random.default_rng(0).random(80)
    days = np.datetime64("2030-05-01") + np.arange(40) // 10

    def answer(labels: list[Any]) -> dict[Any, float]:
        cands = oa.Candidates.from_arrays(
            np.arange(41) * 2, np.tile([0, 1], 40), {"relevance": relevance}, users={"day": labels},
            items={"campaign": ["a", "b"]})  # fmt: skip
        first, *_, last = cands.groups("day")
        flights = (oa.exposure(by=("day", "campaign")) <= {(first, "a"): 0.0, (last, "a"): 0.0}).named("flights")
        plan = oa.solve(oa.Problem(cands, oa.total("relevance"), flights, oa.Slate(1)))
        what = plan.what_if(dates={"a": (first, first)}, slices="day")
        return {str(one.label[0])[:10]: one.after for one in what.moved(("day", "campaign")) if one.label[1] == "a"}

    found = answer(list(days))
    assert found == answer([str(day) for day in days])
    assert found["2030-05-01"] > 0.0
    assert found["2030-05-02"] == found["2030-05-04"] == 0.0


def test_calibrated_columns_stay_those_of_their_scores() -> None:
    half = oa.Calibration(np.array([0.0, 1.0]), np.array([[0.0, 0.5]]))
    rng = np.random.default_rng(1)
    cands = oa.Candidates.from_arrays(
        np.arange(31) * 3, np.tile([0, 1, 2], 30), {"relevance": rng.random(90), "promotion": rng.random(90)},
        items={"campaign": ["a", "b", None]})  # fmt: skip
    cands = cands.calibrated({"promotion": half})
    plan = oa.solve(oa.Problem(cands, oa.total("relevance") + oa.total("promotion"), slate=oa.Slate(1)))
    after = plan.what_if(opt_out=[1], opt_in={2: "a"}).after
    now = after.problem.candidates
    scores = now.request_columns["promotion"]
    assert not scores[1::3].any()
    assert scores[2::3] == pytest.approx(np.full(30, cands.request_columns["promotion"][0::3].mean()))
    assert np.array_equal(now.columns["promotion"], half.mapped(scores))
    policy = after.policy()
    columns = {name: column[:3] for name, column in now.request_columns.items()}
    assert policy.score([0, 1, 2], columns) == pytest.approx(after.scores()[:3])
