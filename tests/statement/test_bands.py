"""Bands and soft bands with two sides: their conjugates are linear on price variables, one per side.

Both sides at once, one side, an equality, or no limit. What every function promises is in test_functions.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import examples
from scipy.optimize import linprog

import oasis_alloc as oa
from oasis_alloc.statement.functions.band import BoundBand, distance, spread
from oasis_alloc.statement.functions.base import BoundFunction
from oasis_alloc.statement.functions.soft import BoundSoft

INF = np.inf
# cap, floor, both, equality, equality at 0, free; negative limits too
LOWER = np.array([-INF, 2.0, -1.0, 3.0, 0.0, -INF, -4.0])
UPPER = np.array([2.0, INF, 1.5, 3.0, 0.0, INF, -4.0])
FUNCTIONS: dict[str, BoundFunction] = {
    "band": BoundBand(LOWER, UPPER),
    "soft band": BoundSoft(LOWER, UPPER, 0.75),
    "cheap soft band": BoundSoft(LOWER, UPPER, 1e-3),
    "soft band, a penalty a group": BoundSoft(LOWER, UPPER, np.array([0.5, 2.0, 0.75, 1e-3, 3.0, 1.0, 0.25])),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


def totals(seed: int) -> Any:
    """Totals inside, outside and at the limits."""
    rng = np.random.default_rng(seed)
    e = rng.normal(0.0, 4.0, LOWER.size)
    at = rng.integers(0, 3, LOWER.size)
    e = np.where((at == 1) & np.isfinite(LOWER), LOWER, e)
    return np.where((at == 2) & np.isfinite(UPPER), UPPER, e)


def prices_in_domain(function: BoundFunction, seed: int) -> Any:
    box = function.price_box()
    rng = np.random.default_rng(seed)
    z = np.clip(rng.normal(0.0, 2.0, box.group.size), box.lower, box.upper)
    return np.bincount(box.group, weights=z, minlength=LOWER.size)


@each_function
def test_fenchel_inequality(function: BoundFunction) -> None:
    for seed in range(examples(200)):
        e, price = totals(seed), prices_in_domain(function, seed + 1)
        assert np.isfinite(function.conjugate(price))
        assert function.value(e) + price @ e <= function.conjugate(price) + 1e-9


@each_function
def test_conjugate_is_the_supremum(function: BoundFunction) -> None:
    """Over a grid that holds the limits, at which a piecewise linear function has its supremum."""
    limits = np.concatenate([LOWER, UPPER])
    grid = np.unique(np.concatenate([np.linspace(-50, 50, 201), limits[np.isfinite(limits)]]))
    for seed in range(examples(30)):
        price = prices_in_domain(function, seed)
        best = 0.0
        for g in range(LOWER.size):
            lower, upper, penalty = (side[g : g + 1] for side in function.band())
            one = BoundBand(lower, upper) if function.is_constraint else BoundSoft(lower, upper, float(penalty[0]))
            best += max(one.value(np.array([e])) + price[g] * e for e in grid)
        assert function.conjugate(price) == pytest.approx(best, abs=1e-9)


@each_function
def test_biconjugate_is_the_function(function: BoundFunction) -> None:
    """F(e) = min over the price variables of limit @ z - lam @ e; unbounded below where F is minus infinity."""
    box = function.price_box()
    bounds = np.column_stack([box.lower, box.upper])
    for seed in range(examples(60)):
        e = totals(seed)
        result = linprog(box.limit - e[box.group], bounds=bounds, method="highs")
        if np.isfinite(function.value(e)):
            assert result.fun == pytest.approx(function.value(e), abs=1e-9)
        else:
            assert result.status == 3  # unbounded


@each_function
def test_conjugate_is_linear_on_the_price_variables(function: BoundFunction) -> None:
    box = function.price_box()
    sums = np.zeros((LOWER.size, box.group.size))
    sums[box.group, np.arange(box.group.size)] = 1.0
    bounds = np.column_stack([box.lower, box.upper])
    for seed in range(examples(30)):
        price = prices_in_domain(function, seed)
        result = linprog(box.limit, A_eq=sums, b_eq=price, bounds=bounds, method="highs")
        assert result.fun == pytest.approx(function.conjugate(price), abs=1e-8)


@each_function
def test_gradient_of_the_conjugate_is_the_limit_that_a_price_presses(function: BoundFunction) -> None:
    step = 1e-6
    for seed in range(examples(20)):
        price = prices_in_domain(function, seed) * 0.9
        for g in np.flatnonzero(np.abs(price) > 2 * step):
            move = np.zeros(price.size)
            move[g] = step
            slope = (function.conjugate(price + move) - function.conjugate(price - move)) / (2 * step)
            assert slope == pytest.approx(UPPER[g] if price[g] > 0 else LOWER[g], abs=1e-6)


def test_prices_outside_the_domain_cost_infinity() -> None:
    hard, soft = FUNCTIONS["band"], FUNCTIONS["soft band"]
    for g, sign in ((0, -1.0), (1, 1.0), (5, 1.0), (5, -1.0)):
        price = np.zeros(LOWER.size)
        price[g] = 1e-3 * sign
        assert hard.conjugate(price) == INF, "a cap's price is >= 0, a floor's <= 0, a free group has none"
        assert soft.conjugate(price) == INF
    price = np.zeros(LOWER.size)
    price[3] = 0.76
    assert soft.conjugate(price) == INF
    assert np.isfinite(hard.conjugate(price))


@each_function
def test_values_and_excess(function: BoundFunction) -> None:
    inside = np.array([2.0, 2.0, 0.0, 3.0, 0.0, 1e9, -4.0])
    assert function.value(inside) == 0.0
    assert not function.excess(inside).any()
    outside = inside + np.array([0.5, -0.25, 2.0, -1.0, 0.125, 0.0, 0.0])
    off = np.array([0.5, 0.25, 0.5, 1.0, 0.125, 0.0, 0.0])
    assert distance(outside, LOWER, UPPER) == pytest.approx(off)
    if function.is_constraint:
        assert function.value(outside) == -INF
        assert function.excess(outside) == pytest.approx(off)
    else:
        assert function.value(outside) == pytest.approx(-(function.band()[2] @ off))
        assert not function.excess(outside).any()


@pytest.mark.few(2)
@each_function
def test_conic_form_of_a_two_sided_band(function: BoundFunction) -> None:
    import cvxpy as cp

    for seed in range(4):
        e = totals(seed)
        total = cp.Variable(LOWER.size)
        conic = function.conic(total)
        problem = cp.Problem(cp.Maximize(conic.objective), [*conic.constraints, total == e])
        problem.solve(solver=cp.CLARABEL)
        if np.isfinite(function.value(e)):
            assert problem.value == pytest.approx(function.value(e), abs=1e-6)
        else:
            assert problem.status in ("infeasible", "infeasible_inaccurate")


@each_function
def test_conic_prices_of_a_two_sided_band(function: BoundFunction) -> None:
    """max c e + F(e) over all totals e is F*(c), and the price of the totals is c."""
    import cvxpy as cp

    price = prices_in_domain(function, 3) * 0.5
    assert price.any()
    total = cp.Variable(LOWER.size)
    conic = function.conic(total)
    problem = cp.Problem(cp.Maximize(conic.objective + price @ total), conic.constraints)
    problem.solve(solver=cp.CLARABEL)
    assert problem.value == pytest.approx(function.conjugate(price), abs=1e-5)
    assert conic.prices() == pytest.approx(price, abs=1e-5)


def test_limits_are_spread_over_the_groups() -> None:
    labels = ["a", "b", "c"]
    assert spread(2.0, labels, "caps", np.nan).tolist() == [2, 2, 2]
    assert spread(np.array([1.0, 2.0, 3.0]), labels, "caps", np.nan).tolist() == [1, 2, 3]
    assert spread({"c": 3, "a": 1}, labels, "caps", INF).tolist() == [1, INF, 3]
    assert spread({}, [], "caps", INF).tolist() == []


def test_an_array_of_limits_is_copied() -> None:
    caps = np.array([1.0, 2.0])
    band = oa.exposure(by="campaign") <= caps
    caps[:] = 99.0
    assert band.bind(["a", "b"]).band()[1].tolist() == [1.0, 2.0]
    mapping = {"a": 1.0}
    band = oa.exposure(by="campaign") <= mapping
    mapping["a"] = 99.0
    assert band.bind(["a", "b"]).band()[1].tolist() == [1.0, INF]


@pytest.mark.parametrize(
    ("band", "lower", "upper"),
    [
        (oa.exposure(by="c") <= 2, [-INF, -INF], [2, 2]),
        (oa.exposure(by="c") >= {"b": 3}, [-INF, 3], [INF, INF]),
        (oa.exposure(by="c") == [1, 2], [1, 2], [1, 2]),
        (oa.exposure(by="c") == {"a": 1}, [1, -INF], [1, INF]),
        (oa.exposure(by="c") <= INF, [-INF, -INF], [INF, INF]),
        (oa.exposure(by="c") >= -INF, [-INF, -INF], [INF, INF]),
        (oa.total("r", by="c") <= -2.5, [-INF, -INF], [-2.5, -2.5]),
        (2 >= oa.exposure(by="c"), [-INF, -INF], [2, 2]),  # noqa: SIM300 - the number comes first on purpose
        (np.array([1.0, 2.0]) <= oa.exposure(by="c"), [1, 2], [INF, INF]),
    ],
)
def test_bands(band: Any, lower: list[float], upper: list[float]) -> None:
    bound = band.bind(["a", "b"])
    low, high, penalty = bound.band()
    assert low.tolist() == lower
    assert high.tolist() == upper
    assert penalty.tolist() == [INF, INF]
    low, high, penalty = oa.soft(band, penalty=3.0).bind(["a", "b"]).band()
    assert (low.tolist(), high.tolist(), penalty.tolist()) == (lower, upper, [3.0, 3.0])


def test_names() -> None:
    band = oa.exposure(by="c") <= 2
    assert band.name == str(band) == 'exposure(by="c") <= 2'
    named = band.named("caps")
    assert named.name == "caps"
    assert str(named) == str(band)
    assert band.name != "caps", "the constraint itself is as it was"
    soft = oa.soft(band, penalty=2)
    assert soft.name == 'soft(exposure(by="c") <= 2, penalty=2)'
    assert soft.named("wish").name == "wish"
    assert oa.soft(named, penalty=2).name == "soft(caps, penalty=2)"
