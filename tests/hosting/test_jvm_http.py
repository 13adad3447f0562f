"""The HTTP host in Java: when it is ready, what it answers, what it refuses, and its metrics."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosted import Client, current, until
from jvm_host import QUICK, classes, java
from policies import small
from published import keys, priced

import oasis_alloc as oa

TOKEN = "a secret of this test"
REQUEST: dict[str, Any] = {
    "ids": ["a", "never", "ç", "e"],
    "columns": {"relevance": [0.5, 0.75, 0.25, 1.0], "streams": [1.0, 0.0, 0.5, 0.25]},
    "user": {"market": "se", "daypart": "night"},
    "k": 3,
}


@contextmanager
def served(path: Path, *more: str) -> Iterator[Client]:
    """A host in a process of its own, on a free port."""
    command = [java(), *QUICK, "-Dfile.encoding=UTF-8", "-cp", str(classes()), "oasisalloc.HttpHost", str(path)]
    environment = os.environ | {"OASIS_ALLOC_ADMIN_TOKEN": TOKEN}
    with subprocess.Popen(
        [*command, "--port", "0", "--refresh", "0.02", *more], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        name, _, port = process.stdout.readline().partition(" = ")
        try:
            assert name == "port"
            yield Client(int(port))
        finally:
            process.terminate()


def send(client: Client, path: str, body: bytes, token: str = "") -> tuple[int, str]:
    """(status, text) of a request with any bytes for a body."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.request("POST", path, body, {"authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A host whose first policy appears after it has started."""
    path = tmp_path_factory.mktemp("host") / "policy"
    with served(path) as client:
        assert client.ask("/health") == (200, '{"status":"alive"}')
        assert client.ask("/ready")[0] == 503
        assert client.ask("/rank", REQUEST)[0] == 503
        current().save(path)
        until(lambda: client.ask("/ready")[0] == 200)
        yield client, path


@pytest.mark.full
def test_it_answers_as_the_library_does(host: tuple[Client, Path]) -> None:
    client, _ = host
    policy = current()
    status, said, kind = client.answer("/rank", REQUEST)
    answer = json.loads(said)
    items = policy.encode(REQUEST["ids"])
    assert (status, kind, answer["mode"]) == (200, "application/json", "fresh")
    assert answer["policy_id"] == policy.policy_id
    assert answer["scores"] == policy.score(items, REQUEST["columns"], user=REQUEST["user"]).tolist()
    slate = policy.select(items, REQUEST["columns"], user=REQUEST["user"], k=3).tolist()
    assert answer["slate"] == [REQUEST["ids"][i] for i in slate]
    schema = policy.schema.to_dict()
    del schema["item_keys"]  # this host takes ids only
    assert json.loads(client.ask("/schema")[1]) == schema


MALFORMED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "is not JSON"),
    "not JSON": (b"{", 422, "is not JSON"),
    "deep": (b"[" * 100_000, 422, "deeper than"),
    "a list": (b"[]", 422, "expected an object"),
    "another member": (b'{"id": []}', 422, "'id' is not known"),
    "no ids": (b'{"columns": {}}', 422, "ids: expected a list"),
    "an id that is a boolean": (b'{"ids": [true], "columns": {}}', 422, "ids: entry 0"),
    "an infinite id": (b'{"ids": [1e999], "columns": {}}', 422, "ids: entry 0"),
    "half a character": (b'{"ids": ["\\ud800"], "columns": {}}', 422, "ids: entry 0"),
    "columns of texts": (b'{"ids": [], "columns": {"relevance": ["1"]}}', 422, "not a list of numbers"),
    "k of 1.5": (b'{"ids": [], "columns": {}, "k": 1.5}', 422, "k: expected"),
    "too long": (b" " * (1 << 20) + b"{}", 413, "bytes"),
}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a missing column": ({"columns": {"relevance": [1.0] * 4}}, "'streams' is missing"),
    "a column misspelled": (
        {"columns": {"Relevence": [1.0] * 4, "streams": [1.0] * 4}},
        "'relevance' is missing; there are [Relevence, streams]; did you mean 'Relevence'?",
    ),
    "a key misspelled": ({"user": {"markt": "se"}}, "did you mean 'market'?"),
    "a short column": ({"columns": {"relevance": [1.0], "streams": [1.0]}}, "has 1 numbers; expected 4"),
    "a key that no problem had": ({"user": {"planet": "mars"}}, "'planet'"),
    "an item twice": ({"ids": ["a", "a", "ç", "e"]}, "appears twice, at positions 0 and 1"),
    "an infinite number": (  # as JSON has it: 1e400
        {"columns": {"relevance": [float("inf")] * 4, "streams": [1.0] * 4}},
        "'relevance': entry 0 is Infinity",
    ),
    "a user beyond the solve": ({"user": 99}, "expected a number in [0, 4)"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_body_that_is_not_a_request(host: tuple[Client, Path], name: str) -> None:
    body, status, words = MALFORMED[name]
    found, said = send(host[0], "/rank", body)
    assert (found, words in said) == (status, True), said


@pytest.mark.parametrize("name", WRONG)
def test_a_request_that_is_wrong(host: tuple[Client, Path], name: str) -> None:
    change, words = WRONG[name]
    body = json.dumps(REQUEST | change).replace("Infinity", "1e400").encode()
    found, said = send(host[0], "/rank", body)
    assert (found, words in said) == (422, True), said
    if "planet" in words:
        assert "did you mean" not in said


def test_paths_and_methods(host: tuple[Client, Path]) -> None:
    client, _ = host
    assert client.ask("/rank")[0] == 405
    assert client.ask("/ranking", REQUEST)[0] == 404
    assert send(client, "/admin/rollback", b"", "another")[0] == 403
    assert send(client, "/admin/publish", b"x", "another")[0] == 403
    for name in (b"..", b"../policy", b"", b"missing"):
        assert send(client, "/admin/publish", name, TOKEN)[0] == 400


@pytest.mark.full
def test_swaps_roll_backs_and_metrics(tmp_path: Path) -> None:
    core = pytest.importorskip("prometheus_client.parser", reason="needs the extra [prometheus]")
    first, path = current(), tmp_path / "policy"
    first.save(path)
    second = current(policy_id="the second", terms=small(shift=0.2).terms)
    sketch = oa.Sketch.of({"relevance": [0.2, 0.4, 0.6, 0.8], "(priced score)": [0.1, 0.9]}, labels={"market": ["se"]})
    (tmp_path / "sketch.json").write_text(json.dumps(sketch.to_dict()))
    with served(path, "--drift", str(tmp_path / "sketch.json")) as client:
        until(lambda: client.ask("/ready")[0] == 200)
        assert json.loads(client.ask("/rank", REQUEST)[1])["policy_id"] == first.policy_id
        second.save(path)
        until(lambda: json.loads(client.ask("/ready")[1])["policy_id"] == "the second")
        assert send(client, "/admin/rollback", b"", TOKEN) == (200, first.policy_id)
        assert json.loads(client.ask("/rank", REQUEST)[1])["policy_id"] == first.policy_id
        (tmp_path / "again").write_bytes(path.read_bytes())
        assert send(client, "/admin/publish", b"again", TOKEN) == (200, "the second")
        for _ in range(3):
            assert client.ask("/rank", REQUEST | {"columns": {}})[0] == 422
        assert send(client, "/rank", b"{")[0] == 422
        path.write_bytes(b"not a snapshot, though long enough")
        until(lambda: '"reason":"not a snapshot"' in client.ask("/ready")[1])
        families = {one.name: one for one in core.text_string_to_metric_families(client.ask("/metrics")[1])}
    found = {(s.name, *s.labels.values()): s.value for one in families.values() for s in one.samples}
    assert found["oasis_alloc_decisions_total", "fresh"] == 2.0
    assert found["oasis_alloc_failed_requests_total", "input"] == 3.0
    assert found["oasis_alloc_ignored_keys_total", "daypart"] >= 2.0
    assert found["oasis_alloc_unseen_items_total",] == 2.0
    assert found["oasis_alloc_refused_snapshots_total", "not a snapshot"] == 1.0
    assert found["oasis_alloc_ready",] == 1.0
    assert found["host_malformed_requests_total",] == 1.0
    assert found["oasis_alloc_drift_rows", "relevance"] == 4.0, "the first decision, of 256"
    assert found["oasis_alloc_drift_rows", "(priced score)"] == 4.0
    assert found["oasis_alloc_drift_rows", "market"] == 1.0
    assert found["oasis_alloc_drift_unseen_items",] == 0.25
    assert 0.0 < found["oasis_alloc_score_time_seconds", "0.5"] < 1.0
    assert families["oasis_alloc_decisions"].type == "counter"


def test_a_host_that_starts_again_refuses_yesterdays_manifest(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="needs the extra [sign]")
    ((private, public),) = keys(tmp_path, "radio")
    where = tmp_path / "policies"
    oa.publish(current(), where, sign=private)
    manifest = where / "manifest.json"
    yesterday = manifest.read_bytes()
    second = oa.publish(priced(1), where, sign=private)
    trust = ["--trust", str(public), "--trust-name", "policies", "--trust-remember", str(tmp_path / "version")]
    with served(manifest, *trust) as client:
        until(lambda: client.ask("/ready")[0] == 200)
        assert json.loads(client.ask("/ready")[1])["policy_id"] == second.policy_id
    manifest.write_bytes(yesterday)
    with served(manifest, *trust) as client:
        until(lambda: json.loads(client.ask("/ready")[1])["last_refused"] is not None)
        status, said = client.ask("/ready")
        assert (status, json.loads(said)["last_refused"]["reason"]) == (503, "replayed")
