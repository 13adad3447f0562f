"""Off-policy estimates from arrays: known values, what weights carry, intervals, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bandits import world

import oasis_alloc as oa
from oasis_alloc.signals.off_policy.intervals import intervals
from oasis_alloc.signals.off_policy.units import gradient, theta

ALL = ("inverse propensity", "self-normalized", "doubly robust", "switch")


@pytest.fixture(scope="module")
def large() -> oa.OffPolicy:
    log = world().log(100_000, np.random.default_rng(3))
    return oa.off_policy(*log[:3], predicted=log.predicted, predicted_target=log.predicted_target, resamples=100)


def test_estimates_are_those_of_their_formulas() -> None:
    log = world().log(400, np.random.default_rng(5))
    found = oa.off_policy(*log[:3], predicted=log.predicted, predicted_target=log.predicted_target, threshold=1.5)
    w = log.target / log.logged
    small = w * (w <= 1.5)
    assert found["inverse propensity"].value == pytest.approx(np.mean(w * log.outcomes), rel=1e-13)
    assert found["self-normalized"].value == pytest.approx(np.average(log.outcomes, weights=w), rel=1e-13)
    left = log.outcomes - log.predicted
    assert found["doubly robust"].value == pytest.approx(np.mean(log.predicted_target + w * left), rel=1e-13)
    assert found["switch"].value == pytest.approx(np.mean(log.predicted_target + small * left), rel=1e-13)
    assert found.logged.value == pytest.approx(log.outcomes.mean(), rel=1e-13)
    for one in found.estimates:
        assert one.difference == pytest.approx(one.value - found.logged.value, abs=1e-13)
    assert found.weights.effective == pytest.approx(w.sum() ** 2 / (w**2).sum(), rel=1e-13)
    assert found.best.estimator == "doubly robust"


def test_all_estimators_find_the_truth_in_a_long_log(large: oa.OffPolicy) -> None:
    truth = world().truth
    assert tuple(one.estimator for one in large.estimates) == ALL
    for one in large.estimates:
        assert one.value == pytest.approx(truth, abs=4 * one.standard_error)
        assert one.standard_error < 0.003
        assert one.low < one.value < one.high
    assert large["doubly robust"].standard_error < large["inverse propensity"].standard_error
    assert large.weights.overlap == pytest.approx(1.0, abs=4 * large.weights.overlap_error)
    assert not large.cautions


@pytest.mark.full
def test_standard_errors_are_those_of_repetitions() -> None:
    of = world()
    rng = np.random.default_rng(11)
    values: dict[str, list[float]] = {name: [] for name in ALL}
    errors: dict[str, list[float]] = {name: [] for name in ALL}
    for _ in range(200):
        log = of.log(300, rng)
        found = oa.off_policy(
            *log[:3], predicted=log.predicted, predicted_target=log.predicted_target, interval="normal"
        )
        for one in found.estimates:
            values[one.estimator].append(one.value)
            errors[one.estimator].append(one.standard_error)
    for name in ALL:
        assert np.mean(errors[name]) == pytest.approx(np.std(values[name]), rel=0.12), name


def test_the_gradient_is_that_of_the_estimate() -> None:
    means = np.array([0.3, 2.0, 1.9, 1.0, 0.25])
    for difference in (False, True):
        for k in range(5):
            step = np.zeros(5)
            step[k] = 1e-6
            slope = (theta(means + step, difference) - theta(means - step, difference)) / 2e-6
            assert gradient(means, difference)[k] == pytest.approx(slope, abs=1e-8)
        assert gradient(means, difference) @ means == pytest.approx(0.0, abs=1e-12)


def test_slates_are_added_up_by_request() -> None:
    outcomes, logged = np.array([1.0, 0.0, 2.0, 1.0, 0.0, 3.0]), np.array([0.5, 0.5, 0.25, 1.0, 0.5, 0.5])
    target = np.array([1.0, 0.0, 0.25, 1.0, 0.25, 0.5])
    found = oa.off_policy(outcomes, logged, target, requests=["a", "a", "b", "b", "c", "c"], min_effective=0)
    w = target / logged
    assert (found.requests, found.weights.count) == (3, 6)
    assert found["inverse propensity"].value == pytest.approx((w * outcomes).sum() / 3)
    assert found["self-normalized"].value == pytest.approx((w * outcomes).sum() / w.sum() * 2)
    three = oa.off_policy(
        outcomes, logged, target, requests=list("aabbcc"), expected=[1, 0, 1, 1, 1, 1], min_effective=0
    )
    assert three["self-normalized"].value == pytest.approx((w * outcomes).sum() / w.sum() * 5 / 3)


def test_the_logged_policy_itself_is_estimated_without_error() -> None:
    log = world().log(500, np.random.default_rng(2))
    found = oa.off_policy(log.outcomes, log.logged, log.logged)
    for one in found.estimates:
        assert one.value == pytest.approx(log.outcomes.mean(), rel=1e-12)
        assert (one.difference, one.difference_low, one.difference_high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert found.weights.effective == pytest.approx(500)
    assert "cannot distinguish" in found.verdict


def test_the_bootstrap_is_that_of_plain_resampling() -> None:
    """The same quantiles as a bootstrap that computes every resample from its rows, with draws of its own."""
    log = world().log(120, np.random.default_rng(4))
    w = log.target / log.logged
    found = oa.off_policy(*log[:3], resamples=10_000)["self-normalized"]

    def studied(r: Any, v: Any) -> tuple[float, float]:
        value = (v * r).sum() / v.sum()
        return value, math.sqrt((v**2 * (r - value) ** 2).sum() / (r.size * (r.size - 1))) / v.mean()

    value, error = studied(log.outcomes, w)
    rng, t = np.random.default_rng(9), []
    for _ in range(6_000):
        at = rng.integers(120, size=120)
        again, spread = studied(log.outcomes[at], w[at])
        t.append((again - value) / spread)
    low, high = np.quantile(t, [0.025, 0.975])
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.low == pytest.approx(value - high * error, abs=0.1 * error)
    assert found.high == pytest.approx(value - low * error, abs=0.1 * error)


def test_many_units_are_resampled_in_groups(large: oa.OffPolicy) -> None:
    for one in large.estimates:
        assert one.high - one.low == pytest.approx(2 * 1.96 * one.standard_error, rel=0.25)


def test_bernstein_contains_more_and_needs_bounds() -> None:
    log = world().log(2_000, np.random.default_rng(6))
    how: dict[str, Any] = {"predicted": log.predicted, "predicted_target": log.predicted_target, "resamples": 300}
    usual = oa.off_policy(*log[:3], **how)
    bound = oa.off_policy(*log[:3], interval="bernstein", **how)
    for name in ALL:
        assert bound[name].low < usual[name].low < usual[name].high < bound[name].high
        assert bound[name].difference_low < usual[name].difference_low
    twice = oa.off_policy(2 * log.outcomes, *log[1:3], interval="bernstein", bounds=(0, 2))
    assert twice["inverse propensity"].high == pytest.approx(2 * bound["inverse propensity"].high, rel=1e-9)
    assert twice["self-normalized"].high == pytest.approx(2 * bound["self-normalized"].high, rel=1e-6)
    with pytest.raises(oa.InputError, match=r"outcomes, row \d+: 2; expected a number from 0 to 1, which interval='b"):
        oa.off_policy(2 * log.outcomes, *log[1:3], interval="bernstein")
    wider = oa.off_policy(*log[:3], interval="bernstein", max_weight=100.0)
    assert wider["inverse propensity"].high > bound["inverse propensity"].high
    with pytest.raises(oa.InputError, match="max_weight=1: there is a weight of"):
        oa.off_policy(*log[:3], interval="bernstein", max_weight=1.0)


def test_the_bernstein_interval_is_that_of_maurer_and_pontil() -> None:
    outcomes = np.array([0.0, 1.0] * 50)
    found = oa.off_policy(outcomes, np.full(100, 0.5), np.full(100, 0.5), interval="bernstein")
    log = math.log(4 / 0.05)
    radius = math.sqrt(2 * outcomes.var(ddof=1) * log / 100) + 7 * log / (3 * 99)
    one = found["inverse propensity"]
    assert (one.low, one.high) == pytest.approx((0.5 - radius, 0.5 + radius))


def test_a_threshold_widens_the_interval_by_what_predictions_may_miss() -> None:
    log = world(1.2).log(1_000, np.random.default_rng(8))
    how: dict[str, Any] = {"predicted": log.predicted, "predicted_target": log.predicted_target}
    found = {t: oa.off_policy(*log[:3], threshold=t, **how) for t in (2.0, 1e9)}
    near, far = found[2.0]["switch"], found[1e9]["switch"]
    assert far.value == found[2.0]["doubly robust"].value
    assert near.standard_error < far.standard_error
    missed = (log.target / log.logged * (log.target > 2 * log.logged)).mean()
    assert near.high - near.low > 2 * 0.5 * missed
    sure = oa.off_policy(*log[:3], threshold=2.0, model_error=0.0, **how)["switch"]
    assert sure.high - sure.low < far.high - far.low
    chosen = oa.off_policy(*log[:3], model_error=0.02, **how)
    assert chosen.threshold is not None
    assert chosen.threshold < chosen.weights.largest
    assert far.standard_error > chosen["switch"].standard_error


def test_little_information_is_said_or_refused() -> None:
    rng = np.random.default_rng(1)
    outcomes = (rng.random(2_000) < 0.1).astype(float)
    logged = np.where(np.arange(2_000) % 100 == 0, 0.008, 0.9)
    few = oa.off_policy(outcomes, logged, np.full(2_000, 0.5))
    assert not few.refused
    assert any("effective sample size is" in text and "of 2,000" in text for text in few.cautions)
    assert any("The largest 1 %" in text for text in few.cautions)
    assert "carry little information" in few.verdict
    rare = np.where(np.arange(2_000) % 200 == 0, 1.0, 0.0)
    none = oa.off_policy(outcomes, np.full(2_000, 1.0), rare)
    assert none.refused
    assert none.estimates == ()
    assert "fewer than the 30" in none.verdict
    assert any("covers about 0 % of what" in text for text in none.refusals)
    with pytest.raises(oa.InputError, match="there is no estimate"):
        _ = none.best
    with pytest.raises(oa.InputError, match="there is no estimate 'switch'"):
        none["switch"]
    seen = oa.off_policy(outcomes, np.full(2_000, 1.0), rare, min_effective=0)
    assert len(seen.estimates) == 2
    never = oa.off_policy(outcomes, np.full(2_000, 0.5), 0.5 * (outcomes == 0))
    assert any("all weighted outcomes are 0" in text for text in never.refusals)


def test_few_outcomes_do_not_compare_policies() -> None:
    rng = np.random.default_rng(3)
    logged, target = np.full(4_000, 0.5), np.tile([0.3, 0.7], 2_000)
    rare = (rng.random(4_000) < 0.01 * target).astype(float)
    found = oa.off_policy(rare, logged, target)
    apart = (target / logged - 1.0) * rare
    assert found.weights.compared == pytest.approx(np.abs(apart).sum() ** 2 / (apart**2).sum())
    assert found.weights.compared < 50
    assert not found.is_compared
    assert "too few outcomes distinguish the two" in found.verdict
    assert any("does not say which policy is better" in text for text in found.cautions)
    assert oa.off_policy(rare, logged, target, interval="bernstein").is_compared, "its bound holds for any number"
    common = oa.off_policy((rng.random(4_000) < target).astype(float), logged, target)
    assert common.is_compared
    assert common.verdict.endswith("the policy is better.")
    same = oa.off_policy(rare, logged, logged)
    assert same.weights.compared == math.inf
    assert same.to_dict()["weights"]["compared"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcomes": np.array([1e308, 0.0])}, "outcomes, row 0: 1e\\+308; expected a number of a size up to 1e\\+50"),
        ({"outcomes": np.array([0.0, -1e200])}, "outcomes, row 1: -1e\\+200; expected a number of a size"),
        ({"logged": np.array([0.5, 1e-320])}, "logged, row 1: .*; expected a propensity above 0"),
        ({"expected": np.array([1e300, 1.0])}, "expected, row 0: 1e\\+300; expected a number of a size"),
        ({"outcomes": np.ma.masked_array([1.0, 0.0], [True, False])}, "outcomes: some rows are masked"),
        ({"outcomes": np.array([b"1", b"0"])}, "outcomes: expected numbers"),
        ({"outcomes": np.array(["2026-01-01", "2026-01-02"], "M8[D]")}, "outcomes: expected numbers"),
    ],
)
def test_numbers_that_no_sum_holds_are_named(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"outcomes": np.array([1.0, 0.0]), "logged": np.full(2, 0.5), "target": np.full(2, 0.5)}
    with pytest.raises(oa.InputError, match=words):
        oa.off_policy(**given | change)


def test_wrong_propensities_show_in_the_sum_of_weights() -> None:
    log = world().log(5_000, np.random.default_rng(12))
    low = oa.off_policy(log.outcomes, log.logged / 1.3, log.target)
    assert any("propensities are too low" in text for text in low.cautions)
    high = oa.off_policy(log.outcomes, np.minimum(1.2 * log.logged, 1.0), log.target)
    assert any("propensities are too high" in text for text in high.cautions)


def test_few_outcomes_leave_an_end_open() -> None:
    outcomes = np.zeros(1_000)
    outcomes[:2] = 1.0
    found = oa.off_policy(outcomes, np.full(1_000, 0.5), np.tile([0.25, 0.75], 500))
    assert any("about 2 outcomes" in text for text in found.cautions)
    assert found["inverse propensity"].high == math.inf
    assert found.to_dict()["estimates"][0]["high"] is None
    assert "inf" in str(found)


def test_the_result_is_a_report_a_frame_a_document_and_a_page(large: oa.OffPolicy, tmp_path: Path) -> None:
    assert "doubly robust" in str(large)
    assert large.to_frame("polars").columns == large.to_frame("pandas").columns.tolist()
    assert large.to_frame("pyarrow").num_rows == 4
    document = json.loads(json.dumps(large.to_dict(), allow_nan=False))
    assert (document["format"], document["schema"], len(document["estimates"])) == ("oasis_alloc.off_policy", 1, 4)
    assert document["weights"]["count"] == 100_000
    large.page(tmp_path / "page.html", "a <title>")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "a &lt;title&gt;" in text
    assert "<svg" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "<table>" in large._repr_html_()
    with pytest.raises(oa.InputError, match="backend='excel'"):
        large.to_frame("excel")
    with pytest.raises(oa.InputError, match=r"there is no estimate 'switches'.*Did you mean 'switch'"):
        large["switches"]


GOOD: dict[str, Any] = {"outcomes": [1.0, 0.0, 1.0], "logged": [0.5, 0.5, 0.5], "target": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logged": [0.5, 0.0, 0.0]}, r"logged, row 1: 0; expected a propensity above 0.*\(2 such values\)"),
        ({"logged": [0.5, 0.5, 1.5]}, "logged, row 2: 1.5; expected a propensity above 0 and at most 1"),
        ({"logged": [0.5, math.nan, 0.5]}, "logged, row 1: nan; expected a finite number"),
        ({"target": [0.5, -0.1, 0.5]}, "target, row 1: -0.1; expected a probability from 0 to 1"),
        ({"target": [0.5, 0.5]}, r"target has shape \(2,\); expected \(3,\)"),
        ({"target": [0.0, 0.0, 0.0], "expected": [0, 0, 0]}, "the policy shows nothing"),
        ({"outcomes": [1.0, 1.0, 1.0]}, "outcomes: all 3 are 1, a single class"),
        ({"outcomes": ["a", "b", "c"]}, "outcomes: expected numbers"),
        ({"outcomes": []}, r"outcomes has shape \(0,\); expected a row of numbers"),
        ({"outcomes": [1.0, math.inf, 0.0]}, "outcomes, row 1: inf; expected a finite number"),
        ({"requests": ["a", "b"]}, "requests has 2 labels; expected 3"),
        ({"requests": ["a", "a", "a"]}, "requests: there is one request"),
        ({"requests": [["a"], ["b"], ["c"]]}, "requests: expected one label per outcome"),
        ({"requests": ["a", None, None]}, r"requests, row 1: None; expected a label \(2 such rows\)"),
        ({"requests": [1.0, math.nan, 2.0]}, "requests, row 1: nan; expected a label"),
        ({"predicted": [0.5, 0.5, 0.5]}, "predicted and predicted_target belong together"),
        ({"interval": "exact"}, "interval='exact'.*expected one of 'bootstrap'"),
        ({"confidence": 1.0}, "confidence=1.0"),
        ({"resamples": 10}, "resamples=10"),
        ({"seed": -1}, "seed=-1"),
        ({"min_effective": -1}, "min_effective=-1"),
        ({"bounds": (1.0, 0.0)}, r"bounds=\(1.0, 0.0\)"),
        ({"threshold": -1.0}, "threshold=-1.0"),
        ({"model_error": "a"}, "model_error='a'"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.off_policy(**{**GOOD, **change})


def test_no_estimators_have_no_intervals() -> None:
    assert intervals([], "normal", 0.95, 100, 0, 1.0, 1.0) == []
