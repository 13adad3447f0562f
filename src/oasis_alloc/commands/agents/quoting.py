"""The tool that quotes: what more impressions cost, how many there are, and who gives way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from oasis_alloc.commands.agents.answers import ROWS, most
from oasis_alloc.commands.agents.documents import CERTIFIED, OBJECTIVE, Document, certificate, listed, units
from oasis_alloc.errors import InputError

if TYPE_CHECKING:
    from oasis_alloc.commands.agents.tools import Call

_CERTIFY = 4.0  # a certified quote, with its maximum, may take so many times as long as the solve
_GAP = 1e-4
_FIELDS = ("units", "of", "items", "where", "max_price")
_IMPRESSIONS = "impressions"


def quote(
    call: Call, statement: str, certify: bool = False, gap: float | None = None, rows: int = ROWS, **fields: Any
) -> Document:
    """A quote from the solution of a statement; with `certify`, cost and maximum are proven on both sides."""
    from oasis_alloc.forecast.quote import quote as quoted
    from oasis_alloc.forecast.quote_request import QuoteRequest

    _, solution = call.statements.solve(statement, call.deadline, call.stop)
    rest = call.deadline - time.monotonic()
    if certify and _CERTIFY * solution.seconds > rest:
        raise InputError(
            f"certify: the solve took {solution.seconds:,.3g} s, and {rest:,.3g} s of this call are left, which may "
            "not suffice. Ask without certify, or start the server with a larger --seconds."
        )
    width = _GAP if gap is None else gap
    request = QuoteRequest(**{name: fields[name] for name in _FIELDS if name in fields})
    found = quoted(solution, request, certify=certify, gap=width)
    document = found.to_dict()
    if certify:
        document["max_units"] = found.maximum(width)._asdict()
    shown = most(call, rows)
    for name, unit in (("cost", OBJECTIVE), ("max_units", _IMPRESSIONS)):
        document[name]["unit"] = unit
    document["units_wanted"] = document.pop("units")
    points = document.pop("points")
    curve = [
        {
            "units": point["metrics"]["impressions"]["mid"], "price": point["price"], "relevance": point["relevance"],
            "cost": {**point["metrics"]["cost"], "unit": OBJECTIVE},
        }
        for point in points[:: max(1, -(-len(points) // shown))]
    ]  # fmt: skip
    for name in ("format", "schema", "forecast_range_unit", "seconds", "passes"):
        document.pop(name)
    for name in ("displaced", "gained", "limits"):
        document[name] = listed(document[name], shown)
    document["groups"] = {key: listed(some, shown) for key, some in document["groups"].items()}
    return {
        "certificate": certificate(solution), **document, "curve": curve, "says": _says(found.level),
        "units": units(
            *CERTIFIED, "left_out", units_now=_IMPRESSIONS, units_wanted=_IMPRESSIONS, units=_IMPRESSIONS,
            floor=_IMPRESSIONS, now=_IMPRESSIONS,
            booked=_IMPRESSIONS, most=_IMPRESSIONS, inventory_shortfall=_IMPRESSIONS, units_at_price=_IMPRESSIONS,
            price=f"{OBJECTIVE} per impression", lost="units of the column", relevance="units of the main column",
        ),
    }  # fmt: skip


def _says(level: str) -> str:
    proven = "cost.low and cost.high are proven"
    if level == "immediate":
        return f"{proven}; cost.high is null if no allocation that delivers the units is known: ask with certify."
    return f"{proven}, and so are both ends of max_units."
