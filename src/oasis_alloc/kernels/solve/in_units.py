"""A column by pair in units of its users."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@jit(allocates=False)
def in_units(
    first: int, last: int, indptr: Ints, column: npt.NDArray[np.floating[Any]], unit: Floats, out: Floats
) -> None:
    """Write to out the pairs of users first <= u < last, divided by unit (n_users,): powers of two, so it is exact."""
    base = indptr[first]
    for u in range(first, last):
        factor = 1.0 / unit[u]
        a = indptr[u]
        n = np.uint64(indptr[u + 1] - a)
        given, made = column[a : a + n], out[a - base : a - base + n]
        for i in range(n):
            made[i] = given[i] * factor
