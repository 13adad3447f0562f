"""Attributes of users and items as numbers: sorted distinct labels, and a code for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import objects, readonly
from oasis_alloc.common.labels import all_same, as_dates, is_none, kinds_of, plain
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.data.coded import decoded
from oasis_alloc.errors import InputError

_INFINITE = frozenset({np.inf, -np.inf})
_HASHED = -(2**20)  # labels below it are hashes, not codes of "missing"
_OF_NAN = (np.iinfo(np.int32).min, np.iinfo(np.int64).min)  # NaN converted to an integer
_PLAIN = frozenset({str, int, float, type(None)})  # for these types, Python's equality is that of labels


@dataclass(frozen=True, eq=False)
class Factor:
    """Distinct values and where they occur: row i has `values[codes[i]]`, or no value if the code is -1."""

    values: NDArray[Any]  # (n_distinct,), sorted where `ordered`, else by first appearance
    codes: NDArray[np.int64]  # (n_rows,)
    rows: NDArray[np.int64]  # (n_distinct,), the first row of each value
    ordered: bool


@dataclass(frozen=True, eq=False)
class Key(ByFields):
    """One attribute of the users or of the items, factorized.

    `codes` is int32, one per user (or item), -1 without a label. `labels` are the sorted distinct labels
    among them, whether or not a candidate has them: an int64 array, or an object array of str (bool and
    float arrays, and object arrays of dates or other things that sort, occur too). Group g is `labels[g]`.

    >>> key = Key.build("campaign", ["b", None, "a", "b"], n=4, size="n_items", where="items")
    >>> key.labels.tolist(), key.codes.tolist(), key.n_groups
    (['a', 'b'], [1, -1, 0, 1], 2)
    """

    name: str
    codes: NDArray[np.int32]
    labels: NDArray[Any]

    @property
    def n_groups(self) -> int:
        """Number of distinct labels."""
        return len(self.labels)

    @classmethod
    def build(cls, name: str, values: object, *, n: int | None, size: str, where: str) -> Key:
        """Factorize `values`, (n,): -1, None and NaN mean no label.

        `where` and `size` are names for error messages: ``items['campaign']``, ``n_items``. Raises `InputError` for a
        wrong length, negative integers other than -1 (but see `docs/labels.md` for hashes), infinite values and
        labels that do not sort.
        """
        what = f"{where}[{name!r}]"
        vector = as_vector(values, what)
        if n is not None and len(vector) != n:
            raise InputError(f"{what} has {len(vector):,} entries; expected {n:,} ({size}).")
        codes, labels = as_labels(factorize(vector, what), what, lambda row: f"entry {row:,} is")
        return cls(name, readonly(codes.astype(np.int32)), readonly(labels))

    def membership(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return int64 (n + 1,) and int32: row i has the groups `codes[indptr[i]:indptr[i + 1]]`, one or none.

        >>> key = Key.build("campaign", ["b", None, "a"], n=3, size="n_items", where="items")
        >>> [part.tolist() for part in key.membership()]
        [[0, 1, 1, 2], [1, 0]]
        """
        has = self.codes >= 0
        indptr = np.zeros(len(self.codes) + 1, dtype=np.int64)
        np.cumsum(has, out=indptr[1:])
        return indptr, self.codes[has]


def as_labels(factor: Factor, what: str, place: Callable[[int], str]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return (codes, labels) of a factor in the form of keys: -1 means no label, integers are int64, labels are sorted.

    `place` describes a row, before its label, for errors: ``entry 3 is``.
    """
    codes, labels = factor.codes, factor.values
    if not factor.ordered:
        kinds = [type(value) for value in labels.tolist()]
        other = next((k for k, kind in enumerate(kinds) if kind is not kinds[0]), 0)
        raise InputError(
            f"{what} mixes labels that cannot be sorted ({_types(labels)}; "
            f"{place(int(factor.rows[other]))} {labels[other]!r}); make them all integers or all strings."
        )
    if labels.dtype.kind == "f":
        if labels.size and np.isinf(labels[[0, -1]]).any():
            end = 0 if np.isinf(labels[0]) else -1
            row = int(factor.rows[end])
            raise InputError(
                f"{what} has an infinite label ({place(row)} {labels[end]}); expected finite numbers, or NaN for no "
                "label."
            )
        if not (labels % 1).any() and (not labels.size or np.abs(labels[[0, -1]]).max() < 2**63):
            labels = labels.astype(np.int64)  # integers stored as floats, because some are missing
    if labels.size and (labels.dtype.kind in "iu" or set(map(type, labels.tolist())) == {int}):
        labels, codes = _without_minus_one(labels, codes, factor, what, place)
    if labels.dtype.kind in "iu" and (not labels.size or labels[-1] < 2**63):
        labels = labels.astype(np.int64)
    return codes, as_dates(labels)


def refuse_infinite(factor: Factor, what: str, place: Callable[[int], str]) -> None:
    """Raise `InputError` for an infinite number among ids: it equals no label, so nothing would find it again."""
    values = factor.values
    if values.dtype.kind == "f":
        bad = np.flatnonzero(np.isinf(values))
    elif values.dtype.kind == "O":
        bad = np.array([k for k, value in enumerate(values.tolist()) if value in _INFINITE], np.int64)
    else:
        return
    if bad.size:
        row = int(factor.rows[bad].min())
        raise InputError(f"{what}: {place(row)} {values[factor.codes[row]]}; expected finite numbers as ids.")


def _without_minus_one(
    labels: NDArray[Any], codes: NDArray[np.int64], factor: Factor, what: str, place: Callable[[int], str]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Integer labels, sorted, where -1 means no label: codes are not negative, hashes may be."""
    low = int(labels[0])
    if low in _OF_NAN:
        raise InputError(
            f"{what}: {place(int(factor.rows[0]))} {low}, which is NaN converted to an integer; expected labels, "
            "and None, NaN or -1 for no label."
        )
    if _HASHED <= low < -1:
        raise InputError(
            f"{what}: {place(int(factor.rows[0]))} {low}; expected labels >= 0, or -1 for no label. (Hashes "
            f"may be negative: if any label is below {_HASHED:,}, all numbers but -1 are labels.)"
        )
    at = int(np.searchsorted(labels, -1))
    if at == len(labels) or labels[at] != -1:
        return labels, codes
    # code -1 reads the last entry
    renumber = np.concatenate([np.arange(at), [-1], np.arange(at, len(labels) - 1), [-1]])
    return np.delete(labels, at), renumber[codes]


def as_vector(values: Any, what: str) -> NDArray[Any]:
    """Return `values` as a one-dimensional array; only NumPy arrays keep their type.

    Lists become object arrays, because `np.asarray(["a", nan])` would invent the label "nan".
    """
    array: NDArray[Any]
    if isinstance(values, np.ma.MaskedArray):
        array = np.asarray(values).astype(object)
        array[np.ma.getmaskarray(values)] = None
    elif type(values).__module__.partition(".")[0] in ("polars", "pyarrow") and hasattr(values, "null_count"):
        array = _of_column(values)
    elif hasattr(values, "isna") and not isinstance(values.dtype, np.dtype) and values.isna().any():
        array = objects(values.tolist())  # pandas: NumPy would convert integers with missing values to floats
    elif hasattr(values, "__array__"):
        array = np.asarray(values)
    elif isinstance(values, Iterable) and not isinstance(values, (str, bytes, set, frozenset, Mapping)):
        array = objects(values)  # a set has no order, and a mapping would give its keys
    else:
        raise InputError(f"{what} is {type(values).__name__}; expected a one-dimensional array or list.")
    if array.ndim != 1:
        raise InputError(f"{what} has shape {array.shape}; expected a one-dimensional array.")
    return array


def _of_column(values: Any) -> NDArray[Any]:
    """A column of polars or pyarrow: as an array if it has only numbers, else the values themselves."""
    values = decoded(values)
    has_nulls = values.null_count() if callable(values.null_count) else values.null_count
    if not has_nulls and "128" not in str(getattr(values, "dtype", "")):  # NumPy has no 128-bit integers
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind in "iufb" and array.ndim == 1:
            return array
    return objects(values.to_pylist() if hasattr(values, "to_pylist") else values.to_list())


def factorize(values: NDArray[Any], what: str) -> Factor:
    """Find the distinct values of a vector, sorted if they can be sorted; None, NaN and NaT get code -1."""
    kind = values.dtype.kind
    if values.dtype == np.float16:  # 2**63 is beyond its range, and float32 represents all its numbers
        values = values.astype(np.float32)
    if kind in "iu":
        return _factorize_integers(values.astype(values.dtype.newbyteorder("="), copy=False))
    if kind in "bfmM":
        return _factorize_by_sorting(values.astype(values.dtype.newbyteorder("="), copy=False))
    if kind in "OUTS":
        return _factorize_by_hashing(values.tolist(), what)
    raise InputError(f"{what} has dtype {values.dtype}; expected integers or strings.")


def _factorize_integers(values: NDArray[Any]) -> Factor:
    n = len(values)
    low, high = (int(values.min()), int(values.max())) if n else (0, -1)
    span = high - low + 1
    if span > 4 * n + 1_000_000:
        return _factorize_by_sorting(values)
    # A narrow range: a table of the range is several times faster than a sort.
    base = values.dtype.type(low) if values.dtype == np.uint64 else np.int64(low)
    offsets = (values.astype(base.dtype, copy=False) - base).astype(np.int64, copy=False)
    present = np.zeros(span, dtype=bool)
    present[offsets] = True
    found = np.flatnonzero(present)
    codes = (np.cumsum(present, dtype=np.int64) - 1)[offsets]
    distinct = (found.astype(base.dtype) + base).astype(values.dtype)
    return Factor(distinct, codes, first_rows(codes, len(found)), True)


def _factorize_by_sorting(values: NDArray[Any]) -> Factor:
    none = np.isnan(values) if values.dtype.kind == "f" else None
    if values.dtype.kind in "mM":
        none = np.isnat(values)
    if none is None or not none.any():
        distinct, codes = np.unique(values, return_inverse=True)
    else:
        distinct, found = np.unique(values[~none], return_inverse=True)
        codes = np.full(len(values), -1, dtype=np.int64)
        codes[~none] = found
    codes = codes.astype(np.int64, copy=False)
    return Factor(distinct, codes, first_rows(codes, len(distinct)), True)


def _factorize_by_hashing(values: list[Any], what: str) -> Factor:
    as_they_are = set(map(type, values)) <= _PLAIN
    try:
        keys = values if as_they_are else all_same(values)
    except InputError as error:
        raise InputError(f"{what} has values that cannot be labels: {error}") from error
    seen: dict[Any, int] = {}
    codes = np.fromiter((seen.setdefault(key, len(seen)) for key in keys), np.int64, len(keys))
    distinct = list(seen)
    rows = first_rows(codes, len(distinct))
    kept = [number for number, key in enumerate(distinct) if not is_none(key)]
    labels = _typed([plain(values[rows[number]]) for number in kept])
    ordered = True
    if labels.dtype.kind == "O":
        try:
            order = np.array(sorted(range(len(kept)), key=labels.__getitem__), dtype=np.int64)
        except TypeError:
            order, ordered = np.arange(len(kept)), False
        if ordered and not as_they_are and len(kinds_of(distinct)) > 1:  # in Python, True is between 0 and 2
            order, ordered = np.arange(len(kept)), False
    else:
        order = np.argsort(labels, kind="stable")
    positions = np.array(kept, dtype=np.int64)[order]
    renumber = np.full(len(distinct), -1, dtype=np.int64)
    renumber[positions] = np.arange(len(positions))
    return Factor(labels[order], renumber[codes], rows[positions], ordered)


def first_rows(codes: NDArray[np.int64], n_distinct: int) -> NDArray[np.int64]:
    """Return the first row of each code from 0 to n_distinct - 1, each of which occurs."""
    rows = np.empty(n_distinct + 1, dtype=np.int64)  # the last entry takes the rows that have code -1
    rows[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # NumPy keeps the last of equal indices
    return rows[:n_distinct]


def _typed(labels: list[Any]) -> NDArray[Any]:
    """Distinct plain labels in the narrowest type that represents all of them exactly."""
    kinds = set(map(type, labels))
    if kinds == {bool}:
        return np.array(labels, dtype=bool)
    try:
        if kinds <= {int}:
            return np.array(labels, dtype=np.uint64 if labels and max(labels) >= 2**63 else np.int64)
        if kinds <= {int, float}:
            as_floats = np.array(labels, dtype=np.float64)
            if as_floats.tolist() == labels:
                return as_floats
    except OverflowError:
        pass
    return objects(labels)


def _types(values: NDArray[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values.tolist()}))
