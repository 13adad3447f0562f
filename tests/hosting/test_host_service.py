"""The host service to copy: when it is ready, what it answers, and that swapping under load changes no answer."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hosted import EXTRA, Client, current, port_of, scripts, until
from policies import small

import oasis_alloc as oa

pytest.importorskip("fastapi", reason=EXTRA)
pytest.importorskip("uvicorn", reason=EXTRA)
pytest.importorskip("prometheus_client", reason=EXTRA)


@pytest.fixture(scope="module")
def examples() -> Iterator[dict[str, ModuleType]]:
    """The two scripts as modules."""
    with scripts("service", "load") as found:
        yield found


@contextmanager
def served(app: Any) -> Iterator[Client]:
    """The app on a free port, in a thread."""
    with port_of(app) as port:
        yield Client(port)


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


@pytest.mark.full
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


class Raw(Client):
    """Asks with any bytes for a body."""

    def send(self, body: bytes, path: str = "/rank", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, body, {"content-type": "application/json"} | headers)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said


def body(**change: Any) -> bytes:
    return json.dumps(REQUEST | change).encode()


LONG = {"relevance": [0.5] * 10_001, "streams": [0.5] * 10_001}
BODIES: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 422, "is not JSON"),
    ("no JSON", b"{", 422, "is not JSON"),
    ("no Unicode", b'{"ids": ["\xff"]}', 422, "is not JSON"),
    ("deep", b"[" * 100_000, 422, "nested too deeply"),
    ("a list", b"[1, 2]", 422, "expected an object"),
    ("NaN as ids", body().replace(b'["a", "never", "\\u00e7", "e"]', b"NaN"), 422, "NaN is no number"),
    ("NaN in ids", body(ids=[float("nan")]), 422, "NaN is no number"),
    ("infinity in ids", body().replace(b'"never"', b"1e999"), 422, "one of them is infinite"),
    ("infinity as k", body(k=float("inf")), 422, "Infinity is no number"),
    ("1e999 as k", body().replace(b'"k": 3', b'"k": 1e999'), 422, "k: expected a whole number"),
    ("NaN as user", body(user=float("nan")), 422, "NaN is no number"),
    ("NaN in a column", body(columns=REQUEST["columns"] | {"streams": [float("nan")]}), 422, "NaN is no number"),
    ("half a character as an id", body(ids=["a", "\ud800", "b", "c"]), 422, "half of a character"),
    ("half a character as a column", body(columns={"\ud800": []}), 422, "'relevance' is missing"),
    ("half a character as a key", body(user={"\ud800": 1}), 422, "do not have a key"),
    ("half a character as a name", body(**{"\ud800": 1}), 422, "is not known"),
    ("a score beyond float64", body(columns=dict.fromkeys(REQUEST["columns"], [1.7e308] * 4)), 422, "beyond float64"),
    ("a number of 400 digits", body(columns=REQUEST["columns"] | {"streams": [10**400] * 4}), 422, "beyond float64"),
    ("a k of 5,000 digits", body().replace(b'"k": 3', b'"k": 1' + b"0" * 5000), 422, "a number of thousands of digits"),
    ("a user of 400 digits", body(user=10**400), 422, "user=1000"),
    ("a user that is a list", body(user=[1]), 422, "user: expected"),
    ("a label that is a list", body(user={"market": [1]}), 422, "which cannot be a label"),
    ("a misspelt key", body(user={"markt": "se"}), 422, "Did you mean 'market'"),
    ("a misspelt name", body(item=[]), 422, "'item' is not known; expected ids, columns, user, k"),
    ("k beyond all", body(k=10**9), 422, "k: expected a whole number up to 10,000"),
    ("true in ids", body(ids=["a", True, "b", "c"]), 422, "entry 1 is neither a number nor a string"),
    ("100,000 wrong ids", body(ids=[[]] * 100_000), 422, "expected a list of up to 10,000"),
    ("10,000 wrong ids", body(ids=[[]] * 10_000), 422, "entry 0 is neither"),
    ("too many ids", body(ids=list(range(10_001)), columns=LONG), 422, "expected a list of up to 10,000"),
    ("a long text", body(ids=["x" * 2_000_000]), 413, "1,048,576 bytes"),
]


@pytest.fixture(scope="module")
def ready(examples: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Raw, Path]]:
    path = tmp_path_factory.mktemp("served") / "policy"
    current().save(path)
    app = examples["service"].create_app(path, refresh=0.02, admin_token="secret")
    with served(app) as client:
        raw = Raw(client.port)
        until(lambda: raw.ask("/ready")[0] == 200)
        yield raw, path


@pytest.mark.parametrize(("sent", "status", "words"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_wrong_body_is_one_error_at_once(ready: tuple[Raw, Path], sent: bytes, status: int, words: str) -> None:
    begun = time.perf_counter()
    found, said = ready[0].send(sent)
    assert (found, words in said) == (status, True), said
    assert len(said) < 1000
    assert time.perf_counter() - begun < 5.0
    assert ready[0].ask("/rank", REQUEST)[0] == 200


def test_a_body_of_unknown_length_is_cut_off(ready: tuple[Raw, Path]) -> None:
    with socket.create_connection(("127.0.0.1", ready[0].port), timeout=30) as connection:
        head = b"POST /rank HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        with suppress(OSError):  # it may hang up before
            connection.sendall(head + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 20)
        assert b" 413 " in connection.recv(100)


def test_requests_that_are_right_in_unusual_ways(ready: tuple[Raw, Path]) -> None:
    assert ready[0].send(body(k=10_000, user={"market": "se", "daypart": "night"}))[0] == 200
    many = [f"new-{k}" for k in range(10_000)]
    columns = {"relevance": [0.5] * 10_000, "streams": [0.25] * 10_000}
    status, said = ready[0].send(json.dumps({"ids": many, "columns": columns, "k": 10_000}).encode())
    assert (status, len(json.loads(said)["scores"])) == (200, 10_000)
    metrics = ready[0].ask("/metrics")[1]
    assert 'oasis_alloc_ignored_keys_total{key="daypart"}' in metrics
    assert "host_malformed_requests_total" in metrics
    assert json.loads(ready[0].ask("/schema")[1])["user_keys"] == {"market": "str", "daypart": "any"}


def test_an_operator_rolls_back_and_publishes(ready: tuple[Raw, Path]) -> None:
    raw, path = ready
    first = oa.Policy.load(path)
    first.save(path.with_name("first"))
    assert raw.send(b"", "/admin/rollback")[0] == 403
    assert raw.send(b"", "/admin/rollback", authorization="Bearer \u00e9")[0] == 403
    token = {"authorization": "Bearer secret"}
    status, said = raw.send(b"", "/admin/rollback", **token)
    assert (status, "no earlier policy" in said) == (503, True)
    oa.Policy(replace(small(), created=time.time(), valid_until=None, policy_id="second")).save(path)
    until(lambda: json.loads(raw.ask("/ready")[1])["policy_id"] == "second")
    assert raw.send(b"", "/admin/rollback", **token) == (200, first.policy_id)
    assert raw.send(b"policy", "/admin/publish", **token) == (200, "second")
    assert raw.send(b"first", "/admin/publish", **token) == (200, first.policy_id)
    path.with_name("folder").mkdir()
    path.with_name("text").write_bytes(b"no snapshot, though long enough")
    for name in (b"", b".", b"..", b"../policy", b"/etc/passwd", b"a\nb", b"\xff/", b"folder", b"none", b"x" * 300):
        status, said = raw.send(name, "/admin/publish", **token)
        assert (status, "expected the name of a file in the snapshot's folder" in said) == (400, True), (name, said)
    assert raw.send(b"text", "/admin/publish", **token)[0] == 503
    assert json.loads(raw.ask("/ready")[1])["policy_id"] == first.policy_id
