"""Quotes on the board: what more impressions of a group cost, and the problem in which they are promised."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from oasis_alloc.commands.board.group import place_of
from oasis_alloc.commands.board.overview import about
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError
from oasis_alloc.forecast.quote import quote as quoted
from oasis_alloc.forecast.quote_result import Quote
from oasis_alloc.page.summary import label as as_text

_PART, _FINEST, _WIDEST = 0.05, 1e-7, 1e-4  # of its cost, that a certified quote leaves open; of the objective
_ROWS = 12  # of those who gain or lose, and of limits
_KEPT = ("level", "feasible", "units_now", "units", "floor", "cost", "price", "relevance", "max_units", "seconds")


def quote(board: Board, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A quote for `units` more of `label` of `key`, where `where_key` is `where_label`; without units, the curve.

    `certify` proves the cost by a few passes. Labels are texts. The document has the members of `Quote.to_dict`, those
    that change with the units first, and the curve only where no units are given.
    """
    begun = time.perf_counter()
    found = _quote(board, asked)
    document = found.to_dict()
    made = {name: document[name] for name in _KEPT}
    made["displaced"] = {
        key: [_shown(row) for row in document["displaced"] if row["key"] == key][:_ROWS]
        for key in dict.fromkeys([str(asked["key"]), *(row["key"] for row in document["displaced"])])
    }
    made["limits"] = [row | {"label": as_text(row["label"])} for row in document["limits"][:_ROWS]]
    if _units(asked) is None:
        made["curve"] = {
            "units": [one["metrics"]["impressions"]["low"] for one in document["points"]],
            "low": [one["metrics"]["cost"]["low"] for one in document["points"]],
            "high": [one["metrics"]["cost"]["high"] for one in document["points"]],
            "price": [one["price"] for one in document["points"]],
        }
    return made | {"answered_in": time.perf_counter() - begun}


def accept(board: Board, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Promise the units: the problem with this floor becomes the current one, solved. Needs `--edit`."""
    board.refuse_unless_editable()
    if _units(asked) is None:
        raise InputError("units is missing; expected a number of impressions to promise.")
    accepted = _quote(board, {**asked, "certify": True}).accept()
    board.change(lambda session: session.change(problem=accepted.problem))
    return about(board)


def _quote(board: Board, asked: Mapping[str, Any]) -> Quote:
    solution = board.solution
    candidates = solution.problem.candidates
    key, label = asked.get("key"), asked.get("label")
    if not isinstance(key, str) or key not in candidates.items:
        raise InputError(f"key is {shown(key)}; expected a key of the items, of which more can be shown.")
    of = {key: candidates.groups(key)[place_of(candidates, key, str(label))]}
    where = None
    if asked.get("where_key"):
        name = str(asked["where_key"])
        where = {name: candidates.groups(name)[place_of(candidates, name, str(asked.get("where_label")))]}
    certify = asked.get("certify") in (True, "1")
    with board.quoting:  # the first quote of a solution lowers its problem, for all later ones
        found = quoted(solution, of=of, where=where, units=_units(asked))
        if not certify:
            return found
        return quoted(solution, of=of, where=where, units=_units(asked), certify=True, gap=_width(found))


def _width(found: Quote) -> float:
    """The width to certify a quote to: a small part of what it costs, as a share of the objective."""
    cost = found.cost.high if math.isfinite(found.cost.high) else found.cost.low
    share = _PART * abs(cost) / max(abs(found.solution.value), 1e-300) if math.isfinite(cost) else _WIDEST
    return float(min(max(share, _FINEST), _WIDEST))


def _units(asked: Mapping[str, Any]) -> float | None:
    given = asked.get("units")
    if given in (None, ""):
        return None
    try:
        number = as_real(float(given)) if isinstance(given, str) else as_real(given)
    except ValueError:
        number = None
    if number is None:
        raise InputError(f"units is {shown(given)}; expected a number of impressions.")
    return number


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Who gives way, with its label as text; null for items without one."""
    return row | {"label": None if row["label"] is None else as_text(row["label"])}
