"""A store's numbers as OpenTelemetry and Prometheus see them: the same as in `stats()`, and no ids in the labels."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

import oasis_alloc as oa
from oasis_alloc import PolicyStore, telemetry
from oasis_alloc.errors import InputError, MissingDependencyError
from oasis_alloc.hosting.stats import Stats
from oasis_alloc.serving.tally import Tally


class Store:
    """What the adapters ask a store."""

    def __init__(self, name: str = "") -> None:
        self.name, self.counted, self.tally = name, Stats(), Tally()
        for k in range(1, 101):
            self.counted.decided("fresh" if k > 10 else "hold", k * 1e-6, unseen=k % 2)
        self.counted.refused("tampered", "p: campaign-007", 0.0)
        self.counted.loaded()
        self.counted.failed("input")
        self.tally.ignored("daypart")
        self.tally.mistyped()

    def stats(self) -> dict[str, Any]:
        state = {"policy_id": "campaign-007", "age": 12.5, "mode": "hold", "factor": 1.0, "ready": True}
        return state | self.counted.summary() | self.tally.summary() | {"store": self.name}


EXPECTED: dict[tuple[str, str], float] = {
    ("snapshot_age", ""): 12.5,
    ("mode", "hold"): 1.0,
    ("mode", "fresh"): 0.0,
    ("price_factor", ""): 1.0,
    ("ready", ""): 1.0,
    ("decisions", "hold"): 10,
    ("decisions", "fresh"): 90,
    ("unseen_items", ""): 50,
    ("failed_requests", "input"): 1,
    ("failed_requests", "error"): 0,
    ("ignored_keys", "daypart"): 1,
    ("mistyped_requests", ""): 1,
    ("loaded_snapshots", ""): 1,
    ("refused_snapshots", "tampered"): 1,
}


def check(seen: dict[tuple[str, str], float]) -> None:
    assert {key: seen[key] for key in EXPECTED} == EXPECTED
    assert 50e-6 <= seen["score_time", "0.5"] <= 53e-6
    assert all("campaign" not in label for _, label in seen)


def test_prometheus_sees_the_numbers() -> None:
    client = pytest.importorskip("prometheus_client", reason="needs prometheus-client, the extra [prometheus]")
    registry, store = client.CollectorRegistry(), Store()
    telemetry.prometheus(store, registry)  # type: ignore[arg-type]
    seen = {}
    for family in registry.collect():
        for sample in family.samples:
            name = sample.name.removeprefix("oasis_alloc_").removesuffix("_total").removesuffix("_seconds")
            seen[name, "".join(sample.labels.values())] = sample.value
    check(seen)
    text = client.generate_latest(registry).decode()
    assert "oasis_alloc_snapshot_age_seconds 12.5" in text
    assert 'oasis_alloc_refused_snapshots_total{reason="tampered"} 1.0' in text
    store.counted.decided("hold", 0.0, 0)
    assert 'oasis_alloc_decisions_total{mode="hold"} 11.0' in client.generate_latest(registry).decode()


def test_two_stores_of_one_registry_are_told_apart() -> None:
    client = pytest.importorskip("prometheus_client", reason="needs prometheus-client, the extra [prometheus]")
    registry, radio, search = client.CollectorRegistry(), Store("radio"), Store("search")
    collector = telemetry.prometheus(radio, registry)  # type: ignore[arg-type]
    assert telemetry.prometheus(search, registry) is collector  # type: ignore[arg-type]
    search.counted.decided("hold", 0.0, 0)
    samples = [(s.name, tuple(sorted(s.labels.items()))) for family in registry.collect() for s in family.samples]
    assert len(samples) == len(set(samples))
    text = client.generate_latest(registry).decode()
    assert 'oasis_alloc_decisions_total{mode="hold",store="radio"} 10.0' in text
    assert 'oasis_alloc_decisions_total{mode="hold",store="search"} 11.0' in text
    assert text.count("# HELP oasis_alloc_decisions_total") == 1
    with pytest.raises(InputError, match=r"another store is named 'radio'; give each store its own name"):
        telemetry.prometheus(Store("radio"), registry)  # type: ignore[arg-type]
    assert client.generate_latest(registry).decode() == text
    telemetry.prometheus(radio, registry)  # type: ignore[arg-type]  # the same once more
    del radio
    gc.collect()
    assert 'store="radio"' not in client.generate_latest(registry).decode(), "a store that nobody has any more"
    registry.unregister(collector)
    other = telemetry.prometheus(search, registry)  # type: ignore[arg-type]
    assert other is not collector
    assert 'store="search"' in client.generate_latest(registry).decode()


def test_drift_of_a_store_with_a_watch(tmp_path: Path) -> None:
    watch = oa.DriftWatch(oa.Sketch.of({"r": [1.0, 2.0, 3.0, 4.0]}, bins=2, labels={"market": ["SE"]}), every=1, rows=1)
    for user in ({"market": "SE"}, {"market": "NO"}):
        watch.seen([0, -1], {"r": [1.0, float("nan")]}, user)
    with PolicyStore(tmp_path / "none", refresh=None, watch=watch, name="") as store:
        found = {metric.name: metric.samples for metric in telemetry.metrics(store.stats())}
    drifts = {one.name: one for one in watch.check().drifts}
    for name, member in (("stability", "stability"), ("missing", "missing_now"), ("unseen_labels", "unseen")):
        shown = {sample.labels["name"]: sample.value for sample in found[f"drift_{name}"]}
        assert shown == {key: getattr(one, member) for key, one in drifts.items()}
    assert [(s.labels["name"], s.value) for s in found["drift_alarm"]] == [("r", 1.0), ("market", 1.0)]
    assert [s.value for s in found["drift_unseen_items"]] == [0.5]
    assert [s.value for s in found["drift_rows"]] == [4.0, 2.0]
    without = {metric.name: metric.samples for metric in telemetry.metrics(Store().stats())}
    assert without.keys() == found.keys()
    assert not any(samples for name, samples in without.items() if name.startswith("drift"))


def test_a_registry_refuses_what_would_collect_the_same_names() -> None:
    client = pytest.importorskip("prometheus_client", reason="needs prometheus-client, the extra [prometheus]")
    registry = client.CollectorRegistry()
    store = Store("radio")
    telemetry.prometheus(store, registry)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Duplicated"):
        client.Gauge("oasis_alloc_ready", "mine", registry=registry)


class Meter:
    """As much of a Meter as registers callbacks; the SDK is the host's."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, Any]] = {}

    def create_observable_counter(self, name: str, callbacks: Any, unit: str, description: str) -> None:
        assert name not in self.made, "the SDK drops the second one"
        self.made[name] = ("counter", callbacks[0])

    def create_observable_gauge(self, name: str, callbacks: Any, unit: str, description: str) -> None:
        assert name not in self.made, "the SDK drops the second one"
        self.made[name] = ("gauge", callbacks[0])


def test_two_stores_of_one_meter_are_told_apart() -> None:
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api, the extra [otel]")
    meter, radio, search = Meter(), Store("radio"), Store("search")
    telemetry.opentelemetry(radio, meter)  # type: ignore[arg-type]
    telemetry.opentelemetry(search, meter)  # type: ignore[arg-type]
    seen = [observation.attributes for observation in meter.made["oasis_alloc_snapshot_age"][1](None)]
    assert seen == [{"store": "radio"}, {"store": "search"}]
    with pytest.raises(InputError, match="another store is named 'search'"):
        telemetry.opentelemetry(Store("search"), meter)  # type: ignore[arg-type]


def test_a_store_is_called_by_its_path_or_by_its_name(tmp_path: Path) -> None:
    assert PolicyStore(tmp_path / "p", refresh=None).stats()["store"] == str(tmp_path / "p")
    assert PolicyStore(tmp_path / "p", refresh=None, name="radio").name == "radio"
    with pytest.raises(InputError, match="expected a printable text"):
        PolicyStore(tmp_path / "p", refresh=None, name="a\nb")


@pytest.mark.parametrize(
    "call",
    [
        lambda: telemetry.prometheus(5),  # type: ignore[arg-type]
        lambda: telemetry.prometheus(PolicyStore),  # type: ignore[arg-type]
        lambda: telemetry.prometheus(Store("x"), 5),  # type: ignore[arg-type]
        lambda: telemetry.opentelemetry(5),  # type: ignore[arg-type]
        lambda: telemetry.opentelemetry(Store("x"), 5),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_store_and_no_registry_is_refused(call: Any) -> None:
    client = pytest.importorskip("prometheus_client", reason="needs prometheus-client, the extra [prometheus]")
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api, the extra [otel]")
    before = client.generate_latest().count(b"oasis_alloc_")
    with pytest.raises(InputError, match=r"telemetry\.\w+\((store|registry=\.\.\.|meter=\.\.\.)\) is .*; expected a"):
        call()
    assert client.generate_latest().count(b"oasis_alloc_") == before, "nothing is registered"


def test_opentelemetry_sees_the_numbers() -> None:
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api, the extra [otel]")
    meter, store = Meter(), Store()
    telemetry.opentelemetry(store, meter)  # type: ignore[arg-type]
    seen = {}
    for name, (_, read) in meter.made.items():
        for observation in read(None):
            seen[name.removeprefix("oasis_alloc_"), "".join(observation.attributes.values())] = observation.value
    check(seen)
    counters = {name.removeprefix("oasis_alloc_") for name, (kind, _) in meter.made.items() if kind == "counter"}
    assert counters == {
        "decisions", "failed_requests", "ignored_keys", "mistyped_requests", "unseen_items", "loaded_snapshots",
        "refused_snapshots",
    }  # fmt: skip


def test_opentelemetry_takes_the_meter_of_the_host() -> None:
    pytest.importorskip("opentelemetry.metrics", reason="needs opentelemetry-api, the extra [otel]")
    telemetry.opentelemetry(Store())  # type: ignore[arg-type]  # without an SDK, the API's own that does nothing


@pytest.mark.parametrize("adapter", ["opentelemetry", "prometheus"])
def test_a_package_that_is_missing_is_named(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opentelemetry.metrics", "prometheus_client.core"):
        monkeypatch.setitem(sys.modules, name, None)
    extra = {"opentelemetry": "otel"}.get(adapter, adapter)
    with pytest.raises(MissingDependencyError, match=rf"pip install \"\.\[{extra}\]\""):
        getattr(telemetry, adapter)(Store())
