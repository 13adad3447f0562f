"""The host service of the examples: its scripts as modules, an app on a free port, and a client that asks it."""

from __future__ import annotations

import http.client
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from policies import small

import oasis_alloc as oa

EXTRA = "the host service needs the extra [host]"
FOLDER = Path(__file__).parents[2] / "examples" / "host_service"


@contextmanager
def scripts(*names: str) -> Iterator[dict[str, ModuleType]]:
    """Scripts of the host's folder as modules, which find each other by name."""
    path, found = list(sys.path), {}
    try:
        for name in names:
            spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found[name])
        yield found
    finally:
        sys.path[:] = path
        for name in names:
            sys.modules.pop(name, None)


def current(**change: Any) -> oa.Policy:
    """A small policy of now."""
    return oa.Policy(replace(small(), created=time.time(), valid_until=None, **change))


def until(true: Any, seconds: float = 300.0) -> None:
    """Wait until something is true; kernels may have to be compiled first."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Client:
    """Asks a service, one request a connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answer(self, path: str, body: Any = None) -> tuple[int, str, str]:
        """(status, text, type of content); a body is bytes as they are, or anything that JSON knows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        text = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        return answer.status, said, answer.headers.get("content-type", "")

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, text)."""
        return self.answer(path, body)[:2]


@contextmanager
def port_of(app: Any) -> Iterator[int]:
    """The port of an app that runs in a thread."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)
