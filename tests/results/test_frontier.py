"""Sweeps of a weight or a limit: the curve's shape, its rows, and what warm starts save."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
from effort import examples, full_only
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from strategies import Case, curved_problems, problems

import oasis_alloc as oa
from oasis_alloc.markets import month

GAP = 1e-6
REL, PROMO = 'total("relevance")', 'total("promotion")'


def check_shape(curve: oa.Frontier, sign: float) -> None:
    """Concave (sign 1) or convex (-1) in the point, up to what is certified of each: value <= optimum <= bound."""
    points, low, high = curve.column("point"), curve.column("value"), curve.column("bound")
    size = np.abs(high).max() + np.abs(low).max() + 1.0
    for k in range(1, len(points) - 1):
        share = (points[k + 1] - points[k]) / (points[k + 1] - points[k - 1])
        middle, ends = (high[k], low) if sign > 0 else (low[k], high)
        chord = share * ends[k - 1] + (1.0 - share) * ends[k + 1]
        assert sign * (middle - chord) >= -1e-7 * size


@pytest.mark.full
@settings(max_examples=examples(15))
@given(case=curved_problems(), data=st.data())
def test_the_optimum_is_convex_in_a_weight(case: Case, data: st.DataObject) -> None:
    linear, functions = case.problem.maximize.linear, case.problem.maximize.functions
    assert linear is not None
    name = data.draw(st.sampled_from([*map(str, linear.terms), *case.problem.names[-len(functions) :]]))
    points = [0.5, 1.0, 1.25, 3.0]
    curve = oa.frontier(case.problem, vary=name, points=points, scale=True, gap=GAP)
    assert curve.points == tuple(points)
    assert set(curve.column("status")) == {"solved"}
    term = next((t for t in linear.terms if str(t) == name), None)
    weight = term.coefficient if term is not None else case.problem.functions[case.problem.names.index(name)].weight
    (got,) = (
        curve.column(part)
        for part in curve.columns
        if part == name or (term is None and part in name and part not in map(str, linear.terms))
    )
    # without the other parts the value is linear in the point, and an allocation stays one as weights change
    check_shape(curve, -1.0)
    for j, here in enumerate(points):
        for k, there in enumerate(points):
            moved = curve.column("value")[j] + (there - here) * weight * got[j]
            assert moved <= curve.column("bound")[k] + 1e-7 * (1.0 + abs(moved))


@settings(max_examples=examples(15))
@given(case=problems(max_constraints=3), data=st.data())
def test_the_optimum_is_concave_in_a_limit_and_its_price_is_a_slope(case: Case, data: st.DataObject) -> None:
    given_limits = {
        name: getattr(f, "constraint", f).limit
        for name, f in zip(case.problem.names, case.problem.subject_to, strict=True)
    }
    names = [n for n, f in given_limits.items() if np.any(list(f.values()) if isinstance(f, dict) else f)]
    assume(names)
    name = data.draw(st.sampled_from(names))
    try:
        curve = oa.frontier(case.problem, vary=name, points=[0.9, 0.95, 1.0, 1.02, 1.1], scale=True, gap=GAP)
    except oa.ProblemError as error:
        if "floor above its cap" not in str(error):  # of two constraints on one measure
            raise
        reject()
    known = [k for k, status in enumerate(curve.column("status")) if status == "solved"]
    assert 2 in known  # it is the problem as it was stated
    assert known == list(range(known[0], known[-1] + 1))  # the points that can be met are an interval
    part = oa.Frontier(
        curve.problem,
        name,
        tuple(curve.points[k] for k in known),
        tuple(curve.solutions[k] for k in known),
        curve._varied,
    )
    if len(known) > 2:
        check_shape(part, 1.0)
    points, value, bound, price = (part.column(c) for c in ("point", "value", "bound", "price"))
    worst = max(1.0, float(np.abs(price).max()) * 1e-6, float(np.abs(bound).max()))
    for j in range(len(points)):  # weak duality: prices bound the value at every other limit
        assert (value <= bound[j] + price[j] * (points - points[j]) + 1e-6 * worst).all()


@pytest.fixture(scope="module")
def market() -> oa.Problem:
    return month(users=400, degree=20, campaigns=8, size=5).problem()


def test_the_value_is_the_sum_of_weights_and_parts(market: oa.Problem) -> None:
    fair = (2.0 * oa.log(oa.exposure(by="artist"))).named("fair")
    late = oa.soft(oa.exposure(by="campaign") >= 60.0, penalty=0.05).named("late")
    problem = market.replace(maximize=market.maximize + fair, subject_to=[*market.subject_to[:3], late])
    curve = oa.frontier(problem, vary="promotion", points=[0.0, 0.2, 0.4], gap=1e-4)
    assert curve.columns == (
        *("point", "status", "value", "bound", "gap", "violation", "passes", "seconds"),
        *(REL, PROMO, "late", "fair"),
    )
    parts = {name: curve.column(name) for name in (REL, PROMO, "late", "fair")}
    whole = parts[REL] + curve.column("point") * parts[PROMO] - 0.05 * parts["late"] + 2.0 * parts["fair"]
    assert curve.column("value") == pytest.approx(whole, rel=1e-9)
    assert (np.diff(parts[PROMO]) > 0).all()
    for solution, weight in zip(curve.solutions, curve.points, strict=True):
        assert solution.problem.maximize.linear.terms[1].coefficient == weight  # type: ignore[union-attr]


@pytest.mark.full
def test_a_function_fades_in_from_weight_0(market: oa.Problem) -> None:
    fair = oa.log(oa.exposure(by="artist"))
    unnamed = market.replace(maximize=market.maximize + 5.0 * fair)
    points = [0.0, 1.0, 5.0]
    curve = oa.frontier(unnamed, vary=str(fair), points=points)  # its text as it is with weight 1
    got = curve.column(str(fair))
    totals = np.array([s.totals[unnamed.names[-1]] for s in curve.solutions[1:]])
    assert got[1:] == pytest.approx(np.log1p(totals).sum(axis=1))
    assert (np.diff(got) > 0).all()
    alone = oa.solve(market)
    assert curve.solutions[0].value == pytest.approx(alone.value, rel=2e-4)
    e = np.bincount(
        market.candidates.grouping("artist").item_part[market.candidates.item[curve.solutions[0].pairs]],
        curve.solutions[0].x,
        market.candidates.grouping("artist").n_groups,
    )
    assert got[0] == pytest.approx(np.log1p(e).sum())
    scaled = oa.frontier(unnamed, vary=unnamed.names[-1], points=[0.2, 1.0], scale=True)
    assert scaled.column("value") == pytest.approx(curve.column("value")[1:], rel=2e-4)
    convex = market.replace(maximize=market.maximize - oa.square_deviation(oa.exposure(), 900.0))
    away = oa.frontier(convex, vary="square_deviation(exposure(), 900)", points=[-1e-3, -0.1])
    assert np.diff(away.column("square_deviation(exposure(), 900)")) < 0


def test_limits_by_group_are_multiplied_and_soft_ones_too(market: oa.Problem) -> None:
    floors = market.subject_to[1]
    curve = oa.frontier(market, vary="campaign floors", points=[0.8, 0.9], scale=True)
    for factor, solution in zip(curve.points, curve.solutions, strict=True):
        moved: Any = solution.problem.subject_to[1]
        assert moved.limit == {label: factor * floor for label, floor in floors.limit.items()}  # type: ignore[attr-defined]
        slope = sum(solution.prices_by_label["campaign floors"][label] * floor for label, floor in floors.limit.items())  # type: ignore[attr-defined]
        assert curve.column("price")[curve.points.index(factor)] == pytest.approx(slope)
    slots = oa.soft(oa.exposure() <= 1500.0, penalty=0.2)
    softer = oa.frontier(market.replace(subject_to=slots), vary=slots.name, points=[1500.0, 1600.0])
    assert softer.column("price") == pytest.approx([0.2, 0.2])
    assert softer.column(slots.name) == pytest.approx([500.0, 400.0])  # units missed


def test_a_point_that_cannot_be_met_is_a_row(market: oa.Problem) -> None:
    most = oa.solve(market.replace(subject_to=())).parts[REL]
    points = [0.9 * most, 3.0 * most, 0.91 * most]
    seen: list[float] = []
    curve = oa.frontier(
        market, vary="relevance guard", points=points, progress=lambda point, _: seen.append(point), threads=1
    )
    assert seen == points
    assert curve.column("status").tolist() == ["solved", "infeasible", "solved"]
    for name in ("value", "bound", "gap", "violation", REL, PROMO, "price"):
        assert np.isnan(curve.column(name)).tolist() == [False, True, False]
    assert curve.solutions[1].conflicts
    text = repr(curve)
    assert text.startswith("limit of relevance guard: 3 points, ")
    assert re.search(r"infeasible( +-){5} +0$", text, re.MULTILINE)


def test_progress_ends_a_sweep(market: oa.Problem) -> None:
    curve = oa.frontier(market, vary=PROMO, points=iter([0.1, 0.2, 0.3]), progress=lambda point, _: point > 0.15)
    assert curve.points == (0.1, 0.2)
    assert len(curve.to_frame()) == 2


@pytest.mark.full
@pytest.mark.parametrize(
    ("vary", "users"), [("promotion", 300), *full_only(("promotion", 1_000), ("relevance guard", 1_000))]
)
def test_warm_starts_save_passes(vary: str, users: int) -> None:
    problem = month(users=users, degree=50, campaigns=20).problem()
    guard = float(problem.subject_to[3].limit)  # type: ignore[attr-defined]
    points = np.linspace(0.2, 0.4, 5) if vary == "promotion" else guard * np.linspace(0.97, 1, 5)
    curve = oa.frontier(problem, vary=vary, points=points)
    cold = [oa.solve(solution.problem) for solution in curve.solutions]
    assert set(curve.column("status")) == {"solved"}
    assert curve.passes <= 0.8 * sum(solution.passes for solution in cold)
    for ours, alone in zip(curve.solutions, cold, strict=True):
        assert ours.value <= alone.bound + 1e-9 * abs(alone.bound)
        assert alone.value <= ours.bound + 1e-9 * abs(ours.bound)


def test_without_matplotlib_plot_says_what_to_install(market: oa.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = oa.frontier(market, vary="promotion", points=[0.1], gap=1e-2)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(oa.MissingDependencyError, match=r"pip install .\.\[plot\]"):
        curve.plot()


@pytest.fixture(scope="module")
def half_infeasible(market: oa.Problem) -> oa.Frontier:
    return oa.frontier(market, vary="relevance guard", points=[100, 1e9])


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_frames(half_infeasible: oa.Frontier, backend: str) -> None:
    import narwhals.stable.v2 as nw

    curve = half_infeasible
    frame = nw.from_native(curve.to_frame(backend), eager_only=True)
    assert frame.implementation.value == backend
    assert tuple(frame.columns) == curve.columns
    assert frame["status"].to_list() == ["solved", "infeasible"]
    assert frame["value"].to_numpy()[0] == curve.solutions[0].value
    assert np.isnan(frame["value"].to_numpy()[1])
    assert curve.columns[-1] == "price"


def test_an_unknown_kind_of_frame_is_refused(market: oa.Problem) -> None:
    with pytest.raises(oa.InputError, match=r"no backend 'panda'. Did you mean 'pandas'"):
        oa.frontier(market, vary="promotion", points=[0.1], gap=1e-2).to_frame("panda")


def test_plot(market: oa.Problem) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    curve = oa.frontier(market, vary="promotion", points=[0.1, 0.3])
    ax = curve.plot(x=REL, y=PROMO)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (REL, PROMO)
    (line,) = ax.lines
    assert line.get_xdata().tolist() == curve.column(REL).tolist()
    assert line.get_ydata().tolist() == curve.column(PROMO).tolist()
    assert curve.plot(ax=ax) is ax
    assert ax.get_xlabel() == "weight of promotion"
    assert len(ax.lines) == 2
    plt.close("all")


def test_the_printed_table_keeps_to_a_screen(market: oa.Problem) -> None:
    long = "a name " * 20
    functions = [(0.01 * oa.log(oa.exposure(by="licensor"), 1.0 + k)).named(f"{long}{k}") for k in range(6)]
    problem = market.replace(maximize=sum(functions, market.maximize), subject_to=())
    curve = oa.frontier(problem, vary=f"{long}3", points=np.linspace(0.01, 0.02, 23), gap=1e-2)
    lines = repr(curve).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 40
    assert lines[-2] == "... and 3 more points"
    assert lines[-1].endswith("more parts of the objective in to_frame()")
    reserved = market.replace(subject_to=oa.soft(oa.exposure() <= 10.0, penalty=0.1).named("value"))
    assert "value (objective)" in oa.frontier(reserved, vary="value", points=[10.0]).columns
