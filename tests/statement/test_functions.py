"""Concave functions of totals: one row a function, and every check for every row (two fine ones in a full run).

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
from effort import examples, full_only

import oasis_alloc as oa
from oasis_alloc.statement.functions.base import BoundFunction, Function
from oasis_alloc.statement.functions.separable import BoundSeparable
from oasis_alloc.statement.functions.soft import BoundSoft
from oasis_alloc.statement.functions.support import BoundSupport

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
        if isinstance(self.bound, BoundSupport):
            return self.bound.admit(rng.normal(0.0, 2.0, N))
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
    "reach": Row(0.75 * oa.reach(D, 1.5), lambda e: 0.75 * np.minimum(e, 1.5)),
}
SHARES = np.array([1.0, 2.0, 0.5, 3.0, 1.0, 1.5, 1.0])
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
    "entropy": Row(30.0 * oa.entropy(E, total=20.0), lambda e: -30.0 * (e / 20) * np.log(np.where(e > 0, e / 20, 1.0))),
    "kl": Row(
        -40.0 * oa.kl(E, dict(zip(LABELS, SHARES, strict=True)), total=30.0),
        lambda e: -40.0 * ((e / 30) * np.log(np.where(e > 0, e / 3 / SHARES, 1.0)) - e / 30 + SHARES / 10),
    ),
    "kl, smoothing 0.1": Row(
        -40.0 * oa.kl(E, dict(zip(LABELS, SHARES, strict=True)), total=30.0, smoothing=0.1),
        lambda e: -4.0 * SHARES * np.log(SHARES / 10 / (0.9 * e / 30 + 0.1 * SHARES / 10)),
    ),
    "kl, equal shares": Row(
        -0.5 * oa.kl(E, 3.0, total=1.0), lambda e: -0.5 * (e * np.log(np.where(e > 0, e * N, 1.0)) - e + 1 / N)
    ),
}
FALLING = np.array([3.0, 2.0, 2.0, 1.0, 0.5, 0.0, 0.0])
GINI = (2.0 * (N - np.arange(1, N + 1)) + 1.0) / N**2
SUPPORTS = {
    "worst_off": Row(oa.worst_off(D), lambda e: np.min(e)),
    "worst_off, weights": Row(
        2.5 * oa.worst_off(D, dict(zip(LABELS, SHARES, strict=True))), lambda e: 2.5 * np.min(e / SHARES)
    ),
    "gini_welfare": Row(4.0 * oa.gini_welfare(D), lambda e: 4.0 * GINI @ np.sort(e)),
    "gini_welfare, weights": Row(0.5 * oa.gini_welfare(D, FALLING), lambda e: 0.5 * FALLING @ np.sort(e)),
    "gini_welfare, worst-off": Row(3.0 * oa.gini_welfare(D, np.eye(N)[0]), lambda e: 3.0 * np.min(e)),
    "gini_welfare, mean": Row(N * oa.gini_welfare(D, np.ones(N) / N), np.sum),
}
TABLE = BANDS | CURVED | SUPPORTS
PLAIN = BANDS | CURVED  # of one price a total each; what holds the others together has checks in test_support_functions
every_function = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
plain_function = pytest.mark.parametrize("row", PLAIN.values(), ids=PLAIN)
curved_function = pytest.mark.parametrize("row", CURVED.values(), ids=CURVED)
# Fine grids and searches: one row of each kind in every run, all of them in a full run.
KINDS = ("log, offset 0.1", "alpha_fair, alpha 2", "square_deviation", "entropy", "kl")
curved_kind = pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=name, marks=() if name in KINDS else pytest.mark.full) for name, row in CURVED.items()],
)


@every_function
def test_value_is_the_formula(row: Row) -> None:
    for seed in range(examples(100)):
        e = row.totals(seed)
        with np.errstate(divide="ignore"):
            expected = float(np.sum(row.formula(e)))
        assert row.bound.value(e) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@every_function
def test_value_is_concave(row: Row) -> None:
    bound = row.bound
    for seed in range(examples(100)):
        one, two = row.totals(seed), row.totals(seed + 1000)
        assert bound.value(0.25 * one + 0.75 * two) >= 0.25 * bound.value(one) + 0.75 * bound.value(two) - 1e-9


@every_function
def test_fenchels_inequality(row: Row) -> None:
    bound = row.bound
    for seed in range(examples(200)):
        e, price = row.totals(seed), row.prices(seed + 1, wide=True)
        conjugate = bound.conjugate(price)
        assert np.isfinite(conjugate)
        assert bound.value(e) + price @ e <= conjugate + 1e-9 * max(1.0, abs(conjugate))


@plain_function
def test_fenchels_equality_at_the_maximizer(row: Row) -> None:
    bound = row.bound
    for seed in range(examples(100)):
        price = row.prices(seed, wide=True)
        if bound.is_curved:
            curve = bound.curve(price)
            e = curve.maximizer
            assert ((e >= LEAST) & (e <= MOST)).all()
            assert curve.value == bound.conjugate(price)
            assert curve.values == pytest.approx(row.formula(e), rel=1e-9)
        else:
            lower, upper, _ = bound.band()
            e = np.where(price > 0, upper, np.where(price < 0, lower, np.clip(0.0, lower, upper)))
        assert bound.value(e) + price @ e == pytest.approx(bound.conjugate(price), rel=1e-12, abs=1e-12)


@pytest.mark.few(3)
@pytest.mark.parametrize("seeds", [9, *full_only(30)])
@plain_function
def test_gradient_of_the_conjugate_is_the_maximizer(row: Row, seeds: int) -> None:
    bound, step, seen = row.bound, 1e-6, 0
    for seed in range(seeds):
        price = row.prices(seed) * 0.9
        group, _, _ = row.box()
        for g in np.flatnonzero(np.isin(np.arange(N), group)):
            if not bound.is_curved and abs(price[g]) <= 2 * step:
                continue  # a kink
            move = np.zeros(N)
            move[g] = step
            slope = (bound.conjugate(price + move) - bound.conjugate(price - move)) / (2 * step)
            if bound.is_curved:
                ends = [bound.curve(price + sign * move).maximizer[g] for sign in (-1, 1)]
                assert ends[0] - 1e-6 <= slope <= ends[1] + 1e-6, "a convex function's slope is between its gradients"
                if ends[1] - ends[0] < 1e-4:
                    seen += 1
                    assert slope == pytest.approx(bound.curve(price).maximizer[g], rel=1e-4, abs=1e-4)
            else:
                low, high, _ = bound.band()
                seen += 1
                assert slope == pytest.approx(high[g] if price[g] > 0 else low[g], abs=1e-6)
    assert seen > 2 * seeds // 3


def alpha_is_positive(row: Row) -> bool:
    """False for the plain sum, whose maximizer jumps from one end to the other."""
    return getattr(row.stated, "alpha", 1.0) > 0


@pytest.mark.few(3)
@curved_function
def test_curvature_of_the_conjugate_is_the_slope_of_the_maximizer(row: Row) -> None:
    bound, seen = row.bound, 0
    for seed in range(50):
        price = row.prices(seed)
        step = 1e-5 * np.maximum(np.abs(price), 1e-3)
        low, here, high = (bound.curve(price + sign * step) for sign in (-1, 0, 1))
        slope = (high.maximizer - low.maximizer) / (2 * step)
        inside = (low.maximizer > LEAST) & (high.maximizer < MOST)
        at_end = (high.maximizer == LEAST) | (low.maximizer == MOST)
        assert here.slope[inside] == pytest.approx(slope[inside], rel=1e-4)
        assert not here.slope[at_end].any()
        assert (here.slope >= 0).all()
        seen += int(inside.sum())
    assert seen > 50 or not alpha_is_positive(row)


@curved_function
def test_slope_and_bend_are_derivatives(row: Row) -> None:
    bound = row.bound
    assert isinstance(bound, BoundSeparable)
    for seed in range(examples(20)):
        e = np.maximum(row.totals(seed), 0.05)
        step = 1e-5 * np.maximum(e, 0.1)
        assert bound.f(e) == pytest.approx(row.formula(e), rel=1e-12)
        slope = (bound.f(e + step) - bound.f(e - step)) / (2 * step)
        assert bound.slope(e) == pytest.approx(slope, rel=1e-5, abs=1e-7)
        bend = (bound.slope(e + step) - bound.slope(e - step)) / (2 * step)
        assert bound.second_derivative(e) == pytest.approx(bend, rel=1e-5, abs=1e-7)
        if alpha_is_positive(row):
            assert bound.inverse_slope(bound.slope(e)) == pytest.approx(e, rel=1e-9)


@pytest.mark.few(2)
@curved_kind
def test_prices_in_the_box_are_enough_for_the_biconjugate(row: Row) -> None:
    """F(e) = min of F*(lam) - lam e, group by group, over the prices of the box alone."""
    bound, box = row.bound, row.bound.price_box()
    assert (box.group == np.arange(N)).all()
    assert (box.lower <= box.upper).all()
    for seed in range(examples(20)):
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
    return curve.values + price * (curve.maximizer - e)


@curved_function
def test_any_price_has_a_finite_conjugate(row: Row) -> None:
    bound = row.bound
    for price in (0.0, 1e-300, -1e-300, 1e3, -1e3, 1e12, -1e12):
        curve = bound.curve(np.full(N, price))
        assert np.isfinite(curve.value)
        assert ((curve.maximizer >= LEAST) & (curve.maximizer <= MOST)).all()
        assert np.isfinite(curve.slope).all()
        assert curve.maximizer == pytest.approx(MOST) or price <= 1e-300 or price < 1e3


@pytest.mark.few(2)
@curved_kind
def test_within_changes_nothing_but_the_range(row: Row) -> None:
    wide = row.bound
    least, most = LEAST + 0.3 * (MOST - LEAST), LEAST + 0.8 * (MOST - LEAST)
    narrow = wide.within(least, most)
    inside, outer = narrow.price_box(), wide.price_box()
    assert (inside.lower >= outer.lower - 1e-12).all()
    assert (inside.upper <= outer.upper + 1e-12).all()
    for seed in range(examples(30)):
        price = row.prices(seed, wide=True)
        grid = np.linspace(least, most, 2001)
        best = float(np.max(np.stack([row.formula(e) + price * e for e in grid]), axis=0).sum())
        assert narrow.conjugate(price) <= wide.conjugate(price) + 1e-9
        assert narrow.conjugate(price) >= best - 1e-9 * max(1.0, abs(best))
        assert narrow.conjugate(price) == pytest.approx(best, rel=1e-4, abs=1e-4)
        e = np.random.default_rng(seed).uniform(least, most)
        assert narrow.value(e) == pytest.approx(wide.value(e), rel=1e-12)
        low = wide.min_value(least, most)
        assert low <= wide.value(e) + 1e-9
    corners = np.minimum(row.formula(least), row.formula(most))
    assert wide.min_value(least, most) == pytest.approx(float(corners.sum()))


@curved_function
def test_a_curved_function_limits_nothing(row: Row) -> None:
    bound = row.bound
    lower, upper, penalty = bound.band()
    assert (lower == -INF).all()
    assert (upper == INF).all()
    assert (penalty == INF).all()
    assert not bound.is_constraint
    assert not bound.excess(np.full(N, 1e6)).any()


@pytest.mark.few(3)
@pytest.mark.parametrize("seeds", [2, *full_only(4)])
@every_function
def test_conic_form_has_the_same_value(row: Row, seeds: int) -> None:
    import cvxpy as cp

    for seed in range(seeds):
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


@pytest.mark.few(3)
@plain_function
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
    from oasis_alloc.statement import functions

    files = {path.stem for path in Path(functions.__file__).parent.glob("*.py")}
    assert {type(row.stated).__module__.rpartition(".")[2] for row in TABLE.values()} == files - {
        "__init__",
        "arguments",
        "base",
        "separable",
        "shifted",
        "support",
        "sorting",
        "weighted",
    }
