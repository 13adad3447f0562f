"""What each group of a measure got, next to the limits of all constraints on that measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.results.groups import groups_of

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer


@dataclass(frozen=True, eq=False)
class Delivery:
    """One entry per group, in the order of the labels; infinite where a side has no limit."""

    names: tuple[str, ...]  # of the constraints, or of the function
    unit: str
    by: tuple[str, ...]
    labels: Sequence[Any]
    total: Floats
    lower: Floats  # the largest floor
    upper: Floats  # the smallest cap
    price: Floats  # of all constraints together
    size: Floats  # what the total is made of: the sum of absolute contributions, as far as it is known

    @property
    def is_limited(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.lower) | np.isfinite(self.upper)

    @property
    def missed(self) -> npt.NDArray[np.bool_]:
        """Where a limit is missed by more than counts as kept; see `docs/certificate.md`."""
        over = np.maximum(self.total - self.upper, self.lower - self.total)
        limit = np.where(self.total > self.upper, self.upper, self.lower)
        return over > FEASIBLE * np.maximum(np.where(np.isfinite(limit), np.abs(limit), 0.0), self.size)

    def first(self, count: int) -> npt.NDArray[np.int64]:
        """Up to so many groups: those that miss a limit, then those with the largest totals and limits."""
        sizes = [np.where(np.isfinite(each), np.abs(each), 0.0) for each in (self.total, self.lower, self.upper)]
        return np.lexsort((-np.max(sizes, axis=0), ~self.missed))[:count]


def delivery_of(answer: Answer, at: int) -> Delivery:
    """Totals of the function with this number, with the limits of all constraints on the same measure."""
    problem = answer.problem
    measure = problem.functions[at].measure
    of = str(measure)
    # A function's total and a constraint's are the same number; limits are those of constraints and soft ones alone.
    same = [k for k, function in enumerate(problem.functions) if str(function.measure) == of]
    limits = [k for k in same if problem.functions[k].in_constraints]
    own = groups_of(answer, at)
    lower, upper = np.full(own.total.size, -np.inf), np.full(own.total.size, np.inf)
    price, size = np.zeros(own.total.size), np.abs(own.total)
    for k in limits or [at]:
        some = groups_of(answer, k)
        price = price + some.price
        size = np.maximum(size, answer.sizes.get(some.name, 0.0))
        if k in limits:
            lower, upper = np.maximum(lower, some.lower), np.minimum(upper, some.upper)
    names = tuple(problem.names[k] for k in limits) or (own.name,)
    terms = measure.terms
    unit = of
    if len(terms) == 1 and terms[0].coefficient == 1.0:
        unit = "impressions" if terms[0].column is None else f"total of {terms[0].column}"
    if measure.constants:
        unit = f"{unit}, without what was delivered before"
    return Delivery(names, unit, own.by, own.labels, own.total, lower, upper, price, size)
