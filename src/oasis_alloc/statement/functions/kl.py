"""Divergence of exposure shares from target shares: calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import as_number, text_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_measure, for_every_group, numbers_per_group
from oasis_alloc.statement.functions.entropy import OfShares, checked_total
from oasis_alloc.statement.functions.separable import POWER, SHARES, BoundSeparable, SlopeForm
from oasis_alloc.statement.measures import Limit, Measure


@suggesting
def kl(measure: Measure, target: Limit, total: float | None = None, smoothing: float | None = None) -> Kl:
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
    smoothing
        A number a in (0, 1) takes the divergence in the other direction, of the targets from the smoothed shares,
        `sum_g q_g log(q_g / ((1 - a) p_g + a q_g))`: that of Steck, who uses 0.01. It grows with the share that a group
        lacks, and is finite for shares of 0. None takes the one above.

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
        If a target is not positive and finite, a group has none, `total` is not positive and finite, or `smoothing` is
        not between 0 and 1.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> -20.0 * oa.kl(oa.exposure(by="genre"), {"folk": 1.0, "pop": 3.0})
    -20 * kl(exposure(by="genre"), {'folk': 1.0, 'pop': 3.0})
    """
    check_measure("kl", measure, by="'genre'")
    instead = "Use a cap of 0 for a group that gets nothing."
    targets, _ = numbers_per_group("kl", measure, target, "target", otherwise=instead)
    if smoothing is not None:
        number = as_number(smoothing)
        if number is None or not 0.0 < number < 1.0:
            raise ProblemError(
                f"kl({measure}, ..., smoothing={smoothing!r}): expected a number between 0 and 1, such as 0.01."
            )
        smoothing = number
    return Kl(measure, target=targets, total=checked_total(f"kl({measure}, ...", total), smoothing=smoothing)


@dataclass(frozen=True, eq=False, repr=False)
class Kl(OfShares):
    """Divergence from target shares; made by `kl`."""

    target: Any = 1.0
    smoothing: float | None = None

    title: ClassVar[str] = "kl"
    concave: ClassVar[bool] = False

    def options(self) -> str:
        smoothing = "" if self.smoothing is None else f", smoothing={self.smoothing:g}"
        return f", {text_of(self.target)}" + super().options() + smoothing

    def bind(self, labels: Sequence[Any]) -> BoundKl | BoundFromShares:
        target = for_every_group(self.target, labels, self.name, "target")
        target = target / max(target.sum(), 1e-300)
        weight, total = -self.weight, self.known_total
        if self.smoothing is not None:
            return BoundFromShares(
                weight=weight, groups=len(labels), total=total, target=target, smoothing=self.smoothing
            )
        return BoundKl(weight=weight, groups=len(labels), total=total, target=target)


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


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundFromShares(BoundSeparable):
    """`-w q log(q / ((1 - a) p + a q))`, p = e / N: with y = e + o, o = a q N / (1 - a), slope `w q / y`."""

    total: float
    target: Floats  # sums to 1
    smoothing: float

    @property
    def offset(self) -> Floats:
        """o: what a total would be where all of a smoothed share is smoothing."""
        return np.asarray(self.target * (self.total * self.smoothing / (1.0 - self.smoothing)))

    def f(self, totals: Floats) -> Floats:
        smooth = (1.0 - self.smoothing) / self.total * (totals + self.offset)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.weight * self.target * np.log(smooth / self.target)
        return np.where(smooth > 0.0, value, -np.inf)

    def slope(self, totals: Floats) -> Floats:
        y = totals + self.offset
        return np.where(y > 0.0, self.weight * self.target / np.maximum(y, 1e-300), np.inf)

    def inverse_slope(self, slope: Floats) -> Floats:
        return np.where(slope > 0.0, self.weight * self.target / np.maximum(slope, 1e-300) - self.offset, np.inf)

    def second_derivative(self, totals: Floats) -> Floats:
        return -self.weight * self.target / (totals + self.offset) ** 2

    def form(self) -> SlopeForm:
        return SlopeForm(POWER, self.weight * self.target, self.offset)

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        size = self.typical(0.0) + self.offset  # logarithms of numbers near 1
        scaled = cp.multiply(1.0 / size, totals + self.offset)
        constant = self.target @ np.log((1.0 - self.smoothing) / self.total * size / self.target)
        return self.weight * (self.target @ cp.log(scaled) + float(constant))
