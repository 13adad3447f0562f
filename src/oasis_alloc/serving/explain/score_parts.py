"""The parts of a priced score: every column's part, and every price by constraint and group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.serving.data import Codes, PolicyData
from oasis_alloc.serving.formula import Membership

Prices = dict[tuple[int, ...], tuple[float, Any]]
"""{codes of a group: (price, label)} of the groups that have a price."""


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One summand of a priced score.

    `kind` is "column" or "constant" of the objective, "price" of a constraint or function (`name`) for a group, or
    "rounding". A price paid is an amount below 0, a bonus above 0. `column` is the column counted, None for exposure;
    `price` is the group's, and `use` is the amount that one showing of this candidate adds to its total.
    """

    kind: str
    name: str
    amount: float
    column: str | None = None
    group: Any = None
    price: float = 0.0
    use: float = 0.0

    def __str__(self) -> str:
        if self.kind != "price":
            return f"{self.amount:+.4g} {self.name}"
        return f"{self.amount:+.4g} for {self.name!r}" + ("" if self.group is None else f" of {self.group!r}")


class ScoreParts:
    """Finds the parts of scores: which constraints a candidate counts in, and in which of their groups."""

    def __init__(self, data: PolicyData) -> None:
        self.data = data
        self._paid: dict[tuple[int, int], Prices] = {}

    def parts(
        self, keys: Mapping[str, Membership], rows: Sequence[int], user: tuple[int, ...], columns: Floats,
        scores: Sequence[float],
    ) -> list[tuple[ScorePart, ...]]:  # fmt: skip
        """The parts of every candidate, which add up to its score exactly: `math.fsum` of the amounts is the score.

        `keys` and `rows` give their labels, `columns` are the policy's, in its order. Each amount is rounded as a
        product. The remaining difference to the score, which was rounded operation by operation, is a few units in the
        last place of the score; it is added to the largest part that can hold it.
        """
        data = self.data
        values = {name: column.tolist() for name, column in zip(data.columns, columns, strict=True)}
        of_user = {key: (code,) if code >= 0 else () for key, code in zip(data.user_keys, user, strict=True)}
        terms = [
            (constraint.name, data.terms[which], coefficient, self._prices(number, which))
            for number, constraint in enumerate(data.constraints)
            for which, coefficient in constraint.terms
        ]
        used = {key for _, term, _, _ in terms for key in term.keys if key in keys}
        of_item = {key: [tuple(codes) for codes in _lists(*keys[key], rows)] for key in used}
        out = []
        for i, score in enumerate(scores):
            parts = []
            for column, weight in data.weights:
                if column is None:
                    parts.append(ScorePart("constant", "constant", weight))
                else:
                    parts.append(ScorePart("column", column, weight * values[column][i], column, use=weight))
            for name, term, coefficient, prices in terms:
                labels = [of_item[key][i] if key in of_item else of_user[key] for key in term.keys]
                for group in itertools.product(*labels):
                    if group in prices:
                        price, label = prices[group]
                        use = coefficient * (1.0 if term.column is None else values[term.column][i])
                        parts.append(ScorePart("price", name, -price * use, term.column, label, price, use))
            out.append(exact(parts, score))
        return out

    def _prices(self, number: int, which: int) -> Prices:
        """The prices of the groups of a constraint's term: terms with fewer keys have several rows per group."""
        found = self._paid.get((number, which))
        if found is None:
            constraint, term = self.data.constraints[number], self.data.terms[which]
            rows: dict[tuple[int, ...], list[float]] = {}
            codes = constraint.groups[:, [constraint.keys.index(key) for key in term.keys]]
            for group, price in zip(map(tuple, codes.tolist()), constraint.price.tolist(), strict=True):
                if price:
                    rows.setdefault(group, []).append(price)
            found = {}
            for group, prices in rows.items():
                if total := math.fsum(prices):
                    found[group] = total, self.data.label(term.keys, np.array(group, np.int32))
            self._paid[number, which] = found
        return found


def _lists(indptr: Ints, codes: Codes, rows: Sequence[int]) -> list[list[int]]:
    """The codes of some rows."""
    return [codes[indptr[row] : indptr[row + 1]].tolist() for row in rows]


def exact(parts: Sequence[ScorePart], score: float) -> tuple[ScorePart, ...]:
    """The parts with one of them, the largest that can, adjusted so that `math.fsum` of all is the score."""
    amounts = [part.amount for part in parts]
    if math.fsum(amounts) == score:
        return tuple(parts)
    for k in sorted(range(len(parts)), key=lambda k: -abs(amounts[k])):
        others = amounts[:k] + amounts[k + 1 :]
        amount = math.fsum([score, *(-other for other in others)])
        if amounts[k] and math.fsum([*others, amount]) == score:
            changed = ScorePart(**{**{f: getattr(parts[k], f) for f in ScorePart.__slots__}, "amount": amount})
            return (*parts[:k], changed, *parts[k + 1 :])
    # parts that nearly cancel are all coarser than the score: the rest is a separate part, and exact
    return (*parts, ScorePart("rounding", "rounding", math.fsum([score, *(-amount for amount in amounts)])))
