"""Repairs slates so that they keep the rules exactly, after an approximate joint search for prices (joint.py).

The search for several prices is not proven to converge. The user's bound is the dual value at its last prices, so it is
valid anyway. The slate is repaired: scaled down in categories over their caps, which breaks no other cap, and then, if
it misses the guard, mixed with the best slate for the guard's column.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.joint import solve_joint
from oasis_alloc.kernels.rules.rules import Local, Rules, User, Work

_ENOUGH = 1e-10  # of a target: more is not missed
_EXACT = 1e-9  # smoothing of the best slate for the guard's column, in its largest entry


@jit
def scale_down(n: int, n_more: int, rules: Rules, work: Work) -> None:
    """Scale x down in further categories until none is over its cap."""
    mass = np.zeros(n_more)
    for i in range(n):
        j = 0
        while work.more[i, j] >= 0:
            mass[work.more[i, j]] += work.x[i]
            j += 1
    over = False
    for which in range(n_more):
        room = 0
        while rules.staircase[work.which[which], room] < np.inf:
            room += 1
        over |= mass[which] > room
        mass[which] = room / mass[which] if mass[which] > room else 1.0
    if not over:
        return
    for i in range(n):
        factor = 1.0
        j = 0
        while work.more[i, j] >= 0:
            factor = min(factor, mass[work.more[i, j]])
            j += 1
        work.x[i] *= factor


@jit
def mend(user: User, rules: Rules, local: Local, work: Work) -> None:
    """Make the slate of solve_joint keep further caps and the guard; thresholds and prices do not change."""
    u, n, n_more, steepest = user.u, user.n, user.n_more, user.steepest
    scale_down(n, n_more, rules, work)
    if rules.target.size == 0:
        return
    target = rules.target[u]
    total = 0.0
    for i in range(n):
        total += work.r[i] * work.x[i]
    if total >= target - _ENOUGH * abs(target):
        return
    x, top, c, given = work.x[:n].copy(), work.top[:n].copy(), work.c[:n].copy(), work.given[:n].copy()
    owner, omega = work.owner[:n].copy(), work.omega[:n_more].copy()
    for i in range(n):
        work.given[i] = work.r[i]
    for which in range(n_more):
        work.omega[which] = 0.0
    steps, staircase = rules.steps.copy(), rules.staircase.copy()  # without decrements, as the target was found
    for step in range(steps.size - 1):
        steps[step] = 0.0
    for which in range(n_more):
        step = 0
        while staircase[work.which[which], step] < np.inf:
            staircase[work.which[which], step] = 0.0
            step += 1
    alone = Rules(
        rules.size, rules.least, rules.weight, rules.of, rules.most, rules.free, rules.n, rules.stair, steps,
        rules.start, rules.further, staircase, rules.guard, rules.target[:0],
    )  # fmt: skip
    every = User(u, n, n_more, 0.0 * steepest, _EXACT * steepest, steepest)
    solve_joint(every, 0.0 * steepest, 0.0 * steepest, steepest < 0.0, alone, local, work)
    scale_down(n, n_more, rules, work)
    best = 0.0
    for i in range(n):
        best += work.r[i] * work.x[i]
    share = min(1.0, (target - total) / (best - total)) if best > total else 0.0
    for i in range(n):
        work.x[i] = x[i] + share * (work.x[i] - x[i])
        work.top[i], work.c[i], work.given[i], work.owner[i] = top[i], c[i], given[i], owner[i]
    for which in range(n_more):
        work.omega[which] = omega[which]
