"""By how much totals miss limits, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE, NO_LIMIT
from oasis_alloc.problem import Problem


@dataclass(frozen=True)
class Miss:
    """One group of one constraint: what is planned and served of it, and by how much its limit is missed.

    `miss` is in the unit of the limit and 0 where the limit is met; `relative` is its share of the limit, or of the
    total for a limit of 0.

    >>> import oasis_alloc as oa
    >>> oa.Miss("floors", "a", 2500.0, float("inf"), 2500.0, 2488.0, 12.0).relative
    0.0048
    """

    name: str
    label: Any
    lower: float
    upper: float
    planned: float
    served: float
    miss: float

    @property
    def relative(self) -> float:
        """`miss` as a share of the limit, or of the total for a limit of 0."""
        limit = self.lower if self.served < self.lower else self.upper
        size = abs(limit) if np.isfinite(limit) and limit else abs(self.served)
        return self.miss / size if size and self.miss else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, for JSON; None for a limit that there is not."""
        return {**jsonable(self), "relative": self.relative}


def misses_of(problem: Problem, planned: Mapping[str, Floats], served: Mapping[str, Floats]) -> tuple[Miss, ...]:
    """A `Miss` per group with a limit, the largest relative miss first."""
    out = []
    for name, bound in zip(problem.names, problem.bound, strict=True):
        if not bound.is_constraint:
            continue
        lower, upper, _ = bound.band()
        limited = (lower > -NO_LIMIT) | (upper < NO_LIMIT)
        labels = problem.labels(name)
        for g in np.flatnonzero(limited).tolist():
            low, high, got = float(lower[g]), float(upper[g]), float(served[name][g])
            miss = max(low - got, got - high, 0.0)
            limit = low if got < low else high
            if miss <= FEASIBLE * max(abs(limit), abs(got)):
                miss = 0.0
            out.append(Miss(name, labels[g], low, high, float(planned[name][g]), got, miss))
    out.sort(key=lambda one: -one.relative)
    return tuple(out)
