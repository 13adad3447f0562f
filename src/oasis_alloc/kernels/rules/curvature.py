"""Curvature of users under rules: what a small change of scores does to the smoothed slate.

The fractional candidates move freely but for what holds them: a run of candidates under one rule of the chain keeps its
sum, and so does the guard's column, and every further category whose price is between two of its steps. The derivative
of the slate is the projection onto what is left, over gamma:

    q - (mean of q in each held run) - sum over k of v_k (v_k q)

with orthonormal vectors v_k, each of which adds up to 0 in every run: the guard's column and the members of the further
categories, made orthogonal to the runs and to one another (Gram-Schmidt).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.joint import full_steps
from oasis_alloc.kernels.rules.rules import Rules, Work
from oasis_alloc.kernels.solve.jobs import RuledCurvature, Sums
from oasis_alloc.kernels.solve.visit import Pairs, add_change, change_of

Floats = npt.NDArray[np.float64]

_LEVEL = 1e-24  # relative to the squares of a column: it is equal for all fractional candidates
_SAME = 1e-12  # relative to the squares of a column: it is a sum of those before
_ROUNDING = 1e-12  # of a candidate: as much is left of one that cannot move, and a row of it has no curvature


@jit(inline=True, allocates=False)
def held_by(m: int, n_more: int, weight: float, nu: float, slight: float, rules: Rules, work: Work) -> int:
    """Write the vectors v_k of fractional candidates into work.columns, 0 for others; returns how many there are.

    What is within `slight` of a whole number is not fractional.
    """
    nodes = 0
    for i in range(m):
        if slight < work.x[i] < 1.0 - slight:
            nodes = max(nodes, work.owner[i] + 1)
    for k in range(nodes):
        work.held[k] = 0.0
    for i in range(m):
        if slight < work.x[i] < 1.0 - slight and work.owner[i] >= 0:
            work.held[work.owner[i]] += 1.0
    found = 0
    for which in range(-1, n_more):
        if which < 0:
            if not nu > 0.0:
                continue
        else:
            stairs = rules.staircase[work.which[which]]
            omega = work.omega[which]
            if omega <= 0.0 or found >= work.columns.shape[1]:
                continue
            if stairs[full_steps(stairs, weight, omega)] * weight == omega:
                continue
        for k in range(nodes):
            work.sums[k] = 0.0
        for i in range(m):
            entry = 0.0
            if slight < work.x[i] < 1.0 - slight:
                if which < 0:
                    entry = work.r[i]
                else:
                    j = 0
                    while work.more[i, j] >= 0:
                        if work.more[i, j] == which:
                            entry = 1.0
                        j += 1
                if work.owner[i] >= 0:
                    work.sums[work.owner[i]] += entry
            work.columns[i, found] = entry
        every = 0.0
        square = 0.0
        for i in range(m):
            if slight < work.x[i] < 1.0 - slight:
                every += work.columns[i, found] * work.columns[i, found]
                k = work.owner[i]
                work.columns[i, found] -= work.sums[k] / work.held[k] if k >= 0 else 0.0
        for k in range(found):
            along = 0.0
            for i in range(m):
                along += work.columns[i, k] * work.columns[i, found]
            for i in range(m):
                work.columns[i, found] -= along * work.columns[i, k]
        for i in range(m):
            square += work.columns[i, found] * work.columns[i, found]
        if square > (_LEVEL if which < 0 else _SAME) * every:
            length = np.sqrt(square)
            for i in range(m):
                work.columns[i, found] /= length
            found += 1
    return found


@jit(inline=True, allocates=False)
def add_runs(
    a: int, m: int, cell0: int, vectors: int, slight: float, keep: bool, n_kept: int, n_runs: int, n_held: int,
    pairs: Pairs, sums: Sums, work: Work,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Add a user's fractional pairs to the curvature, one run for every rule that holds some back.

    Returns (pairs that curve, entries kept so far, runs kept so far, entries of vectors kept so far).
    """
    kept = sums.kept
    n_extra = pairs.extra.shape[0]
    curved = 0
    for i in range(m):
        work.member[i] = 1 if slight < work.x[i] < 1.0 - slight else 0
    for i in range(m):
        if work.member[i] == 0:
            continue
        owner = work.owner[i]
        run = 0
        for j in range(i, m):
            if work.member[j] == 1 and work.owner[j] == owner:
                run += 1
        binding = owner >= 0
        alone = run <= (1 if binding else 0)
        if not alone:
            curved += run
        weight = 1.0 - (1.0 / run if binding else 0.0)
        for j in range(i, m):
            if work.member[j] == 0 or work.owner[j] != owner:
                continue
            work.member[j] = 0
            if alone:
                continue
            part = weight
            for k in range(vectors):
                part -= work.columns[j, k] * work.columns[j, k]
            part = part if part > _ROUNDING else 0.0
            p = a + work.at[j]
            cell = cell0 + np.int64(pairs.code[p])
            sums.square[0, cell] += part
            for h in range(n_extra):
                sums.square[h + 1, cell] += part * pairs.extra[h, p] ** 2
            if keep:
                kept.cell[n_kept] = cell
                for k in range(vectors):
                    kept.held[n_held] = work.columns[j, k]
                    n_held += 1
                for h in range(n_extra):
                    kept.extra[h, n_kept] = pairs.extra[h, p]
                n_kept += 1
        if keep and not alone:
            n_runs += 1
            kept.end[n_runs] = n_kept if binding else -n_kept
    return curved, n_kept, n_runs, n_held


@jit
def curvature_product(n_users: int, kept: RuledCurvature, direction: Floats, out: Floats) -> None:
    """As visit.curvature_product: a user's projection subtracts the mean of each held run, and along each vector."""
    longest = 0
    most_held = 0  # entries of a user's vectors, each of which has one at least
    for u in range(n_users):
        longest = max(longest, abs(kept.end[kept.runs[u + 1]]) - abs(kept.end[kept.runs[u]]))
        most_held = max(most_held, kept.vectors[u + 1] - kept.vectors[u])
    q = np.empty(longest)
    along = np.empty(most_held)
    for u in range(n_users):
        first, last = abs(kept.end[kept.runs[u]]), abs(kept.end[kept.runs[u + 1]])
        at = kept.vectors[u]
        vectors = (kept.vectors[u + 1] - at) // max(1, last - first)
        for k in range(vectors):
            along[k] = 0.0
        for run in range(kept.runs[u], kept.runs[u + 1]):
            a, b = abs(kept.end[run]), abs(kept.end[run + 1])
            mean = 0.0
            for i in range(a, b):
                d = change_of(i, kept.cell, kept.extra, direction)
                q[i - first] = d
                for k in range(vectors):
                    along[k] += d * kept.held[at + (i - first) * vectors + k]
                mean += d
            if kept.end[run + 1] > 0:
                mean /= b - a
                for i in range(a, b):
                    q[i - first] -= mean
        for i in range(first, last):
            d = q[i - first]
            for k in range(vectors):
                d -= along[k] * kept.held[at + (i - first) * vectors + k]
            add_change(i, d, kept.cell, kept.extra, out)
