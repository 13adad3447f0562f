"""Diverse slates by the vectors of items: maximal marginal relevance, and greedy determinantal point processes.

They take priced scores and the rules of the slate as `slate_pick.pick` takes them, and beside them unit vectors in
float32: `rows` (any, d), of which candidate i has `rows[place[i]]`; places out of range, such as -1, have the last row.
The relevance of a candidate is its marginal score, the decrements of its categories off; at a cap it is out. Sums of
products may be reordered: that and float32 make them several times faster, and no score that is served depends on it.

Picks may be bound to keep a share of a column (diverse_keep.py); where they are not, no code asks for it.

Gains only fall while a slate grows. So a candidate's gain is brought up to date only where what is left of it is as
good as the best one found (Minoux, "Accelerated greedy algorithms", 1978): slates are those of the plain methods.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_pick import _count, _marginal
from oasis_alloc.kernels.serve.slate_share import Share, can_keep, needed, take

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
    m: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, k: int, least: int,
    floor: float, gain: Floats, share: Share | None,
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
            if can_keep(i, m, keys, of_item, rules, k, least, share):
                best, top = i, now
            else:
                gain[i] = -np.inf
    return best, top


@jit
def picks_mmr(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, diversity: float, out: Ints, marginal: Floats,
    share: Share | None,
) -> int:  # fmt: skip
    """The picks of `mmr`, of which those are left out after which the share cannot be kept."""
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
            best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, k, least, floor, gain, share)
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
            if not can_keep(i, m, keys, of_item, rules, k, least, share):
                gain[i] = -np.inf
                continue
            second, best, top, worth = best, i, gain[i], now
        if best < 0:
            best, worth = needed(m, scores, keys, of_item, rules, stairs, counts, least, share)
        if best < 0:
            break
        out[m] = best
        marginal[m] = worth
        _count(_class(best, keys, of_item), rules, counts, 1)
        take(best, m, keys, of_item, rules, k, least, share)
        gain[best] = -np.inf
        hint = second
        m += 1
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return m


@jit
def mmr(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, diversity: float, out: Ints, marginal: Floats,
) -> int:  # fmt: skip
    """Maximal marginal relevance: the next pick has the most (1 - diversity) * marginal score - diversity * similarity.

    Similarity is the largest cosine with a pick so far, not below 0; the first pick has the highest score (Carbonell
    and Goldstein, SIGIR 1998).
    """
    return picks_mmr(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, diversity, out, marginal,
        None,
    )  # fmt: skip


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
def picks_dpp(
    n: int, scores: Floats, keys: Ints, of_item: Counts, rules: Ints, stairs: Floats, counts: Ints, pinned: int, k: int,
    least: int, floor: float, rows: Singles, place: Ints, beta: float, out: Ints, marginal: Floats,
    share: Share | None,
) -> int:  # fmt: skip
    """The picks of `dpp`, of which those are left out after which the share cannot be kept."""
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
            if not can_keep(i, m, keys, of_item, rules, k, least, share):
                gain[i] = -np.inf
                continue
            second, best, top, worth = best, i, gain[i], now
        if top == 0.0:
            best, worth = _best(m, scores, keys, of_item, rules, stairs, counts, k, least, floor, gain, share)
        if best < 0:
            best, worth = needed(m, scores, keys, of_item, rules, stairs, counts, least, share)
        if best < 0:
            break
        pivot = np.sqrt(left[best])
        inverse[m] = np.float32(1.0) / pivot if pivot > 0.0 else np.float32(0.0)
        factor[best, m] = pivot
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            _count(_class(best, keys, of_item), rules, counts, 1)
            take(best, m, keys, of_item, rules, k, least, share)
        gain[best] = -np.inf
        hint = second
        m += 1
    for j in range(m):
        _count(_class(out[j], keys, of_item), rules, counts, -1)
    return m


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
    return picks_dpp(
        n, scores, keys, of_item, rules, stairs, counts, pinned, k, least, floor, rows, place, beta, out, marginal,
        None,
    )  # fmt: skip
