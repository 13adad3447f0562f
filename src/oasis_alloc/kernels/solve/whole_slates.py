"""Whole slates of users whose functions are their own: scores plus functions of totals by (user, genre).

Three slates are made for each user, improved by exchanges, and the best is kept:

- greedy: slot by slot the candidate that adds most, while something adds;
- greedy on shares: slot by slot the candidate that adds most to its score and the functions of `size / slots so far`
  times the totals, which is the rule of Steck (RecSys 2018) for divergences of shares;
- the slots with the best scores at the user's own prices.

An exchange replaces one item, adds one or takes one away; the best one is made until none improves the objective.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.solve.own_prices import OwnGroups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHARES, _POWER = 0, 1  # as in own_prices.py
_SMALLEST = 1e-300
_EXCHANGES = 200  # per slate; each improves the objective, and few are needed
_LEAST = 1e-12  # of the largest score: a gain that counts


class _Slate(NamedTuple):
    """One slate while it is made."""

    inside: npt.NDArray[np.bool_]  # (n,)
    total: Floats  # (G,)
    worth: Floats  # (G,) of the functions at the totals


@jit(allocates=False)
def worth_of(kind: int, a: float, b: float, c: float, e: float) -> float:
    """F(e) up to a constant."""
    if kind == _SHARES:
        return -a * (e * np.log(e / b) - e) if e > 0.0 else 0.0
    if kind == _POWER:
        y = max(e + b, _SMALLEST)
        return float(a * np.log(y) if c == 1.0 else a * y ** (1.0 - c) / (1.0 - c))
    return -0.5 * a * (e - b) * (e - b)


@jit(allocates=False)
def _worth(own: OwnGroups, j: int, e: float) -> float:
    return worth_of(own.kind[j], own.a[j], own.b[j], own.c[j], e)


@jit(allocates=False)
def _added(p: int, i: int, r: int, scale: float, own: OwnGroups, slate: _Slate) -> float:
    """What candidate i adds to the functions of `scale` times the totals, at which `slate.worth` is."""
    more = 0.0
    for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
        g = own.place[k]
        more += _worth(own, r + g, scale * (slate.total[g] + own.amount[k])) - slate.worth[g]
    return more


@jit(allocates=False)
def _put(p: int, i: int, sign: float, r: int, own: OwnGroups, slate: _Slate) -> None:
    """Put candidate i into the slate, or take it out."""
    slate.inside[i] = sign > 0.0
    for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
        g = own.place[k]
        slate.total[g] += sign * own.amount[k]
        slate.worth[g] = _worth(own, r + g, slate.total[g])


@jit(allocates=False)
def _clear(n: int, m: int, r: int, own: OwnGroups, slate: _Slate) -> None:
    for i in range(n):
        slate.inside[i] = False
    for g in range(m):
        slate.total[g] = 0.0
        slate.worth[g] = _worth(own, r + g, 0.0)


@jit(allocates=False)
def _greedy(p: int, n: int, m: int, r: int, size: int, shares: bool, s: Floats, own: OwnGroups, slate: _Slate) -> None:
    """Fill the slate slot by slot."""
    _clear(n, m, r, own, slate)
    for slot in range(size):
        scale = size / (slot + 1.0) if shares else 1.0
        if shares:
            for g in range(m):
                slate.worth[g] = _worth(own, r + g, scale * slate.total[g])
        best = -np.inf if shares else 0.0
        which = -1
        for i in range(n):
            if not slate.inside[i]:
                gain = s[i] + _added(p, i, r, scale, own, slate)
                if gain > best:
                    best = gain
                    which = i
        if which < 0:
            break
        _put(p, which, 1.0, r, own, slate)
    for g in range(m):
        slate.worth[g] = _worth(own, r + g, slate.total[g])


@jit(allocates=False)
def _at_prices(p: int, n: int, m: int, r: int, size: int, s: Floats, mu: Floats, own: OwnGroups, slate: _Slate) -> None:
    """The slots with the best scores at own prices."""
    _clear(n, m, r, own, slate)
    for _ in range(size):
        best = 0.0
        which = -1
        for i in range(n):
            if not slate.inside[i]:
                score = s[i]
                for k in range(own.indptr[p + i], own.indptr[p + i + 1]):
                    score -= mu[r + own.place[k]] * own.amount[k]
                if score > best:
                    best = score
                    which = i
        if which < 0:
            break
        _put(p, which, 1.0, r, own, slate)


@jit(allocates=False)
def _improve(p: int, n: int, m: int, r: int, size: int, s: Floats, own: OwnGroups, slate: _Slate) -> float:
    """Exchange items while that improves the slate; returns its objective."""
    filled = 0
    top = 0.0
    for i in range(n):
        filled += 1 if slate.inside[i] else 0
        top = max(top, abs(s[i]))
    for _ in range(_EXCHANGES):
        best = _LEAST * top
        out = -1
        into = -1
        for j in range(-1, n):  # what leaves; -1 is a free slot
            if (j < 0 and filled >= size) or (j >= 0 and not slate.inside[j]):
                continue
            less = 0.0
            if j >= 0:
                for k in range(own.indptr[p + j], own.indptr[p + j + 1]):
                    less -= slate.worth[own.place[k]]
                _put(p, j, -1.0, r, own, slate)
                for k in range(own.indptr[p + j], own.indptr[p + j + 1]):
                    less += slate.worth[own.place[k]]
                less -= s[j]
                if less > best:
                    best, out, into = less, j, -1
            for i in range(n):
                if not slate.inside[i] and i != j:
                    gain = less + s[i] + _added(p, i, r, 1.0, own, slate)
                    if gain > best:
                        best, out, into = gain, j, i
            if j >= 0:
                _put(p, j, 1.0, r, own, slate)
        if out < 0 and into < 0:
            break
        if out >= 0:
            _put(p, out, -1.0, r, own, slate)
            filled -= 1
        if into >= 0:
            _put(p, into, 1.0, r, own, slate)
            filled += 1
    value = 0.0
    for i in range(n):
        value += s[i] if slate.inside[i] else 0.0
    for g in range(m):
        value += slate.worth[g]
    return value


@jit
def whole_slates(
    first: int, last: int, indptr: Ints, scores: Floats, size: int, own: OwnGroups, mu: Floats,
    shown: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Write the best slates found of users first <= u < last into shown, by pair.

    `scores` are by pair and without own prices; `mu` are the own prices, (n_rows,).
    """
    longest = 1
    widest = 1
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
        widest = max(widest, own.start[u + 1] - own.start[u])
    slate = _Slate(np.empty(longest, np.bool_), np.empty(widest), np.empty(widest))
    for u in range(first, last):
        p = indptr[u]
        n = indptr[u + 1] - p
        r = own.start[u]
        m = own.start[u + 1] - r
        s = scores[p : p + n]
        slots = min(size, n)
        best = -np.inf
        for start in range(3):
            if start == 2:
                _at_prices(p, n, m, r, slots, s, mu, own, slate)
            else:
                _greedy(p, n, m, r, slots, start == 1, s, own, slate)
            value = _improve(p, n, m, r, slots, s, own, slate)
            if value > best:
                best = value
                for i in range(n):
                    shown[p + i] = slate.inside[i]
