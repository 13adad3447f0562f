"""Divergence of exposure shares from target shares: calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import text_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_measure, for_every_group, numbers_per_group
from oasis_alloc.statement.functions.entropy import OfShares, checked_total
from oasis_alloc.statement.functions.separable import SHARES, BoundSeparable, SlopeForm
from oasis_alloc.statement.measures import Limit, Measure


@suggesting
def kl(measure: Measure, target: Limit, total: float | None = None) -> Kl:
    """Kullback-Leibler divergence of the groups' shares from target shares, `sum_g p_g log(p_g / q_g) - p_g + q_g`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by="genre")`; a total below 0 makes the objective minus infinity. By a key
        with several labels per item, shares of slots add up to more than 1. With a column that is 1 / (number of
        labels) for each pair, the shares of `total(column, by="genre")` add up to 1.
    target
        Positive: a number (equal shares), one number per group, or `{label: number}` with every group. They are divided
        by their sum.
    total
        The number of which shares are taken, positive: `p_g = e_g / total`. None takes the problem's slots: summed over
        all users, the size of the slate, or the number of candidates if that is smaller.

    Returns
    -------
    Kl
        Convex, and 0 if all shares equal their targets, so it enters an objective with a minus. Prices are
        `log(p_g / q_g) / total` times the weight at the optimum: positive if a group is ahead of its target, an
        unbounded bonus if it has almost nothing. The divergence is of order 1 for any number of users, so next to
        totals its weight must be about as large as they are (Steck, RecSys 2018, Calibrated recommendations; the
        generalized form, for shares that need not sum to 1: Csiszar, Ann. Statist. 19:2032, 1991).

    Raises
    ------
    ProblemError
        If a target is not positive and finite, a group has none, or `total` is not positive and finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> -20.0 * oa.kl(oa.exposure(by="genre"), {"folk": 1.0, "pop": 3.0})
    -20 * kl(exposure(by="genre"), {'folk': 1.0, 'pop': 3.0})
    """
    check_measure("kl", measure, by="'genre'")
    targets, numbers = numbers_per_group("kl", measure, target, "target")
    if not np.isfinite(numbers).all() or not (numbers > 0).all():
        raise ProblemError(
            f"kl({measure}, ...): targets are positive finite numbers, one per group. Use a cap of 0 for a group that "
            "gets nothing."
        )
    return Kl(measure, target=targets, total=checked_total(f"kl({measure}, ...", total))


@dataclass(frozen=True, eq=False, repr=False)
class Kl(OfShares):
    """Divergence from target shares; made by `kl`."""

    target: Any = 1.0

    title: ClassVar[str] = "kl"
    concave: ClassVar[bool] = False

    def options(self) -> str:
        return f", {text_of(self.target)}" + super().options()

    def bind(self, labels: Sequence[Any]) -> BoundKl:
        target = for_every_group(self.target, labels, self.name, "target")
        return BoundKl(
            weight=-self.weight, groups=len(labels), total=self.known_total, target=target / max(target.sum(), 1e-300)
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundKl(BoundSeparable):
    """`-w (p log(p / q) - p + q)` with p = e / N, w > 0: slope `-w log(p / q) / N`, curvature `-w / (N e)`."""

    total: float
    target: Floats  # sums to 1

    def f(self, totals: Floats) -> Floats:
        share = totals / self.total
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.where(share == 0.0, 0.0, share * np.log(share / self.target))
        return np.where(share >= 0, -self.weight * (log - share + self.target), -np.inf)

    def parts(self, totals: Floats) -> float:
        share = np.maximum(totals / self.total, 0.0)
        # of `-w (p log(p / q) - p + q)`, which is 0 at the target
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.where(share == 0.0, 0.0, share * np.log(share / self.target))
        return float(self.weight * np.sum(np.abs(log) + share + self.target))

    def slope(self, totals: Floats) -> Floats:
        share = np.maximum(totals / self.total, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(-self.weight / self.total * np.log(share / self.target))

    def inverse_slope(self, slope: Floats) -> Floats:
        return np.asarray(self.total * self.target * np.exp(-slope * (self.total / self.weight)))

    def second_derivative(self, totals: Floats) -> Floats:
        with np.errstate(divide="ignore", over="ignore"):
            return -self.weight / (self.total * totals)

    def form(self) -> SlopeForm:
        return SlopeForm(SHARES, self.weight / self.total, self.total * self.target)

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        # q kl_div(p / q, 1): numbers near 1
        return -self.weight * (self.target @ cp.kl_div(cp.multiply(1.0 / (self.total * self.target), totals), 1.0))
