"""Tools that solve more than once: compare two statements, and sweep a limit or a weight."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from oasis_alloc.commands.agents.answers import ROWS, most
from oasis_alloc.commands.agents.documents import (
    CERTIFIED,
    OBJECTIVE,
    OF_TOTAL,
    Document,
    certificate,
    listed,
    unit_of,
    units,
)
from oasis_alloc.common.documents import jsonable
from oasis_alloc.errors import InputError

if TYPE_CHECKING:
    from oasis_alloc.commands.agents.tools import Call
    from oasis_alloc.compare import Difference
    from oasis_alloc.solution import Solution

_SWEPT = ("solver", "gap", "pass_limit", "threads", "start", "on_conflict")


def compare(call: Call, before: str, after: str, by: str | None = None, rows: int = ROWS) -> Document:
    """What changed from one statement to the other."""
    from oasis_alloc.compare import compare as compared

    first = call.statements.solve(before, call.deadline, call.stop)[1]
    second = call.statements.solve(after, call.deadline, call.stop)[1]
    for name, one in ((before, first), (after, second)):
        if one.status.name == "INFEASIBLE":
            raise InputError(f"{name}: its limits conflict, so there is nothing to compare; call conflicts first.")
    both = compared(first, second)
    of = _units_by_name(first) | _units_by_name(second)
    answer = {
        "before": certificate(first),
        "after": certificate(second),
        "value_change": jsonable(second.value - first.value),
        "churn": jsonable(both.churn),
        "totals": listed([_moved(one, of) for one in _sorted(both.totals)], most(call, rows)),
        "prices": listed([_moved(one, of) for one in _sorted(both.prices)], most(call, rows)),
        "units": units(
            *CERTIFIED, "left_out", value_change=OBJECTIVE, churn="share of the slots of `after` that are new",
            before=OF_TOTAL, after=OF_TOTAL, change=OF_TOTAL,
        ),
        "price_unit": units("price")["price"],
    }  # fmt: skip
    if by is not None:
        shares = both.churn_by(by)
        answer["churn_by"] = [{"label": jsonable(label), "churn": jsonable(share)} for label, share in shares.items()]
    return answer


def sweep(
    call: Call, statement: str, vary: str, points: list[float], scale: bool = False, gap: float | None = None
) -> Document:
    """One row per point, each with its certificate."""
    from oasis_alloc.frontier import frontier

    if not 0 < len(points) <= call.limits.points:
        raise InputError(f"points has {len(points):,} numbers; expected 1 to {call.limits.points:,}.")
    known = call.statements.read(statement)
    options: dict[str, Any] = {name: value for name, value in known.statement.solve.items() if name in _SWEPT}
    if gap is not None:
        options["gap"] = gap
    each = max((call.deadline - time.monotonic()) / len(points), 0.1)

    def late(_point: float, _solution: Solution) -> bool:
        return call.stop() or time.monotonic() >= call.deadline

    curve = frontier(
        known.statement.problem, vary=vary, points=points, scale=scale, progress=late, time_limit=each, **options
    )
    own = set(curve.columns) - {"point", "status", *CERTIFIED, "price"}
    parts = [name for name in curve.columns if name in own]
    rows = []
    for k, (point, solution) in enumerate(zip(curve.points, curve.solutions, strict=True)):
        row = {"point": point, "certificate": certificate(solution)}
        if "price" in curve.columns:
            row["price"] = jsonable(float(curve.column("price")[k]))
        row["parts"] = [{"part": name, "total": jsonable(float(curve.column(name)[k])), "unit": name} for name in parts]
        rows.append(row)
    return {
        "vary": vary,
        "rows": rows,
        "points_left_out": len(points) - len(rows),
        "units": units(
            *CERTIFIED, point="factor of what is stated" if scale else f"the unit of {vary}", total=OF_TOTAL,
            price=f"{OBJECTIVE} per unit of the point", points_left_out="points that the time did not suffice for",
        ),
    }  # fmt: skip


def _units_by_name(solution: Solution) -> dict[str, str]:
    problem = solution.problem
    return {name: unit_of(function.measure) for name, function in zip(problem.names, problem.functions, strict=True)}


def _sorted(found: list[Difference]) -> list[Difference]:
    """Those that changed, the largest changes first; groups that one of the two does not have come last."""
    moved = [one for one in found if one.change != 0]
    return sorted(moved, key=lambda one: (one.change != one.change, -abs(one.change)))


def _moved(one: Difference, of: dict[str, str]) -> Document:
    numbers = {"before": one.before, "after": one.after, "change": one.change}
    return {"name": one.name, "label": jsonable(one.label), **jsonable(numbers), "unit": of[one.name]}
