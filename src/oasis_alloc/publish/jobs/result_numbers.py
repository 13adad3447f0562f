"""The numbers of a solution that gates need, as JSON: a run that is continued reads them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem_file.earlier import churn_of, saved_allocation
from oasis_alloc.publish.jobs.promises import floors_of
from oasis_alloc.results.organic import best_pairs
from oasis_alloc.signals.uncertainty.hold import KEPT
from oasis_alloc.statement.functions.soft import Soft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oasis_alloc.candidates import Candidates
    from oasis_alloc.signals.uncertainty.solve import UncertainSolution
    from oasis_alloc.solution import Solution

_WORST = 0.05  # share of users
_AT = 1e-9  # relative distance at which a price is at its bound


def numbers_of(solution: Solution, gates: Mapping[str, Any], last: Path | None) -> dict[str, Any]:
    """Certificate, churn against a saved solution, kept relevance, planned against promised, prices at bounds."""
    out: dict[str, Any] = {
        "status": solution.status.name, "advice": solution.status.advice, "value": solution.value,
        "bound": solution.bound, "gap": solution.gap, "violation": solution.violation, "passes": solution.passes,
        "solver": solution.solver,
    }  # fmt: skip
    if solution.conflicts:
        out["conflicts"] = [conflict.to_dict() for conflict in solution.conflicts]
    if solution.status.name != "INFEASIBLE":
        candidates = solution.problem.candidates
        earlier = None if last is None else saved_allocation(last, candidates)
        out["churn"] = None if earlier is None else churn_of(earlier, candidates, solution.pairs, solution.x)
        out["promised"] = _promised(solution)
        out["prices_at_bounds"] = _at_bounds(solution)
        if "relevance" in gates:
            out["relevance"] = kept(solution, gates["relevance"])
    return dict(jsonable(out))


def numbers_of_risk(answer: UncertainSolution) -> dict[str, Any]:
    """The proof of an answer by risk, in place of that of its solution; floors that are not held are a violation."""
    names = ("value", "bound", "gap", "mean", "deviation", "solves", "missed")
    out = {name: getattr(answer, name) for name in names} | {"risk": repr(answer.risk)}
    if answer.missed > KEPT:
        out["violation"] = max(answer.solution.violation, answer.missed)
    return dict(jsonable(out))


def kept(solution: Solution, gate: Mapping[str, Any]) -> dict[str, Any]:
    """Shares of each user's best sum of a column that the solution keeps: mean, worst 5 %, and by a key of users."""
    candidates, slate = solution.problem.candidates, solution.problem.slate
    column = check_relevance(candidates, gate)
    values = candidates.columns[column]
    best = best_pairs(candidates, column, slate.size)
    users = candidates.user_of(best)
    weight = np.ones(best.size)
    if slate.slot_weights is not None:
        rank = np.arange(best.size) - np.searchsorted(users, users)  # pairs of a user are together, the best first
        weight = slate.slot_weights[rank]
    most = np.bincount(users, weight * values[best], candidates.n_users)
    x, shown = solution.x, candidates.user_of(solution.pairs)
    now = np.bincount(shown, x * values[solution.pairs], candidates.n_users)
    has = most > 0
    shares = now[has] / most[has]
    worst = np.sort(shares)[: max(1, round(_WORST * shares.size))]
    out: dict[str, Any] = {
        "column": column, "mean": float(shares.mean()) if shares.size else 1.0,
        "worst": float(worst.mean()) if shares.size else 1.0,
    }  # fmt: skip
    if "by" in gate:
        key = gate["by"]
        codes = candidates.users[key].codes[has]
        known = codes >= 0
        count = np.bincount(codes[known], minlength=len(candidates.users[key].labels))
        total = np.bincount(codes[known], shares[known], len(count))
        labels = candidates.users[key].labels.tolist()
        out["by"] = {str(labels[g]): float(total[g] / count[g]) for g in np.flatnonzero(count).tolist()}
    return out


def check_relevance(candidates: Candidates, gate: Mapping[str, Any]) -> str:
    """The column of the gate; `ProblemError` if there is no such column, or no such key of users."""
    column, key = gate.get("column", "relevance"), gate.get("by")
    if column not in candidates.columns:
        raise ProblemError(f"gates.relevance: no column {column!r}.{candidates.no_column(column)}")
    if key is not None and key not in candidates.users:
        raise ProblemError(f"gates.relevance: the users have no key {key!r}; by names a key of users.")
    return str(column)


def _promised(solution: Solution) -> list[dict[str, Any]]:
    """Planned amount and floor of every group with a floor above 0, hard or soft."""
    problem, out = solution.problem, []
    for name, _, groups, floors in floors_of(problem):
        labels, totals = problem.labels(name), solution.totals[name]
        out += [
            {"constraint": name, "label": str(labels[k]), "promised": floors[k], "planned": totals[k]} for k in groups
        ]
    return out


def _at_bounds(solution: Solution) -> dict[str, Any]:
    """Soft limits whose price is the penalty: they would be missed by more if that were cheaper."""
    problem, limited, at = solution.problem, 0, []
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if isinstance(function, Soft):
            lower, upper, _ = bound.band()
            has = np.isfinite(lower) | np.isfinite(upper)
            limited += int(has.sum())
            full = has & (np.abs(solution.prices[name]) >= function.penalty * (1 - _AT))
            at += [f"{name} of {problem.labels(name)[k]!r}" for k in np.flatnonzero(full).tolist()]
    return {"limits": limited, "at": at}
