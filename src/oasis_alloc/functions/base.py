"""What a concave function of a measure is to the rest of the house.

A problem states a `Function` of a measure; lowered against the groups that the candidates have, it becomes a
`BoundFunction`: arrays with one entry a group. Constraints are functions too (minus infinity outside their set).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from oasis_alloc.measures import Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Floats = npt.NDArray[np.float64]


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
    prices: Callable[[], Floats]  # after solving, one price a group, signed as everywhere


class BoundFunction(ABC):
    """A function with its numbers, one entry a group.

    `conjugate(prices)` is `F*(lam) = sup_e F(e) + lam @ e`: with this sign a cap's price is >= 0 and a floor's <= 0.
    """

    @abstractmethod
    def value(self, totals: Floats) -> float:
        """F(totals); minus infinity outside a hard band, by however little: see `excess` for how much."""

    @abstractmethod
    def conjugate(self, prices: Floats) -> float:
        """F*(prices), plus infinity outside the domain of the prices."""

    @abstractmethod
    def price_box(self) -> PriceBox:
        """The dual variables, their ranges and the linear conjugate on them."""

    @abstractmethod
    def excess(self, totals: Floats) -> Floats:
        """How far each total is outside the function's domain (0 inside)."""

    @abstractmethod
    def band(self) -> tuple[Floats, Floats, Floats]:
        """(lower, upper, penalty): outside [lower, upper] a unit costs `penalty`, infinite for a hard band."""

    @abstractmethod
    def conic(self, totals: Any) -> Conic:
        """The function of a cvxpy expression of the totals."""

    @property
    @abstractmethod
    def is_constraint(self) -> bool:
        """True where leaving the domain makes an allocation infeasible."""


@dataclass(frozen=True, eq=False)
class Function(ABC):
    """A concave function of a measure, as a problem states it."""

    measure: Measure

    @property
    @abstractmethod
    def name(self) -> str:
        """The given name, else the function's own text."""

    @abstractmethod
    def named(self, name: str) -> Self:
        """The same with a name, by which `solution.prices` and reports know it."""

    @abstractmethod
    def bind(self, labels: Sequence[Any]) -> BoundFunction:
        """The function with its numbers laid out over the groups `labels`."""
