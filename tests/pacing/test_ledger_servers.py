"""Servers that disappear while a host serves, and come back."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ledgers import NOW
from servers import free_port, port_answers, program, wait_for

import oasis_alloc as oa


def start_redis(folder: Path, port: int) -> subprocess.Popen[bytes]:
    server = program("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed; on Debian: apt-get install redis-server")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always"]
    process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wait_for(lambda: port_answers(port))
    return process


@pytest.mark.full
def test_a_redis_that_is_killed_loses_nothing_and_is_used_again(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="needs the extra [redis]")
    port = free_port()
    process = start_redis(tmp_path, port)
    try:
        ledger = oa.Ledger(f"redis://127.0.0.1:{port}/0", clock=lambda: NOW)
        allowance = oa.Allowance(ledger, {"one": 10.0})
        allowance.sync()
        assert allowance.spend("one")
        for k in range(20):
            ledger.record([oa.Event(f"{k}", "one", NOW)])
        process.kill()
        process.wait()
        with pytest.raises(oa.LedgerUnavailableError, match=f"redis://127.0.0.1:{port}/0: .*Whether the last change"):
            ledger.record([oa.Event("20", "one", NOW)])
        with pytest.raises(oa.LedgerUnavailableError):
            allowance.sync()
        assert allowance.spend("one"), "serving goes on from the allowance"
        process = start_redis(tmp_path, port)
        wait_for(lambda: _reads(ledger))
        assert ledger.record([oa.Event(f"{k}", "one", NOW) for k in range(21)]) == oa.Receipt(1, 20, 0)
        assert ledger.delivered() == {"one": 21.0}
        allowance.sync()
        assert allowance.stats()["spent"] == {"one": 2.0}
        ledger.close()
    finally:
        process.kill()
        process.wait()


def _reads(ledger: oa.Ledger) -> bool:
    with suppress(oa.LedgerUnavailableError):  # it still reads its file
        ledger.totals()
        return True
    return False


@pytest.mark.full
def test_a_postgres_that_ends_a_connection_is_used_again(postgres: str) -> None:
    import psycopg

    ledger = oa.Ledger(postgres, name="ended", clock=lambda: NOW)
    ledger.record([oa.Event("a", "one", NOW)])
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                      "AND usename = 'ads' AND datname = current_database()")  # fmt: skip
        other.execute("SELECT pg_sleep(0.1)")
    with pytest.raises(oa.LedgerUnavailableError, match="Whether the last change was stored is unknown"):
        ledger.record([oa.Event("b", "one", NOW)])
    assert ledger.record([oa.Event("a", "one", NOW), oa.Event("b", "one", NOW)]) == oa.Receipt(1, 1, 0)
    ledger.close()


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "address", ["postgresql://ads:secret@127.0.0.1:{port}/ads", "redis://:secret@127.0.0.1:{port}/0"]
)
def test_a_server_that_does_not_answer_is_named_without_its_password(address: str) -> None:
    pytest.importorskip("psycopg" if address.startswith("postgres") else "redis")
    with socket.socket() as taken:  # a port on which nobody listens
        taken.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(oa.LedgerUnavailableError) as raised:
            oa.Ledger(address.format(port=taken.getsockname()[1]))
    assert "secret" not in str(raised.value)
    assert "127.0.0.1" in str(raised.value)
    assert time.monotonic() - began < 30


def test_an_address_that_cannot_be_read_is_refused() -> None:
    pytest.importorskip("redis")
    with pytest.raises(oa.InputError, match=r"expected redis://host:port/number"):
        oa.Ledger("redis://[host")


@pytest.mark.parametrize(("module", "address"), [("psycopg", "postgresql://a/b"), ("redis", "redis://a/0")])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str, address: str) -> None:
    import sys

    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    extra: dict[str, Any] = {"psycopg": "postgres", "redis": "redis"}
    with pytest.raises(oa.MissingDependencyError, match=rf"{module} is needed here.*\[{extra[module]}\]"):
        oa.Ledger(address)
