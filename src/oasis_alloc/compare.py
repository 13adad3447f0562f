"""Two solutions next to each other: what changed in value, totals, prices and slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, cut, number, signed
from oasis_alloc.errors import ProblemError
from oasis_alloc.results.answer import by_label
from oasis_alloc.results.documents import SCHEMA
from oasis_alloc.results.naming import keys_by_name, named
from oasis_alloc.results.price_list import SIGNS_IN_WORDS
from oasis_alloc.solution import Solution
from oasis_alloc.statement.stay_close import Earlier

_ROWS = 12  # maximum number of printed rows per kind


@dataclass(frozen=True)
class Difference:
    """One group of one constraint or function in two solutions; NaN if a solution does not have it."""

    name: str
    label: Any
    before: float
    after: float

    @property
    def change(self) -> float:
        """`after - before`."""
        return self.after - self.before


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Printed, ByFields):
    """The differences between two solutions; made by `compare`. `print` shows them on one screen, a notebook as tables.

    Labels have the names that `Solution.with_names` gave to either solution.

    Attributes
    ----------
    before, after
        The two solutions.
    churn
        Share of the slots of `after` that `before` did not have, as `after.churn(before)`.
    totals, prices
        One `Difference` per group that at least one of them has, in the order of the statement.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]}, items={"song": ["a", "b"]})
    >>> before = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> after = oa.solve(oa.Problem(cands, oa.total("r"), [oa.exposure(by="song") <= {"a": 0.0}], oa.Slate(1)))
    >>> oa.compare(before, after).churn_by("song")
    {'b': 1.0}
    """

    before: Solution
    after: Solution

    @cached_property
    def churn(self) -> float:
        """Share of the slots of `after` that `before` did not have, in [0, 1]."""
        return self.after.churn(self.before)

    def churn_by(self, key: str | tuple[str, ...]) -> dict[Any, float]:
        """`{label: share}`: the share of the slots of each group in `after` that `before` did not have.

        Groups without slots are left out. Raises `ProblemError` for a key that the candidates do not have.
        """
        candidates = self.after.problem.candidates
        grouping = candidates.grouping(key)
        kept = Earlier.of(self.before, "churn_by").probability(candidates, self.after.pairs)
        slots = grouping.totals(candidates, self.after.pairs, self.after.x)
        same = grouping.totals(candidates, self.after.pairs, np.minimum(kept, self.after.x))
        return {
            label: max(0.0, 1.0 - float(same[g] / slots[g])) for g, label in enumerate(grouping.labels) if slots[g] > 0
        }

    @cached_property
    def totals(self) -> list[Difference]:
        """Totals of every group in both."""
        before, after = self.before, self.after
        return list(_differences(by_label(before.problem, before.totals), by_label(after.problem, after.totals)))

    @cached_property
    def prices(self) -> list[Difference]:
        """Prices of every group in both."""
        return list(_differences(self.before.prices_by_label, self.after.prices_by_label))

    def crossed(self) -> tuple[float, float]:
        """(worth of `before` at the prices of `after`, worth of `after` at the prices of `before`).

        The worth of an allocation at prices is the sum of `x` times the priced score. If an allocation is worth nearly
        as much at the other's prices as the other one, it would serve those limits nearly as well. Raises
        `ProblemError` if the two problems do not have the same pairs.
        """
        first, second = self.before.problem.candidates, self.after.problem.candidates
        same = first is second or (
            np.array_equal(first.indptr, second.indptr) and np.array_equal(first.item, second.item)
        )
        if not same:
            raise ProblemError(
                "crossed(): the two solutions have different pairs; expected two problems with the same pairs."
            )
        return _worth(self.before, self.after), _worth(self.after, self.before)

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain texts and numbers, for JSON; see `docs/json.md`."""
        return {
            "format": "oasis_alloc.comparison",
            "schema": SCHEMA,
            "churn": jsonable(self.churn),
            "value": [jsonable(self.before.value), jsonable(self.after.value)],
            "totals": [_document(one) for one in self.totals],
            "prices": [_document(one) for one in self.prices],
        }

    def _parts(self) -> list[str | TextTable]:
        change = self.after.value - self.before.value
        head = [
            ("value", number(self.before.value, 8), number(self.after.value, 8), signed(change)),
            ("slots changed", "", "", f"{100 * self.churn:.1f} %"),
        ]
        parts: list[str | TextTable] = [TextTable(("", "before", "after", "change"), "lrrr", head)]
        for what, found in (("largest changes of totals", self.totals), ("largest changes of prices", self.prices)):
            moved = sorted((one for one in found if one.change != 0), key=lambda one: -_size(one))
            if moved:
                rows = [
                    (cut(self._heading(one), 48), number(one.before, 6), number(one.after, 6), signed(one.change))
                    for one in moved[:_ROWS]
                ]
                more = f"... and {len(moved) - _ROWS:,} more" if len(moved) > _ROWS else ""
                parts.append(TextTable((what, "before", "after", "change"), "lrrr", rows, more))
                if found is self.prices:
                    parts.append(SIGNS_IN_WORDS)
        return parts

    def _heading(self, one: Difference) -> str:
        """The name of a group, with the names of its labels."""
        if one.label is None:
            return one.name
        keys = keys_by_name(self.before.problem) | keys_by_name(self.after.problem)
        names = self.before.label_names | self.after.label_names
        return f"{one.name} {named(keys.get(one.name, ()), one.label, names)}"

    def __repr__(self) -> str:
        return f"Comparison(churn={self.churn:.4g}, value {self.before.value:.8g} -> {self.after.value:.8g})"


@suggesting
def compare(before: Solution, after: Solution) -> Comparison:
    """Compare two solutions: totals and prices by label, slots that changed, worth at the other's prices.

    The problems may have other limits, weights or candidates: groups are matched by the name of their constraint and by
    label, and pairs by the ids of users and items.

    Raises
    ------
    ProblemError
        For anything but two solutions that have an allocation, and for ids of another type.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> def solved(cap):
    ...     caps = (oa.exposure(by="song") <= {"a": cap}).named("caps")
    ...     return oa.solve(oa.Problem(cands, oa.total("r"), [caps], oa.Slate(1)))
    >>> both = oa.compare(solved(2.0), solved(1.0))
    >>> both
    Comparison(churn=0.5, value 1.7 -> 1.6)
    >>> [(one.label, one.before, one.after) for one in both.totals]
    [('a', 2.0, 1.0), ('b', 0.0, 1.0)]
    """
    for which, solution in (("before", before), ("after", after)):
        if not isinstance(solution, Solution):
            raise ProblemError(f"compare({which}=...): expected an oa.Solution, got {type(solution).__name__}.")
        solution.raise_if_infeasible()
    return Comparison(before, after)


def _differences(before: dict[str, dict[Any, float]], after: dict[str, dict[Any, float]]) -> Iterator[Difference]:
    for name, numbers in after.items():
        old = before.get(name, {})
        for label, number_after in numbers.items():
            yield Difference(name, label, old.get(label, np.nan), number_after)
    for name, numbers in before.items():
        new = after.get(name, {})
        for label, number_before in numbers.items():
            if label not in new:
                yield Difference(name, label, number_before, np.nan)


def _worth(allocation: Solution, prices: Solution) -> float:
    return float(prices.scores()[allocation.pairs] @ allocation.x)


def _document(one: Difference) -> dict[str, Any]:
    numbers = {"before": jsonable(one.before), "after": jsonable(one.after)}
    return {"name": one.name, "label": jsonable(one.label), **numbers}


def _size(one: Difference) -> float:
    size = abs(one.change) / max(abs(one.before), abs(one.after), 1e-300)
    return float("inf") if np.isnan(size) else size
