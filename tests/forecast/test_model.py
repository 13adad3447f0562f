"""The posterior is that of the model: against a dense computation, and on counts that are drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from oasis_alloc.forecast.model import History, Priors, Scenarios, fitted

PRIORS = Priors(traffic=0.1, relevance=0.1, level=0.05, days=0.0)


def history(
    n: int = 6, bins: int = 20, passed: int = 12, seed: int = 0, priors: Priors = PRIORS
) -> tuple[History, Any]:
    """Counts drawn from the model, and what is to come."""
    rng = np.random.default_rng(seed)
    expected = rng.uniform(5.0, 60.0, (n, 1)) * rng.uniform(0.7, 1.3, bins)
    when = (np.arange(bins) + 0.5) / bins
    elasticity, noise = rng.uniform(0.5, 2.0, n), rng.uniform(0.0, 0.002, n)
    shared = rng.normal(0, [priors.traffic, priors.relevance])
    level = shared[0] + rng.normal(0, np.sqrt(priors.level**2 + noise))
    slope = elasticity * shared[1] + rng.normal(0, priors.level, n)
    mean = expected * np.exp(level[:, None] + slope[:, None] * when)
    counts = rng.poisson(mean).astype(float)
    made = History(
        counts[:, :passed], expected[:, :passed], when[:passed], expected[:, passed:], when[passed:], elasticity, noise,
        np.ones(n),
    )  # fmt: skip
    return made, counts[:, passed:]


def test_the_posterior_is_the_one_of_a_dense_computation() -> None:
    """The mode of all 2 + 2 n numbers at once, by a general optimizer, and the inverse of its curvature."""
    of, _ = history(passed=10)  # too few counts for a dispersion of their own
    n = of.counts.shape[0]
    found = fitted(of, PRIORS)
    own_variance = np.stack([PRIORS.level**2 + of.noise, np.full(n, PRIORS.level**2)], axis=1)

    def cost(z: Any) -> float:
        shared, rest = z[:2], z[2:].reshape(n, 2)
        level, slope = shared[0] + rest[:, 0], of.elasticity * shared[1] + rest[:, 1]
        log = level[:, None] + slope[:, None] * of.when
        likelihood = (of.counts * log - of.expected * np.exp(log)).sum()
        return float(0.5 * (shared**2 / 0.01).sum() + 0.5 * (rest**2 / own_variance).sum() - likelihood)

    dense = minimize(cost, np.zeros(2 + 2 * n), method="BFGS", options={"gtol": 1e-7})
    assert found.shared == pytest.approx(dense.x[:2], abs=1e-4)
    rest = dense.x[2:].reshape(n, 2)
    level, slope = dense.x[0] + rest[:, 0], of.elasticity * dense.x[1] + rest[:, 1]
    assert found.own == pytest.approx(np.stack([level, slope], axis=1), abs=1e-4)
    curvature = np.zeros((2 + 2 * n, 2 + 2 * n))
    mean = of.expected * np.exp(level[:, None] + slope[:, None] * of.when)
    for k in range(n):
        load = np.zeros((2, 2 + 2 * n))
        load[0, 0], load[1, 1] = 1.0, of.elasticity[k]
        load[0, 2 + 2 * k] = load[1, 3 + 2 * k] = 1.0
        design = np.stack([np.ones_like(of.when), of.when])
        curvature += load.T @ ((mean[k] * design) @ design.T) @ load
    curvature += np.diag(np.concatenate([[100.0, 100.0], (1 / own_variance).ravel()]))
    assert found.shared_covariance == pytest.approx(np.linalg.inv(curvature)[:2, :2], rel=1e-3, abs=1e-7)


def test_nothing_counted_leaves_the_prior() -> None:
    of, _ = history(passed=0)
    found = fitted(of, PRIORS)
    assert found.shared == pytest.approx([0.0, 0.0], abs=1e-12)
    assert found.shared_covariance == pytest.approx(np.diag([0.01, 0.01]))
    assert found.own == pytest.approx(np.zeros((6, 2)), abs=1e-12)


@pytest.mark.full
def test_intervals_hold_on_counts_of_the_model() -> None:
    """Nine in ten totals of what comes lie between the quantiles; 60 draws of 12 campaigns: +- 4 % are 3 deviations."""
    inside = []
    for seed in range(60):
        of, truth = history(n=12, seed=seed)
        drawn = Scenarios(of, fitted(of, PRIORS), PRIORS, 400, seed).drawn(0, 12).sum(axis=2)
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        total = truth.sum(axis=1)
        inside.append((low <= total) & (total <= high))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.04)


def test_scenarios_do_not_depend_on_how_they_are_asked_for() -> None:
    of, _ = history()
    drawn = Scenarios(of, fitted(of, PRIORS), PRIORS, 100, 3)
    whole = drawn.drawn(0, 6)
    assert np.array_equal(whole[:, 2:5], drawn.drawn(2, 5))
    assert np.array_equal(whole, Scenarios(of, fitted(of, PRIORS), PRIORS, 100, 3).drawn(0, 6))
    assert (whole >= 0).all()


def test_counts_that_vary_more_widen_the_intervals() -> None:
    of, _ = history(n=20, passed=15)
    rng = np.random.default_rng(1)
    wild = History(*(getattr(of, name) for name in of.__dataclass_fields__))
    object.__setattr__(wild, "counts", of.counts * rng.choice([0.4, 1.6], of.counts.shape))
    assert fitted(wild, PRIORS).scale > 2 * fitted(of, PRIORS).scale
