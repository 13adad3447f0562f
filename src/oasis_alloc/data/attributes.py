"""Attributes of users and items; each becomes a key when a problem uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import readonly
from oasis_alloc.data.keys import Key, as_vector, factorize, refuse_infinite
from oasis_alloc.data.multi_keys import MultiKey, as_attribute, n_rows
from oasis_alloc.data.validation import as_column
from oasis_alloc.errors import InputError

K = TypeVar("K", bound=Key | MultiKey)


@dataclass(frozen=True, eq=False)
class Given:
    """One attribute as it was given: a vector, lists, a matrix, an existing key, or a column of a frame."""

    values: Any
    rows: NDArray[np.int64] | None = None  # rows of the users or items, in the order of their numbers
    is_series: bool = False  # a column of a frame, in its own type

    def read(self) -> Any:
        """The values in the order of the numbers, for `as_attribute`; lists and matrices are unchanged."""
        if not self.is_series:
            return self.values
        from oasis_alloc.data.frames import values_of

        return values_of(self.values)


class Keys(Mapping[str, K], Generic[K]):
    """The keys of the users (or of the items) by name, each made and checked at its first use.

    So unused columns are never a reason to refuse a table. A name that both sides have is refused when it is used.

    >>> keys = Keys({"market": Given(["SE", None]), "vector": Given([{}, {}])}, "users", 2, frozenset({"age"}))
    >>> keys["market"].labels.tolist(), list(keys), "vector" in keys
    (['SE'], ['market', 'vector'], True)
    """

    def __init__(self, given: Mapping[str, Given], side: str, n: int, shared: frozenset[str] = frozenset()) -> None:
        self._given, self._side, self._n, self._shared = dict(given), side, n, shared
        self._made: dict[str, K] = {}

    def __getitem__(self, name: str) -> K:
        if name not in self._made:
            given = self._given[name]
            refuse_shared(name, self._shared)
            self._made[name] = self._make(name, given)  # two threads may make it; both results are equal
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def all_made(self) -> Keys[K]:
        """The same, after making every key: refuses any invalid key."""
        for name in self:
            self[name]
        return self

    def usable(self) -> Iterator[K]:
        """The keys that can be made: other columns of the table are skipped."""
        for name in self:
            try:
                yield self[name]
            except InputError:
                continue

    def numbers(self, name: str) -> NDArray[Any]:
        """The column of that name as finite numbers, (n,) in the order of the users' or items' numbers."""
        given = self._given[name]
        values = given.read()
        if given.rows is not None:
            values = values[given.rows]
        return as_column(f"{self._side}[{name!r}]", values, self._n)

    def _make(self, name: str, given: Given) -> Any:
        attribute = as_attribute(name, given.read(), self._side)
        if given.rows is not None:
            attribute = attribute.take(given.rows)
        size = f"n_{self._side}"
        if not isinstance(attribute, MultiKey):
            return Key.build(name, attribute, n=self._n, size=size, where=self._side)
        if n_rows(attribute) != self._n:
            raise InputError(f"{self._side}[{name!r}] has {n_rows(attribute):,} rows; expected {self._n:,} ({size}).")
        return attribute


def refuse_shared(name: str, shared: frozenset[str]) -> None:
    """Raise `InputError` for a name that both the users and the items have."""
    if name in shared:
        raise InputError(f"{name!r} is a key of both the users and the items; rename one of them.")


def as_keys(
    users: Mapping[str, Given], items: Mapping[str, Given], n_users: int, n_items: int
) -> tuple[Keys[Key], Keys[Key | MultiKey]]:
    """The attributes of both sides; names that both have are refused when they are used."""
    shared = frozenset(users) & frozenset(items)
    return Keys(users, "users", n_users, shared), Keys(items, "items", n_items, shared)


def as_ids(ids: object, n: int, what: str, size: str) -> NDArray[Any] | None:
    """Distinct ids of users or items, (n,), or None; `InputError` names the id that is missing or repeated."""
    if ids is None:
        return None
    vector = as_vector(ids, what)
    if len(vector) != n:
        raise InputError(f"{what} has {len(vector):,} entries; expected {n:,} ({size}).")
    factor = factorize(vector, what)
    if (factor.codes < 0).any():
        raise InputError(f"{what}: entry {int(np.argmin(factor.codes)):,} is missing; expected an id.")
    refuse_infinite(factor, what, lambda row: f"entry {row:,} is")
    if len(factor.values) < n:
        again = np.ones(n, dtype=bool)
        again[factor.rows] = False
        entry = int(np.argmax(again))
        first = int(factor.rows[factor.codes[entry]])
        raise InputError(
            f"{what}: {vector[entry]!r} is at entry {first:,} and again at {entry:,}; expected distinct ids."
        )
    return readonly(vector)
