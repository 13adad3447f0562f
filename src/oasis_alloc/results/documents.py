"""Answers as plain documents: dicts of texts, numbers, lists and None, which `json.dumps` accepts.

`docs/json.md` lists the members. Numbers that JSON cannot represent (NaN, infinity) are None. Labels are texts, numbers
or booleans; dates are ISO 8601 texts, and a label of several keys is a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oasis_alloc.common.documents import jsonable
from oasis_alloc.results.groups import Groups, groups_of
from oasis_alloc.results.price_list import SIGNS

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer

SCHEMA = 1


def document_of(answer: Answer) -> dict[str, Any]:
    """See `Solution.to_dict`."""
    problem, has_answer = answer.problem, answer.status.name != "INFEASIBLE"
    return {
        "format": "oasis_alloc.solution",
        "schema": SCHEMA,
        "status": answer.status.name,
        "advice": answer.status.advice,
        **{
            name: jsonable(float(getattr(answer, name)))
            for name in ("value", "bound", "gap", "violation", "passes", "seconds")
        },
        "solver": answer.solver,
        "statement": str(problem),
        "users": problem.candidates.n_users,
        "items": problem.candidates.n_items,
        "pairs": problem.candidates.n_pairs,
        "excluded": list(answer.excluded),
        "shown": int(answer.pairs.size),
        "parts": jsonable(answer.parts) if has_answer else {},
        "signs": SIGNS,
        "groups": [group for at in range(len(problem.names)) for group in _documents(groups_of(answer, at))],
        "conflicts": [conflict.to_dict() for conflict in answer.conflicts],
    }


def _documents(groups: Groups) -> list[dict[str, Any]]:
    """Every group of a constraint or function with its limits, total and price."""
    kind = "constraint" if groups.is_constraint else "function"
    numbers = {name: getattr(groups, name).tolist() for name in ("lower", "upper", "total", "price")}
    return [
        {"name": groups.name, "kind": kind, "label": jsonable(label)}
        | {name: jsonable(array[g]) for name, array in numbers.items()}
        for g, label in enumerate(groups.labels)
    ]
