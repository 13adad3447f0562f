"""What requests offer under any policy: the best slate of a column, and how many pairs are of each category."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.best_few import best_few, few_of
from oasis_alloc.kernels.serve.slate_args import Counts, Floats, Ints


@jit
def best_sums(indptr: Ints, items: Ints, of_item: Counts, column: Floats, size: int, out: Floats) -> None:
    """Write for each request the sum of its `size` largest values above 0, the largest first."""
    longest = 1
    for u in range(out.size):
        longest = max(longest, indptr[u + 1] - indptr[u])
    few, positions = few_of(longest), np.empty(max(size, 1), np.int64)
    for u in range(out.size):
        a, b = indptr[u], indptr[u + 1]
        values = column[a:b]
        total = 0.0
        for j in range(best_few(b - a, items[a:b], of_item, size, 0, 0.0, values, few, positions)):
            total += values[positions[j]]
        out[u] = total


@jit
def count_codes(items: npt.NDArray[np.int32], codes: npt.NDArray[np.int32], out: Ints) -> None:
    """Add to `out` how many pairs have an item without a label (code -1), and one of each label."""
    for p in range(items.size):
        out[codes[items[p]] + 1] += 1
