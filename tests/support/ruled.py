"""Users under rules of every kind, and what their best slates are worth: by linear and quadratic programs.

Written from what the fields of `kernels/rules.py` say, row by row; nothing of the kernels is used.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from pairs import Data, make
from scipy.optimize import linprog

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.rules.rules import Rules

Array = np.ndarray[Any, Any]

# of the nine classes of `make`; every category of ARTIST lies in one of GENRE or in none
ARTIST = [0, 0, 1, 1, 2, 2, 3, -1, -1]
GENRE = [0, 0, 0, 0, 1, 1, -1, 1, -1]
LABEL = [0] * 9
NOBODY = [-1] * 9
MOODS = [[0, 1], [1], [], [2], [0, 2], [1, 2], [], [0], [2, 1]]  # cross those above and each other

FALLING = [0.0, 0.125, 0.5]
COSTLY = [0.25, 0.25, 0.5, 1.0]


@dataclass(frozen=True)
class Spec:
    """Rules in short: chains of (categories by class, cap) with the staircase of one of them."""

    chain: tuple[tuple[list[int], int], ...] = ()
    stair: int = -1
    steps: tuple[float, ...] = ()
    further: tuple[tuple[float, ...], ...] = ()  # the stairs of each mood
    least: int = 0
    keep: float | None = None
    sizes: int | None = None  # sizes of 0 up to this one; else 3 for everyone
    weights: bool = False


SPECS = {
    "plain": Spec(),
    "sizes": Spec(sizes=4),
    "one": Spec(((ARTIST, 1),)),
    "nested": Spec(((ARTIST, 1), (GENRE, 2))),
    "three, the coarsest binds": Spec(((ARTIST, 3), (GENRE, 1), (LABEL, 2))),
    "diminishing": Spec(((GENRE, 3),), 0, tuple(FALLING)),
    "diminishing, finer": Spec(((ARTIST, 1), (GENRE, 4)), 1, tuple(COSTLY), weights=True),
    "diminishing, finer and coarser": Spec(((ARTIST, 2), (GENRE, 3), (LABEL, 2)), 1, tuple(FALLING), sizes=5),
    "diminishing, coarser": Spec(((ARTIST, 3), (GENRE, 2)), 0, tuple(FALLING), weights=True),
    "at least": Spec(least=2, sizes=4),
    "at least, nested": Spec(((ARTIST, 1), (GENRE, 2)), least=3),
    "at least, diminishing": Spec(((ARTIST, 2), (GENRE, 4)), 1, tuple(COSTLY), least=2),
    "crossing": Spec(further=((0.0,), (0.0, 0.0), (0.0,))),
    "crossing, nested": Spec(((ARTIST, 1), (GENRE, 2)), further=((0.0,), (0.0,), (0.0, 0.0)), sizes=5),
    "crossing staircases": Spec(((GENRE, 3),), 0, tuple(FALLING), further=((0.0, 0.25), (0.125,), (0.0, 0.0, 0.5))),
    "keep": Spec(keep=0.9),
    "keep all, sizes": Spec(keep=1.0, sizes=4),
    "keep, nested": Spec(((ARTIST, 1), (GENRE, 2)), keep=0.95),
    "keep, diminishing": Spec(((ARTIST, 2), (GENRE, 3)), 1, tuple(FALLING), keep=0.8, weights=True),
    "keep, at least": Spec(((GENRE, 2),), least=2, keep=0.9),
    "keep, crossing": Spec(((ARTIST, 1),), further=((0.0,), (0.0, 0.25), (0.0,)), keep=0.9),
    # steps of staircases that cost hundreds of times as much as scores, which a guard can force
    "keep, crossing, costly": Spec(((ARTIST, 1),), further=((0.0, 300.0), (0.0, 300.0, 600.0), (0.0, 3.0)), keep=0.97),
    "none has a category": Spec(((NOBODY, 1),)),
    "larger than any": Spec(((ARTIST, 99), (GENRE, 99))),
}
FREE = ("none has a category", "larger than any")
WHOLE = [name for name, spec in SPECS.items() if not spec.further and spec.keep is None]  # best slates are whole ones


DATA = {
    name: make(seed, n_extra, n_segments, ties, np.uint32)
    for name, (seed, n_extra, n_segments, ties) in {
        "exposure alone": (1, 0, 1, False),
        "ties": (2, 0, 3, True),
        "columns": (4, 3, 2, False),
    }.items()
}


def _free(spec: Spec, k: int) -> int:
    """Items of one category of a chain's part that cost nothing."""
    most = spec.chain[k][1]
    return sum(step == 0.0 for step in spec.steps[:most]) if k == spec.stair else most


@cache
def case(data_name: str, name: str) -> tuple[Data, Rules]:
    """The pairs and the rules of a name, with what users must show and keep worked out by linear programming."""
    data, spec = DATA[data_name], SPECS[name]
    rng, n_users = np.random.default_rng(11), DATA[data_name].n_users
    start, of, stairs = np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 2))
    if spec.further:
        start = np.concatenate([[0], np.cumsum([len(moods) for moods in MOODS])]).astype(np.int64)
        of = np.array(list(itertools.chain(*MOODS)), np.int32)
        longest = max(len(steps) for steps in spec.further) + 1
        stairs = np.array([[*steps, *[np.inf] * (longest - len(steps))] for steps in spec.further])
    chain = np.array([part for part, _ in spec.chain], np.int32).reshape(len(spec.chain), data.n_classes)
    rules = Rules(
        size=np.full(n_users, 3) if spec.sizes is None else rng.integers(0, spec.sizes + 1, n_users),
        least=np.zeros(n_users, np.int64),
        weight=rng.choice([0.5, 1.0, 2.0], n_users) if spec.weights else np.ones(n_users),
        of=chain,
        most=np.array([most for _, most in spec.chain], np.int64),
        free=np.array([_free(spec, k) for k in range(len(spec.chain))], np.int64),
        n=int(chain.max(initial=-1)) + 1,
        stair=spec.stair,
        steps=np.array([*(spec.steps or (0.0,)), np.inf]),
        start=start,
        further=of,
        staircase=stairs,
        guard=readonly(np.empty(0)),
        target=np.empty(0),
    )
    free = without_decrements(rules)
    if spec.least:
        most = Users(data, free).each(np.ones(data.of.size))
        rules = rules._replace(least=np.minimum(np.minimum(spec.least, rules.size), (most + 1e-6).astype(np.int64)))
    if spec.keep is not None:
        guard = rng.uniform(0.0, 1.0, data.of.size)
        free = free._replace(least=rules.least)
        target = spec.keep * Users(data, free).each(guard)
        rules = rules._replace(guard=readonly(guard), target=target * (1.0 - 1e-12))
    return data, rules


def without_decrements(rules: Rules) -> Rules:
    """The same caps where every item of a category is worth as much as the first."""
    flat = [np.where(np.isfinite(steps), 0.0, np.inf) for steps in (rules.steps, rules.staircase)]
    return rules._replace(steps=flat[0], staircase=flat[1])


class Users:
    """All users' slates as one polyhedron: `lower <= rows @ (x, y) <= upper`, 0 <= (x, y) <= 1, y at its `cost`.

    y are the steps of staircases, one variable for each.
    """

    def __init__(self, data: Data, rules: Rules) -> None:
        self.data = data
        parts = [self._user(data, rules, u, mine) for u, mine in enumerate(data.users())]
        self.rows = sp.csr_array(sp.hstack([sp.block_diag([p[k] for p in parts], format="csr") for k in (0, 1)]))
        self.rows.eliminate_zeros()
        self.lower, self.upper, self.cost = (np.concatenate([p[k] for p in parts]) for k in (2, 3, 4))
        self.user_of_step = np.repeat(np.arange(data.n_users), [p[4].size for p in parts])

    @staticmethod
    def _user(data: Data, rules: Rules, u: int, mine: Array) -> tuple[Any, Any, Array, Array, Array]:
        code, weight = data.pairs.code[mine].astype(int), rules.weight[u]
        groups: list[tuple[Array, Array]] = []  # (members, steps)
        for k in range(rules.most.size):
            category = rules.of[k][code]
            steps = rules.steps[np.isfinite(rules.steps)] if k == rules.stair else np.zeros(rules.most[k])
            groups += [(category == label, steps) for label in np.unique(category[category >= 0])]
        for mood, stairs in enumerate(rules.staircase):
            has = np.array([mood in rules.further[rules.start[c] : rules.start[c + 1]] for c in code], bool)
            groups.append((has, stairs[np.isfinite(stairs)]))
        rows, lower, upper = [np.ones(mine.size)], [float(rules.least[u])], [float(rules.size[u])]
        steps_of, cost = [0], []
        for members, steps in groups:
            rows.append(members.astype(float))
            lower.append(-np.inf)
            upper.append(0.0)
            steps_of.append(steps.size)
            cost += (weight * steps).tolist()
        if rules.target.size:
            rows.append(rules.guard[mine])
            lower.append(rules.target[u])
            upper.append(np.inf)
            steps_of.append(0)
        owner = np.repeat(np.arange(len(rows)), steps_of)
        stairs = np.zeros((len(rows), owner.size))
        stairs[owner, np.arange(owner.size)] = -1.0
        return np.array(rows).reshape(len(rows), mine.size), stairs, np.array(lower), np.array(upper), np.array(cost)

    def solve(self, s: Array, low: Array | float = 0.0, high: Array | float = 1.0) -> tuple[float, Array, Array]:
        """(value, x, value of each user) of the best slates for scores s, each x within its range."""
        n, n_steps = s.size, self.cost.size
        bounds = np.column_stack([np.zeros(n + n_steps), np.ones(n + n_steps)])
        bounds[:n, 0], bounds[:n, 1] = low, high
        has, needs = np.isfinite(self.upper), np.isfinite(self.lower)
        rows = sp.vstack([self.rows[has], -self.rows[needs]], format="csr")
        limit = np.concatenate([self.upper[has], -self.lower[needs]])
        result = linprog(
            np.concatenate([-s, self.cost]), rows, limit, bounds=bounds, method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )  # fmt: skip
        assert result.status == 0, result.message
        x, y = result.x[:n], result.x[n:]
        each = np.bincount(self.data.of, s * x, self.data.n_users)
        return float(-result.fun), x, each - np.bincount(self.user_of_step, self.cost * y, self.data.n_users)

    def each(self, s: Array) -> Array:
        """(n_users,) the value of everyone's best slate for scores s."""
        return self.solve(s)[2]

    def paid(self, x: Array) -> float:
        """What decrements take from slates: steps are climbed one after the other."""
        mass = self.rows[:, : x.size] @ x
        row = self.rows[:, x.size :].tocsc().indices  # every step is in one row
        rank = np.arange(row.size) - np.searchsorted(row, row)
        return float(self.cost @ np.clip(mass[row] - rank, 0.0, 1.0))

    def smoothed(self, s: Array, gamma: float) -> tuple[float, Array]:
        """(value, x) of the smoothed best slates, by a quadratic program."""
        import cvxpy as cp

        x, y = cp.Variable(s.size), cp.Variable(max(1, self.cost.size))
        cost = np.zeros(y.size) if not self.cost.size else self.cost
        used = self.rows[:, : s.size] @ x
        if self.cost.size:
            used = used + self.rows[:, s.size :] @ y
        has, needs = np.isfinite(self.upper), np.isfinite(self.lower)
        constraints = [x >= 0, x <= 1, y >= 0, y <= 1, used[has] <= self.upper[has], used[needs] >= self.lower[needs]]
        problem = cp.Problem(cp.Maximize(s @ x - cost @ y - gamma / 2 * cp.sum_squares(x)), constraints)
        problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
        return float(problem.value), np.asarray(x.value)


def best_whole(data: Data, rules: Rules, u: int, mine: Array, s: Array) -> float:
    """The value of a user's best whole slate, by trying every subset."""
    code = data.pairs.code[mine].astype(int)
    subsets = (np.arange(1 << mine.size)[:, None] >> np.arange(mine.size)) & 1
    size = subsets.sum(axis=1)
    worth = np.where((size <= rules.size[u]) & (size >= rules.least[u]), subsets @ s[mine], -np.inf)
    for k in range(rules.most.size):
        category = rules.of[k][code]
        stairs = rules.steps[:-1] if k == rules.stair else np.zeros(rules.most[k])
        costs = np.concatenate([[0.0], np.cumsum(rules.weight[u] * stairs), np.full(mine.size, np.inf)])
        for label in np.unique(category[category >= 0]):
            worth = worth - costs[subsets @ (category == label)]
    return float(worth.max())
