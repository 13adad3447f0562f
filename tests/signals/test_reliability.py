"""Reliability: numbers against scikit-learn and by hand, the exact parts of the Brier score, and the plot."""

from __future__ import annotations

import json

import numpy as np
import pytest

import oasis_alloc as oa


def sample(n: int = 5000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 3, n)
    return p, (rng.random(n) < p**1.3).astype(float)


def test_by_hand() -> None:
    made = oa.Reliability.of([0.1, 0.1, 0.6, 0.6], [0, 1, 1, 1], bins=2)
    assert made.predicted.tolist() == [0.1, 0.6]
    assert made.observed.tolist() == [0.5, 1.0]
    assert made.calibration_error == pytest.approx(0.4)
    assert made.brier == pytest.approx((0.01 + 0.81 + 0.32) / 4)
    assert made.uncertainty == pytest.approx(0.75 * 0.25)
    assert made.resolution == pytest.approx(0.0625)
    assert made.miscalibration == pytest.approx(0.16)
    assert made.within_bins == pytest.approx(0.0, abs=1e-15)
    assert (made.expected, made.occurred) == (pytest.approx(1.4), 3.0)


def test_the_parts_add_up_and_those_within_bins_are_variance_less_covariance() -> None:
    p, y = sample()
    made = oa.Reliability.of(p, y, bins=10)
    order = np.argsort(p, kind="stable")
    within = 0.0
    for part in np.array_split(order, 10):
        q, o = p[part], y[part]
        within += part.size / p.size * (q.var() - 2 * ((q - q.mean()) * (o - o.mean())).mean())
    assert made.within_bins == pytest.approx(within, rel=1e-6)
    parts = made.miscalibration - made.resolution + made.uncertainty + made.within_bins
    assert parts == pytest.approx(made.brier, abs=1e-15)


def test_as_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra `signals`")
    curves = pytest.importorskip("sklearn.calibration", reason="the extra `signals`")
    p, y = sample(4000, 2)
    made = oa.Reliability.of(p, y, bins=8)
    observed, predicted = curves.calibration_curve(y, p, n_bins=8, strategy="quantile")
    assert np.allclose(made.observed, observed, atol=1e-3)
    assert np.allclose(made.predicted, predicted, atol=1e-3)
    assert made.brier == pytest.approx(metrics.brier_score_loss(y, p))


def test_weights_are_repeated_rows_and_equal_predictions_share_a_bin() -> None:
    p, y = sample(600, 3)
    p = p.round(2)
    weight = np.tile([1.0, 2.0, 4.0], 200)
    rows = np.repeat(np.arange(600), weight.astype(int))
    one, other = oa.Reliability.of(p, y, weights=weight), oa.Reliability.of(p[rows], y[rows])
    assert np.allclose(one.observed, other.observed)
    assert one.brier == pytest.approx(other.brier)
    assert oa.Reliability.of([0.3] * 5, [0, 1, 0, 0, 1]).observed.tolist() == [0.4]


def test_intervals_cover_the_mean_of_a_bin() -> None:
    rng = np.random.default_rng(5)
    p = np.repeat([0.05, 0.3, 0.8], 400)
    inside = []
    for _ in range(200):
        made = oa.Reliability.of(p, rng.random(p.size) < p, bins=3)
        inside += ((made.low <= [0.05, 0.3, 0.8]) & (made.high >= [0.05, 0.3, 0.8])).tolist()
    assert 0.92 <= np.mean(inside) <= 0.98


def test_a_calibration_reduces_the_error() -> None:
    pytest.importorskip("sklearn", reason="the extra `signals`")
    p, y = sample(20_000, 7)
    made = oa.Calibration.fit(p[:10_000], y[:10_000])
    before, after = oa.Reliability.of(p[10_000:], y[10_000:]), made.reliability(p[10_000:], y[10_000:])
    assert after.calibration_error < 0.5 * before.calibration_error
    assert after.brier < before.brier


def test_it_prints_plots_and_is_json() -> None:
    axes = pytest.importorskip("matplotlib.axes", reason="the extra `plot`")
    import matplotlib.pyplot as plt

    p, y = sample(200)
    made = oa.Reliability.of(p, y, bins=4)
    assert len(json.loads(json.dumps(made.to_dict()))["predicted"]) == 4
    assert str(made).startswith("expected calibration error")
    assert len(str(made).splitlines()) >= 6
    drawn = made.plot()
    assert isinstance(drawn, axes.Axes)
    assert drawn.get_xlabel() == "predicted"
    assert made.plot(drawn) is drawn
    plt.close(drawn.figure)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, np.nan], [0, 1]), "predictions: row 1 is nan"),
        (([0.1, 0.2], [0, 1.5]), "outcomes: row 1 is 1.5"),
        (([0.1, 0.2], [0, 0]), "a single class"),
        (([], []), "no rows"),
    ],
)
def test_bad_input(arguments: tuple[list[float], list[float]], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.Reliability.of(*arguments)
    with pytest.raises(oa.InputError, match="bins=0"):
        oa.Reliability.of([0.1, 0.2], [0, 1], bins=0)
