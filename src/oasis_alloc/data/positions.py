"""The index of a column in files, interpreted as NumPy does for an array in memory."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import InputError


def positions_of(index: Any, n: int, what: str) -> range | NDArray[np.int64]:
    """Return the positions in [0, n) that an index names: a range for slices, else int64 of the index's own shape.

    Positions below 0 count from the end, `...` is everything, and booleans are a mask with an entry for each of the
    n. Raises `InputError` for positions outside, masks of another length and anything else; `what` begins it.

    >>> positions_of([-1, 0], 5, "column 'r'").tolist(), positions_of(np.arange(5) > 2, 5, "column 'r'").tolist()
    ([4, 0], [3, 4])
    >>> positions_of(slice(-2, None), 5, "column 'r'")
    range(3, 5)
    """
    if isinstance(index, tuple) and len(index) < 2:
        index = index[0] if index else ...
    if index is ...:
        return range(n)
    if isinstance(index, slice):
        try:
            return range(*index.indices(n))
        except (TypeError, ValueError) as error:
            raise InputError(f"{what}: {index!r} is not a slice of whole numbers ({error}).") from error
    if index is None or isinstance(index, tuple):
        raise _neither(what, repr(index))
    array = _as_integers(index, what)
    if array.dtype.kind == "b":
        if array.shape != (n,):
            raise InputError(f"{what}: a mask has shape {array.shape}; expected ({n:,},), one entry per pair.")
        return np.flatnonzero(array).astype(np.int64, copy=False)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, -1)
    if low < -n or high >= n:
        raise InputError(f"{what}: there is no position {high if high >= n else low:,}; expected {-n:,} to {n - 1:,}.")
    where = array.astype(np.int64, copy=False)
    return np.where(where < 0, where + n, where) if low < 0 else where


def _as_integers(index: Any, what: str) -> NDArray[Any]:
    """An index as an array of whole numbers or booleans, of any shape."""
    try:
        array: NDArray[Any] = np.asarray(index)
    except (TypeError, ValueError) as error:
        raise _neither(what, f"something that is not an array ({error})") from error
    if array.dtype.kind == "O":  # of Python's numbers, or of a library whose columns may have missing ones
        entries = array.ravel().tolist()
        masks = [isinstance(entry, (bool, np.bool_)) for entry in entries]
        if any(masks):
            if not all(masks):
                raise _neither(what, "booleans among other objects")
            return np.array(entries, dtype=bool).reshape(array.shape)
        try:
            return np.array([operator.index(entry) for entry in entries], dtype=np.int64).reshape(array.shape)
        except (TypeError, OverflowError) as error:
            raise _neither(what, f"an array of objects ({error})") from error
    if array.dtype.kind not in "iub":
        if array.size:
            raise _neither(what, repr(index) if array.ndim == 0 else f"an array of {array.dtype}")
        return np.zeros(array.shape, np.int64)  # an empty list
    return array


def _neither(what: str, found: str) -> InputError:
    return InputError(f"{what}[...] got {found}; expected positions (whole numbers), a slice, or a mask.")
