"""Boards over small markets, without and with a server, for tests of the JSON and of the page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import numpy as np

import oasis_alloc as oa
from oasis_alloc.commands.board.routes import respond
from oasis_alloc.commands.board.server import BoardServer
from oasis_alloc.commands.board.sources import Source, solved
from oasis_alloc.commands.board.state import Board
from oasis_alloc.markets import month

CAPS, FLOORS = "campaign caps", "campaign floors"


def market(users: int = 400, degree: int = 12, campaigns: int = 6) -> oa.Problem:
    """A month of campaigns; the same every time."""
    return month(users=users, degree=degree, campaigns=campaigns, seed=3).problem()


def source(problem: oa.Problem | None = None, name: str = "month") -> Source:
    """The market, solved."""
    return solved(name, f"{name}.toml", market() if problem is None else problem, {"gap": 1e-4, "threads": 1})


def conflicting() -> oa.Problem:
    """Two floors that ask for all three slots and one more, so one has to give way by one."""
    cands = oa.Candidates.from_arrays(
        [0, 2, 4, 6], [0, 1, 0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7, 0.4, 0.3]},
        users={"market": ["DE", "DE", "US"], "hour": [18, 19, 19]}, items={"campaign": ["a", "b"]},
    )  # fmt: skip
    floors = (oa.exposure(by="campaign") >= {"a": 3.0, "b": 1.0}).named("floors")
    return oa.Problem(cands, oa.total("relevance"), [floors], oa.Slate(1))


def get(board: Board, path: str, **query: str) -> Any:
    """The document at an address, which has to be there."""
    status, document = respond(board, "GET", f"/api/{path}", query)
    assert status == 200, document
    json.dumps(document, allow_nan=False)
    return document


def post(board: Board, path: str, **body: Any) -> Any:
    """The answer to a change or a request for a computation, which has to succeed."""
    status, document = respond(board, "POST", f"/api/{path}", {}, body)
    assert status == 200, document
    return document


def refused(board: Board, method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> str:
    """The message of a request that has to fail, and not by a fault of ours."""
    status, document = respond(board, method, f"/api/{path}", query or {}, body)
    assert 400 <= status < 500, (status, document)
    message: str = document["error"]
    return message


def fractional() -> oa.Problem:
    """A floor of half an impression too much for whole slates, so that what is served misses it."""
    rng = np.random.default_rng(1)
    cands = oa.Candidates.from_arrays(
        np.arange(201) * 2, np.tile([0, 1], 200), {"relevance": rng.random(400)},
        users={"market": rng.choice(["DE", "US"], 200)}, items={"campaign": ["a", "b"]},
    )  # fmt: skip
    exposure = oa.exposure(by="campaign")
    limits = [(exposure >= {"b": 120.5}).named("floors"), (exposure <= {"a": 150.0}).named("caps")]
    return oa.Problem(cands, oa.total("relevance"), limits, oa.Slate(1))


@contextmanager
def served(board: Board) -> Iterator[BoardServer]:
    """A server of the board on a free port, until the end of the block."""
    with BoardServer(board, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(
    server: BoardServer, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers in lower case, body) of one request; `headers` may replace those of a browser."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host="Host" in (headers or {}))
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        for name, text in (headers or {}).items():
            connection.putheader(name, text)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()
