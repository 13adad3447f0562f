"""Diverse slates by the vectors of items: maximal marginal relevance, and greedy determinantal point processes.

They take priced scores and the rules of the slate as `slate_pick.pick` takes them, and beside them unit vectors in
float32: `rows` (any, d), of which candidate i has `rows[place[i]]`; places out of range, such as -1, have the last row.
The relevance of a candidate is its marginal score, the decrements of its categories off; at a cap it is out. Sums of
products may be reordered: that and float32 make them several times faster, and no score that is served depends on it.

Gains only fall while a slate grows. So a candidate's gain is brought up to date only where what is left of it is as
good as the best one found (Minoux, "Accelerated greedy algorithms", 1978): slates are those of the plain methods.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.slate_pick import _count, _marginal

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]

_EPS = 1.1920929e-07  # of float32, where pyversity has it
_FLAT = 1e-5  # part of a vector's length, squared, below which what is left of it is rounding
_STEEP = 300.0  # largest exponent of a weight


@jit(fastmath=True)
def _dot(a: Singles, b: Singles) -> np.float32:
    total = np.float32(0.0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@jit
def _class(i: int, keys: Ints, of_item: Counts) -> int:
    return int(np.int64(of_item[0, min(np.uint64(keys[i]), np.uint64(of_item.shape[1] - 1))]))


@jit
def _first(i: int, best: int, keys: Ints, of_item: Counts) -> bool:
    """True where candidate i goes before one of the same gain: by rank, then position."""
    if best < 0:
        return True
    unseen = np.uint64(of_item.shape[1] - 1)
    mine, other = of_item[1, min(np.uint64(keys[i]), unseen)], of_item[1, min(np.uint64(keys[best]), unseen)]
    return bool(mine < other or (mine == other and i < best))


@jit
def _start(
    scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, least: int,
    floor: float, out: Ints, marginal: Floats, gain: Floats,
) -> None:  # fmt: skip
    """Leave minus infinity as the gain of those that may not be picked, and count the pinned ones."""
    for i in range(gain.size):
        if not (scores[i] > floor or (least > pinned and scores[i] > -np.inf)):
            gain[i] = -np.inf
    for j in range(pinned):
        i = out[j]
        klass = _class(i, keys, of_item)
        marginal[j] = _marginal(scores[i], klass, rules, stairs, counts)
        _count(klass, rules, counts, 1)
        gain[i] = -np.inf


@jit
def _best(
    m: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, least: int,
    floor: float, gain: Floats,
) -> tuple[int, float]:  # fmt: skip
    """(candidate, marginal score) where that is highest, (-1, ...) where none may be picked."""
    best = -1
    top = -np.inf
    for i in range(gain.size):
        if gain[i] == -np.inf or scores[i] < top:
            continue
        now = _marginal(scores[i], _class(i, keys, of_item), rules, stairs, counts)
        if now == -np.inf or (now <= floor and m >= least):
            gain[i] = -np.inf
        elif now > top or (now == top and _first(i, best, keys, of_item)):
            best, top = i, now
    return best, top


@jit
def mmr(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, diversity: float, out: Ints, marginal: Floats,
) -> int:  # fmt: skip
    """Maximal marginal relevance: the next pick has the most (1 - diversity) * marginal score - diversity * similarity.

    Similarity is the largest cosine with a pick so far, not below 0; the first pick has the highest score (Carbonell
    and Goldstein, SIGIR 1998).
    """
    last = np.uint64(rows.shape[0] - 1)
    relevance = 1.0 - diversity
    gain = np.empty(n)
    near = np.zeros(n, np.float32)
    known = np.zeros(n, np.int64)  # picks that `near` knows of
    for i in range(n):
        gain[i] = relevance * scores[i]
    _start(scores, keys, of_item, rules, stairs, counts, pinned, least, floor, out, marginal, gain)
    m = pinned
    hint = -1  # likely to be good, so that others are left alone
    while m < k:
        best = -1
        worth = 0.0
        second = -1
        if m == 0:
            best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, least, floor, gain)
        top = -np.inf
        for at in range(-1, n if m > 0 else -1):
            i = hint if at < 0 else at
            if i < 0 or gain[i] < top or gain[i] == -np.inf or i == best:
                continue
            now = _marginal(scores[i], _class(i, keys, of_item), rules, stairs, counts)
            if now == -np.inf or (now <= floor and m >= least):
                gain[i] = -np.inf
                continue
            gain[i] = relevance * now - diversity * near[i]
            if known[i] < m:
                mine = rows[min(np.uint64(place[i]), last)]
                while known[i] < m and gain[i] >= top:
                    cosine = _dot(mine, rows[min(np.uint64(place[out[known[i]]]), last)])
                    near[i] = max(near[i], min(cosine, np.float32(1.0)))
                    known[i] += 1
                    gain[i] = relevance * now - diversity * near[i]
            if gain[i] < top or (gain[i] == top and not _first(i, best, keys, of_item)):
                continue
            second, best, top, worth = best, i, gain[i], now
        if best < 0:
            break
        out[m] = best
        marginal[m] = worth
        _count(_class(best, keys, of_item), rules, counts, 1)
        gain[best] = -np.inf
        hint = second
        m += 1
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return m


@jit
def _standard(n: int, scores: Floats, beta: float) -> tuple[float, float]:
    """(mean, 2 beta / standard deviation) of the scores of all candidates that have one."""
    has = 0
    mean = 0.0
    for i in range(n):
        if scores[i] > -np.inf:
            mean += scores[i]
            has += 1
    mean /= max(has, 1)
    square = 0.0
    for i in range(n):
        if scores[i] > -np.inf:
            square += (scores[i] - mean) ** 2
    return mean, 2.0 * beta / (np.sqrt(square / max(has, 1)) + _EPS)


@jit(inline=True)
def _learn(
    i: int, m: int, weight: float, enough: float, rows: Singles, place: Ints, out: Ints, factor: Singles,
    inverse: Singles, known: Ints, left: Singles,
) -> None:  # fmt: skip
    """Take what the picks explain off candidate i's vector, as long as its gain is not below `enough`."""
    last = np.uint64(rows.shape[0] - 1)
    vector, mine = rows[min(np.uint64(place[i]), last)], factor[i]
    while known[i] < m and weight * left[i] >= enough:
        j = known[i]
        p = out[j]
        along = _dot(vector, rows[min(np.uint64(place[p]), last)]) - _dot(mine[:j], factor[p, :j])
        mine[j] = along * inverse[j]
        known[i] = j + 1
        left[i] -= mine[j] * mine[j]
        if left[i] <= _FLAT:
            left[i] = 0.0


@jit
def dpp(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, out: Ints, marginal: Floats,
) -> int:  # fmt: skip
    """Greedy MAP of a determinantal point process: the next pick adds most to the determinant of the picks' kernel.

    L_ij = w_i w_j cos(i, j) with w = exp(beta * standard score of the marginal): the gain of a candidate is w^2 times
    what the picks leave of its unit vector, and the Cholesky factor grows by a row a pick (Chen, Zhang and Zhou, "Fast
    greedy MAP inference for DPP", arXiv 1709.05135, algorithm 1). Where no candidate adds anything, scores decide.
    """
    mean, steep = _standard(n, scores, beta)
    gain = np.empty(n)
    weight = np.empty(n)  # w^2 at the marginal `at_score`
    at_score = scores[:n].copy()
    left = np.ones(n, np.float32)
    factor = np.empty((n, max(k, 1)), np.float32)  # rows of the Cholesky factor, as far as known
    known = np.zeros(n, np.int64)
    inverse = np.zeros(max(k, 1), np.float32)  # 1 / pivot, 0 for a pick that adds nothing
    for i in range(n):
        weight[i] = np.exp(min(steep * (scores[i] - mean), _STEEP))
        gain[i] = weight[i]
    _start(scores, keys, of_item, rules, stairs, counts, pinned, least, floor, out, marginal, gain)
    m = 0
    hint = -1
    while m < k:
        best = -1
        worth = 0.0
        second = -1
        top = -np.inf
        if m < pinned:
            best = out[m]
            _learn(best, m, 1.0, top, rows, place, out, factor, inverse, known, left)
        for at in range(-1, n if m >= pinned else -1):
            i = hint if at < 0 else at
            if i < 0 or gain[i] < top or gain[i] == -np.inf or i == best:
                continue
            now = _marginal(scores[i], _class(i, keys, of_item), rules, stairs, counts)
            if now == -np.inf or (now <= floor and m >= least):
                gain[i] = -np.inf
                continue
            if now != at_score[i]:
                at_score[i] = now
                weight[i] = np.exp(min(steep * (now - mean), _STEEP))
            _learn(i, m, weight[i], top, rows, place, out, factor, inverse, known, left)
            gain[i] = weight[i] * left[i]
            if gain[i] < top or (gain[i] == top and not _first(i, best, keys, of_item)):
                continue
            second, best, top, worth = best, i, gain[i], now
        if top == 0.0:
            best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, least, floor, gain)
        if best < 0:
            break
        pivot = np.sqrt(left[best])
        inverse[m] = np.float32(1.0) / pivot if pivot > 0.0 else np.float32(0.0)
        factor[best, m] = pivot
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            _count(_class(best, keys, of_item), rules, counts, 1)
        gain[best] = -np.inf
        hint = second
        m += 1
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return m


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
def dpp_window(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, window: int, out: Ints, marginal: Floats,
) -> int:  # fmt: skip
    """As `dpp`, where a pick is compared with the last `window` picks only (the same paper, section 4.3).

    Gains grow again when a pick leaves the window, so those of all candidates are kept up to date.
    """
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
                    best, top, worth = i, gain[i], now
            if best < 0:
                best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, least, floor, gain)
        if best < 0:
            break
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            _count(_class(best, keys, of_item), rules, counts, 1)
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
