"""Bound, gap and violation of an answer, and which demands conflict where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.functions.base import Floats

if TYPE_CHECKING:
    from oasis_alloc.program import Program


@dataclass(frozen=True)
class Conflict:
    """One group of one constraint that takes part in a conflict.

    Attributes
    ----------
    constraint, label
        Name of the constraint and label of the group.
    limit
        What is asked for, as a limit on the group's total.
    reached
        The total in an allocation that relaxes all demands together by the least.
    give
        By how much this limit would have to give there, in its own unit, so that all other demands can be met;
        0 for a demand that is part of the conflict but is met.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> print(oa.Conflict("delivery", "song 7", ">=", 500.0, 320.0, 180.0))
    delivery, group 'song 7': asks >= 500, can reach 320; would have to give 180
    """

    constraint: str
    label: Any
    sense: str
    limit: float
    reached: float
    give: float

    def __str__(self) -> str:
        group = "" if self.label is None else f", group {self.label!r}"
        if self.give > 0:
            return (
                f"{self.constraint}{group}: asks {self.sense} {self.limit:,.6g}, can reach {self.reached:,.6g}; "
                f"would have to give {self.give:,.6g}"
            )
        return f"{self.constraint}{group}: {self.sense} {self.limit:,.6g} is met and stands in the way"


def conflicts_of(
    program: Program, totals: Floats, prices: Floats, tolerance: float, weights: Floats
) -> tuple[Conflict, ...]:
    """Groups that the least relaxation misses (most weighted units first), then those that it presses against."""
    missed: list[tuple[float, Conflict]] = []
    blocking: list[Conflict] = []
    for block in program.blocks:
        if not block.function.is_constraint:
            continue
        lower, upper, _ = block.function.band()
        here, price = totals[block.rows], prices[block.rows]
        excess = block.function.excess(here)
        for g in np.flatnonzero((excess > tolerance) | (np.abs(price) > 1e-6)):
            above = here[g] > upper[g] or (excess[g] <= tolerance and price[g] > 0)
            sense = "==" if lower[g] == upper[g] else ("<=" if above else ">=")
            give = float(excess[g]) if excess[g] > tolerance else 0.0
            limit = float(upper[g] if above else lower[g])
            conflict = Conflict(block.name, block.labels[int(g)], sense, limit, float(here[g]), give)
            if give:
                missed.append((give * float(weights[block.rows][g]), conflict))
            else:
                blocking.append(conflict)
    missed.sort(key=lambda one: -one[0])
    return tuple([conflict for _, conflict in missed] + blocking)
