"""Entropy of exposure shares: variety across groups, independent of their number of items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_measure, positive
from oasis_alloc.statement.functions.separable import SHARES, BoundSeparable, Separable, SlopeForm
from oasis_alloc.statement.measures import Measure


@suggesting
def entropy(measure: Measure, total: float | None = None) -> Entropy:
    """Shannon entropy of the groups' shares, `-sum_g p_g log p_g` with `p_g = e_g / total`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by="artist")`; a total below 0 makes the objective minus infinity.
    total
        The number of which shares are taken, positive. It is not the sum of the groups: with that sum, entropy would
        not change when all totals double, so it would not be concave. None takes the problem's slots: summed over all
        users, the size of the slate, or the number of candidates if that is smaller.

    Returns
    -------
    Entropy
        Concave, in nats, at most `log(n_groups)` if all slots are filled; enters an objective with a plus. Prices
        are `(1 + log p_g) / total` at the optimum: an unbounded bonus for a group with almost nothing, and
        positive from a share of `1 / e` (Shannon, Bell Syst. Tech. J. 27:379, 1948; its conjugate, a sum of
        exponentials: Boyd and Vandenberghe, Convex Optimization, example 3.21).

    Raises
    ------
    ProblemError
        If `total` is not positive and finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> 50.0 * oa.entropy(oa.exposure(by="genre"))
    50 * entropy(exposure(by="genre"))
    """
    check_measure("entropy", measure, by="'genre'")
    return Entropy(measure, total=checked_total(f"entropy({measure}", total))


def checked_total(what: str, total: object) -> float | None:
    """The number of which shares are taken: a positive number, or None."""
    if total is None:
        return None
    return positive(
        total,
        f"{what}, total={total!r}): expected a positive finite number that shares are taken of, or None for the "
        "problem's number of slots.",
    )


@dataclass(frozen=True, eq=False, repr=False)
class OfShares(Separable):
    """A function of shares `e_g / total`."""

    total: float | None = None

    def with_slots(self, slots: float) -> Self:
        return self if self.total is not None else replace(self, total=max(slots, 1.0))

    def options(self) -> str:
        return "" if self.total is None else f", total={self.total:g}"

    @property
    def known_total(self) -> float:
        """The number of which shares are taken, once it is known."""
        if self.total is None:
            raise ProblemError(f"{self.name}: give total=, or state it in a Problem, which knows its slots.")
        return self.total


@dataclass(frozen=True, eq=False, repr=False)
class Entropy(OfShares):
    """Entropy of shares; made by `entropy`."""

    title: ClassVar[str] = "entropy"

    def bind(self, labels: Sequence[Any]) -> BoundEntropy:
        return BoundEntropy(weight=self.weight, groups=len(labels), total=self.known_total)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundEntropy(BoundSeparable):
    """`-w p log p` with p = e / N: slope `-w (1 + log p) / N`, curvature `-w / (N e)`."""

    total: float

    def f(self, totals: Floats) -> Floats:
        share = totals / self.total
        with np.errstate(divide="ignore", invalid="ignore"):
            value = -self.weight * np.where(share == 0.0, 0.0, share * np.log(share))
        return np.where(share >= 0, value, -np.inf)

    def slope(self, totals: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(-self.weight / self.total * (1.0 + np.log(np.maximum(totals / self.total, 0.0))))

    def inverse_slope(self, slope: Floats) -> Floats:
        return np.asarray(self.total * np.exp(-1.0 - slope * (self.total / self.weight)))

    def second_derivative(self, totals: Floats) -> Floats:
        with np.errstate(divide="ignore", over="ignore"):
            return -self.weight / (self.total * totals)

    def form(self) -> SlopeForm:
        return SlopeForm(SHARES, self.weight / self.total, self.total * np.exp(-1.0))

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        size = self.typical(0.0) / self.total  # p = size y: -p log p = size (entr(y) - y log size)
        scaled = cp.multiply(1.0 / (size * self.total), totals)
        return self.weight * (size @ cp.entr(scaled) - (size * np.log(size)) @ scaled)
