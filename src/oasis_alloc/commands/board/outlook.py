"""The outlook on the board: what a ledger has counted, and what every group will come to by the end of the flight."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oasis_alloc.commands.board.group import place_of
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import label as as_text

if TYPE_CHECKING:
    from oasis_alloc.pacing.goal import Goal
    from oasis_alloc.pacing.ledger import Ledger
    from oasis_alloc.solution import Solution

_FRESH = 60.0  # seconds for which a forecast is kept


@dataclass(frozen=True)
class Flight:
    """A ledger and the flight that the limits are for; times in UNIX seconds, `now` None for the clock."""

    store: str
    by: tuple[str, ...]
    start: float
    end: float
    now: float | None = None

    @classmethod
    def of(cls, store: str, by: str, start: str | None, end: str | None, now: str | None) -> Flight:
        """From options of the command line; raises `InputError` for a missing ledger, and times that cannot be."""
        if start is None or end is None:
            raise InputError(f"--ledger {store}: give the flight, too: --start 2026-12-01 --end 2027-01-01.")
        flight = cls(
            store, tuple(part.strip() for part in by.split(",")), _moment(start, "--start"), _moment(end, "--end"),
            None if now is None else _moment(now, "--now"),
        )  # fmt: skip
        if flight.start >= flight.end:
            raise InputError(f"--end {end}: expected a time after --start {start}.")
        with flight.opened():  # a ledger that cannot be read is known before a long solve
            return flight

    def opened(self) -> Ledger:
        """The ledger, opened; a file has to exist."""
        from oasis_alloc.pacing.ledger import Ledger

        if "://" not in self.store and not Path(self.store).is_file():
            raise InputError(f"--ledger {self.store}: there is no such ledger.")
        return Ledger(self.store, by=self.by[0] if len(self.by) == 1 else self.by)


def outlook(board: Board) -> dict[str, Any]:
    """The outlook of every group with a limit that the ledger counts; no flight, no rows."""
    from oasis_alloc.pacing.ledger_outlook import outlook as outlook_of
    from oasis_alloc.pacing.plan import Plan

    flight: Flight | None = board.extras.get("flight")
    if flight is None:
        return {"flight": None, "rows": []}
    goals = board.cached("goals", lambda: goals_of(board.solution, flight))
    with flight.opened() as ledger:
        now = ledger.now() if flight.now is None else flight.now
        found = outlook_of(Plan.of_goals(goals), ledger, now=now)
    rows = [
        one.to_dict() | {"label": as_text(one.label), "floor": _finite(goal.floor), "cap": _finite(goal.cap)}
        for one, goal in zip(found, goals, strict=True)
    ]
    at = {"start": flight.start, "end": flight.end, "now": now, "by": list(flight.by), "store": flight.store}
    return {"flight": at | {"read": time.time()}, "rows": rows}


def forecast(board: Board, key: str, label: str) -> dict[str, Any]:
    """The forecast of one group, as `oa.forecast` makes it of the whole plan; made again when a minute has passed."""
    from oasis_alloc.forecast.forecast import forecast as forecast_of

    flight: Flight | None = board.extras.get("flight")
    if flight is None or flight.by != (key,):
        raise InputError(f"there is no ledger of deliveries by {key}; start the board with --ledger.")
    problem = board.solution.problem
    if any(f.measure.constants for f in problem.functions if f.in_constraints):
        raise InputError(
            "this problem has only what remains of the flight (delivered_so_far), and a forecast needs the plan of the "
            "whole flight; state the problem without what was delivered."
        )
    place = place_of(problem.candidates, key, label)
    with flight.opened() as ledger:
        now = ledger.now() if flight.now is None else flight.now

        def made() -> Any:
            return forecast_of(
                board.solution, None, ledger, start=flight.start, end=flight.end, now=now, by=key, others="ignore"
            )

        found = board.cached(("forecast", int(now // _FRESH)), made)
    document: dict[str, Any] = found[problem.candidates.groups(key)[place]].to_dict()
    points = document.pop("points")
    return document | {
        "label": label, "start": flight.start, "now": now, "end": flight.end,
        "points": [{"end": one["end"], **one["metrics"]["impressions"]} for one in points],
    }  # fmt: skip


def goals_of(solution: Solution, flight: Flight) -> list[Goal]:
    """The limits of the solution that the ledger counts, for the whole flight.

    What the problem takes as delivered (`delivered_so_far`) is added to its limits, which are those of what is left.
    """
    from oasis_alloc.pacing.plan import Plan

    before: dict[Any, float] = {}
    for function in solution.problem.functions:
        measure = function.measure
        if function.in_constraints and measure.constants:
            labels = solution.problem.candidates.groups(measure.by or None)
            terms = tuple((term.column, term.by, float(term.coefficient)) for term in measure.terms)
            before |= {(terms, one): amount for one, amount in zip(labels, measure.constant(labels), strict=True)}
    counted = [
        goal
        for goal in Plan.of(solution, flight.start, flight.end).goals
        if goal.by == flight.by and not goal.per_request and goal.terms[0][0] is None
    ]
    if not counted:
        raise InputError(
            f"the problem has no limits on exposure by {', '.join(flight.by)}, which is what the ledger counts; "
            "give --ledger-by the keys of a limit."
        )
    out = []
    for goal in counted:
        earlier = float(before.get((goal.terms, goal.label), 0.0))
        out.append(replace(goal, floor=goal.floor + earlier, cap=goal.cap + earlier))
    return out


def _moment(text: str, option: str) -> float:
    import datetime as dt

    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {shown(text)}: expected a date or time such as 2026-12-01T00:00Z.") from None
    return (found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found).timestamp()


def _finite(number: float) -> float | None:
    return number if abs(number) < 1e20 else None
