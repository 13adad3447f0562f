"""Measures: sums of a column (or of exposure) over all candidates, by keys of items and users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.data.by_group import as_factor, as_number
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.delivered import Delivered
from oasis_alloc.statement.multiples import Multiples

if TYPE_CHECKING:
    from oasis_alloc.statement.functions.band import Band
    from oasis_alloc.statement.functions.base import Function
    from oasis_alloc.statement.objective import Objective

Limit: TypeAlias = float | npt.ArrayLike | Mapping[Any, float]
"""The right-hand side of `<=`, `>=` or `==`: a number, one number per group, {label: number} or a pandas Series.

A Series is matched by the labels of its index: `docs/labels.md`.
"""


@dataclass(frozen=True, slots=True)
class MeasureTerm:
    """One summand of a measure: `coefficient * total(column, by=by)`; column None is exposure."""

    coefficient: float
    column: str | None
    by: tuple[str, ...]

    def __post_init__(self) -> None:
        if not np.isfinite(self.coefficient):  # products and sums of finite numbers may be infinite
            raise ProblemError(f"the factor of {self} is {self.coefficient}; expected a finite number.")

    def __str__(self) -> str:
        keys = ""
        if len(self.by) == 1:
            keys = f'by="{self.by[0]}"'
        elif self.by:
            keys = "by=(" + ", ".join(f'"{key}"' for key in self.by) + ")"
        if self.column is None:
            return f"exposure({keys})"
        return f'total("{self.column}"' + (f", {keys})" if keys else ")")


@dataclass(frozen=True, eq=False)
class Measure(Multiples["Measure"]):
    """A linear combination of totals, one number per group.

    `exposure(by=...)` and `total(column, by=...)` make measures; `+`, `-`, and `*`, `/` by numbers combine
    them. A summand with fewer keys is broadcast over the groups of the summand with most keys: in
    `exposure(by="licensor") - 0.25 * exposure()` each licensor's exposure is compared with all exposure.
    `<=`, `>=` and `==` against a number, `{label: number}` or a pandas Series (by label), an array (one entry per
    group, in the order of `candidates.groups(by)`) or another measure make a constraint. Groups without a label in
    the mapping, or with `{label: None}`, have no limit.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.exposure(by="licensor") - 0.25 * oa.exposure() <= 0
    exposure(by="licensor") - 0.25 * exposure() <= 0
    """

    terms: tuple[MeasureTerm, ...]
    constants: tuple[Delivered, ...] = ()  # see delivered_so_far

    __hash__ = object.__hash__

    @property
    def by(self) -> tuple[str, ...]:
        """The keys whose groups this measure has: those of the summand with most keys."""
        return max((term.by for term in self.terms), key=len)

    def delivered_so_far(self, amount: Limit) -> Measure:
        """Add the amounts that groups have delivered already: limits and functions then apply to delivered + planned.

        So a cap or a floor of a whole flight holds while the remaining hours are planned repeatedly.

        Parameters
        ----------
        amount
            A number, one number per group, or `{label: number}` with 0 for all other labels; finite, >= 0, in the unit
            of the measure.

        Returns
        -------
        Measure
            `d_g + E_g`. If totals cannot be negative, a cap that is used up allows nothing more in its group, and a
            floor that is met requires nothing more. Totals, limits and excess of a solution, its report and its
            conflicts refer to the plan only: limits are the remaining amounts. Measures that are added keep their own
            deliveries, which must be by the groups of the sum, or have no keys.

        Raises
        ------
        ProblemError
            For numbers that are negative or not finite; in a problem, for labels that are not groups.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> flight = oa.exposure(by="campaign").delivered_so_far({"song-1": 1200.0})
        >>> flight >= {"song-1": 5000.0}
        exposure(by="campaign") + delivered({'song-1': 1200.0}) >= {'song-1': 5000.0}
        """
        return Measure(self.terms, (*self.constants, Delivered.of(self, self.by, amount)))

    @property
    def planned(self) -> Measure:
        """The same without the amounts delivered before: the part that an allocation decides."""
        return Measure(self.terms) if self.constants else self

    def constant(self, labels: Sequence[Any]) -> npt.NDArray[np.float64]:
        """The amount that each of the groups `labels` has delivered, (n_groups,)."""
        out = np.zeros(len(labels))
        for constant in self.constants:
            out += constant.over(self.by, labels)
        return out

    def __add__(self, other: Measure | Function | Objective) -> Any:
        if isinstance(other, Measure):
            return _combine(self.terms + other.terms, self.constants + other.constants)
        if as_number(other) is not None:
            _refuse_constant(self, other)
        return NotImplemented

    def __radd__(self, other: object) -> Measure:
        if as_number(other) == 0:  # so that sum([...]) works
            return self
        if as_number(other) is not None:
            _refuse_constant(self, other)
        return NotImplemented

    def __neg__(self) -> Measure:
        return -1.0 * self

    def __sub__(self, other: Measure) -> Measure:
        if isinstance(other, Measure):
            return self + (-other)  # type: ignore[no-any-return]  # Measure + Measure is a Measure
        if as_number(other) is not None:
            _refuse_constant(self, other)
        return NotImplemented

    def __mul__(self, factor: float) -> Measure:
        number = as_factor(factor, self)
        if number is None:
            return NotImplemented
        if not np.isfinite(number):
            raise ProblemError(f"cannot multiply {self} by {factor}: expected a finite number.")
        return Measure(
            tuple(MeasureTerm(number * t.coefficient, t.column, t.by) for t in self.terms),
            tuple(constant.times(number) for constant in self.constants),
        )

    def __le__(self, limit: Limit | Measure) -> Band:
        return _band(self, "<=", limit)

    def __ge__(self, limit: Limit | Measure) -> Band:
        return _band(self, ">=", limit)

    def __eq__(self, limit: object) -> Band:  # type: ignore[override]  # an equation, not a comparison
        return _band(self, "==", limit)

    def __lt__(self, limit: object) -> NoReturn:
        _refuse_strict(self, "<")

    def __gt__(self, limit: object) -> NoReturn:
        _refuse_strict(self, ">")

    def __ne__(self, limit: object) -> NoReturn:
        raise ProblemError(f"{self} != ... is not a convex constraint; use <=, >= or ==.")

    def __bool__(self) -> NoReturn:
        raise ProblemError(
            f"{self} has no truth value. A chain like `lo <= m <= hi` is two constraints: write `m >= lo` and "
            "`m <= hi`."
        )

    def __str__(self) -> str:
        parts: list[str] = []
        summands: tuple[MeasureTerm | Delivered, ...] = (*self.terms, *self.constants)
        for term in summands:
            size = abs(term.coefficient)
            text = str(term) if size == 1.0 else f"{size:g} * {term}"
            sign = "-" if term.coefficient < 0 else "+"
            parts.append(f"{sign} {text}" if parts else (f"-{text}" if sign == "-" else text))
        return " ".join(parts)

    __repr__ = __str__


@suggesting
def exposure(by: str | tuple[str, ...] | None = None) -> Measure:
    """Expected number of times that the candidates of each group are shown.

    Parameters
    ----------
    by
        Key of the items (`"campaign"`), of the users (`"market"`), or a tuple of keys of both; None for all.

    Returns
    -------
    Measure
        `E_g = sum_{p in g} x_p`, in impressions, one entry per group.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.exposure(by=("market", "campaign"))
    exposure(by=("market", "campaign"))
    """
    return Measure((MeasureTerm(1.0, None, _keys(by)),))


@suggesting
def total(column: str, by: str | tuple[str, ...] | None = None) -> Measure:
    """Expected sum of a column over the pairs shown, by group.

    Parameters
    ----------
    column
        A column of the candidates; the total has its unit.
    by
        As in `exposure`.

    Returns
    -------
    Measure
        `sum_{p in g} c_p x_p`, one entry per group.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.total("relevance") - 0.3 * oa.exposure() >= 0
    total("relevance") - 0.3 * exposure() >= 0
    """
    if not isinstance(column, str):
        raise ProblemError(f"total() takes the name of a column, got {column!r}.")
    return Measure((MeasureTerm(1.0, column, _keys(by)),))


def _keys(by: object) -> tuple[str, ...]:
    if by is None:
        return ()
    if not isinstance(by, (str, tuple, list)):
        raise ProblemError(f"by= takes the name of a key or a tuple of names, got {by!r}.")
    keys = (by,) if isinstance(by, str) else tuple(by)
    if not all(isinstance(key, str) for key in keys):
        raise ProblemError(f"by= takes the name of a key or a tuple of names, got {by!r}.")
    if len(set(keys)) != len(keys):
        raise ProblemError(f"by={by!r} names a key twice.")
    return keys


def _combine(terms: tuple[MeasureTerm, ...], constants: tuple[Delivered, ...]) -> Measure:
    """Merge terms of the same column and keys; check that their groups can be broadcast."""
    merged: dict[tuple[str | None, frozenset[str]], MeasureTerm] = {}
    for term in terms:
        key = (term.column, frozenset(term.by))
        known = merged.get(key)
        merged[key] = MeasureTerm(
            term.coefficient + (known.coefficient if known else 0.0), term.column, known.by if known else term.by
        )
    kept = tuple(term for term in merged.values() if term.coefficient != 0.0) or (terms[0],)
    widest = max((term.by for term in kept), key=len)
    for term in kept:
        if not set(term.by) <= set(widest):
            raise ProblemError(
                f"cannot add {term} to a measure by {widest}: the keys of one must be among the keys of the other."
            )
    for constant in constants:
        if constant.by not in ((), widest):
            raise ProblemError(
                f"cannot add {constant} by {constant.by} to a measure by {widest}: amounts delivered must be by the "
                "same keys in the same order, or one amount for all groups. Add the measures first, then call "
                "delivered_so_far on the sum."
            )
    if len(kept) == 1 and kept[0] is terms[0] and all(t.coefficient == 0.0 for t in merged.values()):
        kept = (MeasureTerm(0.0, kept[0].column, kept[0].by),)
    return Measure(kept, constants)


def _band(measure: Measure, sense: str, limit: object) -> Band:
    from oasis_alloc.statement.functions.band import Band

    if isinstance(limit, Measure):
        return Band.of(measure - limit, sense, 0.0)
    return Band.of(measure, sense, limit)


def _refuse_strict(measure: Measure, sense: str) -> NoReturn:
    raise ProblemError(
        f"strict inequality {measure} {sense} ...: the set it describes is not closed, so there may be no best "
        f"allocation. Use {sense}=."
    )


def _refuse_constant(measure: Measure, constant: object) -> NoReturn:
    raise ProblemError(
        f"cannot add the constant {constant!r} to {measure}: put constants on the other side of <=, >= or ==."
    )
