"""Bands: caps, floors and equalities, the indicator functions of `lower <= e <= upper`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import NO_LIMIT
from oasis_alloc.data.by_group import limits_of, spread, text_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.base import BoundFunction, Conic, Function, PriceBox


@dataclass(frozen=True, eq=False)
class Band(Function):
    """A constraint on every group of a measure: `measure <= limit`, `>= limit` or `== limit`.

    `F(e) = 0` where each total keeps its limit, minus infinity elsewhere. Its conjugate is
    `F*(lam) = sum_g max(lam_g upper_g, lam_g lower_g)`; prices are >= 0 for a cap, <= 0 for a floor and free for an
    equality (Boyd and Vandenberghe, Convex Optimization, section 5.1 and example 3.24).

    Example
    -------
    >>> import oasis_alloc as oa
    >>> (oa.exposure(by="campaign") <= {"a": 10.0}).named("caps").name
    'caps'
    """

    sense: str
    limit: Any
    given_name: str | None = None

    in_constraints: ClassVar[bool] = True

    @classmethod
    def of(cls, measure: Any, sense: str, limit: object) -> Band:
        """Check the right-hand side as far as possible without the groups, and copy mutable input."""
        return cls(measure, sense, limits_of(limit, f"{measure} {sense} ..."))

    @property
    def name(self) -> str:
        return self.given_name or str(self)

    def named(self, name: str) -> Self:
        return replace(self, given_name=checked_name(name))

    def __str__(self) -> str:
        return f"{self.measure} {self.sense} {text_of(self.limit)}"

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise self._chained("has no truth value")

    def _compared(self, limit: object) -> NoReturn:
        raise self._chained("is a constraint already, and cannot be compared again")

    __le__ = __lt__ = __ge__ = __gt__ = _compared

    def _chained(self, what: str) -> ProblemError:
        return ProblemError(
            f"{self} {what}. A chain like `lo <= m <= hi` is two constraints: write `m >= lo` and `m <= hi`."
        )

    def bind(self, labels: Sequence[Any]) -> BoundBand:
        limit = spread(self.limit, labels, self.name, free=np.nan)
        limit = np.where(np.abs(limit) >= NO_LIMIT, np.copysign(np.inf, limit), limit)
        none = np.isnan(limit)
        lower = np.where(none | (self.sense == "<="), -np.inf, limit)
        upper = np.where(none | (self.sense == ">="), np.inf, limit)
        impossible = np.flatnonzero((lower == np.inf) | (upper == -np.inf))
        if impossible.size:
            label = labels[impossible[0]]
            of = "" if label is None else f" of group {label!r}"
            raise ProblemError(
                f"{self.name}: the limit{of} is {limit[impossible[0]]} (1e20 and beyond count as infinite); no total "
                "can satisfy it."
            )
        if measure_is_nonnegative_count(self):
            unit = max(term.coefficient for term in self.measure.terms)
            lower, upper = near_zero(lower, unit), near_zero(upper, unit)
            bad = np.flatnonzero(upper < 0)
            if bad.size:
                raise ProblemError(
                    f"{self.name}: negative cap {upper[bad[0]]:g} for group {labels[bad[0]]!r}; exposure is never "
                    "below 0. Use 0 to show nothing of the group, or leave out its label for no limit."
                )
        return BoundBand(lower, upper)


@dataclass(frozen=True, eq=False)
class BoundBand(BoundFunction):
    """`lower <= e <= upper`, arrays with one entry per group; a missing side is infinite."""

    lower: Floats
    upper: Floats

    is_constraint = True

    def value(self, totals: Floats) -> float:
        return 0.0 if not self.excess(totals).any() else -np.inf

    def conjugate(self, prices: Floats) -> float:
        limit = np.where(prices > 0, self.upper, np.where(prices < 0, self.lower, 0.0))
        return float(np.sum(prices * limit))  # +inf if a price is of a side that does not exist

    def price_box(self) -> PriceBox:
        return boxes(self.lower, self.upper, np.full(self.lower.size, np.inf))

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        return 0.0  # for totals within the band: others are not allocations

    def excess(self, totals: Floats) -> Floats:
        return distance(totals, self.lower, self.upper)

    def band(self) -> tuple[Floats, Floats, Floats]:
        return self.lower, self.upper, np.full(self.lower.size, np.inf)

    def with_limits(self, lower: Floats, upper: Floats) -> BoundBand:
        return BoundBand(lower, upper)

    def without_rounding(self, unit: float) -> BoundBand:
        """The same, with limits set to 0 that are below it only by rounding; a pair adds at most `unit`."""
        return BoundBand(near_zero(self.lower, unit), near_zero(self.upper, unit))

    def conic(self, totals: Any) -> Conic:
        return conic_band(totals, *self.band())


def near_zero(limit: Floats, unit: float) -> Floats:
    """Limits of nonnegative totals, set to 0 if they are below it by no more than 1e-12 of what one pair can add.

    A cap of 0.3 - (0.1 + 0.2) is -5.6e-17, and no total is as small as that. A limit above 0 can be kept, however small
    it is, and stays as stated.
    """
    return np.where((limit < 0.0) & (limit >= -1e-12 * unit), 0.0, limit)


def checked_name(name: object) -> str:
    """Return the name of a constraint, or refuse it."""
    if not isinstance(name, str) or not name:
        raise ProblemError(f"a constraint's name is a non-empty text, got {name!r}.")
    return name


def distance(totals: Floats, lower: Floats, upper: Floats) -> Floats:
    """Distance of each total to its band."""
    return np.maximum(np.maximum(totals - upper, lower - totals), 0.0)


def conic_band(totals: Any, lower: Floats, upper: Floats, penalty: Floats) -> Conic:
    """Both sides as inequalities with their own duals; a finite penalty buys slack."""
    import cvxpy as cp

    equal, cap, floor = sides(lower, upper)
    objective: Any = 0.0
    constraints: list[Any] = []
    duals: list[tuple[Any, Any, float]] = []
    for groups, limit, sign in ((equal, upper, 0.0), (cap, upper, 1.0), (floor, lower, -1.0)):
        if not groups.size:
            continue
        slack: Any = 0.0
        if np.isfinite(penalty[groups]).all():
            over, under = cp.Variable(groups.size, nonneg=True), cp.Variable(groups.size, nonneg=True)
            slack = over - under if sign == 0 else sign * over
            objective -= penalty[groups] @ (over + under)
        gap = totals[groups] - slack - limit[groups]
        constraint = gap == 0 if sign == 0 else sign * gap <= 0
        constraints.append(constraint)
        duals.append((groups, constraint, sign or 1.0))

    def prices() -> Floats:
        out = np.zeros(lower.size)
        for groups, constraint, sign in duals:
            out[groups] += sign * np.atleast_1d(constraint.dual_value)
        return out

    return Conic(objective, constraints, prices)


def sides(lower: Floats, upper: Floats) -> tuple[Any, Any, Any]:
    """Groups with an equality, with a cap, with a floor."""
    equal = np.flatnonzero(lower == upper)
    cap = np.flatnonzero((upper < np.inf) & (lower != upper))
    floor = np.flatnonzero((lower > -np.inf) & (lower != upper))
    return equal, cap, floor


def boxes(lower: Floats, upper: Floats, penalty: Floats) -> PriceBox:
    """Dual variables of a band: one per side, or one free variable if both sides coincide."""
    equal, cap, floor = sides(lower, upper)
    return PriceBox(
        group=np.concatenate([equal, cap, floor]),
        lower=np.concatenate([-penalty[equal], np.zeros(cap.size), -penalty[floor]]),
        upper=np.concatenate([penalty[equal], penalty[cap], np.zeros(floor.size)]),
        limit=np.concatenate([upper[equal], upper[cap], lower[floor]]),
    )


def measure_is_nonnegative_count(band: Band) -> bool:
    """True for a plain exposure with positive coefficients, whose totals cannot be negative."""
    return all(term.column is None and term.coefficient > 0 for term in band.measure.terms) and all(
        constant.coefficient >= 0 for constant in band.measure.constants
    )
