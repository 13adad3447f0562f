"""Plots of a solution: what each group got between its limits, what limits cost, and where it is on a frontier.

matplotlib is imported where something is drawn; it is the extra `plot`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.text_tables import cut
from oasis_alloc.errors import ProblemError, require
from oasis_alloc.results.delivery import Delivery, delivery_of
from oasis_alloc.results.naming import plain_label
from oasis_alloc.results.shadow_prices import Priced, heaviest, priced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from oasis_alloc.results.answer import Answer

AT_CAP, AT_FLOOR, BETWEEN, MISSED = "#c0392b", "#459db9", "#8a8a8a", "#e08e0b"  # seen on light and on dark
_LABEL, _NAME = 32, 40  # longest label of a group and name of a constraint on an axis
_ROW, _REST = 0.22, 1.4  # inches per group, and for title and axes


class Curve(Protocol):
    """A frontier, which is above this module."""

    def plot(self, x: str, y: str, ax: Axes | None, mark: Any) -> Axes: ...


class SolutionPlots:
    """`solution.plot`: plots of a solution as matplotlib's Axes. matplotlib is the extra `plot`.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 0.5}).named("caps")
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
    >>> axes = solution.plot.delivery()  # doctest: +SKIP
    >>> axes.figure.savefig("delivery.svg")  # doctest: +SKIP
    >>> solution.plot
    SolutionPlots(delivery, prices, frontier)
    """

    def __init__(self, solution: Answer) -> None:
        self._solution = solution

    def __repr__(self) -> str:
        return "SolutionPlots(delivery, prices, frontier)"

    def delivery(self, name: str | None = None, limit: int = 30, ax: Axes | None = None) -> Axes:
        """Draw what each group got, between its floor and its cap; returns matplotlib's Axes.

        Parameters
        ----------
        name
            Of a constraint or function; all constraints of the same measure are drawn with it. None takes the first
            constraint that has groups.
        limit
            Number of groups: those that miss a limit, then those with the largest totals and limits. A note says how
            many are left out.
        ax
            Axes to draw on; None makes new ones.

        Raises
        ------
        ProblemError
            For an unknown name, a problem without constraints and functions, and a `limit` below 1.
        MissingDependencyError
            Without matplotlib.
        SolverError
            For an infeasible problem.
        """
        self._check("delivery", limit, ax)
        found = delivery_of(self._solution, self._named("delivery", name))
        kept = found.first(limit)
        if ax is None:
            ax = _axes(len(kept))
        place = np.arange(len(kept))
        _draw_ranges(ax, found, kept)
        for words, color, some in _states(found, kept):
            if some.any():
                ax.barh(place[some], found.total[kept][some], height=0.55, color=color, label=f"{words} ({some.sum()})")
        labels = [plain_label(found.by, found.labels[k], self._solution.label_names) for k in kept]
        _label_rows(ax, place, [text or "all" for text in labels])
        names = ", ".join(found.names)
        note = _left_out(len(kept), found.total.size, "groups", "those that miss a limit, then the largest")
        _head(ax, f"{cut(names, 80)}{self._ended()}", note)
        ax.set_xlabel(_plain(found.unit))
        ax.legend(frameon=False, fontsize="small")
        return ax

    def prices(self, name: str | None = None, limit: int = 30, ax: Axes | None = None) -> Axes:
        """Draw the prices that are not 0, to the right for caps and to the left for floors; returns matplotlib's Axes.

        A price is what one more unit of the limit would add to the objective. So a cap's is above 0; a floor's is below
        0, for one more promised would cost.

        Parameters
        ----------
        name
            Of a constraint or function; None takes all of them, the heaviest of each before the second of any. Bars of
            constraints on other measures count other units.
        limit
            Number of prices, heaviest first: `|price| * max(1, |limit|)`. A note says how many are left out.
        ax
            Axes to draw on; None makes new ones.

        Raises
        ------
        ProblemError
            For an unknown name, and a `limit` below 1.
        MissingDependencyError
            Without matplotlib.
        SolverError
            For an infeasible problem.
        """
        self._check("prices", limit, ax)
        every = priced(self._solution)
        found = every if name is None else [every[self._named("prices", name)]]
        kept, count = heaviest(found, limit), sum(some.binding.size for some in found)
        if ax is None:
            ax = _axes(len(kept))
        place, price = np.arange(len(kept)), np.array([some.price[k] for some, k in kept])
        for words, color, some in (
            ("cap: one more allowed would add", AT_CAP, price > 0),
            ("floor: one more promised would cost", AT_FLOOR, (price < 0) & _limited(kept)),
            ("function: minus what one more is worth", BETWEEN, (price < 0) & ~_limited(kept)),
        ):
            if some.any():
                ax.barh(place[some], price[some], height=0.7, color=color, label=words)
        _label_rows(ax, place, [self._row(some, k, alone=name is not None) for some, k in kept])
        ax.axvline(0.0, color=BETWEEN, linewidth=0.8)
        units = {_unit(some) for some, _ in kept}
        per = units.pop() if len(units) == 1 else "unit of each limit"
        ax.set_xlabel(_plain(f"price: what one more {per} would add to the objective\n"
                             "(caps above 0; floors below 0, for more would cost)"))  # fmt: skip
        title = "prices" if name is None else cut(f"prices of {name}", 80)
        _head(ax, f"{title}{self._ended()}", _left_out(len(kept), count, "prices", "the heaviest"))
        if len(kept):
            ax.legend(frameon=False, fontsize="small")
        else:
            ax.text(0.5, 0.5, "no limit binds: all prices are 0", transform=ax.transAxes, ha="center", va="center")
        return ax

    def frontier(self, curve: Curve, x: str = "point", y: str = "value", ax: Axes | None = None) -> Axes:
        """Draw a frontier of this solution's problem, and this solution on it; returns matplotlib's Axes.

        Parameters
        ----------
        curve
            What `oa.frontier(solution.problem, ...)` returned.
        x, y, ax
            As in `Frontier.plot`.

        Raises
        ------
        ProblemError
            For what is not a frontier, for one of another problem, and for an unknown column.
        MissingDependencyError
            Without matplotlib.
        SolverError
            For an infeasible problem.
        """
        self._solution.raise_if_infeasible()
        if not hasattr(curve, "solutions"):
            raise ProblemError(f"plot.frontier({shown(curve)}): expected a frontier, what oa.frontier(...) returns.")
        return curve.plot(x, y, ax, mark=self._solution)

    def _check(self, what: str, limit: object, ax: object) -> None:
        if (whole := as_whole(limit)) is None or whole < 1:
            raise ProblemError(
                f"plot.{what}(limit={shown(limit)}): expected how many to draw, a whole number from 1 on."
            )
        check_axes(f"plot.{what}", ax)
        self._solution.raise_if_infeasible()

    def _named(self, what: str, name: object) -> int:
        """The number of the constraint or function that is meant."""
        problem = self._solution.problem
        if name is not None:
            if name not in problem.names:
                raise ProblemError(
                    f"plot.{what}(name={shown(name)}): the problem has no constraint or function of this name."
                    f"{did_you_mean(name, problem.names)}"
                )
            return problem.names.index(str(name))
        if not problem.names:
            raise ProblemError(f"plot.{what}(): the problem has neither constraints nor functions, so nothing to draw.")
        return next((k for k, function in enumerate(problem.functions) if function.measure.by), 0)

    def _row(self, some: Priced, entry: int, alone: bool) -> str:
        label = plain_label(some.measure.by, some.label(entry), self._solution.label_names)
        parts = [cut(label, _LABEL), "" if alone else cut(some.name, _NAME)]
        return "  ·  ".join(part for part in parts if part) or "all"

    def _ended(self) -> str:
        """What a title says of a solution whose gap is not proven."""
        status = self._solution.status
        return "" if status.name == "SOLVED" else f"  ({status})"


def check_axes(what: str, ax: object) -> None:
    """Raise `ProblemError` for what cannot be drawn on."""
    if ax is not None and not hasattr(ax, "barh"):
        raise ProblemError(f"{what}(ax={shown(ax)}): expected matplotlib's Axes, or None for new ones.")


def _axes(rows: int) -> Axes:
    pyplot = require("matplotlib.pyplot", "plot")
    axes: Axes = pyplot.subplots(figsize=(7.0, _REST + _ROW * max(rows, 4)), layout="constrained")[1]
    return axes


def _draw_ranges(ax: Any, found: Delivery, kept: Any) -> None:
    """What is allowed, as a band behind each bar, and a line at each limit."""
    lower, upper, total = found.lower[kept], found.upper[kept], found.total[kept]
    place = np.arange(len(kept))
    both = np.isfinite(lower) & np.isfinite(upper)
    if both.any():
        left, width = lower[both], upper[both] - lower[both]
        ax.barh(place[both], width, left=left, height=0.8, color=BETWEEN, alpha=0.25, label="from floor to cap")
    for words, limit, color in (("floor", lower, AT_FLOOR), ("cap", upper, AT_CAP)):
        some = np.isfinite(limit)
        if some.any():
            ax.vlines(limit[some], place[some] - 0.42, place[some] + 0.42, color=color, linewidth=1.6, label=words)
    if (total < 0).any():
        ax.axvline(0.0, color=BETWEEN, linewidth=0.8)


def _states(found: Delivery, kept: Any) -> list[tuple[str, str, Any]]:
    """(words, color, which of the groups) for each state."""
    missed, price = found.missed[kept], found.price[kept]
    at_cap, at_floor = ~missed & (price > 0) & found.is_limited[kept], ~missed & (price < 0) & found.is_limited[kept]
    return [
        ("misses a limit", MISSED, missed),
        ("at its cap: price above 0", AT_CAP, at_cap),
        ("at its floor: price below 0", AT_FLOOR, at_floor),
        ("no limit binds", BETWEEN, ~missed & ~at_cap & ~at_floor),
    ]


def _limited(kept: list[tuple[Priced, int]]) -> Any:
    return np.array([some.kind != "function" for some, _ in kept], bool)


def _unit(some: Priced) -> str:
    terms = some.measure.terms
    if len(terms) == 1 and terms[0].coefficient == 1.0:
        return "impression" if terms[0].column is None else f"unit of {terms[0].column}"
    return "unit of the limit"


def _label_rows(ax: Any, place: Any, labels: list[str]) -> None:
    ax.set_yticks(place, [_plain(cut(text, _LABEL + _NAME + 5)) for text in labels], fontsize="small")
    ax.set_ylim(len(labels) - 0.4, -0.6)  # the first on top
    ax.spines[["top", "right"]].set_visible(False)


def _left_out(kept: int, of: int, what: str, which: str) -> str:
    """How much is drawn, where that is not all of it."""
    return f"{kept:,} of {of:,} {what}: {which}" if kept < of else ""


def _head(ax: Any, title: str, note: str) -> None:
    ax.set_title(_plain("\n".join(line for line in (title, note) if line)), fontsize="medium")


def _plain(text: str) -> str:
    """A text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
