"""Misspelled keyword arguments: an error that names the nearest one, in place of Python's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps
from inspect import signature
from types import FunctionType
from typing import Any, TypeVar

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError

Call = TypeVar("Call", bound=Callable[..., Any])
_UNKNOWN = re.compile(r"\(\) got an unexpected keyword argument '(.*?)'")


def suggesting(call: Call) -> Call:
    """The function, whose error for an argument that it does not have says which one was meant.

    For a class, this holds for its constructor and for its class methods and static methods, such as `from_arrays`;
    methods of objects are decorated one by one, where they are not part of a request. The error is a `ProblemError`
    in a module that raises these, else an `InputError`.

    >>> @suggesting
    ... def solve(problem, *, gap=1e-4): ...
    >>> solve(None, gapp=1)
    Traceback (most recent call last):
    oasis_alloc.errors.ProblemError: solve() takes no argument 'gapp'. Did you mean 'gap'? Known: problem, gap.
    """
    if not isinstance(call, type):
        return _answered(call, call.__name__)  # type: ignore[return-value]
    own = getattr(call, "__init__", None)
    if isinstance(own, FunctionType):
        setattr(call, "__init__", _answered(own, call.__name__))  # noqa: B010  # mypy takes it for that of an object
    for name, made in list(vars(call).items()):
        if isinstance(made, (classmethod, staticmethod)) and not name.startswith("_"):
            setattr(call, name, type(made)(_answered(made.__func__, f"{call.__name__}.{name}")))
    return call


def _answered(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def answered(*args: Any, **given: Any) -> Any:
        try:
            return call(*args, **given)
        except TypeError as error:
            found = _UNKNOWN.search(str(error))
            if found is None or error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # not of this call, but from within it
            known = [one for one in signature(call).parameters if one not in ("self", "cls") and one[0] != "_"]
            told = f"{name}() takes no argument {found[1]!r}.{did_you_mean(found[1], known)}"
            raise _kind(call)(told) from None

    return answered


def _kind(call: Callable[..., Any]) -> type[OasisAllocError]:
    """The class of error that the module of a function raises for its other arguments."""
    module = vars(sys.modules.get(call.__module__, sys))
    return ProblemError if "ProblemError" in module else InputError
