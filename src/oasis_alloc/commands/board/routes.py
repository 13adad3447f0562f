"""The board's JSON: which function answers which address. Needs no server, so tests call it directly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oasis_alloc.commands.board import quotes, trade_offs
from oasis_alloc.commands.board.comparison import comparison
from oasis_alloc.commands.board.conflicts import conflicts
from oasis_alloc.commands.board.explanation import explanation, suggested
from oasis_alloc.commands.board.group import group, reasons
from oasis_alloc.commands.board.outlook import forecast, outlook
from oasis_alloc.commands.board.overview import about, overview
from oasis_alloc.commands.board.served import served
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, OasisAllocError

Query = Mapping[str, str]
Answer = tuple[int, Any]

_OK, _BAD, _UNKNOWN, _NOT_ALLOWED, _READ_ONLY = 200, 400, 404, 405, 403


def respond(board: Board, method: str, path: str, query: Query, body: object = None) -> Answer:
    """(status, document) for a request; errors of the package are documents `{"error": message}`."""
    if path not in GET and path not in POST:
        return _UNKNOWN, {"error": f"there is nothing at {path}."}
    if path not in (GET if method == "GET" else POST):
        return _NOT_ALLOWED, {"error": f"{path} takes no {method}."}
    try:
        if method == "GET":
            return _OK, GET[path](board, query)
        if not isinstance(body, dict):
            raise InputError("expected a JSON object.")
        if path in EDITS and not board.editable:
            return _READ_ONLY, {"error": "this board is read-only; start it with --edit to change limits."}
        return _OK, POST[path](board, body)
    except OasisAllocError as error:
        return _BAD, {"error": str(error)}


def _text(query: Mapping[str, Any], name: str) -> str:
    found = query.get(name)
    if not isinstance(found, str) or not found:
        raise InputError(f"{name} is missing; expected a text.")
    return found


def _whole(query: Query, name: str, otherwise: int | None) -> int | None:
    text = query.get(name, "")
    if not text:
        return otherwise
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"{name} is {shown(text)}; expected a whole number.")
    return int(text)


def _places(query: Query, name: str) -> tuple[int, ...]:
    parts = [part for part in query.get(name, "").split(",") if part]
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise InputError(f"{name} is {shown(query[name])}; expected positions such as 3,0,5.")
    return tuple(map(int, parts))


def _explained(board: Board, query: Query) -> Any:
    pinned, exclude = _places(query, "pinned"), _places(query, "exclude")
    return explanation(board, _text(query, "user"), _whole(query, "k", None), pinned, exclude)


def _compared(board: Board, query: Query) -> Any:
    return comparison(board, _whole(query, "before", 0) or 0, _whole(query, "after", 1) or 0)


def _swept(board: Board, query: Query) -> Any:
    sweep = trade_offs.sweep_of(board, _whole(query, "id", -1))
    return sweep.document(query.get("key"), query.get("label"))


def _stopped(board: Board, body: dict[str, Any]) -> Any:
    trade_offs.sweep_of(board, body.get("id")).stopped = True
    return {"stopped": True}


def _changed(board: Board, body: dict[str, Any]) -> Any:
    """A limit of one group, or of all where the constraint has no keys."""
    from oasis_alloc.common.checks import as_real
    from oasis_alloc.page.summary import label as as_text

    name, number = _text(body, "constraint"), as_real(body.get("limit"))
    if number is None:
        raise InputError(f"limit is {shown(body.get('limit'))}; expected a number.")
    problem = board.solution.problem
    limits: Any = number
    if body.get("label") is not None and name in problem.names:
        labels = {as_text(one): one for one in problem.labels(name)}
        text = _text(body, "label")
        if text not in labels:
            raise InputError(f"{name} has no group {text!r}.")
        limits = number if labels[text] is None else {labels[text]: number}
    board.change(lambda session: session.change(limits={name: limits}))
    return about(board)


def _undone(board: Board, _: dict[str, Any]) -> Any:
    board.undo()
    return about(board)


def _saved(board: Board, _: dict[str, Any]) -> Any:
    return {"path": str(board.save())}


GET: dict[str, Callable[[Board, Query], Any]] = {
    "/api/about": lambda board, _: about(board),
    "/api/overview": lambda board, _: overview(board),
    "/api/group": lambda board, query: group(board, _text(query, "key"), _text(query, "label")),
    "/api/reasons": lambda board, query: reasons(board, _text(query, "key"), _text(query, "label")),
    "/api/users": lambda board, _: {"users": suggested(board)},
    "/api/explain": _explained,
    "/api/conflicts": lambda board, _: conflicts(board),
    "/api/compare": _compared,
    "/api/knobs": lambda board, query: {"knobs": trade_offs.knobs(board, query.get("key"), query.get("label"))},
    "/api/frontier": _swept,
    "/api/quote": quotes.quote,
    "/api/served": served,
    "/api/outlook": lambda board, _: outlook(board),
    "/api/forecast": lambda board, query: forecast(board, _text(query, "key"), _text(query, "label")),
}
POST: dict[str, Callable[[Board, dict[str, Any]], Any]] = {
    "/api/frontier": trade_offs.start,
    "/api/frontier/point": trade_offs.point,
    "/api/frontier/stop": _stopped,
    "/api/limit": _changed,
    "/api/accept": quotes.accept,
    "/api/undo": _undone,
    "/api/save": _saved,
}
EDITS = ("/api/limit", "/api/accept", "/api/undo", "/api/save")
"""What changes the board or writes a file: only with `--edit`."""
