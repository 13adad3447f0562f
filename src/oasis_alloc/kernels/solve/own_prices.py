"""Prices that belong to one user: functions by (user, genre) are solved within the user's block.

A row of such a function has pairs of one user only, so its price moves nobody else's slate. At given prices of all
other rows, a user's own prices are those of the concave program

    max  s x - gamma/2 |x|^2 + sum_g F_g(e_g),  e = A x,  0 <= x <= 1,  sum x <= size,

namely `-F_g'(e_g)` at its optimum. It has as many candidates as the user and a few groups, and a primal-dual interior
point method solves it in about a dozen steps, whatever the smoothing and without a start (Mehrotra, SIAM J. Optim.
2:575, 1992). A step solves `(D + A' S A) dx = r` with diagonal D and S through a system with one unknown per group:
`(1/S + A D^-1 A') y = A D^-1 r` (Woodbury; own_system.py). Any prices give a valid bound, so no certificate depends on
convergence.

Functions are given by their slope: `a log(b / e)`, `a (e + b)^-c` or `a (b - e)`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.decide import score
from oasis_alloc.kernels.solve.own_system import Entries, System, factor, solve
from oasis_alloc.kernels.solve.visit import Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHARES, _POWER = 0, 1  # as in statement/functions/separable.py; others are quadratic
_TURNS = 100
_CENTERED = 1e-13  # of the largest score: what a slack times its dual is at the end
_STATIONARY = 1e-9  # of the largest score: what the slope of the objective is off by
_INWARD = 0.995  # of the way to the nearest end
_LESS = 0.9  # of what a logarithm or power is of, that a step may take: from further off, steps may go round in circles
_SMALLEST = 1e-300


class OwnGroups(NamedTuple):
    """The rows of functions by user, in the order of users, and what each pair adds to them."""

    start: Ints  # (n_users + 1,) user u has the rows start[u]:start[u + 1]
    indptr: Ints  # (n_pairs + 1,) pair p has the entries indptr[p]:indptr[p + 1]
    place: npt.NDArray[np.int32]  # row of an entry, counted from its user's first one
    amount: Floats  # what a shown pair adds to the row
    kind: npt.NDArray[np.int64]  # (n_rows,)
    a: Floats
    b: Floats
    c: Floats
    least: Floats  # range of prices
    most: Floats


class _Work(NamedTuple):
    """Scratch of one call: rows of arrays by candidate, and of arrays by group with one more for the size."""

    s: Floats  # scores at the prices of others
    x: Floats
    left: Floats  # 1 - x
    low: Floats  # duals of x >= 0
    high: Floats  # duals of x <= 1
    inverse: Floats  # 1 / D
    rest: Floats  # what the step has to remove
    dx: Floats
    dlow: Floats
    dhigh: Floats
    slope: Floats  # F'
    curve: Floats  # -F''
    total: Floats
    moved: Floats  # what a step adds to the totals


@jit(allocates=False)
def slope_at(kind: int, a: float, b: float, c: float, e: float) -> tuple[float, float]:
    """(F'(e), -F''(e))."""
    if kind == _SHARES:
        e = max(e, _SMALLEST)
        return -a * np.log(e / b), a / e
    if kind == _POWER:
        y = max(e + b, _SMALLEST)
        f = a * y**-c
        return f, c * f / y
    return a * (b - e), a


@jit(allocates=False)
def _functions(p: int, n: int, m: int, r: int, own: OwnGroups, work: _Work) -> None:
    """Write slopes and curvatures of the functions at x."""
    for k in range(m):
        work.total[k] = 0.0
    for i in range(n):
        for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
            work.total[own.place[k]] += own.amount[k] * work.x[i]
    for k in range(m):
        j = r + k
        work.slope[k], work.curve[k] = slope_at(own.kind[j], own.a[j], own.b[j], own.c[j], work.total[k])


@jit(allocates=False)
def _bar(p: int, n: int, gamma: float, r: int, own: OwnGroups, s: Floats) -> None:
    """Raise scores below all that functions pay for a candidate to just below it.

    Such a candidate is in no slate. Penalties of 1e9 would otherwise be the size that prices are known to a share of.
    """
    for i in range(n):
        most = gamma
        for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
            j = r + own.place[k]
            steepest = slope_at(own.kind[j], own.a[j], own.b[j], own.c[j], 0.0)[0]
            most += own.amount[k] * max(0.0, steepest) if own.amount[k] >= 0.0 else np.inf
        s[i] = max(s[i], -most)


@jit(allocates=False)
def _settle(
    p: int, n: int, m: int, r: int, size: float, gamma: float, own: OwnGroups, work: _Work, system: System
) -> int:
    """Solve one user; the slopes at the optimum are left in work.slope. Returns the number of steps."""
    s, x, left, low, high, rest, dx = work.s, work.x, work.left, work.low, work.high, work.rest, work.dx
    entries = Entries(own.indptr[p : p + n + 1], own.place, own.amount)
    _bar(p, n, gamma, r, own, s)
    top = gamma
    for i in range(n):
        x[i] = min(0.5, 0.5 * size / n)
        left[i] = 1.0 - x[i]
    _functions(p, n, m, r, own, work)
    for i in range(n):
        gain = s[i]
        for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
            gain += own.amount[k] * work.slope[own.place[k]]
        top = max(top, abs(s[i]), abs(gain))
    for i in range(n):
        low[i] = 0.1 * top / x[i]
        high[i] = 0.1 * top / left[i]
    t = top
    shown = 0.0
    for i in range(n):
        shown += x[i]
    room = size - shown
    for turn in range(_TURNS):
        _functions(p, n, m, r, own, work)
        off = 0.0
        center = t * room
        for i in range(n):
            center += low[i] * x[i] + high[i] * left[i]
            gain = s[i] - gamma * x[i] - t + low[i] - high[i]
            for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
                gain += own.amount[k] * work.slope[own.place[k]]
            rest[i] = gain
            off = max(off, abs(gain))
            work.inverse[i] = 1.0 / (gamma + low[i] / x[i] + high[i] / left[i])
        center /= 2 * n + 1
        if center <= _CENTERED * top and off <= _STATIONARY * top:
            return turn
        twofold = factor(n, m, work.curve, room / t, work.inverse, entries, system)
        # predictor: as if every slack times its dual were to become 0
        for i in range(n):
            rest[i] += -low[i] + high[i] + t
        solve(n, m, twofold, work.inverse, rest, entries, system, dx)
        longest = 1.0
        dt = system.y[m] - t  # not t * moved / room, which is rounded: the sum of steps is near 0
        of_room = -room - room * dt / t
        for i in range(n):
            work.dlow[i] = -low[i] - low[i] * dx[i] / x[i]
            work.dhigh[i] = -high[i] + high[i] * dx[i] / left[i]
            longest = _limited(longest, x[i], left[i], dx[i], low[i], work.dlow[i], high[i], work.dhigh[i])
        longest = _limited(longest, 0.5, 0.5, 0.0, room, of_room, t, dt)
        ahead = (t + longest * dt) * (room + longest * of_room)
        for i in range(n):
            to = x[i] + longest * dx[i]
            ahead += (low[i] + longest * work.dlow[i]) * to + (high[i] + longest * work.dhigh[i]) * (
                left[i] - longest * dx[i]
            )
        ahead /= 2 * n + 1
        aim = max(center * (ahead / center) ** 3, 0.1 * _CENTERED * top)
        # corrector: every product near their mean, with the products of the predictor's steps
        of_size = (aim - of_room * dt) / room
        for i in range(n):
            rest[i] += (aim - dx[i] * work.dlow[i]) / x[i] - (aim + dx[i] * work.dhigh[i]) / left[i] - of_size
            work.dlow[i] = (aim - dx[i] * work.dlow[i]) / x[i] - low[i]
            work.dhigh[i] = (aim + dx[i] * work.dhigh[i]) / left[i] - high[i]
        solve(n, m, twofold, work.inverse, rest, entries, system, dx)
        dt = of_size - t + system.y[m]
        of_room = (of_size * room - room * dt) / t - room
        longest = 1.0 / _INWARD
        for i in range(n):
            work.dlow[i] -= low[i] * dx[i] / x[i]
            work.dhigh[i] += high[i] * dx[i] / left[i]
            longest = _limited(longest, x[i], left[i], dx[i], low[i], work.dlow[i], high[i], work.dhigh[i])
        longest = _INWARD * _limited(longest, 0.5, 0.5, 0.0, room, of_room, t, dt)
        longest = _within_domain(longest, n, m, r, own, entries, work)
        for i in range(n):
            x[i] += longest * dx[i]
            left[i] -= longest * dx[i]
            low[i] += longest * work.dlow[i]
            high[i] += longest * work.dhigh[i]
        t += longest * dt
        room += longest * of_room
    return _TURNS


@jit(allocates=False)
def _within_domain(longest: float, n: int, m: int, r: int, own: OwnGroups, entries: Entries, work: _Work) -> float:
    """The length up to which no step takes more than `_LESS` of what a function's slope is a logarithm or power of."""
    start, place, amount = entries
    for k in range(m):
        work.moved[k] = 0.0
    for i in range(n):
        for k in range(start[i], start[i + 1]):
            work.moved[place[k]] += amount[k] * work.dx[i]
    for k in range(m):
        j = r + k
        if own.kind[j] <= _POWER and work.moved[k] < 0.0:
            of = work.total[k] + (own.b[j] if own.kind[j] == _POWER else 0.0)
            longest = min(longest, _LESS * of / -work.moved[k])
    return longest


@jit(allocates=False)
def _limited(
    longest: float, x: float, left: float, dx: float, low: float, dlow: float, high: float, dhigh: float
) -> float:
    """The length up to which x stays within 0 and 1, and two duals positive."""
    if dx < 0.0:
        longest = min(longest, -x / dx)
    elif dx > 0.0:
        longest = min(longest, left / dx)
    if dlow < 0.0:
        longest = min(longest, -low / dlow)
    if dhigh < 0.0:
        longest = min(longest, -high / dhigh)
    return longest


@jit
def own_prices(
    first: int, last: int, pairs: Pairs, price: Floats, size: int, gamma: float, own: OwnGroups, out: Floats
) -> int:
    """Write the own prices of users first <= u < last into out, (n_rows,); returns the number of steps.

    `price` has the tables of all other rows.
    """
    n_most = 1
    m_most = 1
    for u in range(first, last):
        n_most = max(n_most, pairs.indptr[u + 1] - pairs.indptr[u])
        m_most = max(m_most, own.start[u + 1] - own.start[u])
    by, of = np.empty((10, n_most)), np.empty((6, m_most + 1))
    work = _Work(
        by[0], by[1], by[2], by[3], by[4], by[5], by[6], by[7], by[8], by[9], of[0], of[1], of[2], of[3],
    )  # fmt: skip
    matrix = np.empty((2, m_most + 1, m_most + 1))
    system = System(matrix[0], matrix[1], of[4], of[5])
    turns = 0
    for u in range(first, last):
        r = own.start[u]
        m = own.start[u + 1] - r
        p = pairs.indptr[u]
        n = pairs.indptr[u + 1] - p
        if m == 0:
            continue
        score(u, u + 1, pairs, price, work.s)
        turns += _settle(p, n, m, r, float(min(size, n)), gamma, own, work, system)
        for k in range(m):
            if np.isfinite(work.slope[k]):
                out[r + k] = min(own.most[r + k], max(own.least[r + k], -work.slope[k]))
    return turns
