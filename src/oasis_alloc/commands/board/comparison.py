"""Two of the board's sources next to each other: totals, prices, value and slots that changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from oasis_alloc.commands.board.sources import POLICY, Allocation, Source
from oasis_alloc.commands.board.state import Board
from oasis_alloc.errors import InputError
from oasis_alloc.page.summary import label

_ROWS = 5_000


def comparison(board: Board, before: int, after: int) -> dict[str, Any]:
    """Compare two sources by their numbers in `Board.sources`.

    Two solutions, saved or solved here, are compared by groups and slots; a policy with anything by its prices.
    """
    for number in (before, after):
        if not 0 <= number < len(board.sources):
            raise InputError(f"there is no source {number}; expected a number from 0 to {len(board.sources) - 1}.")
    one, other = board.sources[before], board.sources[after]
    made = board.cached(("compare", id(one), id(other)), lambda: _made(one, other))
    return made | {"before": one.name, "after": other.name}


def _made(one: Source, other: Source) -> dict[str, Any]:
    if POLICY in (one.kind, other.kind):
        return _of_policies(one, other)
    first, second = one.document or {}, other.document or {}
    groups = [{(g["name"], label(g["label"])): g for g in document.get("groups", [])} for document in (first, second)]
    rows: dict[Any, list[Any]] = {}
    for name, label_of in dict.fromkeys([*groups[1], *groups[0]]):
        a, b = groups[0].get((name, label_of), {}), groups[1].get((name, label_of), {})
        totals, prices = [a.get("total"), b.get("total")], [a.get("price"), b.get("price")]
        known = rows.setdefault((label_of, *totals), [[], label_of, *totals, None, None])
        known[0].append(name)  # several limits of one measure are one row
        for k, price in enumerate(prices, 4):
            known[k] = price if known[k] is None else known[k] + (price or 0.0)
    listed = sorted(rows.values(), key=_size, reverse=True)
    return {
        "kind": "solutions", "value": [first.get("value"), second.get("value")],
        "bound": [first.get("bound"), second.get("bound")], "parts": _parts(first, second),
        "churn": _churn(one, other), "groups": len(listed), "rows": listed[:_ROWS],
    }  # fmt: skip


def _churn(one: Source, other: Source) -> float | None:
    if one.solution is not None and other.solution is not None:
        return other.solution.churn(one.solution)
    return churn(one.allocation, other.allocation)


def churn(before: Allocation | None, after: Allocation | None) -> float | None:
    """Share of the slots of `after` that `before` did not have, pairs matched by ids; None without allocations."""
    if before is None or after is None:
        return None
    known = dict(zip(zip(before.user.tolist(), before.item.tolist(), strict=True), before.x.tolist(), strict=True))
    total = float(after.x.sum())
    pairs = zip(after.user.tolist(), after.item.tolist(), strict=True)
    same = sum(min(x, known.get(pair, 0.0)) for pair, x in zip(pairs, after.x.tolist(), strict=True))
    return max(0.0, 1.0 - same / total) if total > 0 else 0.0


def _parts(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    one, other = before.get("parts", {}), after.get("parts", {})
    return [{"term": t, "before": one.get(t), "after": other.get(t)} for t in dict.fromkeys([*one, *other])]


def _of_policies(one: Source, other: Source) -> dict[str, Any]:
    from oasis_alloc.publish.comparison import differences

    policies = []
    for source in (one, other):
        if source.policy is None and source.solution is None:
            raise InputError(
                f"{source.name} is a saved solution without its problem, which cannot be compared with a policy; "
                "expected a problem, a job or another policy."
            )
        policies.append(source.policy if source.solution is None else source.solution.policy(unproven=True))
    assert policies[0] is not None
    assert policies[1] is not None
    found = differences(policies[0], policies[1])
    rows = [[[r["constraint"]], label(r["label"]), None, None, r["before"], r["after"]] for r in found["prices"]]
    weights = [{"term": w["column"] or "1", "before": w["before"], "after": w["after"]} for w in found["weights"]]
    return {
        "kind": "policies", "value": [found["before"]["value"], found["after"]["value"]], "bound": [None, None],
        "parts": weights, "churn": None, "groups": len(rows), "rows": rows[:_ROWS], "slate": found["slate"],
        "items": found["items"], "same": found["same"],
    }  # fmt: skip


def _size(row: list[Any]) -> float:
    """The larger relative change of total and price."""
    out = 0.0
    for a, b in ((row[2], row[3]), (row[4], row[5])):
        if a is None and b is None:
            continue
        if a is None or b is None:
            return np.inf
        out = max(out, abs(b - a) / max(abs(a), abs(b), 1e-300))
    return out
