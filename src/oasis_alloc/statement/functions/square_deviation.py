"""Squared distance of totals to targets: pacing that allows small misses and discourages large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.data.by_group import text_of
from oasis_alloc.statement.functions.arguments import check_measure, for_every_group, numbers_per_group
from oasis_alloc.statement.functions.separable import SQUARE, BoundSeparable, Separable, SlopeForm
from oasis_alloc.statement.measures import Limit, Measure


@suggesting
def square_deviation(measure: Measure, target: Limit) -> SquareDeviation:
    """Half the squared distance of every total to its target, `sum_g (e_g - target_g)^2 / 2`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by=("hour", "campaign"))`.
    target
        A number, one number per group, or `{label: number}` with every group.

    Returns
    -------
    SquareDeviation
        Convex, so it enters an objective with a minus. Prices are free: `e_g - target_g` times the weight, positive
        if a group is ahead of its target.

    Raises
    ------
    ProblemError
        If a target is not finite, or a group has none.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> -0.1 * oa.square_deviation(oa.exposure(by="campaign"), {"a": 10.0, "b": 5.0})
    -0.1 * square_deviation(exposure(by="campaign"), {'a': 10.0, 'b': 5.0})
    """
    check_measure("square_deviation", measure, by="'campaign'")
    targets, _ = numbers_per_group("square_deviation", measure, target, "target", LARGEST)
    return SquareDeviation(measure, target=targets)


@dataclass(frozen=True, eq=False, repr=False)
class SquareDeviation(Separable):
    """Half the squared distance to targets; made by `square_deviation`."""

    target: Any = 0.0

    title: ClassVar[str] = "square_deviation"
    concave: ClassVar[bool] = False

    def options(self) -> str:
        return f", {text_of(self.target)}"

    def bind(self, labels: Sequence[Any]) -> BoundSquareDeviation:
        target = for_every_group(self.target, labels, self.name, "target")
        return BoundSquareDeviation(weight=-self.weight, groups=len(labels), target=target)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundSquareDeviation(BoundSeparable):
    """`-w (e - target)^2 / 2` with w > 0: slope `w (target - e)`, curvature `-w`."""

    target: Floats

    def f(self, totals: Floats) -> Floats:
        return -0.5 * self.weight * (totals - self.target) ** 2

    def parts(self, totals: Floats) -> float:
        return float(0.5 * abs(self.weight) * np.sum(totals**2 + self.target**2))

    def slope(self, totals: Floats) -> Floats:
        return self.weight * (self.target - totals)

    def inverse_slope(self, slope: Floats) -> Floats:
        return self.target - slope / self.weight

    def second_derivative(self, totals: Floats) -> Floats:
        return np.full(totals.size, -self.weight)

    def form(self) -> SlopeForm:
        return SlopeForm(SQUARE, self.weight, self.target)

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        return -0.5 * self.weight * cp.sum_squares(totals - self.target)
