"""The visit, the decision and the Hessian product for slates with rules; plain slates have kernels of their own.

What a visit adds up is the same as in visit.py, with the user's smoothed problem solved by settle.py. Its dual value
stands for what the user can be worth, so a bound made of it holds whatever the rules are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.decide import score
from oasis_alloc.kernels.rules import Local, Rules, Work, scratch
from oasis_alloc.kernels.settle import settle
from oasis_alloc.kernels.visit import Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# as in decide.py and visit.py; a kernel reads constants of its own file
_IN, _OUT_OF, _UNDECIDED = 1, 0, 2
_N_BINS = 512
_SMOOTHED, _BOUND, _VALUE, _MISSES, _FRACTIONAL, _CURVED, _KEPT, _KEPT_USERS, _USERS = range(9)


class Curvature(NamedTuple):
    """Fractional pairs of a visit in runs that the same rule holds back: what a Hessian product needs."""

    cell: npt.NDArray[np.int64]  # (capacity,)
    extra: npt.NDArray[np.float64]  # (K, capacity)
    lean: npt.NDArray[np.float64]  # (capacity,) direction that the user's guard holds, of length 1; zeros for none
    end: npt.NDArray[np.int64]  # (capacity + 1,) end of each run; negative where no rule holds it
    runs: npt.NDArray[np.int64]  # (capacity + 1,) end of each user's runs


@jit
def _paid(n: int, steps: Floats, weight: float, several: int, work: Work) -> float:
    """What the staircase of the chain costs at the slate x, for the candidates that stand in groups."""
    paid = 0.0
    for j in range(several):
        left = 0.0
        for h in range(work.ends[j], work.ends[j + 1]):
            left += work.x[work.order[h]]
        step = 0
        while left > 1e-9 and steps[step] < np.inf:
            paid += min(left, 1.0) * steps[step] * weight
            left -= 1.0
            step += 1
    return paid


@jit
def _paid_further(n: int, which: int, stairs: Floats, weight: float, work: Work) -> float:
    """What the staircase of a further category costs at the slate x."""
    left = 0.0
    for i in range(n):
        j = 0
        while work.more[i, j] >= 0:
            if work.more[i, j] == which:
                left += work.x[i]
            j += 1
    paid = 0.0
    step = 0
    while left > 1e-9 and stairs[step] < np.inf:
        paid += min(left, 1.0) * stairs[step] * weight
        left -= 1.0
        step += 1
    return paid


@jit
def diminished(u: int, n: int, rules: Rules, local: Local, work: Work) -> float:
    """What all staircases of a user that has been settled cost."""
    weight = rules.weight[u]
    paid = 0.0
    if rules.stair >= 0:
        several = 0
        for i in range(n):
            paid += max(work.alone[i], 0.0) * work.x[i]
            several += 1 if work.alone[i] < 0.0 else 0
        groups = 0
        while several > 0 and work.ends[groups] < several:
            groups += 1
        paid += _paid(n, rules.steps, weight, groups, work)
    if rules.start.size > 0:
        n_more = 0
        for i in range(n):
            j = 0
            while work.more[i, j] >= 0:
                n_more = max(n_more, work.more[i, j] + 1)
                j += 1
        for which in range(n_more):
            paid += _paid_further(n, which, rules.staircase[work.which[which]], weight, work)
    return paid


@jit
def _lean(n: int, nu: float, work: Work) -> float:
    """Write the part of the guard that no other rule holds into work.c of fractional candidates; returns its length."""
    nodes = 0
    for i in range(n):
        if 0.0 < work.x[i] < 1.0:
            nodes = max(nodes, work.owner[i] + 1)
    for k in range(nodes):
        work.held[k] = 0.0
        work.sums[k] = 0.0
    for i in range(n):
        if 0.0 < work.x[i] < 1.0 and work.owner[i] >= 0:
            work.held[work.owner[i]] += 1.0
            work.sums[work.owner[i]] += work.r[i]
    square = 0.0
    for i in range(n):
        work.c[i] = 0.0
        if nu > 0.0 and 0.0 < work.x[i] < 1.0:
            k = work.owner[i]
            work.c[i] = work.r[i] - (work.sums[k] / work.held[k] if k >= 0 else 0.0)
            square += work.c[i] * work.c[i]
    if square <= 1e-24:
        for i in range(n):
            work.c[i] = 0.0
        return 0.0
    length = float(np.sqrt(square))
    for i in range(n):
        work.c[i] /= length
    return length


@jit
def visit(
    first: int,
    last: int,
    stride: int,
    pairs: Pairs,
    price: Floats,
    gamma: float,
    slack: float,
    threshold: Floats,
    nu: Floats,
    load: Floats,
    square: Floats,
    kept: Curvature,
    keep_every: int,
    out: Floats,
    rules: Rules,
) -> None:
    """As visit.visit, under rules; nu (n_users,) are the guards' prices of the last visit, read and written."""
    n_extra = pairs.extra.shape[0]
    n_classes = price.shape[2]
    local, work = scratch(first, last, pairs.indptr, rules)
    capacity = kept.cell.size
    guarded = rules.target.size > 0
    smoothed = 0.0
    bound = 0.0
    worth = 0.0
    misses = 0
    fractional = 0
    curved = 0
    n_kept = 0
    n_runs = 0
    n_users = 0
    users = 0
    for u in range(first, last):
        if stride > 1 and (u >> 5) % stride != 0:
            continue
        users += 1
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        score(u, u + 1, pairs, price, work.s)
        code = pairs.code[a : a + n]
        start_nu = nu[u] if guarded else 0.0
        m, t, new_nu, cost, again = settle(
            u, a, n, code, threshold[u], slack, start_nu, False, gamma, rules, local, work
        )
        misses += again
        threshold[u] = t
        if guarded:
            nu[u] = new_nu
        smoothed += cost
        bound += cost
        cell0 = np.int64(pairs.segment[u]) * n_classes
        active = 0
        for i in range(m):
            gain = work.c[i] - work.top[i]
            if gain <= 0.0:
                continue
            x = work.x[i]
            bound += gain
            smoothed += gain * x - 0.5 * gamma * x * x
            p = a + work.at[i]
            worth += pairs.value[p] * x
            cell = cell0 + np.int64(code[work.at[i]])
            load[0, cell] += x
            for h in range(n_extra):
                load[h + 1, cell] += x * pairs.extra[h, p]
            if 0.0 < x < 1.0:
                active += 1
        worth -= diminished(u, m, rules, local, work)
        if active == 0:
            continue
        fractional += active
        lean = _lean(m, new_nu, work) > 0.0
        keep = u % keep_every == 0 and n_kept + active <= capacity
        before = n_runs
        for i in range(m):
            work.member[i] = 1 if 0.0 < work.x[i] < 1.0 else 0
        for i in range(m):
            if work.member[i] == 0:
                continue
            run = 0
            for j in range(i, m):
                if work.member[j] == 1 and work.owner[j] == work.owner[i]:
                    run += 1
            binding = work.owner[i] >= 0
            alone = run <= (1 if binding else 0)
            if not alone:
                curved += run
            weight = 1.0 - (1.0 / run if binding else 0.0)
            owner = work.owner[i]
            for j in range(i, m):
                if work.member[j] == 0 or work.owner[j] != owner:
                    continue
                work.member[j] = 0
                if alone:
                    continue
                part = max(0.0, weight - work.c[j] * work.c[j])
                p = a + work.at[j]
                cell = cell0 + np.int64(code[work.at[j]])
                square[0, cell] += part
                for h in range(n_extra):
                    square[h + 1, cell] += part * pairs.extra[h, p] ** 2
                if keep:
                    kept.cell[n_kept] = cell
                    kept.lean[n_kept] = work.c[j] if lean else 0.0
                    for h in range(n_extra):
                        kept.extra[h, n_kept] = pairs.extra[h, p]
                    n_kept += 1
            if keep and not alone:
                n_runs += 1
                kept.end[n_runs] = n_kept if binding else -n_kept
        if n_runs > before:
            n_users += 1
            kept.runs[n_users] = n_runs
    out[_SMOOTHED] = smoothed
    out[_BOUND] = bound
    out[_VALUE] = worth
    out[_MISSES] = misses
    out[_FRACTIONAL] = fractional
    out[_CURVED] = curved
    out[_KEPT] = n_kept
    out[_KEPT_USERS] = n_users
    out[_USERS] = users


@jit
def curvature_product(n_users: int, kept: Curvature, direction: Floats, out: Floats) -> None:
    """As visit.curvature_product: a user's projection takes off the mean of each run that is held, and the guard's part."""
    n_extra = kept.extra.shape[0]
    longest = 0
    for u in range(n_users):
        longest = max(longest, abs(kept.end[kept.runs[u + 1]]) - abs(kept.end[kept.runs[u]]))
    q = np.empty(longest)
    for u in range(n_users):
        first = abs(kept.end[kept.runs[u]])
        along = 0.0
        for run in range(kept.runs[u], kept.runs[u + 1]):
            a, b = abs(kept.end[run]), abs(kept.end[run + 1])
            mean = 0.0
            for i in range(a, b):
                cell = kept.cell[i]
                d = direction[0, cell]
                for j in range(n_extra):
                    d += direction[j + 1, cell] * kept.extra[j, i]
                q[i - first] = d
                along += d * kept.lean[i]
                mean += d
            if kept.end[run + 1] > 0:
                mean /= b - a
                for i in range(a, b):
                    q[i - first] -= mean
        last = abs(kept.end[kept.runs[u + 1]])
        for i in range(first, last):
            d = q[i - first] - along * kept.lean[i]
            cell = kept.cell[i]
            out[0, cell] += d
            for j in range(n_extra):
                out[j + 1, cell] += d * kept.extra[j, i]


@jit
def _margin(i: int, gamma: float, work: Work) -> float:
    """Distance of a candidate's score to the scores between which it is neither in nor out."""
    gain = work.c[i] - work.top[i]
    return max(-gain, gain - gamma, 0.0)


@jit
def margins(
    first: int, last: int, pairs: Pairs, price: Floats, gamma: float, widest: float, histogram: Ints, rules: Rules
) -> None:
    """As decide.margins, under rules, at a smoothing that is next to none."""
    local, work = scratch(first, last, pairs.indptr, rules)
    per = _N_BINS / widest
    for u in range(first, last):
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        score(u, u + 1, pairs, price, work.s)
        m, t, nu, _, _ = settle(u, a, n, pairs.code[a : a + n], 0.0, 0.0, 0.0, True, gamma, rules, local, work)
        j = 0
        for i in range(n):
            margin = 0.0
            if j < m and work.at[j] == i:
                margin = _margin(j, gamma, work)
                j += 1
            else:  # its threshold is at least the slate's
                margin = t - work.s[i]
                if nu > 0.0:
                    margin -= nu * rules.guard[a + i]
            if margin < widest:
                histogram[int(max(margin, 0.0) * per)] += 1


@jit
def decide(
    first: int,
    last: int,
    pairs: Pairs,
    price: Floats,
    gamma: float,
    margin: Floats,
    state: npt.NDArray[np.uint8],
    slots: Ints,
    counts: Ints,
    rules: Rules,
) -> None:
    """As decide.decide, under rules, at a smoothing that is next to none."""
    local, work = scratch(first, last, pairs.indptr, rules)
    base = pairs.indptr[first]
    for u in range(first, last):
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        code = pairs.code[a : a + n]
        within = margin[pairs.segment[u]]
        score(u, u + 1, pairs, price, work.s)
        m, t, nu, _, _ = settle(u, a, n, code, 0.0, 0.0, 0.0, True, gamma, rules, local, work)
        left = rules.size[u]
        j = 0
        for i in range(n):
            at = a + i - base
            state[at] = _OUT_OF
            if j < m and work.at[j] == i:
                if _margin(j, gamma, work) <= within[code[i]]:
                    state[at] = _UNDECIDED
                elif work.c[j] > work.top[j]:
                    state[at] = _IN
                    left -= 1
                j += 1
            else:
                distance = t - work.s[i]
                if nu > 0.0:
                    distance -= nu * rules.guard[a + i]
                if distance <= within[code[i]]:
                    state[at] = _UNDECIDED
            counts[state[at]] += 1
        slots[u] = left


@jit
def allocate(
    first: int, last: int, pairs: Pairs, price: Floats, gamma: float, threshold: Floats, nu: Floats, x: Floats, rules: Rules
) -> None:
    """Write the smoothed slates of users first <= u < last into x, which starts at the pairs of user `first`."""
    local, work = scratch(first, last, pairs.indptr, rules)
    guarded = rules.target.size > 0
    base = pairs.indptr[first]
    for u in range(first, last):
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        score(u, u + 1, pairs, price, work.s)
        start_nu = nu[u] if guarded else 0.0
        m, _, _, _, _ = settle(
            u, a, n, pairs.code[a : a + n], threshold[u], 0.0, start_nu, False, gamma, rules, local, work
        )
        x[a - base : a - base + n] = 0.0
        for i in range(m):
            x[a - base + work.at[i]] = work.x[i]


@jit
def attained(first: int, last: int, pairs: Pairs, gamma: float, rules: Rules, out: Floats) -> None:
    """Write what users first <= u < last can have of pairs.value at the most into out (n_users,)."""
    local, work = scratch(first, last, pairs.indptr, rules)
    for u in range(first, last):
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        for i in range(n):
            work.s[i] = pairs.value[a + i]
        m, _, _, _, _ = settle(u, a, n, pairs.code[a : a + n], 0.0, 0.0, 0.0, False, gamma, rules, local, work)
        out[u] = 0.0
        for i in range(m):
            out[u] += work.x[i] * work.given[i]
