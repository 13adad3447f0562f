"""Functions that are the minimum of many weighted sums: `F(e) = min {mu @ e : mu in Pi}`, Pi compact and convex.

Welfare of the worst-off and all rank-weighted welfare have this form: minus the support function of -Pi. The conjugate
is 0 if the prices are minus a point of Pi, and infinite elsewhere (Rockafellar, Convex Analysis, section 13). So the
domain of the prices is -Pi, which is not a box. A new function defines four things: its value, the best point of Pi for
a separable quadratic, the largest entry of a point of Pi, and a linear form for the finisher.

The solver's prices are in the domain from the beginning to the end: a step minimizes its quadratic model over Pi
(solvers/coupled.py), and every point between two points of Pi is in Pi.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.base import BoundFunction, Conic, PriceBox

_ON_THE_DOMAIN = 1e-12  # share of the largest price by which rounding may leave the domain


class Linear(NamedTuple):
    """`F(e) = max {gain @ y : totals @ y = e, inner @ y <= 0, y >= lower}`, for a linear program.

    `inner` rows marked in `equal` hold with equality.
    """

    totals: Any  # sparse (n_groups, n)
    inner: Any  # sparse (m, n)
    equal: npt.NDArray[np.bool_]  # (m,)
    gain: Floats
    lower: Floats
    largest: Floats | None = None  # (n_groups,) the largest price of each total here, where it is below `largest()`


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundSupport(BoundFunction):
    """The least of `mu @ e` over Pi, for totals in [min_total, max_total]; a subclass defines Pi."""

    groups: int
    min_total: Any = -np.inf  # numbers, or one per group
    max_total: Any = np.inf

    delivered: ClassVar[Any] = 0.0  # amounts added to the totals: see shifted.py

    is_constraint = False
    is_support = True
    uses_range = True

    @abstractmethod
    def nearest(self, point: Floats, slope: Floats, metric: Floats) -> Floats:
        """The mu of Pi that minimizes `slope @ (mu - point) + metric / 2 @ (mu - point)^2`; the metric is positive."""

    @abstractmethod
    def largest(self) -> Floats:
        """The largest entry of each group in Pi; the smallest is at least 0."""

    @abstractmethod
    def linear(self, low: Floats, high: Floats, prices: Floats) -> Linear:
        """F as a linear program, exact for totals in [low, high] and nowhere above `-prices @ e`.

        So `prices`, which are in the domain, are possible dual values, and a program near them is bounded.
        """

    @abstractmethod
    def linear_size(self) -> int:
        """About the most rows that the linear form has: whether a linear program is fast enough."""

    @abstractmethod
    def expression(self, totals: Any) -> Any:
        """F as a concave cvxpy expression."""

    def within(self, min_total: Floats, max_total: Floats) -> Self:
        return replace(self, min_total=min_total, max_total=np.maximum(max_total, min_total))

    def project(self, point: Floats) -> Floats:
        """The nearest point of Pi."""
        return self.nearest(point, np.zeros(point.size), np.ones(point.size))

    def admit(self, prices: Floats) -> Floats:
        """The nearest prices in the domain."""
        return -self.project(-prices)

    def conjugate(self, prices: Floats) -> float:
        """F* in the domain; elsewhere an upper bound of it on the range, infinite if none is known.

        For any mu of Pi and any totals of the range, `F(e) + lam e <= (mu + lam) e`; mu is taken next to -lam.
        """
        off = prices - self.admit(prices)
        size = float(np.abs(prices).max(initial=0.0)) + float(self.largest().max(initial=0.0))
        end = np.broadcast_to(np.where(off > 0, self.max_total, self.min_total), off.shape)
        rounding = ~np.isfinite(end) & (np.abs(off) <= _ON_THE_DOMAIN * size)
        off = np.where(rounding, 0.0, off)
        return float(np.sum(np.where(off == 0.0, 0.0, off) * np.where(off == 0.0, 0.0, end)))

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        return self.value(min_total)  # it never decreases in any total

    def price_box(self) -> PriceBox:
        # no ranges: clipping prices one by one would leave the domain, which couples them; see `admit`
        free = np.full(self.groups, np.inf)
        return PriceBox(np.arange(self.groups), -free, free, np.zeros(self.groups))

    def excess(self, totals: Floats) -> Floats:
        return np.zeros(totals.size)

    def band(self) -> tuple[Floats, Floats, Floats]:
        free = np.full(self.groups, np.inf)
        return -free, free, free

    def conic(self, totals: Any) -> Conic:
        import cvxpy as cp

        own = cp.Variable(self.groups)  # a separate variable, so that the price is a dual
        same = own - totals == 0

        def prices() -> Floats:
            return -np.atleast_1d(same.dual_value)

        return Conic(self.expression(own), [same], prices)
