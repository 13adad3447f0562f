"""Prices of one user's functions, on long lists and next to no smoothing, against nested bisection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from effort import diagonal
from test_root_finders import GAMMAS, KINDS, LONG, SIZE, scores

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.solve.halving import middle
from oasis_alloc.kernels.solve.own_prices import OwnGroups, own_prices, slope_at
from oasis_alloc.kernels.solve.visit import Pairs
from oasis_alloc.statement.functions.separable import POWER, SHARES, SQUARE

Array = np.ndarray[Any, Any]

GROUPS = 4
CLOSE = 2e-5  # of the largest score that a slate could have
FEW_TURNS = 60  # of at most 100


class Function(NamedTuple):
    """`a log(b / e)`, `a (e + b)^-c` or `a (b - e)` of every group."""

    kind: int
    a: float
    b: float
    c: float = 1.0

    def slope(self, total: float) -> float:
        with np.errstate(over="ignore"):
            return float(slope_at(self.kind, self.a, self.b, self.c, total)[0])

    def total(self, slope: float) -> float:
        """Where the slope is that."""
        if self.kind == SHARES:
            return float(self.b * np.exp(min(-slope / self.a, 700.0)))
        if self.kind == POWER:
            return (self.a / slope) ** (1.0 / self.c) - self.b if slope > 0.0 else np.inf
        return self.b - slope / self.a


FUNCTIONS = {
    "kl": Function(SHARES, 5.0, SIZE / GROUPS),
    "weak kl": Function(SHARES, 0.01, SIZE / GROUPS),
    "log": Function(POWER, 0.4, 0.2),
    "log next to 0": Function(POWER, 0.4, 1e-4),
    "alpha_fair": Function(POWER, 0.3, 0.5, 2.0),
    "square_deviation": Function(SQUARE, 0.3, 1.2),
}


def halved(low: float, high: float, is_low: Callable[[float], bool]) -> tuple[float, float]:
    """Neighboring numbers of which `is_low` holds for the first one."""
    while low < (at := middle(low, high)) < high:
        low, high = (at, high) if is_low(at) else (low, at)
    return low, high


def by_bisection(s: Array, group: Array, gamma: float, function: Function) -> Array:
    """The prices: at every threshold each group's own root, and the threshold at which the slate is full.

    A group whose visited total jumps at its root, as ties do, has the total that its function asks for.
    """
    mine = [s[group == g] for g in range(GROUPS)]
    size = max(float(np.abs(s).max()), gamma, 1.0)

    def shown(g: int, slope: float, t: float) -> float:
        return float(np.clip((mine[g] - t + slope) / gamma, 0.0, 1.0).sum())

    def roots(t: float) -> tuple[list[float], float]:
        slopes, filled = [], 0.0
        for g in range(GROUPS):
            low, high = halved(-1e6 * size, 1e6 * size, lambda at, g=g: function.slope(shown(g, at, t)) > at)
            filled += min(max(function.total(high), shown(g, low, t)), shown(g, high, t))
            slopes.append(high)
        return slopes, filled

    t = 0.0
    if roots(0.0)[1] > SIZE:
        _, t = halved(0.0, 1e6 * size, lambda at: roots(at)[1] > SIZE)
    return -np.array(roots(t)[0])


def groups_of(indptr: Array, place: Array, function: Function) -> OwnGroups:
    """Every candidate adds 1 to each of its groups."""
    numbers = [np.full(GROUPS, number) for number in (function.a, function.b, function.c, -np.inf, np.inf)]
    return OwnGroups(
        readonly(np.array([0, GROUPS])), readonly(indptr), readonly(place.astype(np.int32)),
        readonly(np.ones(place.size)), readonly(np.full(GROUPS, function.kind)), *(readonly(n) for n in numbers),
    )  # fmt: skip


def found(s: Array, groups: OwnGroups, gamma: float) -> tuple[Array, int]:
    """(prices, steps)."""
    pairs = Pairs(
        readonly(np.array([0, s.size])), readonly(np.zeros(s.size, np.uint16)), readonly(s.astype(float)),
        readonly(np.empty((0, s.size))), readonly(np.zeros(1, np.uint32)),
    )  # fmt: skip
    out = np.zeros(GROUPS)
    return out, own_prices(0, 1, pairs, np.zeros((1, 1, 1)), SIZE, gamma, groups, out)


SHORT_KINDS = [kind for kind in KINDS if kind not in ("far apart", "negative")]


@pytest.mark.parametrize(("name", "kind"), diagonal(list(FUNCTIONS), SHORT_KINDS))
def test_own_prices_are_those_of_bisection_at_any_smoothing(name: str, kind: str) -> None:
    check(FUNCTIONS[name], kind, 40, GAMMAS[:5])


@pytest.mark.full
@pytest.mark.parametrize("kind", ["uniform", "all equal", "blocks of ties", "barred by penalties"])
@pytest.mark.parametrize("name", ["kl", "log", "log next to 0", "square_deviation"])
def test_own_prices_are_those_of_bisection_on_long_lists_with_next_to_no_smoothing(name: str, kind: str) -> None:
    check(FUNCTIONS[name], kind, LONG, (1e-9, 1e-12))


def check(function: Function, kind: str, n: int, gammas: tuple[float, ...]) -> None:
    """Compare the prices of groups that have more than rounding: others have a price that nothing depends on."""
    rng = np.random.default_rng(n)
    s, group = scores(kind, n, rng), rng.permutation(n) % GROUPS
    groups, largest = groups_of(np.arange(n + 1), group, function), float(s.max()) or 1.0
    for part in gammas:
        prices, steps = found(s, groups, part * largest)
        assert steps <= FEW_TURNS
        known = by_bisection(s, group, part * largest, function)
        counts = np.array([function.total(-price) > 1e-9 for price in known])
        size = max(largest, float(np.abs(known).max()))
        np.testing.assert_allclose(prices[counts], known[counts], rtol=0.0, atol=CLOSE * size)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kind", ["far apart", "negative", "zeros"])
def test_steps_end_whatever_the_scores_are(name: str, kind: str) -> None:
    for n in (1, 40, 1000):
        rng = np.random.default_rng(n)
        s = (
            10.0 ** rng.uniform(-148, 148, n) if kind == "far apart" else scores(kind, n, rng)
        )  # larger ones are refused
        group, largest = rng.permutation(n) % GROUPS, float(np.abs(s).max()) or 1.0
        for part in GAMMAS:
            prices, steps = found(s, groups_of(np.arange(n + 1), group, FUNCTIONS[name]), part * largest)
            assert steps <= FEW_TURNS
            assert np.isfinite(prices).all()


def smoothed(c: Array, gamma: float) -> Array:
    """The slate of these scores."""
    _, t = halved(0.0, float(max(c.max(), 1.0)), lambda at: float(np.clip((c - at) / gamma, 0.0, 1.0).sum()) > SIZE)
    return np.clip((c - t) / gamma, 0.0, 1.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_candidates_of_several_groups_have_prices_as_well(name: str) -> None:
    """The smoothed value of the slates and the functions is the smoothed dual value: neither side can be better."""
    function = FUNCTIONS[name]
    for n in (40, 2000):
        rng = np.random.default_rng(n)
        of = [np.sort(rng.permutation(GROUPS)[: rng.integers(1, 3)]) for _ in range(n)]
        indptr, place = np.cumsum([0, *(row.size for row in of)]), np.concatenate(of)
        matrix = np.zeros((GROUPS, n))
        matrix[place, np.repeat(np.arange(n), np.diff(indptr))] = 1.0
        s = scores("uniform", n, rng)
        for gamma in (1e-2, 1e-4):
            prices, steps = found(s, groups_of(indptr, place, function), gamma)
            assert steps <= FEW_TURNS
            totals = matrix @ smoothed(s - prices @ matrix, gamma)
            asked = [function.total(-price) for price in prices]
            np.testing.assert_allclose(totals, asked, atol=1e-5 / gamma * CLOSE + 1e-6)
