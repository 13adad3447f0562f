"""PostgreSQL and Redis for tests: servers of their own, in a temporary folder, where the programs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WAIT = 120.0  # seconds until a server answers, on a machine that is busy
_ACCOUNT = "postgres"  # PostgreSQL refuses to run as root; Debian's package makes this account


def program(name: str) -> str | None:
    """The path of a program: on PATH, or where Debian has those of PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def redis_server() -> Iterator[str]:
    """The address of a Redis that keeps what it acknowledges; the test is skipped where there is no redis-server."""
    pytest.importorskip("redis", reason="needs the extra [redis]")
    server = program("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed; on Debian: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="oasis-redis-") as folder:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
        with running([server, *options], lambda: port_answers(port), {}):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL; the test is skipped where there is none."""
    pytest.importorskip("psycopg", reason="needs the extra [postgres]")
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    account: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="oasis-postgres-") as folder:
        if os.geteuid() == 0:
            try:
                shutil.chown(folder, _ACCOUNT)
            except LookupError:
                pytest.skip(f"PostgreSQL does not run as root, and there is no account {_ACCOUNT!r}")
            account = {"user": _ACCOUNT, "group": Path(folder).group(), "extra_groups": []}
        data, port = f"{folder}/data", free_port()
        make = [initdb, "-D", data, "-U", "ads", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(make, capture_output=True, text=True, check=False, cwd=folder, **account)
        assert done.returncode == 0, done.stderr
        options = ["-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"]
        with running([server, *options], lambda: port_answers(port), {"cwd": folder, **account}):
            address = f"postgresql://ads@127.0.0.1:{port}/postgres"
            wait_for(lambda: _accepts(address))
            yield address


@contextmanager
def running(command: list[str], answers: Callable[[], bool], options: dict[str, Any]) -> Iterator[None]:
    """A server while the block runs."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
        try:
            wait_for(lambda: process.poll() is not None or answers())
            if process.poll() is not None:
                log.seek(0)
                raise RuntimeError(f"{command[0]} has ended: {log.read().decode(errors='replace')[-2000:]}")
            yield
        finally:
            process.terminate()
            try:
                process.wait(WAIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "a server does not answer"
        time.sleep(0.05)


def port_answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1.0)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _accepts(address: str) -> bool:
    import psycopg

    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.OperationalError:  # it is still starting
        return False
    return True
