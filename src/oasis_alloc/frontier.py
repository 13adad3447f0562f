"""A frontier: a sweep of one weight or one limit of a problem, each solve started from the previous prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import TextTable, as_page, as_text, cut, number, small
from oasis_alloc.errors import ProblemError, require
from oasis_alloc.problem import Problem
from oasis_alloc.results.plots import AT_CAP, check_axes
from oasis_alloc.results.sweep import SweepParameter, finite_points, parts_without_weights, varied
from oasis_alloc.session import Session
from oasis_alloc.solution import Solution
from oasis_alloc.solve import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from oasis_alloc.solvers.progress_display import ProgressDisplay

_NUMBERS = ("value", "bound", "gap", "violation", "passes", "seconds")  # of every solution
_OWN = ("point", "status", *_NUMBERS, "price")
_ROWS, _HEAD, _WIDTH = 20, 16, 100  # limits of the printed table: rows, characters of a heading, characters of a line
_PARTS = 8  # of the objective, in a notebook


@suggesting
def frontier(
    problem: Problem,
    *,
    vary: str,
    points: Iterable[float],
    scale: bool = False,
    progress: Callable[[float, Solution], object] | bool | None = None,
    **options: Any,
) -> Frontier:
    """Solve a problem at several weights of one term of its objective, or at several limits of one constraint.

    Parameters
    ----------
    problem
        The problem to vary; it is not changed.
    vary
        The name of a constraint or soft constraint, whose limit varies; the name of a function of the objective, or the
        text of a total in it such as `total("promotion")` (or just `promotion`), whose weight varies. Names of
        constraints and functions take precedence.
    points
        Finite numbers, solved in this order; close neighbors need fewer passes. Each replaces the
        weight, or a limit that is one number for all groups.
    scale
        True multiplies what the problem states by each point instead; needed for limits by group.
    progress
        Called with (point, solution) after every solve; returning True ends the sweep there. True shows which point is
        solved and how far it is, as `solve(progress=True)`.
    **options
        Of `solve`: `gap`, `solver`, `time_limit` and `pass_limit` (of each solve), `threads`, `on_conflict`, and
        `start` for the first point.

    Returns
    -------
    Frontier
        A point that is infeasible is a row with that status. The optimum is a concave function of a limit and a
        convex one of a weight (Boyd and Vandenberghe, Convex Optimization, sections 5.6.1 and 3.2.3).

    Raises
    ------
    ProblemError
        Before the first solve: for an unknown `vary`, no points, points that are not finite, and points that
        make the problem invalid: a negative cap, a floor above its cap, a weight of the wrong sign.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]),
    ...     columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7]), "promotion": np.array([0.0, 1.0, 0.0, 1.0])})
    >>> problem = oa.Problem(cands, oa.total("relevance") + 0.1 * oa.total("promotion"), slate=oa.Slate(1))
    >>> curve = oa.frontier(problem, vary="promotion", points=[0.0, 0.2, 0.5])
    >>> curve.column('total("relevance")').round(6).tolist(), curve.column('total("promotion")').round(6).tolist()
    ([1.7, 1.6, 1.2], [0.0, 1.0, 2.0])
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"frontier() takes an oa.Problem, got {type(problem).__name__}.")
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ProblemError(
            f"frontier(progress={shown(progress)}): expected True, or a callable that takes the point and the solution."
        )
    _check_options(options)
    numbers = _checked(points)
    knob = varied(problem, vary, scale)
    stated = []
    for k, point in enumerate(numbers):
        try:
            stated.append(knob.at(point))
        except ProblemError as error:
            raise ProblemError(
                f"frontier(vary={vary!r}): point {k}, {point:g}, does not give a valid problem: {error}"
            ) from error
    start = options.pop("start", None)
    with ExitStack() as shown_by:
        display = None
        if progress is True:
            from oasis_alloc.solvers.progress_display import ProgressDisplay

            display = shown_by.enter_context(ProgressDisplay())
        solutions = _sweep(numbers, stated, start, progress if callable(progress) else None, display, options)
        curve = Frontier(problem, vary, tuple(numbers[: len(solutions)]), tuple(solutions), knob)
        if display is not None:
            display.leave(curve.title)
    return curve


def _sweep(
    points: list[float],
    stated: list[Problem],
    start: Any,
    report: Callable[[float, Solution], object] | None,
    display: ProgressDisplay | None,
    options: Mapping[str, Any],
) -> list[Solution]:
    """Solve every problem from the prices of the one before, until the report asks to stop."""
    from oasis_alloc.solvers.monitor import asks_to_stop  # no solver is loaded before it is needed

    solutions: list[Solution] = []
    session = Session(stated[0])
    for k, (point, one) in enumerate(zip(points, stated, strict=True)):
        if display is not None:
            display.next(f"point {k + 1} of {len(points)}")
        session.change(problem=one)
        solution = session.solve(start=start if session.solution is None else None, progress=display, **options)
        solutions.append(solution)
        if report is not None and asks_to_stop(report(point, solution)):
            break
    return solutions


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(ByFields):
    """The result of `frontier`: one solution per point; `print` shows it as a table.

    Attributes
    ----------
    problem, vary
        The problem, and the name of what was varied.
    points, solutions
        The weights, limits or factors, and the solution at each.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
    >>> problem = oa.Problem(cands, oa.total("r"), [(oa.exposure() <= 1).named("slots")], oa.Slate(2))
    >>> curve = oa.frontier(problem, vary="slots", points=[0.5, 1.5, 2.5])
    >>> curve.column("value").round(6).tolist(), curve.column("price").round(6).tolist()
    ([0.45, 1.15, 1.4], [0.9, 0.5, 0.0])
    """

    problem: Problem
    vary: str
    points: tuple[float, ...]
    solutions: tuple[Solution, ...]
    _varied: SweepParameter

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `to_frame`."""
        return tuple(self._table)

    @property
    def passes(self) -> float:
        """Full-pass equivalents of all solves together."""
        return float(sum(solution.passes for solution in self.solutions))

    @property
    def seconds(self) -> float:
        """Wall time of all solves together."""
        return float(sum(solution.seconds for solution in self.solutions))

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column of `to_frame`, (n_points,)."""
        if name not in self._table:
            raise ProblemError(f"the frontier has no column {name!r}.{did_you_mean(name, self._table)}")
        return self._table[name]

    def to_frame(self, backend: str | None = None) -> Any:
        """A frame with one row per point.

        Columns: point, status, value, bound, gap, violation, passes and seconds as in `Solution`; then the amount of
        each part of the objective *without* its weight: totals, values of functions, units by which soft constraints
        are missed. For a limit also `price`, the derivative of the value by the point: prices times the change of each
        group's limit per unit of the point, summed over groups. Numbers of an infeasible point are NaN.

        Parameters
        ----------
        backend
            "pandas", "polars" or "pyarrow"; None takes the kind of the candidates' frame.

        Raises
        ------
        InputError, MissingDependencyError
            For an unknown backend, or one that is not installed.
        """
        from oasis_alloc.data.frames import table

        return table(self._table, backend or self.problem.candidates.backend)

    def plot(self, x: str = "point", y: str = "value", ax: Axes | None = None, mark: Solution | None = None) -> Axes:
        """Draw one column against another; returns matplotlib's Axes. Needs matplotlib (the extra `plot`).

        Parameters
        ----------
        x, y
            Columns of `to_frame`: `x='total("relevance")', y='total("promotion")'` shows the trade-off between the two.
        ax
            Axes to draw on; None makes new axes.
        mark
            A solution of the same problem to mark on the curve, such as the one in use.

        Raises
        ------
        ProblemError
            For an unknown column, one without numbers, and a solution of another problem.
        MissingDependencyError
            Without matplotlib.
        """
        for name in (x, y):
            if self.column(name).dtype.kind != "f":
                raise ProblemError(f"plot: the column {name!r} has no numbers; expected a column of numbers.")
        check_axes("plot", ax)
        marked = None if mark is None else self._marked(mark)
        if ax is None:
            axes: Axes = require("matplotlib.pyplot", "plot").subplots(layout="constrained")[1]
            ax = axes
        ax.plot(self.column(x), self.column(y), marker="o")
        if marked is not None:
            ax.plot([marked[x]], [marked[y]], "*", markersize=14, color=AT_CAP, label="this solution")
            ax.legend(frameon=False)
        ax.set_xlabel(self._axis(x))
        ax.set_ylabel(self._axis(y))
        ax.spines[["top", "right"]].set_visible(False)
        left_out = int(np.isnan(self.column(y)).sum())
        if left_out:
            text = f"{left_out:,} of {len(self.points):,} points cannot be met"
            ax.annotate(text, (1.0, 1.0), xycoords="axes fraction", ha="right", va="bottom", fontsize="x-small")
        return ax

    def _marked(self, solution: Solution) -> dict[str, Any]:
        """The row of a solution of this frontier's own problem."""
        if not isinstance(solution, Solution) or str(solution.problem) != str(self.problem):
            raise ProblemError(
                "plot(mark=...): expected a solution of the problem that the frontier was made of; solve that problem, "
                "or make the frontier of solution.problem."
            )
        return self._row(self._varied.stated, solution)

    def _axis(self, name: str) -> str:
        words = {
            "point": self._words,
            "value": "value (the objective)",
            "price": "price: what one more unit of the point would add to the objective\n"
            "(above 0: more room would add; below 0: more asked for would cost)",
        }
        return words.get(name, name).replace("$", r"\$")  # no formula

    @property
    def title(self) -> str:
        """What was swept, at how many points, and what that took, in one line."""
        count = f"{len(self.points)} point{'' if len(self.points) == 1 else 's'}"
        passes = f"{self.passes:,.1f} passes in {self.seconds:,.3g} seconds"
        return f"{cut(self._words, _WIDTH - len(count) - len(passes) - 4)}: {count}, {passes}"

    @property
    def _words(self) -> str:
        return f"{self._varied.words} of {self.vary}" + (", times what is stated" if self._varied.scale else "")

    @cached_property
    def _table(self) -> dict[str, npt.NDArray[Any]]:
        rows = [self._row(point, solution) for point, solution in zip(self.points, self.solutions, strict=True)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _row(self, point: float, solution: Solution) -> dict[str, Any]:
        none = solution.status.name == "INFEASIBLE"
        row: dict[str, Any] = {"point": point, "status": str(solution.status)}
        for name in _NUMBERS:
            known = not none or name in ("passes", "seconds")
            row[name] = float(getattr(solution, name)) if known else np.nan
        for name, part in parts_without_weights(self.problem, solution):
            while name in row or name in _OWN:  # the user's names may be anything, also names of our own columns
                name = f"{name} (objective)"
            row[name] = part
        if self._varied.words == "limit":
            row["price"] = np.nan if none else self._varied.slope(solution)
        return row

    def __repr__(self) -> str:
        parts = [name for name in self._table if name not in _OWN]
        shown = len(parts)
        while (text := self._text(parts, shown)) and shown and max(map(len, text.splitlines())) > _WIDTH:
            shown -= 1  # show as many parts as fit
        return f"{self.title}\n\n{text}"

    def _repr_html_(self) -> str:
        parts = [name for name in self._table if name not in _OWN]
        said: list[str | TextTable] = [self.title, self._shown(parts, min(len(parts), _PARTS))]
        if "price" in self._table:
            said.append(
                "The price is the slope of the value in the point: what one more unit of it adds to the objective. It "
                "is above 0 where more room would add, as for a cap, and below 0 where asking for more costs, as for a "
                "floor."
            )
        return as_page(said)

    def _text(self, parts: list[str], shown: int) -> str:
        return as_text(self._shown(parts, shown))

    def _shown(self, parts: list[str], shown: int) -> TextTable:
        names = ["point", "status", "value", "gap", *parts[:shown], *({"price"} & set(self._table)), "passes"]
        heads = [_heading(name) if name in parts else name for name in names]
        rows = [[_cell(name, self._table[name][k]) for name in names] for k in range(min(len(self.points), _ROWS))]
        more = [f"... and {len(self.points) - _ROWS:,} more points"] if len(self.points) > _ROWS else []
        if shown < len(parts):
            more.append(f"... and {len(parts) - shown} more parts of the objective in to_frame()")
        return TextTable(heads, "rl" + "r" * (len(names) - 2), rows, "\n".join(more))


def _heading(name: str) -> str:
    """A part's heading: a total has the name of its column."""
    start, end = 'total("', '")'
    inside = name.startswith(start) and name.endswith(end)
    return cut(name[len(start) : -len(end)] if inside else name, _HEAD)


def _cell(name: str, value: Any) -> str:
    if name == "status":
        return str(value)
    if np.isnan(value):
        return "-"
    if name == "gap":
        return small(float(value)) if np.isfinite(value) else "none"
    return number(float(value), {"value": 7, "passes": 3}.get(name, 5))


def _check_options(options: Mapping[str, object]) -> None:
    """Refuse arguments that `solve` does not have, before the first solve."""
    known = [name for name in signature(solve).parameters if name not in ("problem", "progress")]
    for name in options:
        if name not in known:
            raise ProblemError(f"frontier() takes no argument {name!r}.{did_you_mean(name, known)}")


def _checked(points: Iterable[float]) -> list[float]:
    try:
        given = list(points)
    except TypeError:
        raise ProblemError(f"frontier(points={points!r}): expected numbers, one per solve.") from None
    return finite_points(given, "frontier")
