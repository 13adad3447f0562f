"""One limit of one campaign at several points: value, delivery and price, where an infeasible point is a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import objects
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, number
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import Labels, as_number, place_of, spread
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.changes import changed
from oasis_alloc.forecast.moves import column_total
from oasis_alloc.forecast.what_if import WhatIf, checked, organic_of, solved_again
from oasis_alloc.results.documents import SCHEMA
from oasis_alloc.results.sweep import constraint_of, finite_points
from oasis_alloc.solution import Solution

_FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of today's limit, where no points are given
_NUMBERS = ("point", "value", "cost", "relevance", "total", "price", "reached", "gap")


@dataclass(frozen=True, eq=False, repr=False)
class LimitCurve(Printed, ByFields):
    """Plans at several limits of one group, made by `limit_curve`; `print` shows a table.

    Attributes
    ----------
    base
        The plan that the curve starts from.
    name, label, sense
        The constraint, its group, and "<=", ">=" or "==".
    points, solutions
        The limits, and the plan at each; its status is `INFEASIBLE` where there is no plan.
    organic
        The column of `relevance`.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> floors = (oa.exposure(by="song") >= {"b": 1.0}).named("floors")
    >>> plan = oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1)))
    >>> curve = oa.limit_curve(plan, "floors", "b", [1, 2, 3])
    >>> [one.status.name for one in curve.solutions], curve.column("reached").tolist()
    (['SOLVED', 'SOLVED', 'INFEASIBLE'], [1.0, 2.0, 2.0])
    """

    base: Solution
    name: str
    label: Any
    sense: str
    points: tuple[float, ...]
    solutions: tuple[Solution, ...]
    organic: str

    def column(self, name: str) -> Floats:
        """(n_points,) one column: point, value, cost, relevance, total, price, reached or gap.

        `cost` is the value of the base less that of the point; `total` is what the group gets; `reached` is that, or
        for an infeasible point the total in the smallest relaxation of all limits. All others are NaN there.
        """
        if name not in _NUMBERS:
            raise ProblemError(f"limit_curve: there is no column {name!r}.{did_you_mean(name, _NUMBERS)}")
        return np.array([row[name] for row in self._rows], np.float64)

    def what_if(self, at: int) -> WhatIf:
        """The point with this position next to the base: who gains and who is displaced."""
        said = f"{self.name} of {self.label!r} is {self.sense} {number(self.points[at], 6)}"
        by = constraint_of(self._function).measure.by  # type: ignore[union-attr]  # it has a limit
        return WhatIf(self.base, self.solutions[at], (said,), self.organic, by[-1] if by else "")

    def to_frame(self, backend: str | None = None) -> Any:
        """One row per point: the columns of `column`, and `status`."""
        from oasis_alloc.data.frames import table

        columns: dict[str, Any] = {name: self.column(name) for name in _NUMBERS}
        columns["status"] = objects(one.status.name for one in self.solutions)
        return table(columns, backend or self.base.problem.candidates.backend)

    def to_dict(self) -> dict[str, Any]:
        """The curve as plain texts and numbers, for JSON; see `docs/json.md`."""
        rows = [
            {"status": one.status.name, **jsonable(row), "conflicts": [c.to_dict() for c in one.conflicts]}
            for row, one in zip(self._rows, self.solutions, strict=True)
        ]
        head = {"format": "oasis_alloc.limit_curve", "schema": SCHEMA, "name": self.name, "label": jsonable(self.label)}
        return {**head, "sense": self.sense, "organic": self.organic, "points": rows}

    @property
    def _function(self) -> Any:
        problem = self.base.problem
        return problem.functions[problem.names.index(self.name)]

    @cached_property
    def _rows(self) -> list[dict[str, float]]:
        group = self.base.problem.labels(self.name).index(self.label)
        rows = []
        for point, one in zip(self.points, self.solutions, strict=True):
            row = dict.fromkeys(_NUMBERS, np.nan) | {"point": point}
            if one.status.name != "INFEASIBLE":
                total = float(one.totals[self.name][group])
                row |= {"value": one.value, "cost": self.base.value - one.value, "total": total, "reached": total}
                row |= {"price": float(one.prices[self.name][group]), "gap": one.gap}
                row["relevance"] = column_total(one, self.organic)
            else:
                own = [c.reached for c in one.conflicts if c.constraint == self.name and c.label == self.label]
                row["reached"] = own[0] if own else np.nan
            rows.append(row)
        return rows

    def _parts(self) -> list[str | TextTable]:
        names = ("point", "value", "cost", self.organic, "total", "price")
        rows = []
        for row, one in zip(self._rows, self.solutions, strict=True):
            numbers = [row["relevance" if name == self.organic else name] for name in names]
            cells = ["-" if x != x else number(x, 7) for x in numbers]
            last = str(one.status)
            if one.status.name == "INFEASIBLE" and row["reached"] == row["reached"]:
                last += f", {number(row['reached'], 6)} can be reached"
            rows.append((*cells, last))
        table = TextTable((*names, "status"), "r" * len(names) + "l", rows)
        return [f"{self.name} of {self.label!r}, {self.sense} each point", table]


@suggesting
def limit_curve(
    solution: Solution,
    name: str,
    label: Any = None,
    points: Iterable[float] | None = None,
    *,
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int | None = None,
) -> LimitCurve:
    """Plans at several limits of one group of one constraint: the frontier of a single campaign's floor or cap.

    Parameters
    ----------
    solution
        The plan that the curve starts from.
    name
        The constraint, or soft constraint.
    label
        Its group; None for a constraint without keys.
    points
        Finite limits of at least 0 for exposures; None takes multiples from 0.5 to 2 of the stated limit, or of the
        group's total where it has no limit.
    gap, time_limit, threads
        As in `what_if`; the limit is for each point.

    Returns
    -------
    LimitCurve
        A point that no plan meets is a row with that status. The value is concave in the limit (Boyd and Vandenberghe,
        Convex Optimization, section 5.6.1), and `price` is its slope.

    Raises
    ------
    ProblemError
        Before the first solve: for unknown names and labels, no points, and points that are not finite or negative.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> floors = (oa.exposure(by="song") >= {"b": 1.0}).named("floors")
    >>> plan = oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1)))
    >>> print(oa.limit_curve(plan, "floors", "b", [0.5, 1.5, 3.0]))
    floors of 'b', >= each point
    <BLANKLINE>
    point  value   cost     r  total  price  status
      0.5   1.65  -0.05  1.65    0.5   -0.1  solved
      1.5    1.4    0.2   1.4    1.5   -0.4  solved
        3      -      -     -      -      -  infeasible, 2 can be reached
    """
    checked(solution, "limit_curve")
    problem = solution.problem
    band = constraint_of(problem.functions[problem.names.index(name)]) if name in problem.names else None
    if band is None:
        known = [one for one, f in zip(problem.names, problem.functions, strict=True) if constraint_of(f) is not None]
        raise ProblemError(f"limit_curve: no constraint with a limit is named {name!r}.{did_you_mean(name, known)}")
    labels = Labels(problem.labels(name))
    group = place_of(label, labels.places, labels, f"limit_curve: {name}")
    label = labels[group]
    if points is None:
        stated = float(spread(band.limit, labels, name, free=np.nan)[group])
        around = stated if stated == stated and stated != 0 else float(solution.totals[name][group])
        points = [factor * around for factor in _FACTORS]
    numbers = _checked(points)
    at = [changed(problem, {name: _limit(problem, name, label, point)}, None, None, None, None, None, "", None)[0]
          for point in numbers]  # fmt: skip
    solutions = tuple(solved_again(solution, one, gap, time_limit, threads) for one in at)
    return LimitCurve(solution, name, label, band.sense, tuple(numbers), solutions, organic_of(solution))


def _limit(problem: Any, name: str, label: Any, point: float) -> Any:
    """A limit of one group, or of a constraint without keys."""
    by = problem.functions[problem.names.index(name)].measure.by
    return {label: point} if by else point


def _checked(points: object) -> list[float]:
    given = [points] if as_number(points) is not None else points
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise ProblemError(f"limit_curve(points={shown(points)}): expected numbers, one per solve.")
    return finite_points(given, "limit_curve")
