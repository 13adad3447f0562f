"""Sketches of requests in Java and in Python: the same bins and counts, drift and alarms, in statistics and metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jvm_store import JavaStore, java_store
from policies import CREATED, small

import oasis_alloc as oa
from oasis_alloc import telemetry
from oasis_alloc.serving.file.codec import encode
from oasis_alloc.serving.file.container import to_bytes
from oasis_alloc.signals.drift.told import tell

GOLDEN = (Path(__file__).parents[1] / "golden" / "sketch.json").read_text(encoding="utf-8")
IDS = ["a", "b", "ç", "d", "e", "never", 7]


@pytest.fixture(scope="module")
def script() -> Iterator[JavaStore]:
    with java_store() as found:
        yield found


def python_says(golden: dict[str, Any]) -> dict[str, Any]:
    """The statistics of a watch in Python after the requests of the golden file."""
    watch = oa.DriftWatch(oa.Sketch.from_dict(golden["reference"]), **golden["watch"])
    for one in golden["requests"]:
        columns = {name: np.array(values, np.float64) for name, values in one["columns"].items()}
        watch.seen(np.array(one["items"], np.int64), columns, one["user"])
    return watch.stats()


def check(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """The counts of the golden file."""
    sketch = found["sketch"]
    assert {name: of["counts"] for name, of in sketch["columns"].items()} == expected["columns"]
    assert {key: of["counts"] for key, of in sketch["labels"].items()} == expected["labels"]
    assert (found["decisions"], found["unseen_items"]) == (expected["decisions"], expected["unseen_items"])


def alike(java: dict[str, Any], python: dict[str, Any]) -> None:
    """Counts, names and alarms are equal; the index has logarithms, whose last bits differ between libraries."""
    assert java["sketch"] == python["sketch"]
    assert {name: java[name] for name in ("alarms", "decisions", "unseen_items", "detected")} == {
        name: python[name] for name in ("alarms", "decisions", "unseen_items", "detected")
    }
    assert len(java["drift"]) == len(python["drift"])
    for one, other in zip(java["drift"], python["drift"], strict=True):
        assert one.keys() == other.keys()
        for member in one.keys() - {"stability", "distance"}:
            assert one[member] == other[member], (one["name"], member)
        assert [one["stability"], one["distance"]] == pytest.approx([other["stability"], other["distance"]], rel=1e-12)


def test_python_counts_what_the_golden_file_says() -> None:
    golden = json.loads(GOLDEN)
    found = python_says(golden)
    check(found, golden["expected"])
    assert 0 < len(found["alarms"]) < len(found["drift"]), "some alarms, and not all"


def test_java_counts_what_the_golden_file_says(script: JavaStore) -> None:
    golden = json.loads(GOLDEN)
    found = script.do("drift", json.dumps(golden))
    check(found, golden["expected"])
    alike(found, json.loads(json.dumps(python_says(golden))))
    again = oa.Sketch.from_dict(found["sketch"]).merge(oa.Sketch.from_dict(golden["reference"]))
    assert again.counts["one"].sum() == sum(golden["expected"]["columns"]["one"]) + sum(
        golden["reference"]["columns"]["one"]["counts"]
    )


def asked(rng: np.random.Generator, shift: float) -> dict[str, Any]:
    ids = rng.permutation(len(IDS))[: rng.integers(1, len(IDS) + 1)]
    user = {"market": str(rng.choice(["se", "de", "no"]))} if rng.random() < 0.8 else None
    columns = {name: (rng.random(ids.size) + shift).tolist() for name in ("relevance", "streams")}
    return {"ids": [IDS[k] for k in ids], "columns": columns, "user": user}


def test_stores_in_both_languages_say_the_same(script: JavaStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    (tmp_path / "policy").write_bytes(to_bytes(*encode(small())))
    policy = oa.Policy.load(tmp_path / "policy")
    requests = [asked(rng, 0.0) for _ in range(400)]
    columns: dict[str, list[Any]] = {"relevance": [], "streams": [], "(priced score)": [], "(boost)": []}
    for one in requests:
        scores = policy.score(policy.encode(one["ids"]), one["columns"], user=one["user"])
        organic = np.array(one["columns"][policy.data.organic])
        parts = (*one["columns"].values(), scores, (scores - organic).astype(np.float32))
        for values, part in zip(columns.values(), parts, strict=True):
            values.extend(part)
    reference = oa.Sketch.of(columns, labels={"market": ["se", "de"] * 50}, bins=8)
    how = {"every": 2, "candidates": 4, "start": 0.25, "end": 0.1, "rows": 50}
    script.do("clock", repr(CREATED))
    script.open(tmp_path / "policy", sketch=json.dumps(reference.to_dict()), watch=how)
    watch = oa.DriftWatch(reference, **how)  # type: ignore[arg-type]
    said = []
    with oa.PolicyStore(tmp_path / "policy", refresh=None, watch=watch, clock=lambda: CREATED, name="radio") as store:
        for shift in (0.0, 2.0):
            for one in [asked(rng, shift) for _ in range(120)]:
                script.do("request", json.dumps(one))
                with store.decide() as decision:
                    if watch._is_due():
                        items = decision.policy.encode(one["ids"])
                        tell(watch, decision.policy, items, one["columns"], {"user": one["user"], "k": 2})
            found, expected = script.do("stats"), json.loads(json.dumps(store.stats()))
            alike(found["drift"], expected["drift"])
            said.append(set(found["drift"]["alarms"]))
        text = script.do("prometheus")
        families = {metric.name: metric for metric in telemetry.metrics(store.stats())}
    assert said[1] >= {"relevance", "streams", "(priced score)", "market"}
    assert "(priced score)" not in said[0]
    core = pytest.importorskip("prometheus_client.parser", reason="needs the extra [prometheus]")
    seen = {one.name: one for one in core.text_string_to_metric_families(text)}
    for name, metric in families.items():
        if name.startswith("drift"):
            of = {sample.labels.get("name"): sample.value for sample in seen[f"oasis_alloc_{name}"].samples}
            assert of == pytest.approx({sample.labels.get("name"): sample.value for sample in metric.samples}, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "x"}, "the document of Sketch.to_dict"),
        ({"columns": 3}, "the document of Sketch.to_dict"),
        ({"columns": {"r": {"edges": [2.0, 1.0], "counts": [0] * 4}}}, "edges that do not ascend"),
        ({"columns": {"r": {"edges": [1.0], "counts": [0, 0]}}}, "counts that do not fit"),
        ({"columns": {"r": {"edges": [1.0], "counts": [0, 0, -1]}}}, "counts that do not fit"),
        ({"labels": {"m": {"labels": ["a", "a"], "counts": [0] * 4}}}, "missing or appear twice"),
        ({"labels": {"m": {"labels": [None], "counts": [0] * 3}}}, "missing or appear twice"),
    ],
)
def test_java_refuses_what_is_no_sketch(script: JavaStore, change: dict[str, Any], words: str) -> None:
    golden = json.loads(GOLDEN)
    said = script.do("drift", json.dumps(golden | {"reference": golden["reference"] | change}))
    assert said.startswith("input: sketch")
    assert words in said


@pytest.mark.full
def test_java_refuses_options_that_have_no_meaning(script: JavaStore) -> None:
    golden = json.loads(GOLDEN)
    for change in ({"every": 0}, {"candidates": 0}, {"rows": 0}, {"start": 0.1, "end": 0.2}):
        assert script.do("drift", json.dumps(golden | {"watch": golden["watch"] | change})).startswith("input: ")
