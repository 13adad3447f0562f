"""The constraints that conflict if no allocation meets all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats

if TYPE_CHECKING:
    from oasis_alloc.program.program import Program

_FELT = 1e-9  # share of the largest price from which a limit is part of a conflict


@dataclass(frozen=True)
class Conflict:
    """One group of one constraint that takes part in a conflict.

    Attributes
    ----------
    constraint, label
        Name of the constraint and label of the group.
    limit
        The limit on the group's total.
    reached
        The group's total in an allocation whose total relaxation of all limits is smallest.
    give
        By how much this limit is relaxed in that allocation, in its own unit; 0 for a limit that is part of the
        conflict but is met.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> print(oa.Conflict("delivery", "song 7", ">=", 500.0, 320.0, 180.0))
    delivery, group 'song 7': requires >= 500, can reach 320; relax it by 180
    """

    constraint: str
    label: Any
    sense: str
    limit: float
    reached: float
    give: float

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain texts and numbers, for JSON; see `docs/json.md`."""
        return cast(dict[str, Any], jsonable(self))

    def __str__(self) -> str:
        group = "" if self.label is None else f", group {self.label!r}"
        if self.give > 0:
            return (
                f"{self.constraint}{group}: requires {self.sense} {self.limit:,.6g}, can reach {self.reached:,.6g}; "
                f"relax it by {self.give:,.6g}"
            )
        return f"{self.constraint}{group}: {self.sense} {self.limit:,.6g} is met, but leaves no room for the others"


def conflicts_of(
    program: Program, totals: Floats, prices: Floats, tolerance: Floats, weights: Floats
) -> tuple[Conflict, ...]:
    """Groups whose limits the least relaxation misses (most weighted units first), then those at which it binds.

    `tolerance`, by row, is the miss that counts as met; `prices` are the relaxation's, `weights` the weight of a unit.
    """
    largest = float((np.abs(prices) * program.row_scale).max(initial=0.0))  # in units of scores, for any units of rows
    missed: list[tuple[float, Conflict]] = []
    blocking: list[Conflict] = []
    for block in program.blocks:
        if not block.function.is_constraint:
            continue
        lower, upper, _ = block.function.band()
        here, price = totals[block.rows], prices[block.rows]
        excess, met = block.function.excess(here), tolerance[block.rows]
        felt = np.abs(price) * program.row_scale[block.rows]
        limited = np.isfinite(lower) | np.isfinite(upper)
        for g in np.flatnonzero(limited & ((excess > met) | (felt > _FELT * largest))):
            above = here[g] > upper[g] or (excess[g] <= met[g] and price[g] > 0)
            sense = "==" if lower[g] == upper[g] else ("<=" if above else ">=")
            give = float(excess[g]) if excess[g] > met[g] else 0.0
            limit = float(upper[g] if above else lower[g])
            conflict = Conflict(block.name, block.labels[int(g)], sense, limit, float(here[g]), give)
            if give:
                missed.append((give * float(weights[block.rows][g]), conflict))
            else:
                blocking.append(conflict)
    missed.sort(key=lambda one: -one[0])
    return tuple([conflict for _, conflict in missed] + blocking)
