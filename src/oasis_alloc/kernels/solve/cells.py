"""The cell of every pair, where only the cells that occur have numbers. See `_jit.py` for the rules of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.kernels._jit import jit


@jit
def find_cells(
    segment: NDArray[np.uint32],
    code: NDArray[Any],
    start: NDArray[np.int64],
    classes: NDArray[np.uint32],
    out: NDArray[Any],
) -> None:
    """Write the place of each pair's class `code[p]` among the classes of its segment to out (n_pairs,).

    Segment s has `classes[start[s]:start[s + 1]]`, ascending, among them those of all its pairs.
    """
    for pair in range(len(code)):
        low = start[segment[pair]]
        high = start[segment[pair] + 1]
        wanted = code[pair]
        while high - low > 1:
            between = (low + high) // 2
            if classes[between] <= wanted:
                low = between
            else:
                high = between
        out[pair] = low
