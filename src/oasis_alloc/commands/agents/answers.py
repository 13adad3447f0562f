"""Tools that answer from one statement: check, solve, explain and conflicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.commands.agents.documents import (
    CERTIFIED,
    OF_TOTAL,
    UNITS,
    Document,
    certificate,
    conflict_documents,
    limits_and_prices,
    listed,
    units,
)
from oasis_alloc.commands.agents.reading import is_job
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import same
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import InputError
from oasis_alloc.serving.batch.own_requests import columns_of_requests, user_of_request

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.commands.agents.tools import Call
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

ROWS = 50
_LONGEST = 20_000  # characters of a problem as text
_WRITTEN = ("solution", "report.html", "allocation.parquet", "allocation.csv")
_SCORE_UNITS = {
    "place": "place in the slate, from 1",
    "organic": "units of the column in `organic_column`",
    "score": UNITS["value"],
    "amount": UNITS["value"],
    "threshold": UNITS["value"],
    "margin": UNITS["value"],
    "decrement": UNITS["value"],
    "price": UNITS["price"],
    "use": "what one showing adds to the total of the group",
    "probability": "probability that the allocation shows the item to this user",
}


def check(call: Call, statement: str, rows: int = ROWS) -> Document:
    """Read, state and check; nothing is solved."""
    statements = call.statements
    path = statements.path(statement)
    findings: list[Document] | None = None
    if is_job(statements.stated(path)):
        from oasis_alloc.publish.jobs.run import check_job

        result = check_job(statements.job(path))
        if result.status == "bad input":
            raise InputError(result.message)
        findings = list(result.steps["checks"].get("findings", ()))
    problem = statements.read(statement).statement.problem
    candidates = problem.candidates
    out: Document = {
        "statement": str(problem)[:_LONGEST],
        "sizes": {"users": candidates.n_users, "items": candidates.n_items, "pairs": candidates.n_pairs},
        "columns": [_column(name, np.asarray(values)) for name, values in candidates.columns.items()],
        "keys": listed(_keys(candidates), most(call, rows)),
        "constraints": listed(_constraints(problem), most(call, rows)),
        "units": units(
            "users", "items", "pairs", "left_out", min="units of the column", mean="units of the column",
            max="units of the column", groups="groups", without="users or items without a label",
        ),
    }  # fmt: skip
    if findings is not None:
        out |= {"checks": findings, "passed": all(one["passed"] for one in findings)}
        out["units"] |= {"value": "as docs/jobs.md says for the check", "limit": "as docs/jobs.md says for the check"}
    return out


def solve(
    call: Call, statement: str, gap: float | None = None, rows: int = ROWS, name: str | None = None,
    label: str | int | None = None, out: str | None = None,
) -> Document:  # fmt: skip
    """Solve, and write the answer where `out` is given."""
    target = None if out is None else _folder_for(call, out)
    _, solution = call.statements.solve(statement, call.deadline, call.stop, gap=gap)
    answer: Document = {
        "certificate": certificate(solution),
        "units": units(
            *CERTIFIED, "amount", "price", "shown", "left_out", lower=OF_TOTAL, upper=OF_TOTAL, total=OF_TOTAL
        ),
    }
    if solution.status.name == "INFEASIBLE":
        return answer | {
            "conflicts": listed(conflict_documents(solution), most(call, rows)),
            "units": units(
                *CERTIFIED, "left_out", limit=OF_TOTAL, reached=OF_TOTAL, give=OF_TOTAL, relaxed_limit=OF_TOTAL
            ),
            "next": "call conflicts for the cheapest remedy",
        }
    if name is not None and name not in (known := list(solution.problem.names)):
        raise InputError(f"name: there is no constraint or function {name!r}.{did_you_mean(name, known)}")
    chosen = [row for row in limits_and_prices(solution) if _is_of(row, name, label)]
    answer |= {
        "objective": [{"part": part, "amount": jsonable(amount)} for part, amount in solution.parts.items()],
        "shown": int(solution.pairs.size),
        "groups": listed(chosen, most(call, rows)),
    }
    if target is not None:
        answer["written"] = _write(call, solution, target)
    return answer


def explain(
    call: Call, statement: str, user: str | int, items: list[str | int] | None = None, rows: int = ROWS
) -> Document:
    """The slate of a user and the reasons for it."""
    known, solution = call.statements.solve(statement, call.deadline, call.stop)
    candidates = solution.problem.candidates
    policy = known.policy_of(solution)
    u = _number(candidates.user_ids, candidates.n_users, user, "user")
    mine = slice(int(candidates.indptr[u]), int(candidates.indptr[u + 1]))
    numbers = candidates.item[mine]
    columns = columns_of_requests(solution.problem, policy.data.columns, mine)
    labels = {name: key.labels.tolist()[key.codes[u]] for name, key in candidates.users.items() if key.codes[u] >= 0}
    why = policy.explain(numbers, columns, user=user_of_request(policy.data, candidates, u))
    shown_with = solution.allocation[mine]
    listed_items = why.slate
    if items is None:
        others = sorted((one for one in why if one.rank is None), key=lambda one: -one.marginal)
        chosen = [*listed_items, *others]
    else:
        wanted = [_number(candidates.item_ids, candidates.n_items, one, "item") for one in items]
        place = {int(number): k for k, number in enumerate(numbers)}
        for number, one in zip(wanted, items, strict=True):
            if number not in place:
                raise InputError(f"items: {one!r} is not a candidate of user {user!r}.")
        chosen = [why[place[number]] for number in wanted]
    reasons = [
        {
            "item": jsonable(one.item), "place": None if one.rank is None else one.rank + 1,
            "probability": float(shown_with[one.position]), "organic": one.organic, "score": one.score,
            "decrement": one.decrement, "threshold": jsonable(one.threshold), "margin": jsonable(one.margin),
            "rule": one.rule, "rival": jsonable(one.rival_item), "sentence": one.sentence,
            "parts": [jsonable(part) for part in one.parts if part.amount],
        }
        for one in chosen
    ]  # fmt: skip
    return {
        "certificate": certificate(solution),
        "user": jsonable(user),
        "labels": jsonable(labels),
        "organic_column": why.organic,
        "slate": [jsonable(one.item) for one in listed_items],
        "reasons": listed(reasons, most(call, rows)),
        "units": units(*CERTIFIED, "left_out", **_SCORE_UNITS),
    }


def conflicts(call: Call, statement: str, weights: dict[str, float] | None = None) -> Document:
    """What conflicts, and the cheapest relaxation."""
    known, solution = call.statements.solve(statement, call.deadline, call.stop, on_conflict="infeasible")
    problem = known.statement.problem
    for name in weights or {}:
        if name not in problem.names:
            raise InputError(f"weights: there is no constraint {name!r}.{did_you_mean(name, list(problem.names))}")
    answer: Document = {
        "certificate": certificate(solution),
        "conflicts": conflict_documents(solution),
        "remedy": None,
        "units": units(*CERTIFIED, limit=OF_TOTAL, reached=OF_TOTAL, give=OF_TOTAL, relaxed_limit=OF_TOTAL),
    }
    if solution.status.name != "INFEASIBLE":
        return answer | {"says": "All limits can be met together."}
    own = known.statement.solve.get("relax_weights")
    _, relaxed = call.statements.solve(
        statement, call.deadline, call.stop, on_conflict="relax", relax_weights=weights or own
    )
    given = [one for one in conflict_documents(relaxed) if one["give"]]
    answer["remedy"] = {
        "certificate": certificate(relaxed),
        "relax": given,
        "says": "Change these limits to relaxed_limit. Together they are the smallest relaxation; each missed unit of "
        "a constraint counts with its weight.",
    }
    return answer


def most(call: Call, rows: int) -> int:
    if rows < 1:
        raise InputError(f"rows is {rows}; expected 1 or more.")
    return min(rows, call.limits.rows)


def _column(name: str, values: Any) -> Document:
    some = values.size > 0
    numbers = {"min": values.min(), "mean": values.mean(dtype=np.float64), "max": values.max()} if some else {}
    return {"column": name, **jsonable(numbers)}


def _keys(candidates: Candidates) -> list[Document]:
    out = []
    for side, keys in (("users", candidates.users), ("items", candidates.items)):
        for name in keys:
            try:
                key = keys[name]
                indptr, _ = key.membership()
                without = int((np.diff(indptr) == 0).sum())
                labels = [jsonable(label) for label in key.labels.tolist()[:10]]
            except InputError:  # a column that cannot be a key
                continue
            out.append({"key": name, "of": side, "groups": len(key.labels), "first": labels, "without": without})
    return out


def _constraints(problem: Problem) -> list[Document]:
    return [
        {"name": name, "text": str(function), "groups": len(problem.labels(name))}
        for name, function in zip(problem.names, problem.functions, strict=True)
    ]


def _is_of(row: Document, name: str | None, label: str | int | None) -> bool:
    """Whether a group is of a constraint, and has a label among its labels; None is any."""
    labels = row["label"] if isinstance(row["label"], list) else [row["label"]]
    return (name is None or row["name"] == name) and (label is None or str(label) in map(str, labels))


def _number(ids: Any, count: int, given: str | int, side: str) -> int:
    """The number of a user or item by its id, also where the id is of another type and is spelled the same."""
    known: list[Any] = list(range(count)) if ids is None else [same(one) for one in ids.tolist()]
    if given in known:
        return known.index(given)
    spelled = [str(one) for one in known]
    if str(given) in spelled:
        return spelled.index(str(given))
    raise InputError(f"there is no {side} {given!r}.{did_you_mean(given, known)}")


def _folder_for(call: Call, out: str) -> Path:
    """A folder for an answer: a new one, or one that has nothing else; so no table is ever replaced."""
    room = call.statements.room
    path = room.path(out)
    if path == room.folder or (path.exists() and not path.is_dir()):
        raise InputError(f"out: {out!r} is not a new folder; expected a name such as 'answers/monday'.")
    others = sorted(one.name for one in path.iterdir() if one.name not in _WRITTEN) if path.is_dir() else []
    if others:
        raise InputError(f"out: {out!r} has other files, such as {others[0]!r}; choose a new folder.")
    for name in _WRITTEN:
        room.path(f"{out}/{name}")  # no link
    return path


def _write(call: Call, solution: Solution, target: Path) -> list[str]:
    from oasis_alloc.commands.run import is_sound
    from oasis_alloc.page.page import page
    from oasis_alloc.problem_file.output import write_allocation, write_text

    problem = solution.problem
    try:
        target.mkdir(parents=True, exist_ok=True)
        solution.save(target / "solution")
        write_text(target / "report.html", page(problem, solution, target.name, "relevance"))
        if is_sound(solution):
            write_allocation(problem.candidates, solution.pairs, solution.x, target, None)
    except OSError as error:
        raise InputError(f"out: {target.name} cannot be written: {error.strerror or error}.") from error
    return [call.statements.room.relative(path) for path in sorted(target.iterdir())]
