"""The board's HTTP server: Python's own, on the loopback interface, for one person's browser."""

from __future__ import annotations

import json
import os
import traceback
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from oasis_alloc.commands.board.guards import HEADERS, refused
from oasis_alloc.commands.board.routes import respond
from oasis_alloc.commands.board.state import Board
from oasis_alloc.commands.terminal import warn
from oasis_alloc.errors import InputError

ADDRESS = "127.0.0.1"
_MAX_BODY = 1 << 20  # bytes
_SECONDS = 30.0  # a connection may take to send a request
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE = "index.html"


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """{address: (bytes, type)} of the page's files, as the package has them."""
    folder = files("oasis_alloc.commands.board") / "page"
    found = {}
    for file in folder.iterdir():
        ending = os.path.splitext(file.name)[1]
        if ending in _KINDS:
            found["/" if file.name == _PAGE else f"/{file.name}"] = (file.read_bytes(), _KINDS[ending])
    return found


class BoardServer(ThreadingHTTPServer):
    """Serves one board on 127.0.0.1; a port of 0 takes any that is free.

    Raises `InputError` for a port that is taken or not allowed.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name != "nt"  # on Windows two servers would share the port

    def __init__(self, board: Board, port: int = 0) -> None:
        self.board = board
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"port {port} of {ADDRESS} cannot be used ({reason}). Stop what uses it, give another --port, or "
                "--port 0 for any that is free."
            ) from error

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no failure."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "oasis-alloc", ""
    timeout = _SECONDS
    disable_nagle_algorithm, wbufsize = True, -1  # a response is sent at once, not after its headers are acknowledged
    server: BoardServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        address = urlsplit(self.path)
        headers = {name.lower(): text for name, text in self.headers.items()}
        reason = refused(method, address.path, headers, self.server.server_port)
        if reason is not None:
            self.close_connection = True  # its body has not been read
            return self._send(403, {"error": f"refused: {reason}"})
        if method == "GET" and address.path in page_files():
            body, kind = page_files()[address.path]
            return self._write(200, body, kind)
        try:
            query = dict(parse_qsl(address.query, keep_blank_values=True, max_num_fields=50))
            sent = self._body() if method == "POST" else None
        except ValueError as error:
            self.close_connection = True
            return self._send(400, {"error": f"the request cannot be read: {error}."})
        try:
            status, document = respond(self.server.board, method, address.path, query, sent)
        except Exception as error:  # a view that fails must not end the board
            warn("".join(traceback.format_exception(error)))
            status, document = 500, {"error": f"internal error of oasis-alloc: {type(error).__name__}: {error}"}
        self._send(status, document)

    def _body(self) -> Any:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            raise ValueError(f"expected a Content-Length of at most {_MAX_BODY:,} bytes")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            if "set_int_max_str_digits" in str(error):  # Python's advice is not for who sends a body
                raise ValueError("its body has a number of thousands of digits") from error
            raise ValueError(f"its body is not JSON ({error})") from error

    def _send(self, status: int, document: Any) -> None:
        body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        self._write(status, body, "application/json")

    def _write(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests of one person's browser are of no interest."""
