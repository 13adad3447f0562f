"""Linear programs are handed over in numbers near 1, and come back in their own units."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_alloc.solvers.highs import solve_lp
from oasis_alloc.solvers.linear import LinearProgram
from oasis_alloc.solvers.scaling import scaled

UNITS = st.integers(-12, 12).map(lambda k: 10.0**k)


def program(seed: int, rows: np.ndarray, slack: float, values: float) -> LinearProgram:
    """max v x - cost y: 12 probabilities under caps with slacks at a price; rows and values in units of their own."""
    rng = np.random.default_rng(seed)
    n, m = 12, rows.size
    matrix = rng.random((m, n)) * (rng.random((m, n)) < 0.7)
    limit = 0.3 * matrix.sum(axis=1) + 0.01
    full = np.hstack([matrix, -slack * np.eye(m)]) * rows[:, None]
    return LinearProgram(
        cost=values * np.concatenate([rng.random(n), np.full(m, -5.0 * slack)]),
        matrix=sp.csc_array(full),
        row_lower=np.full(m, -np.inf),
        row_upper=limit * rows,
        lower=np.zeros(n + m),
        upper=np.concatenate([np.ones(n), np.full(m, np.inf)]),
        n_fixed=n,
    )


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6), st.lists(UNITS, min_size=1, max_size=5), UNITS, UNITS)
def test_a_program_has_one_answer_in_all_units(seed: int, rows: list[float], slack: float, values: float) -> None:
    units = np.array(rows)
    plain = solve_lp(program(seed, np.ones(units.size), 1.0, 1.0))
    other = solve_lp(program(seed, units, slack, values))
    assert plain is not None
    assert other is not None
    assert other.x[:12] == pytest.approx(plain.x[:12], abs=1e-7)
    assert slack * other.x[12:] == pytest.approx(plain.x[12:], abs=1e-7)
    assert other.prices * units / values == pytest.approx(plain.prices, abs=1e-7)


@settings(max_examples=examples(60))
@given(st.integers(0, 10**6), st.lists(UNITS, min_size=1, max_size=5), UNITS, UNITS)
def test_factors_are_powers_of_two_and_numbers_are_near_1(
    seed: int, rows: list[float], slack: float, values: float
) -> None:
    given_ = program(seed, np.array(rows), slack, values)
    out = scaled(given_)
    for factors in (out.row, out.column, np.array([out.cost])):
        assert np.array_equal(np.frexp(factors)[0], np.full(factors.size, 0.5))
    assert np.array_equal(out.column[:12], np.ones(12)), "probabilities keep their unit"
    size = abs(out.lp.matrix)
    largest = size.max(axis=1).toarray().ravel()
    assert ((largest >= 0.5) & (largest <= 2.0)).all()
    assert np.isneginf(out.lp.row_lower).all()
    assert np.isposinf(out.lp.upper[12:]).all()
    pairs = np.abs(out.lp.cost[:12])
    assert 0.3 < pairs[pairs > 0].mean() < 3.0


def test_a_program_without_values_is_scaled_by_what_missing_costs() -> None:
    lp = LinearProgram(
        np.array([0.0, -1e9, -1e-9]), sp.csc_array(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])), np.array([2.0, 2.0]),
        np.array([np.inf, np.inf]), np.zeros(3), np.array([1.0, np.inf, np.inf]), 1,
    )  # fmt: skip
    solution = solve_lp(lp)
    assert solution is not None
    assert solution.x == pytest.approx([1.0, 1.0, 1.0])
