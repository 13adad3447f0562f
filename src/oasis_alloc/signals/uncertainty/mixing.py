"""Two small programs over what is known of some allocations: the best mixture of them, and the next weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csc_array

from oasis_alloc.common.types import Floats
from oasis_alloc.solvers.highs import solve_lp, without_banner
from oasis_alloc.solvers.linear import LinearProgram


def best_mixture(values: Floats, rest: Floats, cap: float) -> tuple[Floats, Floats]:
    """(shares of the allocations, weights of the draws): the best mixture, and the weights that prove it.

    `values` (n_allocations, n_draws) and `rest` (n_allocations,) are what is uncertain of each, and what is not. The
    program is that of Rockafellar and Uryasev: maximize `t - cap sum u + rest @ shares`, with `u_s >= t - values_s`.
    """
    n, draws = values.shape
    scale = _scale(values, rest)
    v, f = (values - values.mean()) / scale, (rest - rest.mean()) / scale
    rows = np.hstack([-v.T, np.ones((draws, 1)), -np.eye(draws)])
    total = np.concatenate([np.ones(n), np.zeros(1 + draws)])
    lower = np.zeros(n + 1 + draws)
    lower[n] = -np.inf
    matrix = csc_array(np.vstack([rows, total]))
    upper, limits = np.full(lower.size, np.inf), np.append(np.zeros(draws), 1.0)
    cost = np.concatenate([f, [1.0], np.full(draws, -cap)])
    program = LinearProgram(cost, matrix, np.append(np.full(draws, -np.inf), 1.0), limits, lower, upper)
    found = solve_lp(program)
    assert found is not None  # there is no time limit
    shares = np.maximum(found.x[:n], 0.0)
    return shares / shares.sum(), in_set(found.prices[:draws], cap)


def nearest_weights(center: Floats, values: Floats, rest: Floats, level: float, cap: float) -> Floats | None:
    """The weights nearest to `center` at which every allocation has at most the level; None if there are none."""
    n, draws = values.shape
    scale, offset = _scale(values, rest), float(values.mean())
    matrix = np.vstack([(values - offset) / scale, np.ones(draws)])
    upper = np.append((level - rest - offset) / scale, 1.0)
    lower = np.append(np.full(n, -np.inf), 1.0)
    found = _quadratic(-center, matrix, lower, upper, cap)
    return None if found is None else in_set(found, cap)


def in_set(weights: Floats, cap: float) -> Floats:
    """Weights of a solver made exact: 0 <= q <= cap and sum q = 1, which a bound relies on.

    >>> import numpy as np
    >>> in_set(np.array([0.5, 0.5 + 1e-9, -1e-9]), cap=0.5).tolist()
    [0.5, 0.5, 0.0]
    """
    weights = np.clip(weights, 0.0, cap)
    missing = 1.0 - float(weights.sum())
    room = cap - weights if missing > 0.0 else weights
    if (whole := float(room.sum())) > 0.0:
        weights = np.clip(weights + missing * room / whole, 0.0, cap)
    return weights


def _scale(values: Floats, rest: Floats) -> float:
    return float(np.ptp(values)) + float(np.ptp(rest)) or 1.0


def _quadratic(cost: Floats, matrix: Floats, lower: Floats, upper: Floats, cap: float) -> Floats | None:
    """The q in [0, cap]^n with the least `cost @ q + q @ q / 2` within the rows' limits, by HiGHS."""
    import highspy

    library: Any = highspy
    n_rows, n = matrix.shape
    with without_banner():
        highs = library.Highs()
    highs.setOptionValue("output_flag", False)
    model = library.HighsModel()
    lp = model.lp_
    lp.num_col_, lp.num_row_ = n, n_rows
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, np.zeros(n), np.full(n, cap)
    lp.row_lower_, lp.row_upper_ = lower, upper
    lp.a_matrix_.format_ = library.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.arange(n_rows + 1) * n
    lp.a_matrix_.index_, lp.a_matrix_.value_ = np.tile(np.arange(n), n_rows), matrix.ravel()
    hessian = library.HighsHessian()
    hessian.dim_, hessian.format_ = n, library.HessianFormat.kTriangular
    hessian.start_, hessian.index_, hessian.value_ = np.arange(n + 1), np.arange(n), np.ones(n)
    model.hessian_ = hessian
    highs.passModel(model)
    highs.run()
    if highs.getModelStatus() != library.HighsModelStatus.kOptimal:
        return None
    return np.array(highs.getSolution().col_value)
