"""Frontiers on the board: a sweep of one weight or limit in the background, and single points in between."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.commands.board.group import place_of
from oasis_alloc.commands.board.group_limit import GroupLimit, group_limit
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError
from oasis_alloc.results.answer import supply_weighted
from oasis_alloc.results.sweep import SweepParameter, constraint_of, parts_without_weights, varied
from oasis_alloc.session import Session

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

_MAX_POINTS = 60
_NUMBERS = ("value", "bound", "gap", "violation")


@dataclass(eq=False)
class Sweep:
    """A frontier that is being computed, point by point, in its own session."""

    board: Board
    vary: str
    scale: bool
    points: list[float]
    knob: SweepParameter
    rows: list[dict[str, Any]] = field(default_factory=list)
    solutions: list[Solution | None] = field(default_factory=list)
    running: bool = True
    stopped: bool = False
    error: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Solve every point, from the prices of the one before."""
        try:
            self.session = Session(self.knob.problem)
            start = self.board.current.solution
            for point in self.points:
                if self.stopped:
                    break
                self.solve(point, start if self.session.solution is None else None)
        except OasisAllocError as error:
            self.error = str(error)
        except Exception as error:  # a thread has nobody to raise to: the page says it
            self.error = f"internal error: {type(error).__name__}: {error}"
        finally:
            self.running = False

    def solve(self, point: float, start: Solution | None = None) -> dict[str, Any]:
        """Solve one point and keep its row; raises `ProblemError` for a point without a valid problem."""
        with self.lock:  # not the board's: other views are shown meanwhile
            try:
                self.session.change(problem=self.knob.at(point))
            except ProblemError:
                if not isinstance(self.knob, GroupLimit):
                    raise
                return self._keep(_without_plan(point), None)
            options = {k: v for k, v in self.board.current.options.items() if k not in ("start", "on_conflict")}
            solution = self.session.solve(start=start, progress=lambda _: self.stopped, **options)
            return self._keep(self._row(point, solution), solution)

    def _keep(self, row: dict[str, Any], solution: Solution | None) -> dict[str, Any]:
        self.rows.append(row)
        self.solutions.append(solution)
        return row

    def _row(self, point: float, solution: Solution) -> dict[str, Any]:
        none = solution.status.name == "INFEASIBLE"
        row: dict[str, Any] = {"point": point, "status": solution.status.name}
        row |= {name: None if none else jsonable(float(getattr(solution, name))) for name in _NUMBERS}
        row["price"] = None if none else jsonable(self.knob.slope(solution))
        row["parts"] = {name: jsonable(part) for name, part in parts_without_weights(self.knob.problem, solution)}
        return row

    def document(self, key: str | None, label: str | None) -> dict[str, Any]:
        """The rows by point; with a group, also what it gets at each."""
        running = self.running  # before the rows: a document that says it has ended has all of them
        rows = [dict(row) for row in self.rows]
        if key and label:
            for row, solution in zip(rows, self.solutions, strict=False):
                row["focus"] = _delivered(solution, key, label)
        rows.sort(key=lambda row: row["point"])
        return {
            "vary": self.vary, "scale": self.scale, "words": self.knob.words, "stated": jsonable(self.knob.stated),
            "points": len(self.points), "rows": rows, "running": running, "error": self.error,
        }  # fmt: skip


def knobs(board: Board, key: str | None = None, label: str | None = None) -> list[dict[str, Any]]:
    """Everything that can be varied, with a range to start from: weights of the objective, and limits.

    With a group, also its own limits in constraints by its key alone.
    """
    problem = board.solution.problem
    found: list[dict[str, Any] | None] = []
    linear = problem.maximize.linear
    terms = () if linear is None else linear.terms
    if len(terms) + len(problem.maximize.functions) > 1:  # the weight of the only term changes nothing
        found += [_knob(problem, str(term), False, "weight") for term in terms]
        found += [_knob(problem, name, False, "weight") for name in problem.names[len(problem.subject_to) :]]
    for name, function in zip(problem.names, problem.subject_to, strict=False):
        band = constraint_of(function)
        if band is not None:
            found.append(_knob(problem, name, not isinstance(band.limit, float), "limit"))
    if key and label:
        found += [_of_group(problem, name, label) for name in problem.names if _by(problem, name) == (key,)]
    return [one for one in found if one is not None]


def _by(problem: Problem, name: str) -> tuple[str, ...]:
    return tuple(problem.functions[problem.names.index(name)].measure.by)


def _of_group(problem: Problem, name: str, label: str) -> dict[str, Any] | None:
    """The limit of one group, from nothing to twice what is stated."""
    try:
        stated = group_limit(problem, name, label).stated
    except InputError:
        return None
    if not np.isfinite(stated):
        return None
    low, high = (0.0, 2.0 * stated) if stated > 0 else (stated, stated + max(1.0, abs(stated)))
    return {
        "vary": name, "scale": False, "kind": "limit", "group": label, "stated": stated, "low": low, "high": high,
    }  # fmt: skip


def _knob(problem: Problem, name: str, scale: bool, kind: str) -> dict[str, Any] | None:
    knob = _varied(problem, name, scale) or _varied(problem, name, not scale)
    if knob is None:
        return None
    stated, scale = knob.stated, knob.scale
    size = abs(stated) or 1.0
    low, high = (0.0, 2.0 * stated) if kind == "weight" else (stated - 0.25 * size, stated + 0.25 * size)
    if low == high:
        low, high = 0.0, 1.0
    low, high = min(low, high), max(low, high)
    try:
        knob.at(low)
    except ProblemError:  # a negative cap
        low = stated
    return {"vary": name, "scale": scale, "kind": kind, "stated": stated, "low": low, "high": high}


def _varied(problem: Problem, name: str, scale: bool) -> SweepParameter | None:
    """None where a weight or limit of 0 has no factor, or limits by group are not one number."""
    try:
        return varied(problem, name, scale)
    except ProblemError:
        return None


def _without_plan(point: float) -> dict[str, Any]:
    """The row of a limit that cannot be stated, such as a floor above its cap: no plan keeps it either."""
    return {"point": point, "status": "INFEASIBLE", **dict.fromkeys((*_NUMBERS, "price")), "parts": {}}


def start(board: Board, body: dict[str, Any]) -> dict[str, Any]:
    """Begin a sweep and return its number; the points are checked before the first solve."""
    vary, scale = body.get("vary"), body.get("scale", False)
    low, high, count = as_real(body.get("low")), as_real(body.get("high")), as_whole(body.get("count", 9))
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)) or low >= high:
        raise InputError(
            f"from {shown(body.get('low'))} to {shown(body.get('high'))}: expected two numbers, ascending."
        )
    if count is None or not 2 <= count <= _MAX_POINTS:
        raise InputError(f"{shown(body.get('count'))} points: expected a whole number from 2 to {_MAX_POINTS}.")
    if not isinstance(vary, str) or not isinstance(scale, bool):
        raise InputError(f"vary is {shown(vary)}; expected the name of a weight or of a limit.")
    group, problem = body.get("group"), board.solution.problem
    knob = varied(problem, vary, scale) if group is None else group_limit(problem, vary, str(group))
    points = np.linspace(low, high, count).tolist()
    _check(knob, points)
    name = vary if group is None else f"{vary}, {group}"
    sweep = Sweep(board, name, scale, points, knob)
    with board.lock:
        for other in board.extras.get("sweeps", {}).values():
            other.stopped = True
        number = 1 + max(board.extras.setdefault("sweeps", {}), default=0)
        board.extras["sweeps"] = {number: sweep}  # an earlier one is of no more use
    threading.Thread(target=sweep.run, name="oasis-alloc board: frontier", daemon=True).start()
    return {"id": number}


def _check(knob: SweepParameter, points: list[float]) -> None:
    """Raise `ProblemError` for a point without a valid problem; of one group's limit, only where all points are."""
    errors = []
    for point in points:
        try:
            knob.at(point)
        except ProblemError as error:
            errors.append(error)
    if errors and (len(errors) == len(points) or not isinstance(knob, GroupLimit)):
        raise errors[0]


def sweep_of(board: Board, number: object) -> Sweep:
    """The sweep with this number."""
    found = board.extras.get("sweeps", {}).get(as_whole(number))
    if not isinstance(found, Sweep):
        raise InputError(f"there is no frontier {shown(number)} any more; compute it again.")
    return found


def point(board: Board, body: dict[str, Any]) -> dict[str, Any]:
    """Solve one more point of a finished sweep, from the last answer."""
    sweep, at = sweep_of(board, body.get("id")), as_real(body.get("point"))
    if at is None or not np.isfinite(at):
        raise InputError(f"point is {shown(body.get('point'))}; expected a number.")
    if sweep.running:
        raise InputError("the frontier is still being computed; wait until it is complete.")
    for row in sweep.rows:
        if row["point"] == at:
            return row
    return sweep.solve(at)


def _delivered(solution: Solution | None, key: str, label: str) -> float | None:
    """What a group is shown in a solution; None where there is no allocation."""
    if solution is None or solution.status.name == "INFEASIBLE":
        return None
    candidates = solution.problem.candidates
    at = place_of(candidates, key, label)
    return float(candidates.grouping(key).totals(candidates, solution.pairs, supply_weighted(solution))[at])
