"""Kernels of slates with rules by category against twins: all subsets, a QP, sorted breakpoints, quadratic counting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from test_kernels import Data, call, make

from oasis_alloc.kernels import capped
from oasis_alloc.kernels import decide as decide_kernels
from oasis_alloc.kernels import visit as kernels
from oasis_alloc.kernels.categories import Categories

Array = np.ndarray[Any, Any]

# of the nine classes of `make`; every category of ARTIST lies in one of GENRE or in none
ARTIST = [0, 0, 1, 1, 2, 2, 3, -1, -1]
GENRE = [0, 0, 0, 0, 1, 1, -1, 1, -1]
NOBODY = [-1] * 9

RULES = {
    "one": ([ARTIST], [1]),
    "two of one": ([GENRE], [2]),
    "nested": ([ARTIST, GENRE], [1, 2]),
    "nested, the same number": ([ARTIST, GENRE], [2, 2]),
    "nested, the coarser binds": ([ARTIST, GENRE], [3, 1]),
    "three": ([ARTIST, GENRE, [0] * 9], [1, 2, 3]),
    "none has a category": ([NOBODY], [1]),
    "larger than any": ([ARTIST, GENRE], [99, 99]),
}
FREE = ("none has a category", "larger than any")
DATA = {
    "exposure alone": make(1, 0, 1, False),
    "ties": make(2, 0, 3, True, np.uint32, np.float32),
    "columns": make(4, 3, 2, False, np.uint32),
    "columns that tie": make(5, 2, 1, True),
}
SIZES = (1, 3, 45)
HUGE = np.finfo(np.float64).max


@pytest.fixture(params=list(DATA))
def data(request: pytest.FixtureRequest) -> Data:
    return DATA[request.param]


@pytest.fixture(params=list(RULES))
def rules(request: pytest.FixtureRequest) -> Categories:
    return rules_of(request.param)


def rules_of(name: str) -> Categories:
    of, most = RULES[name]
    return Categories(np.array(of, np.int32), np.array(most, np.int64), int(np.max(of)) + 1)


def visit(
    data: Data,
    rules: Categories,
    size: int,
    gamma: float,
    slack: float = HUGE,
    threshold: Array | None = None,
    capacity: int = 4096,
    ranges: tuple[float, ...] = (0.0, 1.0),
) -> dict[str, Any]:
    """Run the kernel over all users, range after range; `out` is the sum of the ranges'."""
    n_extra = data.pairs.extra.shape[0]
    load, square = np.zeros((2, n_extra + 1, data.n_cells))
    kept = kernels.Curvature(
        np.zeros(capacity, np.int64), np.zeros((n_extra, capacity)), np.zeros(capacity + 1, np.int64)
    )
    threshold = np.zeros(data.n_users) if threshold is None else threshold
    outs = []
    for a, b in itertools.pairwise([int(share * data.n_users) for share in ranges]):
        outs.append(np.full(kernels.N_OUT, np.nan))
        capped.visit(
            a, b, 1, data.pairs, data.price, size, gamma, slack, threshold, load, square, kept, 1, outs[-1], rules
        )
    return {"load": load, "square": square, "kept": kept, "out": np.sum(outs, axis=0), "threshold": threshold}


def limits(data: Data, rules: Categories, mine: Array, size: int) -> tuple[Array, Array]:
    """(rows, most) over a user's candidates: the slate, and every category of every system."""
    rows, most = [np.ones(mine.size)], [size]
    for of, number in zip(rules.of, rules.most, strict=True):
        category = of[data.pairs.code[mine]]
        for label in np.unique(category[category >= 0]):
            rows.append((category == label).astype(float))
            most.append(int(number))
    return np.array(rows), np.array(most)


def best(data: Data, rules: Categories, mine: Array, size: int) -> float:
    """The value of the best slate: of all subsets where these are few, else by linear programming."""
    from scipy.optimize import linprog

    s = data.scores[mine]
    mine, s = mine[s > 0.0], s[s > 0.0]
    if not mine.size:
        return 0.0
    rows, most = limits(data, rules, mine, size)
    if mine.size <= 10:
        subsets = (np.arange(1 << mine.size)[:, None] >> np.arange(mine.size)) & 1
        kept = (subsets @ rows.T <= most).all(axis=1)
        return float((subsets[kept] @ s).max())
    result = linprog(-s, rows, most, bounds=(0.0, 1.0), method="highs")
    assert result.status == 0
    return float(-result.fun)


def root(s: Array, floor: Array, most: int, gamma: float) -> float:
    """The least t >= 0 with sum of clip((s - max(t, floor)) / gamma, 0, 1) <= most, by the points where it bends."""
    bends = np.unique(np.concatenate([[0.0], s, s - gamma, floor]))
    bends = bends[bends >= 0.0]
    sums = np.clip((s - np.maximum(bends[:, None], floor)) / gamma, 0.0, 1.0).sum(axis=1)
    if sums[0] <= most:
        return 0.0
    k = int(np.flatnonzero(sums > most)[-1])
    return float(bends[k] + (bends[k + 1] - bends[k]) * (sums[k] - most) / (sums[k] - sums[k + 1]))


def smooth(data: Data, rules: Categories, mine: Array, size: int, gamma: float) -> tuple[Array, Array]:
    """(x, the node that holds each candidate back) of the smoothed best slate; node -1 for none, 0 for the slate."""
    s = data.scores[mine]
    rows, most = limits(data, rules, mine, size)
    floor, node = np.zeros(mine.size), np.full(mine.size, -1)
    for k in [*range(1, most.size), 0]:
        members = rows[k] > 0
        t = root(s[members], floor[members], int(most[k]), gamma) if members.any() else 0.0
        held = members & (floor < t)
        floor[held], node[held] = t, k
    return np.clip((s - floor) / gamma, 0.0, 1.0), node


def digits(data: Data, gamma: float) -> float:
    """(s - t) / gamma is off by the rounding of s over gamma; x, totals and values inherit that."""
    return float(max(1e-9, 1e-13 * np.abs(data.scores).max() / gamma))


@pytest.mark.parametrize("size", SIZES)
def test_the_bound_is_the_best_of_all_slates(data: Data, rules: Categories, size: int) -> None:
    expected = sum(best(data, rules, mine, size) for mine in data.users())
    for gamma in (1e-6, 0.3, 50.0):
        assert visit(data, rules, size, gamma)["out"][kernels.BOUND] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("gamma", [1e-9, 1e-3, 0.3, 50.0])
@pytest.mark.parametrize("size", SIZES)
def test_visit(data: Data, rules: Categories, size: int, gamma: float) -> None:
    got = visit(data, rules, size, gamma)
    x, s = np.zeros(data.of.size), data.scores
    for mine in data.users():
        x[mine], _ = smooth(data, rules, mine, size, gamma)
    out, off, scale = got["out"], digits(data, gamma), np.abs(s).sum()
    assert got["load"] == pytest.approx(data.table(x), rel=off, abs=50 * off)
    assert out[kernels.SMOOTHED] == pytest.approx(s @ x - gamma / 2 * (x @ x), rel=off, abs=1e-12 * scale)
    assert out[kernels.VALUE] == pytest.approx(data.pairs.value @ x, rel=off, abs=off * scale)
    assert out[kernels.SMOOTHED] <= out[kernels.BOUND] * (1 + 1e-9 + 1e-15 * np.abs(s).max() / gamma)
    assert out[kernels.USERS] == data.n_users


@pytest.mark.parametrize("gamma", [0.05, 0.5])
@pytest.mark.parametrize("size", [1, 3])
def test_the_smoothed_slate_is_the_optimum_of_a_quadratic_program(
    data: Data, rules: Categories, size: int, gamma: float
) -> None:
    import cvxpy as cp
    import scipy.sparse as sp

    s = data.scores
    parts = [limits(data, rules, mine, size) for mine in data.users() if mine.size]
    rows = sp.csr_array(sp.block_diag([part[0] for part in parts]))
    x = cp.Variable(s.size)
    objective = cp.Maximize(s @ x - gamma / 2 * cp.sum_squares(x))
    problem = cp.Problem(objective, [x >= 0, x <= 1, rows @ x <= np.concatenate([part[1] for part in parts])])
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    got = visit(data, rules, size, gamma)
    assert got["out"][kernels.SMOOTHED] == pytest.approx(problem.value, rel=1e-7)
    assert got["load"] == pytest.approx(data.table(x.value), abs=1e-3)


@pytest.mark.parametrize("slack", [0.0, 1e-6, 0.2, 10.0])
def test_a_warm_threshold_changes_nothing(data: Data, rules: Categories, slack: float) -> None:
    cold = visit(data, rules, 2, 0.2)
    t = cold["threshold"]
    for start in (t, t + 0.5, 0.3 * t, np.random.default_rng(0).permutation(t), np.full(data.n_users, 1e6)):
        warm = visit(data, rules, 2, 0.2, slack, start.copy())
        numbers = [kernels.SMOOTHED, kernels.BOUND, kernels.VALUE]
        assert warm["load"] == pytest.approx(cold["load"], abs=1e-9)
        assert warm["out"][numbers] == pytest.approx(cold["out"][numbers], rel=1e-9)
        assert warm["threshold"] == pytest.approx(t, abs=1e-9) or (warm["threshold"] > 0).sum() == (t > 0).sum()


def test_ranges_of_users_add_up(data: Data, rules: Categories) -> None:
    whole, parts = visit(data, rules, 3, 0.1), visit(data, rules, 3, 0.1, ranges=(0.0, 0.3, 0.3, 1.0))
    assert parts["load"] == pytest.approx(whole["load"], abs=1e-12)
    assert parts["square"] == pytest.approx(whole["square"], abs=1e-12)
    assert parts["out"][: kernels.KEPT] == pytest.approx(whole["out"][: kernels.KEPT], rel=1e-12)
    assert np.array_equal(parts["threshold"], whole["threshold"])


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("size", SIZES)
def test_rules_that_do_not_bind_leave_the_plain_kernels_answers(data: Data, name: str, size: int) -> None:
    rules = rules_of(name)
    for gamma in (1e-3, 0.3, 50.0):
        plain, ruled = call(data, size, gamma), visit(data, rules, size, gamma)
        off = digits(data, gamma)
        numbers = [kernels.SMOOTHED, kernels.BOUND, kernels.VALUE]
        assert ruled["out"][numbers] == pytest.approx(plain["out"][numbers], rel=off)
        assert ruled["load"] == pytest.approx(plain["load"], abs=50 * off)
        if data in (DATA["exposure alone"], DATA["columns"]):  # without ties the thresholds are the same
            assert ruled["square"] == pytest.approx(plain["square"], abs=1e-9)
            assert ruled["out"][kernels.CURVED] == plain["out"][kernels.CURVED]
    state, slots = decided(data, rules, size, 0.1)
    expected, left, counts = np.zeros(data.of.size, np.uint8), np.zeros(data.n_users, np.int64), np.zeros(3, np.int64)
    within = np.full(data.price.shape[1:], 0.1)
    decide_kernels.decide(0, data.n_users, data.pairs, data.price, size, within, expected, left, counts)
    assert np.array_equal(state, expected)
    assert np.array_equal(slots, left)


@pytest.mark.parametrize("name", ["exposure alone", "columns"])
@pytest.mark.parametrize("size", [1, 3])
def test_curvature_is_the_derivative_of_the_totals(name: str, rules: Categories, size: int) -> None:
    """Within the piece on which the smoothed dual is quadratic, the product is exact, not approximate."""
    data, gamma, step = DATA[name], 0.5, 1e-7
    direction = np.random.default_rng(8).normal(size=data.price.shape)
    here = visit(data, rules, size, gamma)
    there = visit(Data(data.pairs, data.price + step * direction, data.n_classes), rules, size, gamma)
    product = np.zeros_like(here["load"])
    kernels.curvature_product(
        int(here["out"][kernels.KEPT_USERS]), here["kept"], direction.reshape(product.shape), product
    )
    assert here["out"][kernels.KEPT] == here["out"][kernels.CURVED]
    assert (here["load"] - there["load"]) / step == pytest.approx(product / gamma, abs=1e-5)


@pytest.mark.parametrize("name", ["exposure alone", "columns"])
def test_totals_are_the_gradient_of_the_smoothed_value(name: str, rules: Categories) -> None:
    data, step = DATA[name], 1e-6
    direction = np.random.default_rng(8).normal(size=data.price.shape)
    values = [
        visit(Data(data.pairs, data.price + sign * step * direction, data.n_classes), rules, 3, 0.5)["out"][
            kernels.SMOOTHED
        ]
        for sign in (1.0, -1.0)
    ]
    load = visit(data, rules, 3, 0.5)["load"]
    assert (values[1] - values[0]) / (2 * step) == pytest.approx(
        float(np.sum(load * direction.reshape(load.shape))), rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize("name", ["exposure alone", "columns"])
@pytest.mark.parametrize("size", [1, 3])
def test_fractional_pairs_are_one_run_for_every_rule_that_binds(name: str, rules: Categories, size: int) -> None:
    data, gamma = DATA[name], 0.5
    got = visit(data, rules, size, gamma)
    weight, fractional, curved, runs = np.zeros(data.of.size), 0, 0, 0
    for mine in data.users():
        x, node = smooth(data, rules, mine, size, gamma)
        inside = (x > 1e-12) & (x < 1 - 1e-12)
        fractional += int(inside.sum())
        for k in np.unique(node[inside]):
            run = inside & (node == k)
            if run.sum() > (k >= 0):
                weight[mine[run]] = 1.0 - (1.0 / run.sum() if k >= 0 else 0.0)
                curved += int(run.sum())
                runs += 1
    out, squares = got["out"], np.vstack([np.ones(data.of.size), data.pairs.extra**2])
    # a candidate that alone fills its rule may be 1 up to rounding; it bends nothing either way
    assert fractional <= out[kernels.FRACTIONAL] <= fractional + data.of.size / 10
    assert (out[kernels.CURVED], out[kernels.KEPT_USERS]) == (curved, runs)
    assert got["square"] == pytest.approx(data.table(weight, squares), rel=1e-9, abs=1e-9)


def test_curvature_keeps_whole_runs_within_its_capacity(data: Data, rules: Categories) -> None:
    full = visit(data, rules, 2, 0.5)
    for capacity in (7, 0):
        part = visit(data, rules, 2, 0.5, capacity=capacity)
        runs, pairs = int(part["out"][kernels.KEPT_USERS]), int(part["out"][kernels.KEPT])
        assert pairs <= capacity
        assert abs(part["kept"].end[runs]) == pairs
        assert part["out"][kernels.CURVED] == full["out"][kernels.CURVED]
        assert np.array_equal(part["load"], full["load"])
        assert np.array_equal(part["square"], full["square"])


def greedy(data: Data, rules: Categories, mine: Array, size: int) -> tuple[Array, Array]:
    """(taken, cut) of a user's candidates, by counting again for every one of them."""
    s, code = data.scores[mine], data.pairs.code[mine]
    taken = np.zeros(mine.size, np.bool_)
    why = np.full(mine.size, -1)
    for i in np.argsort(-s, kind="stable"):
        if s[i] <= 0.0:
            break
        full = [
            of[code[i]] >= 0 and (taken & (of[code] == of[code[i]])).sum() >= most
            for of, most in zip(rules.of, rules.most, strict=True)
        ]
        why[i] = full.index(True) if any(full) else -1
        taken[i] = why[i] < 0 and taken.sum() < size
    nearest = s[~taken & (why < 0)].max(initial=0.0)
    cut = np.full(mine.size, 0.5 * (s[taken].min() + nearest) if taken.sum() == size else 0.0)
    for k, (of, most) in enumerate(zip(rules.of, rules.most, strict=True)):
        for i in range(mine.size):
            same = of[code] == of[code[i]]
            if of[code[i]] >= 0 and (taken & same).sum() >= most:
                out = s[same & (why == k)].max(initial=0.0)
                cut[i] = max(cut[i], 0.5 * (s[taken & same].min() + out))
    return taken, cut


def decided(data: Data, rules: Categories, size: int, within: float) -> tuple[Array, Array]:
    state, slots, counts = np.zeros(data.of.size, np.uint8), np.full(data.n_users, -9), np.zeros(3, np.int64)
    margin = np.full(data.price.shape[1:], within)
    capped.decide(0, data.n_users, data.pairs, data.price, size, margin, state, slots, counts, rules)
    assert counts.tolist() == np.bincount(state, minlength=3).tolist()
    return state, slots


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [0.0, 0.13, 100.0])
def test_decide(data: Data, rules: Categories, size: int, width: float) -> None:
    state, slots = decided(data, rules, size, width)
    sure = np.ones(data.of.size, np.bool_)
    expected = np.zeros(data.of.size, np.uint8)
    for u, mine in enumerate(data.users()):
        taken, cut = greedy(data, rules, mine, size)
        margin = np.abs(data.scores[mine] - cut)
        sure[mine] = np.abs(margin - width) > 1e-12
        expected[mine] = np.where(
            margin <= width,
            decide_kernels.UNDECIDED,
            np.where(taken, decide_kernels.IN, decide_kernels.OUT_OF),
        )
        shown = state[mine] == decide_kernels.IN
        assert slots[u] == size - shown.sum()
        if mine.size:  # what is in keeps every rule, whatever is still open
            rows, most = limits(data, rules, mine, size)
            assert (rows @ shown <= most).all()
            # nothing that is in is worth less than its cut, nothing that is out more
            assert (data.scores[mine][shown] > cut[shown]).all()
            assert (data.scores[mine][state[mine] == decide_kernels.OUT_OF] <= cut[state[mine] == 0]).all()
    assert np.array_equal(state[sure], expected[sure])  # the others tie with a cut up to rounding
    assert sure.mean() > 0.6


@pytest.mark.parametrize("size", SIZES)
def test_decide_at_no_width_shows_a_best_slate(rules: Categories, size: int) -> None:
    data = DATA["columns"]
    state, _ = decided(data, rules, size, 0.0)
    assert not (state == decide_kernels.UNDECIDED).any()
    shown = data.scores[state == decide_kernels.IN].sum()
    assert shown == pytest.approx(sum(best(data, rules, mine, size) for mine in data.users()), rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_margins(data: Data, rules: Categories, size: int) -> None:
    widest = 0.8
    margin = np.concatenate([np.abs(data.scores[m] - greedy(data, rules, m, size)[1]) for m in data.users()])
    histogram = np.zeros(decide_kernels.N_BINS, np.int64)
    capped.margins(0, data.n_users, data.pairs, data.price, size, widest, histogram, rules)
    place = margin[margin < widest] * (decide_kernels.N_BINS / widest)
    assert histogram.sum() == pytest.approx(place.size, abs=int(np.sum(np.abs(margin - widest) < 1e-9)))
    # a margin that is on an edge up to rounding may be counted in either bin
    on_edge = np.sum(np.abs(margin * (decide_kernels.N_BINS / widest) % 1.0 - 0.5) > 0.5 - 1e-9)
    expected = np.bincount(place.astype(int), minlength=histogram.size)
    assert np.abs(np.cumsum(histogram) - np.cumsum(expected)).max() <= on_edge
