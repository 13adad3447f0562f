"""The kernel of slates with rules against twins: all subsets, linear and quadratic programs, finite differences."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from effort import diagonal
from pairs import Data, call
from ruled import DATA, FREE, SPECS, WHOLE, Users, best_whole, case, without_decrements

from oasis_alloc.kernels.rules import curvature, ruled
from oasis_alloc.kernels.rules.rules import Rules, scratch
from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import jobs, visit

Array = np.ndarray[Any, Any]

HUGE = float(np.finfo(np.float64).max)
NEXT_TO_NONE = 1e-9
NUMBERS = [visit.SMOOTHED, visit.BOUND, visit.VALUE]
GENERIC = ["exposure alone", "columns"]

# Not on all data in every run.
every_rule = pytest.mark.parametrize(("name", "data_name"), diagonal(list(SPECS), list(DATA)))
every_rule_on_generic_data = pytest.mark.parametrize(("name", "data_name"), diagonal(list(SPECS), GENERIC))
half_of_the_rules = pytest.mark.parametrize(("name", "data_name"), diagonal(list(SPECS), list(DATA), every=2))
a_third_of_the_rules = pytest.mark.parametrize(("name", "data_name"), diagonal(list(SPECS), GENERIC, every=3))


@pytest.fixture(params=list(DATA))
def data_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(SPECS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def users(data_name: str, name: str) -> Users:
    return Users(*case(data_name, name))


@cache
def optimum(data_name: str, name: str) -> float:
    return users(data_name, name).solve(DATA[data_name].scores)[0]


def run(
    job: int,
    data: Data,
    rules: Rules,
    gamma: float,
    slack: float = HUGE,
    threshold: Array | None = None,
    nu: Array | None = None,
    further: jobs.FurtherPrices | None = None,
    capacity: int = 8192,
    ranges: tuple[float, ...] = (0.0, 1.0),
    **marks: Any,
) -> dict[str, Any]:
    """Do a job on all users, range after range; `out` is the sum of the ranges'."""
    n_extra = data.pairs.extra.shape[0]
    load, square = np.zeros((2, n_extra + 1, data.n_cells))
    kept = jobs.RuledCurvature(
        np.zeros(capacity, np.int64), np.zeros((n_extra, capacity)), np.zeros(capacity + 1, np.int64),
        np.zeros(capacity + 1, np.int64), np.zeros(8 * capacity), np.zeros(capacity + 1, np.int64),
    )  # fmt: skip
    threshold = np.zeros(data.n_users) if threshold is None else threshold
    nu = np.zeros(data.n_users if rules.target.size else 0) if nu is None else nu
    further = jobs.no_further() if further is None else further
    outs = []
    for a, b in itertools.pairwise([int(share * data.n_users) for share in ranges]):
        outs.append(np.zeros(visit.N_OUT))
        point, sums = (
            jobs.Point(data.price, gamma, slack, threshold, nu, further),
            jobs.Sums(load, square, kept, 1, outs[-1]),
        )
        made = scratch(a, b, data.pairs.indptr, rules)
        ruled.visit(job, jobs.Users(a, b, 1), data.pairs, point, sums, jobs.marks(**marks), rules, *made)
    out = np.sum(outs, axis=0)
    return {"load": load, "square": square, "kept": kept, "out": out, "threshold": threshold, "nu": nu}


def product(got: dict[str, Any], direction: Array) -> Array:
    out = np.zeros_like(got["load"])
    curvature.curvature_product(int(got["out"][visit.KEPT_USERS]), got["kept"], direction.reshape(out.shape), out)
    return out


def priced(data: Data, price: Array) -> Data:
    return Data(data.pairs, price, data.n_classes)


@pytest.mark.few(3)
@pytest.mark.parametrize(("name", "data_name"), diagonal(WHOLE, list(DATA)))
def test_the_best_whole_slate_is_the_best_slate(data_name: str, name: str) -> None:
    """Where rules nest: the linear programs of these tests, and the kernel, against all subsets."""
    data, rules = case(data_name, name)
    each = users(data_name, name).each(data.scores)
    for u, mine in enumerate(data.users()):
        if mine.size <= 10:
            assert best_whole(data, rules, u, mine, data.scores) == pytest.approx(each[u], abs=1e-9)


@pytest.mark.few(3)
@half_of_the_rules
def test_the_bound_is_what_the_best_slates_are_worth(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    best = optimum(data_name, name)
    got = run(ruled.VISIT, data, rules, NEXT_TO_NONE)["out"]
    assert got[visit.BOUND] == pytest.approx(best, rel=1e-8)
    assert got[visit.SMOOTHED] == pytest.approx(best, rel=1e-7)
    for gamma in (1e-3, 0.3, 50.0):  # it is one at any smoothing
        assert run(ruled.VISIT, data, rules, gamma)["out"][visit.BOUND] >= best - 1e-9 * abs(best)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("name", "gamma", "data_name"), diagonal(list(SPECS), {"0.05": 0.05, "0.5": 0.5}, ["ties", "columns"], every=2)
)
def test_the_smoothed_slate_is_the_optimum_of_a_quadratic_program(data_name: str, name: str, gamma: float) -> None:
    data, rules = case(data_name, name)
    value, x = users(data_name, name).smoothed(data.scores, gamma)
    got = run(ruled.VISIT, data, rules, gamma)
    assert got["out"][visit.SMOOTHED] == pytest.approx(value, rel=1e-7)
    assert got["load"] == pytest.approx(data.table(x), abs=1e-3)
    assert got["out"][visit.USERS] == data.n_users
    own = np.zeros(data.of.size)
    run(ruled.ALLOCATE, data, rules, gamma, 0.0, got["threshold"], got["nu"], x=own)
    assert own == pytest.approx(x, abs=1e-3)
    assert data.table(own) == pytest.approx(got["load"], abs=1e-8)
    # what it is worth: values less decrements, of this very slate
    paid = users(data_name, name).paid(own)
    assert got["out"][visit.VALUE] == pytest.approx(data.pairs.value @ own - paid, rel=1e-7)
    fractional, whole = int(((own > 1e-9) & (own < 1.0 - 1e-9)).sum()), int((own >= 1.0 - 1e-9).sum())
    assert fractional <= got["out"][visit.FRACTIONAL] <= fractional + whole  # which are whole but for a rounding


@pytest.mark.few(3)
@every_rule_on_generic_data
def test_totals_are_the_gradient_and_products_the_derivative_of_the_totals(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    several = SPECS[name].further and SPECS[name].keep is not None  # masses are then known to 1e-8
    gamma, step = 0.5, 1e-4 if several else 1e-6
    direction = np.random.default_rng(8).normal(size=data.price.shape)
    here = run(ruled.VISIT, data, rules, gamma)
    ahead, behind = (
        run(ruled.VISIT, priced(data, data.price + sign * step * direction), rules, gamma) for sign in (1.0, -1.0)
    )
    slope = (behind["out"][visit.SMOOTHED] - ahead["out"][visit.SMOOTHED]) / (2 * step)
    assert slope == pytest.approx(float(np.sum(here["load"] * direction.reshape(here["load"].shape))), rel=1e-6)
    assert here["out"][visit.KEPT] == here["out"][visit.CURVED]
    change = (behind["load"] - ahead["load"]) / (2 * step)
    assert product(here, direction) / gamma == pytest.approx(change, abs=2e-3 if several else 1e-4)


@a_third_of_the_rules
def test_the_squares_are_the_diagonal_of_the_products(data_name: str, name: str) -> None:
    """One pair after the other; those of one user and cell have cross terms, which squares leave out."""
    data, rules = case(data_name, name)
    got = run(ruled.VISIT, data, rules, 0.5)
    kept, square, begin = got["kept"], np.zeros_like(got["square"]), 0
    for u in range(int(got["out"][visit.KEPT_USERS])):
        first, last = np.abs(kept.end[kept.runs[u : u + 2]])
        vectors = kept.held[kept.vectors[u] : kept.vectors[u + 1]].reshape(last - first, -1)
        assert vectors.T @ vectors == pytest.approx(np.eye(vectors.shape[1]), abs=1e-9)
        for run_ in range(kept.runs[u], kept.runs[u + 1]):
            end = abs(int(kept.end[run_ + 1]))
            held = kept.end[run_ + 1] > 0
            for i in range(begin, end):
                part = 1.0 - (1.0 / (end - begin) if held else 0.0) - np.sum(vectors[i - first] ** 2)
                columns = np.concatenate([[1.0], kept.extra[:, i]])
                square[:, kept.cell[i]] += max(part, 0.0) * columns**2
            begin = end
    assert square == pytest.approx(got["square"], abs=1e-9)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "data_name", "slack"), diagonal(list(SPECS), GENERIC, {"0.2": 0.2, "0.0": 0.0}, every=3)
)
def test_a_warm_start_changes_nothing(data_name: str, name: str, slack: float) -> None:
    data, rules = case(data_name, name)
    further = jobs.further_prices(np.full(data.n_users, 3)) if rules.start.size else jobs.no_further()
    cold = run(ruled.VISIT, data, rules, 0.2, further=further)
    t, nu, price = cold["threshold"], cold["nu"], further.price.copy()
    rng = np.random.default_rng(0)
    for start, guard, times in ((t, nu, 1.0), (t + 0.5, nu + 0.1, 1.5), (0.3 * t, 3.0 * nu, 0.0), (-t, nu[::-1], 9.0)):
        further.price[:] = price * times if times else rng.permutation(price)
        warm = run(ruled.VISIT, data, rules, 0.2, slack, start.copy(), guard.copy(), further)
        assert warm["out"][NUMBERS] == pytest.approx(cold["out"][NUMBERS], rel=1e-7)
        assert warm["load"] == pytest.approx(cold["load"], abs=1e-6)


@half_of_the_rules
def test_ranges_of_users_add_up(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    whole = run(ruled.VISIT, data, rules, 0.1)
    parts = run(ruled.VISIT, data, rules, 0.1, ranges=(0.0, 0.3, 0.3, 1.0))
    assert parts["load"] == pytest.approx(whole["load"], abs=1e-12)
    assert parts["square"] == pytest.approx(whole["square"], abs=1e-12)
    assert parts["out"][: visit.KEPT] == pytest.approx(whole["out"][: visit.KEPT], rel=1e-12)
    assert np.array_equal(parts["threshold"], whole["threshold"])
    assert np.array_equal(parts["nu"], whole["nu"])


@pytest.mark.parametrize(("name", "capacity"), diagonal(list(SPECS), {"7": 7, "0": 0}, every=3))
def test_curvature_keeps_whole_runs_within_its_capacity(name: str, capacity: int) -> None:
    data, rules = case("columns", name)
    full = run(ruled.VISIT, data, rules, 0.5)
    part = run(ruled.VISIT, data, rules, 0.5, capacity=capacity)
    n_users, pairs = int(part["out"][visit.KEPT_USERS]), int(part["out"][visit.KEPT])
    assert pairs <= capacity
    assert abs(part["kept"].end[part["kept"].runs[n_users]]) == pairs
    assert part["out"][visit.CURVED] == full["out"][visit.CURVED]
    assert np.array_equal(part["load"], full["load"])
    assert np.array_equal(part["square"], full["square"])


def decided(data: Data, rules: Rules, within: float) -> Array:
    state = np.full(data.of.size, 9, np.uint8)
    margin = np.full(data.price.shape[1:], within)
    run(ruled.DECIDE, data, rules, NEXT_TO_NONE, 0.0, margin=margin, state=state, bound=np.zeros(1))
    return state


@half_of_the_rules
def test_the_bound_of_decisions_is_that_of_a_visit(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    bound, margin, state = np.array([0.5]), np.full(data.price.shape[1:], 0.1), np.zeros(data.of.size, np.uint8)
    run(ruled.DECIDE, data, rules, NEXT_TO_NONE, 0.0, margin=margin, state=state, bound=bound)
    expected = run(ruled.VISIT, data, rules, NEXT_TO_NONE)["out"][visit.BOUND]
    assert bound[0] - 0.5 == pytest.approx(expected, rel=1e-9)
    best = optimum(data_name, name)
    assert bound[0] - 0.5 >= best - 1e-9 * abs(best)


@pytest.mark.few(3)
@half_of_the_rules
@pytest.mark.parametrize("width", [0.13, *(pytest.param(width, marks=pytest.mark.full) for width in (1e-6, 1.0))])
def test_what_is_decided_is_part_of_a_best_slate(data_name: str, name: str, width: float) -> None:
    """With everything that is decided held where it is, slates are worth as much as ever."""
    data, rules = case(data_name, name)
    state = decided(data, rules, width)
    held = (state == decide_kernels.IN).astype(float)
    free = (state != decide_kernels.OUT_OF).astype(float)
    best = optimum(data_name, name)
    assert users(data_name, name).solve(data.scores, held, free)[0] == pytest.approx(best, rel=1e-8)
    if width <= 1e-6 and data_name in GENERIC:
        left = (state == decide_kernels.UNDECIDED) & (rules.size[data.of] > 0)
        # a threshold may end at a candidate's own; guards and crossing categories mix slates
        assert left.mean() < (0.05 if name in WHOLE else 0.25)


@half_of_the_rules
def test_margins_count_what_decisions_leave_open(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    widest = 0.8
    histogram = np.zeros(decide_kernels.N_BINS, np.int64)
    run(ruled.MARGINS, data, rules, NEXT_TO_NONE, 0.0, widest=widest, histogram=histogram)
    counts = np.cumsum(histogram)
    for bins in (60, decide_kernels.N_BINS):
        edge = widest * bins / decide_kernels.N_BINS
        least, most = (
            int((decided(data, rules, edge + off) == decide_kernels.UNDECIDED).sum()) for off in (-1e-9, 1e-9)
        )
        assert least <= counts[bins - 1] <= most
        assert most - least <= (4 if data_name in GENERIC else data.of.size)


@pytest.mark.parametrize("name", ["plain", *FREE])
@pytest.mark.parametrize("gamma", [1e-3, 0.3, 50.0])
def test_rules_that_do_not_bind_leave_the_plain_kernels_answers(data_name: str, name: str, gamma: float) -> None:
    data, rules = case(data_name, name)
    plain, got = call(data, 3, gamma), run(ruled.VISIT, data, rules, gamma)
    off = float(max(1e-9, 1e-13 * np.abs(data.scores).max() / gamma))
    assert got["out"][NUMBERS[::2]] == pytest.approx(plain["out"][NUMBERS[::2]], rel=off)
    assert got["out"][visit.BOUND] >= plain["out"][visit.BOUND] * (1 - 1e-12)  # dual values, and best slates
    assert got["load"] == pytest.approx(plain["load"], abs=50 * off)
    if data_name in GENERIC:  # without ties the thresholds are the same
        assert got["square"] == pytest.approx(plain["square"], abs=1e-9)
        assert got["out"][visit.CURVED] == plain["out"][visit.CURVED]


@pytest.mark.parametrize("name", ["plain", *FREE])
@pytest.mark.parametrize("data_name", GENERIC)
def test_rules_that_do_not_bind_decide_as_the_plain_kernels_do(data_name: str, name: str) -> None:
    data, rules = case(data_name, name)
    within = np.full(data.price.shape[1:], 0.1)
    expected = np.zeros(data.of.size, np.uint8)
    decide_kernels.decide(0, data.n_users, data.pairs, data.price, 3, within, expected, np.zeros(1))
    positive = np.bincount(data.of, data.scores > 0, data.n_users)
    # a slate that is just full may have its cut anywhere between 0 and its last item
    same = positive[data.of] != 3
    assert np.array_equal(decided(data, rules, 0.1)[same], expected[same])
    assert same.mean() > 0.5


@pytest.mark.few(3)
def test_what_users_can_attain(name: str) -> None:
    """The most of a column in everyone's slate, whatever the prices; guards and decrements aside."""
    data, rules = case("columns", name)
    free = without_decrements(rules)._replace(guard=case("columns", "plain")[1].guard, target=np.empty(0))
    out = np.full(data.n_users, np.nan)
    run(ruled.ATTAIN, data, free, NEXT_TO_NONE, 0.0, x=out)
    assert out == pytest.approx(Users(data, free).each(data.pairs.value), abs=1e-6)
