"""The largest scores of one user: what a slate of the best would have, and the first score that it leaves out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]


@jit(allocates=False)
def largest(c: Floats, n: int, size: int, top: Floats) -> None:
    """Write the size + 1 largest of c[:n] into top, in descending order; minus infinity where there are fewer."""
    for j in range(size + 1):
        top[j] = -np.inf
    for i in range(n):
        x = c[i]
        if x > top[size]:
            j = size
            while j > 0 and top[j - 1] < x:
                top[j] = top[j - 1]
                j -= 1
            top[j] = x
