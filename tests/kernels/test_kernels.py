"""Every kernel of a pass against a twin in plain NumPy: one user at a time, sorting where the kernel searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import diagonal, full_only
from pairs import Data, call, make

from oasis_alloc.kernels.solve import decide as decide_kernels
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as kernels

Array = np.ndarray[Any, Any]


DATA = {
    "exposure alone": make(1, 0, 1, False),
    "ties": make(2, 0, 3, True, np.uint16, np.float32),
    "a column": make(3, 1, 4, False, np.uint16, np.float32),
    "columns": make(4, 3, 2, False, np.uint32),
    "columns that tie": make(5, 2, 1, True),
}
RARE = {"wide classes, narrow numbers": make(2, 0, 3, True, np.uint32, np.float32)}
GAMMAS = (1e-9, 1e-3, 0.3, 50.0)
SIZES = (1, 3, 45)


# A full run also tries a combination of types for which each of these kernels is compiled once more.
@pytest.fixture(params=[*DATA, *full_only("wide classes, narrow numbers")])
def data(request: pytest.FixtureRequest) -> Data:
    return (DATA | RARE)[request.param]


def smooth(s: Array, size: int, gamma: float) -> tuple[Array, float]:
    """(x, t) of max s x - gamma/2 |x|^2 over the slate, by sorting the points at which the sum of x bends."""
    x = np.clip(s / gamma, 0.0, 1.0)
    if x.sum() <= size:
        return x, 0.0
    bends = np.unique(np.concatenate([[0.0], s, s - gamma]))
    bends = bends[bends >= 0.0]
    sums = np.clip((s[None, :] - bends[:, None]) / gamma, 0.0, 1.0).sum(axis=1)  # never increases along bends
    k = int(np.flatnonzero(sums >= size)[-1])
    if sums[k] == size or k + 1 == bends.size:
        return np.clip((s - bends[k]) / gamma, 0.0, 1.0), float(bends[k])
    t = bends[k] + (bends[k + 1] - bends[k]) * (sums[k] - size) / (sums[k] - sums[k + 1])
    return np.clip((s - t) / gamma, 0.0, 1.0), float(t)


def strictly_inside(s: Array, mine: Array, t: float, gamma: float) -> Array:
    """Pairs of a user that are fractional at a threshold, as the kernel rounds it."""
    z = (s[mine] - t) * (1.0 / gamma)
    return mine[(z > 0.0) & (z < 1.0)]


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("size", "gamma"), diagonal({str(size): size for size in SIZES}, {f"{gamma:g}": gamma for gamma in GAMMAS})
)
def test_visit(data: Data, size: int, gamma: float) -> None:
    got = call(data, size, gamma)
    s, x, weight = data.scores, np.zeros(data.pairs.code.size), np.zeros(data.pairs.code.size)
    best, fractional, curved, t = 0.0, 0, 0, got["threshold"]
    for u, mine in enumerate(data.users()):
        x[mine], any_t = smooth(s[mine], size, gamma)
        best += np.sort(np.maximum(s[mine], 0.0))[::-1][:size].sum()
        # thresholds need not be unique; the kernel's must give the same slate
        assert (t[u] > 0.0) <= (any_t > 0.0) or np.clip(s[mine] / gamma, 0, 1).sum() == pytest.approx(size)
        assert np.clip((s[mine] - t[u]) / gamma, 0.0, 1.0) == pytest.approx(
            x[mine], abs=max(1e-9, 1e-14 * np.abs(s).max() / gamma)
        )
        inside = strictly_inside(s, mine, t[u], gamma)
        fractional += inside.size
        if inside.size > (t[u] > 0.0):
            curved += inside.size
            weight[inside] = 1.0 - (1.0 / inside.size if t[u] > 0.0 else 0.0)
    out, scale = got["out"], np.abs(s).sum()
    assert out[kernels.BOUND] == pytest.approx(best, rel=1e-12)
    # (s - t) / gamma is off by the rounding of s over gamma; x, totals and values inherit that
    digits = max(1e-9, 1e-14 * np.abs(s).max() / gamma)
    assert out[kernels.SMOOTHED] == pytest.approx(s @ x - gamma / 2 * (x @ x), rel=digits, abs=1e-12 * scale)
    assert out[kernels.VALUE] == pytest.approx(data.pairs.value @ x, rel=digits, abs=digits * scale)
    assert got["load"] == pytest.approx(data.table(x), rel=digits, abs=digits * 50)
    assert out[kernels.USERS] == data.n_users
    if gamma >= 1e-3:  # below, rounding decides which of the tied pairs are strictly inside
        assert out[kernels.FRACTIONAL] == fractional
        assert out[kernels.CURVED] == curved
        squares = np.vstack([np.ones(x.size), data.pairs.extra.astype(np.float64) ** 2])  # whatever type columns have
        assert got["square"] == pytest.approx(data.table(weight, squares), rel=1e-9, abs=1e-9)


def test_smoothed_and_bound_bracket_each_other(data: Data) -> None:
    """The bound is of the unsmoothed problem: above the smoothed optimum by gamma/2 a slot at most."""
    for gamma in GAMMAS:
        out = call(data, 3, gamma)["out"]
        slots = np.minimum(np.diff(data.pairs.indptr), 3).sum()
        rounding = 1e-15 * np.abs(data.scores).max() / gamma * out[kernels.BOUND]
        assert out[kernels.SMOOTHED] <= out[kernels.BOUND] * (1 + 1e-12) + rounding
        assert out[kernels.BOUND] <= out[kernels.SMOOTHED] + gamma / 2 * slots * (1 + 1e-12) + rounding


@pytest.mark.parametrize("slack", [0.0, 1e-6, 0.2, 10.0])
def test_a_warm_threshold_changes_nothing(data: Data, slack: float) -> None:
    """Whatever the last visit left: the same, shifted up, shifted down, or of another user."""
    size, gamma = 2, 0.2
    cold = call(data, size, gamma)
    rng = np.random.default_rng(0)
    for start in (
        cold["threshold"],
        cold["threshold"] + 0.5,
        cold["threshold"] * 0.3,
        rng.permutation(cold["threshold"]),
        np.full(data.n_users, 1e6),
    ):
        warm = call(data, size, gamma, slack, start.copy())
        assert warm["load"] == pytest.approx(cold["load"], abs=1e-9)
        assert warm["out"][[kernels.SMOOTHED, kernels.BOUND, kernels.VALUE]] == pytest.approx(
            cold["out"][[kernels.SMOOTHED, kernels.BOUND, kernels.VALUE]], rel=1e-9
        )


def test_a_wrong_threshold_is_counted_as_a_miss() -> None:
    data = DATA["exposure alone"]
    assert call(data, 2, 0.2)["out"][kernels.MISSES] == 0
    missed = call(data, 2, 0.2, 0.0, np.full(data.n_users, 1e6))["out"][kernels.MISSES]
    assert missed == data.n_users  # nobody has a candidate above


def test_a_sample_visits_whole_blocks_of_users() -> None:
    data = make(6, 1, 2, False)
    whole = call(data, 2, 0.1)
    assert data.n_users > 64  # three blocks
    first = call(data, 2, 0.1, stride=2)
    chosen = np.isin(data.of // 32, [0, 2])
    x = np.zeros(data.pairs.code.size)
    for mine in data.users():
        x[mine] = smooth(data.scores[mine], 2, 0.1)[0]
    assert first["out"][kernels.USERS] == 32 + data.n_users - 64
    assert first["load"] == pytest.approx(data.table(x * chosen), abs=1e-9)
    assert whole["load"] == pytest.approx(data.table(x), abs=1e-9)


def test_visit_adds_to_its_tables_and_reads_a_range(data: Data) -> None:
    """Two ranges of users, into the same tables, are one visit."""
    whole, half = call(data, 3, 0.1), data.n_users // 2
    n_extra = data.pairs.extra.shape[0]
    load, square = np.zeros((2, n_extra + 1, data.n_cells))
    kept = kernels.PlainCurvature(np.zeros(99, np.uint32), np.zeros((n_extra, 99)), np.zeros(100, np.int32))
    out, threshold = np.zeros((2, kernels.N_OUT)), np.zeros(data.n_users)
    huge = np.finfo(np.float64).max
    for k, (a, b) in enumerate([(half, data.n_users), (0, half)]):
        point = jobs.Point(data.price, 0.1, huge, threshold, np.empty(0), jobs.no_further())
        kernels.visit(jobs.Users(a, b, 1), data.pairs, 3, point, jobs.Sums(load, square, kept, 1, out[k]))
    assert load == pytest.approx(whole["load"], abs=1e-12)
    assert square == pytest.approx(whole["square"], abs=1e-12)
    assert out.sum(axis=0)[: kernels.KEPT] == pytest.approx(whole["out"][: kernels.KEPT], rel=1e-12)


@pytest.mark.few(6)
@pytest.mark.parametrize("gamma", [1e-3, 0.3, 50.0])
@pytest.mark.parametrize("size", [1, 3])
def test_curvature_product(data: Data, size: int, gamma: float) -> None:
    got = call(data, size, gamma)
    direction = np.random.default_rng(7).normal(size=(data.columns.shape[0], data.n_cells))
    product = np.zeros_like(direction)
    kernels.curvature_product(int(got["out"][kernels.KEPT_USERS]), got["kept"], direction, product)
    expected, s = np.zeros_like(direction), data.scores
    for u, mine in enumerate(data.users()):
        t = got["threshold"][u]
        inside = strictly_inside(s, mine, t, gamma)
        if not inside.size:
            continue
        columns, cells = data.columns[:, inside], data.cell[inside]
        change = (direction[:, cells] * columns).sum(axis=0)
        if t > 0.0:
            change = change - change.mean()  # the slate stays full
        for k, column in enumerate(columns):
            np.add.at(expected[k], cells, change * column)
    assert got["out"][kernels.KEPT] == got["out"][kernels.CURVED]
    assert product == pytest.approx(expected, abs=1e-9)


def test_curvature_is_the_derivative_of_the_totals() -> None:
    """Within the piece on which the smoothed dual is quadratic, the product is exact, not approximate."""
    data = DATA["columns"]
    size, gamma, step = 3, 0.5, 1e-7
    direction = np.random.default_rng(8).normal(size=data.price.shape)
    here = call(data, size, gamma)
    there = call(Data(data.pairs, data.price + step * direction, data.n_classes), size, gamma)
    product = np.zeros_like(here["load"])
    kernels.curvature_product(
        int(here["out"][kernels.KEPT_USERS]), here["kept"], direction.reshape(product.shape), product
    )
    assert (here["load"] - there["load"]) / step == pytest.approx(product / gamma, abs=1e-5)


def test_curvature_keeps_whole_users_within_its_capacity(data: Data) -> None:
    full = call(data, 2, 0.5)
    for capacity, every in ((7, 1), (4096, 3), (0, 1)):
        part = call(data, 2, 0.5, capacity=capacity, every=every)
        users, pairs = int(part["out"][kernels.KEPT_USERS]), int(part["out"][kernels.KEPT])
        assert pairs <= capacity
        assert abs(part["kept"].end[users]) == pairs
        assert part["out"][kernels.CURVED] == full["out"][kernels.CURVED]
        assert part["out"][kernels.KEPT] < full["out"][kernels.KEPT]
        assert part["load"] == pytest.approx(full["load"], abs=0)
        assert part["square"] == pytest.approx(full["square"], abs=0)


def test_score(data: Data) -> None:
    first, last = 3, data.n_users - 2
    start, stop = data.pairs.indptr[[first, last]]
    out = np.full(stop - start, np.nan)
    decide_kernels.score(first, last, data.pairs, data.price, out)
    assert out == pytest.approx(data.scores[start:stop], rel=1e-12, abs=1e-12)


def cut(s: Array, size: int) -> float:
    """Midway between the last score in and the first one out; 0 where the slate is not full."""
    ordered = np.concatenate([np.sort(s)[::-1], np.full(size + 1, -np.inf)])
    last, following = ordered[size - 1], max(ordered[size], 0.0)
    return 0.0 if last <= 0.0 else 0.5 * (last + following)


@pytest.mark.parametrize("size", SIZES)
def test_margins(data: Data, size: int) -> None:
    s, widest = data.scores, 0.8
    margin = np.concatenate([np.abs(s[mine] - cut(s[mine], size)) for mine in data.users()])
    histogram = np.zeros(decide_kernels.N_BINS, np.int64)
    decide_kernels.margins(0, data.n_users, data.pairs, data.price, size, widest, histogram)
    bins = (margin[margin < widest] * (decide_kernels.N_BINS / widest)).astype(int)
    assert histogram.sum() == bins.size
    # a margin that is on an edge up to rounding may be counted in either bin
    assert np.abs(np.cumsum(histogram) - np.cumsum(np.bincount(bins, minlength=histogram.size))).max() <= np.sum(
        np.abs(margin * (decide_kernels.N_BINS / widest) % 1.0 - 0.5) > 0.5 - 1e-9
    )


@pytest.mark.few(3)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [0.0, 0.13, 100.0])
def test_decide(data: Data, size: int, width: float) -> None:
    rng = np.random.default_rng(9)
    within = width * rng.uniform(0.5, 1.0, (data.price.shape[1], data.n_classes))
    state = np.full(data.of.size, 9, np.uint8)
    bound = np.array([0.5])
    decide_kernels.decide(0, data.n_users, data.pairs, data.price, size, within, state, bound)
    best = [np.sort(np.maximum(data.scores[mine], 0.0))[::-1][:size].sum() for mine in data.users()]
    assert bound[0] == pytest.approx(0.5 + sum(best), rel=1e-12)  # whatever is left open
    s, expected = data.scores, np.zeros(data.of.size, np.uint8)
    sure = np.ones(data.of.size, np.bool_)
    for u, mine in enumerate(data.users()):
        c = cut(s[mine], size)
        undecided = np.abs(s[mine] - c) <= within.ravel()[data.cell[mine]]
        sure[mine] = np.abs(np.abs(s[mine] - c) - within.ravel()[data.cell[mine]]) > 1e-12
        expected[mine] = np.where(
            undecided, decide_kernels.UNDECIDED, np.where(s[mine] > c, decide_kernels.IN, decide_kernels.OUT_OF)
        )
        assert np.sum(state[mine] == decide_kernels.IN) <= size, f"user {u}"
    # scores that tie with the cut up to rounding are told apart by one of the two only
    assert np.array_equal(state[sure], expected[sure])
    assert sure.mean() > 0.6


def test_decide_at_no_width_shows_a_best_slate() -> None:
    """Where no scores tie, the pairs that are in are the best slate: nothing is left undecided."""
    data = DATA["a column"]
    for size in SIZES:
        state = np.zeros(data.of.size, np.uint8)
        within = np.zeros((data.price.shape[1], data.n_classes))
        bound = np.zeros(1)
        decide_kernels.decide(0, data.n_users, data.pairs, data.price, size, within, state, bound)
        shown = data.scores[state == decide_kernels.IN].sum()
        assert not (state == decide_kernels.UNDECIDED).any()
        assert shown == pytest.approx(call(data, size, 1e-6)["out"][kernels.BOUND], rel=1e-12)
        assert shown == pytest.approx(bound[0], rel=1e-12)


def test_add_up(data: Data) -> None:
    rng = np.random.default_rng(10)
    positions = np.sort(rng.choice(data.of.size, data.of.size // 2, replace=False))
    x, load = rng.random(positions.size), np.zeros((data.columns.shape[0], data.n_cells))
    worth = decide_kernels.add_up(0, positions, positions, x, data.pairs, data.n_classes, load)
    weights = np.zeros(data.of.size)
    weights[positions] = x
    assert worth == pytest.approx(float(data.pairs.value @ weights), rel=1e-9)
    assert load == pytest.approx(data.table(weights), abs=1e-12)


def test_reach(data: Data) -> None:
    positive, negative = np.zeros((2, data.columns.shape[0], data.n_cells))
    decide_kernels.reach(0, data.n_users, data.pairs, data.n_classes, positive, negative)
    ones = np.ones(data.of.size)
    assert positive == pytest.approx(data.table(ones, np.maximum(data.columns, 0.0)), abs=1e-12)
    assert negative == pytest.approx(data.table(ones, np.minimum(data.columns, 0.0)), abs=1e-12)
