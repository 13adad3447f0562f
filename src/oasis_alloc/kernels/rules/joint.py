"""Finds the prices of several further categories, and of a guard, jointly.

The dual of a user's smoothed problem is convex and, but for corners of staircases, once differentiable in these prices.
Newton steps use the chain's own projection as Hessian. Each is clipped at the next corner and shortened until the dual
decreases. The smoothing is reduced step by step to the requested one: with very small smoothing the dual is nearly
piecewise linear, and steps from far away would get stuck.

A guard may force steps of staircases that cost hundreds of times as much as all scores, and its price is then as large.
With the smoothing of the scores, Newton steps then zigzag between slates with and without a candidate, so the smoothing
is first increased until they converge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.rules.guard import chain_at
from oasis_alloc.kernels.rules.many_prices import newton_many
from oasis_alloc.kernels.rules.rules import Local, Rules, User, Work
from oasis_alloc.kernels.rules.stairs import smoothed_gain

Floats = npt.NDArray[np.float64]

_STEPS = 40  # at one smoothing
_WARM_STEPS = 12  # from the prices of the last visit
_HALVINGS = 50
_CLOSE = 1e-10  # of a mass or a target
_LONGEST = 4.0  # first step, in largest scores; then in smoothings of the last level
_GROWS = 8.0  # from a step as long as it may be to the next
_FIRST = 0.1  # first smoothing, in largest scores
_DIVIDE = 10.0
_RAISE = 30.0  # the first smoothing, where steps at it did not arrive
_RAISES = 6
_ARRIVED = 1e-6  # of a mass or a target
_WARM_ARRIVED = 1e-9  # the same from the prices of the last visit
_ROUNDING = 2e-15  # of the largest mixed score, over the smoothing: what x can be known to, as in guard.py
_SPACING = 2e-16  # of the same: what a threshold can be known to
_KEPT = 2e-9  # of a target: more than has to be kept by a rounding of it
_IDLE = 1e-7  # of the dual: what such roundings may be worth at the price of the guard
_NEAR = 1e-11  # of the longest step: a price is at a corner
_ROWS = 4  # of the scratch of many_prices.py
_CAUTION = 8.0  # more of damping after a step that had to be shortened


@jit(allocates=False)
def full_steps(stairs: Floats, weight: float, omega: float) -> int:
    """Steps below a price, which are taken as a whole."""
    full = 0
    while stairs[full] * weight < omega:
        full += 1
    return full


@jit(inline=True, allocates=False)
def further_cost(n_more: int, weight: float, rules: Rules, work: Work) -> float:
    """What the prices of the further categories add to the dual."""
    cost = 0.0
    for which in range(n_more):
        stairs = rules.staircase[work.which[which]]
        step = 0
        while stairs[step] * weight < work.omega[which]:
            cost += work.omega[which] - stairs[step] * weight
            step += 1
    return cost


@jit(allocates=False)
def _dual(
    user: User, gamma: float, nu: float, start: float, rules: Rules, local: Local, work: Work
) -> tuple[float, float, float]:
    """Solve the chain at prices: (smoothed dual value, threshold, cost of the chain)."""
    t, cost = chain_at(user, gamma, nu, start, rules, local, work)
    value = cost + further_cost(user.n_more, rules.weight[user.u], rules, work)
    if nu > 0.0:
        value -= nu * rules.target[user.u]
    for i in range(user.n):
        value += smoothed_gain(work.c[i] - work.top[i], gamma)
    return value, t, cost


@jit(allocates=False)
def _gradient(user: User, nu: float, idle: float, rules: Rules, work: Work, slope: Floats) -> float:
    """Write the slope of the dual in each price, the guard's last, 0 where a corner holds it; returns the largest.

    A guard that is kept by a rounding more than it has to be counts as met where that is worth no more than `idle`.
    """
    u, n, n_more, steepest = user.u, user.n, user.n_more, user.steepest
    for which in range(n_more + 1):
        slope[which] = 0.0
    for i in range(n):
        j = 0
        while work.more[i, j] >= 0:
            slope[work.more[i, j]] -= work.x[i]
            j += 1
    worst = 0.0
    for which in range(n_more):
        stairs = rules.staircase[work.which[which]]
        full = full_steps(stairs, rules.weight[u], work.omega[which])
        part = full
        while stairs[part] * rules.weight[u] == work.omega[which]:
            part += 1
        mass = -slope[which]
        slope[which] = part - mass if mass > part else (full - mass if mass < full else 0.0)
        worst = max(worst, abs(slope[which]))
    if rules.target.size > 0:
        total = 0.0
        for i in range(n):
            total += work.r[i] * work.x[i]
        short = total - rules.target[u]
        slope[n_more] = short if nu > 0.0 else min(short, 0.0)
        size = max(1e-3 * steepest, abs(rules.target[u]))
        if not (0.0 < short <= _KEPT * size and nu * short <= idle):
            worst = max(worst, abs(slope[n_more]) / size)
    return worst


@jit(allocates=False)
def _mixed(n: int, nu: float, guarded: bool, work: Work) -> tuple[int, float]:
    """(number of candidates that are neither in nor out, the largest number that their x is a difference of)."""
    mixed = n - n
    size = 0.0
    for i in range(n):
        if 0.0 < work.x[i] < 1.0:
            mixed += 1
            size = max(size, abs(work.given[i]) + (nu * abs(work.r[i]) if guarded else 0.0))
    return mixed, size


class _System(NamedTuple):
    """The equations of one Newton step: what is known of each price, and scratch."""

    free: npt.NDArray[np.int64]  # (n_more + 1,) prices that move
    slope: Floats  # (n_more + 1,) of the dual, the guard's last
    step: Floats  # (n_more + 1,) the step of each free price
    place: npt.NDArray[np.int64]  # (n_more + 1,) scratch of steps of more than rules.FREE prices, else empty
    scratch: Floats  # (4, n_more + 1) the same


@jit(allocates=False)
def _newton(user: User, gamma: float, damping: float, n_free: int, system: _System, work: Work) -> None:
    """Write the damped Newton step of the free prices into step; the guard's is found in units of 1 / steepest."""
    n, n_more, steepest = user.n, user.n_more, user.steepest
    free, slope, step, _, _ = system
    columns, matrix = work.columns, work.matrix
    if n_free > columns.shape[1]:
        newton_many(user, gamma, damping, n_free, free, slope, system.place, system.scratch, step, work)
        return
    for i in range(n):
        for k in range(n_free):
            columns[i, k] = 0.0
        if not (0.0 < work.x[i] < 1.0):
            continue
        for k in range(n_free):
            if free[k] == n_more:
                columns[i, k] = -work.r[i] / steepest
        j = 0
        while work.more[i, j] >= 0:
            for k in range(n_free):
                if free[k] == work.more[i, j]:
                    columns[i, k] = 1.0
            j += 1
    nodes = 0
    for i in range(n):
        if 0.0 < work.x[i] < 1.0:
            nodes = max(nodes, work.owner[i] + 1)
    for k in range(n_free):  # what a rule of the chain holds moves by its mean
        for node in range(nodes):
            work.held[node] = 0.0
            work.sums[node] = 0.0
        for i in range(n):
            if 0.0 < work.x[i] < 1.0 and work.owner[i] >= 0:
                work.held[work.owner[i]] += 1.0
                work.sums[work.owner[i]] += columns[i, k]
        for i in range(n):
            if 0.0 < work.x[i] < 1.0 and work.owner[i] >= 0:
                columns[i, k] -= work.sums[work.owner[i]] / work.held[work.owner[i]]
    trace = 0.0
    for k in range(n_free):
        for j in range(k + 1):
            total = 0.0
            for i in range(n):
                total += columns[i, k] * columns[i, j]
            matrix[k, j] = total
        trace += matrix[k, k]
    for k in range(n_free):
        matrix[k, k] += 1e-12 * trace + damping
    for k in range(n_free):  # Cholesky, in place
        for j in range(k + 1):
            total = matrix[k, j]
            for i in range(j):
                total -= matrix[k, i] * matrix[j, i]
            matrix[k, j] = np.sqrt(max(total, 1e-18)) if k == j else total / matrix[j, j]
    for k in range(n_free):
        total = -gamma * slope[free[k]] / (steepest if free[k] == n_more else 1.0)
        for i in range(k):
            total -= matrix[k, i] * step[i]
        step[k] = total / matrix[k, k]
    for k in range(n_free - 1, -1, -1):
        total = step[k]
        for i in range(k + 1, n_free):
            total -= matrix[i, k] * step[i]
        step[k] = total / matrix[k, k]
    for k in range(n_free):
        if free[k] == n_more:
            step[k] /= steepest


@jit(allocates=False)
def _room(stairs: Floats, weight: float, omega: float, slope: float) -> tuple[float, float]:
    """(least, most) that a price may become in one step: no further than the next corners, from a corner downhill."""
    full = full_steps(stairs, weight, omega)
    part = full
    while stairs[part] * weight == omega:
        part += 1
    least = stairs[full - 1] * weight if full > 0 else 0.0
    most = stairs[part] * weight
    if part > full:
        if slope < 0.0:
            least = omega
        elif slope > 0.0:
            most = omega
    return least, most


@jit
def solve_joint(
    user: User, start: float, start_nu: float, warm: bool, rules: Rules, local: Local, work: Work
) -> tuple[float, float, float, bool]:
    """Leave the chain at the best prices; returns (nu, threshold, cost of the chain, whether the search arrived).

    `warm` says that start_nu and work.omega are good prices to start from; without it all start at 0, as work.omega is.
    """
    n = user.n_more + 1
    many = n if n > work.columns.shape[1] else 0
    place, scratch = np.empty(many, np.int64), np.empty((_ROWS, many))
    system = _System(np.zeros(n, np.int64), np.zeros(n), np.zeros(n), place, scratch)
    return _solve(user, start, start_nu, warm, rules, local, work, system, np.zeros(n))


@jit(allocates=False)
def _solve(
    user: User, start: float, start_nu: float, warm: bool, rules: Rules, local: Local, work: Work, system: _System,
    before: Floats,
) -> tuple[float, float, float, bool]:  # fmt: skip
    """As solve_joint, whose arrays are here; `before` (n_more + 1,) are the prices of the last step."""
    u, n, n_more, gamma, steepest = user.u, user.n, user.n_more, user.gamma, user.steepest
    weight = rules.weight[u]
    free, slope, step, _, _ = system
    largest = 0.0
    for i in range(n):
        largest = max(largest, work.given[i])
    now = gamma if warm else max(gamma, _FIRST * largest)
    raises = 0 if warm else _RAISES
    nu = start_nu if warm else 0.0  # like the other prices: far off, all candidates are in or out and nothing bends
    t = start
    cost = 0.0
    worst = np.inf
    while True:
        value, t, cost = _dual(user, now, nu, t, rules, local, work)
        near = _NEAR * _LONGEST * (largest + now)
        farthest = _LONGEST * (largest + now if raises > 0 else _DIVIDE * now)
        caution = 1.0
        worst = np.inf
        told = False
        for _ in range(_WARM_STEPS if warm else _STEPS):
            idle = _IDLE * (largest + abs(value))
            mixed, size = _mixed(n, nu, rules.target.size > 0, work)
            worst = _gradient(user, nu, 0.0 * idle if mixed > 0 else idle, rules, work, slope)
            if worst <= _CLOSE:
                break
            # whole slates are known exactly, and the mass of many that are mixed only to the roundings of a threshold
            rounding = size / now
            kept = mixed > 0 and nu * abs(slope[n_more]) <= idle
            told = kept and worst <= min(_SPACING * mixed * rounding, _ARRIVED)
            if told or (kept and worst <= _ROUNDING * rounding):
                break
            n_free = not_literal(0)
            for which in range(n_more + 1):
                if which == n_more:
                    moves = rules.target.size > 0 and (nu > 0.0 or slope[which] != 0.0)
                else:
                    omega = work.omega[which]
                    stairs = rules.staircase[work.which[which]]
                    moves = slope[which] != 0.0 or stairs[full_steps(stairs, weight, omega)] * weight != omega
                if moves:
                    free[n_free] = which
                    n_free += 1
            if n_free == 0:
                break
            # where the dual does not bend its slope alone decides, and damping by the slope how far the step goes
            damping = 0.0
            for k in range(n_free):
                damping = max(damping, abs(slope[free[k]]) / (steepest if free[k] == n_more else 1.0))
            damping *= caution * now / farthest
            while True:
                _newton(user, now, damping, n_free, system, work)
                left = 0  # without prices that are as good as at the corner they would go to: there they stay
                for k in range(n_free):
                    which = free[k]
                    if which == n_more:
                        back = step[k] < 0.0 and nu <= near / steepest
                        if back and slope[which] > 0.0:
                            nu = 0.0
                    else:
                        stairs = rules.staircase[work.which[which]]
                        least, most = _room(stairs, weight, work.omega[which], slope[which])
                        corner = least if step[k] < 0.0 else most
                        back = abs(corner - work.omega[which]) <= near
                        if back and slope[which] * step[k] < 0.0:
                            work.omega[which] = corner
                    if not back:
                        free[left] = which
                        left += 1
                if left == n_free:
                    break
                n_free = left
            if n_free == 0:
                break
            longest = 0.0  # in units of scores
            for k in range(n_free):
                longest = max(longest, abs(step[k]) * (steepest if free[k] == n_more else 1.0))
            cut = longest > 0.5 * farthest  # where nothing bends, damping has cut it
            if longest > farthest:
                for k in range(n_free):
                    step[k] *= farthest / longest
            for which in range(n_more):
                before[which] = work.omega[which]
            before[n_more] = nu
            length = 1.0
            fell = False
            for halving in range(_HALVINGS):
                promised = 0.0
                for k in range(n_free):
                    which = free[k]
                    new = before[which] + length * step[k]
                    if which == n_more:
                        nu = max(0.0, new)
                        promised += slope[which] * (nu - before[which])
                        continue
                    stairs = rules.staircase[work.which[which]]
                    least, most = _room(stairs, weight, before[which], slope[which])
                    work.omega[which] = min(max(new, least), most)
                    promised += slope[which] * (work.omega[which] - before[which])
                new_value, new_t, new_cost = _dual(user, now, nu, t, rules, local, work)
                if new_value <= value + 1e-4 * min(promised, 0.0) + 1e-15 * abs(value) and promised < 0.0:
                    fell = True
                    value, t, cost = new_value, new_t, new_cost
                    break
                length *= 0.5 if halving < 8 else 0.1
                if length < 1e-12:
                    break
            if not fell:
                for which in range(n_more):
                    work.omega[which] = before[which]
                nu = before[n_more]
                value, t, cost = _dual(user, now, nu, t, rules, local, work)
                break
            caution = max(1.0, caution / _CAUTION) if length == 1.0 else caution * _CAUTION
            if cut and length == 1.0:
                farthest *= _GROWS
        if warm and worst > _WARM_ARRIVED and not told:  # from the beginning
            warm = False
            nu = 0.0
            for which in range(n_more):
                work.omega[which] = 0.0
            now = max(gamma, _FIRST * largest)
            raises = _RAISES
            continue
        if raises > 0 and worst > _ARRIVED:
            now *= _RAISE
            raises -= 1
            continue
        raises = 0  # from here on down
        if now <= gamma:
            break
        now = max(gamma, now / _DIVIDE)
    return nu, t, cost, worst <= _ARRIVED
