"""Smoothed slates that are moved to meet caps: the kernel beside plain Python, and what has to hold afterwards."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.kernels.solve.transfer import Entries, fill, fill_best, refill, transfer
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import repair as recovery
from oasis_alloc.solvers.repair import only_caps, rebalance
from oasis_alloc.solvers.settings import DUAL

Array = npt.NDArray[Any]


def random_case(seed: int, with_column: bool) -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    """(first, cell, extra, use by cell and column, upper, totals, x) of users with one to four open pairs."""
    rng = np.random.default_rng(seed)
    n_rows, n_cells = 5, 8
    size = rng.integers(1, 5, 30)
    first = np.concatenate([[0], np.cumsum(size)])
    cell = rng.integers(0, n_cells, first[-1])
    extra = rng.uniform(0.5, 2.0, (1 if with_column else 0, first[-1]))
    use = (rng.random((1 + extra.shape[0], n_rows, n_cells)) < 0.3) * rng.choice([1.0, 0.5], (1, n_rows, 1))
    x = rng.uniform(0.05, 0.95, first[-1])
    x[rng.random(x.size) < 0.4] = 0.5  # so that some slots add up
    totals = rows_of(use, cell, extra) @ x
    return first, cell, extra, use, totals * np.where(np.arange(n_rows) % 2, 1.05, 0.95), totals, x


def rows_of(use: Array, cell: Array, extra: Array) -> Array:
    """(n_rows, n) what a unit of each pair adds to each row."""
    columns = np.vstack([np.ones(cell.size), extra])
    return np.asarray(np.einsum("krn,kn->rn", use[:, :, cell], columns))


def entries_of(use: Array) -> Entries:
    k, row, cell = np.nonzero(use)
    order = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[order], np.arange(use.shape[2] + 1))
    return Entries(start, row[order], k[order], use[k, row, cell][order])


def plain_transfer(first: Array, rows: Array, lower: Array, upper: Array, totals: Array, x: Array) -> None:
    """The kernel in plain Python, over dense columns of rows."""

    def step_for(change: Array, most: float) -> float:
        for room, part in ((upper - totals, np.maximum(change, 0.0)), (totals - lower, np.maximum(-change, 0.0))):
            with np.errstate(divide="ignore", invalid="ignore"):
                most = min(most, float(np.where(part > 0.0, np.maximum(room, 0.0) / part, np.inf).min()))
        return most

    def free(pairs: range) -> float:
        together = float(x[pairs].sum())
        return float(np.ceil(together - 1e-6)) - together

    users = [range(a, b) for a, b in itertools.pairwise(first.tolist())]
    for pairs in users:
        slack = free(pairs) > 1e-6
        for i in pairs:
            for _ in range(8):
                over = (totals > upper) & (rows[:, i] > 0.0)
                if not over.any() or x[i] <= 0.0:
                    break
                worst = int(np.flatnonzero(over)[np.argmax((totals - upper)[over] / rows[over, i])])
                excess = float((totals - upper)[worst] / rows[worst, i])
                best, most = -1, 0.0
                open_ = [j for j in pairs if j != i and x[j] < 1.0 and rows[worst, j] < rows[worst, i]]
                for j in sorted(open_, key=lambda j: -x[j]):
                    change = rows[:, j] - rows[:, i]
                    step = step_for(change, min(excess, x[i], 1.0 - x[j]))
                    if step > 1e-12:
                        best, most = j, step
                        break
                if best >= 0:
                    x[best] += most
                    totals += most * rows[:, best]
                elif slack:
                    most = step_for(-rows[:, i], min(excess, x[i]))
                x[i] -= most
                totals -= most * rows[:, i]
                if best < 0:
                    break
    for pairs in users:
        left = free(pairs)
        for i in pairs:
            if left <= 1e-6:
                break
            step = max(0.0, step_for(rows[:, i], min(left, 1.0 - x[i])))
            x[i] += step
            left -= step
            totals += step * rows[:, i]


@pytest.mark.parametrize("with_column", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_the_kernel_beside_plain_python(seed: int, with_column: bool) -> None:
    first, cell, extra, use, upper, totals, x = random_case(seed, with_column)
    rows, lower = rows_of(use, cell, extra), np.full(upper.size, -np.inf)
    mine, sums, before = x.copy(), totals.copy(), np.maximum(totals - upper, 0.0)
    plain_transfer(first, rows, lower, upper, sums, mine)
    given = first, cell, extra, entries_of(use), lower, upper, totals, x
    moved = transfer(*given) + refill(*given)
    assert x == pytest.approx(mine, abs=1e-9)
    assert totals == pytest.approx(rows @ x, abs=1e-9)
    assert moved > 0.0
    assert x.min() >= 0.0
    assert x.max() <= 1.0
    assert (np.maximum(totals - upper, 0.0) <= before + 1e-9).all(), "no cap is missed by more than it was"
    assert before.sum() > np.maximum(totals - upper, 0.0).sum()


@pytest.mark.parametrize("levels", [4, 1000])
def test_free_slots_go_to_the_highest_scores_as_in_their_order(levels: int) -> None:
    """Scores that tie go by position; pairs without a positive score, and full ones, get nothing."""
    rng = np.random.default_rng(levels)
    first, cell, extra, use, upper, totals, x = random_case(5, True)
    first = np.array([0, first[9], first[9], first[10], first[-1]])  # of many pairs, none, and few
    score, free = rng.integers(-levels // 4, levels, x.size) / levels, np.array([3.0, 1.0, 0.5, 40.0])
    x[rng.random(x.size) < 0.2] = 1.0
    upper, lower = totals + rng.uniform(0.0, 3.0, totals.size), np.full(totals.size, -np.inf)
    owner = np.repeat(np.arange(4), np.diff(first))
    order = np.lexsort((-score, owner))
    order = order[score[order] > 0.0]
    starts = np.searchsorted(owner[order], np.arange(5))
    sorted_x, sums, before = x[order], totals.copy(), x.copy()
    expected = fill(starts, cell[order], extra[:, order], entries_of(use), lower, upper, sums, free, sorted_x)
    added = fill_best(first, score, cell, extra, entries_of(use), lower, upper, totals, free, x)
    assert added == pytest.approx(expected)
    assert added > 1.0
    assert x[order] == pytest.approx(sorted_x)
    assert totals == pytest.approx(sums)
    assert (x[score <= 0.0] == before[score <= 0.0]).all()


def test_slots_stay_whole() -> None:
    first, cell, extra, use, upper, totals, x = random_case(3, False)
    before = np.ceil(np.add.reduceat(x, first[:-1]) - 1e-6)
    for kernel in (transfer, refill):
        kernel(first, cell, extra, entries_of(use), np.full(upper.size, -np.inf), upper, totals, x)
    assert (np.add.reduceat(x, first[:-1]) <= before + 1e-9).all(), "nobody is shown more than there are slots"


def market(users: int, campaigns: int) -> oa.Problem:
    """Twenty candidates a user, three slots, the same cap for every campaign: few meet it, many do not."""
    blocks = list(matching(users=users, degree=20, campaigns=campaigns, size=3, seed=2).blocks())
    item = np.concatenate([block.item.ravel() for block in blocks])
    value = np.concatenate([block.columns["value"].ravel() for block in blocks])
    indptr = np.arange(users + 1) * 20
    cands = oa.Candidates.from_arrays(indptr, item, {"value": value}, items={"campaign": np.arange(campaigns)})
    cap = 3.0 * users / campaigns
    return oa.Problem(cands, oa.total("value"), (oa.exposure(by="campaign") <= cap).named("caps"), oa.Slate(3))


def test_slates_that_are_rebalanced_meet_every_cap() -> None:
    program = lower(market(2_000, 60))
    with Threads(program, 1) as engine:
        assert only_caps(engine)
        prices = np.full(program.n_rows, 1.0)
        visit = engine.visit(prices, 0.3)
        positions, x = visit.slates()
        before = x.copy()
        assert program.violation(visit.totals) > 0.01
        rebalance(engine, positions, x, visit.totals)
        value, totals = engine.add_up(positions, x)
        assert program.violation(totals) < 1e-12
        users = engine.take(positions).users
        assert np.bincount(users, x).max() <= 3 + 1e-9
        scaled_down = before * np.minimum(1.0, program.bands()[1] / visit.totals)[engine.take(positions).code]
        assert value > engine.add_up(positions, scaled_down)[0], "moving keeps more than scaling down does"


def test_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    program = lower(market(2_000, 60))
    found = []
    for part in (1 << 20, 500, 2):
        monkeypatch.setattr(recovery, "_PART", part)
        with Threads(program, 1) as engine:
            visit = engine.visit(np.full(program.n_rows, 1.0), 0.3)
            positions, x = visit.slates()
            rebalance(engine, positions, x, visit.totals)
            found.append(x)
    assert (found[1] == found[0]).all()
    assert (found[2] == found[0]).all()


def test_floors_are_not_scaled_down() -> None:
    problem = market(500, 20)
    floors = (oa.exposure(by="campaign") >= 1.0).named("floors")
    with Threads(lower(problem.replace(subject_to=[floors])), 1) as engine:
        assert not only_caps(engine)


@pytest.mark.few(1)
@pytest.mark.parametrize("gap", [1e-2, 1e-3])
def test_large_problems_end_without_a_linear_program(gap: float, monkeypatch: pytest.MonkeyPatch, tuned: Any) -> None:
    problem = market(4_000, 40)
    exact = oa.solve(problem, gap=1e-8)
    tuned(DUAL, large=0)
    monkeypatch.setattr("oasis_alloc.solvers.dual.finish_rounds", None)  # not to be called
    solution = oa.solve(problem, gap=gap)
    assert solution.status is oa.Status.SOLVED
    assert solution.violation <= 1e-6
    assert solution.value <= exact.bound * (1 + 1e-9)
    assert exact.value <= solution.bound * (1 + 1e-9)
    assert solution.gap <= gap
