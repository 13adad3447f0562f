"""The slates' part of a linear program over undecided pairs: rows of slates and categories, columns of decrements.

A row stands for every slate, category of a slate, and guard that the open pairs of a user could break. Decrements that
are the same for all open pairs of a category are taken from their values; where they differ, the category has a row
and its open steps have columns, which fill in order because they never get cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.csr import spans
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import LoweredRules, System


@dataclass(frozen=True, eq=False)
class SlateRows:
    """Rows `lower <= matrix @ x - steps @ y <= upper` over open pairs x and steps y in [0, width], each at its cost.

    `names` and `step_names` ascend, and name the same row or step independently of which pairs are open. The first
    `n_sizes` rows are those of slates' sizes, and the last `n_guards` those of guards: no pair is in two of either.
    """

    names: Ints
    n_sizes: int
    n_guards: int
    matrix: sp.csr_array  # (n_rows, n_open)
    lower: Floats
    upper: Floats
    decrement: Floats  # (n_open,) the decrement that applies to a pair in any case
    step_names: Ints
    steps: sp.csr_array  # (n_rows, n_steps)
    width: Floats
    cost: Floats

    def lower_of(self, rules: LoweredRules, target: Floats) -> Floats:
        """`lower` where users keep another `target` than that of the rules; both (n_users,)."""
        out = self.lower.copy()
        guards = slice(out.size - self.n_guards, out.size)
        users = self.names[guards] % rules.size.size  # every kind of rows has a multiple of n_users numbers
        out[guards] += (target - rules.target)[users]
        return out


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of one kind, by number; entries say which pair is in which row, with which coefficient."""

    name: Ints
    lower: Floats
    upper: Floats
    row: Ints
    pair: Ints
    coefficient: Floats
    step_name: Ints
    step_row: Ints
    width: Floats
    cost: Floats


def slate_rows(program: Program, undecided: PairView, shown: PairView) -> SlateRows:
    """The rows and columns for the `undecided` pairs, given that those in `shown` are in."""
    decrement = np.zeros(undecided.size)
    rules = program.rules
    if rules is None:
        size, none = (np.broadcast_to(np.int64(n), program.n_users) for n in (program.size, 0))
        kinds = [_sizes(undecided.users, shown.users, size, none)]
    else:
        kinds = [_sizes(undecided.users, shown.users, rules.size, rules.min_size)]
        first, first_step = program.n_users, 0
        for system in rules.systems:
            rows = _categories(rules, system, undecided, shown, decrement)
            kinds.append(_moved(rows, first, first_step))
            first += program.n_users * system.n
            first_step += program.n_users * system.n * (system.max_count + 1)
        if rules.target.size:
            kinds.append(_moved(_guards(rules, undecided, shown), first, 0))
    offset = np.cumsum([0, *(kind.name.size for kind in kinds)])
    n_rows = int(offset[-1])
    row = np.concatenate([kind.row + o for kind, o in zip(kinds, offset[:-1], strict=True)])
    pair, coefficient = (np.concatenate([getattr(kind, part) for kind in kinds]) for part in ("pair", "coefficient"))
    step_row = np.concatenate([kind.step_row + o for kind, o in zip(kinds, offset[:-1], strict=True)])
    n_steps = step_row.size
    return SlateRows(
        names=np.concatenate([kind.name for kind in kinds]),
        n_sizes=kinds[0].name.size,
        n_guards=0 if rules is None or not rules.target.size else kinds[-1].name.size,
        matrix=sp.csr_array((coefficient, (row, pair)), shape=(n_rows, undecided.size)),
        lower=np.concatenate([kind.lower for kind in kinds]),
        upper=np.concatenate([kind.upper for kind in kinds]),
        decrement=decrement,
        step_names=np.concatenate([kind.step_name for kind in kinds]),
        steps=sp.csr_array((np.ones(n_steps), (step_row, np.arange(n_steps))), shape=(n_rows, n_steps)),
        width=np.concatenate([kind.width for kind in kinds]),
        cost=np.concatenate([kind.cost for kind in kinds]),
    )


def _moved(rows: _Rows, first: int, first_step: int) -> _Rows:
    """The same rows with shifted names, so that no two kinds share a name."""
    return _Rows(
        rows.name + first, rows.lower, rows.upper, rows.row, rows.pair, rows.coefficient,
        rows.step_name + first_step, rows.step_row, rows.width, rows.cost,
    )  # fmt: skip


def _plain(name: Ints, lower: Floats, upper: Floats, row: Ints, pair: Ints, of: Floats) -> _Rows:
    none, empty = np.empty(0, np.int64), np.empty(0)
    return _Rows(name, lower, upper, row, pair, of, none, none, empty, empty)


def _sizes(users: Ints, users_shown: Ints, size: Ints, min_size: Ints) -> _Rows:
    which, inverse, count = np.unique(users, return_inverse=True, return_counts=True)
    already = _counts_at(which, users_shown)
    room, missing = size[which] - already, min_size[which] - already
    tight = (count > room) | (missing > 0)
    number = np.cumsum(tight) - 1
    inside = np.flatnonzero(tight[inverse])
    lower = np.where(missing > 0, missing, -np.inf)[tight]
    return _plain(
        which[tight], lower, room[tight].astype(np.float64), number[inverse[inside]], inside, np.ones(inside.size)
    )


def _categories(rules: LoweredRules, system: System, undecided: PairView, shown: PairView, decrement: Floats) -> _Rows:
    """Rows of one system; adds to `decrement` what the next step of a pair's categories costs."""
    entry, category = system.members(undecided.code)
    entry_shown, category_shown = system.members(shown.code)
    group = undecided.users[entry] * system.n + category
    which, inverse, count = np.unique(group, return_inverse=True, return_counts=True)
    full = np.minimum(_counts_at(which, shown.users[entry_shown] * system.n + category_shown), system.max_count)
    room = system.max_count - full
    open_ = np.minimum(count, room)
    weight = rules.weight[which // system.n]
    next_ = system.steps[np.minimum(full, system.max_count - 1)] * weight
    last = system.steps[np.clip(full + open_ - 1, 0, system.max_count - 1)] * weight
    np.add.at(decrement, entry, next_[inverse])
    stairs = last > next_
    tight = (count > room) | stairs
    number = np.cumsum(tight) - 1
    inside = tight[inverse]
    upper = room.astype(np.float64)
    # steps that cost more than the next one, for the categories that can get there
    of = np.flatnonzero(stairs)
    step = spans(full[of], open_[of])
    of = np.repeat(of, open_[of])
    cost = system.steps[step] * weight[of] - next_[of]
    upper[stairs] = np.bincount(of[cost <= 0.0], minlength=which.size)[stairs]  # these cost what `decrement` has
    costly = cost > 0.0
    of, step, cost = of[costly], step[costly], cost[costly]
    return _Rows(
        which[tight], np.full(int(tight.sum()), -np.inf), upper[tight], number[inverse[inside]], entry[inside],
        np.ones(int(inside.sum())), which[of] * (system.max_count + 1) + step, number[of], np.ones(of.size), cost,
    )  # fmt: skip


def _guards(rules: LoweredRules, undecided: PairView, shown: PairView) -> _Rows:
    which, inverse = np.unique(undecided.users, return_inverse=True)
    column = undecided.guard
    order = np.argsort(shown.users, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(shown.guard[order], dtype=np.float64)])
    ordered = shown.users[order]
    already = below[np.searchsorted(ordered, which, "right")] - below[np.searchsorted(ordered, which, "left")]
    missing = rules.target[which] - already
    tight = missing > np.bincount(inverse, np.minimum(column, 0.0), which.size)
    number = np.cumsum(tight) - 1
    inside = np.flatnonzero(tight[inverse])
    return _plain(
        which[tight], missing[tight], np.full(int(tight.sum()), np.inf), number[inverse[inside]], inside, column[inside]
    )


def _counts_at(which: Ints, groups: Ints) -> Ints:
    """Number of `groups` equal to each of the ascending `which`."""
    ordered = np.sort(groups)
    return np.searchsorted(ordered, which, side="right") - np.searchsorted(ordered, which, side="left")
