"""The base class of functions in an objective: weight, name and text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_sizes
from oasis_alloc.statement.functions.band import checked_name
from oasis_alloc.statement.functions.base import Function


@dataclass(frozen=True, eq=False)
class Weighted(Function):
    """A function with a weight in an objective."""

    weight: float = 1.0  # type: ignore[misc]  # every function has a weight; only these can change it
    given_name: str | None = None

    title: ClassVar[str] = ""

    @property
    def name(self) -> str:
        return self.given_name or str(self)

    def named(self, name: str) -> Self:
        return replace(self, given_name=checked_name(name))

    def weighted(self, factor: float) -> Self:
        weight = self.weight * factor
        if not np.isfinite(weight) or weight == 0:
            raise ProblemError(f"cannot multiply {self} by {factor}: expected a finite number other than 0.")
        check_sizes(weight, f"{factor:g} * {self}")
        return replace(self, weight=weight)

    def options(self) -> str:
        """The arguments after the measure, as text."""
        return ""

    def __str__(self) -> str:
        text = f"{self.title}({self.measure}{self.options()})"
        if self.weight == 1.0:
            return text
        return f"-{text}" if self.weight == -1.0 else f"{self.weight:g} * {text}"

    __repr__ = __str__
