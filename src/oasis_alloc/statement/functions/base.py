"""The interface of a concave function of a measure.

A problem states a `Function` of a measure; lowered against the groups that the candidates have, it becomes a
`BoundFunction`: arrays with one entry per group. Constraints are functions too (minus infinity outside their set).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import as_factor
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.measures import Measure
from oasis_alloc.statement.multiples import Multiples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class PriceBox(NamedTuple):
    """Dual variables of a function: `z in [lower, upper]`, each adding to the price of one group.

    With them `F*(lam) = min {limit @ z : lam_g = sum of z with group g}`, so a two-sided band, whose conjugate has a
    kink at 0, is two variables with a linear term each.
    """

    group: npt.NDArray[np.int64]
    lower: Floats
    upper: Floats
    limit: Floats


class Conic(NamedTuple):
    """A function's conic form for the reference solver."""

    objective: Any  # concave cvxpy expression, or 0
    constraints: list[Any]
    prices: Callable[[], Floats]  # after solving, one price per group, with the usual sign


class Curve(NamedTuple):
    """The conjugate of a curved function at given prices, one entry per group."""

    value: float  # F*(lam)
    maximizer: Floats  # e*(lam), its gradient
    values: Floats  # F at e*, by group
    slope: Floats  # de*/dlam >= 0, its curvature


class BoundFunction(ByFields, ABC):
    """A function with its numbers, one entry per group.

    `conjugate(prices)` is `F*(lam) = sup_e F(e) + lam @ e`: with this sign a cap's price is >= 0 and a floor's <= 0.
    """

    @abstractmethod
    def value(self, totals: Floats) -> float:
        """F(totals); minus infinity outside a hard band, however little; `excess` says how much."""

    def parts(self, totals: Floats) -> float:
        """Sum of the absolute numbers that `value` adds up at these totals: its rounding is a share of that."""
        return abs(self.value(totals))

    @abstractmethod
    def conjugate(self, prices: Floats) -> float:
        """F*(prices), plus infinity outside the domain of the prices."""

    @abstractmethod
    def price_box(self) -> PriceBox:
        """The dual variables, their ranges and the linear conjugate on them."""

    is_curved: ClassVar[bool] = False
    """True where the conjugate is not linear on the ranges of `price_box`; then `curve` says what it is."""

    def curve(self, prices: Floats) -> Curve:
        """The conjugate of a curved function, with its derivatives."""
        raise NotImplementedError(f"{type(self).__name__} is not curved")  # a bug of the caller

    def price_at(self, totals: Floats) -> Floats:
        """The prices at which these totals maximize a curved function."""
        raise NotImplementedError(f"{type(self).__name__} is not curved")  # a bug of the caller

    is_support: ClassVar[bool] = False
    """True if the domain of the prices is not a box: functions/support.py."""

    uses_range: ClassVar[bool] = False
    """True where `within` changes anything."""

    def within(self, min_total: Floats, max_total: Floats) -> BoundFunction:
        """The same function with the range of totals: `min_total` to `max_total` in every allocation."""
        return self

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        """A lower bound of the function for totals between these; minus infinity if none is known."""
        return -np.inf

    @abstractmethod
    def excess(self, totals: Floats) -> Floats:
        """How far each total is outside the function's domain (0 inside)."""

    @abstractmethod
    def band(self) -> tuple[Floats, Floats, Floats]:
        """(lower, upper, penalty): outside [lower, upper] a unit costs `penalty`, infinite for a hard band."""

    def with_limits(self, lower: Floats, upper: Floats) -> BoundFunction:
        """The same function with these limits, where infinite means no limit; unchanged if it has no limits."""
        return self

    @abstractmethod
    def conic(self, totals: Any) -> Conic:
        """The function of a cvxpy expression of the totals."""

    @property
    @abstractmethod
    def is_constraint(self) -> bool:
        """True where leaving the domain makes an allocation infeasible."""


@dataclass(frozen=True, eq=False)
class Function(Multiples["Function"], ByFields, ABC):
    """A function of a measure, as a problem states it.

    In an objective it has a weight: `5.0 * oa.log(m)`, `-0.1 * oa.square_deviation(m, target)`. The weighted function
    must be concave: `concave` says which sign the weight must have.
    """

    measure: Measure

    weight: ClassVar[float] = 1.0
    concave: ClassVar[bool] = True
    in_constraints: ClassVar[bool] = False
    """True for what `subject_to` takes: constraints and soft constraints."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The given name, else the function's own text."""

    @abstractmethod
    def named(self, name: str) -> Self:
        """The same with a name, which is used in `solution.prices` and in reports."""

    @abstractmethod
    def bind(self, labels: Sequence[Any]) -> BoundFunction:
        """The function with its numbers laid out over the groups `labels`."""

    def with_slots(self, slots: float) -> Function:
        """The same with the problem's number of slots; only functions of shares need it."""
        return self

    def weighted(self, factor: float) -> Function:
        """The function times a number; constraints have no weight."""
        raise ProblemError(
            f"{self} is a constraint and has no weight. Use soft(constraint, penalty) to weigh its violation."
        )

    def __mul__(self, factor: float) -> Function:
        number = as_factor(factor, self)
        if number is None:
            return NotImplemented
        return self.weighted(number)

    def __neg__(self) -> Function:
        return self.weighted(-1.0)

    def __add__(self, other: object) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(self) + other

    def __radd__(self, other: object) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(other) + self if isinstance(other, Measure) else Objective.of(self) + other

    def __sub__(self, other: object) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(self) - other

    def __rsub__(self, other: object) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(other) - self
