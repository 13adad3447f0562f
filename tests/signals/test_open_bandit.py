"""Real logs: the Open Bandit Dataset, whose policies ran at the same time, and the estimators of Vowpal Wabbit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bandits import Log, world

import oasis_alloc as oa


@pytest.fixture(scope="module")
def events(data_dir: Path) -> pd.DataFrame:
    return pd.read_parquet(data_dir / "obd-men" / "events.parquet")


@pytest.fixture(scope="module")
def found(events: pd.DataFrame) -> oa.OffPolicy:
    """The uniform policy, from the rows of the other one."""
    rows = events[events.policy == "bts"]
    return oa.off_policy(rows.click, rows.propensity, np.full(len(rows), 1 / 34))


def test_reference_numbers(found: oa.OffPolicy, events: pd.DataFrame) -> None:
    truth = events[events.policy == "random"].click.mean()
    assert truth == pytest.approx(0.0046)
    assert found["inverse propensity"].value == pytest.approx(0.00301, abs=5e-6)
    assert found["self-normalized"].value == pytest.approx(0.00319, abs=5e-6)
    assert found.logged.value == pytest.approx(0.0069)
    assert round(found.weights.effective) == 656
    assert found.weights.count == 10_000
    assert any("effective sample size is 656 of 10,000" in text for text in found.cautions)
    for one in found.estimates:
        assert one.low < truth < one.high


def test_the_log_of_the_uniform_policy_is_better_for_its_own_value(events: pd.DataFrame) -> None:
    rows = events[events.policy == "random"]
    own = oa.off_policy(rows.click, rows.propensity, np.full(len(rows), 1 / 34))
    assert own["inverse propensity"].value == pytest.approx(0.0046, rel=1e-6)
    assert not [text for text in own.cautions if "effective sample size" in text]


def of_vowpal(log: Log) -> dict[str, float]:
    """What `vw-estimators` says of the same log."""
    ips = pytest.importorskip("estimators.bandits.ips", reason="vw-estimators is not installed").Estimator()
    snips = pytest.importorskip("estimators.bandits.snips", reason="vw-estimators is not installed").Estimator()
    for r, p, q in zip(log.outcomes, log.logged, log.target, strict=True):
        ips.add_example(p_log=p, r=r, p_pred=q)
        snips.add_example(p_log=p, r=r, p_pred=q)
    return {"inverse propensity": ips.get(), "self-normalized": snips.get()}


def test_estimates_are_those_of_vowpal_wabbit_on_real_rows(found: oa.OffPolicy, events: pd.DataFrame) -> None:
    rows = events[events.policy == "bts"]
    same = np.full(len(rows), 1 / 34)
    log = Log(rows.click.to_numpy(float), rows.propensity.to_numpy(), same, same, same)
    for name, value in of_vowpal(log).items():
        assert found[name].value == pytest.approx(value, rel=1e-10)


def test_estimates_and_errors_are_those_of_vowpal_wabbit_on_synthetic_rows() -> None:
    gaussian = pytest.importorskip("estimators.bandits.gaussian", reason="vw-estimators is not installed").Interval()
    log = world(1.0).log(3_000, np.random.default_rng(2))
    found = oa.off_policy(*log[:3], interval="normal")
    for name, value in of_vowpal(log).items():
        assert found[name].value == pytest.approx(value, rel=1e-10)
    for r, p, q in zip(*log[:3], strict=True):
        gaussian.add_example(p_log=p, r=r, p_pred=q)
    one = found["inverse propensity"]
    assert (one.low, one.high) == pytest.approx(gaussian.get(0.05), rel=1e-9)
