"""Functions that are a sum over groups of a smooth concave function of one total.

A new one says four things of its f: value, slope, where the slope is a given number, and curvature. The conjugate
follows: `F*(lam) = sum_g sup_{e in range} f(e) + lam_g e`, attained where `f'(e) = -lam`, or at an end of the range.
The range is what the totals can reach at all; on it every concave f is finite at any price, so no price is forbidden.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.base import BoundFunction, Conic, Curve, PriceBox
from oasis_alloc.statement.functions.weighted import Weighted


@dataclass(frozen=True, eq=False, repr=False)
class Separable(Weighted):
    """A weighted smooth function of every total, added up over the groups."""

    @abstractmethod
    def bind(self, labels: Sequence[Any]) -> BoundSeparable: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundSeparable(BoundFunction):
    """`weight * sum_g f(e_g)` on [least, most]; a subclass says f."""

    weight: float
    groups: int
    least: Any = -np.inf  # numbers, or one per group
    most: Any = np.inf

    is_constraint = False
    is_curved = True
    uses_range = True

    @abstractmethod
    def f(self, totals: Floats) -> Floats:
        """Weighted f of each total, minus infinity outside its domain."""

    @abstractmethod
    def slope(self, totals: Floats) -> Floats:
        """Weighted f' of each total; plus infinity at an open end of the domain."""

    @abstractmethod
    def where_slope(self, slope: Floats) -> Floats:
        """The total at which f' is `slope`; plus infinity where f' is above it everywhere."""

    @abstractmethod
    def bend(self, totals: Floats) -> Floats:
        """Weighted f'' of each total, <= 0."""

    def within(self, least: Floats, most: Floats) -> Self:
        return replace(self, least=least, most=np.maximum(most, least))

    def value(self, totals: Floats) -> float:
        # totals are sums of floats: an end of the range may be missed by a rounding
        return float(np.sum(self.f(np.clip(totals, self.least, self.most))))

    def best(self, prices: Floats) -> Floats:
        """e*(lam), (n_groups,): the total that a group would choose at its price."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inside = self.where_slope(-prices)
        return np.clip(np.where(np.isnan(inside), self.most, inside), self.least, self.most)

    def conjugate(self, prices: Floats) -> float:
        return self.curve(prices).value

    def curve(self, prices: Floats) -> Curve:
        best = self.best(prices)
        inside = (best > self.least) & (best < self.most)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(inside, -1.0 / self.bend(np.where(inside, best, 1.0)), 0.0)
        values = self.f(best)
        paid = np.where(prices == 0.0, 0.0, prices) * np.where(prices == 0.0, 0.0, best)  # 0 even for an infinite total
        with np.errstate(invalid="ignore"):  # groups without a range may be worth either infinity
            value = float(np.sum(values + paid))
        return Curve(value, best, values, slope)

    def price_at(self, totals: Floats) -> Floats:
        """The price at which each group would choose a total: minus f' there."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return -self.slope(np.clip(totals, self.least, self.most))

    def least_value(self, least: Floats, most: Floats) -> float:
        return float(np.sum(np.minimum(self.f(least), self.f(most))))  # concave: least at an end

    def price_box(self) -> PriceBox:
        least, most = (np.broadcast_to(end, self.groups).astype(np.float64) for end in (self.least, self.most))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            lower, upper = -self.slope(least), -self.slope(most)
        upper = np.where(np.isneginf(upper), 0.0, upper)  # a total that is always 0 has any price
        return PriceBox(np.arange(self.groups), lower, np.maximum(upper, lower), np.zeros(self.groups))

    def excess(self, totals: Floats) -> Floats:
        return np.zeros(totals.size)

    def band(self) -> tuple[Floats, Floats, Floats]:
        free = np.full(self.groups, np.inf)
        return -free, free, free

    @abstractmethod
    def expression(self, totals: Any) -> Any:
        """Weighted sum of f as a concave cvxpy expression."""

    def typical(self, offset: float) -> Floats:
        """A size of `totals + offset`, for cones of numbers near 1: interior point methods stop early on others."""
        most = np.where(np.isfinite(self.most), self.most, 1.0)
        return np.maximum(0.05 * np.broadcast_to(most, self.groups) + offset, 1e-9)

    def conic(self, totals: Any) -> Conic:
        import cvxpy as cp

        # a variable of its own, so that the price is a dual: a slope would multiply the error of totals near 0
        own = cp.Variable(self.groups)
        same = own - totals == 0

        def prices() -> Floats:
            return -np.atleast_1d(same.dual_value)

        return Conic(self.expression(own), [same], prices)
