"""The host service with a plan: prices follow delivery, two processes keep one cap, and a ledger may disappear."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import hosted
import pytest
from effort import full_only
from hosted import EXTRA, FOLDER, current, port_of, scripts, until
from policies import small
from servers import redis_server

import oasis_alloc as oa

pytest.importorskip("fastapi", reason=EXTRA)
pytest.importorskip("uvicorn", reason=EXTRA)
pytest.importorskip("prometheus_client", reason=EXTRA)

CAP = 41.0
REQUEST: dict[str, Any] = {
    "ids": ["a", "d", "ç"],
    "columns": {"relevance": [9.0, 8.0, 0.5], "streams": [1.0, 1.0, 0.5]},
    "user": {"market": "se"},
    "k": 2,
}


@pytest.fixture(scope="module")
def host() -> Iterator[dict[str, ModuleType]]:
    """Both modules of the host."""
    with scripts("service", "delivery") as found:
        yield found


def write_plan(folder: Path) -> Path:
    now = time.time()
    goals = [{"label": 3, "cap": CAP}, {"label": 8, "cap": 500.0, "floor": 400.0, "daily": 400.0}]
    path = folder / "plan.json"
    path.write_text(json.dumps({"by": "campaign", "start": now - 60.0, "end": now + 86400.0, "goals": goals}))
    return path


class Client(hosted.Client):
    """Reads answers, and asks for the goals of a host."""

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        status, said, kind = self.answer(path, body)
        return status, json.loads(said) if "json" in kind else said

    def is_ready(self) -> bool:
        try:
            return self.ask("/ready")[0] == 200
        except OSError:
            return False

    def goals(self) -> dict[Any, dict[str, Any]]:
        return {goal["label"]: goal for goal in self.ask("/delivery")[1]["goals"]}


@contextmanager
def process(folder: Path, ledger: str) -> Iterator[Client]:
    """A host in a process of its own."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, str(FOLDER / "service.py"), "--snapshot", str(folder / "policy"), "--port", str(port)]
    command += ["--plan", str(folder / "plan.json"), "--ledger", ledger, "--sync", "0.1"]
    found = subprocess.Popen(command, env=os.environ, stdin=subprocess.DEVNULL)
    try:
        client = Client(port)
        until(client.is_ready, 300.0)
        yield client
    finally:
        found.terminate()
        assert found.wait(60) in (0, -15)


@contextmanager
def served(app: Any) -> Iterator[Client]:
    """A host in a thread."""
    with port_of(app) as port:
        client = Client(port)
        until(client.is_ready)
        yield client


@pytest.mark.full
@pytest.mark.parametrize("store", ["sqlite", *full_only("redis")])
def test_two_processes_keep_one_cap(store: str, tmp_path: Path) -> None:
    """Both are asked for the same campaign as fast as they answer, and each is told of what the other one served."""
    with redis_server() if store == "redis" else nullcontext(str(tmp_path / "ledger.db")) as address:
        keep_one_cap(tmp_path, address)


def keep_one_cap(tmp_path: Path, address: str) -> None:
    current().save(tmp_path / "policy")
    write_plan(tmp_path)
    with process(tmp_path, address) as one, process(tmp_path, address) as two:
        shown: list[list[dict[str, Any]]] = [[], []]

        def hammer(client: Client, mine: list[dict[str, Any]]) -> None:
            end = time.monotonic() + 3.0
            while time.monotonic() < end:
                mine += [event for event in client.ask("/rank", REQUEST)[1]["events"] if event["key"] == 3]

        threads = [threading.Thread(target=hammer, args=pair) for pair in zip((one, two), shown, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(shown), "each has had an allowance"
        assert sum(map(len, shown)) == CAP
        before = one.ask("/rank", REQUEST)[1]
        assert before["slate"] == ["ç"]
        for client, events in ((one, shown[1]), (two, shown[0])):
            status, receipt = client.ask("/events", {"events": events})
            assert (status, receipt["counted"], receipt["refused"]) == (200, len(events), [])
            assert client.ask("/events", {"events": events})[1]["repeated"] == len(events)
        for client in (one, two):
            until(lambda c=client: c.goals()[3]["confirmed"] == CAP)  # type: ignore[misc]
            goal = client.goals()[3]
            assert (goal["delivered"], goal["status"], goal["reason"]) == (CAP, "stopped", "hard cap")
        assert one.ask("/delivery")[1]["ledger"]["replicas"] == 2
    with oa.Ledger(address, groups=[3, 8]) as ledger:
        assert ledger.delivered(pending=False) == {3: CAP, 8: 0.0}


@pytest.fixture
def running(host: dict[str, ModuleType], tmp_path: Path) -> Iterator[tuple[Client, Any]]:
    current().save(tmp_path / "policy")
    plan = host["delivery"].read_plan(write_plan(tmp_path))
    delivery = host["delivery"].Delivery(plan, str(tmp_path / "ledger.db"), sync=0.05)
    with served(host["service"].create_app(tmp_path / "policy", refresh=0.05, delivery=delivery)) as client:
        yield client, delivery


def test_served_prices_follow_delivery(running: tuple[Client, Any]) -> None:
    client, delivery = running
    first = client.ask("/rank", REQUEST)[1]
    price = client.goals()[3]["price"]
    other = [{"id": f"elsewhere {k}", "key": 3, "time": time.time(), "state": "confirmed"} for k in range(30)]
    assert client.ask("/events", {"events": other})[1]["counted"] == 30
    until(lambda: client.goals()[3]["delivered"] >= 30.0)
    until(lambda: client.goals()[3]["price"] > price)
    after = client.ask("/rank", REQUEST)[1]
    assert after["scores"][0] < first["scores"][0]
    assert after["scores"][2] == first["scores"][2]
    goal = client.goals()[3]
    assert goal["status"] == "will run out"
    status, page = client.ask("/")
    assert (status, "will run out" in page, "<table>" in page) == (200, True, True)
    metrics = client.ask("/metrics")[1]
    assert 'host_goals{status="will run out"} 1.0' in metrics
    assert 'host_events_total{result="counted"} 30.0' in metrics
    assert "host_ledger_reachable 1.0" in metrics
    assert 'host_delivery_pace{quantile="0.5"}' in metrics
    assert delivery.pacer.policy.policy_id == after["policy_id"]


@pytest.mark.full
def test_the_next_policy_goes_on_with_what_was_delivered(running: tuple[Client, Any], tmp_path: Path) -> None:
    client, _ = running
    served_ = len([event for event in client.ask("/rank", REQUEST)[1]["events"] if event["key"] == 3])
    assert served_ == 2
    following = oa.Policy(replace(small(shift=0.05), created=time.time(), valid_until=None))
    following.save(tmp_path / "policy")
    until(lambda: client.ask("/delivery")[1]["policy_id"] == following.policy_id)
    total = served_
    end = time.monotonic() + 20.0
    while total < CAP and time.monotonic() < end:
        total += len([event for event in client.ask("/rank", REQUEST)[1]["events"] if event["key"] == 3])
    assert total == CAP
    assert client.ask("/rank", REQUEST)[1]["slate"] == ["ç"]


def test_a_ledger_that_disappears_is_counted_and_serving_goes_on(
    running: tuple[Client, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, delivery = running
    client.ask("/rank", REQUEST)
    until(lambda: delivery.ledger.delivered()[3] == 2.0)

    def away(*_: Any) -> Any:
        raise oa.LedgerUnavailableError("the store is away")

    with monkeypatch.context() as patch:
        for call in ("record", "totals", "read", "swap"):
            patch.setattr(delivery.ledger.store, call, away)
        until(lambda: client.ask("/delivery")[1]["ledger"]["failed_in_a_row"] > 3)
        shown, answer = 2, client.ask("/rank", REQUEST)
        while answer[1]["events"]:
            assert answer[0] == 200
            shown += len([event for event in answer[1]["events"] if event["key"] == 3])
            answer = client.ask("/rank", REQUEST)
        assert 2 < shown <= CAP
        assert answer[1]["slate"] == ["ç"]
        assert client.ask("/ready")[0] == 200
        report = client.ask("/delivery")[1]
        assert report["ledger"]["reachable"] is False
        assert "the store is away" in report["ledger"]["last_error"]
        until(lambda: client.ask("/delivery")[1]["ledger"]["queued_events"] == shown - 2)
        assert {goal["label"]: goal["reason"] for goal in report["goals"]}[3] in ("no allowance", "hard cap")
        status, said = client.ask("/events", {"events": [{"id": "x", "key": 8, "time": time.time()}]})
        assert (status, "send the same events again later" in said) == (503, True)
        metrics = client.ask("/metrics")[1]
        assert "host_ledger_reachable 0.0" in metrics
        assert 'host_events_total{result="ledger unavailable"} 1.0' in metrics
    until(lambda: client.ask("/delivery")[1]["ledger"]["reachable"])
    until(lambda: delivery.ledger.delivered()[3] == shown)
    until(lambda: client.ask("/rank", REQUEST)[1]["events"])


NOW = 1_782_864_000.0


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 422, "is not JSON"),
        (b"[" * 100_000, 422, "is not JSON"),
        (b'{"events": ' + b"1" * 5_000 + b"}", 422, "a number of thousands of digits"),
        (b"[]", 422, "expected an object with events"),
        ({"events": [], "more": 1}, 422, "expected an object with events"),
        ({"events": [{"id": "a"}]}, 422, "event 0: expected an object with id, key and time"),
        ({"events": [{"id": "a", "key": 3, "time": NOW, "color": 1}]}, 422, "event 0"),
        ({"events": [{"id": "a", "key": 3, "time": NOW}] * 1001}, 422, "a list of up to 1,000"),
        (b'{"events": [{"id": "a", "key": 3, "time": NaN}]}', 422, "NaN is no number"),
        (b" " * ((1 << 20) + 1), 413, "up to 1,048,576 bytes"),
        ({"events": [{"id": "a", "key": 4, "time": NOW}]}, 200, "unknown group"),
        ({"events": [{"id": "a", "key": 3, "time": NOW, "amount": -1.0}]}, 200, "amount"),
        ({"events": [{"id": "a", "key": 3, "time": 4e9}]}, 200, "in the future"),
        ({"events": [{"id": "a", "key": 3, "time": NOW, "state": "seen"}]}, 200, "state"),
        ({"events": [{"id": 7, "key": 3, "time": NOW}]}, 200, "id"),
        ({"events": [{"id": "a", "key": 3, "time": "noon"}]}, 200, "time"),
        ({"events": [{"id": "a", "key": {"x": 1}, "time": NOW}]}, 200, "key"),
    ],
    ids=str,
)
def test_wrong_events_are_named_and_count_nothing(
    asked: tuple[Client, Any], body: Any, status: int, words: str
) -> None:
    client, delivery = asked
    found, said = client.ask("/events", body)
    assert found == status
    if status == 200:
        assert (said["counted"], len(said["refused"])) == (0, 1)
        assert said["refused"][0]["reason"] == words
        assert said["refused"][0]["event"] == 0
    else:
        assert words in said
    assert sum(delivery.ledger.delivered().values()) == 0.0


@pytest.fixture(scope="module")
def asked(host: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Any]]:
    folder = tmp_path_factory.mktemp("host")
    current().save(folder / "policy")
    delivery = host["delivery"].Delivery(host["delivery"].read_plan(write_plan(folder)), str(folder / "ledger.db"))
    with served(host["service"].create_app(folder / "policy", refresh=0.05, delivery=delivery)) as client:
        yield client, delivery


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "is no plan"),
        ('{"by": "campaign", "start": 0, "end": 1}', "'goals'"),
        ('{"by": "campaign", "start": 0, "end": 1, "goals": [{"label": 3, "caps": 4}]}', "a goal has \\['caps'\\]"),
        ('{"by": "campaign", "start": 5, "end": 1, "goals": [{"label": 3, "cap": 4}]}', "before a finite end"),
        ('{"by": "campaign", "start": 0, "end": 1, "more": 1, "goals": [{"label": 3, "cap": 4}]}', "more"),
    ],
)
def test_a_wrong_plan_is_named(host: dict[str, ModuleType], tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(oa.InputError, match=words):
        host["delivery"].read_plan(tmp_path / "plan.json")


def test_a_ledger_that_cannot_be_reached_is_no_reason_to_serve_without_caps(
    host: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current().save(tmp_path / "policy")
    plan = host["delivery"].read_plan(write_plan(tmp_path))
    delivery = host["delivery"].Delivery(plan, str(tmp_path / "no folder" / "ledger.db"), sync=0.05)
    app = host["service"].create_app(tmp_path / "policy", refresh=0.05, delivery=delivery)
    with port_of(app) as port:
        client = Client(port)
        until(lambda: client.ask("/ready")[1]["not_ready"] == "no ledger")
        assert client.ask("/rank", REQUEST)[0] == 503
        assert client.ask("/delivery")[1]["ledger"]["reachable"] is False
        assert client.ask("/events", {"events": []})[0] == 503
        (tmp_path / "no folder").mkdir()
        until(client.is_ready)
        assert client.ask("/rank", REQUEST)[0] == 200
