"""What a priced score is made of: every column's part, and every price by constraint and group."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.serving.data import ConstraintPrices, Floats, PolicyData, Term
from oasis_alloc.serving.formula import Membership

Groups = dict[tuple[int, ...], list[int]]


@dataclass(frozen=True, slots=True)
class Part:
    """One summand of a priced score.

    `kind` is "column" or "constant" of the objective, "price" of a constraint or function (`name`) for a group, or
    "rounding". A price that is paid is an amount below 0, a bonus one above. `column` is what was counted, None for
    exposure; `price` is the group's, and `use` how much of its total one showing of this candidate adds.
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


class Ledger:
    """Finds the parts of scores: which constraints a candidate counts in, and in which of their groups."""

    def __init__(self, data: PolicyData) -> None:
        self.data = data
        self._rows: dict[tuple[int, int], Groups] = {}

    def parts(
        self, keys: Mapping[str, Membership], row: int, user: tuple[int, ...], values: Floats, score: float
    ) -> tuple[Part, ...]:
        """The parts of one candidate, which add up to its score exactly: `math.fsum` of the amounts is the score.

        `keys` and `row` say what labels it has, `values` its columns in the policy's order. Each amount is rounded as
        a product is; what is left between their sum and the score, which was rounded operation by operation, is some
        units in the last place of the score and goes into the largest part that takes it.
        """
        data, place = self.data, {name: k for k, name in enumerate(self.data.columns)}
        out = []
        for column, weight in data.weights:
            if column is None:
                out.append(Part("constant", "constant", weight))
            else:
                out.append(Part("column", column, weight * float(values[place[column]]), column, use=weight))
        codes = dict(zip(data.user_keys, ((code,) for code in user), strict=True))
        lists = {key: tuple(of[indptr[row] : indptr[row + 1]].tolist()) for key, (indptr, of) in keys.items()}
        for number, constraint in enumerate(data.constraints):
            for which, coefficient in constraint.terms:
                term = data.terms[which]
                counted = 1.0 if term.column is None else float(values[place[term.column]])
                labels = [
                    lists[key] if key in lists else tuple(code for code in codes[key] if code >= 0)
                    for key in term.keys
                ]  # fmt: skip
                rows = self._groups(number, which, constraint, term)
                for group in itertools.product(*labels):
                    price = math.fsum(float(constraint.price[r]) for r in rows.get(group, ()))
                    if price:
                        use = coefficient * counted
                        label = data.label(term.keys, np.array(group, np.int32))
                        out.append(Part("price", constraint.name, -price * use, term.column, label, price, use))
        return exact(out, score)

    def _groups(self, number: int, which: int, constraint: ConstraintPrices, term: Term) -> Groups:
        """Rows of a constraint by the group of one of its terms; a term of fewer keys has several rows a group."""
        found = self._rows.get((number, which))
        if found is None:
            found = {}
            codes = constraint.groups[:, [constraint.keys.index(key) for key in term.keys]]
            for row, group in enumerate(map(tuple, codes.tolist())):
                found.setdefault(group, []).append(row)
            self._rows[number, which] = found
        return found


def exact(parts: Sequence[Part], score: float) -> tuple[Part, ...]:
    """The parts with one of them, the largest that can, changed so that `math.fsum` of all is the score."""
    amounts = [part.amount for part in parts]
    if math.fsum(amounts) == score:
        return tuple(parts)
    for k in sorted(range(len(parts)), key=lambda k: -abs(amounts[k])):
        others = amounts[:k] + amounts[k + 1 :]
        amount = math.fsum([score, *(-other for other in others)])
        if amounts[k] and math.fsum([*others, amount]) == score:
            changed = Part(**{**{f: getattr(parts[k], f) for f in Part.__slots__}, "amount": amount})
            return (*parts[:k], changed, *parts[k + 1 :])
    # parts that nearly cancel are all coarser than the score: what is left is a part of its own, and exact
    return (*parts, Part("rounding", "rounding", math.fsum([score, *(-amount for amount in amounts)])))
