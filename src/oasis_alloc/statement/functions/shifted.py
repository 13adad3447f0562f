"""Any function of delivered + planned, as a function of the planned totals alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.band import BoundBand
from oasis_alloc.statement.functions.base import BoundFunction, Conic, Curve, PriceBox
from oasis_alloc.statement.functions.support import BoundSupport, Linear

_ROUNDING = 1e-12  # relative to the amount delivered: after 0.1 + 0.2, a floor of 0.3 is met


def what_is_left(function: BoundFunction, delivered: Floats, nonnegative: bool) -> BoundFunction:
    """The function of delivered plus planned totals, for delivered amounts (n_groups,).

    `nonnegative` says that no planned total is below 0. Then a hard cap that is used up becomes 0 instead of a limit
    that no plan can keep, and a hard floor that is met requires nothing more.
    """
    if isinstance(function, BoundSupport):
        return ShiftedSupport(groups=function.groups, inner=function, delivered=delivered)
    if not isinstance(function, BoundBand):
        return Shifted(function, delivered)
    lower, upper = function.lower - delivered, function.upper - delivered
    if nonnegative:
        has, rounding = delivered > 0, _ROUNDING * delivered
        upper = np.where(has, np.where(upper <= rounding, 0.0, upper), upper)
        lower = np.where(has & (lower <= rounding), -np.inf, lower)
    return BoundBand(lower, upper)


@dataclass(frozen=True, eq=False)
class Shifted(BoundFunction):
    """`F(d + e)` as a function of e: its conjugate is `F*(lam) - lam d` (Rockafellar, Convex Analysis, th. 12.3)."""

    inner: BoundFunction
    delivered: Floats  # (n_groups,) d

    is_support = False  # they have their own class, below

    @property
    def is_constraint(self) -> bool:
        return self.inner.is_constraint

    @property
    def is_curved(self) -> bool:  # type: ignore[override]  # a constant of every other class, here of the inner one
        return self.inner.is_curved

    @property
    def uses_range(self) -> bool:  # type: ignore[override]  # likewise
        return self.inner.uses_range

    def value(self, totals: Floats) -> float:
        return self.inner.value(totals + self.delivered)

    def parts(self, totals: Floats) -> float:
        return self.inner.parts(totals + self.delivered)

    def conjugate(self, prices: Floats) -> float:
        return self.inner.conjugate(prices) - float(prices @ self.delivered)

    def price_box(self) -> PriceBox:
        box = self.inner.price_box()
        if self.is_curved:  # its conjugate is `curve`, not the limits here
            return box
        return box._replace(limit=box.limit - self.delivered[box.group])

    def curve(self, prices: Floats) -> Curve:
        curve = self.inner.curve(prices)
        return curve._replace(
            value=curve.value - float(prices @ self.delivered), maximizer=curve.maximizer - self.delivered
        )

    def price_at(self, totals: Floats) -> Floats:
        return self.inner.price_at(totals + self.delivered)

    def within(self, min_total: Floats, max_total: Floats) -> Shifted:
        return Shifted(self.inner.within(min_total + self.delivered, max_total + self.delivered), self.delivered)

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        return self.inner.min_value(min_total + self.delivered, max_total + self.delivered)

    def excess(self, totals: Floats) -> Floats:
        return self.inner.excess(totals + self.delivered)

    def band(self) -> tuple[Floats, Floats, Floats]:
        lower, upper, penalty = self.inner.band()
        return lower - self.delivered, upper - self.delivered, penalty

    def with_limits(self, lower: Floats, upper: Floats) -> Shifted:
        return Shifted(self.inner.with_limits(lower + self.delivered, upper + self.delivered), self.delivered)

    def conic(self, totals: Any) -> Conic:
        return self.inner.conic(totals + self.delivered)


@dataclass(frozen=True, eq=False, kw_only=True)
class ShiftedSupport(BoundSupport):
    """The same for a support function; the domain of its prices does not change."""

    inner: BoundSupport
    delivered: Floats  # type: ignore[misc]  # 0 in every other class

    def within(self, min_total: Floats, max_total: Floats) -> Self:
        inner = self.inner.within(min_total + self.delivered, max_total + self.delivered)
        return replace(self, inner=inner, min_total=min_total, max_total=np.maximum(max_total, min_total))

    def value(self, totals: Floats) -> float:
        return self.inner.value(totals + self.delivered)

    def parts(self, totals: Floats) -> float:
        return self.inner.parts(totals + self.delivered)

    def price_box(self) -> PriceBox:
        return super().price_box()._replace(limit=-self.delivered)

    def nearest(self, point: Floats, slope: Floats, metric: Floats) -> Floats:
        return self.inner.nearest(point, slope, metric)

    def largest(self) -> Floats:
        return self.inner.largest()

    def linear(self, low: Floats, high: Floats, prices: Floats) -> Linear:
        return self.inner.linear(low + self.delivered, high + self.delivered, prices)

    def linear_size(self) -> int:
        return self.inner.linear_size()

    def expression(self, totals: Any) -> Any:
        return self.inner.expression(totals + self.delivered)

    def conjugate(self, prices: Floats) -> float:
        return self.inner.conjugate(prices) - float(prices @ self.delivered)
