"""Greedy determinantal point processes in which a pick is compared with the last few alone; see diversify.py."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.diversify import _FLAT, _STEEP, _best, _class, _dot, _first, _standard, _start
from oasis_alloc.kernels.serve.slate_pick import _count, _marginal
from oasis_alloc.kernels.serve.slate_share import Share, can_keep, needed, take

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


@jit(fastmath=True)
def _add_row(
    rows: Singles, place: Ints, factor: Singles, at: Ints, m: int, p: int, inverse: np.float32, left: Singles
) -> None:
    """Row at[m] of the factors of all candidates, after pick p; what it explains goes off `left`."""
    new = factor[at[m]]
    last = np.uint64(rows.shape[0] - 1)
    vector = rows[min(np.uint64(place[p]), last)]
    for i in range(new.size):
        new[i] = inverse * _dot(rows[min(np.uint64(place[i]), last)], vector)
    for j in range(m):
        old = factor[at[j]]
        by = old[p] * inverse
        for i in range(new.size):
            new[i] -= by * old[i]
    for i in range(new.size):
        left[i] -= new[i] * new[i]


@jit(fastmath=True)
def _drop_first(factor: Singles, at: Ints, m: int, picks: Ints, left: Singles) -> None:
    """Take the oldest of m picks out of all factors.

    Rotations carry its row through the others, and what comes out at the end goes back to `left`.
    """
    oldest = factor[at[0]]
    for j in range(1, m):
        other = factor[at[j]]
        a, b = other[picks[j]], oldest[picks[j]]
        r = np.sqrt(a * a + b * b)
        if r == 0.0:
            continue
        cos, sin = a / r, b / r
        for i in range(other.size):
            u, v = other[i], oldest[i]
            other[i] = cos * u + sin * v
            oldest[i] = cos * v - sin * u
    for i in range(oldest.size):
        left[i] += oldest[i] * oldest[i]
    free = at[0]
    for j in range(m - 1):
        at[j] = at[j + 1]
    at[m - 1] = free


@jit
def picks_dpp_window(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, window: int, out: Ints, marginal: Floats,
    share: Share | None,
) -> int:  # fmt: skip
    """The picks of `dpp_window`, of which those are left out after which the share cannot be kept."""
    mean, steep = _standard(n, scores, beta)
    window = max(min(window, k), 1)
    factor = np.empty((window + 1, n), np.float32)
    at = np.arange(window + 1)
    gain = np.zeros(n)
    left = np.ones(n, np.float32)
    _start(scores, keys, of_item, rules, stairs, counts, pinned, least, floor, out, marginal, gain)
    m = 0
    inside = 0
    while m < k:
        best = -1
        worth = 0.0
        if m < pinned:
            best = out[m]
        else:
            top = 0.0
            for i in range(n):
                if gain[i] == -np.inf or left[i] <= _FLAT:
                    continue
                now = _marginal(scores[i], _class(i, keys, of_item), rules, stairs, counts)
                if now == -np.inf or (now <= floor and m >= least):
                    gain[i] = -np.inf
                    continue
                gain[i] = np.exp(min(steep * (now - mean), _STEEP)) * left[i]
                if gain[i] > top or (gain[i] == top and _first(i, best, keys, of_item)):
                    if can_keep(i, m, keys, of_item, rules, k, least, share):
                        best, top, worth = i, gain[i], now
                    else:
                        gain[i] = -np.inf
            if best < 0:
                best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, k, least, floor, gain, share)
        if best < 0:
            best, worth = needed(m, scores, keys, of_item, rules, stairs, counts, least, share)
        if best < 0:
            break
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            _count(_class(best, keys, of_item), rules, counts, 1)
            take(best, m, keys, of_item, rules, k, least, share)
        pivot = np.sqrt(left[best]) if left[best] > _FLAT else np.float32(0.0)
        _add_row(rows, place, factor, at, inside, best, np.float32(1.0) / pivot if pivot > 0.0 else pivot, left)
        gain[best] = -np.inf
        m += 1
        inside += 1
        if inside > window:
            _drop_first(factor, at, inside, out[m - inside : m], left)
            inside -= 1
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return m


@jit
def dpp_window(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, window: int, out: Ints, marginal: Floats,
) -> int:  # fmt: skip
    """As `dpp`, where a pick is compared with the last `window` picks only (Chen, Zhang and Zhou, section 4.3).

    Gains grow again when a pick leaves the window, so those of all candidates are kept up to date.
    """
    return picks_dpp_window(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, window, out,
        marginal, None,
    )  # fmt: skip
