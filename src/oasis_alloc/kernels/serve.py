"""Priced scores of one request: the formula of serving/formula.py, every operation rounded on its own.

`plan` is (1 + n_terms + K,) numbers of rows of `columns`: the number of terms of the objective, the row of each (-1 for
a constant 1), and the row of each column that has prices. Items that are out of range, such as -1, are unseen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@jit
def score(
    first: int,
    last: int,
    items: Ints,
    columns: Floats,
    plan: Ints,
    weights: Floats,
    class_of: npt.NDArray[np.uint32],
    table: Floats,
    out: Floats,
) -> None:
    """Write the priced scores of candidates first <= i < last into out[first:last]."""
    n = np.uint64(last - first)
    n_terms = plan[0]
    unseen = np.uint64(class_of.size - 1)
    s = out[first:last]
    item = items[first:last]
    if n_terms == 1 and weights[0] == 1.0 and plan[1] >= 0:
        v = columns[plan[1], first:last]
        for i in range(n):
            s[i] = v[i]
    else:
        for i in range(n):
            s[i] = 0.0
        for t in range(n_terms):
            weight = weights[t]
            if plan[1 + t] < 0:
                for i in range(n):
                    s[i] = s[i] + weight
            else:
                v = columns[plan[1 + t], first:last]
                for i in range(n):
                    s[i] = s[i] + weight * v[i]
    price = table[0]
    for i in range(n):
        s[i] = s[i] - price[class_of[min(np.uint64(item[i]), unseen)]]
    for k in range(1, table.shape[0]):
        price = table[k]
        v = columns[plan[n_terms + k], first:last]
        for i in range(n):
            s[i] = s[i] - price[class_of[min(np.uint64(item[i]), unseen)]] * v[i]
