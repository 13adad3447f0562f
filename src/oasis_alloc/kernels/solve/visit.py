"""One visit to a range of users at given prices: the sums for the smoothed dual and its bound.

For every user the priced scores are `s_p = v_p - sum_k P_k[cell_p] c_pk`, and the kernel solves, exactly,

    smoothed:    max { s x - gamma/2 |x|^2 : 0 <= x <= 1, sum x <= size }   by x = clip((s - t) / gamma, 0, 1), t >= 0
    unsmoothed:  the sum of the `size` largest positive scores                (the user's part of the bound)

The threshold t of the last visit is stored per user: only candidates above `t - slack` are read twice, and the visit
uses all candidates if these are too few, so the result does not depend on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.halving import middle
from oasis_alloc.kernels.solve.jobs import Point, Sums, Users
from oasis_alloc.kernels.solve.ties import spread_around

Floats = npt.NDArray[np.float64]

# entries of `out`, the scalars of a visit
SMOOTHED, BOUND, VALUE, MISSES, FRACTIONAL, CURVED, KEPT, KEPT_USERS, USERS = range(9)
N_OUT = 9

_PATIENCE = 200  # turns before the first halving; then one in _EVERY is one, whatever the slopes say
_EVERY = 2
_TIED = 1e-6  # slots that no threshold fills or leaves free: ties share them


class Pairs(NamedTuple):
    """The candidates in the form of the kernels (see program.py)."""

    indptr: npt.NDArray[np.int64]
    code: npt.NDArray[np.integer[Any]]  # unsigned: without negative wrap-around the loads are vectorized
    value: npt.NDArray[np.floating[Any]]
    extra: npt.NDArray[np.floating[Any]]  # (K, n_pairs)
    segment: npt.NDArray[np.uint32]


class PlainCurvature(NamedTuple):
    """Fractional pairs of a visit, user by user, for Hessian products."""

    cell: npt.NDArray[np.uint32]  # (capacity,)
    extra: npt.NDArray[np.float64]  # (K, capacity)
    end: npt.NDArray[np.int32]  # (capacity + 1,) end of each user's run; negative where the slate is not full


@jit
def plain_root(c: Floats, m: int, size: int, gamma: float, start: float) -> tuple[float, float]:
    """(root t of sum clip((c - t) / gamma, 0, 1) = size, what the sum is off by), by Newton's method inside a bracket.

    The caller has checked that the sum at t = 0 is above `size`. Where the root lies between two neighboring numbers
    (ties closer than rounding) the better of the two is taken. Newton steps that are too short halve the bracket.
    """
    inverse = 1.0 / gamma
    low = 0.0
    f_low = np.inf
    high = 0.0
    for i in range(m):
        high = max(high, c[i])
    f_high = -float(size)
    t = min(max(start, low), high)
    turn = 0
    while True:
        f = -float(size)
        slope = 0
        above = high  # next t at which a full candidate becomes fractional
        below = low  # next t at which a candidate enters
        for i in range(m):
            z = (c[i] - t) * inverse
            if z >= 1.0:
                f += 1.0
                above = min(above, c[i] - gamma)
            elif z > 0.0:
                f += z
                slope += 1
            else:
                below = max(below, min(c[i], t))
        if abs(f) <= 1e-13 * size:
            return t, 0.0
        if f > 0.0:
            low = t
            f_low = f
        else:
            high = t
            f_high = f
        turn += 1
        if slope > 0:
            new = t + f * gamma / slope
        elif f > 0.0:
            new = above + gamma * 0.5 * f / m
        else:
            new = below + gamma * 0.5 * f / m
        if turn > _PATIENCE and turn % _EVERY == 0:
            new = middle(low, high)
        elif not (low < new < high):
            new = 0.5 * (low + high)
        if not (low < new < high):
            new = middle(low, high)
            if not (low < new < high):
                break
        t = new
    return (low, f_low) if f_low < -f_high else (high, -f_high)


@jit
def visit(users: Users, pairs: Pairs, size: int, point: Point, sums: Sums) -> None:
    """Visit users at a point and add to sums.

    The thresholds of the point are read and written. The curvature goes on where `out` says that it ends, so that a
    range of users may be visited piece by piece.
    """
    first, last, stride = users
    price, gamma, slack, threshold, _, _ = point
    load, square, kept, keep_every, out = sums
    indptr, code, value, extra, segment = pairs
    n_extra = extra.shape[0]
    n_classes = price.shape[2]
    longest = 0
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    s = np.empty(longest)
    c = np.empty(longest)
    at = np.empty(longest, np.int64)
    shared = np.empty(longest)  # x of users without a threshold of the right mass
    capacity = kept.cell.size
    inverse = 1.0 / gamma
    smoothed = out[SMOOTHED]
    bound = out[BOUND]
    worth = out[VALUE]
    misses = int(out[MISSES])
    fractional = int(out[FRACTIONAL])
    curved = int(out[CURVED])
    n_kept = int(out[KEPT])
    n_kept_users = int(out[KEPT_USERS])
    visited = int(out[USERS])
    for u in range(first, last):
        if stride > 1 and (u >> 5) % stride != 0:
            continue
        visited += 1
        a = indptr[u]
        n = np.uint64(indptr[u + 1] - a)
        v = value[a : a + n]
        k = code[a : a + n]
        table = price[0, segment[u]]
        for i in range(n):
            s[i] = v[i] - table[k[i]]
        for j in range(n_extra):
            column = extra[j, a : a + n]
            table = price[j + 1, segment[u]]
            for i in range(n):
                s[i] -= table[k[i]] * column[i]
        t = threshold[u]
        cut = max(0.0, t - slack)
        while True:
            m = 0
            for i in range(n):
                if s[i] > cut:
                    c[m] = s[i]
                    at[m] = i
                    m += 1
            start = max(t, cut)
            t = 0.0
            off = 0.0
            full = 0.0
            for i in range(m):
                full += min(1.0, c[i] * inverse)
            if full > size:
                t, off = plain_root(c, m, size, gamma, start)
            if cut == 0.0 or (m >= size and full > size and t >= cut):
                break
            misses += 1
            cut = 0.0
        threshold[u] = t
        binding = t > 0.0
        cell0 = np.int64(segment[u]) * n_classes
        left = size
        active = 0
        ones = 0
        for i in range(m):
            if (c[i] - t) * inverse >= 1.0:
                ones += 1
        crowded = ones > size  # rounding at a tie; the bound then takes the best of all
        tied = off > _TIED
        if tied:
            spread_around(c, m, size, t, gamma, shared)
        for i in range(m):
            z = (c[i] - t) * inverse
            x = shared[i] if tied else min(z, 1.0)
            if x <= 0.0:
                continue
            smoothed += c[i] * x - 0.5 * gamma * x * x
            worth += v[at[i]] * x
            cell = cell0 + np.int64(k[at[i]])
            load[0, cell] += x
            for j in range(n_extra):
                load[j + 1, cell] += x * extra[j, a + at[i]]
            if z >= 1.0:
                if not crowded:
                    bound += c[i]
                    left -= 1
                    c[i] = -1.0
            elif z > 0.0:
                active += 1
        fractional += active
        if active > (1 if binding else 0):
            curved += active
            weight = 1.0 - (1.0 / active if binding else 0.0)
            keep = u % keep_every == 0 and n_kept + active <= capacity
            for i in range(m):
                if c[i] > t and (c[i] - t) * inverse < 1.0:
                    cell = cell0 + np.int64(k[at[i]])
                    square[0, cell] += weight
                    for j in range(n_extra):
                        square[j + 1, cell] += weight * np.float64(extra[j, a + at[i]]) ** 2
                    if keep:
                        kept.cell[n_kept] = cell
                        for j in range(n_extra):
                            kept.extra[j, n_kept] = extra[j, a + at[i]]
                        n_kept += 1
            if keep:
                n_kept_users += 1
                kept.end[n_kept_users] = n_kept if binding else -n_kept
        for _ in range(min(left, m)):
            best = 0.0
            where = -1
            for i in range(m):
                if c[i] > best:
                    best = c[i]
                    where = i
            if where < 0:
                break
            bound += best
            c[where] = -1.0
    out[SMOOTHED] = smoothed
    out[BOUND] = bound
    out[VALUE] = worth
    out[MISSES] = misses
    out[FRACTIONAL] = fractional
    out[CURVED] = curved
    out[KEPT] = n_kept
    out[KEPT_USERS] = n_kept_users
    out[USERS] = visited


@jit(inline=True)
def change_of(i: int, cell: npt.NDArray[Any], extra: Floats, direction: Floats) -> float:
    """What a change of the price tables does to the score of kept pair i, with the sign of the prices."""
    k = cell[i]
    d = direction[0, k]
    for j in range(extra.shape[0]):
        d += direction[j + 1, k] * extra[j, i]
    return float(d)


@jit(inline=True)
def add_change(i: int, d: float, cell: npt.NDArray[Any], extra: Floats, out: Floats) -> None:
    """Add a change d of the x of kept pair i to the loads."""
    k = cell[i]
    out[0, k] += d
    for j in range(extra.shape[0]):
        out[j + 1, k] += d * extra[j, i]


@jit
def curvature_product(n_users: int, kept: PlainCurvature, direction: Floats, out: Floats) -> None:
    """Add to out (K + 1, n_cells) the change of the loads, times gamma, per unit of a change of the price tables.

    For a user with a full slate it is `A' (I - 11'/active) A`, over the active (fractional) pairs, else `A' A`.
    """
    a = 0
    longest = 0
    for u in range(n_users):
        b = abs(kept.end[u + 1])
        longest = max(longest, b - a)
        a = b
    q = np.empty(longest)
    a = 0
    for u in range(n_users):
        b = abs(kept.end[u + 1])
        mean = 0.0
        for i in range(a, b):
            d = change_of(i, kept.cell, kept.extra, direction)
            q[i - a] = d
            mean += d
        mean = mean / (b - a) if kept.end[u + 1] > 0 else 0.0
        for i in range(a, b):
            add_change(i, q[i - a] - mean, kept.cell, kept.extra, out)
        a = b
