"""The answer of `oa.quote`: what a campaign costs, between what bounds, who gives way, and what stops it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError, SolverError
from oasis_alloc.forecast.accepted import Accepted, accepted_problem
from oasis_alloc.forecast.displacement import Displaced
from oasis_alloc.forecast.quote_request import QuoteRequest
from oasis_alloc.forecast.quote_target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

TABLES = ("curve", "groups", "displaced", "gained", "limits")


class Bracket(NamedTuple):
    """A number between two that are proven, and the best guess between them."""

    low: float
    mid: float
    high: float


class Relevance(NamedTuple):
    """What the main column of the objective loses in the change that `displaced` shows."""

    column: str | None
    lost: float


class Availability(NamedTuple):
    """A label of the users: impressions of the campaign now, booked on top, and the most that slates have room for."""

    label: Any
    now: float
    booked: float
    most: float


class Limiting(NamedTuple):
    """A limit that stops the campaign (`units` impressions of exchanges) or that raises its price."""

    constraint: str
    label: Any
    price: float
    units: float


@dataclass(frozen=True, eq=False)
class SupplyCurve(ByFields):
    """Costs by impressions on top of the plan, (n_points,) each.

    `price` is that of the next impression at fixed prices of everything else, `cost_low` and `cost_high` are proven
    (`cost_high` is infinite where no allocation is known), and `relevance` estimates what the main column loses.
    """

    units: Floats
    price: Floats
    cost_low: Floats
    cost_high: Floats
    relevance: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Quote(ByFields):
    """The answer of `oa.quote` to one request; `print` shows it on one screen. `docs/quotes.md` explains it.

    Attributes
    ----------
    request, name, level
        What was asked; the campaign's name; "immediate" or "certified".
    units_now, units, floor
        Impressions in the plan, wanted on top, and the sum of both: what `accept()` promises.
    cost
        What the objective loses: `low` and `high` are proven, both infinite if the units cannot be delivered; `high`
        alone is infinite if no allocation that delivers them is known. `mid` is the best guess. For new items the cost
        may be negative: they may be worth more than what they displace.
    feasible
        True if an allocation delivers the units, False if it is proven that none does, None if that is open.
    price
        Price of the next impression, in units of the objective; infinite if there is none.
    relevance
        `column` and `lost`: what the main column of the objective loses in the change that `displaced` shows.
    max_units
        The most impressions on top of the plan: proven from both sides; `maximum()` closes the bracket.
    units_at_price
        Impressions on top whose price is at most `max_price` of the request; None if it has none.
    curve
        Costs from no impression to the maximum, as a `SupplyCurve`.
    groups
        `{key of the users: (label, now, booked, most) ...}`.
    displaced, gained
        (key, label, units) of items that lose or gain impressions, largest first. The rows of one key of the items with
        one label per item add up, with the empty slots that are filled, to what the campaign and others gain.
    limits
        (constraint, label, price, units) of limits that stop the campaign or raise its price, most important first.
    seconds, passes
        What the quote took.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> quote = oa.quote(solution, of={"song": "b"}, units=1)
    >>> round(quote.cost.low, 6), round(quote.cost.high, 6), quote.max_units.high, quote.displaced[0].label
    (0.1, 0.1, 2.0, 'a')
    """

    request: QuoteRequest
    name: str
    level: str
    units_now: float
    units: float
    cost: Bracket
    feasible: bool | None
    price: float
    relevance: Relevance
    max_units: Bracket
    units_at_price: float | None
    curve: SupplyCurve
    groups: Mapping[str, tuple[Availability, ...]]
    displaced: tuple[Displaced, ...]
    gained: tuple[Displaced, ...]
    limits: tuple[Limiting, ...]
    seconds: float
    passes: float
    solution: Solution
    _problem: Problem  # over the candidates with new items
    _target: Target
    _start: dict[str, Floats] | None = None  # prices by name of a certified quote; the campaign's own is under ""
    _threads: int | None = field(default=None)

    @property
    def floor(self) -> float:
        """Impressions in all: `units_now + units`."""
        return self.units_now + self.units

    def accept(self) -> Accepted:
        """The problem that includes the campaign, its promise being a floor, and a start: `problem` and `start`.

        `oa.solve(problem, start=start)` solves it. Raises `SolverError` if it is proven that the units cannot be
        delivered, and `ProblemError` for a quote without units.
        """
        if self.feasible is False:
            raise SolverError(
                f"quote {self.name!r}: {self.units:,.6g} more units cannot be delivered, so there is nothing to "
                f"accept; at most {self.max_units.high:,.6g} can."
            )
        if self.units <= 0.0:
            raise ProblemError(f"quote {self.name!r} has no units to promise; ask for units=...")
        problem = accepted_problem(self._problem, self._target, self.floor)
        if self._start is None:
            return Accepted(problem, self.solution)
        name = problem.names[len(self._problem.subject_to)]
        numbers = {**self._start, name: self._start[""]}
        start: dict[str, dict[Any, float]] = {}
        for key in set(numbers) & set(problem.names):
            labels = problem.labels(key)
            own = numbers[key] if key != name else np.zeros(len(labels))
            start[key] = dict(zip(labels, own.tolist(), strict=True))
        if self._target.group is not None:
            start[name][self._target.group[1]] = float(self._start[""][0])
        else:
            start[name] = dict.fromkeys(start[name], float(self._start[""][0]))
        return Accepted(problem, start)

    def maximum(self, gap: float = 1e-4) -> Bracket:
        """Prove the most impressions on top of the plan, to `gap` as a share of the campaign's impressions.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2, 3], [0, 1, 1], {"r": [0.9, 0.5, 0.7]}, items={"song": ["a", "b"]})
        >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
        >>> round(oa.quote(solution, of={"song": "b"}).maximum().high, 6)
        1.0
        """
        from oasis_alloc.forecast.maximum import proven_maximum

        return proven_maximum(self.solution, self._target, gap, self._threads)

    def report(self) -> str:
        """The quote on one screen of text; `print(quote)` shows the same."""
        from oasis_alloc.forecast.quote_report import report

        return report(self)

    __str__ = report

    def __repr__(self) -> str:
        cost = f"cost {self.cost.low:.6g} to {self.cost.high:.6g}"
        return f"Quote({self.name!r}, {self.level}, {self.units:,.6g} units, {cost})"

    def _repr_html_(self) -> str:
        from oasis_alloc.forecast.quote_report import report_html

        return report_html(self)

    def to_frame(self, table: str = "curve", backend: str | None = None) -> Any:
        """One table of the quote as a frame: "curve", "groups", "displaced", "gained" or "limits".

        `backend` is as in `Solution.to_frame`. Raises `ProblemError` for another table.
        """
        from oasis_alloc.data.frames import table as frame
        from oasis_alloc.forecast.quote_report import columns_of

        if table not in TABLES:
            raise ProblemError(f"to_frame({table!r}): a quote has no such table.{did_you_mean(table, TABLES)}")
        return frame(columns_of(self, table), backend or self.solution.problem.candidates.backend)

    def to_dict(self) -> dict[str, Any]:
        """The quote as plain texts and numbers, for JSON: `oasis_alloc.quote` in `docs/json.md`."""
        from oasis_alloc.forecast.quote_document import document_of

        return document_of(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the supply curve: what units cost, between what is proven; returns matplotlib's Axes (extra `plot`)."""
        from oasis_alloc.forecast.quote_plot import plot

        return plot(self, ax)

    @property
    def is_proven(self) -> bool:
        """Whether the cost is known on both sides: units that can be delivered, or that it is proven cannot."""
        return self.feasible is False or math.isfinite(self.cost.high)


class Quotes(list[Quote]):
    """The answers to a list of requests, in their order; `print` shows a row per quote.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> asked = [oa.QuoteRequest(of={"song": song}, units=0) for song in "ab"]
    >>> [quote.units_now for quote in oa.quote(solution, asked)]
    [1.0, 0.0]
    """

    def __str__(self) -> str:
        from oasis_alloc.forecast.quote_report import list_report

        return list_report(self)

    def _repr_html_(self) -> str:
        from oasis_alloc.forecast.quote_report import list_html

        return list_html(self)

    def to_frame(self, backend: str | None = None) -> Any:
        """A frame with one row per quote: name, level, feasible (yes, no, open), units, cost, price and maximum."""
        from oasis_alloc.data.frames import table as frame
        from oasis_alloc.forecast.quote_report import columns_of_list

        known = self[0].solution.problem.candidates.backend if self else None
        return frame(columns_of_list(self), backend or known)

    def to_dict(self) -> dict[str, Any]:
        """The quotes as a document: `oasis_alloc.quotes` in `docs/json.md`."""
        return {"format": "oasis_alloc.quotes", "schema": 1, "quotes": [quote.to_dict() for quote in self]}
