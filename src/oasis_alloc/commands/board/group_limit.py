"""The limit of one group as something to vary: the floor of one campaign, all others as stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import spread
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import label as as_text
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import Answer
from oasis_alloc.results.sweep import SweepParameter, constraint_of, with_limit


@dataclass(frozen=True, eq=False)
class GroupLimit(SweepParameter):
    """The limit of the group with this number; `place` is the constraint's index in `subject_to`."""

    group: int = 0

    words = "limit"

    def at(self, point: float) -> Problem:
        """The problem with this limit for the group."""
        given, numbers = list(self.problem.subject_to), self._numbers
        numbers[self.group] = point
        labels = self.problem.labels(self.name)
        limit = {label: float(one) for label, one in zip(labels, numbers, strict=True) if one == one}
        given[self.place] = with_limit(given[self.place], limit).named(self.name)
        return self.problem.replace(subject_to=given)

    def slope(self, solution: Answer) -> float:
        """The price of the group."""
        return float(solution.prices[self.name][self.group])

    @property
    def _own(self) -> float:
        return float(self._numbers[self.group])

    @property
    def _numbers(self) -> Floats:
        """The stated limits by group; NaN for a group without one."""
        band = constraint_of(self.problem.subject_to[self.place])
        assert band is not None  # checked by `group_limit`
        labels: Any = self.problem.candidates.grouping(band.measure.by or None).labels
        if isinstance(band.limit, float):
            return np.full(len(labels), band.limit)
        return np.array(spread(band.limit, labels, self.name, free=np.nan), np.float64)


def group_limit(problem: Problem, name: str, label: str) -> GroupLimit:
    """The limit of the group of constraint `name` whose label has this text; `InputError` where there is none."""
    constraints = problem.names[: len(problem.subject_to)]
    if name not in constraints or constraint_of(problem.subject_to[constraints.index(name)]) is None:
        raise InputError(f"{name!r} is not a constraint with a limit.")
    labels = [as_text(one) for one in problem.labels(name)]
    if label not in labels:
        raise InputError(f"{name} has no group {label!r}.")
    return GroupLimit(problem, name, False, constraints.index(name), labels.index(label))
