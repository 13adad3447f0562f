"""Repairs slates so that they keep the rules exactly, after an approximate joint search for prices (joint.py).

The search for several prices is not proven to converge. The user's bound is the dual value at its last prices, so it is
valid anyway. The slate is repaired: scaled down in categories over their caps, which breaks no other cap; filled up
with the best candidates that all rules have room for; and then, if it misses the guard, mixed with the best slate for
the guard's column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.joint import solve_joint
from oasis_alloc.kernels.rules.rules import Local, Rules, User, Work

Floats = npt.NDArray[np.float64]

_ENOUGH = 1e-10  # of a target: more is not missed
_LOST = 1e-11  # of a slot: less is not filled up
_EXACT = 1e-9  # smoothing of the best slate for the guard's column, in its largest entry


@jit
def scale_down(n: int, n_more: int, rules: Rules, work: Work) -> float:
    """Scale x down in further categories until none is over its cap; returns the mass that this takes."""
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
    lost = 0.0
    if not over:
        return lost
    for i in range(n):
        factor = 1.0
        j = 0
        while work.more[i, j] >= 0:
            factor = min(factor, mass[work.more[i, j]])
            j += 1
        lost += work.x[i] - factor * work.x[i]
        work.x[i] *= factor
    return lost


@jit(allocates=False)
def _step(mass: float, stairs: Floats) -> tuple[float, float]:
    """(the step that more of a category takes, how much of it is left before the next one)."""
    step = 0
    while step + 1.0 <= mass and stairs[step] < np.inf:
        step += 1
    return stairs[step], step + 1.0 - mass


@jit
def fill_up(user: User, rules: Rules, local: Local, work: Work) -> None:
    """Show more of the best candidates, one after the other, as far as every rule has room and scores pay for it."""
    u, n, n_more = user.u, user.n, user.n_more
    n_systems, weight = rules.most.size, rules.weight[u]
    room = float(rules.size[u])
    mass = np.zeros(n_more)
    for k in range(n_systems):
        for which in range(local.counts[k]):
            work.root[k, which] = 0.0  # the mass of a category of the chain; thresholds are not needed any more
    for i in range(n):
        room -= work.x[i]
        for k in range(n_systems):
            if local.of[k, i] >= 0:
                work.root[k, local.of[k, i]] += work.x[i]
        j = 0
        while work.more[i, j] >= 0:
            mass[work.more[i, j]] += work.x[i]
            j += 1
    order = np.argsort(work.given[:n])
    for rank in range(n - 1, -1, -1):
        i = order[rank]
        pays = work.given[i]
        if not (room > 0.0 and pays > 0.0):
            break
        if work.x[i] >= 1.0 or (rules.target.size > 0 and work.r[i] < 0.0):
            continue
        more = min(room, 1.0 - work.x[i])
        for k in range(n_systems):
            which = local.of[k, i]
            if which >= 0:
                more = min(more, rules.most[k] - work.root[k, which])
                if k == rules.stair:
                    step, left = _step(work.root[k, which], rules.steps)
                    pays -= step * weight
                    more = min(more, left)
        j = 0
        while work.more[i, j] >= 0:
            step, left = _step(mass[work.more[i, j]], rules.staircase[work.which[work.more[i, j]]])
            pays -= step * weight
            more = min(more, left)
            j += 1
        if not (pays > 0.0 and more > 0.0):
            continue
        work.x[i] += more
        room -= more
        for k in range(n_systems):
            if local.of[k, i] >= 0:
                work.root[k, local.of[k, i]] += more
        j = 0
        while work.more[i, j] >= 0:
            mass[work.more[i, j]] += more
            j += 1


@jit
def mend(user: User, arrived: bool, rules: Rules, local: Local, work: Work) -> None:
    """Make the slate of solve_joint keep further caps and the guard; thresholds and prices do not change."""
    u, n, n_more, steepest = user.u, user.n, user.n_more, user.steepest
    if scale_down(n, n_more, rules, work) > _LOST or not arrived:
        fill_up(user, rules, local, work)
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
