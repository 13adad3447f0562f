"""The curve of one limit is concave, its price is its slope, and an infeasible point is a row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support import planned


@pytest.fixture(scope="module")
def plan() -> oa.Solution:
    return oa.solve(planned.problem(), gap=1e-6)


@pytest.fixture(scope="module")
def curve(plan: oa.Solution) -> oa.LimitCurve:
    return oa.limit_curve(plan, "floors", "c3", [430.0, 455.5, 480.5, 510.5, 2000.0], gap=1e-6)


@pytest.mark.full
def test_each_point_is_the_solve_of_its_limit(plan: oa.Solution, curve: oa.LimitCurve) -> None:
    for point, one in zip(curve.points[:4], curve.solutions, strict=False):
        session = oa.Session(plan.problem)
        session.change(limits={"floors": {"c3": point}})
        fresh = oa.solve(session.problem, gap=1e-6)
        assert one.value <= fresh.bound + 1e-9
        assert fresh.value <= one.bound + 1e-9
        assert one.totals["floors"][3] >= point * (1 - 1e-6)


def test_the_value_is_concave_and_the_price_its_slope(curve: oa.LimitCurve) -> None:
    value, price, at = curve.column("value")[:4], curve.column("price")[:4], curve.column("point")[:4]
    slopes = np.diff(value) / np.diff(at)
    assert (np.diff(slopes) < 1e-4).all()
    for k in range(3):  # the slope of a chord is between those of its ends
        assert price[k + 1] - 1e-4 <= slopes[k] <= price[k] + 1e-4
    assert curve.column("cost")[:4] == pytest.approx(curve.base.value - value)


def test_an_infeasible_point_is_a_row(curve: oa.LimitCurve) -> None:
    assert [one.status.name for one in curve.solutions] == ["SOLVED"] * 4 + ["INFEASIBLE"]
    assert np.isnan(curve.column("value")[4])
    reached = curve.column("reached")[4]
    assert 510.0 < reached < 2000.0
    assert f"{reached:,.0f}"[:3] in str(curve).splitlines()[-1]
    rows = json.loads(json.dumps(curve.to_dict(), allow_nan=False))["points"]
    assert rows[4]["value"] is None
    assert rows[4]["conflicts"]
    assert curve.to_frame("pandas")["status"].tolist()[-1] == "INFEASIBLE"


def test_a_point_is_a_what_if(curve: oa.LimitCurve) -> None:
    what = curve.what_if(3)
    assert what.moved("campaign").gained[0].label == "c3"
    assert what.changes == ("floors of 'c3' is >= 510.5",)
    assert not curve.what_if(4).is_feasible


def test_points_are_around_what_is_stated(plan: oa.Solution) -> None:
    stated = oa.limit_curve(plan, "caps", "c0", gap=1e-3)
    assert stated.points == (75.0, 112.5, 150.0, 187.5, 225.0, 300.0)
    free = oa.limit_curve(plan, "caps", "c5", gap=1e-3)
    assert free.points[2] == pytest.approx(plan.totals["caps"][5])
    assert free.column("total")[0] <= free.points[0] * (1 + 1e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("floor", "c3"), "named 'floor'.*Did you mean 'floors'"),
        (("floors", "c33"), "no group 'c33'"),
        (("floors", "c3", []), "nothing to solve"),
        (("floors", "c3", [1.0, float("nan")]), "point 1 is nan; expected finite"),
        (("floors", "c3", [-1.0]), "-1 units; expected a number of at least 0"),
        (("floors", "c3", "12"), "expected numbers, one per solve"),
    ],
)
def test_bad_input(plan: oa.Solution, given: tuple[Any, ...], expected: str) -> None:
    with pytest.raises(oa.ProblemError, match=expected):
        oa.limit_curve(plan, *given)
