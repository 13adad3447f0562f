"""The objective: weighted totals and weighted concave functions of totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.data.by_group import as_factor, as_number
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.measures import Measure
from oasis_alloc.statement.multiples import Multiples
from oasis_alloc.statement.stay_close import StayClose


@dataclass(frozen=True, eq=False)
class Objective(Multiples["Objective"], ByFields):
    """A sum of measures without groups, of concave functions and of `stay_close`, for `maximize=`.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.total("relevance") + 0.4 * oa.total("promotion")
    total("relevance") + 0.4 * total("promotion")
    """

    linear: Measure | None
    functions: tuple[Function, ...] = ()
    steady: tuple[StayClose, ...] = ()

    @classmethod
    def of(cls, given: object) -> Objective:
        """Convert a measure, a function or their sum; refuse anything else."""
        if isinstance(given, Objective):
            objective = given
        elif isinstance(given, Measure):
            objective = cls(given)
        elif isinstance(given, Function):
            _refuse_constraint(given)
            objective = cls(None, (given,))
        elif isinstance(given, StayClose):
            objective = cls(None, (), (given,))
        else:
            raise ProblemError(
                f"maximize takes totals such as total('relevance') + 0.4 * total('promotion'), and functions such as "
                f"log(exposure(by='artist')), got {given!r}."
            )
        if objective.linear is not None and objective.linear.by:
            raise ProblemError(
                f"maximize: {objective.linear} has one total per group of {objective.linear.by}; expected one "
                "number to maximize. Drop by=, or wrap the measure in a concave function of its groups."
            )
        if objective.linear is not None and objective.linear.constants:
            raise ProblemError(
                f"maximize: {objective.linear} includes amounts delivered already, which no allocation can change. "
                "Drop delivered_so_far here, or use the measure in a function or a limit."
            )
        return objective

    def checked(self) -> Objective:
        """The same, after refusing functions of the wrong sign."""
        for function in self.functions:
            if (function.weight > 0) != function.concave:
                kind, sign = ("concave", "plus") if function.concave else ("convex", "minus")
                raise ProblemError(
                    f"maximize: {function} has the wrong sign: {kind} functions enter an objective with a {sign}."
                )
        return self

    def __add__(self, other: Any) -> Objective:
        if as_number(other) == 0:
            return self
        if not isinstance(other, (Measure, Function, StayClose, Objective)):
            return NotImplemented
        that = Objective.of(other)
        if self.linear is None or that.linear is None:
            linear = self.linear if that.linear is None else that.linear
        else:
            linear = self.linear + that.linear
        return Objective(linear, self.functions + that.functions, self.steady + that.steady)

    __radd__ = __add__

    def __neg__(self) -> Objective:
        return self * -1.0

    def __sub__(self, other: Any) -> Objective:
        if not isinstance(other, (Measure, Function, StayClose, Objective)):
            return NotImplemented
        return self + (-other)

    def __rsub__(self, other: Any) -> Objective:
        return (-self).__add__(other)

    def __mul__(self, factor: float) -> Objective:
        number = as_factor(factor, self)
        if number is None:
            return NotImplemented
        linear = None if self.linear is None else self.linear * number
        return Objective(
            linear,
            tuple(function * number for function in self.functions),
            tuple(term * number for term in self.steady),
        )

    def __str__(self) -> str:
        text = str(self.linear) if self.linear is not None else ""
        for part in map(str, (*self.functions, *self.steady)):
            sign, part = ("-", part[1:]) if part.startswith("-") else ("+", part)
            text = f"{text} {sign} {part}" if text else (part if sign == "+" else f"-{part}")
        return text

    __repr__ = __str__


def _refuse_constraint(function: Function) -> None:
    from oasis_alloc.statement.functions.band import Band

    if isinstance(function, Band):
        raise ProblemError(f"maximize: {function} is a constraint; put it in subject_to=[...].")
