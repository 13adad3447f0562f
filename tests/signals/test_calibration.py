"""Fits of calibrations: the truth is found and covered, segments shrink, and bad input is refused in words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from needs import needs

import oasis_alloc as oa
from oasis_alloc.data.column_map import piecewise

needs("sklearn", reason="the extra `signals`")


def truth(scores: np.ndarray) -> np.ndarray:
    return 0.05 + 0.6 * scores**2


def log(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    return scores, rng.random(n) < truth(scores)


def test_the_truth_is_found_and_the_mean_is_kept() -> None:
    scores, outcomes = log(100_000, 1)
    made = oa.Calibration.fit(scores, outcomes)
    at = np.linspace(0.05, 0.9, 49)
    assert np.abs(made.apply(at) - truth(at)).max() < 0.015
    assert made.low[0, -1] <= truth(made.x[-1]) <= made.high[0, -1]
    assert made.apply(scores).mean() == pytest.approx(outcomes.mean(), rel=1e-6)
    assert made.x.size <= 6
    assert (np.diff(made.apply(np.sort(scores))) >= 0).all()


THREE = np.array([0.1, 0.5, 0.9])
COMMON, RARE, RAREST, SURE = [0.1, 0.2, 0.6], [0.003, 0.01, 0.03], [0.0003, 0.001, 0.003], [0.9, 0.99, 0.998]


def covered(made: oa.Calibration, truth: np.ndarray, row: int = 0) -> list[bool]:
    """For every knot, whether the interval of the map contains the truth."""
    assert (made.low <= made.y).all()
    assert (made.y <= made.high).all()
    return ((made.low[row] <= truth) & (truth <= made.high[row])).tolist()


@pytest.mark.parametrize(
    ("rates", "weighted", "limits"),
    [
        (COMMON, False, (0.93, 0.97)), (COMMON, True, (0.93, 0.97)), (RARE, False, (0.93, 0.97)),
        (SURE, False, (0.93, 0.97)), (RARE, True, (0.93, 0.99)), (RAREST, False, (0.93, 0.99)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("repetitions", [50, pytest.param(1000, marks=pytest.mark.full)])
def test_intervals_of_maps_cover_the_truth(
    rates: list[float], weighted: bool, limits: tuple[float, float], repetitions: int
) -> None:
    """At three scores, of which the rarest has 0.3 outcomes in 1,000 rows; weights count some rows ten times."""
    inside = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        k, propensity = rng.choice(3, 3000), rng.choice([0.1, 0.6, 0.9], 3000)
        shown = (rng.random(3000) < propensity) if weighted else np.ones(3000, np.bool_)
        outcomes = (rng.random(3000) < np.array(rates)[k])[shown]
        if not outcomes.any():
            continue
        weights = 1.0 / propensity[shown] if weighted else None
        made = oa.Calibration.fit(THREE[k[shown]], outcomes, knots=3, weights=weights)
        assert made.x.tolist() == THREE.tolist()
        inside += covered(made, np.array(rates))
    low, high = limits if repetitions == 1000 else (0.87, 1.0)  # of 150: four standard errors below
    assert low <= np.mean(inside) <= high, np.mean(inside)


@pytest.mark.parametrize("bend", [0.0, 0.6])
@pytest.mark.parametrize("repetitions", [10, pytest.param(300, marks=pytest.mark.full)])
def test_intervals_cover_where_knots_are_chosen_by_the_outcomes(bend: float, repetitions: int) -> None:
    """Knots are where outcomes happen to rise: intervals of the same fit contain a straight truth in 86 %.

    Half of the rows and knots in between make up for it, for curves too, and are a little more than that needs.
    """
    inside = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        scores = rng.random(3000)

        def truth(s: np.ndarray) -> np.ndarray:
            return np.asarray(0.05 + (0.6 - bend) * s + bend * s**2)

        made = oa.Calibration.fit(scores, rng.random(3000) < truth(scores))
        inside += covered(made, truth(made.x))
    assert (0.93 if repetitions > 100 else 0.8) <= np.mean(inside) <= (0.985 if repetitions > 100 else 1.0)


@pytest.mark.parametrize("repetitions", [20, pytest.param(1000, marks=pytest.mark.full)])
def test_intervals_of_segments_cover(repetitions: int) -> None:
    factor, rates = np.array([0.8, 1.0, 1.2, 0.9]), np.array([0.02, 0.1, 0.3])
    inside = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        k, market = rng.choice(3, 4000), rng.choice(4, 4000, p=[0.6, 0.3, 0.08, 0.02])
        outcomes = rng.random(4000) < rates[k] * factor[market]
        made = oa.Calibration.fit(THREE[k], outcomes, by={"market": market}, knots=3, shrinkage=0)
        for row in range(1, 5):
            inside += covered(made, rates * factor[row - 1], row)
    assert (0.93 if repetitions == 1000 else 0.87) <= np.mean(inside) <= (0.97 if repetitions == 1000 else 1.0)


def test_segments_that_differ_get_their_own_maps_and_others_the_pooled_one() -> None:
    rng = np.random.default_rng(3)
    scores, market = rng.random(40_000), rng.choice(["DE", "SE", "US"], 40_000)
    factor = {"DE": 0.4, "SE": 0.7, "US": 1.0}
    p = scores * np.vectorize(factor.get)(market)
    made = oa.Calibration.fit(scores, rng.random(40_000) < p, by={"market": market})
    assert made.labels == ("DE", "SE", "US")
    assert (made.own[1:] > 0.9).all()
    for label, f in factor.items():
        assert made.apply([0.5], {"market": [label]})[0] == pytest.approx(0.5 * f, abs=0.02)
    assert made.apply([0.5], {"market": ["FR"]})[0] == made.apply([0.5])[0]
    same = oa.Calibration.fit(scores, rng.random(40_000) < scores, by={"market": market})
    assert (same.own[1:] < 0.5).all()


def test_a_small_segment_is_near_the_pooled_map() -> None:
    rng = np.random.default_rng(4)
    scores, label = rng.random(20_030), np.where(np.arange(20_030) < 30, "small", "large")
    outcomes = rng.random(20_030) < scores
    made = oa.Calibration.fit(scores, outcomes, by={"artist": label}, shrinkage=1000)
    small = made.labels.index("small") + 1
    assert made.own[small] == pytest.approx(30 / 1030)
    assert np.abs(made.y[small] - made.y[0]).max() < 0.03


def test_weights_count_rows() -> None:
    scores, outcomes = log(2000, 5)
    weights = np.tile([1.0, 3.0], 1000)
    repeated = np.repeat(np.arange(2000), weights.astype(int))
    by_weight = oa.Calibration.fit(scores, outcomes, weights=weights)
    by_row = oa.Calibration.fit(scores[repeated], outcomes[repeated])
    assert np.abs(by_weight.apply(scores) - by_row.apply(scores)).max() < 1e-6


def test_dict_and_json_keep_every_bit() -> None:
    scores, outcomes = log(5000, 6)
    made = oa.Calibration.fit(scores, outcomes, by={"market": ["SE", None] * 2500})
    again = oa.Calibration.from_dict(json.loads(json.dumps(made.to_dict())))
    for name in ("x", "y", "low", "high", "own", "rows"):
        assert np.array_equal(getattr(made, name), getattr(again, name))
    assert (again.key, again.labels, again.confidence) == ("market", ("SE",), 0.95)
    assert made.to_dict() == again.to_dict()


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_maps_are_monotone_to_the_last_bit(scale: float) -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        x, y = np.sort(rng.random(9)) * scale, np.sort(rng.random((1, 9)), axis=1)
        values = np.sort(np.concatenate([rng.random(2000) * scale, x, np.nextafter(x, np.inf), np.nextafter(x, -1)]))
        assert (np.diff(piecewise(x, y, values)) >= 0).all()


GOOD: dict[str, Any] = {"scores": [0.1, 0.4, 0.9, 0.7], "outcomes": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcomes": [0, 0, 2, 1]}, r"outcomes: row 2 is 2 \(1 such rows\); expected numbers in \[0, 1\]"),
        ({"outcomes": [1, 1, 1, 1]}, "all 4 rows are 1, a single class"),
        ({"outcomes": [0, 1, np.nan, 1]}, "outcomes: row 2 is nan"),
        ({"outcomes": [0, 1]}, "outcomes: 2 rows; expected 4"),
        ({"scores": [0.1, np.inf, 0.9, 0.7]}, "scores: row 1 is inf"),
        ({"scores": [0.5] * 4}, "scores: all 4 rows are 0.5; expected scores that differ"),
        ({"scores": 0.5}, "scores: got 0.5"),
        ({"by": {"market": ["a"]}}, r"by\['market'\]: 1 labels; expected 4"),
        ({"by": {"market": ["a", 1, "b", 2]}}, "labels of several kinds"),
        ({"by": {"a": [1] * 4, "b": [1] * 4}}, "expected one key and its labels"),
        ({"by": ["a"] * 4}, "expected one key and its labels"),
        ({"weights": [1, -1, 1, 1]}, "weights: row 1 is -1"),
        ({"weights": [0] * 4}, "all rows are 0"),
        ({"knots": 1}, "knots=1"),
        ({"knots": 2.5}, "knots=2.5"),
        ({"shrinkage": -1}, "shrinkage=-1"),
        ({"confidence": 1}, "confidence=1"),
    ],
)
def test_bad_input_is_refused_in_words(change: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.Calibration.fit(**(GOOD | change))


def test_bad_documents_are_refused() -> None:
    good = oa.Calibration.fit(**GOOD).to_dict()
    for change in ({"format": "x"}, {"x": [0.0, 0.0]}, {"y": [[1.0, 0.0]]}, {"labels": ["a"]}, {"own": [1.0, 1.0]}):
        with pytest.raises(oa.InputError):
            oa.Calibration.from_dict(good | change)
    with pytest.raises(oa.InputError, match="KeyError"):
        oa.Calibration.from_dict({name: part for name, part in good.items() if name != "low"})
    made = oa.Calibration.from_dict(good)
    with pytest.raises(oa.InputError, match="by has the key 'market'; expected None"):
        made.apply([0.5], {"market": ["SE"]})
    with pytest.raises(oa.InputError, match="above 0"):
        made.scaled(0)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.isotonic", None)
    with pytest.raises(oa.MissingDependencyError, match=r"sklearn is needed .*\[signals\]"):
        oa.Calibration.fit(**GOOD)


def test_it_prints_its_maps() -> None:
    made = oa.Calibration.fit(**GOOD, by={"market": ["SE", "DE"] * 2})
    assert repr(made) == f"Calibration({made.x.size} knots over 4 rows, 2 segments by 'market')"
    assert [line.split()[0] for line in str(made).splitlines()[-3:]] == ["all", "DE", "SE"]
