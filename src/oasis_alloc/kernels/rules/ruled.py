"""Visits to users whose slates have rules; plain slates have kernels of their own (visit.py, decide.py).

One kernel does every job on users solved by settle.py (summing a visit, counting margins, deciding pairs, writing
slates), because several kernels would each compile everything they call. A visit computes the same sums as visit.py.
The dual value of a user is an upper bound of the user's value, so a bound from it holds for any rules.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.curvature import add_runs, held_by
from oasis_alloc.kernels.rules.further_prices import remember
from oasis_alloc.kernels.rules.rules import Local, Rules, Work
from oasis_alloc.kernels.rules.settle import Settled, settle
from oasis_alloc.kernels.rules.stairs import smoothed_gain
from oasis_alloc.kernels.solve.decide import score
from oasis_alloc.kernels.solve.jobs import Marks, Point, Sums, Users
from oasis_alloc.kernels.solve.visit import Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# as in decide.py and visit.py; a kernel reads constants of its own file
_IN, _OUT_OF, _UNDECIDED = 1, 0, 2
VISIT, MARGINS, DECIDE, ALLOCATE, ATTAIN = range(5)
_SLIGHT = 1e-9  # of a slot: what masses under several prices are known to (joint.py)
_EVERYTHING = 1e300  # a slack that says that no threshold is known
_N_BINS = 512
_SMOOTHED, _BOUND, _VALUE, _MISSES, _FRACTIONAL, _CURVED, _KEPT, _KEPT_USERS, _USERS = range(9)


@jit(allocates=False)
def _climbed(mass: float, steps: Floats, weight: float) -> float:
    """Cost of a staircase up to a mass."""
    paid = 0.0
    step = 0
    while mass > 1e-9 and steps[step] < np.inf:
        paid += min(mass, 1.0) * steps[step] * weight
        mass -= 1.0
        step += 1
    return paid


@jit(inline=True, allocates=False)
def _paid(steps: Floats, weight: float, several: int, work: Work) -> float:
    """Cost of the chain's staircase at the slate x, for grouped candidates."""
    paid = 0.0
    for j in range(several):
        mass = 0.0
        for h in range(work.ends[j], work.ends[j + 1]):
            mass += work.x[work.order[h]]
        paid += _climbed(mass, steps, weight)
    return paid


@jit(inline=True, allocates=False)
def diminished(u: int, n: int, rules: Rules, local: Local, work: Work) -> float:
    """Cost of all staircases of a solved user."""
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
        paid += _paid(rules.steps, weight, groups, work)
    if rules.start.size > 0:
        n_more = 0
        for i in range(n):
            j = 0
            while work.more[i, j] >= 0:
                for which in range(n_more, work.more[i, j] + 1):
                    work.mass[which] = 0.0
                n_more = max(n_more, work.more[i, j] + 1)
                work.mass[work.more[i, j]] += work.x[i]
                j += 1
        for which in range(n_more):
            paid += _climbed(work.mass[which], rules.staircase[work.which[which]], weight)
    return paid


@jit(inline=True, allocates=False)
def _margin(j: int, gamma: float, work: Work) -> float:
    """Distance of a candidate's score to the scores between which it is neither in nor out."""
    gain = work.c[j] - work.top[j]
    return float(max(-gain, gain - gamma, 0.0))


@jit(allocates=False)
def _crowded(settled: Settled, begin: int, marks: Marks, rules: Rules, work: Work) -> bool:
    """Whether the pairs decided in are more than a further category holds, because its price is not found exactly.

    What is in is not looked at again, so the linear program over the undecided pairs could not mend it.
    """
    for which in range(settled.n_more):
        work.mass[which] = 0.0
    for i in range(settled.m):
        if marks.state[begin + work.at[i]] == _IN:
            j = 0
            while work.more[i, j] >= 0:
                work.mass[work.more[i, j]] += 1.0
                j += 1
    for which in range(settled.n_more):
        stairs = rules.staircase[work.which[which]]
        room = 0
        while stairs[room] < np.inf:
            room += 1
        if work.mass[which] > room:
            return True
    return False


@jit(inline=True, allocates=False)
def _mark(
    job: int, u: int, base: int, settled: Settled, gamma: float, pairs: Pairs, marks: Marks, rules: Rules, work: Work
) -> None:
    """Count a user's pairs by margin, or decide them."""
    per = _N_BINS / marks.widest
    a = pairs.indptr[u]
    j = settled.m - settled.m  # not 0: a literal would have _margin compiled once more
    for i in range(pairs.indptr[u + 1] - a):
        shown = False
        if j < settled.m and work.at[j] == i:
            margin = _margin(j, gamma, work)
            shown = work.c[j] > work.top[j]
            j += 1
        else:  # its threshold is at least the slate's
            margin = settled.t - work.s[i]
            if settled.nu > 0.0:
                margin -= settled.nu * rules.guard[a + i]
        if job == MARGINS:
            if margin < marks.widest:
                marks.histogram[int(max(margin, 0.0) * per)] += 1
        elif margin <= marks.margin[pairs.segment[u], pairs.code[a + i]]:
            marks.state[a + i - base] = _UNDECIDED
        else:
            marks.state[a + i - base] = _IN if shown else _OUT_OF
    if job != MARGINS and settled.n_more > 0 and _crowded(settled, a - base, marks, rules, work):
        for j in range(settled.m):
            if marks.state[a + work.at[j] - base] == _IN:
                marks.state[a + work.at[j] - base] = _UNDECIDED


@jit(allocates=False)
def _nth(s: Floats, n: int, size: int, top: Floats) -> float:
    """The size-th largest of s[:n] where it is positive, else 0; `top` (size,) is scratch."""
    for j in range(size):
        top[j] = 0.0
    for i in range(n):
        if size > 0 and s[i] > top[size - 1]:
            j = size - 1
            while j > 0 and top[j - 1] < s[i]:
                top[j] = top[j - 1]
                j -= 1
            top[j] = s[i]
    return float(top[size - 1]) if size > 0 else 0.0


@jit(allocates=False)
def visit(
    job: int, users: Users, pairs: Pairs, point: Point, sums: Sums, marks: Marks, rules: Rules, local: Local, work: Work
) -> None:
    """Settle users at prices and do a job on each, in the scratch of rules.scratch.

    VISIT is visit.visit; every job starts at the thresholds and prices of guards of the last visit. ALLOCATE writes
    the slates of the prices that were visited last into marks.x. MARGINS and DECIDE are decide.margins and
    decide.decide, at a smoothing that is next to none. ATTAIN writes the most that users can have of pairs.value into
    marks.x, whatever the prices.

    A kernel that made the scratch and called this one would hold all of it once more, and take as long to compile.
    """
    first, last, stride = users
    price, gamma, slack, threshold, nu, further = point
    n_extra = pairs.extra.shape[0]
    n_classes = price.shape[2]
    guarded = rules.target.size > 0
    warm = job != ATTAIN and slack < _EVERYTHING
    base = pairs.indptr[first]
    capacity = sums.kept.cell.size
    smoothed = sums.out[_SMOOTHED] if job == VISIT else 0.0
    bound = sums.out[_BOUND] if job == VISIT else (marks.bound[0] if job == DECIDE else 0.0)
    worth = sums.out[_VALUE] if job == VISIT else 0.0
    misses = int(sums.out[_MISSES]) if job == VISIT else 0
    fractional = int(sums.out[_FRACTIONAL]) if job == VISIT else 0
    curved = int(sums.out[_CURVED]) if job == VISIT else 0
    n_kept = int(sums.out[_KEPT]) if job == VISIT else 0
    n_users = int(sums.out[_KEPT_USERS]) if job == VISIT else 0
    visited = int(sums.out[_USERS]) if job == VISIT else 0
    n_runs = sums.kept.runs[n_users] if n_users > 0 else 0
    n_held = sums.kept.vectors[n_users] if n_users > 0 else 0
    for u in range(first, last):
        if stride > 1 and (u >> 5) % stride != 0:
            continue
        visited += 1
        a = pairs.indptr[u]
        n = pairs.indptr[u + 1] - a
        if job == ATTAIN:
            for i in range(n):
                work.s[i] = pairs.value[a + i]
        else:
            score(u, u + 1, pairs, price, work.s)
        start = threshold[u] if warm else _nth(work.s, n, rules.size[u], work.held)
        start_nu = nu[u] if warm and guarded else 0.0
        near = slack if warm else max(gamma, 0.5 * start)
        code = pairs.code[a : a + n]
        settled = settle(u, a, n, code, start, near, start_nu, gamma, warm, further, rules, local, work)
        m, n_more, t, new_nu, cost, again = settled
        if job == ATTAIN:
            marks.x[u] = 0.0  # of a slate that there is, so never too much to keep
            for i in range(m):
                marks.x[u] += work.s[work.at[i]] * work.x[i]
            continue
        if job == ALLOCATE:
            marks.x[a - base : a - base + n] = 0.0
            for i in range(m):
                marks.x[a - base + work.at[i]] = work.x[i]
            continue
        if job != VISIT:
            _mark(job, u, base, settled, gamma, pairs, marks, rules, work)
            bound += cost
            for i in range(m):
                bound += max(work.c[i] - work.top[i], 0.0)
            continue
        misses += again
        remember(u, n_more, further, work)
        threshold[u] = t
        if guarded:
            nu[u] = new_nu
        smoothed += cost
        bound += cost
        cell0 = np.int64(pairs.segment[u]) * n_classes
        active = 0
        slight = _SLIGHT if n_more > 0 else 0.0
        for i in range(m):
            gain = work.c[i] - work.top[i]
            x = work.x[i]
            if gain > 0.0:
                bound += gain
                smoothed += smoothed_gain(gain, gamma)
            if x <= 0.0:
                continue
            p = a + work.at[i]
            worth += pairs.value[p] * x
            cell = cell0 + np.int64(pairs.code[p])
            sums.load[0, cell] += x
            for h in range(n_extra):
                sums.load[h + 1, cell] += x * pairs.extra[h, p]
            if slight < x < 1.0 - slight:
                active += 1
        worth -= diminished(u, m, rules, local, work)
        if active == 0:
            continue
        fractional += active
        vectors = held_by(m, n_more, rules.weight[u], new_nu, slight, rules, work)
        room = n_kept + active <= capacity and n_held + vectors * active <= sums.kept.held.size
        keep = u % sums.keep_every == 0 and room
        runs = n_runs
        added = add_runs(a, m, cell0, vectors, slight, keep, n_kept, n_runs, n_held, pairs, sums, work)
        curving, n_kept, n_runs, n_held = added
        curved += curving
        if n_runs > runs:
            n_users += 1
            sums.kept.runs[n_users] = n_runs
            sums.kept.vectors[n_users] = n_held
    if job == DECIDE:
        marks.bound[0] = bound
    if job != VISIT:
        return
    sums.out[_SMOOTHED] = smoothed
    sums.out[_BOUND] = bound
    sums.out[_VALUE] = worth
    sums.out[_MISSES] = misses
    sums.out[_FRACTIONAL] = fractional
    sums.out[_CURVED] = curved
    sums.out[_KEPT] = n_kept
    sums.out[_KEPT_USERS] = n_users
    sums.out[_USERS] = visited
