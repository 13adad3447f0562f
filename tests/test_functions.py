"""Concave functions of totals: one row a function, and every check for every row.

Values, conjugates, their derivatives, price ranges and conic forms must say the same thing of each. What a function is
stands in its row as a formula, written a second time; everything else is compared with that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import oasis_alloc as oa
from oasis_alloc.functions.band import BoundBand, distance, spread
from oasis_alloc.functions.base import BoundFunction, Function
from oasis_alloc.functions.separable import BoundSeparable
from oasis_alloc.functions.soft import BoundSoft

INF = np.inf
LABELS = list("abcdefg")
N = len(LABELS)
# cap, floor, both, equality, equality at 0, free; negative limits too
LOWER = np.array([-INF, 2.0, -1.0, 3.0, 0.0, -INF, -4.0])
UPPER = np.array([2.0, INF, 1.5, 3.0, 0.0, INF, -4.0])
TARGET = np.array([2.0, 3.0, -1.0, 0.0, 2.5, 40.0, 1.0])
# what totals can reach, for functions that ask: from 0, from above 0, a single number
LEAST = np.array([0.0, 0.0, 0.0, 1.0, 0.5, 0.0, 2.0])
MOST = np.array([5.0, 10.0, 1.0, 4.0, 0.5, 100.0, 3.0])

E = oa.exposure(by="key")
D = oa.exposure(by="key") - oa.exposure()  # may have negative limits


@dataclass(frozen=True, eq=False)
class Row:
    """A function: as it is stated, and as a formula of every total."""

    stated: Function
    formula: Callable[[Any], Any]

    @property
    def bound(self) -> BoundFunction:
        """Its numbers over the groups; curved ones are told what their totals can reach."""
        bound = self.stated.bind(LABELS)
        return bound.within(LEAST, MOST) if bound.is_curved else bound

    def totals(self, seed: int) -> Any:
        """Totals inside, outside and at the limits; in the range of a curved function and at its ends."""
        rng = np.random.default_rng(seed)
        bound = self.bound
        at = rng.integers(0, 4, N)
        if bound.is_curved:
            e = rng.uniform(LEAST, MOST)
            return np.where(at == 1, MOST, e)
        lower, upper, _ = bound.band()
        e = rng.normal(0.0, 4.0, N)
        e = np.where((at == 1) & np.isfinite(lower), lower, e)
        e = np.where((at == 2) & np.isfinite(upper), upper, e)
        return np.where(at == 3, np.clip(e, lower, upper), e)

    def box(self) -> tuple[Any, Any, Any]:
        """(group, lower, upper) of the price variables, cut to numbers that can be drawn."""
        box = self.bound.price_box()
        return box.group, np.maximum(box.lower, -50.0), np.minimum(box.upper, 50.0)

    def prices(self, seed: int, wide: bool = False) -> Any:
        """Prices in the domain. `wide`: a curved function takes any price, also where none is needed."""
        rng = np.random.default_rng(seed)
        group, lower, upper = self.box()
        z = np.where(rng.random(group.size) < 0.2, upper, rng.uniform(lower, upper))
        if not self.bound.is_curved:
            z = np.clip(rng.normal(0.0, 2.0, group.size), lower, upper)
        elif wide:
            z = z + rng.normal(0.0, 3.0, group.size)
        return np.bincount(group, weights=z, minlength=N)


def _fair(alpha: float, offset: float, weight: float) -> Row:
    return Row(
        weight * oa.alpha_fair(E, alpha, offset),
        lambda e: weight * (np.log(e + offset) if alpha == 1 else (e + offset) ** (1 - alpha) / (1 - alpha)),
    )


BANDS = {
    "cap": Row(np.minimum(UPPER, 5.0) >= D, lambda e: np.where(e <= np.minimum(UPPER, 5.0), 0.0, -INF)),
    "floor": Row(np.maximum(LOWER, -9.0) <= D, lambda e: np.where(e >= np.maximum(LOWER, -9.0), 0.0, -INF)),
    "equality": Row(D == TARGET, lambda e: np.where(e == TARGET, 0.0, -INF)),
    "soft cap": Row(
        oa.soft(np.minimum(UPPER, 5.0) >= D, 0.75), lambda e: -0.75 * np.maximum(e - np.minimum(UPPER, 5.0), 0.0)
    ),
    "soft floor": Row(
        oa.soft(np.maximum(LOWER, -9.0) <= D, 2.0), lambda e: -2.0 * np.maximum(np.maximum(LOWER, -9.0) - e, 0.0)
    ),
    "soft equality": Row(oa.soft(D == TARGET, 1e-3), lambda e: -1e-3 * np.abs(e - TARGET)),
}
CURVED = {
    "log, offset 1": Row(oa.log(E), lambda e: np.log(e + 1)),
    "log, offset 0.1": Row(2.5 * oa.log(E, offset=0.1), lambda e: 2.5 * np.log(e + 0.1)),
    "log, offset 0": Row(0.5 * oa.log(E, offset=0), lambda e: 0.5 * np.log(e)),
    "alpha_fair, alpha 0": _fair(0.0, 0.5, 2.0),
    "alpha_fair, alpha 0.5": _fair(0.5, 0.0, 1.0),
    "alpha_fair, alpha 1": _fair(1.0, 0.1, 3.0),
    "alpha_fair, alpha 2": _fair(2.0, 0.5, 1.0),
    "alpha_fair, alpha 5": _fair(5.0, 1.0, 4.0),
    "square_deviation": Row(-0.3 * oa.square_deviation(E, TARGET), lambda e: -0.15 * (e - TARGET) ** 2),
}
TABLE = BANDS | CURVED
every_function = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
curved_function = pytest.mark.parametrize("row", CURVED.values(), ids=CURVED)


@every_function
def test_value_is_the_formula(row: Row) -> None:
    for seed in range(100):
        e = row.totals(seed)
        with np.errstate(divide="ignore"):
            expected = float(np.sum(row.formula(e)))
        assert row.bound.value(e) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@every_function
def test_value_is_concave(row: Row) -> None:
    bound = row.bound
    for seed in range(100):
        one, two = row.totals(seed), row.totals(seed + 1000)
        assert bound.value(0.25 * one + 0.75 * two) >= 0.25 * bound.value(one) + 0.75 * bound.value(two) - 1e-9


@every_function
def test_fenchels_inequality(row: Row) -> None:
    bound = row.bound
    for seed in range(200):
        e, price = row.totals(seed), row.prices(seed + 1, wide=True)
        conjugate = bound.conjugate(price)
        assert np.isfinite(conjugate)
        assert bound.value(e) + price @ e <= conjugate + 1e-9 * max(1.0, abs(conjugate))


@every_function
def test_fenchels_equality_at_the_maximiser(row: Row) -> None:
    bound = row.bound
    for seed in range(100):
        price = row.prices(seed, wide=True)
        if bound.is_curved:
            curve = bound.curve(price)
            e = curve.maximiser
            assert ((e >= LEAST) & (e <= MOST)).all()
            assert curve.value == bound.conjugate(price)
            assert curve.values == pytest.approx(row.formula(e), rel=1e-9)
        else:
            lower, upper, _ = bound.band()
            e = np.where(price > 0, upper, np.where(price < 0, lower, np.clip(0.0, lower, upper)))
        assert bound.value(e) + price @ e == pytest.approx(bound.conjugate(price), rel=1e-12, abs=1e-12)


@every_function
def test_gradient_of_the_conjugate_is_the_maximiser(row: Row) -> None:
    bound, step, seen = row.bound, 1e-6, 0
    for seed in range(30):
        price = row.prices(seed) * 0.9
        group, _, _ = row.box()
        for g in np.flatnonzero(np.isin(np.arange(N), group)):
            if not bound.is_curved and abs(price[g]) <= 2 * step:
                continue  # a kink
            move = np.zeros(N)
            move[g] = step
            slope = (bound.conjugate(price + move) - bound.conjugate(price - move)) / (2 * step)
            if bound.is_curved:
                ends = [bound.curve(price + sign * move).maximiser[g] for sign in (-1, 1)]
                assert ends[0] - 1e-6 <= slope <= ends[1] + 1e-6, "a convex function's slope is between its gradients"
                if ends[1] - ends[0] < 1e-4:
                    seen += 1
                    assert slope == pytest.approx(bound.curve(price).maximiser[g], rel=1e-4, abs=1e-4)
            else:
                low, high, _ = bound.band()
                seen += 1
                assert slope == pytest.approx(high[g] if price[g] > 0 else low[g], abs=1e-6)
    assert seen > 20


def alpha_is_positive(row: Row) -> bool:
    """False for the plain sum, whose maximiser jumps from one end to the other."""
    return getattr(row.stated, "alpha", 1.0) > 0


@curved_function
def test_curvature_of_the_conjugate_is_the_slope_of_the_maximiser(row: Row) -> None:
    bound, seen = row.bound, 0
    for seed in range(50):
        price = row.prices(seed)
        step = 1e-5 * np.maximum(np.abs(price), 1e-3)
        low, here, high = (bound.curve(price + sign * step) for sign in (-1, 0, 1))
        slope = (high.maximiser - low.maximiser) / (2 * step)
        inside = (low.maximiser > LEAST) & (high.maximiser < MOST)
        at_end = (high.maximiser == LEAST) | (low.maximiser == MOST)
        assert here.slope[inside] == pytest.approx(slope[inside], rel=1e-4)
        assert not here.slope[at_end].any()
        assert (here.slope >= 0).all()
        seen += int(inside.sum())
    assert seen > 50 or not alpha_is_positive(row)


@curved_function
def test_slope_and_bend_are_derivatives(row: Row) -> None:
    bound = row.bound
    assert isinstance(bound, BoundSeparable)
    for seed in range(20):
        e = np.maximum(row.totals(seed), 0.05)
        step = 1e-5 * np.maximum(e, 0.1)
        assert bound.f(e) == pytest.approx(row.formula(e), rel=1e-12)
        slope = (bound.f(e + step) - bound.f(e - step)) / (2 * step)
        assert bound.slope(e) == pytest.approx(slope, rel=1e-5, abs=1e-7)
        bend = (bound.slope(e + step) - bound.slope(e - step)) / (2 * step)
        assert bound.bend(e) == pytest.approx(bend, rel=1e-5, abs=1e-7)
        if alpha_is_positive(row):
            assert bound.where_slope(bound.slope(e)) == pytest.approx(e, rel=1e-9)


@curved_function
def test_prices_in_the_box_are_enough_for_the_biconjugate(row: Row) -> None:
    """F(e) = min of F*(lam) - lam e, group by group, over the prices of the box alone."""
    bound, box = row.bound, row.bound.price_box()
    assert (box.group == np.arange(N)).all()
    assert (box.lower <= box.upper).all()
    for seed in range(20):
        e = np.maximum(row.totals(seed), LEAST + 0.02 * (MOST - LEAST))  # log 0 is not attained at any price
        low, high = np.maximum(box.lower, -1e4), box.upper.copy()
        for _ in range(200):  # ternary search, on all groups at once
            third = (high - low) / 3
            left, right = low + third, high - third
            better = apart(bound, left, e) <= apart(bound, right, e)
            low, high = np.where(better, low, left), np.where(better, right, high)
        assert apart(bound, 0.5 * (low + high), e) == pytest.approx(row.formula(e), rel=1e-7, abs=1e-7)


def apart(bound: BoundFunction, price: Any, e: Any) -> Any:
    """F*(lam) - lam e of every group."""
    curve = bound.curve(price)
    return curve.values + price * (curve.maximiser - e)


@curved_function
def test_any_price_has_a_finite_conjugate(row: Row) -> None:
    bound = row.bound
    for price in (0.0, 1e-300, -1e-300, 1e3, -1e3, 1e12, -1e12):
        curve = bound.curve(np.full(N, price))
        assert np.isfinite(curve.value)
        assert ((curve.maximiser >= LEAST) & (curve.maximiser <= MOST)).all()
        assert np.isfinite(curve.slope).all()
        assert curve.maximiser == pytest.approx(MOST) or price <= 1e-300 or price < 1e3


@curved_function
def test_within_changes_nothing_but_the_range(row: Row) -> None:
    wide = row.bound
    least, most = LEAST + 0.3 * (MOST - LEAST), LEAST + 0.8 * (MOST - LEAST)
    narrow = wide.within(least, most)
    inside, outer = narrow.price_box(), wide.price_box()
    assert (inside.lower >= outer.lower - 1e-12).all()
    assert (inside.upper <= outer.upper + 1e-12).all()
    for seed in range(30):
        price = row.prices(seed, wide=True)
        grid = np.linspace(least, most, 2001)
        best = float(np.max(np.stack([row.formula(e) + price * e for e in grid]), axis=0).sum())
        assert narrow.conjugate(price) <= wide.conjugate(price) + 1e-9
        assert narrow.conjugate(price) >= best - 1e-9 * max(1.0, abs(best))
        assert narrow.conjugate(price) == pytest.approx(best, rel=1e-4, abs=1e-4)
        e = np.random.default_rng(seed).uniform(least, most)
        assert narrow.value(e) == pytest.approx(wide.value(e), rel=1e-12)
        low = wide.least_value(least, most)
        assert low <= wide.value(e) + 1e-9
    corners = np.minimum(row.formula(least), row.formula(most))
    assert wide.least_value(least, most) == pytest.approx(float(corners.sum()))


@curved_function
def test_a_curved_function_limits_nothing(row: Row) -> None:
    bound = row.bound
    lower, upper, penalty = bound.band()
    assert (lower == -INF).all()
    assert (upper == INF).all()
    assert (penalty == INF).all()
    assert not bound.is_constraint
    assert not bound.excess(np.full(N, 1e6)).any()


@every_function
def test_conic_form_has_the_same_value(row: Row) -> None:
    import cvxpy as cp

    for seed in range(4):
        e = row.totals(seed)
        if row.bound.is_curved:
            e = np.maximum(e, LEAST + 0.1 * (MOST - LEAST))  # away from log 0
        total = cp.Variable(N)
        conic = row.bound.conic(total)
        problem = cp.Problem(cp.Maximize(conic.objective), [*conic.constraints, total == e])
        problem.solve(solver=cp.CLARABEL)
        value = row.bound.value(e)
        if np.isfinite(value):
            assert problem.value == pytest.approx(value, rel=1e-6, abs=1e-6)
        else:
            assert problem.status in ("infeasible", "infeasible_inaccurate")


@every_function
def test_conic_form_has_the_same_prices(row: Row) -> None:
    """max lam e + F(e) over all totals e in the range is F*(lam), and the price of the totals is lam."""
    import cvxpy as cp

    bound = row.bound
    total = cp.Variable(N)
    conic = bound.conic(total)
    price, ends = row.prices(3) * 0.5, []
    if bound.is_curved:  # the prices of totals that are well inside
        assert isinstance(bound, BoundSeparable)
        price = -bound.slope(0.5 * (LEAST + MOST))
        if not alpha_is_positive(row):
            ends = [total >= LEAST, total <= MOST]
    assert price.any()
    problem = cp.Problem(cp.Maximize(conic.objective + price @ total), [*conic.constraints, *ends])
    problem.solve(solver=cp.CLARABEL)
    # without the ends of the range: they are not where the best total is
    assert problem.value == pytest.approx(bound.conjugate(price), rel=1e-5, abs=1e-5)
    assert conic.prices() == pytest.approx(price, rel=1e-4, abs=1e-4)


@every_function
def test_each_row_has_a_name_and_takes_another(row: Row) -> None:
    assert row.stated.name == str(row.stated) == repr(row.stated)
    named = row.stated.named("mine")
    assert named.name == "mine"
    assert str(named) == str(row.stated) or isinstance(named.bind(LABELS), BoundSoft)
    assert named.bind(LABELS).value(MOST) == row.stated.bind(LABELS).value(MOST)


def test_every_function_of_the_package_has_a_row() -> None:
    from oasis_alloc import functions

    files = {path.stem for path in Path(functions.__file__).parent.glob("*.py")}
    assert {type(row.stated).__module__.rpartition(".")[2] for row in TABLE.values()} == files - {
        "__init__",
        "base",
        "separable",
    }


# Piecewise linear functions: bands with two sides, whose conjugates are linear on price variables.

FUNCTIONS: dict[str, BoundFunction] = {
    "band": BoundBand(LOWER, UPPER),
    "soft band": BoundSoft(LOWER, UPPER, 0.75),
    "cheap soft band": BoundSoft(LOWER, UPPER, 1e-3),
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
    for seed in range(200):
        e, price = totals(seed), prices_in_domain(function, seed + 1)
        assert np.isfinite(function.conjugate(price))
        assert function.value(e) + price @ e <= function.conjugate(price) + 1e-9


@each_function
def test_conjugate_is_the_supremum(function: BoundFunction) -> None:
    """Over a grid that holds the limits, at which a piecewise linear function has its supremum."""
    limits = np.concatenate([LOWER, UPPER])
    grid = np.unique(np.concatenate([np.linspace(-50, 50, 201), limits[np.isfinite(limits)]]))
    for seed in range(30):
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
    for seed in range(60):
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
    for seed in range(30):
        price = prices_in_domain(function, seed)
        result = linprog(box.limit, A_eq=sums, b_eq=price, bounds=bounds, method="highs")
        assert result.fun == pytest.approx(function.conjugate(price), abs=1e-8)


@each_function
def test_gradient_of_the_conjugate_is_the_limit_that_a_price_presses(function: BoundFunction) -> None:
    step = 1e-6
    for seed in range(20):
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
        assert function.value(outside) == pytest.approx(-function.band()[2][0] * off.sum())
        assert not function.excess(outside).any()


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


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (oa.log(E), 'log(exposure(by="key"), offset=1)'),
        (5 * oa.log(E, 0.1), '5 * log(exposure(by="key"), offset=0.1)'),
        (2 * (oa.log(E) / 4), '0.5 * log(exposure(by="key"), offset=1)'),
        (np.float64(2.0) * oa.log(E), '2 * log(exposure(by="key"), offset=1)'),
        (np.float32(2.0) * oa.log(E) * np.int64(2), '4 * log(exposure(by="key"), offset=1)'),
        (-oa.square_deviation(E, 3), '-square_deviation(exposure(by="key"), 3)'),
        (-0.1 * oa.square_deviation(E, {"a": 1.0}), "-0.1 * square_deviation(exposure(by=\"key\"), {'a': 1.0})"),
        (-oa.square_deviation(E, dict.fromkeys("abcd", 1)), '-square_deviation(exposure(by="key"), {4 labels})'),
        (-oa.square_deviation(E, [1, 2]), '-square_deviation(exposure(by="key"), array of 2)'),
        (oa.alpha_fair(E, 2), 'alpha_fair(exposure(by="key"), alpha=2, offset=0)'),
    ],
)
def test_texts(stated: Function, text: str) -> None:
    assert str(stated) == text


R = oa.total("r")
LOG, SQUARE = oa.log(E), oa.square_deviation(E, 3)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (R + LOG, f'total("r") + {LOG}'),
        (LOG + R, f'total("r") + {LOG}'),
        (R - 0.1 * SQUARE, f'total("r") - 0.1 * {SQUARE}'),
        (LOG - SQUARE, f"{LOG} - {SQUARE}"),
        (-SQUARE + LOG, f"-{SQUARE} + {LOG}"),
        (2 * (R + LOG), f'2 * total("r") + 2 * {LOG}'),
        ((R + LOG) / 2, f'0.5 * total("r") + 0.5 * {LOG}'),
        (R - (SQUARE - LOG), f'total("r") - {SQUARE} + {LOG}'),
        ((R + LOG) - (SQUARE - R), f'2 * total("r") + {LOG} - {SQUARE}'),
        (LOG - (SQUARE - R), f'total("r") + {LOG} - {SQUARE}'),
        (sum([LOG, R, oa.exposure()]), f'total("r") + exposure() + {LOG}'),
        (np.float64(2) * (R + LOG), f'2 * total("r") + 2 * {LOG}'),
    ],
)
def test_objectives_add_up(objective: Any, text: str) -> None:
    assert str(objective) == text


def test_targets_are_copied() -> None:
    targets = np.array([1.0, 2.0])
    stated = -oa.square_deviation(E, targets)
    targets[:] = 99.0
    assert stated.bind(["a", "b"]).value(np.array([1.0, 2.0])) == 0.0
    mapping = {"a": 1.0, "b": 2.0}
    stated = -oa.square_deviation(E, mapping)
    mapping["a"] = 99.0
    assert stated.bind(["a", "b"]).value(np.array([1.0, 2.0])) == 0.0
