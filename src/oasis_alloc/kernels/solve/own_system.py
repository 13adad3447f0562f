"""The linear system of one step towards a user's own prices: one unknown per group, and one for the size.

`(1/S + B D^-1 B') y = B D^-1 r`, where B has a row per group and one of ones. With little smoothing D^-1 is up to 1e12
times what `1/S` is, and moving all prices together changes `B D^-1 B' y` by nothing: that direction is known by
`1/S` alone, which float64 loses in the sum. From `_LOST` on, sums and elimination have twice the digits (twofold.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.twofold import inverse_root, summed, times

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LOST = 1e7  # ratio of the two parts of the matrix from which its sum loses too much of the smaller one
_PIVOT, _FINE_PIVOT = 1e-15, 1e-30  # least pivots, of what they were before elimination
_SMALLEST = 1e-300


class Entries(NamedTuple):
    """What each pair of a user adds to the user's rows: pair i has the entries start[i]:start[i + 1], from i = 0 on."""

    start: Ints
    place: npt.NDArray[np.int32]
    amount: Floats


class System(NamedTuple):
    """The factor of the matrix, (G + 1, G + 1), and the right side or solution, (G + 1,); each with what it leaves."""

    matrix: Floats
    matrix_rest: Floats
    y: Floats
    y_rest: Floats


@jit(allocates=False)
def factor(n: int, m: int, curve: Floats, of_size: float, inverse: Floats, entries: Entries, system: System) -> bool:
    """Write the lower Cholesky factor, with inverse diagonal, of `diag(1 / curve, of_size) + B diag(inverse) B'`.

    True if it has twice the digits.
    """
    start, place, amount = entries
    h = system.matrix
    for k in range(m + 1):
        for j in range(k + 1):
            h[k, j] = 0.0
    for i in range(n):
        d = inverse[i]
        h[m, m] += d
        for k in range(start[i], start[i + 1]):
            row, part = place[k], d * amount[k]
            h[m, row] += part
            for j in range(start[i], start[i + 1]):
                if place[j] <= row:
                    h[row, place[j]] += part * amount[j]
    ratio = 0.0
    for k in range(m):
        ratio = max(ratio, h[k, k] * curve[k])
    if ratio > _LOST:
        _factor_twofold(n, m, curve, of_size, inverse, entries, system)
        return True
    for k in range(m):
        h[k, k] += 1.0 / curve[k]
    h[m, m] += of_size
    for k in range(m + 1):
        for j in range(k):
            total = h[k, j]
            for i in range(j):
                total -= h[k, i] * h[j, i]
            h[k, j] = total * h[j, j]
        total = h[k, k]
        least = _PIVOT * total
        for i in range(k):
            total -= h[k, i] * h[k, i]
        h[k, k] = 1.0 / np.sqrt(max(total, least + _SMALLEST))  # the inverse of the diagonal
    return False


@jit(allocates=False)
def _factor_twofold(
    n: int, m: int, curve: Floats, of_size: float, inverse: Floats, entries: Entries, system: System
) -> None:
    """The same with twice the digits."""
    start, place, amount = entries
    h, rest = system.matrix, system.matrix_rest
    for k in range(m + 1):
        for j in range(k + 1):
            h[k, j] = rest[k, j] = 0.0
        h[k, k] = of_size if k == m else 1.0 / curve[k]
    for i in range(n):
        d = inverse[i]
        h[m, m], rest[m, m] = summed(h[m, m], rest[m, m], d, 0.0)
        for k in range(start[i], start[i + 1]):
            row = place[k]
            part, more = times(d, 0.0, amount[k], 0.0)
            h[m, row], rest[m, row] = summed(h[m, row], rest[m, row], part, more)
            for j in range(start[i], start[i + 1]):
                other = place[j]
                if other <= row:
                    term, term_rest = times(part, more, amount[j], 0.0)
                    h[row, other], rest[row, other] = summed(h[row, other], rest[row, other], term, term_rest)
    for k in range(m + 1):
        for j in range(k + 1):
            total, total_rest = h[k, j], rest[k, j]
            least = _FINE_PIVOT * total + _SMALLEST
            for i in range(j):
                term, term_rest = times(h[k, i], rest[k, i], h[j, i], rest[j, i])
                total, total_rest = summed(total, total_rest, -term, -term_rest)
            if j < k:
                h[k, j], rest[k, j] = times(total, total_rest, h[j, j], rest[j, j])
            elif total > least:
                h[k, k], rest[k, k] = inverse_root(total, total_rest)
            else:
                h[k, k], rest[k, k] = inverse_root(least, 0.0)


@jit(allocates=False)
def solve(
    n: int, m: int, twofold: bool, inverse: Floats, rest: Floats, entries: Entries, system: System, dx: Floats
) -> None:
    """Write the step dx that removes `rest`, and what it does to the slopes into system.y."""
    start, place, amount = entries
    y = system.y
    if twofold:
        _unknowns_twofold(n, m, inverse, rest, entries, system)
    else:
        h = system.matrix
        for k in range(m + 1):
            y[k] = 0.0
        for i in range(n):
            moved = inverse[i] * rest[i]
            y[m] += moved
            for k in range(start[i], start[i + 1]):
                y[place[k]] += amount[k] * moved
        for k in range(m + 1):
            total = y[k]
            for j in range(k):
                total -= h[k, j] * y[j]
            y[k] = total * h[k, k]
        for k in range(m, -1, -1):
            total = y[k]
            for j in range(k + 1, m + 1):
                total -= h[j, k] * y[j]
            y[k] = total * h[k, k]
    for i in range(n):
        paid = y[m]
        for k in range(start[i], start[i + 1]):
            paid += amount[k] * y[place[k]]
        dx[i] = inverse[i] * rest[i] - inverse[i] * paid


@jit(allocates=False)
def _unknowns_twofold(n: int, m: int, inverse: Floats, rest: Floats, entries: Entries, system: System) -> None:
    """Write the solution of the system into system.y, from a factor with twice the digits."""
    start, place, amount = entries
    h, h_rest, y, y_rest = system.matrix, system.matrix_rest, system.y, system.y_rest
    for k in range(m + 1):
        y[k] = y_rest[k] = 0.0
    for i in range(n):
        moved, moved_rest = times(inverse[i], 0.0, rest[i], 0.0)
        y[m], y_rest[m] = summed(y[m], y_rest[m], moved, moved_rest)
        for k in range(start[i], start[i + 1]):
            g = place[k]
            part, part_rest = times(moved, moved_rest, amount[k], 0.0)
            y[g], y_rest[g] = summed(y[g], y_rest[g], part, part_rest)
    for k in range(m + 1):
        total, total_rest = y[k], y_rest[k]
        for j in range(k):
            term, term_rest = times(h[k, j], h_rest[k, j], y[j], y_rest[j])
            total, total_rest = summed(total, total_rest, -term, -term_rest)
        y[k], y_rest[k] = times(total, total_rest, h[k, k], h_rest[k, k])
    for k in range(m, -1, -1):
        total, total_rest = y[k], y_rest[k]
        for j in range(k + 1, m + 1):
            term, term_rest = times(h[j, k], h_rest[j, k], y[j], y_rest[j])
            total, total_rest = summed(total, total_rest, -term, -term_rest)
        y[k], y_rest[k] = times(total, total_rest, h[k, k], h_rest[k, k])
