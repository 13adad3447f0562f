"""Metrics of a solve for Ray's exporter, from which Prometheus reads: passes, rate of pairs, memory of actors, gap."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from oasis_alloc.engines.ray.worker import Report

NAMES = {
    "passes": ("Counter", "oasis_alloc_passes", "Full passes over the pairs; parts of passes are added up."),
    "rate": ("Gauge", "oasis_alloc_pairs_per_second", "Pairs that visits have read per second, recently."),
    "memory": (
        "Gauge",
        "oasis_alloc_actor_bytes",
        "Memory of an actor after its last visit, without what it shares, such as the object store.",
    ),
    "gap": ("Gauge", "oasis_alloc_gap", "Gap of the best answer so far; -1 as long as there is none."),
    "lost": ("Gauge", "oasis_alloc_actors_lost", "Actors that this solve has lost so far."),
    "slowest": ("Gauge", "oasis_alloc_slowest_actor", "Seconds per pair of the slowest actor, over the median actor."),
}


class Progressed(Protocol):
    """What metrics read of a `Progress`."""

    @property
    def passes(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def rate(self) -> float | None: ...


class Answered(Protocol):
    """What metrics read of a `Solution`."""

    @property
    def passes(self) -> float: ...
    @property
    def gap(self) -> float: ...


class Metrics:
    """What one solve exports; the names are in `NAMES`, and docs/cluster.md explains them."""

    def __init__(self) -> None:
        from ray.util import metrics

        self._of: dict[str, Any] = {}
        for key, (kind, name, text) in NAMES.items():
            tags = ("node", "process") if key == "memory" else ()
            self._of[key] = getattr(metrics, kind)(name, description=text, tag_keys=tags)
        self._passes = 0.0

    def visited(self, reports: list[Report], lost: int) -> None:
        """After a visit to all users."""
        self._of["lost"].set(lost)
        for report in reports:
            self._of["memory"].set(report.memory, tags={"node": report.node, "process": str(report.process)})

    def slowest(self, times: float) -> None:
        """How many times slower than the median the slowest actor was."""
        self._of["slowest"].set(times)

    def reporting(self, report: Callable[[Any], object] | None) -> Callable[[Any], object]:
        """The same call of a solve's progress, which also sets passes and gap."""

        def told(progress: Progressed) -> object:
            self.told(progress)
            if progress.rate is not None:
                self._of["rate"].set(progress.rate)
            return None if report is None else report(progress)

        return told

    def told(self, state: Answered) -> None:
        """Set passes and gap, also of the answer."""
        if state.passes > self._passes:
            self._of["passes"].inc(state.passes - self._passes)
            self._passes = state.passes
        self._of["gap"].set(state.gap if math.isfinite(state.gap) else -1.0)
