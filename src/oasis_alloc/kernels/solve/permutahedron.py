"""The point of a permutahedron that is best for a separable quadratic.

The permutahedron of weights `w_1 >= w_2 >= ...` has the points mu with `sum of any k entries <= w_1 + ... + w_k`, and
equality for all of them. A separable convex function over such a set (the bases of a submodular function) splits:

- with the sum alone as a constraint, all entries have one marginal cost t, and a formula gives it;
- of all sets, the k largest entries exceed their limit the most. Where some set exceeds it, that limit is tight at the
  optimum: the set shares `w_1 ... w_k`, the others share the weights after them, and both parts are solved on their own
  (Fujishige, Math. Oper. Res. 5:186, 1980; Groenevelt, Eur. J. Oper. Res. 54:227, 1991).

With the same curvature for all entries it is the isotonic regression of the sorted point, and its parts are the pools.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-14  # of the sums of a part: a smaller excess is no reason to split it


@jit
def nearest_in_permutahedron(point: Floats, slope: Floats, metric: Floats, weights: Floats, out: Floats) -> int:
    """Write the mu that minimizes `slope @ (mu - point) + metric / 2 @ (mu - point)^2`; returns the number of parts.

    `weights` never increase, and every entry of `metric` is positive.
    """
    n = point.size
    order = np.arange(n)
    edges = np.empty(n + 1, np.int64)  # ends of the parts that are left, the next one last
    wanted = np.empty(n)
    begin = 0
    left = 0
    parts = 0
    if n > 0:
        edges[0] = n
        left = 1
    while left > 0:
        end = edges[left - 1]
        m = end - begin
        # numbers close to each other are subtracted from their means: points may be far larger than weights
        level = 0.0
        for i in range(begin, end):
            level += slope[order[i]] / m
        middle = 0.0
        loose = 0.0
        shared = 0.0
        for i in range(begin, end):
            j = order[i]
            middle += (point[j] - (slope[j] - level) / metric[j]) / m
            loose += 1.0 / metric[j]
            shared += weights[i]
        off = 0.0
        for i in range(begin, end):
            j = order[i]
            off += (point[j] - (slope[j] - level) / metric[j]) - middle
        for i in range(begin, end):
            j = order[i]
            share = 1.0 / metric[j] / loose
            own = (point[j] - (slope[j] - level) / metric[j]) - middle
            wanted[i] = share * shared + (own - share * off) + middle * (1.0 - m * share)
        sorted_ = np.argsort(-wanted[begin:end], kind="mergesort")
        before = order[begin:end].copy()
        worst = 0.0
        split = end
        excess = 0.0
        size = 0.0
        for i in range(m):
            excess += wanted[begin + sorted_[i]] - weights[begin + i]
            size += abs(wanted[begin + sorted_[i]]) + weights[begin + i]
            if excess > worst and i < m - 1:
                worst = excess
                split = begin + i + 1
        if split < end and worst > _ROUNDING * size:
            for i in range(m):
                order[begin + i] = before[sorted_[i]]
            edges[left] = split
            left += 1
        else:
            for i in range(begin, end):
                out[order[i]] = wanted[i]
            parts += 1
            begin = end
            left -= 1
    return parts
