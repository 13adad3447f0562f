"""Misspelled keyword arguments: an error that names the nearest one, in place of Python's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import ProblemError

Call = TypeVar("Call", bound=Callable[..., Any])
_UNKNOWN = re.compile(r"\(\) got an unexpected keyword argument '(.*)'")


def suggesting(call: Call) -> Call:
    """The function, whose error for an argument that it does not have says which one was meant.

    >>> @suggesting
    ... def solve(problem, *, gap=1e-4): ...
    >>> solve(None, gapp=1)
    Traceback (most recent call last):
    oasis_alloc.errors.ProblemError: solve() takes no argument 'gapp'. Did you mean 'gap'? Known: problem, gap.
    """

    @wraps(call)
    def answered(*args: Any, **given: Any) -> Any:
        try:
            return call(*args, **given)
        except TypeError as error:
            found = _UNKNOWN.search(str(error))
            if found is None or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # not of this call, but from within it
            known = signature(call).parameters
            raise ProblemError(
                f"{call.__name__}() takes no argument {found[1]!r}.{did_you_mean(found[1], known)}"
            ) from None

    return answered  # type: ignore[return-value]
