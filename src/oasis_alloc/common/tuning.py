"""Tuning parameters of algorithms: frozen dataclasses, and the only way for tests and experiments to change them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Settings = TypeVar("_Settings", bound="DataclassInstance")


class Tuning(Generic[_Settings]):
    """The current settings: the defaults, or those set by `using`.

    Code reads them once, at the start of its work, and passes them on. They are not options of `solve`: answers are
    correct with any settings, and the defaults have been measured.

    Example
    -------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Sizes:
    ...     chunk: int = 100
    >>> SIZES = Tuning(Sizes())
    >>> with SIZES.using(chunk=8):
    ...     SIZES.now
    Sizes(chunk=8)
    >>> SIZES.now
    Sizes(chunk=100)
    """

    def __init__(self, defaults: _Settings) -> None:
        self._current: ContextVar[_Settings] = ContextVar(type(defaults).__name__, default=defaults)

    @property
    def now(self) -> _Settings:
        """The settings in this thread or task."""
        return self._current.get()

    @contextmanager
    def using(self, **changes: Any) -> Iterator[_Settings]:
        """Change some of them, in this thread or task, while the context is open."""
        token = self._current.set(replace(self.now, **changes))
        try:
            yield self.now
        finally:
            self._current.reset(token)
