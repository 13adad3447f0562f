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
    assert away.version is not None
    assert away.version.version == 1, "the policy is published; its slates are not delivered"
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


@pytest.mark.parametrize("address", ["redis://:a-word@host:6379/0", "redis://host:6379/0?password=a-word"])
@pytest.mark.parametrize("entry", ["redis", "tracking", "ledger"])
def test_a_password_does_not_belong_in_the_file(tmp_path: Path, entry: str, address: str) -> None:
    path = make_job(tmp_path, publish=f'redis = "{address}"' if entry == "redis" else "")
    if entry == "tracking":
        path.write_text(f'{path.read_text()}[mlflow]\ntracking = "{address}"\n')
    if entry == "ledger":
        limit = f'[limits]\ndone = {{ ledger = "{address}", by = "campaign" }}\n'
        path.write_text(path.read_text().replace("[limits]\n", limit))
        said = str(oa.run_job(path, run="monday"))
        written = b"".join(file.read_bytes() for file in (tmp_path / "radio-runs" / "monday").iterdir())
        assert b"a-word" not in written
    else:
        with pytest.raises(oa.ProblemError) as caught:
            oa.run_job(path)
        said = str(caught.value)
    assert "expected env:NAME" in said
    assert "a-word" not in said


def test_the_address_of_a_ledger_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with oa.Ledger(tmp_path / "ledger.db", by="campaign") as ledger:
        ledger.record_columns(list("wxyz"), ["c0", "c0", "c1", "c1"], 1_782_864_000.0)
    policies = []
    for name in ("ledger.db", "env:RADIO_LEDGER"):
        folder = tmp_path / name.partition(":")[0]
        path = make_job(tmp_path / f"{folder}-job")
        limit = f'[limits]\ndone = {{ ledger = "{name}", by = "campaign" }}\n'
        text = path.read_text().replace("[limits]\n", limit)
        path.write_text(text.replace('by="campaign") <= caps', 'by="campaign").delivered_so_far(done) <= caps'))
        if name == "ledger.db":
            (tmp_path / "ledger.db").rename(path.parent / name)
            monkeypatch.setenv("RADIO_LEDGER", str(path.parent / name))
        result = oa.run_job(path, run="monday")
        assert result.status == "published", result
        policies.append(result.steps["policy"]["policy_id"])
    assert policies[0] == policies[1]
    monkeypatch.delenv("RADIO_LEDGER")
    path.write_text(path.read_text() + "\n")
    assert "the environment has no variable 'RADIO_LEDGER'" in oa.run_job(path, run="monday").message
    monkeypatch.setenv("RADIO_LEDGER", "mysql://ads:a-word@db/ads")
    said = oa.run_job(path, run="monday").message
    assert "mysql://ads:***@db/ads" in said
