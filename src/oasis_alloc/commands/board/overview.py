"""The overview: certificate, delivery against plan, relevance kept by key, prices, and what adds up to the value."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.commands.board.sources import Source
from oasis_alloc.commands.board.state import Board
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import Delivery, deliveries, label
from oasis_alloc.results.answer import supply_weighted
from oasis_alloc.results.organic import best_pairs
from oasis_alloc.results.shadow_prices import main_column

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

_ROWS = 5_000  # of a table; the heaviest limits where there are more
_LABELS = 60  # of a key by which relevance is listed
_PRICES = 200


def overview(board: Board) -> dict[str, Any]:
    """The current answer in numbers; the parts that need candidates are null for a saved solution."""
    source = board.current
    if source.policy is not None:
        return about(board) | {"certificate": _of_policy(source), "sections": _priced_sections(source)}
    document = source.document or {}
    names = ("status", "advice", "value", "bound", "gap", "violation", "passes", "seconds", "solver")
    made: dict[str, Any] = about(board)
    made["certificate"] = {name: document.get(name) for name in names}
    made["sizes"] = {name: document.get(name) for name in ("users", "items", "pairs", "shown")}
    made["statement"] = document.get("statement", "")
    made["parts"] = [{"term": term, "amount": amount} for term, amount in document.get("parts", {}).items()]
    if source.solution is None:
        return made | {"sections": _saved_sections(document), "kept": None, "prices": None}
    solution = source.solution
    made["sections"] = board.cached("sections", lambda: sections(solution))
    made["kept"] = board.cached("kept", lambda: kept(solution))
    made["prices"] = board.cached("prices", lambda: _prices(solution))
    return made


def about(board: Board) -> dict[str, Any]:
    """What is shown, and what the page may do."""
    source = board.current
    candidates = None if source.solution is None else source.solution.problem.candidates
    return {
        "name": source.name, "kind": source.kind, "path": source.path, "editable": board.editable,
        "changes": len(board.before), "version": board.version, "flight": "flight" in board.extras,
        "served": "served" in board.cache,
        "sources": [{"name": one.name, "kind": one.kind} for one in board.sources],
        "keys": [] if candidates is None else [*usable(candidates.items), *usable(candidates.users)],
        "columns": [] if candidates is None else list(candidates.columns),
    }  # fmt: skip


def sections(solution: Solution) -> list[dict[str, Any]]:
    """One table per measure that has limits: an entry per group."""
    problem = solution.problem
    found = deliveries(problem, solution.pairs, supply_weighted(solution), solution.prices)
    measures = {str(f.measure): f.measure for f in problem.functions if f.in_constraints}
    return [_section(d, m.by) for d, m in zip(found, measures.values(), strict=True)]


def _section(delivery: Delivery, by: tuple[str, ...]) -> dict[str, Any]:
    limit = np.where(np.isfinite(delivery.cap) & (delivery.price >= 0), delivery.cap, delivery.floor)
    worth = np.abs(delivery.price) * np.fmax(np.where(np.isfinite(limit), np.abs(limit), 0.0), 1.0)
    limited = np.flatnonzero(np.isfinite(delivery.floor) | np.isfinite(delivery.cap))
    take = limited
    if limited.size > _ROWS:
        take = np.sort(limited[np.argsort(-worth[limited], kind="stable")[:_ROWS]])
    state = delivery.state
    numbers = {"floor": delivery.floor, "delivered": delivery.delivered, "cap": delivery.cap, "price": delivery.price}
    return {
        "names": delivery.names, "unit": delivery.unit, "by": list(by), "groups": int(limited.size),
        "label": [delivery.labels[k] for k in take], "state": [state[k] for k in take],
        **{name: jsonable(array[take]) for name, array in (numbers | {"worth": worth}).items()},
    }  # fmt: skip


def _saved_sections(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables of a saved solution: constraints with the same groups and totals are limits of one measure."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for group in document.get("groups", []):
        if group["lower"] is not None or group["upper"] is not None or group["kind"] == "constraint":
            by_name.setdefault(group["name"], []).append(group)
    merged: dict[Any, Delivery] = {}
    for name, groups in by_name.items():
        total = _numbers(groups, "total", np.nan)
        labels = [label(g["label"]) for g in groups]
        one = Delivery(
            [name], "units", labels, total, _numbers(groups, "lower", -np.inf), _numbers(groups, "upper", np.inf),
            _numbers(groups, "price", 0.0),
        )  # fmt: skip
        key = (tuple(labels), total.tobytes())
        if key in merged:
            known = merged[key]
            floor, cap = np.maximum(one.floor, known.floor), np.minimum(one.cap, known.cap)
            one = Delivery([*known.names, name], "units", labels, total, floor, cap, one.price + known.price)
        merged[key] = one
    return [_section(one, ()) for one in merged.values()]


def _numbers(groups: list[dict[str, Any]], name: str, missing: float) -> Floats:
    return np.array([missing if g[name] is None else g[name] for g in groups], np.float64)


def kept(solution: Solution) -> dict[str, Any] | None:
    """Totals of the main column if it alone decided, and in this answer, for every key of the users with few labels."""
    problem = solution.problem
    column = relevance_of(problem)
    if column is None:
        return None
    candidates = problem.candidates
    best = best_pairs(candidates, column, problem.slate.size)
    weight = np.ones(len(best)) if problem.supply is None else problem.supply[candidates.user_of(best)]
    alone = weight * candidates.columns[column][best]
    now = supply_weighted(solution) * candidates.columns[column][solution.pairs]
    by = []
    for name in usable(candidates.users):
        if 1 < candidates.users[name].n_groups <= _LABELS:
            grouping = candidates.grouping(name)
            before = grouping.totals(candidates, best, alone)
            after = grouping.totals(candidates, solution.pairs, now)
            texts = [label(one) for one in grouping.labels]
            by.append({"key": name, "label": texts, "alone": jsonable(before), "kept": jsonable(after)})
    return {"column": column, "alone": float(alone.sum()), "kept": float(now.sum()), "by": by}


def usable(keys: Mapping[str, Any]) -> list[str]:
    """The names of columns that can be keys; others of a table say why when they are asked for."""
    out = []
    for name in keys:
        with suppress(InputError):
            _ = keys[name]
            out.append(name)
    return out


def relevance_of(problem: Problem) -> str | None:
    """The column that stands for relevance: the one of this name, else the first of the objective."""
    if "relevance" in problem.candidates.columns:
        return "relevance"
    main = main_column(problem)
    return None if main is None else main[0]


def _prices(solution: Solution) -> list[dict[str, Any]]:
    out = []
    for one in solution.shadow_prices(_PRICES):
        by = solution.problem.functions[solution.problem.names.index(one.name)].measure.by
        out.append(jsonable(one) | {"label": label(one.label), "by": list(by)})
    return out


def _of_policy(source: Source) -> dict[str, Any]:
    assert source.policy is not None
    of = source.policy.data.certificate
    return {
        "status": of.status, "advice": "", "value": jsonable(of.value), "gap": jsonable(of.gap),
        "violation": jsonable(of.violation), "bound": None, "passes": None, "seconds": None, "solver": None,
    }  # fmt: skip


def _priced_sections(source: Source) -> list[dict[str, Any]]:
    """The prices of a policy: it has no totals and no limits."""
    assert source.policy is not None
    data, out = source.policy.data, []
    for constraint in data.constraints:
        labels = [label(data.label(constraint.keys, codes)) for codes in constraint.groups]
        nothing: npt.NDArray[Any] = np.full(len(labels), None)
        price = jsonable(np.asarray(constraint.price, np.float64))
        out.append(
            {
                "names": [constraint.name], "unit": "units", "by": list(constraint.keys), "groups": len(labels),
                "label": labels, "state": [""] * len(labels), "price": price, "worth": [abs(p) for p in price],
                **{name: nothing.tolist() for name in ("floor", "delivered", "cap")},
            }
        )  # fmt: skip
    return out
