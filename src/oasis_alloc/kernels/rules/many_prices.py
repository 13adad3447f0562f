"""Newton steps for more prices of one user than a dense matrix is worth: conjugate gradients on the same equations.

A user with hundreds of slots can have hundreds of crossing categories whose prices all move. A step that moves only
some of them holds the others where they are, and the search ends far from its goal. The matrix is that of `_newton` in
joint.py; a product with it takes one look at each candidate's categories, so it is never built.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.rules import User, Work

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_RESIDUAL, _ALONG, _IMAGE, _DIAGONAL = 0, 1, 2, 3  # rows of the scratch
_EXACT = 1e-12  # of the right side
_TURNS = 2  # per price, at most


@jit(allocates=False)
def _product(user: User, nodes: int, place: Ints, vector: Floats, out: Floats, work: Work) -> None:
    """Write the matrix, without what is added to its diagonal, times a vector of the free prices into out."""
    n, n_more, guard = user.n, user.n_more, place[user.n_more]
    change = work.other  # not in use before the slate is mixed
    for node in range(nodes):
        work.sums[node] = 0.0
    for i in range(n):
        change[i] = 0.0
        if not (0.0 < work.x[i] < 1.0):
            continue
        if guard >= 0:
            change[i] -= work.r[i] / user.steepest * vector[guard]
        j = 0
        while work.more[i, j] >= 0:
            k = place[work.more[i, j]]
            if k >= 0:
                change[i] += vector[k]
            j += 1
        if work.owner[i] >= 0:
            work.sums[work.owner[i]] += change[i]
    for k in range(n_more + 1):
        if place[k] >= 0:
            out[place[k]] = 0.0
    for i in range(n):
        if not (0.0 < work.x[i] < 1.0):
            continue
        if work.owner[i] >= 0:  # what a rule of the chain holds moves by its mean
            change[i] -= work.sums[work.owner[i]] / work.held[work.owner[i]]
        if guard >= 0:
            out[guard] -= work.r[i] / user.steepest * change[i]
        j = 0
        while work.more[i, j] >= 0:
            k = place[work.more[i, j]]
            if k >= 0:
                out[k] += change[i]
            j += 1


@jit(allocates=False)
def newton_many(
    user: User, gamma: float, damping: float, n_free: int, free: Ints, slope: Floats, place: Ints, scratch: Floats,
    step: Floats, work: Work,
) -> None:  # fmt: skip
    """Write the damped Newton step of the free prices into step, as `_newton` does.

    place (n_more + 1,) and scratch (4, n_free or more) are overwritten. Steps before the last turn lead downhill
    too, so a search that ends early costs turns of the caller and nothing else.
    """
    n, n_more, steepest = user.n, user.n_more, user.steepest
    residual, along, image, diagonal = scratch[_RESIDUAL], scratch[_ALONG], scratch[_IMAGE], scratch[_DIAGONAL]
    for which in range(n_more + 1):
        place[which] = -1
    for k in range(n_free):
        place[free[k]] = k
        diagonal[k] = 0.0
    guard = place[n_more]
    nodes = n - n  # not 0: a literal would have _product compiled once more
    for i in range(n):
        if 0.0 < work.x[i] < 1.0:
            nodes = max(nodes, work.owner[i] + 1)
    for node in range(nodes):
        work.held[node] = 0.0
    trace = 0.0
    for i in range(n):
        if not (0.0 < work.x[i] < 1.0):
            continue
        if work.owner[i] >= 0:
            work.held[work.owner[i]] += 1.0
        if guard >= 0:
            diagonal[guard] += (work.r[i] / steepest) * (work.r[i] / steepest)
        j = 0
        while work.more[i, j] >= 0:
            if place[work.more[i, j]] >= 0:
                diagonal[place[work.more[i, j]]] += 1.0
            j += 1
    for k in range(n_free):
        trace += diagonal[k]
    added = 1e-12 * trace + damping
    size = 0.0
    for k in range(n_free):
        which = free[k]
        step[k] = 0.0
        residual[k] = -gamma * slope[which] / (steepest if which == n_more else 1.0)
        diagonal[k] += added
        along[k] = residual[k] / diagonal[k]
        size += residual[k] * along[k]
    now = size
    for _ in range(_TURNS * n_free):
        if not now > _EXACT * _EXACT * size:
            break
        _product(user, nodes, place, along, image, work)
        bend = 0.0
        for k in range(n_free):
            image[k] += added * along[k]
            bend += along[k] * image[k]
        if not bend > 0.0:
            break
        length = now / bend
        before = now
        now = 0.0
        for k in range(n_free):
            step[k] += length * along[k]
            residual[k] -= length * image[k]
            now += residual[k] * residual[k] / diagonal[k]
        for k in range(n_free):
            along[k] = residual[k] / diagonal[k] + now / before * along[k]
    for k in range(n_free):
        if free[k] == n_more:
            step[k] /= steepest
