"""Alpha-fair welfare: from the sum (alpha 0) through Nash welfare (1) towards the worst-off (large alpha)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.arguments import check_measure, nonnegative
from oasis_alloc.statement.functions.log import BoundLog
from oasis_alloc.statement.functions.separable import POWER, BoundSeparable, Separable, SlopeForm
from oasis_alloc.statement.measures import Measure


@suggesting
def alpha_fair(measure: Measure, alpha: float, offset: float = 0.0) -> AlphaFair:
    """Alpha-fairness of the groups' totals, `sum_g (e_g + offset)^(1 - alpha) / (1 - alpha)`.

    Parameters
    ----------
    measure
        Totals by group; they should not be negative.
    alpha
        >= 0: 0 is the plain sum, 1 the sum of logarithms, 2 the negative sum of inverses (delay); the larger, the more
        weight on the worst-off.
    offset
        Added to every total, >= 0; for alpha >= 1 and offset 0 a total of 0 makes the objective minus infinity.

    Returns
    -------
    AlphaFair
        Concave; enters an objective with a plus. Prices are negative (a bonus), `-(e_g + offset)^-alpha` at the optimum
        (Mo and Walrand, IEEE/ACM Trans. Netw. 8:556, 2000).

    Raises
    ------
    ProblemError
        If `alpha` or `offset` is negative or not finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.alpha_fair(oa.exposure(by="artist"), alpha=2.0, offset=1.0)
    alpha_fair(exposure(by="artist"), alpha=2, offset=1)
    """
    check_measure("alpha_fair", measure)
    alpha, offset = (
        nonnegative(given, f"alpha_fair({measure}, {name}={given!r}): {name} is a finite number >= 0.")
        for name, given in (("alpha", alpha), ("offset", offset))
    )
    return AlphaFair(measure, alpha=alpha, offset=offset)


@dataclass(frozen=True, eq=False, repr=False)
class AlphaFair(Separable):
    """Alpha-fair welfare; made by `alpha_fair`."""

    alpha: float = 1.0
    offset: float = 0.0

    title: ClassVar[str] = "alpha_fair"

    def options(self) -> str:
        return f", alpha={self.alpha:g}, offset={self.offset:g}"

    def bind(self, labels: Sequence[Any]) -> BoundSeparable:
        if self.alpha == 1.0:  # the limit of the power, and exact
            return BoundLog(weight=self.weight, groups=len(labels), offset=self.offset)
        return BoundAlphaFair(weight=self.weight, groups=len(labels), alpha=self.alpha, offset=self.offset)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundAlphaFair(BoundSeparable):
    """`w y^(1-a) / (1-a)` with y = e + o: slope `w y^-a`, curvature `-a w y^(-a-1)`."""

    alpha: float
    offset: float

    def f(self, totals: Floats) -> Floats:
        y = totals + self.offset
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.weight * y ** (1.0 - self.alpha) / (1.0 - self.alpha)
        return np.where((y >= 0) | (self.alpha == 0.0), value, -np.inf)  # the plain sum is finite everywhere

    def slope(self, totals: Floats) -> Floats:
        y = np.maximum(totals + self.offset, 0.0)
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(self.weight * y**-self.alpha)

    def inverse_slope(self, slope: Floats) -> Floats:
        if self.alpha == 0.0:  # slope w everywhere: the maximizer is an end of the range
            return np.where(slope < self.weight, np.inf, -np.inf)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = (self.weight / np.maximum(slope, 0.0)) ** (1.0 / self.alpha)
        return np.where(slope > 0, y - self.offset, np.inf)

    def second_derivative(self, totals: Floats) -> Floats:
        with np.errstate(over="ignore"):  # infinite: the conjugate has no curvature there
            return np.asarray(-self.alpha * self.weight * (totals + self.offset) ** (-self.alpha - 1.0))

    def form(self) -> SlopeForm | None:
        return SlopeForm(POWER, self.weight, self.offset, self.alpha) if self.alpha > 0.0 else None

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        if self.alpha == 0.0:
            return self.weight * cp.sum(totals + self.offset)
        size = self.typical(self.offset)
        worth = self.weight * size ** (1.0 - self.alpha) / (1.0 - self.alpha)
        scaled = cp.power(cp.multiply(1.0 / size, totals + self.offset), 1.0 - self.alpha)
        return cp.sum(cp.multiply(worth, scaled))
