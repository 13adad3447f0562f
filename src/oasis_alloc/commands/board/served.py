"""Served against planned on the board: what whole slates at the plan's prices deliver, and what makes up for misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.documents import jsonable
from oasis_alloc.errors import InputError
from oasis_alloc.forecast.served import Served
from oasis_alloc.forecast.served import served as served_of
from oasis_alloc.page.summary import label as as_text

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

_ROWS = 200  # limits that are missed most
_KEY = "served"


def served(board: Board, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What serving delivers, as `oa.served` finds it: limits with what is planned, served and missed.

    With `known`, what was computed for the current answer, or no rows; `close` also tries what closes the difference,
    which solves several times. With `key` and `label`, the limits of one group alone.
    """
    made = _made(board, close=asked.get("close") in (True, "1"), known=asked.get("known") in (True, "1"))
    if made is None:
        return {"known": False}
    solution = made.solution
    problem = solution.problem
    by = {name: f.measure.by for name, f in zip(problem.names, problem.functions, strict=True)}
    key, text = asked.get("key"), asked.get("label")
    rows = [one.to_dict() | {"by": list(by[one.name]), "label": as_text(one.label)} for one in made]
    if key:
        rows = [row for row in rows if key in row["by"] and _part(row, str(key)) == text]
    margins = [
        {"name": name, "label": as_text(label), "limit": jsonable(limit)}
        for name, limits in made.margins.items()
        for label, limit in limits.items()
    ]
    return {
        "known": True, "closed": bool(made.closers) or not made.missed, "mixed_users": made.mixed_users,
        "planned": jsonable(solution.value), "served": jsonable(made.value), "gap": jsonable(solution.gap),
        "limits": len(made), "missed": len(made.missed), "worst": made.worst, "groups": rows[:_ROWS],
        "closers": [jsonable(one.to_dict()) for one in made.closers], "margins": margins[:_ROWS],
    }  # fmt: skip


def _part(row: Mapping[str, Any], key: str) -> str:
    """The label of one key of a row's group."""
    parts = row["label"].split(" · ")
    found: str = row["label"] if len(row["by"]) == 1 else parts[row["by"].index(key)]
    return found


def _made(board: Board, close: bool, known: bool) -> Served | None:
    """Serve the users of the current plan, or return what was found for it; views do not wait for it."""
    solution: Solution = board.solution
    found: Served | None = board.cache.get(_KEY)
    if known or (found is not None and (found.closers or not found.missed or not close)):
        return found
    with board.serving:
        found = served_of(solution, close=close)
    with board.lock:
        if board.solution is not solution:
            raise InputError("the problem was changed meanwhile; serve the new plan.")
        board.cache[_KEY] = found
    return found
