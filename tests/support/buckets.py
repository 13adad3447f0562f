"""Servers of object storage on the loopback interface, one of each kind per process, and a bucket per test.

A `conftest.py` imports the fixtures for the tests of its folder.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from servers import free_port, port_answers, running


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server."""
    pytest.importorskip("moto.server", reason="an S3 server")
    with _server("moto.server", "-H", "127.0.0.1", "-p", "{port}") as address:
        yield address


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """The address of a server of Google's storage."""
    pytest.importorskip("gcp_storage_emulator", reason="a server of Google's storage")
    options = ["start", "--quiet", "--in-memory", "-H", "127.0.0.1", "--port", "{port}"]
    with _server("gcp_storage_emulator", *options) as address:
        yield address


@contextmanager
def _server(module: str, *options: str) -> Iterator[str]:
    """The address of a server, which is another process.

    A call of pyarrow that waits for an answer and holds the interpreter's lock would wait for ever for a thread.
    """
    port = free_port()
    command = [sys.executable, "-m", module, *(option.format(port=port) for option in options)]
    with running(command, lambda: port_answers(port), {}):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["s3", pytest.param("gs", marks=pytest.mark.full)])
def bucket(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The address of a new bucket; the environment has its server and credentials."""
    kind = request.param
    fs = pytest.importorskip("pyarrow.fs")
    name = f"bucket-{zlib.crc32(request.node.nodeid.encode())}"
    if kind == "gs":
        address = request.getfixturevalue("gcs_server")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        system = fs.GcsFileSystem(
            anonymous=True, endpoint_override=urlsplit(address).netloc, scheme="http", project_id="project"
        )
    else:
        address = request.getfixturevalue("s3_server")
        for variable, value in (
            ("AWS_ENDPOINT_URL", address), ("AWS_ACCESS_KEY_ID", "a-key"), ("AWS_SECRET_ACCESS_KEY", "a-secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):  # fmt: skip
            monkeypatch.setenv(variable, value)
        system = fs.S3FileSystem(
            endpoint_override=urlsplit(address).netloc, scheme="http", region="us-east-1", allow_bucket_creation=True
        )
    system.create_dir(name)
    return f"{kind}://{name}"
