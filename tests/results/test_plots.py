"""Plots by what they draw: bars, limits, labels, notes and axis labels, with 5 groups and with 1,000."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.results.plots import AT_CAP, AT_FLOOR, BETWEEN, MISSED


@pytest.fixture(autouse=True)
def plt() -> Iterator[Any]:
    """Imported when a plot is drawn: at collection, every worker would do it. All figures are closed at the end."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def solved(n: int, **options: Any) -> oa.Solution:
    """Caps of 2 on all campaigns and a floor of 1.5 on the second, whose items are worth less."""
    rng = np.random.default_rng(3)
    users, degree = 3 * n, min(n, 6)
    item = np.concatenate([rng.choice(n, degree, replace=False) for _ in range(users)])
    relevance = rng.random(item.size) - 0.6 * (item == 1)
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * degree, item, {"relevance": relevance}, items={"campaign": [f"c-{k}" for k in range(n)]}
    )
    caps = (oa.exposure(by="campaign") <= 2.0).named("caps $x$")
    floors = (oa.exposure(by="campaign") >= {"c-1": 1.5}).named("floors")
    slots = (oa.exposure() <= users / 2).named("slots")
    return oa.solve(
        oa.Problem(cands, oa.total("relevance"), [slots, caps, floors], oa.Slate(1)), **{"gap": 1e-3, **options}
    )


@pytest.fixture(scope="module")
def small() -> oa.Solution:
    return solved(5)


@pytest.fixture(scope="module")
def large() -> oa.Solution:
    return solved(1_000, gap=1e-2)


def bars(ax: Any) -> list[tuple[str, float, float, str]]:
    """(label of the row, from, to, color) of all bars that are no ranges, from the first row down."""
    from matplotlib.colors import to_hex

    labels = dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))
    out = []
    for bar in ax.patches:
        if bar.get_alpha() is None:
            place = bar.get_y() + bar.get_height() / 2
            color = to_hex(bar.get_facecolor())
            out.append((round(place), labels[round(place)], bar.get_x(), bar.get_x() + bar.get_width(), color))
    return [one[1:] for one in sorted(out)]


def limits(ax: Any, words: str) -> dict[int, float]:
    """{row: limit} of the lines of this name."""
    found = [lines for lines in ax.collections if lines.get_label() == words]
    return {round(part[:, 1].mean()): float(part[0, 0]) for lines in found for part in lines.get_segments()}


def legend(ax: Any) -> str:
    return " | ".join(text.get_text() for text in ax.get_legend().get_texts())


def notes(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_delivery_draws_totals_between_their_limits(small: oa.Solution) -> None:
    ax = small.plot.delivery()
    found = bars(ax)
    totals = dict(zip(small.problem.labels("floors"), small.totals["floors"], strict=True))
    assert {label: to for label, _, to, _ in found} == pytest.approx(totals)
    assert all(start == 0 for _, start, _, _ in found)
    rows = [label for label, *_ in found]
    assert limits(ax, "cap") == dict.fromkeys(range(5), 2.0)
    assert limits(ax, "floor") == {rows.index("c-1"): 1.5}
    prices = {
        label: small.prices_by_label["caps $x$"][label] + small.prices_by_label["floors"][label] for label in rows
    }
    for label, _, _, color in found:
        assert color == (AT_CAP if prices[label] > 0 else AT_FLOOR if prices[label] < 0 else BETWEEN), label
    assert AT_FLOOR in {color for *_, color in found}
    assert ax.get_xlabel() == "impressions"
    assert ax.get_title() == r"caps \$x\$, floors"
    assert "from floor to cap" in legend(ax)
    assert "at its floor: price below 0 (1)" in legend(ax)
    assert notes(ax) == []
    low, high = ax.get_ylim()
    assert low > high, "the first group is on top"
    ax.figure.canvas.draw()


@pytest.mark.full
def test_a_thousand_groups_are_all_drawn_if_asked_for(large: oa.Solution) -> None:
    assert len(bars(large.plot.delivery(limit=10_000))) == 1_000


def test_a_thousand_groups_are_cut_with_a_note(large: oa.Solution) -> None:
    ax = large.plot.delivery()
    assert len(bars(ax)) == 30
    assert ax.get_title().endswith("\n30 of 1,000 groups: those that miss a limit, then the largest")
    assert ax.figure.get_size_inches()[1] < 10
    few = large.plot.delivery(limit=5)
    assert [bar[:3] for bar in bars(few)] == [bar[:3] for bar in bars(ax)][:5]
    ax = large.plot.prices()
    assert len(bars(ax)) == 30
    count = sum(int((np.abs(prices) > 1e-9 * 1.0).sum()) for prices in large.prices.values())
    assert ax.get_title() == f"prices\n30 of {count:,} prices: the heaviest"


def test_groups_that_miss_a_limit_come_first() -> None:
    ax = stretched(solved(40)).plot.delivery(limit=3)
    label, _, to, color = bars(ax)[0]
    assert (label, to, color) == ("c-15", 2.5, MISSED)
    assert "misses a limit (1)" in legend(ax)
    assert ax.get_title().splitlines()[0].endswith("(pass limit)")


def stretched(solution: oa.Solution) -> oa.Solution:
    """The solution as if one campaign had got more than its cap."""
    from dataclasses import replace

    totals = {name: total.copy() for name, total in solution.totals.items()}
    for name in ("caps $x$", "floors"):
        totals[name][7] = 2.5
    return replace(solution, totals=totals, status=oa.Status.PASS_LIMIT)


def test_a_constraint_without_groups_is_one_row(small: oa.Solution) -> None:
    ax = small.plot.delivery("slots")
    assert [bar[0] for bar in bars(ax)] == ["all"]
    assert limits(ax, "cap") == {0: 7.5}
    assert ax.get_title() == "slots"


def test_prices_are_signed_bars_with_the_convention_on_the_axis(small: oa.Solution) -> None:
    ax = small.plot.prices()
    found = bars(ax)
    listed = small.shadow_prices()
    assert len(found) == len(listed)
    drawn = {label: to if to else start for label, start, to, _ in found}
    wanted = {f"{one.label}  ·  {one.name}" if one.label else one.name: one.price for one in listed}
    assert drawn == pytest.approx({name.replace("$", r"\$"): price for name, price in wanted.items()})
    for _, start, to, color in found:
        assert color == (AT_FLOOR if start < 0 or to < 0 else AT_CAP)
    assert ax.get_xlabel() == (
        "price: what one more impression would add to the objective\n"
        "(caps above 0; floors below 0, for more would cost)"
    )
    assert "floor: one more promised would cost" in legend(ax)
    assert "cap: one more allowed would add" in legend(ax)
    ax.figure.canvas.draw()


def test_prices_of_one_constraint_have_its_labels_alone(small: oa.Solution) -> None:
    ax = small.plot.prices("floors")
    assert [bar[0] for bar in bars(ax)] == ["c-1"]
    named = small.with_names({"campaign": {"c-1": "River"}})
    assert [bar[0] for bar in bars(named.plot.prices("floors"))] == ["c-1 River"]
    assert "c-1 River" in [bar[0] for bar in bars(named.plot.delivery())]


def test_prices_of_a_function_and_of_other_units() -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    fair = (0.3 * oa.log(oa.exposure(by="song"))).named("fair")
    guard = (oa.total("r") >= 1.69).named("guard")
    solution = oa.solve(oa.Problem(cands, oa.total("r") + fair, guard, oa.Slate(1)), gap=1e-6)
    ax = solution.plot.prices()
    colors = {label: color for label, _, _, color in bars(ax)}
    assert colors["a  ·  fair"] == BETWEEN
    assert "function: minus what one more is worth" in legend(ax)
    assert "one more unit of each limit" in ax.get_xlabel()
    totals = [to for _, _, to, _ in bars(solution.plot.delivery("fair"))]
    assert sorted(totals) == pytest.approx(sorted(solution.totals["fair"]))


def test_no_prices_are_said_on_the_plot() -> None:
    cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    free = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() <= 5.0, oa.Slate(1)))
    ax = free.plot.prices()
    assert bars(ax) == []
    assert notes(ax) == ["no limit binds: all prices are 0"]
    ax.figure.canvas.draw()


def test_axes_that_are_given_are_drawn_on(small: oa.Solution, plt: Any) -> None:
    _, ax = plt.subplots(1, 2)
    assert small.plot.delivery(ax=ax[0]) is ax[0]
    assert small.plot.prices(ax=ax[1]) is ax[1]
    assert len(plt.get_fignums()) == 1
    with pytest.raises(oa.ProblemError, match="expected matplotlib's Axes"):
        small.plot.delivery(ax="axes")


def test_a_frontier_shows_where_the_solution_is(small: oa.Solution) -> None:
    curve = oa.frontier(small.problem, vary="slots", points=[5.0, 7.5, 10.0], gap=1e-3)
    ax = small.plot.frontier(curve)
    line, mark = ax.lines
    assert line.get_xdata().tolist() == [5.0, 7.5, 10.0]
    assert line.get_ydata().tolist() == curve.column("value").tolist()
    assert (mark.get_xdata().tolist(), mark.get_ydata().tolist()) == ([7.5], [small.value])
    assert legend(ax) == "this solution"
    assert ax.get_xlabel() == "limit of slots"
    ax = small.plot.frontier(curve, x='total("relevance")', y="price")
    assert ax.lines[1].get_ydata().tolist() == pytest.approx([small.prices["slots"].sum()])
    assert "below 0: more asked for would cost" in ax.get_ylabel()
    assert len(curve.plot().lines) == 1
    scaled = oa.frontier(small.problem, vary="floors", points=[0.9, 1.1], scale=True, gap=1e-2)
    assert small.plot.frontier(scaled).lines[1].get_xdata().tolist() == [1.0]
    by_weight = oa.frontier(small.problem, vary="relevance", points=[0.5, 2.0], gap=1e-2)
    assert small.plot.frontier(by_weight).lines[1].get_xdata().tolist() == [1.0]


def test_points_that_cannot_be_met_are_counted(small: oa.Solution) -> None:
    curve = oa.frontier(small.problem, vary="slots", points=[1.0, 7.5], gap=1e-2)
    assert notes(curve.plot()) == ["1 of 2 points cannot be met"]


def test_what_cannot_be_drawn_is_refused(small: oa.Solution, plt: Any) -> None:
    with pytest.raises(oa.ProblemError, match=re.escape("plot.delivery(name='flors')")):
        small.plot.delivery("flors")
    with pytest.raises(oa.ProblemError, match="Did you mean 'floors'"):
        small.plot.prices("flors")
    for limit in (0, -1, 2.5, "all"):
        with pytest.raises(oa.ProblemError, match="a whole number from 1 on"):
            small.plot.prices(limit=limit)  # type: ignore[arg-type]
    with pytest.raises(oa.ProblemError, match="expected a frontier"):
        small.plot.frontier([1.0, 2.0])  # type: ignore[arg-type]
    other = oa.frontier(small.problem.replace(slate=oa.Slate(2)), vary="slots", points=[5.0], gap=1e-2)
    with pytest.raises(oa.ProblemError, match="a solution of the problem that the frontier was made of"):
        small.plot.frontier(other)
    cands = oa.Candidates.from_arrays([0, 1], [0], {"r": [1.0]})
    free = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    with pytest.raises(oa.ProblemError, match="neither constraints nor functions"):
        free.plot.delivery()
    none = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() >= 2.0, oa.Slate(1)))
    for draw in (none.plot.delivery, none.plot.prices):
        with pytest.raises(oa.SolverError, match="infeasible"):
            draw()
    assert plt.get_fignums() == []


def test_without_matplotlib_the_error_says_how_to_install_it(
    small: oa.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = oa.frontier(small.problem, vary="slots", points=[5.0], gap=1e-2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draw in (small.plot.delivery, small.plot.prices, curve.plot):
        with pytest.raises(oa.MissingDependencyError, match=re.escape('pip install ".[plot]"')):
            draw()
