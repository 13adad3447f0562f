"""Checks of CSR arrays and columns, block by block, so that a billion pairs need no big temporaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import is_none
from oasis_alloc.data.coded import decoded
from oasis_alloc.errors import InputError

_SPARSE = 100  # item numbers per pair from which they look like ids
_FEW = 1_000_000
_BLOCK = 1 << 18  # a block of a column and its mask stay in the cache


def by_name(given: object) -> Mapping[str, Any] | None:
    """Columns by name, from a mapping or a pandas, polars or pyarrow table; None for anything else."""
    if isinstance(given, Mapping):
        return given
    names = getattr(given, "column_names", None) or getattr(given, "columns", None)
    if names is None or not hasattr(given, "__getitem__") or hasattr(given, "collect"):  # a lazy frame has no data
        return None
    return {name: given[name] for name in names}


def as_indptr(values: object) -> NDArray[np.int64]:
    """Return a read-only int64 indptr that starts at 0, never decreases, and has one user or more."""
    indptr = _as_integers(values, "indptr")
    if len(indptr) < 2:
        raise InputError(
            f"indptr has {len(indptr)} entries, so there are no users; expected n_users + 1 entries, n_users >= 1."
        )
    if indptr[0] != 0:
        raise InputError(f"indptr starts at {indptr[0]}; expected 0.")
    for start in range(0, len(indptr) - 1, _BLOCK):
        block = indptr[start : start + _BLOCK + 1]
        down = block[1:] < block[:-1]
        if down.any():
            k = start + int(np.argmax(down))
            raise InputError(
                f"indptr decreases at entry {k + 1:,}: from {indptr[k]:,} to {indptr[k + 1]:,}; "
                "expected entries that never decrease."
            )
    return readonly(np.ascontiguousarray(indptr, dtype=np.int64))


def check_size(indptr: NDArray[np.int64], n_pairs: int) -> None:
    """Check that indptr ends at the number of pairs."""
    if indptr[-1] != n_pairs:
        raise InputError(f"indptr ends at {int(indptr[-1]):,}; expected {n_pairs:,} (n_pairs, the length of item).")


def as_items(values: object, n_items: int | None) -> tuple[NDArray[Any], int]:
    """Return read-only item numbers, uint16 or uint32, all in [0, n_items), and n_items."""
    item = _as_integers(values, "item")
    if n_items is not None and as_whole(n_items) is None:
        raise InputError(f"n_items is {n_items!r}; expected an integer >= 0.")
    if n_items is not None and not 0 <= n_items < 2**32:
        raise InputError(f"n_items is {n_items:,}; expected an integer >= 0 and below 2**32.")
    low, high = (int(item.min()), int(item.max())) if len(item) else (0, -1)
    count = high + 1 if n_items is None else int(n_items)
    if low < 0 or high >= count:
        k = _first(item, lambda block: (block < 0) | (block >= count))
        raise InputError(f"item: entry {k:,} is {int(item[k]):,}; expected an item number in [0, {count:,}) (n_items).")
    if count >= 2**32:
        raise InputError(f"item: the largest item number is {high:,}; expected numbers below 2**32 - 1.")
    if n_items is None and high >= _SPARSE * len(item) + _FEW:
        raise InputError(
            f"item: the largest number is {high:,}, for {len(item):,} pairs; these look like ids, and the unused "
            "numbers between them would take memory and time. Use Candidates.from_frames, which takes ids, or number "
            "them: ids, item = np.unique(item, return_inverse=True), with item_ids=ids. With n_items= they are taken "
            "as numbers."
        )
    return readonly(np.ascontiguousarray(item, dtype=item_dtype(count))), count


def item_dtype(n_items: int) -> type[np.uint16] | type[np.uint32]:
    """Return the narrowest type that kernels take for item numbers."""
    return np.uint16 if n_items <= 65535 else np.uint32


def as_column(
    what: str,
    values: object,
    n_pairs: int,
    indptr: NDArray[np.int64] | None = None,
) -> NDArray[Any]:
    """Return a read-only, contiguous, finite float32 or float64 column; shared where it already is one.

    With `indptr`, errors name the pair and its user; without, the row of a frame.
    """
    column = _as_floats(what, values)

    def where(k: int) -> str:
        if indptr is None:
            return f"row {k:,}"
        return f"pair {k:,} (user {int(np.searchsorted(indptr, k, side='right')) - 1:,})"

    if len(column) != n_pairs:
        raise InputError(f"{what} has {len(column):,} entries; expected {n_pairs:,} (n_pairs, the length of item).")
    bad = _first(column, lambda block: ~np.isfinite(block))
    if bad >= 0:
        found = column[bad]
        text = "nan" if np.isnan(found) else "inf" if found > 0 else "-inf"
        raise InputError(f"{what}: {where(bad)} is {text}; expected finite numbers.")
    return readonly(column)


def check_duplicates(indptr: NDArray[np.int64], item: NDArray[Any], n_items: int) -> None:
    """Check that no user has an item twice, in one pass."""
    if len(item) < 2:
        return
    from oasis_alloc.kernels.solve.check import first_duplicate

    second = int(first_duplicate(indptr, item, np.zeros(n_items, dtype=np.int64)))
    if second >= 0:
        user = int(np.searchsorted(indptr, second, side="right")) - 1
        first = int(indptr[user]) + int(np.argmax(item[indptr[user] : second] == item[second]))
        raise InputError(
            f"user {user:,} has item {int(item[second]):,} twice, at pairs {first:,} and {second:,}; "
            "expected each item once per user."
        )


def _as_integers(values: object, what: str) -> NDArray[Any]:
    array = _as_array(values, what)
    if array.dtype.kind == "O":
        numbers = array.tolist()
        for k, value in enumerate(numbers):
            if as_whole(value) is None:
                raise InputError(f"{what}: entry {k:,} is {value!r}; expected integers.")
        try:
            array = np.array(numbers, dtype=np.int64)
        except OverflowError as error:
            raise InputError(f"{what} has an integer beyond 64 bits ({error}).") from error
    if not array.size and array.dtype.kind == "f":
        array = array.astype(np.int64)  # an empty list
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} has dtype {array.dtype}; expected integers.")
    return array


def _as_floats(what: str, values: object) -> NDArray[Any]:
    array = _as_array(values, what)
    kind = array.dtype.kind
    if kind == "O":
        numbers = array.tolist()
        for k, value in enumerate(numbers):
            if isinstance(value, (str, bytes)):
                raise InputError(f"{what}: entry {k:,} is the string {value!r}; expected numbers.")
            if isinstance(value, (np.timedelta64, np.datetime64)) and not is_none(value):
                raise InputError(f"{what}: entry {k:,} is the time {value!r}; expected numbers.")
        try:
            array = np.array([np.nan if is_none(value) else float(value) for value in numbers], dtype=float)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{what} holds something that is not a number ({error}).") from error
    elif kind not in "biuf":
        what_it_is = "strings" if kind in "UTS" else f"dtype {array.dtype}"
        raise InputError(f"{what} has {what_it_is}; expected numbers.")
    narrow = kind in "biuf" and array.dtype.itemsize <= (4 if kind == "f" else 2)
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite, and is refused
        return np.ascontiguousarray(array, dtype=np.float32 if narrow else np.float64)


def _as_array(values: object, what: str) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        k = int(np.argmax(np.ma.getmaskarray(values).reshape(-1)))
        raise InputError(f"{what}: entry {k:,} is masked; expected a value.")
    try:
        array: NDArray[Any] = np.asarray(decoded(values))
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} cannot be read as an array ({error}).") from error
    if array.ndim != 1:
        raise InputError(f"{what} has shape {array.shape}; expected one dimension.")
    return array


def _first(array: NDArray[Any], bad: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> int:
    """Return the first position where `bad` is true, or -1."""
    for start in range(0, len(array), _BLOCK):
        found = bad(array[start : start + _BLOCK])
        if found.any():
            return start + int(np.argmax(found))
    return -1
