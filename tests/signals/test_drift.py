"""Sketches and drift: numbers by hand and from SciPy, alarms with hysteresis, river, costs, and bad input."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa


def test_counts_by_hand() -> None:
    sketch = oa.Sketch.of({"r": np.arange(8.0)}, bins=4)
    assert sketch.edges["r"].tolist() == [1.75, 3.5, 5.25]
    assert sketch.counts["r"].tolist() == [2, 2, 2, 2, 0]
    now = sketch.empty()
    now.add({"r": [-5.0, 1.75, 100.0, np.nan, np.inf], "other": [1.0]})
    assert now.counts["r"].tolist() == [1, 1, 0, 1, 2]
    assert now.merge(sketch).counts["r"].tolist() == [3, 3, 2, 3, 2]
    again = oa.Sketch.from_dict(json.loads(json.dumps(now.to_dict())))
    assert again.to_dict() == now.to_dict()
    assert repr(now) == "Sketch(r: 5 in 4 bins)"


def test_columns_of_few_values() -> None:
    assert oa.Sketch.of({"r": np.zeros(10)}, bins=5).counts["r"].sum() == 10
    flags = oa.Sketch.of({"r": np.repeat([0.0, 1.0], [70, 30])}, bins=10)
    assert sorted(flags.counts["r"].tolist())[-2:] == [30, 70]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.03, 0.97])
@pytest.mark.parametrize("bins", [2, 20])
def test_columns_that_are_mostly_one_value_drift(share: float, bins: int) -> None:
    flags = np.repeat([0.0, 1.0], [round(20_000 * (1.0 - share)), round(20_000 * share)])
    sketch = oa.Sketch.of({"r": flags}, bins=bins)
    seen = sketch.empty()
    seen.add({"r": np.repeat([0.0, 1.0], [10_000, 10_000])})
    (drift,) = oa.Drift.between(sketch, seen)
    assert drift.stability > 0.5
    assert drift.distance == pytest.approx(abs(0.5 - share))
    (same,) = oa.Drift.between(sketch, sketch)
    assert same.stability == 0.0
    assert sketch.edges["r"].size < 3


def test_values_that_fill_bins_have_bins_of_their_own() -> None:
    rng = np.random.default_rng(5)
    values = np.concatenate([np.zeros(600), np.full(300, 0.5), rng.uniform(0.6, 1.0, 100)])
    sketch = oa.Sketch.of({"r": values}, bins=10)
    assert sketch.counts["r"].sum() == 1000
    assert sketch.edges["r"].size <= 9
    assert {600, 300} <= set(sketch.counts["r"].tolist())


def test_the_index_and_the_distance() -> None:
    from scipy.stats import ks_2samp  # at collection, every worker would import it, which takes half a second

    rng = np.random.default_rng(0)
    before, now = rng.normal(size=20_000), rng.normal(0.5, 1.0, 20_000)
    sketch = oa.Sketch.of({"r": before}, bins=50)
    seen = sketch.empty()
    seen.add({"r": now})
    (drift,) = oa.Drift.between(sketch, seen)
    assert drift.distance == pytest.approx(ks_2samp(before, now).statistic, abs=0.01)
    # of two normal distributions with means 0.5 apart: the symmetric divergence is 0.5^2
    assert drift.stability == pytest.approx(0.25, abs=0.03)
    (same,) = oa.Drift.between(sketch, sketch)
    assert (same.stability, same.distance) == (0.0, 0.0)


def test_alarms_begin_late_and_end_late() -> None:
    rng = np.random.default_rng(1)
    watch = oa.DriftWatch(oa.Sketch.of({"r": rng.normal(size=20_000)}), every=1, rows=1000, start=0.25, end=0.1)
    said = []
    for shift in (0.0, 0.4, 0.8, 0.4, 0.0):
        for _ in range(100):
            watch.seen([0], {"r": rng.normal(shift, 1.0, 64)})
        report = watch.check(restart=True)
        said.append((report.alarms, report.drifts[0].stability))
    assert [bool(alarms) for alarms, _ in said] == [False, False, True, True, False]
    assert 0.1 < said[1][1] < 0.25
    assert 0.1 < said[3][1] < 0.25


def test_missing_values_unseen_items_and_few_rows() -> None:
    rng = np.random.default_rng(2)
    watch = oa.DriftWatch(oa.Sketch.of({"r": rng.random(5000), "s": rng.random(5000)}), every=1, rows=500)
    watch.seen([0], {"r": rng.random(64) + 9.0})
    assert watch.check().alarms == (), "too few rows"
    for _ in range(20):
        values = rng.random(64)
        values[:4] = np.nan
        watch.seen([0, -1, -1, 5], {"s": values})
    report = watch.check()
    assert report.alarms == ("s",)
    assert report.drifts[1].missing_now == pytest.approx(4 / 64)
    assert report.unseen_items == pytest.approx(40 / 81)
    assert "alarm" in str(report)
    assert json.loads(json.dumps(watch.stats()))["alarms"] == ["s"]


def test_labels_are_counted_with_those_that_are_unseen_or_missing() -> None:
    labels = ["SE"] * 60 + ["DE"] * 30 + [None] * 10
    sketch = oa.Sketch.of({"r": np.arange(8.0)}, bins=2, labels={"market": labels, "hour": np.arange(100) % 4})
    assert sketch.labels["market"].labels == ("SE", "DE")
    assert sketch.labels["market"].counts.tolist() == [60, 30, 0, 10]
    assert sketch.labels["hour"].counts.tolist() == [25] * 4 + [0, 0]
    watch = oa.DriftWatch(sketch, every=1, rows=50)
    users: list[Any] = [{"market": "SE", "hour": 1.0}, {"market": "NO", "hour": "1"}, {"market": None}, None, 3]
    for user in users * 20:
        watch.seen([0], {"r": [1.0]}, user)
    now = watch._now.labels
    assert now["market"].counts.tolist() == [20, 0, 20, 40], "a user by number has no labels in the request"
    assert now["hour"].counts.tolist() == [0, 20, 0, 0, 20, 40]
    _, market, _ = watch.check().drifts
    assert (market.rows, market.unseen, market.missing_before, market.missing_now) == (80, 0.25, 0.1, 0.5)
    p, q = np.array([6, 3, 0]) / 9, np.array([2, 0, 2]) / 4
    assert market.distance == pytest.approx(np.abs(p - q).sum() / 2)
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    assert market.stability == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert watch.check().alarms == ("r", "market", "hour")
    assert "25.00%" in str(watch.check())


def test_unseen_labels_alone_raise_an_alarm() -> None:
    many = [f"m{k}" for k in range(100)]
    watch = oa.DriftWatch(oa.Sketch.of({"r": [1.0, 2.0]}, labels={"market": many * 10}), every=1, rows=1000)
    for share, is_on in ((0.0, False), (0.03, True), (0.02, True), (0.0, False)):
        for k in range(1000):
            watch.seen([0], {}, {"market": "new" if k < 1000 * share else many[k % 100]})
        report = watch.check(restart=True)
        assert report.drifts[1].unseen == pytest.approx(share)
        assert report.drifts[1].stability < 0.25
        assert (report.alarms == ("market",)) == is_on


def test_sketches_with_labels_add_up_and_are_documents() -> None:
    days = [np.datetime64("2026-11-01"), np.datetime64("2026-11-02")]
    one = oa.Sketch.of({"r": [1.0, 2.0]}, labels={"flag": [True, False, True], "day": days, "id": [7, 7, -1]})
    again = oa.Sketch.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
    again.add({}, {"flag": [False, 1], "day": ["2026-11-02", days[0], "x"], "other": ["a"], "id": [7.0]})
    assert again.labels["flag"].counts.tolist() == [2, 2, 1, 0], "1 is not True"
    assert again.labels["day"].counts.tolist() == [2, 2, 1, 0], "dates are equal to their texts"
    total = one.merge(again)
    assert total.labels["id"].counts.tolist() == [3 + 2, 0, 2]
    assert one.labels["id"].counts.tolist() == [2, 0, 1], "merge changes neither"
    assert "flag: 3 with 2 labels" in repr(one)
    for labels in (None, {"flag": [True]}, {"flag": [False, True], "day": days, "id": [7]}):
        with pytest.raises(oa.InputError, match="different bins"):
            one.merge(oa.Sketch.of({"r": [1.0, 2.0]}, labels=labels))


def test_the_reference_of_a_policy_has_its_columns_scores_boosts_and_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    users, each = 40, 25
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * each, np.tile(np.arange(each), users), {"r": rng.random(users * each)},
        users={"market": ["SE", "DE"] * (users // 2), "id": np.arange(users)}, items={"song": np.arange(each) % 5},
        item_ids=[f"t{k}" for k in range(each)],
    )  # fmt: skip
    half = oa.Calibration(np.array([0.0, 1.0]), np.array([[0.0, 0.5], [0.0, 0.4]]), "market", ("SE",))
    mapped = cands.calibrated({"r": half})
    caps = (oa.exposure(by="song") <= 12.0).named("caps")
    policy = oa.solve(oa.Problem(mapped, oa.total("r"), caps, oa.Slate(3))).policy()
    sketch = oa.Sketch.of_candidates(mapped, policy, bins=10)
    assert list(sketch.edges) == ["r", "(priced score)", "(boost)"]
    assert sketch.labels["id"].counts.size == users + 2
    assert sketch.labels["market"].counts.tolist() == [20, 20, 0, 0]
    scores = policy.score_batch(cands.indptr, cands.item, cands.columns, {"market": ["SE", "DE"] * (users // 2)})
    boosts = (scores - cands.columns["r"]).astype(np.float32)
    direct = oa.Sketch.of({"r": cands.columns["r"], "(priced score)": scores, "(boost)": boosts}, 10)
    assert oa.Sketch.of_candidates(mapped, policy, bins=10, keys=()).to_dict() == direct.to_dict()
    policy.save(tmp_path / "policy")
    watch = oa.DriftWatch(sketch, every=1, candidates=each)
    with oa.PolicyStore(tmp_path / "policy", refresh=None, watch=watch) as store:
        for u in range(users):
            mine = slice(u * each, (u + 1) * each)
            user = {"market": ("SE", "DE")[u % 2]}
            call = (store.select, store.score, store.boosts)[u % 3]
            call(cands.item[mine], {"r": cands.columns["r"][mine]}, user=user, **({"k": 2} if u % 3 == 0 else {}))
        found = store.stats()["drift"]
    now = oa.Sketch.from_dict(found["sketch"])
    assert {name: of.tolist() for name, of in now.counts.items()} == {
        name: of.tolist() for name, of in sketch.counts.items()
    }
    assert now.labels["market"].counts.tolist() == [20, 20, 0, 0]
    assert now.labels["id"].counts.tolist() == [0] * users + [0, users]


def test_detectors_of_river() -> None:
    river = pytest.importorskip("river.drift", reason="river is not installed")
    rng = np.random.default_rng(3)
    watch = oa.DriftWatch(oa.Sketch.of({"r": rng.random(5000)}), every=1, detectors={"r": river.ADWIN()})
    for shift in (0.0, 0.5):
        for _ in range(300):
            watch.seen([0], {"r": rng.random(16) + shift})
        assert (watch.check().detected["r"] > 0) == (shift > 0)


def test_a_sample_of_decisions_and_candidates_is_counted() -> None:
    watch = oa.DriftWatch(oa.Sketch.of({"r": np.arange(10.0)}), every=8, candidates=50)
    for _ in range(64):
        watch.seen(np.arange(400), {"r": np.arange(400.0)})
    report = watch.check()
    assert report.decisions == 8
    assert report.drifts[0].rows == 8 * 50


def test_a_store_watches_its_requests(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    cands = oa.Candidates.from_arrays([0, 400], np.arange(400), {"r": rng.random(400)})
    oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(5))).policy().save(tmp_path / "policy")
    watch = oa.DriftWatch(oa.Sketch.of(cands.request_columns), every=2, rows=100)
    with oa.PolicyStore(tmp_path / "policy", refresh=None, watch=watch) as store:
        for _ in range(10):
            store.select(np.arange(50) - 1, {"r": rng.random(50) + 0.5})
        drift = store.stats()["drift"]
        assert drift["alarms"] == ["r"]
        assert drift["decisions"] == 5
        assert drift["unseen_items"] == pytest.approx(1 / 50)
        json.dumps(store.stats())
    with oa.PolicyStore(tmp_path / "policy", refresh=None) as store:
        assert "drift" not in store.stats()
    with pytest.raises(oa.InputError, match=r"expected an oa\.DriftWatch"):
        oa.PolicyStore(tmp_path / "policy", watch=3)  # type: ignore[arg-type]


@pytest.mark.full
def test_a_decision_costs_little() -> None:
    """The mean of a decision with 500 candidates, two columns and scores: 0.3 us, in the fastest of many batches."""
    rng = np.random.default_rng(4)
    columns = {name: rng.random(500) for name in ("r", "p", "score")}
    watch, items, times = oa.DriftWatch(oa.Sketch.of(columns)), np.arange(500), []
    for _ in range(200):
        start = time.perf_counter()
        for _ in range(512):
            watch.seen(items, columns)
        times.append((time.perf_counter() - start) / 512)
    assert min(times) < 0.3e-6


FEW = oa.Candidates.from_arrays([0, 1], [0], {"r": [0.5]}, users={"market": ["SE"]})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: oa.Sketch.of({"r": [1.0]}, bins=1), "bins=1"),
        (lambda: oa.Sketch.of({"r": [np.nan]}), "none of 1 rows is a finite number"),
        (lambda: oa.Sketch.of({"r": ["a"]}), "not a number"),
        (lambda: oa.Sketch.of({"r": [[1.0]]}), "shape"),
        (lambda: oa.Sketch.of([1.0]), "columns is list"),
        (lambda: oa.Sketch.from_dict({}), "with the format"),
        (lambda: oa.Sketch.of({"r": [1.0, 2.0]}).merge(oa.Sketch.of({"s": [1.0, 2.0]})), "different bins"),
        (lambda: oa.DriftWatch({}), "reference: got"),
        (lambda: oa.Sketch.of({"r": [1.0]}, labels={"r": ["a"]}), "'r' is the name of a column too"),
        (lambda: oa.Sketch.of({"r": [1.0]}, labels=["a"]), r"expected \{key: \(n,\) labels\}"),
        (lambda: oa.Sketch.of({"r": [1.0]}, labels={"m": [None, -1]}), "0 labels in 2 rows"),
        (lambda: oa.Sketch.of({"r": [1.0]}, labels={"m": range(10_001)}), "10,001 labels in 10,001 rows"),
        (lambda: oa.Sketch.of({"r": [1.0]}, labels={"m": [["a"]]}), "label"),
        (lambda: oa.Sketch.of_candidates(3), "expected oa.Candidates"),
        (lambda: oa.Sketch.of_candidates(FEW, keys=["markt"]), "no key 'markt'. Did you mean 'market'"),
        (lambda: oa.Sketch.of_candidates(FEW, policy=3), "expected an oa.Policy"),
        (lambda: oa.DriftWatch(oa.Sketch.of({"r": [1.0, 2.0]}), every=0), "every=0"),
        (lambda: oa.DriftWatch(oa.Sketch.of({"r": [1.0, 2.0]}), start=0.1, end=0.2), "expected 0 <= end < start"),
        (lambda: oa.DriftWatch(oa.Sketch.of({"r": [1.0, 2.0]}), detectors={"x": None}), "'x' is not in the reference"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        call()


def test_bad_documents() -> None:
    good = oa.Sketch.of({"r": [1.0, 2.0, 3.0]}).to_dict()
    for part in ({"edges": [2.0, 1.0], "counts": [0, 0, 0, 0]}, {"edges": [1.0], "counts": [1]}, {"edges": [1.0]}):
        with pytest.raises(oa.InputError):
            oa.Sketch.from_dict(good | {"columns": {"r": part}})
    for labels in (
        {"m": {"labels": ["a"]}},
        {"m": {"labels": "ab", "counts": [0] * 4}},
        {"m": {"labels": ["a", "a"], "counts": [0] * 4}},
        {"m": {"labels": [None], "counts": [0] * 3}},
        {"m": {"labels": ["a"], "counts": [0, 0, -1]}},
        {"m": [1]},
        3,
    ):
        with pytest.raises(oa.InputError, match="expected what Sketch"):
            oa.Sketch.from_dict(good | {"labels": labels})
