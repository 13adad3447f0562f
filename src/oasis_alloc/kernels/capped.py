"""The visit and the decision where slates hold at most so many items of a category.

Systems of categories (artist, genre ...) come nested, the finest first: every category of one lies in a single category
of the next. Then the slate rules are a laminar matroid, and

    unsmoothed:  taking candidates by score, skipping those whose category is full, is exactly optimal;
    smoothed:    x_i = clip((s_i - max(t, t_c of its categories)) / gamma, 0, 1); a category's threshold t_c follows
                 from its own members alone, finest first, and the slate's threshold t from what they leave.

Problems without such rules run the plain kernels (visit.py, decide.py) and pay nothing for this.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.categories import Categories, Greedy, Local, number, scratch, take
from oasis_alloc.kernels.decide import score
from oasis_alloc.kernels.visit import Curvature, Pairs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# as in decide.py and visit.py; a kernel reads constants of its own file
_IN, _OUT_OF, _UNDECIDED = 1, 0, 2
_N_BINS = 512
_SMOOTHED, _BOUND, _VALUE, _MISSES, _FRACTIONAL, _CURVED, _KEPT, _KEPT_USERS, _USERS = range(9)


@jit
def _root(c: Floats, floor: Floats, member: Ints, n: int, most: int, gamma: float, low: float) -> float:
    """Root t >= low of sum over members of clip((c - max(t, floor)) / gamma, 0, 1) = most; low if it is less."""
    high = low
    total = 0.0
    for j in range(n):
        i = member[j]
        total += min(1.0, max(0.0, (c[i] - max(low, floor[i])) / gamma))
        high = max(high, c[i])
    if total <= most:
        return low
    f_low = total - most
    f_high = -float(most)
    t = low
    f = f_low
    for _ in range(200):
        slope = 0
        above = high
        for j in range(n):
            i = member[j]
            if t >= floor[i]:
                z = (c[i] - t) / gamma
                if z >= 1.0:
                    above = min(above, c[i] - gamma)
                elif z > 0.0:
                    slope += 1
            else:
                above = min(above, floor[i])
        new = t + f * gamma / slope if slope > 0 else above + 0.5 * gamma * max(f, 0.0) / n
        if not (low < new < high):
            new = 0.5 * (low + high)
            if not (low < new < high):
                break
        t = new
        f = -float(most)
        for j in range(n):
            i = member[j]
            f += min(1.0, max(0.0, (c[i] - max(t, floor[i])) / gamma))
        if abs(f) <= 1e-13 * most:
            return t
        if f > 0.0:
            low, f_low = t, f
        else:
            high, f_high = t, f
    return low if f_low < -f_high else high


@jit
def visit(
    first: int,
    last: int,
    stride: int,
    pairs: Pairs,
    price: Floats,
    size: int,
    gamma: float,
    slack: float,
    threshold: Floats,
    load: Floats,
    square: Floats,
    kept: Curvature,
    keep_every: int,
    out: Floats,
    categories: Categories,
) -> None:
    """As visit.visit, with at most `categories.most` items of a category in a slate."""
    indptr, code, value, extra, segment = pairs
    n_extra = extra.shape[0]
    n_classes = price.shape[2]
    n_systems = categories.most.size
    longest, local, greedy = scratch(first, last, indptr, categories)
    s = np.empty(longest)
    c = np.empty(longest)
    at = np.empty(longest, np.int64)
    floor = np.empty(longest)
    owner = np.empty(longest, np.int64)
    member = np.empty(longest, np.int64)
    done = np.empty(longest, np.int64)
    members = np.empty(longest, np.int64)  # by number of a category
    capacity = kept.cell.size
    smoothed = 0.0
    bound = 0.0
    worth = 0.0
    misses = 0
    fractional = 0
    curved = 0
    n_kept = 0
    n_runs = 0
    users = 0
    for u in range(first, last):
        if stride > 1 and (u >> 5) % stride != 0:
            continue
        users += 1
        a = indptr[u]
        n = indptr[u + 1] - a
        score(u, u + 1, pairs, price, s)
        t = threshold[u]
        cut = max(0.0, t - slack)
        m = 0
        left = size
        while True:
            m = 0
            for i in range(n):
                if s[i] > cut:
                    c[m] = s[i]
                    at[m] = i
                    floor[m] = cut
                    owner[m] = -1
                    m += 1
            number(categories, code[a : a + n], at, m, local)
            # thresholds of categories, finest first; owner says which node holds a candidate back
            node = 0
            for k in range(n_systems):
                for j in range(local.counts[k]):
                    members[j] = 0
                for i in range(m):
                    if local.of[k, i] >= 0:
                        members[local.of[k, i]] += 1
                for which in range(local.counts[k]):
                    if members[which] <= categories.most[k]:
                        continue
                    size_of = 0
                    for j in range(m):
                        if local.of[k, j] == which:
                            member[size_of] = j
                            size_of += 1
                    root = _root(c, floor, member, size_of, categories.most[k], gamma, cut)
                    if root > cut:
                        node += 1
                        for j in range(size_of):
                            if floor[member[j]] < root:
                                floor[member[j]] = root
                                owner[member[j]] = node
            for i in range(m):
                member[i] = i
            t = _root(c, floor, member, m, size, gamma, cut)
            left = take(c, m, categories.most, size, local, greedy)
            if cut == 0.0 or (t > cut and left == 0):
                break
            misses += 1
            cut = 0.0
        threshold[u] = t
        cell0 = np.int64(segment[u]) * n_classes
        for i in range(m):
            if floor[i] < t:
                floor[i] = t
                owner[i] = 0 if t > 0.0 else -1
            bound += c[i] * greedy.taken[i]
            done[i] = 0
            z = (c[i] - floor[i]) / gamma
            if z <= 0.0:
                done[i] = 1
                continue
            x = min(z, 1.0)
            smoothed += c[i] * x - 0.5 * gamma * x * x
            worth += value[a + at[i]] * x
            cell = cell0 + np.int64(code[a + at[i]])
            load[0, cell] += x
            for j in range(n_extra):
                load[j + 1, cell] += x * extra[j, a + at[i]]
            if z >= 1.0:
                done[i] = 1
            else:
                fractional += 1
        # one run of fractional candidates for every node that holds some back
        for i in range(m):
            if done[i] == 1:
                continue
            active = 0
            for j in range(i, m):
                if done[j] == 0 and owner[j] == owner[i]:
                    member[active] = j
                    active += 1
                    done[j] = 1
            binding = owner[i] >= 0
            if active <= (1 if binding else 0):
                continue
            curved += active
            weight = 1.0 - (1.0 / active if binding else 0.0)
            keep = u % keep_every == 0 and n_kept + active <= capacity
            for j in range(active):
                p = a + at[member[j]]
                cell = cell0 + np.int64(code[p])
                square[0, cell] += weight
                for h in range(n_extra):
                    square[h + 1, cell] += weight * extra[h, p] ** 2
                if keep:
                    kept.cell[n_kept] = cell
                    for h in range(n_extra):
                        kept.extra[h, n_kept] = extra[h, p]
                    n_kept += 1
            if keep:
                n_runs += 1
                kept.end[n_runs] = n_kept if binding else -n_kept
    out[_SMOOTHED] = smoothed
    out[_BOUND] = bound
    out[_VALUE] = worth
    out[_MISSES] = misses
    out[_FRACTIONAL] = fractional
    out[_CURVED] = curved
    out[_KEPT] = n_kept
    out[_KEPT_USERS] = n_runs
    out[_USERS] = users


@jit
def _cuts(s: Floats, n: int, most: Ints, size: int, local: Local, greedy: Greedy, cut: Floats) -> None:
    """Write for every candidate the score at which it would enter or leave its user's best slate."""
    left = take(s, n, most, size, local, greedy)
    n_systems = most.size
    of, count = local.of, local.counts
    _, taken, full, lowest, first_out = greedy
    for k in range(n_systems):
        for j in range(count[k]):
            first_out[k, j] = 0.0
    last = np.inf
    nearest = 0.0
    for i in range(n):
        if taken[i] == 1:
            last = min(last, s[i])
            continue
        if s[i] <= 0.0:
            continue
        blocked = False
        for k in range(n_systems):
            j = of[k, i]
            if j >= 0 and full[k, j] >= most[k]:
                first_out[k, j] = max(first_out[k, j], s[i])
                blocked = True
                break
        if not blocked:
            nearest = max(nearest, s[i])
    whole = 0.0 if left > 0 else 0.5 * (last + nearest)
    for i in range(n):
        cut[i] = whole
        for k in range(n_systems):
            j = of[k, i]
            if j >= 0 and full[k, j] >= most[k]:
                cut[i] = max(cut[i], 0.5 * (lowest[k, j] + first_out[k, j]))


@jit
def margins(
    first: int,
    last: int,
    pairs: Pairs,
    price: Floats,
    size: int,
    widest: float,
    histogram: Ints,
    categories: Categories,
) -> None:
    """As decide.margins, for slates with categories."""
    indptr = pairs.indptr
    longest, local, greedy = scratch(first, last, indptr, categories)
    s = np.empty(longest)
    cut = np.empty(longest)
    every = np.arange(longest)
    per = _N_BINS / widest
    for u in range(first, last):
        n = indptr[u + 1] - indptr[u]
        score(u, u + 1, pairs, price, s)
        number(categories, pairs.code[indptr[u] : indptr[u + 1]], every, n, local)
        _cuts(s, n, categories.most, size, local, greedy, cut)
        for i in range(n):
            margin = abs(s[i] - cut[i])
            if margin < widest:
                histogram[int(margin * per)] += 1


@jit
def decide(
    first: int,
    last: int,
    pairs: Pairs,
    price: Floats,
    size: int,
    margin: Floats,
    state: npt.NDArray[np.uint8],
    slots: Ints,
    counts: Ints,
    categories: Categories,
) -> None:
    """As decide.decide, for slates with categories."""
    indptr = pairs.indptr
    longest, local, greedy = scratch(first, last, indptr, categories)
    s = np.empty(longest)
    cut = np.empty(longest)
    every = np.arange(longest)
    base = indptr[first]
    for u in range(first, last):
        a = indptr[u] - base
        n = indptr[u + 1] - indptr[u]
        score(u, u + 1, pairs, price, s)
        number(categories, pairs.code[indptr[u] : indptr[u + 1]], every, n, local)
        _cuts(s, n, categories.most, size, local, greedy, cut)
        within = margin[pairs.segment[u]]
        left = size
        for i in range(n):
            if abs(s[i] - cut[i]) <= within[pairs.code[indptr[u] + i]]:
                state[a + i] = _UNDECIDED
            elif greedy.taken[i] == 1:
                state[a + i] = _IN
                left -= 1
            else:
                state[a + i] = _OUT_OF
            counts[state[a + i]] += 1
        slots[u] = left
