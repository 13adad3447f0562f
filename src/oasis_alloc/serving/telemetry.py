"""A store's statistics for OpenTelemetry and for Prometheus: read when they are asked for, on nobody's request path.

Names are `oasis_alloc_*`; labels are modes, quantiles and reasons only, never ids of campaigns or policies, whose
number has no bound. The extras `otel` and `prometheus` install what it needs; no exporter is made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from oasis_alloc.errors import require
from oasis_alloc.serving.staleness import MODES
from oasis_alloc.serving.stats import QUANTILES

if TYPE_CHECKING:
    from oasis_alloc.serving.store import PolicyStore


class Sample(NamedTuple):
    """One number and its labels."""

    value: float
    labels: dict[str, str]


class Metric(NamedTuple):
    """One metric: its name without the prefix, whether it only grows, its unit, what it is, and its numbers."""

    name: str
    counts: bool
    unit: str
    text: str
    samples: list[Sample]


def metrics(stats: dict[str, Any]) -> list[Metric]:
    """The metrics of `PolicyStore.stats()`; those that are not known yet have no samples.

    >>> from oasis_alloc.serving.stats import Stats
    >>> plain = Stats().summary() | {"age": 12.0, "mode": "fresh", "factor": 1.0, "ready": True}
    >>> [(m.name, m.samples[0].value) for m in metrics(plain)[:3]]
    [('snapshot_age', 12.0), ('mode', 1.0), ('price_factor', 1.0)]
    """
    times = stats["score_seconds"]
    quantiles = [Sample(times[name], {"quantile": str(q)}) for name, q in QUANTILES.items() if times[name] is not None]
    return [
        Metric("snapshot_age", False, "seconds", "Time since the active policy was created", _known(stats["age"])),
        Metric("mode", False, "", "1 for the mode that holds", [
            Sample(float(stats["mode"] == mode), {"mode": mode}) for mode in MODES
        ]),
        Metric("price_factor", False, "", "What prices are multiplied by", _known(stats["factor"])),
        Metric("ready", False, "", "1 once a policy is loaded and warm", _known(float(stats["ready"]))),
        Metric("decisions", True, "", "Decisions taken", [
            Sample(number, {"mode": mode}) for mode, number in stats["decisions_by_mode"].items()
        ]),
        Metric("unseen_items", True, "", "Candidates that the policy did not know", _known(stats["unseen_items"])),
        Metric("score_time", False, "seconds", "Time of one decision, by quantile", quantiles),
        Metric("loaded_snapshots", True, "", "Snapshots that became active", _known(stats["loaded_snapshots"])),
        Metric("refused_snapshots", True, "", "Snapshots that were refused, by reason", [
            Sample(number, {"reason": reason}) for reason, number in sorted(stats["refused_snapshots"].items())
        ]),
    ]  # fmt: skip


def opentelemetry(store: PolicyStore, meter: Any = None) -> None:
    """Register the store's metrics with OpenTelemetry; needs `opentelemetry-api` alone.

    Parameters
    ----------
    store
        The store; it is asked at every collection.
    meter
        An OpenTelemetry `Meter`; None takes `get_meter("oasis_alloc")` of the provider that the host has set.

    Raises
    ------
    MissingDependencyError
        If the API is not installed.
    """
    api = require("opentelemetry.metrics", "otel")
    meter = api.get_meter("oasis_alloc") if meter is None else meter

    def reader(name: str) -> Any:
        def read(_options: Any) -> list[Any]:
            found = next(metric for metric in metrics(store.stats()) if metric.name == name)
            return [api.Observation(sample.value, sample.labels) for sample in found.samples]

        return read

    for metric in metrics(store.stats()):
        create = meter.create_observable_counter if metric.counts else meter.create_observable_gauge
        create(
            f"oasis_alloc_{metric.name}",
            callbacks=[reader(metric.name)],
            unit="s" if metric.unit else "1",
            description=metric.text,
        )


def prometheus(store: PolicyStore, registry: Any = None) -> Any:
    """Register a collector of the store's metrics with a Prometheus registry, and return it.

    Parameters
    ----------
    store
        The store; it is asked at every scrape.
    registry
        A `prometheus_client.CollectorRegistry`; None takes the default one.

    Raises
    ------
    MissingDependencyError
        If `prometheus_client` is not installed.
    """
    core = require("prometheus_client.core", "prometheus")
    collector = _Collector(store, core)
    (core.REGISTRY if registry is None else registry).register(collector)
    return collector


class _Collector:
    """What a Prometheus registry asks."""

    def __init__(self, store: PolicyStore, core: Any) -> None:
        self._store = store
        self._core = core

    def describe(self) -> Iterable[Any]:
        """Nothing is collected to be registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """One family a metric."""
        for metric in metrics(self._store.stats()):
            make = self._core.CounterMetricFamily if metric.counts else self._core.GaugeMetricFamily
            names = sorted({name for sample in metric.samples for name in sample.labels})
            name = "_".join(["oasis_alloc", metric.name, *([metric.unit] if metric.unit else [])])
            family = make(name, metric.text, labels=names)
            for sample in metric.samples:
                family.add_metric([sample.labels[name] for name in names], sample.value)
            yield family


def _known(value: float | None) -> list[Sample]:
    return [] if value is None else [Sample(value, {})]
