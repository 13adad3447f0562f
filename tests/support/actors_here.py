"""Actors of this process in place of those of Ray: the same calls, and losses where a test wants them."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.engines.ray.cluster import _LOST, Cluster, Seat
from oasis_alloc.engines.ray.worker import Worker
from oasis_alloc.program.program import Program

Lose = Callable[[int, str], bool]  # whether an actor is lost in a call, given its number among all and its method


class ClusterHere(Cluster):
    """Counts its rounds by the methods that are called."""

    def __init__(self, settings: oa.RayEngine, lose: Lose) -> None:
        super().__init__(settings)
        self.calls: list[str] = []
        self._lose, self.n_calls = lose, 0

    def ask(self, key: int, name: str, arguments: Any) -> Any:
        self.calls.append(name)
        return super().ask(key, name, arguments)

    def _gather(self, calls: list[tuple[Seat, str, tuple[Any, ...]]]) -> tuple[list[Any], list[tuple[Seat, str]]]:
        results, lost = [], []
        for seat, name, arguments in calls:
            self.n_calls += 1
            if self._lose(self.n_calls, name):
                results.append(_LOST)
                lost.append((seat, "a test"))
                continue
            given = [argument if isinstance(argument, Program) else _sent(argument) for argument in arguments]
            results.append(_sent(getattr(seat.actor, name)(*given)))
        return results, lost

    def _start(self, engine: Any) -> None:
        n = min(self._settings.actors or 2, engine.n_chunks)
        self._seats = [Seat(Worker(1), chunks) for chunks in engine.dealt(n)]

    def _heirs(self, chunks: list[int], why: str) -> list[tuple[Seat, list[int]]]:
        return [(Seat(Worker(1)), chunks)]

    def close(self) -> None:
        """Forget the actors."""
        self._end()


def _sent(given: Any) -> Any:
    """A copy, as if it had crossed a network: arrays cannot be written."""
    copy = pickle.loads(pickle.dumps(given))

    def seal(part: Any) -> None:
        if isinstance(part, np.ndarray):
            part.setflags(write=False)
        elif isinstance(part, (tuple, list)):
            for one in part:
                seal(one)

    seal(copy)
    return copy


class Recorded:
    """In place of a metric of Ray: keeps the number of each set of tags, and refuses tags that were not declared."""

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] = ()) -> None:
        self.name, self._keys = name, set(tag_keys)
        self.values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Of a gauge."""
        assert set(tags or {}) == self._keys
        self.values[tuple((tags or {}).values())] = value

    def inc(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Of a counter."""
        assert value > 0.0
        self.set(self.values.get(tuple((tags or {}).values()), 0.0) + value, tags)


def actors_here(monkeypatch: pytest.MonkeyPatch, lose: Lose = lambda number, name: False) -> list[ClusterHere]:
    """Let solves on `RayEngine` use actors of this process from now on; a list that has their clusters."""
    out: list[ClusterHere] = []

    @contextmanager
    def started(self: oa.RayEngine) -> Iterator[ClusterHere]:
        out.append(ClusterHere(self, lose))
        try:
            yield out[-1]
        finally:
            out[-1].close()

    monkeypatch.setattr(oa.RayEngine, "_started", started)
    context = SimpleNamespace(get_node_id=lambda: "here")
    metrics = SimpleNamespace(Counter=Recorded, Gauge=Recorded)
    modules = {
        "ray": SimpleNamespace(kill=lambda actor: None, get_runtime_context=lambda: context),
        "ray.util": SimpleNamespace(metrics=metrics),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return out
