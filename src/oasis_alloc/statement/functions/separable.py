"""Functions that are a sum over groups of a smooth concave function of one total.

A new function defines four things for its f: value, slope, inverse of the slope, and curvature. The conjugate
follows: `F*(lam) = sum_g sup_{e in range} f(e) + lam_g e`, attained where `f'(e) = -lam`, or at an end of the range.
The range is what totals can reach in any allocation; on it the conjugate is finite at any price, so all prices are
allowed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.base import BoundFunction, Conic, Curve, PriceBox
from oasis_alloc.statement.functions.weighted import Weighted

SHARES, POWER, SQUARE = range(3)


class SlopeForm(NamedTuple):
    """The slope of f as a formula that kernels know, numbers or one per group: `kernels/solve/own_prices.py`.

    `a log(b / e)` for SHARES, `a (e + b)^-c` for POWER and `a (b - e)` for SQUARE, with a > 0, and c > 0.
    """

    kind: int
    a: Any
    b: Any
    c: Any = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Separable(Weighted):
    """A weighted smooth function of every total, summed over the groups."""

    @abstractmethod
    def bind(self, labels: Sequence[Any]) -> BoundSeparable: ...


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundSeparable(BoundFunction):
    """`weight * sum_g f(e_g)` on [min_total, max_total]; a subclass defines f."""

    weight: float
    groups: int
    min_total: Any = -np.inf  # numbers, or one per group
    max_total: Any = np.inf

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
    def inverse_slope(self, slope: Floats) -> Floats:
        """The total at which f' is `slope`; plus infinity where f' is above it everywhere."""

    @abstractmethod
    def second_derivative(self, totals: Floats) -> Floats:
        """Weighted f'' of each total, <= 0."""

    def form(self) -> SlopeForm | None:
        """The slope as a formula for kernels; None if they do not know it."""
        return None

    def within(self, min_total: Floats, max_total: Floats) -> Self:
        return replace(self, min_total=min_total, max_total=np.maximum(max_total, min_total))

    def value(self, totals: Floats) -> float:
        # totals are sums of floats: an end of the range may be missed by a rounding
        return float(np.sum(self.f(np.clip(totals, self.min_total, self.max_total))))

    def parts(self, totals: Floats) -> float:
        return float(np.sum(np.abs(self.f(np.clip(totals, self.min_total, self.max_total)))))

    def best(self, prices: Floats) -> Floats:
        """e*(lam), (n_groups,): the total that maximizes the group's part at its price."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inside = self.inverse_slope(-prices)
        return np.clip(np.where(np.isnan(inside), self.max_total, inside), self.min_total, self.max_total)

    def conjugate(self, prices: Floats) -> float:
        return self.curve(prices).value

    def curve(self, prices: Floats) -> Curve:
        best = self.best(prices)
        inside = (best > self.min_total) & (best < self.max_total)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.where(inside, -1.0 / self.second_derivative(np.where(inside, best, 1.0)), 0.0)
        values = self.f(best)
        paid = np.where(prices == 0.0, 0.0, prices) * np.where(prices == 0.0, 0.0, best)  # 0 even for an infinite total
        with np.errstate(invalid="ignore"):  # groups without a range may have the value plus or minus infinity
            value = float(np.sum(values + paid))
        return Curve(value, best, values, slope)

    def price_at(self, totals: Floats) -> Floats:
        """The price at which a total maximizes the group's part: minus f' there."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return -self.slope(np.clip(totals, self.min_total, self.max_total))

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        return float(np.sum(np.minimum(self.f(min_total), self.f(max_total))))  # concave: least at an end

    def price_box(self) -> PriceBox:
        min_total, max_total = (
            np.broadcast_to(end, self.groups).astype(np.float64) for end in (self.min_total, self.max_total)
        )
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            lower, upper = -self.slope(min_total), -self.slope(max_total)
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
        max_total = np.where(np.isfinite(self.max_total), self.max_total, 1.0)
        return np.maximum(0.05 * np.broadcast_to(max_total, self.groups) + offset, 1e-9)

    def conic(self, totals: Any) -> Conic:
        import cvxpy as cp

        # a separate variable, so that the price is a dual: computed as a slope, it would amplify the error of totals
        # near 0
        own = cp.Variable(self.groups)
        same = own - totals == 0

        def prices() -> Floats:
            return -np.atleast_1d(same.dual_value)

        return Conic(self.expression(own), [same], prices)
