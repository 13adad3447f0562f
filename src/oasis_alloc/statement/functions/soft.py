"""Soft bands: limits that may be missed at a cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import positive
from oasis_alloc.statement.functions.band import Band, boxes, checked_name, conic_band, distance
from oasis_alloc.statement.functions.base import BoundFunction, Conic, Function, PriceBox


@suggesting
def soft(constraint: Band, penalty: float) -> Soft:
    """A soft constraint: each unit by which the limit is missed costs `penalty`.

    Parameters
    ----------
    constraint
        A band such as `exposure(by="campaign") >= floors`.
    penalty
        Cost of one unit outside the band, in units of the objective; positive and finite.

    Returns
    -------
    Soft
        `F(e) = -penalty * sum_g dist(e_g, band_g)`. Its prices are in [-penalty, penalty], on the band's side
        (Balseiro, Lu and Mirrokni, arXiv 2007.00514, section 2: below-target consumption).

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.soft(oa.exposure(by="campaign") >= 5.0, penalty=2.0)
    soft(exposure(by="campaign") >= 5, penalty=2)
    """
    if not isinstance(constraint, Band):
        raise ProblemError(f"soft() takes a constraint such as exposure(by='campaign') >= floors, got {constraint!r}.")
    expected = f"soft({constraint}, penalty={shown(penalty)}): the penalty is one positive finite number."
    return Soft(constraint.measure, constraint, positive(penalty, expected))


@dataclass(frozen=True, eq=False)
class Soft(Function):
    """A soft band; made by `soft`."""

    constraint: Band
    penalty: float
    given_name: str | None = None

    in_constraints: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.given_name or str(self)

    def named(self, name: str) -> Self:
        return replace(self, given_name=checked_name(name))

    def __str__(self) -> str:
        inner = self.constraint.given_name or str(self.constraint)
        return f"soft({inner}, penalty={self.penalty:g})"

    __repr__ = __str__

    def bind(self, labels: Sequence[Any]) -> BoundSoft:
        hard = self.constraint.named(self.name).bind(labels)
        return BoundSoft(hard.lower, hard.upper, self.penalty)


_AT_LIMIT = 1e-9  # share of a limit within which a total is at it


@dataclass(frozen=True, eq=False)
class BoundSoft(BoundFunction):
    """`-penalty * dist(e, [lower, upper])`, summed over the groups."""

    lower: Floats
    upper: Floats
    penalty: float | Floats  # of all groups, or one per group
    linear: npt.NDArray[np.bool_] | None = None  # floors that no total exceeds: their prices are minus the penalty

    is_constraint = False

    def value(self, totals: Floats) -> float:
        return -float(np.sum(self.penalty * distance(totals, self.lower, self.upper)))

    def parts(self, totals: Floats) -> float:
        # a miss is a difference of a limit and a total; at a limit, rounding decides whether there is one
        floor, cap = (np.where(np.isfinite(limit), np.abs(limit), 0.0) for limit in (self.lower, self.upper))
        at_floor, at_cap = totals <= self.lower + _AT_LIMIT * floor, totals >= self.upper - _AT_LIMIT * cap
        return float(np.sum(self.penalty * (np.where(at_floor, floor, 0.0) + np.where(at_cap, cap, 0.0))))

    def conjugate(self, prices: Floats) -> float:
        if np.any(np.abs(prices) > self.penalty * (1 + 1e-12)):
            return float(np.inf)
        limit = np.where(prices > 0, self.upper, np.where(prices < 0, self.lower, 0.0))
        return float(np.sum(prices * limit))

    def price_box(self) -> PriceBox:
        box = boxes(self.lower, self.upper, self.band()[2])
        if self.linear is None:
            return box
        return box._replace(upper=np.where(self.linear[box.group], box.lower, box.upper))

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        missed = np.maximum(np.maximum(self.lower - min_total, max_total - self.upper), 0.0)
        return -float(np.sum(self.penalty * missed))

    def excess(self, totals: Floats) -> Floats:
        return np.zeros(totals.size)

    def band(self) -> tuple[Floats, Floats, Floats]:
        return self.lower, self.upper, np.full(self.lower.size, self.penalty, dtype=np.float64)

    def with_limits(self, lower: Floats, upper: Floats) -> BoundSoft:
        return BoundSoft(lower, upper, self.penalty)

    def conic(self, totals: Any) -> Conic:
        return conic_band(totals, *self.band())
