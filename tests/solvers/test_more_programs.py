"""Classes of random programs that `fuzz_programs.py` does not draw, judged by a linear program in numbers near 1.

Groups of one constraint in units of their own; guards on columns of 1e-9; rules that cross, with many candidates;
users of next to no supply; amounts delivered beyond the cap; `start=` from another problem; and time limits of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from effort import full_only
from scipy.optimize import linprog

import oasis_alloc as oa
from oasis_alloc.errors import SolverError

Array = np.ndarray[Any, Any]
GROUPS = ("a", "b", "c")


@dataclass(frozen=True, eq=False)
class Case:
    """A problem, and the same one as a linear program: columns are pairs, rows are in numbers near 1."""

    problem: oa.Problem
    value: Array
    rows: Array  # (m, n_pairs)
    most: Array  # (m,)

    def judge(self) -> float | None:
        """The optimum; None where there is no allocation, and NaN where it is too close to call."""
        options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        loose = linprog(-self.value, self.rows, self.most + 2e-6, bounds=(0.0, 1.0), options=options)
        tight = linprog(-self.value, self.rows, self.most, bounds=(0.0, 1.0), options=options)
        if loose.status == 2:
            return None
        return float(-tight.fun) if tight.status == 0 else float("nan")


def drawn(seed: int) -> Case:
    rng = np.random.default_rng([seed, 411])
    many = rng.random() < 0.2
    n_users, n_items = (2, 400) if many else (int(rng.integers(1, 25)), int(rng.integers(3, 12)))
    n = n_users * n_items
    user, item = np.repeat(np.arange(n_users), n_items), np.tile(np.arange(n_items), n_users)
    group, artist = rng.integers(0, 3, n_items), rng.integers(0, 4, n_items)
    group[:3] = np.arange(3)
    value, guard, spent = rng.random(n), rng.random(n), rng.random(n)
    supply = np.ones(n_users)
    if rng.random() < 0.4:
        supply = np.where(rng.random(n_users) < 0.4, 1e-12, rng.uniform(0.5, 2.0, n_users))
    size = int(rng.integers(1, 4))
    rules: dict[str, Any] = {}
    if rng.random() < 0.5:
        rules["at_most"] = {"artist": 1, "group": max(1, size - 1)}
    unit_of_group = 10.0 ** rng.integers(-9, 10, 3)
    guard_unit = float(rng.choice([1.0, 1e-9]))
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n_items,
        item,
        {"value": value, "guard": guard * guard_unit, "spent": spent * unit_of_group[group[item]]},
        items={"group": [GROUPS[g] for g in group], "artist": artist},
    )
    counted = supply[user]
    rows, most = [(user == u).astype(float) for u in range(n_users)], [float(size)] * n_users
    for u in range(n_users):
        for key, cap in rules.get("at_most", {}).items():
            for one in np.unique(label := artist if key == "artist" else group):
                rows.append(((user == u) & (label[item] == one)).astype(float))
                most.append(float(cap))
    share = rng.choice([0.02, 0.1, 0.5], 3)
    caps = share * np.bincount(group[item], spent * counted, 3)
    delivered = np.zeros(3) if rng.random() < 0.6 else caps * rng.choice([0.0, 0.5, 1.7], 3)
    total = oa.total("spent", by="group").delivered_so_far(delivered * unit_of_group)
    stated = (total <= dict(zip(GROUPS, caps * unit_of_group, strict=True))).named("budgets")
    constraints = [stated]
    for g in range(3):
        size_of_row = caps[g] or 1.0
        rows.append((group[item] == g) * spent * counted / size_of_row)
        most.append(max(caps[g] - delivered[g], 0.0 if delivered[g] > caps[g] else -np.inf) / size_of_row)
    if rng.random() < 0.7:
        best = sum(np.sort(guard[user == u])[-size:].sum() * supply[u] for u in range(n_users))
        least = float(rng.choice([0.1, 0.4, 0.9])) * best
        constraints.append((oa.total("guard") >= least * guard_unit).named("guard"))
        rows.append(-guard * counted / least)
        most.append(-1.0)
    problem = oa.Problem(candidates, oa.total("value"), constraints, oa.Slate(size, **rules), supply)
    return Case(problem, value * counted, np.array(rows), np.array(most))


def check(case: Case, solution: oa.Solution, best: float | None) -> None:
    if best is not None and np.isnan(best):
        return
    if best is None:
        assert solution.status is oa.Status.INFEASIBLE
        return
    assert solution.status is oa.Status.SOLVED, (solution.status, solution.gap, solution.violation)
    x = solution.allocation
    assert (case.rows @ x <= case.most + 1.1e-6 * np.maximum(1.0, np.abs(case.rows) @ x)).all()
    assert solution.bound >= best * (1 - 1e-9)
    assert solution.value <= best * (1 + 1e-5) + 1e-9
    assert solution.value >= best * (1 - 2e-6) - 1e-9


SEEDS = [*range(12), *full_only(*range(12, 150))]


@pytest.mark.few(4)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_verdict_is_that_of_a_linear_program(seed: int) -> None:
    case = drawn(seed)
    best = case.judge()
    solution = oa.solve(case.problem, gap=1e-6, threads=1)
    check(case, solution, best)


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", SEEDS[:6] + SEEDS[20:60])
def test_a_start_from_another_problem_changes_no_verdict(seed: int) -> None:
    case, other = drawn(seed), drawn(seed + 1)
    best = case.judge()
    before = oa.solve(other.problem, gap=1e-4, threads=1)
    if before.status is oa.Status.SOLVED:
        check(case, oa.solve(case.problem, gap=1e-6, threads=1, start=before), best)


@pytest.mark.parametrize("limit", [1e-9, 1e-3])
@pytest.mark.parametrize("seed", [0, 1, 3, *full_only(*range(4, 20))])
def test_a_time_limit_of_nothing_has_a_certificate_all_the_same(seed: int, limit: float) -> None:
    case = drawn(seed)
    best = case.judge()
    solution = oa.solve(case.problem, gap=1e-6, threads=1, time_limit=limit)
    if best is None or np.isnan(best) or solution.status is oa.Status.SOLVED:
        return
    assert solution.status is oa.Status.TIME_LIMIT
    assert solution.bound >= best * (1 - 1e-9)
    with pytest.raises(SolverError, match="unproven"):
        solution.policy()
