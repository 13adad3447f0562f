"""How objects of the package are pickled and copied: by their fields, with read-only arrays restored.

pickle and copy lose two things that the package relies on. A read-only array comes back
writable: data may then change under a solution, and kernels compile again for another type. And a read-only view
of a dictionary (`types.MappingProxyType`) cannot be pickled at all. So immutable classes derive from `ByFields` and
keep mappings as `FrozenMapping`; classes with tables, buffers or kernels made from arguments derive from `Remade`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """A mapping that cannot be changed, and can be pickled and copied.

    >>> import pickle
    >>> caps = FrozenMapping({"artist": 2})
    >>> pickle.loads(pickle.dumps(caps)) == caps == {"artist": 2}
    True
    >>> caps
    {'artist': 2}
    """

    __slots__ = ("_of",)

    def __init__(self, of: Mapping[K, V]) -> None:
        self._of = dict(of)

    def __getitem__(self, key: K) -> V:
        return self._of[key]

    def __contains__(self, key: object) -> bool:
        return key in self._of

    def __iter__(self) -> Iterator[K]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def __or__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**self._of, **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**other, **self._of} if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return repr(self._of)

    def __reduce__(self) -> tuple[Any, ...]:
        return _frozen_mapping, (self._of, _read_only(self._of.values()))


class ByFields:
    """Pickled and copied by its attributes; cached values (`cached_property`) are computed again.

    So are the attributes in `_made_again`. Read-only arrays stay read-only.
    """

    __slots__ = ()
    _made_again: ClassVar[tuple[str, ...]] = ()

    def __getstate__(self) -> tuple[dict[str, Any], list[NDArray[Any]]]:
        kept = {name: value for name, value in self.__dict__.items() if not self._is_made_again(name)}
        return kept, _read_only(kept.values())

    def __setstate__(self, state: tuple[dict[str, Any], list[NDArray[Any]]]) -> None:
        kept, read_only = state
        _freeze(read_only)
        self.__dict__.update(kept)

    @classmethod
    def _is_made_again(cls, name: str) -> bool:
        return name in cls._made_again or isinstance(getattr(cls, name, None), cached_property)


class Remade:
    """Pickled and copied by its constructor arguments, all positional; the copy is made from them."""

    __slots__ = ("_given",)

    def __new__(cls, *given: Any) -> Self:
        made = super().__new__(cls)
        made._given = given
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given

    _given: tuple[Any, ...]


def _read_only(values: Iterable[Any]) -> list[NDArray[Any]]:
    """The read-only arrays among these values, and in lists, tuples and dictionaries of them.

    They are also pickled next to their container; pickle stores these as references, so they can be found again.
    """
    out: list[NDArray[Any]] = []
    for value in values:
        if isinstance(value, np.ndarray):
            if not value.flags.writeable:
                out.append(value)
        elif isinstance(value, (list, tuple)):
            out += _read_only(value)
        elif isinstance(value, dict):
            out += _read_only(value.values())
    return out


def _freeze(arrays: list[NDArray[Any]]) -> None:
    for array in arrays:
        array.flags.writeable = False


def _frozen_mapping(of: dict[Any, Any], read_only: list[NDArray[Any]]) -> FrozenMapping[Any, Any]:
    _freeze(read_only)
    return FrozenMapping(of)
