"""What conflicts and what it takes to resolve it; and, where nothing conflicts, which limits bind."""

from __future__ import annotations

from typing import Any

from oasis_alloc.commands.board.state import Board
from oasis_alloc.page.summary import label


def conflicts(board: Board) -> dict[str, Any]:
    """Conflicting limits, the smallest relaxation that resolves them, and what the relaxed problem gives.

    A saved solution has the conflicts that were saved with it.
    """
    source = board.current
    document = source.document or {}
    stated = source.stated
    listed = [one.to_dict() for one in stated.conflicts] if stated is not None else document.get("conflicts", [])
    rows = [one | {"label": label(one["label"]), "by": _by(board, one["constraint"])} for one in listed]
    missed = [one for one in rows if one["give"] > 0]
    relaxed = None
    if missed and source.solution is not None:
        at = source.solution
        relaxed = {"value": at.value, "gap": at.gap, "missed": len(missed)}
    return {
        "status": document.get("status") if stated is None else stated.status.name,
        "conflicts": rows,
        "relaxed": relaxed,
        "remedies": [_remedy(one) for one in missed],
    }


def _remedy(one: dict[str, Any]) -> dict[str, Any]:
    """The limit that resolves this part of the conflict, if all other remedies are taken too."""
    sense, limit = one["sense"], one["limit"]
    to = limit + one["give"] if sense == "<=" or (sense == "==" and one["reached"] > limit) else limit - one["give"]
    where = one["constraint"] if one["label"] == "all" else f"{one['constraint']}, {one['label']}"
    return {
        "constraint": one["constraint"], "label": one["label"], "by": one["by"], "now": limit, "to": to,
        "sense": sense, "give": one["give"],
        "sentence": f"Change the limit of {where} from {limit:,.6g} to {to:,.6g}.",
    }  # fmt: skip


def _by(board: Board, name: str) -> list[str]:
    solution = board.current.solution
    if solution is None or name not in solution.problem.names:
        return []
    return list(solution.problem.functions[solution.problem.names.index(name)].measure.by)
