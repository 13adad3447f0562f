"""What a delivery uses of the goals: from the showings of a request, or from amounts by label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.rows import Rows, Uses
from oasis_alloc.serving.formula import Formula


class Usage(NamedTuple):
    """Amounts by row of the plan's goals; made by `pacer.usage(...)`."""

    rows: Ints
    amounts: Floats


class Labels:
    """Finds the goals of labels."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._of: dict[Any, list[int]] = {}
        for row, goal in enumerate(rows.goals):
            self._of.setdefault(same(goal.label), []).append(row)

    def row(self, what: str, label: Any) -> int:
        """The one goal of a label."""
        found = self._of.get(same(label), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{what}: {shown(label)} has {len(found)} goals on several measures; pass what pacer.usage(...) "
                "returns."
            )
        known = [goal.label for goal in self.rows.goals]
        near = did_you_mean(label, [one for one in known if isinstance(one, str)]) if isinstance(label, str) else ""
        raise InputError(f"{what}: the plan has no goal of {shown(label)}.{near}")

    def usage(self, what: str, given: object) -> Usage:
        """What an event says it used."""
        if isinstance(given, Usage):
            return given
        if not isinstance(given, Mapping):
            raise InputError(
                f"{what}: expected {{label: amount}} or what pacer.usage(...) returns, got {type(given).__name__}."
            )
        rows, amounts = [], []
        for label, amount in given.items():
            number = as_real(amount)
            if number is None or not math.isfinite(number) or number < 0:
                raise InputError(
                    f"{what}: the amount of {shown(label)} is {shown(amount)}; expected a finite number >= 0."
                )
            rows.append(self.row(what, label))
            amounts.append(number)
        return Usage(np.array(rows, np.int64), np.array(amounts, np.float64))

    def array(self, what: str, given: Mapping[Any, float]) -> Floats:
        """(n,) amounts of all goals, 0 for labels that are not named."""
        out = np.zeros(self.rows.n)
        rows, amounts = self.usage(what, given)
        out[rows] = amounts
        return out


def _whole(name: str, given: Any) -> Ints:
    found = np.asarray(given)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise InputError(
            f"usage({name}): got {found.dtype} of shape {found.shape}; expected whole numbers of shape (n,)."
        )
    return found.astype(np.int64)


def _number(columns: Mapping[str, Any], name: str, i: int) -> float:
    column = columns[name]
    number = as_real(column[i]) if np.ndim(column) == 1 and i < len(column) else None
    if number is None or not math.isfinite(number):
        raise InputError(
            f"usage(columns): row {i} of {name!r} is not a finite number; expected one number per candidate."
        )
    return number


def of_slate(rows: Rows, formula: Formula, uses: Uses, positions: Any, items: Any, columns: Mapping[str, Any]) -> Usage:
    """What showing these positions of a request uses."""
    at, numbers = _whole("positions", positions), _whole("items", items)
    n_items = formula.class_of.size - 1  # the last entry is of unseen items
    if numbers.size and (numbers.min() < -1 or numbers.max() >= n_items):
        raise InputError(f"usage(items): from {numbers.min()} to {numbers.max()}; expected -1 or [0, {n_items}).")
    if at.size and (at.min() < 0 or at.max() >= numbers.size):
        raise InputError(f"usage(positions): from {at.min()} to {at.max()}; expected positions in [0, {numbers.size}).")
    classes = formula.class_of[numbers[at]].astype(np.int64)  # -1 reads the last one, of unseen items
    total: dict[int, float] = {}
    names = rows.data.columns
    for i, c in zip(at.tolist(), classes.tolist(), strict=True):
        for e in range(uses.indptr[c], uses.indptr[c + 1]):
            row, column = int(uses.cells[0, e]), int(uses.cells[1, e])
            if column >= 0 and names[column] not in columns:
                raise InputError(f"usage(columns): {names[column]!r} is missing; the plan counts it.")
            factor = 1.0 if column < 0 else _number(columns, names[column], i)
            total[row] = total.get(row, 0.0) + float(uses.amount[e]) * factor
    return Usage(np.array(list(total), np.int64), np.array(list(total.values()), np.float64))
