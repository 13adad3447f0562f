"""A job that also writes slates to a Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jobs import make_job, make_tables
from servers import redis_server

import oasis_alloc as oa


def test_slates_are_those_of_the_published_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = pytest.importorskip("redis")
    path = make_job(tmp_path, publish='redis = "env:RADIO_REDIS"\nredis_prefix = "radio"\nredis_grace = 5')
    monkeypatch.setenv("RADIO_REDIS", "redis://127.0.0.1:1/0")
    away = oa.run_job(path, run="monday")
    assert (away.status, away.exit_code) == ("not written", 5)
    assert "Redis" in away.message
    assert oa.PolicyDirectory(tmp_path / "policies").history()[-1].version == 1
    with redis_server() as address, redis.Redis.from_url(address, decode_responses=True) as client:
        monkeypatch.setenv("RADIO_REDIS", address)
        result = oa.run_job(path, run="monday")
        assert result.status == "published"
        assert result.version is not None
        assert result.version.version == 1, "the policy was published before; only the slates are written again"
        assert "60 users in Redis" in result.message
        live = client.get("radio:live")
        assert live.startswith(f"{result.version.policy_id}-")
        assert len(json.loads(client.get(f"radio:{live}:7"))["slate"]) == 3
        make_tables(tmp_path, day=1)
        assert oa.run_job(path, run="tuesday").status == "published"
        assert client.get("radio:live") != live
        assert 0 <= client.ttl(f"radio:{live}:7") <= 5 or client.ttl(f"radio:{live}:7") == -2, "gone, or about to be"


def test_a_password_does_not_belong_in_the_file(tmp_path: Path) -> None:
    path = make_job(tmp_path, publish='redis = "redis://:secret@host:6379/0"')
    with pytest.raises(oa.ProblemError, match="expected env:NAME") as caught:
        oa.run_job(path)
    assert "secret" not in str(caught.value)
