"""What is served is what the policy selects user by user; margins make it meet the limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support import planned

RULES = oa.Slate(3, at_most={"artist": 1}, diminishing={"campaign": 0.05})


def plan(gap: float = 1e-4, slate: oa.Slate | None = None, **floors: float) -> oa.Solution:
    """A plan with floors that bind."""
    given = {"c3": 500.5, "c4": 420.25, **floors}
    campaign = oa.exposure(by="campaign")
    limits = [
        (campaign <= {"c0": 150.5, "c1": 200.0}).named("caps"),
        (campaign >= given).named("floors"),
        (oa.total("relevance") >= 1000.0).named("guard"),
    ]
    return oa.solve(planned.problem(subject_to=limits, slate=oa.Slate(2) if slate is None else slate), gap=gap)


@pytest.fixture(scope="module")
def coarse() -> oa.Solution:
    return plan(gap=1e-2, slate=RULES)


@pytest.fixture(scope="module")
def closed(coarse: oa.Solution) -> oa.Served:
    return oa.served(coarse)


def selected(policy: oa.Policy, cands: oa.Candidates) -> dict[str, float]:
    """Units by campaign of the slates that single requests get."""
    key = cands.items["campaign"]
    out = np.zeros(key.n_groups)
    for u in range(cands.n_users):
        a, b = int(cands.indptr[u]), int(cands.indptr[u + 1])
        columns = {name: np.asarray(column[a:b]) for name, column in cands.columns.items()}
        codes = key.codes[cands.item[a:b][policy.select(cands.item[a:b], columns, user=u)]]
        np.add.at(out, codes[codes >= 0], 1.0)
    return dict(zip(key.labels.tolist(), out.tolist(), strict=True))


@pytest.mark.few(1)
@pytest.mark.parametrize("slate", [oa.Slate(2), RULES])
def test_what_is_served_is_what_requests_get(slate: oa.Slate) -> None:
    solution = plan(slate=slate)
    units = selected(solution.policy(), solution.problem.candidates)
    found = oa.served(solution, close=False)
    assert {one.label: one.served for one in found if one.label in units} == {
        one.label: units[one.label] for one in found if one.label in units
    }
    for one in found:
        limit = max(one.lower - one.served, one.served - one.upper)
        assert one.miss == pytest.approx(max(limit, 0.0), abs=2e-3)
        assert one.planned == pytest.approx(
            float(solution.totals[one.name][solution.problem.labels(one.name).index(one.label)])
        )
    assert [one.relative for one in found] == sorted((one.relative for one in found), reverse=True)


@pytest.mark.full
def test_margins_are_verified_by_serving_again(coarse: oa.Solution, closed: oa.Served) -> None:
    found = closed
    assert found.missed, "whole slates at these prices miss limits"
    assert [one.how for one in found.closers] == ["rounding", "a smaller gap", "margins"]
    assert found.closers[2].worst == 0.0
    units = selected(found.policy(), coarse.problem.candidates)
    for name, sign in (("floors", 1.0), ("caps", -1.0)):
        for label, limit in {"floors": {"c3": 500.5, "c4": 420.25}, "caps": {"c0": 150.5, "c1": 200.0}}[name].items():
            assert sign * (units[label] - limit) >= -1e-3, f"{name} {label}: {units[label]}"
    stricter = [
        (limit - {"c3": 500.5, "c4": 420.25, "c0": 150.5, "c1": 200.0}[label]) * (1 if name == "floors" else -1)
        for name, limits in found.margins.items()
        for label, limit in limits.items()
    ]
    assert stricter
    assert min(stricter) > 0, "margins make limits stricter"
    assert found.closers[2].value <= coarse.bound + 1e-9


def test_rounding_is_a_draw_of_the_plan(coarse: oa.Solution, closed: oa.Served) -> None:
    found = closed
    drawn = coarse.round(0)
    assert found.closers[0].value == drawn.value
    short = max(float(np.max(np.array([500.5, 420.25]) - drawn.totals["floors"][3:5])), 0.0)
    assert found.closers[0].units >= short - 2e-3


def test_nothing_to_close() -> None:
    free = oa.solve(planned.problem(subject_to=[(oa.exposure(by="campaign") >= {"c3": 1.0}).named("floors")]))
    found = oa.served(free)
    assert (found.missed, found.closers, found.worst, found.margins) == ((), (), 0.0, {})
    assert found.policy().policy_id == free.policy().policy_id


def test_no_margin_is_found_where_nothing_more_can_be_served() -> None:
    """Two users, and a floor of one and a half: whole slates serve one or two, and both are all that there is."""
    cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    song = oa.exposure(by="song")
    half = oa.solve(oa.Problem(cands, oa.total("r"), [(song == {"a": 0.5, "b": 0.5}).named("halves")], oa.Slate(1)))
    found = oa.served(half)
    assert found.mixed_users == 1
    assert found.closers[2].how == "margins"
    assert not found.margins
    with pytest.raises(oa.ProblemError, match="no margins were found"):
        found.policy()


def test_reports_frames_and_documents(closed: oa.Served) -> None:
    found = closed
    text = str(found)
    for words in ("missed by", "what closes it", "margins: margins of up to", "caps 'c1'"):
        assert words in text
    assert "<table>" in found._repr_html_()
    assert len(found.to_frame("pandas")) == len(found) == 5
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["format"] == "oasis_alloc.served"
    assert document["groups"][0]["name"] == found.rows[0].name
    assert {one["name"] for one in document["margins"]} == set(found.margins)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"close": 1}, "close=1.*True or False"),
        ({"rounds": 0}, "rounds=0.*at least 1"),
        ({"rounds": float("nan")}, "rounds=nan"),
        ({"gap": -1.0}, "gap"),
    ],
)
def test_bad_input(coarse: oa.Solution, given: dict[str, Any], expected: str) -> None:
    with pytest.raises((oa.ProblemError, oa.SolverError, oa.InputError), match=expected):
        oa.served(coarse, **given)
