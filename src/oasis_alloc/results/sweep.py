"""The part of a problem that a frontier varies (one weight or one limit), and the objective's parts without weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.checks import as_flag
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import as_number
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import Answer, supply_weighted
from oasis_alloc.statement.functions.band import Band, distance
from oasis_alloc.statement.functions.base import BoundFunction, Function
from oasis_alloc.statement.measures import Measure
from oasis_alloc.statement.objective import Objective


@dataclass(frozen=True, eq=False)
class SweepParameter(ABC):
    """A weight or a limit of `problem` that is replaced by numbers, or multiplied by them (`scale`)."""

    problem: Problem
    name: str  # its name in prices at every point; for a total, its text
    scale: bool
    place: int

    words: ClassVar[str]

    @abstractmethod
    def at(self, point: float) -> Problem:
        """The problem at this point."""

    def slope(self, solution: Answer) -> float | None:
        """For a limit: the derivative of the value by the point."""
        return None

    @property
    def stated(self) -> float:
        """The point at which the problem itself stands."""
        return 1.0 if self.scale else self._own

    @property
    @abstractmethod
    def _own(self) -> float:
        """The weight or limit that the problem states; NaN where that is not one number."""


class TotalWeight(SweepParameter):
    """The weight of a total in the objective's linear part."""

    words = "weight"

    def at(self, point: float) -> Problem:
        objective = self.problem.maximize
        assert objective.linear is not None  # it has the term
        terms = list(objective.linear.terms)
        old = terms[self.place]
        # a weight of 0 stays in the objective, so that the total is still among the parts
        terms[self.place] = replace(old, coefficient=point * old.coefficient if self.scale else point)
        return self.problem.replace(maximize=Objective(Measure(tuple(terms)), objective.functions))

    @property
    def _own(self) -> float:
        assert self.problem.maximize.linear is not None  # it has the term
        return self.problem.maximize.linear.terms[self.place].coefficient


class FunctionWeight(SweepParameter):
    """The weight of a function of the objective; `place` is its index there."""

    words = "weight"

    def at(self, point: float) -> Problem:
        objective = self.problem.maximize
        function = objective.functions[self.place]
        weight = point * function.weight if self.scale else point
        turned = () if weight == 0 else (function.weighted(weight / function.weight).named(self.name),)
        functions = (*objective.functions[: self.place], *turned, *objective.functions[self.place + 1 :])
        if objective.linear is None and not functions:
            raise ProblemError("with weight 0 there is nothing to maximize.")
        return self.problem.replace(maximize=Objective(objective.linear, functions))

    @property
    def _own(self) -> float:
        return self.problem.maximize.functions[self.place].weight


class ConstraintLimit(SweepParameter):
    """The limit of a constraint or soft constraint; `place` is its index in `subject_to`."""

    words = "limit"

    def at(self, point: float) -> Problem:
        given = list(self.problem.subject_to)
        function = given[self.place]
        band = constraint_of(function)
        assert band is not None  # checked by `varied`
        limit: Any = point
        if self.scale and isinstance(band.limit, dict):
            limit = {label: None if np.isnan(number) else point * number for label, number in band.limit.items()}
        elif self.scale:
            limit = point * band.limit
        given[self.place] = with_limit(function, limit).named(self.name)
        return self.problem.replace(subject_to=given)

    @property
    def _own(self) -> float:
        band = constraint_of(self.problem.subject_to[self.place])
        return float(band.limit) if band is not None and isinstance(band.limit, float) else float(np.nan)

    def slope(self, solution: Answer) -> float:
        prices = solution.prices[self.name]
        if not self.scale:
            return float(prices.sum())
        lower, upper, _ = self.problem.bound[self.place].band()
        limit = np.where(np.isfinite(upper), upper, lower)
        return float(prices[prices != 0] @ limit[prices != 0])


def varied(problem: Problem, vary: str, scale: bool) -> SweepParameter:
    """Find what `vary` names in the problem: a constraint or function by its name, else a total by its text."""
    if not isinstance(vary, str):
        raise ProblemError(
            f"frontier(vary={vary!r}): expected the name of a constraint or function, or the text of a total."
        )
    as_flag(scale, "scale", "frontier", ProblemError)
    constraints, functions = len(problem.subject_to), problem.maximize.functions
    for place, name in enumerate(problem.names):
        if vary == name and place < constraints:
            return _limit(problem, name, scale, place)
        if vary == name or (place >= constraints and vary == without_weight(functions[place - constraints])):
            return FunctionWeight(problem, name, scale, place - constraints)
    linear = problem.maximize.linear
    terms = linear.terms if linear is not None else ()
    for place, term in enumerate(terms):
        if vary in (str(term), f"{term.coefficient:g} * {term}", term.column):
            if scale and term.coefficient == 0.0:
                raise ProblemError(f"frontier(vary={vary!r}, scale=True): its weight is 0, and no factor changes that.")
            return TotalWeight(problem, str(term), scale, place)
    known = [*problem.names, *map(str, terms)]
    raise ProblemError(f"frontier: nothing in the problem is named {vary!r}.{did_you_mean(vary, known)}")


def _limit(problem: Problem, name: str, scale: bool, place: int) -> ConstraintLimit:
    band = constraint_of(problem.subject_to[place])
    if band is None:
        raise ProblemError(f"frontier: {name!r} has no limit to vary; expected a constraint such as m <= 3.")
    if not scale and not isinstance(band.limit, float):
        raise ProblemError(
            f"frontier(vary={name!r}): its limits are by group, and a point is one number. With scale=True each point "
            "multiplies them all."
        )
    numbers = list(band.limit.values()) if isinstance(band.limit, dict) else band.limit
    if scale and not np.any(numbers):
        raise ProblemError(f"frontier(vary={name!r}, scale=True): its limit is 0, and no factor changes that.")
    return ConstraintLimit(problem, name, scale, place)


def constraint_of(function: Function) -> Band | None:
    """The constraint that holds a function's limit: itself, or a soft one's own."""
    band = getattr(function, "constraint", function)
    return band if isinstance(band, Band) else None


def with_limit(function: Function, limit: Any) -> Any:
    """The same constraint or soft constraint with another limit."""
    band = constraint_of(function)
    assert band is not None  # checked by the caller
    moved = replace(Band.of(band.measure, band.sense, limit), given_name=band.given_name)
    return moved if function is band else replace(function, constraint=moved)  # type: ignore[call-arg]  # soft


def without_weight(function: Function) -> str:
    """The name of a function of the objective, or its text with weight 1."""
    if function.name != str(function) or function.weight == 1.0:
        return function.name
    return str(function.weighted(1.0 / function.weight))


def parts_without_weights(problem: Problem, solution: Answer) -> Iterator[tuple[str, float]]:
    """The amount of each part of the objective of `problem`, in its solution or one with other weights or limits.

    Totals, values of functions, and the units by which soft constraints are missed; nan if there is no allocation.
    """
    none = solution.status.name == "INFEASIBLE"
    linear, x = problem.maximize.linear, supply_weighted(solution)
    for term in linear.terms if linear is not None else ():
        column: Any = 1.0
        if term.column is not None:
            column = problem.candidates.columns[term.column][solution.pairs].astype(np.float64)
        yield str(term), np.nan if none else float(np.sum(column * x))
    bound = dict(zip(solution.problem.names, solution.problem.bound, strict=True))  # with the solution's own limits
    weight = {name: f.weight for name, f in zip(solution.problem.names, solution.problem.functions, strict=True)}
    for name, function, stated in zip(problem.names, problem.functions, problem.bound, strict=True):
        if stated.is_constraint:
            continue
        heading = name if function.in_constraints else without_weight(function)
        if none:
            yield heading, np.nan
        elif name in bound:
            yield heading, _got(function, bound[name], solution.totals[name]) / weight[name]
        else:  # its weight is 0 here, so the solution has no totals for it
            yield heading, _got(function, stated, _totals(problem, name, solution)) / function.weight


def _got(function: Function, bound: BoundFunction, totals: Floats) -> float:
    if function.in_constraints:  # a soft constraint: the amount by which it is missed
        lower, upper, _ = bound.band()
        return float(distance(totals, lower, upper).sum())
    return bound.value(totals)


def _totals(problem: Problem, name: str, solution: Answer) -> Floats:
    from oasis_alloc.engines import engine_for
    from oasis_alloc.program.lowering import lower

    program = lower(problem, unweighted=True)
    with engine_for(program, 1) as engine:
        _, totals = engine.add_up(solution.pairs, supply_weighted(solution))
    return totals[next(block.rows for block in program.blocks if block.name == name)]


def finite_points(given: Iterable[object], what: str) -> list[float]:
    """The points of a sweep as numbers; `ProblemError`, which begins with `what`, for no points and what is no number.

    >>> finite_points([1, 2.5], "frontier")
    [1.0, 2.5]
    """
    points: list[float] = []
    for k, one in enumerate(given):
        number = as_number(one)
        if number is None or not np.isfinite(number):
            raise ProblemError(f"{what}: point {k} is {shown(one)}; expected finite numbers.")
        points.append(number)
    if not points:
        raise ProblemError(f"{what}(points=[]): there is nothing to solve; expected one number or more.")
    return points
