"""Arithmetic that measures, functions and objectives share: multiplication and division by numbers, from both sides."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Generic, TypeVar

from oasis_alloc.data.by_group import as_factor
from oasis_alloc.errors import ProblemError

_Multiple = TypeVar("_Multiple")


class Multiples(Generic[_Multiple]):
    """Adds `2 * x` and `x / 2` to a class that has `x * 2`."""

    # a numpy array or number on the left must call our operator, instead of working element by element
    __array_ufunc__: Any = None
    __pandas_priority__ = 5000  # likewise a Series

    @abstractmethod
    def __mul__(self, factor: float) -> _Multiple: ...

    def __rmul__(self, factor: float) -> _Multiple:
        return self.__mul__(factor)

    def __truediv__(self, divisor: float) -> _Multiple:
        number = as_factor(divisor, self)
        if number is None:
            return NotImplemented
        if number == 0:
            raise ProblemError(f"cannot divide {self} by zero.")
        return self.__mul__(1.0 / number)
