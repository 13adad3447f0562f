"""Keys with several labels per item: a track with three genres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import objects, readonly
from oasis_alloc.common.csr import gather, number_sets
from oasis_alloc.common.labels import as_dates, is_none
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.data.keys import as_labels, as_vector, factorize
from oasis_alloc.errors import InputError


@dataclass(frozen=True, eq=False)
class MultiKey(ByFields):
    """One attribute of the items with any number of labels per item, factorized.

    Item i has the groups `codes[indptr[i]:indptr[i + 1]]`, int32, sorted and distinct; `indptr` is int64
    (n_items + 1,). `labels` are the sorted distinct labels that some item has, as in a `Key`. Group g is
    `labels[g]`.

    >>> key = MultiKey.build("genre", [["rock", "pop"], None, {"jazz"}, ("pop", "rock")])
    >>> key.labels.tolist(), key.indptr.tolist(), key.codes.tolist()
    (['jazz', 'pop', 'rock'], [0, 2, 2, 3, 5], [1, 2, 0, 1, 2])
    >>> key.sets.tolist()
    [2, 0, 1, 2]
    """

    name: str
    indptr: NDArray[np.int64]
    codes: NDArray[np.int32]
    labels: NDArray[Any]

    @property
    def n_groups(self) -> int:
        """Number of distinct labels."""
        return len(self.labels)

    @cached_property
    def sets(self) -> NDArray[np.int32]:
        """Number of each item's set of labels, (n_items,), from 0: items of exactly the same labels share one."""
        return readonly(number_sets(self.indptr, self.codes, self.n_groups))

    def membership(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return (indptr, codes), as `Key.membership` for keys with one label."""
        return self.indptr, self.codes

    def take(self, items: NDArray[np.int64]) -> MultiKey:
        """Return the key of the same items in another order."""
        indptr, entries = gather(self.indptr, items)
        return MultiKey(self.name, readonly(indptr), readonly(self.codes[entries]), self.labels)

    @classmethod
    def build(cls, name: str, values: object) -> MultiKey:
        """Factorize `values`: lists of labels, a matrix (n_items, n_categories), or a pair (matrix, labels).

        See `Candidates.from_arrays`. Raises `InputError` with the item for anything else in a list (None and an
        empty list are no labels), a list within a list, a label that is missing, boolean, negative, infinite or
        twice in one item, and labels that do not sort; for a matrix that is neither sparse nor boolean, and labels
        that do not fit it.
        """
        what = f"items[{name!r}]"
        if is_matrix(values):
            return cls._of_matrix(name, values, what)
        lists = as_vector(values, what)
        flat, item = _flat(lists, what)
        vector = _plain(flat, item, what)
        codes, labels = as_labels(factorize(vector, what), what, lambda entry: f"item {item[entry]:,} has the label")
        if (codes < 0).any():
            entry = int(np.argmax(codes < 0))
            raise InputError(
                f"{what}: item {item[entry]:,} has the label {vector[entry]!r}; expected no missing label "
                "in a list; an item without labels has an empty list or None."
            )
        return cls._sorted(name, item, codes, labels, len(lists), what)

    @classmethod
    def _of_matrix(cls, name: str, values: Any, what: str) -> MultiKey:
        matrix, given = values if isinstance(values, tuple) else (values, None)
        item, column, shape = _members(matrix, what)
        if given is None:
            of_column, labels = np.arange(shape[1]), np.arange(shape[1])
        else:
            of_column, labels = _column_labels(given, shape[1], f"{what}: labels")
        codes = of_column[column]
        used = np.bincount(codes, minlength=len(labels)) > 0  # a label without items is not a group, as in lists
        return cls._sorted(name, item, (np.cumsum(used) - 1)[codes], labels[used], shape[0], what)

    @classmethod
    def _sorted(
        cls, name: str, item: NDArray[np.int64], codes: NDArray[np.int64], labels: NDArray[Any], n: int, what: str
    ) -> MultiKey:
        """The key of memberships (item, code), the items in order."""
        place = item * max(len(labels), 1) + codes
        if (place[1:] < place[:-1]).any():
            place = np.sort(place)
        twice = np.flatnonzero(place[1:] == place[:-1])
        item, codes = np.divmod(place, max(len(labels), 1))
        if twice.size:
            raise InputError(
                f"{what}: item {item[twice[0]]:,} has the label {labels.tolist()[codes[twice[0]]]!r} twice; expected "
                "distinct labels. (Give a matrix of 0 and 1 as a sparse matrix or an array of dtype bool.)"
            )
        indptr = np.searchsorted(item, np.arange(n + 1))
        return cls(name, readonly(indptr.astype(np.int64)), readonly(codes.astype(np.int32)), readonly(labels))


Attribute: TypeAlias = NDArray[Any] | MultiKey
"""The values of a key for all users or items: a vector of labels, or a key with several labels per item."""


def as_attribute(name: str, values: object, side: str) -> Attribute:
    """Return attributes as a vector of labels, or as a `MultiKey` if they are lists or a matrix.

    Raises `InputError` for lists or a matrix of users, whose keys have one label each.
    """
    what = f"{side}[{name!r}]"
    several = "is a matrix"
    if isinstance(values, MultiKey):
        return values
    if not is_matrix(values):
        vector = as_vector(values, what)
        if vector.dtype.kind != "O" or not any(map(_several, set(map(type, vector)))):
            return vector
        row = next(row for row, value in enumerate(vector) if _several(type(value)))
        several = f"has the {type(vector[row]).__name__} {vector[row]!r} for user {row:,}"
        values = vector
    if side == "items":
        return MultiKey.build(name, values)
    raise InputError(
        f"{what} {several}, but only keys of the items may have several labels; expected one label per user. "
        "Use several keys if a user has several labels."
    )


def n_rows(values: Attribute) -> int:
    """Return the number of users or items."""
    return len(values.indptr) - 1 if isinstance(values, MultiKey) else len(values)


def is_matrix(values: object) -> bool:
    """Tell whether `values` is a sparse matrix, an array of two dimensions, or one of them and labels."""
    matrix = values[0] if isinstance(values, tuple) and len(values) == 2 else values
    return hasattr(matrix, "tocsr") or (type(matrix) is np.ndarray and matrix.ndim == 2)


def _several(kind: type) -> bool:
    return issubclass(kind, (list, tuple, set, frozenset)) or (
        hasattr(kind, "__array__") and not issubclass(kind, np.generic)
    )


def _flat(values: NDArray[Any], what: str) -> tuple[list[Any], NDArray[np.int64]]:
    """All labels of all items, one after the other, and the item of each."""
    labels: list[Any] = []
    size = np.zeros(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        if _several(type(value)):
            before = len(labels)
            if isinstance(value, (list, tuple, set, frozenset)):
                labels.extend(value)
            else:
                labels.extend(as_dates(as_vector(value, f"{what}: item {row:,}")).tolist())
            size[row] = len(labels) - before
        elif not is_none(value):
            raise InputError(f"{what}: item {row:,} is {value!r}; expected a list of labels, as other items have.")
    return labels, np.repeat(np.arange(len(values)), size)


def _plain(labels: list[Any], item: NDArray[np.int64], what: str) -> NDArray[Any]:
    """The labels as a vector, none of them a list or a boolean."""
    kinds = set(map(type, labels))
    within = tuple(kind for kind in kinds if _several(kind) or issubclass(kind, dict))
    boolean = tuple(kind for kind in kinds if issubclass(kind, (bool, np.bool_)))
    if within or boolean:
        entry = next(k for k, label in enumerate(labels) if isinstance(label, within or boolean))
        found = f"{what}: item {item[entry]:,} has {labels[entry]!r} among its labels; expected "
        raise InputError(
            found + "one list per item."
            if within
            else found + "integers or strings, or for a matrix a sparse matrix or an array of dtype bool."
        )
    return objects(labels)


def _members(matrix: Any, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """(item, column) of the non-zeros of a matrix, in the order of items, and its shape."""
    if len(matrix.shape) != 2:
        raise InputError(f"{what} has shape {matrix.shape}; expected a matrix (n_items, n_categories).")
    shape = int(matrix.shape[0]), int(matrix.shape[1])
    if not hasattr(matrix, "tocsr"):
        if matrix.dtype.kind != "b":
            raise InputError(
                f"{what} is an array of shape {shape} and dtype {matrix.dtype}; expected one label per item, or "
                "memberships as an array of dtype bool or a sparse matrix."
            )
        item, column = np.nonzero(matrix)
        return item.astype(np.int64), column.astype(np.int64), shape
    rows = matrix.tocsr(copy=True)
    rows.sum_duplicates()  # also sorts; on a copy, because it works in place
    item = np.repeat(np.arange(shape[0]), np.diff(rows.indptr))
    if rows.data.dtype.kind == "f" and np.isnan(rows.data).any():
        entry = int(np.argmax(np.isnan(rows.data)))
        raise InputError(f"{what}: item {item[entry]:,} has nan in column {rows.indices[entry]:,}; expected numbers.")
    member = rows.data != 0
    return item[member], rows.indices[member].astype(np.int64), shape


def _column_labels(given: object, n: int, what: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(number of each column's label, sorted labels)."""
    vector = as_vector(given, what)
    if len(vector) != n:
        raise InputError(f"{what} has {len(vector):,} entries; expected {n:,} (columns of the matrix).")
    factor = factorize(vector, what)
    codes, labels = as_labels(factor, what, lambda entry: f"entry {entry:,} is")
    if (codes < 0).any():
        raise InputError(f"{what}: entry {int(np.argmin(codes)):,} is missing; expected a label for every column.")
    if len(labels) < n:
        again = np.setdiff1d(np.arange(n), factor.rows)[0]
        raise InputError(f"{what}: entry {again:,} repeats {vector[again]!r}; expected distinct labels.")
    return codes, labels
