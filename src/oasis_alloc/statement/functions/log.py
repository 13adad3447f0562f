"""Nash welfare: the sum of logarithms of the totals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.statement.functions.arguments import check_measure, nonnegative
from oasis_alloc.statement.functions.separable import POWER, BoundSeparable, Separable, SlopeForm
from oasis_alloc.statement.measures import Measure


@suggesting
def log(measure: Measure, offset: float = 1.0) -> Log:
    """Proportional fairness of the groups' totals, `sum_g log(e_g + offset)`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by="artist")`; they should not be negative.
    offset
        Added to every total, >= 0; with 0 a group without any exposure makes the objective minus infinity.

    Returns
    -------
    Log
        Concave; enters an objective with a plus. Prices are negative (a bonus): `-1 / (e_g + offset)` at the optimum,
        between `-1 / offset` and 0 (Nash 1950; Kelly, Maulloo and Tan, J. Oper. Res. Soc. 49:237, 1998).

    Raises
    ------
    ProblemError
        If `offset` is negative or not finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> 5.0 * oa.log(oa.exposure(by="artist"))
    5 * log(exposure(by="artist"), offset=1)
    """
    check_measure("log", measure)
    expected = f"log({measure}, offset={offset!r}): the offset is a finite number >= 0."
    return Log(measure, offset=nonnegative(offset, expected, LARGEST))


@dataclass(frozen=True, eq=False, repr=False)
class Log(Separable):
    """A sum of logarithms; made by `log`."""

    offset: float = 1.0

    title: ClassVar[str] = "log"

    def options(self) -> str:
        return f", offset={self.offset:g}"

    def bind(self, labels: Sequence[Any]) -> BoundLog:
        return BoundLog(weight=self.weight, groups=len(labels), offset=self.offset)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundLog(BoundSeparable):
    """`w log(e + o)`: slope `w / (e + o)`, curvature `-w / (e + o)^2`."""

    offset: float

    def f(self, totals: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.weight * np.log(totals + self.offset)
            if self.offset > 0.0:  # a total far below the offset would be lost in their sum
                small = np.abs(totals) < self.offset
                share = np.where(small, totals, 0.0) / self.offset
                value = np.where(small, self.weight * (np.log(self.offset) + np.log1p(share)), value)
        return np.where(totals + self.offset > 0, value, -np.inf)

    def slope(self, totals: Floats) -> Floats:
        return np.where(totals + self.offset > 0, self.weight / np.maximum(totals + self.offset, 1e-300), np.inf)

    def inverse_slope(self, slope: Floats) -> Floats:
        return np.where(slope > 0, self.weight / np.maximum(slope, 1e-300) - self.offset, np.inf)

    def second_derivative(self, totals: Floats) -> Floats:
        return -self.weight / (totals + self.offset) ** 2

    def form(self) -> SlopeForm:
        return SlopeForm(POWER, self.weight, self.offset)

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        size = self.typical(self.offset)
        scaled = cp.multiply(1.0 / size, totals + self.offset)
        return self.weight * (cp.sum(cp.log(scaled)) + float(np.log(size).sum()))
