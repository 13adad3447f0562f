"""Slates in a real Redis: what readers get before, during and after a new version."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from served import PROBLEMS, candidates, request, solved
from servers import redis_server

import oasis_alloc as oa
from oasis_alloc.serving.batch import redis_export


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture
def client(server: str) -> Iterator[Any]:
    import redis

    with redis.Redis.from_url(server, decode_responses=True) as client:
        client.flushdb()
        yield client


def read(client: Any, user: object, prefix: str = "oasis_alloc") -> dict[str, Any]:
    """What a host does."""
    found: dict[str, Any] = json.loads(client.get(f"{prefix}:{client.get(f'{prefix}:live')}:{user}"))
    return found


@pytest.mark.parametrize("name", ["segments", "several columns", "sizes by user"])
def test_every_user_has_the_slate_of_the_policy(server: str, client: Any, name: str) -> None:
    policy, cands = solved(name).policy(), PROBLEMS[name]().candidates
    assert policy.to_redis(cands, server) == cands.n_users
    assert len(list(client.scan_iter())) == cands.n_users + 1
    for u in range(cands.n_users):
        items, columns = request(cands, u)
        place = policy.select(items, columns, user=u)
        ids = items if cands.item_ids is None else cands.item_ids[items]
        found = read(client, u)
        assert found["slate"] == ids[place].tolist()
        assert found["scores"] == policy.score(items, columns, user=u)[place].tolist()
        assert found["boosts"] == policy.boosts(items, columns, user=u)[place].tolist()


def test_ids_of_users_are_in_the_keys(server: str, client: Any) -> None:
    pairs = pd.DataFrame({"user": ["ann", "zoe"], "item": ["x", "x"], "r": [0.5, 0.25]})
    cands = oa.Candidates.from_frames(pairs)
    policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    assert policy.to_redis(cands, server, prefix="radio") == 2
    assert read(client, "zoe", "radio") == {"slate": ["x"], "boosts": [0.0], "scores": [0.25]}


def test_a_new_version_replaces_the_old_one_at_once(server: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_export, "_PAIRS", 20)  # many parts
    cands = candidates()
    first, second = (solved(name).policy() for name in ("one column", "segments"))
    first.to_redis(cands, server)
    before = client.get("oasis_alloc:live")
    done, seen, errors = threading.Event(), set(), []

    def reader() -> None:
        while not done.is_set():
            try:
                seen.add((client.get("oasis_alloc:live"), tuple(read(client, 7)["slate"])))
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    second.to_redis(cands, server, grace=5)
    done.set()
    thread.join()
    assert not errors, "a reader never finds a key missing"
    after = client.get("oasis_alloc:live")
    assert {version for version, _ in seen} <= {before, after}
    assert 0 < client.pttl(f"oasis_alloc:{before}:7") <= 5000
    assert client.pttl(f"oasis_alloc:{after}:7") == -1
    second.to_redis(cands, server, grace=0)
    assert len(list(client.scan_iter())) == cands.n_users + 1


def test_what_a_killed_writer_left_is_removed(server: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cands, policy = candidates(), solved("one column").policy()
    policy.to_redis(cands, server)
    live = client.get("oasis_alloc:live")
    with monkeypatch.context() as patch:
        patch.setattr(redis_export, "_PAIRS", 20)
        calls = iter(range(3))
        write = redis_export._write

        def killed(*arguments: Any) -> int:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return write(*arguments)

        patch.setattr(redis_export, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            policy.to_redis(cands, server)
    assert client.get("oasis_alloc:live") == live, "the old version is live"
    assert len(list(client.scan_iter())) > cands.n_users + 1
    policy.to_redis(cands, server, grace=0)
    assert len(list(client.scan_iter())) == cands.n_users + 1


def test_two_processes_do_not_write_to_one_prefix(server: str, client: Any) -> None:
    client.set("oasis_alloc:writer", "another", ex=30)
    with pytest.raises(ConnectionError, match="another process writes to 'oasis_alloc'"):
        solved("one column").policy().to_redis(candidates(), server)
    assert client.get("oasis_alloc:live") is None
    assert client.get("oasis_alloc:writer") == "another"
    client.set("radio:other:1", "of another prefix")
    client.delete("oasis_alloc:writer")
    solved("one column").policy().to_redis(candidates(), server)
    assert client.get("radio:other:1") == "of another prefix"


def test_an_address_from_the_environment_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("redis")
    monkeypatch.setenv("RADIO_REDIS", "redis://:secret@127.0.0.1:1/0")
    with pytest.raises(ConnectionError) as caught:
        solved("one column").policy().to_redis(candidates(), "env:RADIO_REDIS")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"address": "localhost"}, "address is not"),
        ({"address": "env:NO_SUCH_VARIABLE"}, "address is not"),
        ({"address": "http://localhost"}, "address is not"),
        ({"prefix": "a b"}, "prefix is 'a b'"),
        ({"prefix": "a*"}, "prefix is"),
        ({"grace": -1}, "grace is -1"),
        ({"grace": np.nan}, "grace is nan"),
        ({"candidates": 3}, "expected oa.Candidates"),
    ],
)
def test_what_is_not_valid_is_named(request: pytest.FixtureRequest, how: dict[str, Any], words: str) -> None:
    given = {"candidates": candidates(), **how}
    if "address" not in given:
        given["address"] = request.getfixturevalue("server")
    with pytest.raises(oa.InputError, match=words):
        solved("one column").policy().to_redis(**given)


def test_ids_of_two_types_are_refused(server: str, client: Any) -> None:
    pairs = pd.DataFrame({"user": pd.Series([1, "1"], dtype=object), "item": ["x", "x"], "r": [0.5, 0.25]})
    cands = oa.Candidates.from_frames(pairs)
    policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    with pytest.raises(oa.InputError, match="and not both"):
        policy.to_redis(cands, server)
    assert client.get("oasis_alloc:live") is None
