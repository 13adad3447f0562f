"""Statistics of a store for OpenTelemetry and Prometheus: read when collected, never during a request.

Names are `oasis_alloc_*`; labels are names of stores and keys, modes, quantiles and reasons, never ids of campaigns or
policies, whose number has no bound. The extras `otel` and `prometheus` install the dependencies; this module makes no
exporter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from oasis_alloc.errors import InputError, require
from oasis_alloc.hosting.stats import QUANTILES, Stats
from oasis_alloc.serving.schema import shown
from oasis_alloc.serving.staleness import MODES
from oasis_alloc.serving.tally import Tally

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from prometheus_client import CollectorRegistry

    from oasis_alloc.store import PolicyStore


class Sample(NamedTuple):
    """One number and its labels.

    >>> Sample(12.0, {"mode": "fresh"}).labels
    {'mode': 'fresh'}
    """

    value: float
    labels: dict[str, str]


class Metric(NamedTuple):
    """One metric: its name without the prefix, whether it only grows, its unit, a description, and its numbers.

    >>> Metric("ready", False, "", "1 once a policy is loaded and warm", [Sample(1.0, {})]).samples[0].value
    1.0
    """

    name: str
    counts: bool
    unit: str
    text: str
    samples: list[Sample]


def metrics(stats: dict[str, Any]) -> list[Metric]:
    """The metrics of `PolicyStore.stats()`; those that are not known yet have no samples.

    >>> from oasis_alloc.hosting.stats import Stats
    >>> plain = Stats().summary() | {"age": 12.0, "mode": "fresh", "factor": 1.0, "ready": True}
    >>> [(m.name, m.samples[0].value) for m in metrics(plain)[:3]]
    [('snapshot_age', 12.0), ('mode', 1.0), ('price_factor', 1.0)]
    """
    times = stats["score_seconds"]
    quantiles = [Sample(times[name], {"quantile": str(q)}) for name, q in QUANTILES.items() if times[name] is not None]
    return [
        Metric("snapshot_age", False, "seconds", "Time since the active policy was created", _known(stats["age"])),
        Metric("mode", False, "", "1 for the current mode", [
            Sample(float(stats["mode"] == mode), {"mode": mode}) for mode in MODES
        ]),
        Metric("price_factor", False, "", "The factor that prices are multiplied by", _known(stats["factor"])),
        Metric("ready", False, "", "1 once a policy is loaded and warm", _known(float(stats["ready"]))),
        Metric("decisions", True, "", "Decisions taken", [
            Sample(number, {"mode": mode}) for mode, number in stats["decisions_by_mode"].items()
        ]),
        Metric("failed_requests", True, "", "Requests without a decision, by reason", [
            Sample(number, {"reason": reason}) for reason, number in stats["failed_requests"].items()
        ]),
        Metric("ignored_keys", True, "", "Requests with a key on which no price depends, by key", [
            Sample(number, {"key": key}) for key, number in sorted(stats.get("ignored_keys", {}).items())
        ]),
        Metric("mistyped_requests", True, "", "Requests whose ids or labels have another type than the policy's",
               _known(stats.get("mistyped_requests", 0))),
        Metric("unseen_items", True, "", "Candidates that the policy did not know", _known(stats["unseen_items"])),
        Metric("score_time", False, "seconds", "Time of one decision, by quantile", quantiles),
        Metric("loaded_snapshots", True, "", "Snapshots that became active", _known(stats["loaded_snapshots"])),
        Metric("refused_snapshots", True, "", "Snapshots that were refused, by reason", [
            Sample(number, {"reason": reason}) for reason, number in sorted(stats["refused_snapshots"].items())
        ]),
        *_drift(stats.get("drift")),
    ]  # fmt: skip


def _drift(stats: Mapping[str, Any] | None) -> list[Metric]:
    """What a drift watch says, by the name of the column or key; without samples where there is no watch."""
    found = [] if stats is None else stats["drift"]
    alarms = set() if stats is None else set(stats["alarms"])

    def of(member: str) -> list[Sample]:
        return [Sample(float(one[member]), {"name": one["name"]}) for one in found]

    return [
        Metric("drift_stability", False, "", "Population stability index", of("stability")),
        Metric("drift_distance", False, "", "Distance of the distribution from the reference", of("distance")),
        Metric("drift_missing", False, "", "Share without a value or label", of("missing_now")),
        Metric("drift_unseen_labels", False, "", "Share of labels that the reference does not have", of("unseen")),
        Metric("drift_rows", False, "", "Values that were looked at since the last restart", of("rows")),
        Metric("drift_alarm", False, "", "1 for an alarm", [
            Sample(float(one["name"] in alarms), {"name": one["name"]}) for one in found
        ]),
        Metric("drift_unseen_items", False, "", "Share of candidates that were not in the solve",
               _known(None if stats is None else stats["unseen_items"])),
    ]  # fmt: skip


class _Stores:
    """The stores that one meter or registry reads, by name; a store without other references is forgotten."""

    def __init__(self) -> None:
        self.by_name: WeakValueDictionary[str, PolicyStore] = WeakValueDictionary()
        self.is_read = False

    def add(self, store: PolicyStore) -> None:
        """Add a store under its name."""
        name = str(store.stats().get("store", ""))
        if self.by_name.get(name, store) is not store:
            raise InputError(
                f"telemetry: another store is named {name!r}; give each store its own name: PolicyStore(..., name=...)."
            )
        self.by_name[name] = store

    def metrics(self) -> list[Metric]:
        """The metrics of all stores, each number with the name of its store, if it has one."""
        out = {metric.name: metric._replace(samples=[]) for metric in metrics(_NOTHING)}
        for name, store in sorted(self.by_name.items()):
            for metric in metrics(store.stats()):
                label = {"store": name} if name else {}
                named = [Sample(sample.value, sample.labels | label) for sample in metric.samples]
                out[metric.name].samples.extend(named)
        return list(out.values())


_NOTHING = Stats().summary() | Tally().summary() | {"age": None, "mode": None, "factor": None, "ready": False}
_lock = threading.Lock()
_meters: WeakKeyDictionary[Any, _Stores] = WeakKeyDictionary()
_own = _Stores()  # for the API's own meter, which may be a new object every time
_collectors: WeakKeyDictionary[Any, _Collector] = WeakKeyDictionary()


def opentelemetry(store: PolicyStore, meter: Meter | None = None) -> None:
    """Register the store's metrics with OpenTelemetry; needs only `opentelemetry-api`.

    A second store of the same meter is read by the same instruments; the label `store` tells them apart.

    Parameters
    ----------
    store
        The store; it is read at every collection.
    meter
        An OpenTelemetry `Meter`; None takes `get_meter("oasis_alloc")` of the provider that the host has set.

    Raises
    ------
    InputError
        If another store of this name is registered with the meter, or an argument has the wrong type.
    MissingDependencyError
        If the API is not installed.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> from opentelemetry.metrics import NoOpMeter
    >>> store = oa.PolicyStore(tempfile.gettempdir() + "/no-such-policy", refresh=None, name="radio")
    >>> opentelemetry(store, NoOpMeter("radio"))
    """
    api = require("opentelemetry.metrics", "otel")
    _check_kind("opentelemetry(store)", store, "a PolicyStore", ("stats",))
    if meter is not None:
        kinds = ("create_observable_counter", "create_observable_gauge")
        _check_kind("opentelemetry(meter=...)", meter, "a Meter, or None", kinds)
    with _lock:
        stores = _own if meter is None else _meters.setdefault(meter, _Stores())
        stores.add(store)
        if stores.is_read:
            return
        stores.is_read = True
    meter = api.get_meter("oasis_alloc") if meter is None else meter

    def reader(name: str) -> Any:
        def read(_options: Any) -> list[Any]:
            found = next(metric for metric in stores.metrics() if metric.name == name)
            return [api.Observation(sample.value, sample.labels) for sample in found.samples]

        return read

    for metric in metrics(_NOTHING):
        create = meter.create_observable_counter if metric.counts else meter.create_observable_gauge
        create(
            f"oasis_alloc_{metric.name}",
            callbacks=[reader(metric.name)],
            unit="s" if metric.unit else "1",
            description=metric.text,
        )


def prometheus(store: PolicyStore, registry: CollectorRegistry | None = None) -> Any:
    """Register the store's metrics with a Prometheus registry, and return the collector, one for all stores of it.

    The label `store` tells several stores apart. If `PROMETHEUS_MULTIPROC_DIR` is set, custom collectors are not
    shared between processes: scrape every process, as docs/store.md explains.

    Parameters
    ----------
    store
        The store; it is read at every scrape.
    registry
        A `prometheus_client.CollectorRegistry`; None takes the default one.

    Raises
    ------
    InputError
        If another store of this name is registered there, or an argument has the wrong type.
    MissingDependencyError
        If `prometheus_client` is not installed.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> from prometheus_client import CollectorRegistry
    >>> store, registry = oa.PolicyStore(tempfile.gettempdir() + "/no-such-policy", refresh=None), CollectorRegistry()
    >>> collector = prometheus(store, registry)
    >>> sum(family.name == "oasis_alloc_ready" for family in registry.collect())
    1
    """
    core = require("prometheus_client.core", "prometheus")
    _check_kind("prometheus(store)", store, "a PolicyStore", ("stats",))
    if registry is not None:
        kinds = ("register", "unregister", "collect")
        _check_kind("prometheus(registry=...)", registry, "a CollectorRegistry, or None", kinds)
    registry = core.REGISTRY if registry is None else registry
    with _lock:
        collector = _collectors.get(registry)
        if collector is not None:
            try:
                registry.unregister(collector)
            except KeyError:  # the host unregistered it: register it again
                collector = None
        found = _Collector(core) if collector is None else collector
        try:
            found.stores.add(store)
        finally:
            registry.register(found)
            _collectors[registry] = found
    return found


class _Collector:
    """The collector that a Prometheus registry calls."""

    def __init__(self, core: Any) -> None:
        self.stores = _Stores()
        self._core = core

    def describe(self) -> Iterator[Any]:
        """The families without numbers: a registry refuses a second collector with the same names."""
        for metric in self.stores.metrics():
            yield self._family(metric, [])

    def collect(self) -> Iterator[Any]:
        """One family per metric."""
        for metric in self.stores.metrics():
            names = sorted({name for sample in metric.samples for name in sample.labels})
            family = self._family(metric, names)
            for sample in metric.samples:
                family.add_metric([sample.labels.get(name, "") for name in names], sample.value)
            yield family

    def _family(self, metric: Metric, names: list[str]) -> Any:
        make = self._core.CounterMetricFamily if metric.counts else self._core.GaugeMetricFamily
        name = "_".join(["oasis_alloc", metric.name, *([metric.unit] if metric.unit else [])])
        return make(name, metric.text, labels=names)


def _check_kind(what: str, given: Any, kind: str, methods: tuple[str, ...]) -> None:
    """Refuse an object of another type, and the class itself."""
    if isinstance(given, type) or not all(callable(getattr(given, name, None)) for name in methods):
        raise InputError(f"telemetry.{what} is {shown(given)}; expected {kind}.")


def _known(value: float | None) -> list[Sample]:
    return [] if value is None else [Sample(value, {})]
