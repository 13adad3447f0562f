"""Greedy determinantal point processes in which a pick is compared only with the last few; see diversify.py."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.diversify import (
    FLAT,
    STEEP,
    begin,
    best_score,
    dot,
    end,
    goes_first,
    standard,
)  # fmt: skip
from oasis_alloc.kernels.serve.keep_state import KeepState, can_keep, is_kept, needed, start, take
from oasis_alloc.kernels.serve.slate_args import (
    CategoryRules,
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


class Window(NamedTuple):
    """What scores count, and how many of the last picks a pick is compared with."""

    beta: float
    picks: int


@jit(fastmath=True, allocates=False)
def _add_row(vectors: Vectors, factor: Singles, at: Ints, m: int, p: int, inverse: np.float32, left: Singles) -> None:
    """Row at[m] of the factors of all candidates, after pick p; `left` loses the part in its direction."""
    rows, place = vectors
    new = factor[at[m]]
    last = np.uint64(rows.shape[0] - 1)
    vector = rows[min(np.uint64(place[p]), last)]
    for i in range(new.size):
        new[i] = inverse * dot(rows[min(np.uint64(place[i]), last)], vector)
    for j in range(m):
        old = factor[at[j]]
        by = old[p] * inverse
        for i in range(new.size):
            new[i] -= by * old[i]
    for i in range(new.size):
        left[i] -= new[i] * new[i]


@jit(fastmath=True, allocates=False)
def _drop_first(factor: Singles, at: Ints, m: int, picks: Ints, left: Singles) -> None:
    """Remove the oldest of m picks from all factors.

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


class Rows(NamedTuple):
    """The factors of the last picks, a row each, and what candidates are worth."""

    gain: Floats  # (n,) minus infinity for those that may not be picked
    left: Singles  # (n,) what the picks leave of a candidate's vector's length, squared
    factor: Singles  # (window + 1, n)
    at: Ints  # (window + 1,) the row of each of these picks, the oldest first


@jit(allocates=False)
def _picks_dpp_window(
    scored: Scored, rules: CategoryRules, fill: Fill, vectors: Vectors, option: Window, slate: SlateOut,
    state: KeepState, of_candidates: Rows,
) -> int:  # fmt: skip
    """The picks of `dpp_window`, without candidates after which the share cannot be reached."""
    n, scores, keys, of_item = scored
    array, costs, counts = rules
    pinned, k, min_size, floor = fill
    out, marginal = slate
    one, none = not_literal(1), not_literal(-1)
    mean, steep = standard(n, scores, option.beta)
    gain, left, factor, at = of_candidates
    window = at.size - 1
    for j in range(at.size):
        at[j] = j
    for i in range(n):
        gain[i], left[i] = 0.0, 1.0
    begin(scored, rules, fill, slate, gain)
    m = inside = not_literal(0)
    while m < k:
        best = none
        worth = 0.0
        if m < pinned:
            best = out[m]
        else:
            top = 0.0
            for i in range(n):
                if gain[i] == -np.inf or left[i] <= FLAT:
                    continue
                now = marginal_score(scores[i], class_of(i, keys, of_item), array, costs, counts)
                if now == -np.inf or (now <= floor and m >= min_size):
                    gain[i] = -np.inf
                    continue
                gain[i] = np.exp(min(steep * (now - mean), STEEP)) * left[i]
                if gain[i] > top or (gain[i] == top and goes_first(i, best, keys, of_item)):
                    if can_keep(i, m, scored, array, fill, state):
                        best, top, worth = i, gain[i], now
                    else:
                        gain[i] = -np.inf
            if best < 0:
                best, worth = best_score(m, scored, rules, fill, gain, state)
        if best < 0:
            best, worth = needed(m, scored, rules, min_size, state)
        if best < 0:
            break
        if m >= pinned:
            out[m] = best
            marginal[m] = worth
            count(class_of(best, keys, of_item), array, counts, one)
            take(best, m, scored, array, fill, state)
        pivot = np.sqrt(left[best]) if left[best] > FLAT else np.float32(0.0)
        _add_row(vectors, factor, at, inside, best, np.float32(1.0) / pivot if pivot > 0.0 else pivot, left)
        gain[best] = -np.inf
        m += 1
        inside += 1
        if inside > window:
            _drop_first(factor, at, inside, out[m - inside : m], left)
            inside -= 1
    end(m, scored, rules, slate)
    return m


@jit
def dpp_window(
    n: int, request: RequestFields, rules: RuleFields, fill: FillFields, vectors: VectorFields,
    option: tuple[float, int], slate: SlateFields, keep: KeepFields,
) -> int:  # fmt: skip
    """As `dpp`, where a pick is compared with the last few picks only (Chen, Zhang and Zhou, section 4.3).

    Gains grow again when a pick leaves the window, so those of all candidates are kept up to date.
    """
    scored, rules_, fill_ = Scored(n, *request), CategoryRules(*rules), Fill(*fill)
    vectors_, option_, slate_ = Vectors(*vectors), Window(*option), SlateOut(*slate)
    state = start(scored, rules_, fill_, slate_, keep)
    window = max(min(option_.picks, fill_.size), 1)
    rows = Rows(
        np.empty(n), np.empty(n, np.float32), np.empty((window + 1, n), np.float32), np.empty(window + 1, np.int64)
    )
    m = _picks_dpp_window(scored, rules_, fill_, vectors_, option_, slate_, state, rows)
    if is_kept(m, slate_, state):
        return m
    state.limits[0] = 1
    return _picks_dpp_window(scored, rules_, fill_, vectors_, option_, slate_, state, rows)
