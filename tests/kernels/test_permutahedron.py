"""The best point of a permutahedron: the kernel next to plain Python, and pool adjacent violators where they apply."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import isotonic_regression

from oasis_alloc.kernels.solve.permutahedron import nearest_in_permutahedron

Array = npt.NDArray[Any]


def plainly(point: Array, slope: Array, metric: Array, weights: Array) -> tuple[Array, int]:
    """(mu, parts) by the same division into sets whose limit is tight, one call for each."""
    free = point - slope / metric
    mu = free + (weights.sum() - free.sum()) / metric / (1.0 / metric).sum()
    order = np.argsort(-mu, kind="stable")
    excess = (np.cumsum(mu[order]) - np.cumsum(weights))[:-1]
    if not excess.size or excess.max() <= 1e-12 * np.abs(mu).sum():
        return mu, 1
    k = int(np.argmax(excess)) + 1
    parts = 0
    for chosen, own in ((order[:k], weights[:k]), (order[k:], weights[k:])):
        mu[chosen], found = plainly(point[chosen], slope[chosen], metric[chosen], own)
        parts += found
    return mu, parts


def nearest(point: Array, slope: Array, metric: Array, weights: Array) -> tuple[Array, int]:
    out = np.empty(point.size)
    return out, nearest_in_permutahedron(point, slope, metric, weights, out)


def falling(rng: np.random.Generator, n: int, ties: bool) -> Array:
    return np.sort(rng.choice([0.0, 0.3, 1.0, 2.0], n) if ties else rng.gamma(0.5, size=n))[::-1].copy()


@pytest.mark.few(2)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_the_kernel_is_the_plain_division(ties: bool, spread: float) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 30))
        weights, metric = falling(rng, n, ties), np.exp(spread * rng.normal(size=n))
        point = np.where(rng.random(n) < 0.3, 0.5, rng.normal(size=n))
        slope = rng.normal(size=n) * (seed % 2)
        mu, parts = nearest(point, slope, metric, weights)
        expected, expected_parts = plainly(point, slope, metric, weights)
        assert mu == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert ties or parts == expected_parts


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_in_the_usual_metric_it_pools_adjacent_violators(size: float) -> None:
    rng = np.random.default_rng(3)
    weights, point = falling(rng, 500, False), size * rng.normal(size=500)
    mu, parts = nearest(point, np.zeros(500), np.ones(500), weights)
    order = np.argsort(-point, kind="stable")
    pools = isotonic_regression(point[order] - weights, increasing=False)
    expected = np.empty(500)
    expected[order] = point[order] - pools.x
    assert mu == pytest.approx(expected, abs=1e-9 * max(1.0, size) * float(weights.max()))
    assert parts == pools.blocks.size - 1


def test_the_ends() -> None:
    nothing = np.empty(0)
    assert nearest(nothing, nothing, nothing, nothing)[1] == 0
    mu, parts = nearest(np.zeros(4), np.zeros(4), np.ones(4), np.array([4.0, 0.0, 0.0, 0.0]))
    assert (mu.tolist(), parts) == ([1.0] * 4, 1)
    mu, parts = nearest(np.array([9.0, 0.0, 0.0, 0.0]), np.zeros(4), np.ones(4), np.array([4.0, 0.0, 0.0, 0.0]))
    assert mu == pytest.approx([4.0, 0.0, 0.0, 0.0])
    even, parts = nearest(np.arange(4.0), np.zeros(4), np.ones(4), np.full(4, 0.25))
    assert even == pytest.approx([0.25] * 4)
