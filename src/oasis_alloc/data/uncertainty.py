"""Standard deviations of the errors of columns, one per pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.data.validation import as_column, by_name
from oasis_alloc.errors import InputError


def checked_uncertainty(
    given: object,
    columns: Mapping[str, NDArray[Any]],
    indptr: NDArray[np.int64],
    row: NDArray[np.int64] | None = None,
) -> FrozenMapping[str, NDArray[Any]]:
    """Standard deviations by name of their column, (n_pairs,) each: arrays, or names of other columns.

    `row` is the row of the frame that each pair came from, in whose order arrays are given.

    Raises `InputError` for unknown columns, wrong lengths, and numbers that are negative, NaN or infinite.
    """
    named = by_name({} if given is None else given)
    if named is None:
        raise InputError(
            f"uncertainty is {type(given).__name__}; expected {{column: standard deviations}}, an array (n_pairs,) or "
            "the name of another column for each."
        )
    out = {}
    for name, deviations in named.items():
        if name not in columns:
            raise InputError(f"uncertainty[{name!r}]: there is no such column.{did_you_mean(name, columns)}")
        what = f"uncertainty[{name!r}]"
        if isinstance(deviations, str):
            if deviations not in columns:
                raise InputError(
                    f"{what}: there is no column {deviations!r} of standard deviations."
                    f"{did_you_mean(deviations, columns)}"
                )
            column = columns[deviations]
        else:
            column = as_column(what, deviations, int(indptr[-1]), indptr if row is None else None)
            column = column if row is None else as_column(what, column[row], int(indptr[-1]), indptr)
        negative = np.flatnonzero(column < 0)
        if negative.size:
            k = int(negative[0])
            user = int(np.searchsorted(indptr, k, side="right")) - 1
            raise InputError(
                f"{what}: pair {k:,} (user {user:,}) is {column[k]:g} ({negative.size:,} such pairs); expected "
                "standard deviations >= 0. Of variances, pass the square roots."
            )
        out[name] = column
    return FrozenMapping(out)
