"""A quadratic model over a domain: against the optimum of small programs, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from curved import E
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.solvers.coupled import least_quadratic

N = 12


def model(seed: int, coupling: float) -> tuple[Any, Any, Any]:
    """(Hessian, slope, start in the permutahedron) whose diagonal differs from entry to entry."""
    rng = np.random.default_rng(seed)
    sparse = np.where(rng.random((N, 40)) < 0.2, rng.uniform(0.0, 1.0, (N, 40)), 0.0)
    unit = np.exp(rng.normal(size=N))
    hessian = unit[:, None] * (coupling * sparse @ sparse.T + np.diag(1.0 + rng.random(N))) * unit
    start = rng.permutation(np.arange(N, 0, -1.0))
    return hessian, 20.0 * rng.normal(size=N) * unit, start


@pytest.mark.parametrize(("seed", "coupling"), diagonal({"0": 0, "1": 1, "2": 2}, {"0.0": 0.0, "0.3": 0.3, "3.0": 3.0}))
def test_the_optimum_over_a_permutahedron(seed: int, coupling: float) -> None:
    import cvxpy as cp

    hessian, slope, start = model(seed, coupling)
    bound: Any = oa.gini_welfare(E("artist"), np.arange(N, 0, -1.0)).bind([str(k) for k in range(N)])
    products = 0

    def product(d: Any) -> Any:
        nonlocal products
        products += 1
        return hessian @ d

    def nearest(d: Any, g: Any, m: Any) -> Any:
        return bound.nearest(start + d, g, m) - start

    d = least_quadratic(product, slope, np.diag(hessian), nearest, 1e-8, 400)
    mu = cp.Variable(N)
    inside = [cp.sum_largest(mu, k) <= float(np.arange(N, 0, -1.0)[:k].sum()) for k in range(1, N)]
    inside.append(cp.sum(mu) == N * (N + 1) / 2)
    cost = slope @ (mu - start) + 0.5 * cp.quad_form(mu - start, cp.psd_wrap(hessian))
    least = cp.Problem(cp.Minimize(cost), inside).solve(solver=cp.CLARABEL)
    found = slope @ d + 0.5 * d @ hessian @ d
    assert found == pytest.approx(least, rel=1e-6, abs=1e-6 * abs(float(least)))
    assert products <= (3 if coupling == 0.0 else 200)


def test_single_variables_keep_their_limits() -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(N, N))
    hessian, slope = root @ root.T + np.eye(N), rng.normal(size=N)

    def nearest(d: Any, g: Any, m: Any) -> Any:
        return np.clip(d - g / m, -0.1, 0.2)

    d = least_quadratic(lambda x: hessian @ x, slope, np.diag(hessian), nearest, 1e-10, 2000)
    left = slope + hessian @ d
    assert (np.abs(d) <= 0.2).all()
    assert (np.abs(left[(d > -0.1) & (d < 0.2)]) <= 1e-6).all()
    assert (left[d == -0.1] >= 0).all()
    assert (left[d == 0.2] <= 0).all()


def test_few_products_are_enough_for_a_descent() -> None:
    hessian, slope, start = model(1, 3.0)
    bound: Any = oa.worst_off(E("artist")).weighted(float(start.sum())).bind([str(k) for k in range(N)])

    def nearest(d: Any, g: Any, m: Any) -> Any:
        return bound.nearest(start + d, g, m) - start

    for products in (2, 5, 20):
        d = least_quadratic(lambda x: hessian @ x, slope, np.diag(hessian), nearest, 0.0, products)
        assert slope @ d < 0.0
        assert (start + d).min() >= -1e-12
        assert (start + d).sum() == pytest.approx(start.sum())
