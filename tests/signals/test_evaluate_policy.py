"""A policy replayed on a log of drawn slates: known values, what a request has, and logs that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_logs import IDS, MODEL, RATE, SHARE, N, policy, request, truth, write

import oasis_alloc as oa

REQUESTS = 800


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[oa.Decisions, pd.DataFrame]:
    return write(tmp_path_factory.mktemp("log"), REQUESTS, seed=1)


@pytest.fixture(scope="module")
def found(log: tuple[oa.Decisions, pd.DataFrame]) -> oa.OffPolicy:
    return oa.evaluate_policy(policy("new"), *log, "streams", predicted="model")


def test_the_value_of_another_policy_is_found(found: oa.OffPolicy) -> None:
    value, before = truth(REQUESTS), found.logged.value
    assert value > before + 0.1
    assert [one.estimator for one in found.estimates] == [
        "inverse propensity", "self-normalized", "doubly robust", "switch",
    ]  # fmt: skip
    for one in found.estimates:
        assert one.value == pytest.approx(value, abs=4 * one.standard_error)
        assert one.low < value < one.high
        assert one.difference_low > 0.0
    assert found.verdict.endswith("the policy is better.")
    assert (found.requests, found.units) == (REQUESTS, REQUESTS // 4)
    assert found.weights.overlap == pytest.approx(1.0, abs=4 * found.weights.overlap_error)


def test_weights_are_those_of_best_slates_and_logged_propensities(
    log: tuple[oa.Decisions, pd.DataFrame], found: oa.OffPolicy
) -> None:
    decisions, frame = log
    streams = frame.streams.to_numpy()
    total = squares = 0.0
    robust, weights = [], []
    for k, one in enumerate(decisions):
        best = set(np.argsort(-request(k)["new"])[:2])
        w = np.array([(place in best) / p for place, p in zip(one.slate, one.propensities or (), strict=True)])
        r = streams[2 * k : 2 * k + 2]
        total, squares = total + float(w @ r), squares + float(w @ w)
        weights.append(w.sum())
        robust.append(MODEL[list(best)].sum() + w @ (r - MODEL[list(one.slate)]))
    assert found["inverse propensity"].value == pytest.approx(total / REQUESTS, rel=1e-12)
    assert found["self-normalized"].value == pytest.approx(2 * total / sum(weights), rel=1e-12)
    assert found["doubly robust"].value == pytest.approx(np.mean(robust), rel=1e-12)
    assert found.weights.effective == pytest.approx(sum(weights) ** 2 / squares, rel=1e-12)


@pytest.mark.full
def test_the_logged_policy_is_worth_what_it_earned(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    found = oa.evaluate_policy(policy("now"), *log, "streams", exploration={"share": SHARE})
    assert found["inverse propensity"].value == pytest.approx(found.logged.value, rel=1e-12)
    assert found.weights.effective == pytest.approx(found.weights.count, rel=1e-9)
    alone = oa.evaluate_policy(policy("now"), *log, "streams")
    assert alone["inverse propensity"].value != pytest.approx(found.logged.value, rel=1e-3)


def test_an_exploring_policy_is_between_its_best_slate_and_even_ones(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    explored = oa.evaluate_policy(policy("new"), *log, "streams", exploration=oa.Exploration(share=0.4))
    value = 0.6 * truth(REQUESTS) + 0.4 * RATE.mean() * 2
    one = explored["self-normalized"]
    assert one.value == pytest.approx(value, abs=4 * one.standard_error)


@pytest.mark.full
def test_predictions_may_be_a_function(log: tuple[oa.Decisions, pd.DataFrame], found: oa.OffPolicy) -> None:
    same = oa.evaluate_policy(policy("new"), *log, "streams", predicted=lambda one: MODEL[: len(one.items)])
    assert same["doubly robust"].value == found["doubly robust"].value
    with pytest.raises(oa.InputError, match=r"predicted, request 'r0': there is no column 'models'.*'model'"):
        oa.evaluate_policy(policy("new"), *log, "streams", predicted="models")
    with pytest.raises(oa.InputError, match=r"predicted, request 'r0' has shape \(1,\); expected \(6,\)"):
        oa.evaluate_policy(policy("new"), *log, "streams", predicted=lambda one: [0.5])


@pytest.mark.full
def test_users_are_units_if_they_are_logged(log: tuple[oa.Decisions, pd.DataFrame], tmp_path: Path) -> None:
    alone = oa.evaluate_policy(policy("new"), *log, "streams", by_user=False)
    assert alone.units == REQUESTS
    bound = oa.evaluate_policy(policy("new"), *log, "streams", interval="bernstein")
    assert bound.units == REQUESTS
    with pytest.raises(oa.InputError, match="needs units of bounded size"):
        oa.evaluate_policy(policy("new"), *log, "streams", interval="bernstein", by_user=True)
    unknown = write(tmp_path, 60, user=None)
    assert oa.evaluate_policy(policy("new"), *unknown, "streams", min_effective=0).units == 60
    with pytest.raises(oa.InputError, match="60 of 60 decisions have no user"):
        oa.evaluate_policy(policy("new"), *unknown, "streams", by_user=True)


def test_a_missing_outcome_is_named_or_filled(log: tuple[oa.Decisions, pd.DataFrame], found: oa.OffPolicy) -> None:
    decisions, frame = log
    hits = frame[frame.streams > 0]
    filled = oa.evaluate_policy(policy("new"), decisions, hits, "streams", missing=0.0, predicted="model")
    assert filled["doubly robust"].value == found["doubly robust"].value
    with pytest.raises(oa.InputError, match=r"items shown have no 'streams'; the first is item 'song-\d' of request"):
        oa.evaluate_policy(policy("new"), decisions, hits, "streams")
    with pytest.raises(oa.InputError, match=r"there is no column 'stream'.*Did you mean 'streams'"):
        oa.evaluate_policy(policy("new"), *log, "stream")
    with pytest.raises(oa.InputError, match="missing='no'"):
        oa.evaluate_policy(policy("new"), *log, "streams", missing="no")  # type: ignore[arg-type]


def record(folder: Path, name: str = "now", size: int = 2, **how: Any) -> tuple[oa.Decisions, pd.DataFrame]:
    """One more decision, in a log of its own folder, and outcomes of all logged in it."""
    made = policy(name, size)
    scored = {name: request(0)[name]}
    slate, p = made.sample(np.arange(N), scored, rng=1, exploration={"share": SHARE})
    with oa.DecisionLog(folder, rate=how.pop("rate", 1.0)) as log:
        log.record("r", made, IDS, request(0), slate, **{"propensities": p, **how})
    decisions = oa.read_decisions(folder)
    rows = [(one.request, item, float(k)) for one in decisions for k, item in enumerate(one.shown)]
    return decisions, pd.DataFrame(rows, columns=["request", "item", "streams"])


def test_logs_of_several_policies_are_named(log: tuple[oa.Decisions, pd.DataFrame], tmp_path: Path) -> None:
    write(tmp_path, 40)
    mixed = record(tmp_path, size=3)
    first, second = policy("now").policy_id, policy("now", 3).policy_id
    with pytest.raises(oa.InputError, match=rf"decisions of 2 policies: {first} \(40\), {second} \(1\)\. Choose one"):
        oa.evaluate_policy(policy("new"), *mixed, "streams")
    how: dict[str, Any] = {"min_effective": 0}
    assert oa.evaluate_policy(policy("new"), *mixed, "streams", mixed=True, by_user=False, **how).requests == 41
    assert oa.evaluate_policy(policy("new"), *mixed, "streams", policy_id=first, **how).requests == 40
    with pytest.raises(oa.InputError, match="the log has no such policy"):
        oa.evaluate_policy(policy("new"), *mixed, "streams", policy_id="another")


def test_logs_at_several_rates_are_named(tmp_path: Path) -> None:
    write(tmp_path, 40, rate=0.9)
    with pytest.raises(oa.InputError, match=r"logged at the rates 0\.9, 1; expected one rate"):
        oa.evaluate_policy(policy("new"), *record(tmp_path), "streams")


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"propensities": None}, "2 of 2 items shown were logged without a propensity, first in request 'r'"),
        ({"propensities": [0.5, 0.0]}, "logged, row 1: 0; expected a propensity above 0"),
        ({"propensities": [0.5, 1.5]}, "logged, row 1: 1.5; expected a propensity above 0"),
        ({"excluded": {0: "heard", 1: "", 2: "", 3: "", 4: "", 5: ""}}, "the policy shows nothing|one independent"),
        ({"labels": {"mood": "calm"}}, "request 'r' cannot be replayed: .*mood"),
        ({"pinned": [0]}, "request 'r' cannot be replayed: it has pinned items, which sample does not draw"),
    ],
)
def test_decisions_that_do_not_fit_are_named(tmp_path: Path, how: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.evaluate_policy(policy("new"), *record(tmp_path, **how), "streams", exploration={"share": 0.1})


def test_a_request_is_replayed_with_all_it_had(tmp_path: Path) -> None:
    from oasis_alloc.serving.exploration import Exploration
    from oasis_alloc.signals.off_policy.replayed import probabilities

    decisions, _ = record(tmp_path, k=3, excluded={3: "heard"}, labels={"market": "SE"}, pinned=[4])
    best = [place for place in np.argsort(-request(0)["new"]) if place not in (3, 4)][:2]
    assert set(np.flatnonzero(probabilities(policy("new"), decisions[0], Exploration()))) == {4, *best}


def test_a_policy_without_ids_is_named(log: tuple[oa.Decisions, pd.DataFrame]) -> None:
    cands = oa.Candidates.from_arrays([0, N], np.arange(N), {"new": np.ones(N)})
    made = oa.solve(oa.Problem(cands, oa.total("new"), slate=oa.Slate(2))).policy()
    with pytest.raises(
        oa.InputError, match="the policy numbers items and has no ids; the log has ids such as 'song-0'"
    ):
        oa.evaluate_policy(made, *log, "streams")


def test_what_is_not_a_policy_or_a_log_is_named(log: tuple[oa.Decisions, pd.DataFrame], tmp_path: Path) -> None:
    with pytest.raises(oa.InputError, match="expected a Policy"):
        oa.evaluate_policy("policy.oasis", *log, "streams")  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="expected what read_decisions returns"):
        oa.evaluate_policy(policy("new"), tmp_path, log[1], "streams")  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="the log has no decisions"):
        oa.evaluate_policy(policy("new"), oa.read_decisions(tmp_path), log[1], "streams")
