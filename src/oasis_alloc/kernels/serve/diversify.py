"""Diverse slates by the vectors of items: maximal marginal relevance, and greedy determinantal point processes.

They take priced scores and the rules of the slate as `slate_pick.pick` does, and unit vectors in
float32. The relevance of a candidate is its marginal score, the costs of its categories off; at a cap it is out. Sums
of products may be reordered: that and float32 make them several times faster, and no score that is served depends on
it.

keep_state.py adds the share of a column: a slate that keeps it by itself is taken as it is, otherwise candidates are
left out after which it cannot be kept.

Gains never increase while a slate grows. So a candidate's gain is updated only if its last value is at least the best
gain found (Minoux, "Accelerated greedy algorithms", 1978): slates equal those of the plain methods.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.keep_state import KeepState, can_keep, is_kept, needed, start, take
from oasis_alloc.kernels.serve.slate_args import (
    CategoryRules,
    Counts,
    Fill,
    FillFields,
    Floats,
    Ints,
    KeepFields,
    RequestFields,
    RuleFields,
    Scored,
    Singles,
    SlateFields,
    SlateOut,
    VectorFields,
    Vectors,
)
from oasis_alloc.kernels.serve.slate_pick import class_of, count, marginal_score

_EPS = 1.1920929e-07  # of float32, where pyversity has it
FLAT = 1e-5  # part of a vector's length, squared, below which what is left of it is rounding
STEEP = 300.0  # largest exponent of a weight


class Factor(NamedTuple):
    """The Cholesky factor of the picks' kernel, as far as candidates needed it so far, and their gains."""

    gain: Floats  # (n,) minus infinity for those that may not be picked
    weight: Floats  # (n,) w^2 at the marginal score `at_score`
    at_score: Floats  # (n,)
    rows: Singles  # (n, k)
    inverse: Singles  # (k,) 1 / pivot, 0 for a pick that adds nothing
    known: Ints  # (n,) picks that a candidate's row knows of
    left: Singles  # (n,) what they leave of its vector's length, squared


@jit(fastmath=True, allocates=False)
def dot(a: Singles, b: Singles) -> np.float32:
    """The product of two vectors."""
    total = np.float32(0.0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total


@jit(allocates=False)
def goes_first(i: int, best: int, keys: Ints, of_item: Counts) -> bool:
    """True where candidate i goes before one of the same gain: by rank, then position."""
    if best < 0:
        return True
    unseen = np.uint64(of_item.shape[1] - 1)
    mine, other = of_item[1, min(np.uint64(keys[i]), unseen)], of_item[1, min(np.uint64(keys[best]), unseen)]
    return bool(mine < other or (mine == other and i < best))


@jit(allocates=False)
def begin(scored: Scored, rules: CategoryRules, fill: Fill, slate: SlateOut, gain: Floats) -> None:
    """Set the gain of candidates that may not be picked to minus infinity, and count the pinned ones."""
    _, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, _, min_size, floor = fill
    for i in range(gain.size):
        if not (scores[i] > floor or (min_size > pinned and scores[i] > -np.inf)):
            gain[i] = -np.inf
    for j in range(pinned):
        i = slate.positions[j]
        class_ = class_of(i, keys, of_item)
        slate.marginal[j] = marginal_score(scores[i], class_, array, costs, counts)
        count(class_, array, counts, not_literal(1))
        gain[i] = -np.inf


@jit(allocates=False)
def end(m: int, scored: Scored, rules: CategoryRules, slate: SlateOut) -> None:
    """Set the counts back to zero."""
    for j in range(m):
        count(class_of(slate.positions[j], scored.keys, scored.of_item), rules.array, rules.counts, not_literal(-1))


@jit(allocates=False)
def best_score(
    m: int, scored: Scored, rules: CategoryRules, fill: Fill, gain: Floats, state: KeepState
) -> tuple[int, float]:
    """(candidate, marginal score) with the highest score, (-1, ...) if no candidate may be picked."""
    _, scores, keys, of_item = scored
    array, costs, counts = rules
    _, _, min_size, floor = fill
    best = not_literal(-1)
    top = -np.inf
    for i in range(gain.size):
        if gain[i] == -np.inf or scores[i] < top:
            continue
        now = marginal_score(scores[i], class_of(i, keys, of_item), array, costs, counts)
        if now == -np.inf or (now <= floor and m >= min_size):
            gain[i] = -np.inf
        elif now > top or (now == top and goes_first(i, best, keys, of_item)):
            if can_keep(i, m, scored, array, fill, state):
                best, top = i, now
            else:
                gain[i] = -np.inf
    return best, top


class Near(NamedTuple):
    """What candidates of `mmr` are known to be worth."""

    gain: Floats  # (n,) minus infinity for those that may not be picked
    cosine: Singles  # (n,) the largest with the picks that it knows of, 0 below that
    known: Ints  # (n,) how many these are


@jit(allocates=False)
def _picks_mmr(
    scored: Scored, rules: CategoryRules, fill: Fill, vectors: Vectors, diversity: float, slate: SlateOut,
    state: KeepState, of_candidates: Near,
) -> int:  # fmt: skip
    """The picks of `mmr`, without candidates after which the share cannot be reached."""
    n, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, k, min_size, floor = fill
    rows, place = vectors
    out, marginal = slate
    one, none = not_literal(1), not_literal(-1)
    last = np.uint64(rows.shape[0] - 1)
    relevance = 1.0 - diversity
    gain, near, known = of_candidates
    for i in range(n):
        gain[i], near[i], known[i] = relevance * scores[i], 0.0, 0
    begin(scored, rules, fill, slate, gain)
    m = pinned
    hint = none  # likely to be good, so that others are left alone
    while m < k:
        best = none
        worth = 0.0
        second = none
        if m == 0:
            best, worth = best_score(m, scored, rules, fill, gain, state)
        top = -np.inf
        for at in range(-1, n if m > 0 else -1):
            i = hint if at < 0 else at
            if i < 0 or gain[i] < top or gain[i] == -np.inf or i == best:
                continue
            now = marginal_score(scores[i], class_of(i, keys, of_item), array, costs, counts)
            if now == -np.inf or (now <= floor and m >= min_size):
                gain[i] = -np.inf
                continue
            gain[i] = relevance * now - diversity * near[i]
            if known[i] < m:
                mine = rows[min(np.uint64(place[i]), last)]
                while known[i] < m and gain[i] >= top:
                    cosine = dot(mine, rows[min(np.uint64(place[out[known[i]]]), last)])
                    near[i] = max(near[i], min(cosine, np.float32(1.0)))
                    known[i] += 1
                    gain[i] = relevance * now - diversity * near[i]
            if gain[i] < top or (gain[i] == top and not goes_first(i, best, keys, of_item)):
                continue
            if not can_keep(i, m, scored, array, fill, state):
                gain[i] = -np.inf
                continue
            second, best, top, worth = best, i, gain[i], now
        if best < 0:
            best, worth = needed(m, scored, rules, min_size, state)
        if best < 0:
            break
        out[m] = best
        marginal[m] = worth
        count(class_of(best, keys, of_item), array, counts, one)
        take(best, m, scored, array, fill, state)
        gain[best] = -np.inf
        hint = second
        m += 1
    end(m, scored, rules, slate)
    return m


@jit
def mmr(
    n: int, request: RequestFields, rules: RuleFields, fill: FillFields, vectors: VectorFields, diversity: float,
    slate: SlateFields, keep: KeepFields,
) -> int:  # fmt: skip
    """Maximal marginal relevance: the next pick maximizes (1 - diversity) * marginal score - diversity * similarity.

    Similarity is the largest cosine with a pick so far, not below 0; the first pick has the highest score (Carbonell
    and Goldstein, SIGIR 1998). Arguments that are structs are passed as plain tuples.
    """
    scored, rules_, fill_ = Scored(n, *request), CategoryRules(*rules), Fill(*fill)
    vectors_, slate_ = Vectors(*vectors), SlateOut(*slate)
    state = start(scored, rules_, fill_, slate_, keep)
    near = Near(np.empty(n), np.empty(n, np.float32), np.empty(n, np.int64))
    m = _picks_mmr(scored, rules_, fill_, vectors_, diversity, slate_, state, near)
    if is_kept(m, slate_, state):
        return m
    state.limits[0] = 1
    return _picks_mmr(scored, rules_, fill_, vectors_, diversity, slate_, state, near)


@jit(allocates=False)
def standard(n: int, scores: Floats, beta: float) -> tuple[float, float]:
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


@jit(inline=True, allocates=False)
def _learn(i: int, m: int, weight: float, enough: float, vectors: Vectors, out: Ints, factor: Factor) -> None:
    """Project the picks out of candidate i's vector, as long as its gain is not below `enough`."""
    rows, place = vectors
    _, _, _, factors, inverse, known, left = factor
    last = np.uint64(rows.shape[0] - 1)
    vector, mine = rows[min(np.uint64(place[i]), last)], factors[i]
    while known[i] < m and weight * left[i] >= enough:
        j = known[i]
        p = out[j]
        along = dot(vector, rows[min(np.uint64(place[p]), last)]) - dot(mine[:j], factors[p, :j])
        mine[j] = along * inverse[j]
        known[i] = j + 1
        left[i] -= mine[j] * mine[j]
        if left[i] <= FLAT:
            left[i] = 0.0


@jit(allocates=False)
def _picks_dpp(
    scored: Scored, rules: CategoryRules, fill: Fill, vectors: Vectors, beta: float, slate: SlateOut,
    state: KeepState, factor: Factor,
) -> int:  # fmt: skip
    """The picks of `dpp`, without candidates after which the share cannot be reached."""
    n, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, k, min_size, floor = fill
    out, marginal = slate
    one, none = not_literal(1), not_literal(-1)
    mean, steep = standard(n, scores, beta)
    gain, weight, at_score, rows, inverse, known, left = factor
    for i in range(n):
        weight[i] = np.exp(min(steep * (scores[i] - mean), STEEP))
        gain[i], at_score[i], known[i], left[i] = weight[i], scores[i], 0, 1.0
    begin(scored, rules, fill, slate, gain)
    m = not_literal(0)
    hint = none
    while m < k:
        best = none
        worth = 0.0
        second = none
        top = -np.inf
        if m < pinned:
            best = out[m]
            _learn(best, m, 1.0, top, vectors, out, factor)
        for at in range(-1, n if m >= pinned else -1):
            i = hint if at < 0 else at
            if i < 0 or gain[i] < top or gain[i] == -np.inf or i == best:
                continue
            now = marginal_score(scores[i], class_of(i, keys, of_item), array, costs, counts)
            if now == -np.inf or (now <= floor and m >= min_size):
                gain[i] = -np.inf
                continue
            if now != at_score[i]:
                at_score[i] = now
                weight[i] = np.exp(min(steep * (now - mean), STEEP))
            _learn(i, m, weight[i], top, vectors, out, factor)
            gain[i] = weight[i] * left[i]
            if gain[i] < top or (gain[i] == top and not goes_first(i, best, keys, of_item)):
                continue
            if not can_keep(i, m, scored, array, fill, state):
                gain[i] = -np.inf
                continue
            second, best, top, worth = best, i, gain[i], now
        if top == 0.0:
            best, worth = best_score(m, scored, rules, fill, gain, state)
        if best < 0:
            best, worth = needed(m, scored, rules, min_size, state)
        if best < 0:
            break
        pivot = np.sqrt(left[best])
        inverse[m] = np.float32(1.0) / pivot if pivot > 0.0 else np.float32(0.0)
        rows[best, m] = pivot
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            count(class_of(best, keys, of_item), array, counts, one)
            take(best, m, scored, array, fill, state)
        gain[best] = -np.inf
        hint = second
        m += 1
    end(m, scored, rules, slate)
    return m


@jit
def dpp(
    n: int, request: RequestFields, rules: RuleFields, fill: FillFields, vectors: VectorFields, beta: float,
    slate: SlateFields, keep: KeepFields,
) -> int:  # fmt: skip
    """Greedy MAP of a determinantal point process: the next pick maximizes the determinant of the picks' kernel.

    L_ij = w_i w_j cos(i, j) with w = exp(beta * standard score of the marginal): the gain of a candidate is w^2 times
    what the picks leave of its unit vector, and the Cholesky factor grows by a row a pick (Chen, Zhang and Zhou, "Fast
    greedy MAP inference for DPP", arXiv 1709.05135, algorithm 1). Where no candidate adds anything, scores decide.
    Arguments that are structs are passed as plain tuples.
    """
    scored, rules_, fill_ = Scored(n, *request), CategoryRules(*rules), Fill(*fill)
    vectors_, slate_ = Vectors(*vectors), SlateOut(*slate)
    state = start(scored, rules_, fill_, slate_, keep)
    k = max(fill_.size, 1)
    factor = Factor(
        np.empty(n), np.empty(n), np.empty(n), np.empty((n, k), np.float32), np.zeros(k, np.float32),
        np.empty(n, np.int64), np.empty(n, np.float32),
    )  # fmt: skip
    m = _picks_dpp(scored, rules_, fill_, vectors_, beta, slate_, state, factor)
    if is_kept(m, slate_, state):
        return m
    state.limits[0] = 1
    return _picks_dpp(scored, rules_, fill_, vectors_, beta, slate_, state, factor)
