"""The host service to copy: when it is ready, what it answers, and that swapping under load changes no answer."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from policies import small

import oasis_alloc as oa

EXTRA = "the host service needs the extra [host]"
pytest.importorskip("fastapi", reason=EXTRA)
pytest.importorskip("uvicorn", reason=EXTRA)
pytest.importorskip("prometheus_client", reason=EXTRA)

FOLDER = Path(__file__).parents[1] / "examples" / "host_service"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def examples() -> Iterator[dict[str, ModuleType]]:
    """The two scripts as modules."""
    path = list(sys.path)
    try:
        yield {name: load(name) for name in ("service", "load")}
    finally:
        sys.path[:] = path
        for name in ("service", "load"):
            sys.modules.pop(name, None)


def current(**change: Any) -> oa.Policy:
    return oa.Policy(replace(small(), created=time.time(), valid_until=None, **change))


def until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Client:
    """Asks a service, one request a connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, body: Any = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        text = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said


@contextmanager
def served(app: Any) -> Iterator[Client]:
    """The app on a free port, in a thread."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)


REQUEST: dict[str, Any] = {
    "ids": ["a", "never", "ç", "e"],
    "columns": {"relevance": [0.5, 0.75, 0.25, 1.0], "streams": [1.0, 0.0, 0.5, 0.25]},
    "user": {"market": "se"},
    "k": 3,
}


def test_ready_only_when_there_is_a_warm_policy(examples: dict[str, ModuleType], tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with served(examples["service"].create_app(path, refresh=0.02)) as client:
        assert client.ask("/health")[0] == 200
        assert client.ask("/ready")[0] == 503
        status, said = client.ask("/rank", REQUEST)
        assert (status, "no policy has been loaded" in said) == (503, True)
        path.write_bytes(b"no snapshot, though long enough")
        until(lambda: json.loads(client.ask("/ready")[1])["last_refused"]["reason"] == "not a snapshot")
        policy = current()
        policy.save(path)
        until(lambda: client.ask("/ready")[0] == 200)

        status, said = client.ask("/rank", REQUEST)
        answer = json.loads(said)
        items = policy.encode(REQUEST["ids"])
        assert answer["scores"] == policy.score(items, REQUEST["columns"], user=REQUEST["user"]).tolist()
        slate = policy.select(items, REQUEST["columns"], user=REQUEST["user"], k=3).tolist()
        assert answer["slate"] == [REQUEST["ids"][i] for i in slate]
        assert (status, answer["policy_id"], answer["mode"]) == (200, policy.policy_id, "fresh")

        for change, words in [
            ({"columns": {"relevance": [1.0]}}, "shape"),
            ({"columns": {}}, "relevance"),
            ({"user": {"planet": "mars"}}, "planet"),
            ({"ids": ["a", "a", "ç", "e"]}, "item"),
            ({"k": -1}, "k=-1"),
            ({"ids": 3}, "ids"),
        ]:
            status, said = client.ask("/rank", REQUEST | change)
            assert (status, words in said) == (422, True), said

        metrics = client.ask("/metrics")[1]
        assert 'oasis_alloc_decisions_total{mode="fresh"} 1.0' in metrics
        assert "oasis_alloc_unseen_items_total 1.0" in metrics
        assert 'oasis_alloc_refused_snapshots_total{reason="not a snapshot"}' in metrics
        assert "oasis_alloc_ready 1.0" in metrics


def test_every_answer_under_load_is_of_one_policy(examples: dict[str, ModuleType], tmp_path: Path) -> None:
    policy = current(slate=replace(small().slate, keep=None))
    policy.save(tmp_path / "policy")
    outcome = asyncio.run(examples["load"].run(tmp_path / "policy", rate=150.0, seconds=1.0, swaps=16.0, candidates=5))
    assert outcome.wrong == []
    assert len(outcome.latencies) == 150
    assert outcome.swaps > 8
    assert len(outcome.policies) > 3
    assert 'oasis_alloc_decisions_total{mode="fresh"} 150.0' in outcome.metrics
    assert "p99.9" in outcome.summary()
