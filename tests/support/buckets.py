"""Servers of object storage on the loopback interface, one of each kind per process, and a bucket per test.

A `conftest.py` imports the fixtures for the tests of its folder.
"""

from __future__ import annotations

import logging
import socket
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server in this process."""
    server = pytest.importorskip("moto.server", reason="an S3 server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[str]:
    """The address of a server of Google's storage in this process."""
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="a server of Google's storage")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("127.0.0.1", port, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["s3", pytest.param("gs", marks=pytest.mark.full)])
def bucket(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The address of a new bucket; the environment has its server and credentials."""
    return _made(request.param, monkeypatch, request)


@pytest.fixture
def s3_bucket(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The address of a new bucket of S3, whose server also answers requests for a part of an object."""
    return _made("s3", monkeypatch, request)


def _made(kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
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
