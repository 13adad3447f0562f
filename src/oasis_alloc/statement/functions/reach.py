"""Reach: how many different groups are shown, not how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.arguments import check_measure, positive
from oasis_alloc.statement.functions.base import Conic
from oasis_alloc.statement.functions.soft import BoundSoft
from oasis_alloc.statement.functions.weighted import Weighted
from oasis_alloc.statement.measures import Measure


@suggesting
def reach(measure: Measure, times: float = 1.0) -> Reach:
    """Totals counted up to a number of times, `sum_g min(e_g, times)`: amounts above `times` add nothing.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by=("person", "campaign"))`, over all requests of a person.
    times
        Positive: the amount up to which each group counts.

    Returns
    -------
    Reach
        Concave, piecewise linear; enters an objective with a plus. It equals `times` per group minus the
        shortfall of each, so its prices are those of a soft floor: between minus the weight, if a group is short, and
        0. With `times=1` it is the largest number of people that can be reached with these probabilities; independent
        draws reach at least 1 - 1/e of it (Ageev and Sviridenko, J. Comb. Optim. 8:307, 2004, section 2).

    Raises
    ------
    ProblemError
        If `times` is not positive and finite.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> 0.5 * oa.reach(oa.exposure(by=("person", "campaign")))
    0.5 * reach(exposure(by=("person", "campaign")), times=1)
    """
    check_measure("reach", measure, by="('person', 'campaign')")
    expected = f"reach({measure}, times={times!r}): times is a positive finite number."
    return Reach(measure, times=positive(times, expected))


@dataclass(frozen=True, eq=False, repr=False)
class Reach(Weighted):
    """Totals counted up to a number of times; made by `reach`."""

    times: float = 1.0

    title: ClassVar[str] = "reach"

    def options(self) -> str:
        return f", times={self.times:g}"

    def bind(self, labels: Sequence[Any]) -> BoundReach:
        return BoundReach.of(self.weight, np.full(len(labels), self.times))


@dataclass(frozen=True, eq=False)
class BoundReach(BoundSoft):
    """`w min(e, T) = w T - w max(T - e, 0)`: a constant and a soft floor at T."""

    @classmethod
    def of(cls, weight: float, times: Floats) -> Self:
        return cls(times, np.full(times.size, np.inf), weight)

    uses_range = True

    def within(self, min_total: Floats, max_total: Floats) -> Self:
        return replace(self, lower=np.minimum(self.lower, max_total))  # no total can exceed `max_total`

    def with_limits(self, lower: Floats, upper: Floats) -> Self:
        return self  # `times` is not a limit

    @property
    def max_value(self) -> float:
        """The constant: the value of all groups at T."""
        return float(np.sum(self.penalty * self.lower))

    def value(self, totals: Floats) -> float:
        return float(np.sum(self.penalty * np.minimum(totals, self.lower)))

    def parts(self, totals: Floats) -> float:
        return float(np.sum(self.penalty * np.abs(np.minimum(totals, self.lower))))

    def conjugate(self, prices: Floats) -> float:
        return self.max_value + super().conjugate(prices)

    def min_value(self, min_total: Floats, max_total: Floats) -> float:
        return self.value(min_total)  # it grows with every total

    def conic(self, totals: Any) -> Conic:
        form = super().conic(totals)
        return form._replace(objective=self.max_value + form.objective)
