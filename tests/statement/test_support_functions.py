"""Functions whose prices live in a set that is no box: projections, linear forms, and what a solve makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from curved import E, market, problem
from effort import diagonal, examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from test_functions import LABELS, SUPPORTS, N, Row

import oasis_alloc as oa
from oasis_alloc.statement.functions.gini_welfare import BoundGiniWelfare
from oasis_alloc.statement.functions.sorting import layers
from oasis_alloc.statement.functions.support import BoundSupport
from oasis_alloc.statement.functions.worst_off import BoundWorstOff

every_support = pytest.mark.parametrize("row", SUPPORTS.values(), ids=SUPPORTS)
SIZES = [1e-3, 0.25, 1.0, 7.0, 1e4]


def bound_of(row: Row) -> BoundSupport:
    bound = row.stated.bind(LABELS)
    assert isinstance(bound, BoundSupport)
    return bound


def farthest(bound: BoundSupport, d: Any) -> float:
    """The most that `mu @ d` is over Pi: at a corner, which both sets have by their definition."""
    if isinstance(bound, BoundWorstOff):
        return bound.weight * float(np.max(d / bound.weights))
    assert isinstance(bound, BoundGiniWelfare)
    return float(bound.weights @ np.sort(d)[::-1])


def is_in(bound: BoundSupport, mu: Any, tolerance: float = 1e-9) -> bool:
    """Membership by the inequalities of each set."""
    slop = tolerance * float(np.abs(bound.largest()).sum())
    if isinstance(bound, BoundWorstOff):
        return bool(mu.min() >= -slop and abs(mu @ bound.weights - bound.weight) <= slop * bound.weights.max())
    above = np.cumsum(np.sort(mu)[::-1]) - np.cumsum(bound.weights)  # type: ignore[attr-defined]
    return bool(above.max() <= slop and abs(above[-1]) <= slop)


@st.composite
def supports(draw: st.DrawFn, most: int = 9) -> BoundSupport:
    """Either function over 1 to `most` groups, with ties and zeros among its weights."""
    n = draw(st.integers(1, most))
    size = draw(st.sampled_from(SIZES))
    if draw(st.booleans()):
        weights = np.array(draw(st.lists(st.sampled_from([0.1, 0.5, 1.0, 1.0, 3.0]), min_size=n, max_size=n)))
        return BoundWorstOff(groups=n, weight=size, weights=weights)
    falling = sorted(draw(st.lists(st.sampled_from([0.0, 0.0, 0.3, 1.0, 2.0]), min_size=n, max_size=n)), reverse=True)
    return BoundGiniWelfare(groups=n, weights=size * np.array([max(falling[0], 0.1), *falling[1:]]))


def points(bound: BoundSupport, seed: int, size: float) -> Any:
    """A point of any size, with some entries that tie."""
    rng = np.random.default_rng(seed)
    return size * np.where(rng.random(bound.groups) < 0.4, 0.5, rng.normal(size=bound.groups))


seeds = st.integers(0, 2**20)


@settings(max_examples=examples(300))
@given(bound=supports(), seed=seeds, size=st.sampled_from(SIZES))
def test_the_projection_is_the_nearest_point(bound: BoundSupport, seed: int, size: float) -> None:
    """It is in Pi, and no point of Pi lies further in the direction that was cut off: these prove it."""
    point = points(bound, seed, size)
    near = bound.project(point)
    assert is_in(bound, near)
    scale = max(float(np.abs(point).max()), float(bound.largest().max()))
    off = point - near
    assert farthest(bound, off) <= near @ off + 1e-9 * scale**2 * bound.groups
    assert bound.project(near) == pytest.approx(near, rel=1e-9, abs=1e-9 * float(bound.largest().max()))
    other = points(bound, seed + 1, size)
    moved = np.linalg.norm(bound.project(other) - near)
    assert moved <= np.linalg.norm(other - point) + 1e-9 * scale


def inside(bound: BoundSupport, mu: Any) -> list[Any]:
    """The same for a cvxpy variable of N entries."""
    import cvxpy as cp

    if isinstance(bound, BoundWorstOff):
        return [mu >= 0, bound.weights @ mu == bound.weight]
    weights = bound.weights  # type: ignore[attr-defined]
    limits = [cp.sum_largest(mu, k) <= float(weights[:k].sum()) for k in range(1, N)]
    return [*limits, cp.sum(mu) == float(weights.sum())]


@pytest.mark.few(2)
@every_support
def test_the_projection_is_that_of_a_quadratic_program(row: Row) -> None:
    import cvxpy as cp

    bound = bound_of(row)
    point = np.random.default_rng(5).normal(0.0, 2.0, N)
    mu = cp.Variable(N)
    cp.Problem(cp.Minimize(cp.sum_squares(mu - point)), inside(bound, mu)).solve(solver=cp.CLARABEL)
    assert bound.project(point) == pytest.approx(mu.value, abs=1e-5)


@settings(max_examples=examples(300))
@given(bound=supports(12), seed=seeds, size=st.sampled_from(SIZES), spread=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_nearest_point_in_any_metric(bound: BoundSupport, seed: int, size: float, spread: float) -> None:
    """It is in Pi, and the slope there leads out of Pi in every direction: these prove it."""
    rng = np.random.default_rng(seed)
    unit = float(bound.largest().max())
    point, slope = points(bound, seed, size), rng.normal(size=bound.groups) * rng.choice([0.0, unit, size])
    metric = np.exp(spread * rng.normal(size=bound.groups))
    near = bound.nearest(point, slope, metric)
    assert is_in(bound, near)
    there = slope + metric * (near - point)
    scale = float(np.abs(there).max()) * max(float(np.abs(point).max()), unit)
    assert farthest(bound, -there) <= -there @ near + 1e-9 * scale * bound.groups
    inside = bound.nearest(near, np.zeros(bound.groups), metric)
    assert inside == pytest.approx(near, rel=1e-9, abs=1e-9 * unit)


@pytest.mark.few(2)
@every_support
def test_the_nearest_point_is_that_of_a_quadratic_program(row: Row) -> None:
    """One whose entries have curvatures and slopes of their own."""
    import cvxpy as cp

    bound = bound_of(row)
    rng = np.random.default_rng(7)
    point, slope, metric = rng.normal(0.0, 2.0, N), rng.normal(0.0, 1.0, N), np.exp(rng.normal(size=N))
    mu = cp.Variable(N)
    cost = slope @ (mu - point) + 0.5 * cp.sum(cp.multiply(metric, cp.square(mu - point)))
    cp.Problem(cp.Minimize(cost), inside(bound, mu)).solve(solver=cp.CLARABEL)
    assert bound.nearest(point, slope, metric) == pytest.approx(mu.value, abs=1e-5)


@settings(max_examples=examples(150))
@given(bound=supports(), seed=seeds, size=st.sampled_from(SIZES))
def test_the_conjugate_is_0_in_the_domain_and_a_bound_on_the_range(bound: BoundSupport, seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    least = rng.normal(size=bound.groups)
    most = least + rng.choice([0.0, 1.0, 5.0], bound.groups)
    told = bound.within(least, most)
    prices = points(bound, seed, size)
    inside = bound.admit(prices)
    worth = float(np.abs(inside).max()) * float(np.abs(most).max() + 1.0)
    assert bound.conjugate(inside) == 0.0
    assert told.conjugate(inside) == pytest.approx(0.0, abs=1e-9 * worth * bound.groups)
    if not is_in(bound, -prices, 1e-6):
        assert bound.conjugate(prices) == np.inf
    assert np.isfinite(told.conjugate(prices))
    scale = max(float(np.abs(prices).max()), float(bound.largest().max())) * float(np.abs(most).max() + 1.0)
    for _ in range(5):
        e = rng.uniform(least, most)
        assert told.value(e) + prices @ e <= told.conjugate(prices) + 1e-9 * scale * bound.groups
        assert bound.value(e) + inside @ e <= 1e-9 * scale * bound.groups
        assert told.min_value(least, most) <= told.value(e) + 1e-9 * scale * bound.groups


@settings(max_examples=examples(150))
@given(bound=supports(12), seed=seeds, spread=st.sampled_from([0.0, 0.3, 3.0]))
def test_the_linear_form_is_the_function_and_its_prices_are_in_the_domain(
    bound: BoundSupport, seed: int, spread: float
) -> None:
    """Of totals within the range that it was told; and nowhere above the function that its first prices say."""
    rng = np.random.default_rng(seed)
    middle = np.where(rng.random(bound.groups) < 0.3, 1.0, rng.normal(0.0, 2.0, bound.groups))
    low, high = middle - spread * rng.random(bound.groups), middle + spread * rng.random(bound.groups)
    prices = bound.admit(points(bound, seed, 1.0))
    form = bound.linear(low, high, prices)
    for e in (rng.uniform(low, high), low, high, middle + rng.normal(0.0, 9.0, bound.groups)):
        worth, mu = linear_value(form, e)
        size = float(np.abs(bound.largest()).max()) * (1.0 + float(np.abs(e).max()))
        if ((e >= low) & (e <= high)).all():
            assert worth == pytest.approx(bound.value(e), rel=1e-7, abs=1e-7 * size)
        assert bound.value(e) - 1e-7 * size <= worth <= -prices @ e + 1e-7 * size
        assert is_in(bound, mu, 1e-7)
        assert mu @ e == pytest.approx(worth, rel=1e-7, abs=1e-7 * size)


def linear_value(form: Any, e: Any) -> tuple[float, Any]:
    """The form's optimum at some totals, and their shadow prices."""
    import scipy.sparse as sp

    n = form.gain.size
    fixed = sp.vstack([form.totals, form.inner[form.equal]], format="csr")
    room = form.inner[~form.equal]
    result = linprog(
        -form.gain, room if room.shape[0] else None, np.zeros(room.shape[0]) if room.shape[0] else None,
        fixed, np.concatenate([e, np.zeros(int(form.equal.sum()))]),
        bounds=np.column_stack([form.lower, np.full(n, np.inf)]), method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    assert result.status == 0, result.message
    return -float(result.fun), -result.eqlin.marginals[: e.size]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 8, 12, 13, 31, 32, 33, 100])
def test_the_network_sorts(n: int) -> None:
    """All sequences of 0 and 1 where there are few (then it sorts everything: Knuth 5.3.4, theorem Z), else many."""
    rng = np.random.default_rng(n)
    if n <= 12:
        every = np.array([[k >> i & 1 for i in range(n)] for k in range(1 << n)], float).reshape(1 << n, n)
    else:
        every = rng.integers(0, 2, (2000, n)) * 1.0
    wires = every.copy()
    for one, two in layers(n):
        assert np.unique(np.concatenate([one, two])).size == 2 * one.size, "comparators of a layer are apart"
        wires[:, one], wires[:, two] = (
            np.minimum(wires[:, one], wires[:, two]),
            np.maximum(wires[:, one], wires[:, two]),
        )
    assert (wires == np.sort(every, axis=1)).all()


def test_a_sorting_network_is_small_where_the_order_is_known() -> None:
    gini = BoundGiniWelfare(groups=1000, weights=np.arange(1000.0, 0.0, -1.0))
    at = np.random.default_rng(0).permutation(1000.0 * np.arange(1000))
    prices = gini.admit(np.zeros(1000))
    assert gini.linear(at - 1.0, at + 1.0, prices).inner.shape[0] == 2
    assert 0.5 < gini.linear(at - 1e9, at + 1e9, prices).inner.shape[0] / gini.linear_size() <= 1.0
    at[3:7] = 500.0
    assert gini.linear(at - 1.0, at + 1.0, prices).inner.shape[0] < 50


def test_weights_by_default_are_those_of_gini() -> None:
    """The mean times 1 minus the Gini coefficient, as the mean difference defines it."""
    e = np.random.default_rng(0).gamma(0.5, 3.0, N)
    coefficient = np.abs(e[:, None] - e[None, :]).mean() / (2.0 * e.mean())
    assert oa.gini_welfare(E("key")).bind(LABELS).value(e) == pytest.approx(e.mean() * (1.0 - coefficient))


def test_special_weights() -> None:
    e = np.random.default_rng(1).normal(size=N)
    first = oa.gini_welfare(E("key"), np.eye(N)[0]).bind(LABELS)
    assert first.value(e) == oa.worst_off(E("key")).bind(LABELS).value(e) == e.min()
    point = np.random.default_rng(2).normal(size=N)
    simplex = oa.worst_off(E("key")).bind(LABELS).project(point)
    assert first.project(point) == pytest.approx(simplex)
    nothing = [oa.gini_welfare(E("key")).bind([]), oa.worst_off(E("key")).bind([])]
    for bound in nothing:
        assert bound.value(np.empty(0)) == bound.conjugate(np.empty(0)) == 0.0
        assert bound.project(np.empty(0)).size == 0


FAIR = {
    "worst_off": 5.0 * oa.worst_off(E("artist")),
    "worst_off, weights": 5.0 * oa.worst_off(E("artist"), 1.0 + np.arange(12) % 3),
    "gini_welfare": 20.0 * oa.gini_welfare(E("artist")),
    "gini_welfare, weights": 2.0 * oa.gini_welfare(E("artist"), np.maximum(5.0 - np.arange(12), 0.0)),
    "gini_welfare of a difference": 2.0 * oa.gini_welfare(oa.total("streams", by="artist") - E("artist")),
}
LIMITS = (1, 5, 20), (2, 3, 8, 12, 30)  # in passes
each_fair = pytest.mark.parametrize("fair", FAIR.values(), ids=FAIR)


@pytest.mark.few(1)
@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize(("fair", "limits"), diagonal(FAIR, {str(passes): passes for passes in LIMITS}, every=2))
def test_a_bound_holds_wherever_a_solve_ends(fair: Any, limits: tuple[int, ...]) -> None:
    """The prices of every step are in the domain, and prove a bound."""
    stated = problem(fair)
    best = oa.solve(stated, solver="conic", gap=1e-6)
    for limit in limits:
        solution = oa.solve(stated, gap=1e-6, pass_limit=limit)
        assert solution.bound >= best.value - 1e-7 * abs(best.value)
        assert np.isfinite(solution.bound)
    assert oa.solve(stated, gap=1e-6).status is oa.Status.SOLVED


@pytest.mark.few(2)
@pytest.mark.parametrize(("fair", "small"), diagonal(FAIR, {"False": False, "True": True}))
def test_prices_of_a_solution_are_in_the_domain(fair: Any, small: bool, request: pytest.FixtureRequest) -> None:
    if small:
        request.getfixturevalue("small_steps")
    stated = problem(fair.named("fair"))
    for solver in ("dual", "conic"):
        solution = oa.solve(stated, gap=1e-6, solver=solver)
        assert solution.status is oa.Status.SOLVED
        bound: Any = stated.bound[-1]
        assert is_in(bound, -solution.prices["fair"])
        assert bound.conjugate(solution.prices["fair"]) == 0.0
        # an optimal price is a slope of the function: it leaves nothing of what the totals are worth
        worth = bound.value(solution.totals["fair"])
        assert -solution.prices["fair"] @ solution.totals["fair"] == pytest.approx(worth, abs=2e-6 * solution.bound)


@pytest.mark.few(1)
@pytest.mark.parametrize("weight", [1e-6, 1e4, *full_only(1e-2)])
def test_weights_of_every_size(weight: float) -> None:
    for function in (oa.worst_off(E("artist")), oa.gini_welfare(E("artist"))):
        stated = problem(weight * function, constraints=[(E("campaign") <= 75).named("caps")])
        ours, reference = oa.solve(stated, gap=1e-6), oa.solve(stated, solver="conic", gap=1e-6)
        assert ours.status is oa.Status.SOLVED
        size = 1e-6 * abs(ours.bound)
        assert ours.value <= reference.bound + size
        assert reference.value <= ours.bound + size


def test_the_worst_off_get_more_and_prices_start_a_solve() -> None:
    large = market(2000, 10, 300, n_artists=60, seed=3)
    caps = [(E("campaign") <= 720.0).named("caps")]
    plain = oa.solve(problem((1e-9 * oa.worst_off(E("artist"))).named("fair"), constraints=caps, candidates=large))
    stated = problem((50.0 * oa.worst_off(E("artist"))).named("fair"), constraints=caps, candidates=large)
    fair = oa.solve(stated)
    assert fair.status is oa.Status.SOLVED
    assert fair.totals["fair"].min() > 1.5 * plain.totals["fair"].min()
    assert (fair.prices["fair"][fair.totals["fair"] > 1.1 * fair.totals["fair"].min()] >= -1e-6).all()
    again = oa.solve(stated, start=fair)
    assert again.status is oa.Status.SOLVED
    assert again.value <= fair.bound + 1e-9 * fair.bound
    one, two = oa.solve(stated, threads=1), oa.solve(stated, threads=2)
    assert (one.value, one.bound) == (two.value, two.bound)


@pytest.mark.full
def test_next_to_demands_that_conflict() -> None:
    for function in (oa.worst_off(E("artist")), oa.gini_welfare(E("artist"))):
        solution = oa.solve(problem(function, constraints=[(E("artist") >= 60).named("floors")]))
        assert solution.status is oa.Status.INFEASIBLE
        assert {conflict.constraint for conflict in solution.conflicts} == {"floors"}
        relaxed = oa.solve(problem(function, constraints=[(E("artist") >= 60).named("floors")]), on_conflict="relax")
        assert relaxed.status is oa.Status.RELAXED
