"""What tools answer: numbers with their units, and the certificate of the solve that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.results.groups import groups_of

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution
    from oasis_alloc.solvers.conflicts import Conflict
    from oasis_alloc.statement.measures import Measure

Document = dict[str, Any]

CERTIFIED = ("value", "bound", "gap", "violation", "passes", "seconds")
OBJECTIVE = "units of the objective"
OF_TOTAL = "the unit in `unit`"
UNITS: dict[str, str] = {
    "value": OBJECTIVE,
    "bound": OBJECTIVE,
    "gap": "share: (bound - value) / the size of the objective",
    "violation": "share: the largest miss of a limit / the limit",
    "passes": "visits of all pairs",
    "seconds": "seconds of wall time",
    "users": "users",
    "items": "items",
    "pairs": "pairs (user, item)",
    "shown": "pairs with a probability above 0",
    "left_out": "rows that are not listed",
    "amount": OBJECTIVE,
    "price": f"{OBJECTIVE} per unit of the total: what one more unit of the limit adds; a cap's >= 0, a floor's <= 0",
}
"""Units by the name of a member; where an object has a member `unit`, its totals and limits are in that."""


def units(*names: str, **more: str) -> Document:
    """The units of the members of an answer."""
    return {name: UNITS[name] for name in names} | more


def unit_of(measure: Measure) -> str:
    """The unit of the totals of a measure.

    >>> import oasis_alloc as oa
    >>> unit_of(oa.exposure(by="song")), unit_of(oa.total("streams")), unit_of(2 * oa.exposure())
    ('impressions', 'streams', '2 * exposure()')
    """
    if len(measure.terms) == 1 and measure.terms[0].coefficient == 1.0:
        return measure.terms[0].column or "impressions"
    return str(measure)


def certificate(solution: Solution) -> Document:
    """How good an answer is, with a proof: the optimum is between `value` and `bound`."""
    status, infeasible = solution.status, solution.status.name == "INFEASIBLE"
    if infeasible:
        says = "No allocation meets all limits, so there is no value."
    elif not np.isfinite(solution.value):
        says = "No allocation is known yet; none that keeps all limits has more than the bound. Ask with more time."
    elif solution.violation > FEASIBLE:
        says = f"Do not use it: it misses a limit by {solution.violation:.3g} of the limit."
    else:
        says = (
            "An allocation with this value exists, and no allocation that keeps all limits has more than the bound: a "
            f"gap of {solution.gap:.2g}."
        )
        if status.name == "RELAXED":
            says = (
                "The limits conflict. This is the best allocation among those with the smallest total relaxation, up "
                f"to a gap of {solution.gap:.2g}."
            )
    return {
        "status": status.name, "proven": status.name in ("SOLVED", "INFEASIBLE", "RELAXED"),
        **{
            name: None if infeasible and name not in ("passes", "seconds") else jsonable(float(getattr(solution, name)))
            for name in CERTIFIED
        },
        "says": says, "next": status.advice,
    }  # fmt: skip


def limits_and_prices(solution: Solution) -> list[Document]:
    """Totals, limits and prices by group, those with the largest worth of their limit first."""
    found: list[tuple[float, Document]] = []
    for at, function in enumerate(solution.problem.functions):
        groups = groups_of(solution, at)
        kind = "constraint" if groups.is_constraint else "soft" if function.in_constraints else "function"
        unit = unit_of(function.measure)
        for g, label in enumerate(groups.labels):
            lower, upper = float(groups.lower[g]), float(groups.upper[g])
            limited = np.isfinite(lower) or np.isfinite(upper)
            if kind != "function" and not limited:
                continue
            limit = max((abs(one) for one in (lower, upper) if np.isfinite(one)), default=1.0)
            row = {
                "name": groups.name, "kind": kind, "by": list(groups.by), "label": jsonable(label), "lower": lower,
                "upper": upper, "total": float(groups.total[g]), "price": float(groups.price[g]), "unit": unit,
            }  # fmt: skip
            found.append((abs(float(groups.price[g])) * max(limit, 1.0), jsonable(row)))
    found.sort(key=lambda one: -one[0])
    return [row for _, row in found]


def listed(rows: Sequence[Document], most: int) -> Document:
    """The first rows, and how many are left out."""
    return {"rows": list(rows[:most]), "left_out": max(0, len(rows) - most)}


def conflict_documents(solution: Solution) -> list[Document]:
    """Conflicts, each with the limit at which it would be resolved, and a sentence."""
    of = {name: unit_of(function.measure) for name, function in _named(solution)}
    return [_conflict(one, of.get(one.constraint, "units of the limit")) for one in solution.conflicts]


def _conflict(one: Conflict, unit: str) -> Document:
    sign = -1.0 if one.sense == ">=" or (one.sense == "==" and one.reached < one.limit) else 1.0
    return one.to_dict() | {
        "relaxed_limit": jsonable(one.limit + sign * one.give), "unit": unit, "sentence": str(one),
    }  # fmt: skip


def _named(solution: Solution) -> Sequence[tuple[str, Any]]:
    return list(zip(solution.problem.names, solution.problem.functions, strict=True))
