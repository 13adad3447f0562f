"""Moves between candidates of a user: what rows miss gets less, and whatever held before holds afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from effort import full_only

from oasis_alloc.kernels.solve.moves import Held, move_within
from oasis_alloc.kernels.solve.transfer import Entries

Array = npt.NDArray[Any]

N_USERS, DEGREE, CELLS, SIZE = 40, 8, 6, 3
FIRST = np.arange(N_USERS + 1) * DEGREE
USER = np.repeat(np.arange(N_USERS), DEGREE)


def one_row_per_cell() -> Entries:
    return Entries(np.arange(CELLS + 1), np.arange(CELLS), np.zeros(CELLS, np.int64), np.ones(CELLS))


def missed(totals: Array, lower: Array, upper: Array) -> float:
    return float(np.maximum(np.maximum(totals - upper, lower - totals), 0.0).sum())


@pytest.mark.parametrize("kept", [0.0, 0.7, 0.95])
@pytest.mark.parametrize("seed", [0, *full_only(*range(1, 8))])
def test_moves_keep_every_rule_and_bring_totals_to_limits(seed: int, kept: float) -> None:
    rng = np.random.default_rng(seed)
    cell = rng.integers(0, CELLS, USER.size)
    score, column = rng.random((2, USER.size))
    x = np.zeros(USER.size)
    best = np.argsort(-score.reshape(N_USERS, DEGREE), axis=1)[:, :SIZE]
    np.put_along_axis(x.reshape(N_USERS, DEGREE), best, 1.0, axis=1)
    x = 0.8 * x + 0.2 * SIZE / DEGREE
    totals = np.bincount(cell, x, CELLS)
    upper = totals * np.where(np.arange(CELLS) < 2, 0.9, np.inf)
    lower = totals * np.where(np.arange(CELLS) == CELLS - 1, 1.05, 0.0)
    category = np.arange(CELLS) // 2
    most = 2.5
    by_category = np.bincount(USER * 3 + category[cell], x, 3 * N_USERS)
    held = Held(
        np.full(N_USERS, float(SIZE)), np.full(N_USERS, float(SIZE)),
        kept * np.bincount(USER, x * column) if kept else np.full(N_USERS, -1.0), column, cell.astype(np.int64),
        np.arange(CELLS + 1), category, np.full(3, most),
    )  # fmt: skip
    before, start = missed(totals, lower, upper), x.copy()
    moved, left = move_within(
        FIRST, score, np.ones(USER.size, np.bool_), cell, np.empty((1, 0)), one_row_per_cell(), lower, upper, totals,
        held, x, 1e6,
    )  # fmt: skip
    assert moved > 0.0
    assert left < 1e6
    assert missed(totals, lower, upper) <= 1e-9 < before
    assert np.allclose(totals, np.bincount(cell, x, CELLS))
    assert x.min() >= 0.0
    assert x.max() <= 1.0
    assert np.allclose(np.bincount(USER, x), SIZE)
    assert (np.bincount(USER, x * column) >= held.target - 1e-9).all()
    after = np.bincount(USER * 3 + category[cell], x, 3 * N_USERS)
    assert (after <= np.maximum(by_category, most) + 1e-9).all()
    assert score @ (start - x) <= moved * np.ptp(score)  # a unit loses no more than two scores differ


def test_a_move_that_takes_kept_value_is_paid_for_by_another_one() -> None:
    """One user of four candidates; the only way out of the full row is into a candidate that keeps nothing."""
    x = np.array([1.0, 0.0, 1.0, 0.0])
    column, score = np.array([1.0, 0.0, 0.2, 1.2]), np.array([1.0, 0.9, 0.8, 0.7])
    cell = np.array([0, 1, 2, 3])
    held = Held(np.array([2.0]), np.array([2.0]), np.array([1.2]), column, np.zeros(4, np.int64),
                np.zeros(2, np.int64), np.empty(0, np.int64), np.empty(0))  # fmt: skip
    totals, upper = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.5, np.inf, np.inf, 0.75])
    move_within(
        np.array([0, 4]), score, np.ones(4, np.bool_), cell, np.empty((1, 0)),
        Entries(np.arange(5), np.arange(4), np.zeros(4, np.int64), np.ones(4)), np.full(4, -np.inf), upper, totals,
        held, x, 1e6,
    )  # fmt: skip
    assert x[0] == pytest.approx(0.5)
    assert x.sum() == pytest.approx(2.0)
    assert x @ column >= 1.2 - 1e-12


def test_long_lists_end_with_the_work_that_is_allowed() -> None:
    """Floors of a hundred rows that no move can meet, because the only user keeps all that the slate has."""
    n, rows = 20_000, 100
    rng = np.random.default_rng(0)
    column, score, cell = rng.random(n), rng.random(n), np.arange(n) % rows
    x = np.zeros(n)
    x[np.argsort(column)[-10:]] = 1.0
    totals = np.bincount(cell, x, rows)
    held = Held(np.array([10.0]), np.array([10.0]), np.array([x @ column]), column, np.zeros(n, np.int64),
                np.zeros(2, np.int64), np.empty(0, np.int64), np.empty(0))  # fmt: skip
    start = x.copy()
    moved, left = move_within(
        np.array([0, n]), score, np.ones(n, np.bool_), cell, np.empty((1, 0)),
        Entries(np.arange(rows + 1), np.arange(rows), np.zeros(rows, np.int64), np.ones(rows)), np.ones(rows),
        np.full(rows, np.inf), totals, held, x, 1e6,
    )  # fmt: skip
    assert -20 * n < left <= 0.0
    assert moved == 0.0
    assert (x == start).all()
