"""A problem as tables, for a notebook: what is maximized, and what each constraint asks of how many groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oasis_alloc.common.text_tables import TextTable, cut, number
from oasis_alloc.common.types import Floats
from oasis_alloc.statement.functions.base import BoundFunction, Function
from oasis_alloc.statement.objective import Objective

_ROWS = 15  # of each table
_NAME, _TEXT = 44, 64  # longest name and text, in columns


def objective_table(objective: Objective, names: Sequence[str]) -> TextTable:
    """The terms of an objective with their weights; `names` are of its functions."""
    terms = objective.linear.terms if objective.linear is not None else ()
    rows = [(str(term), number(term.coefficient, 6)) for term in terms]
    rows += [(_named(name, function), number(function.weight, 6))
             for name, function in zip(names, objective.functions, strict=True)]  # fmt: skip
    rows += [(str(kept), number(kept.weight, 6)) for kept in objective.steady]
    return _table(("maximize", "weight"), "lr", [(cut(text, _TEXT), weight) for text, weight in rows], "terms")


def constraints_table(functions: Sequence[Function], names: Sequence[str], bound: Sequence[BoundFunction]) -> TextTable:
    """Each constraint with what it limits, how many of its groups have a limit, and the range of these."""
    rows = []
    for name, function, numbers in zip(names, functions, bound, strict=True):
        lower, upper, _ = numbers.band()
        limited = np.isfinite(lower) | np.isfinite(upper)
        band = getattr(function, "constraint", function)  # of a soft one
        kind = "" if band is function else f"soft, penalty {number(getattr(function, 'penalty', np.nan), 4)}"
        limits = np.where(np.isfinite(upper), upper, lower)[limited]
        rows.append((
            cut(name, _NAME), cut(str(function.measure), _TEXT), kind, f"{int(limited.sum()):,} of {limited.size:,}",
            f"{getattr(band, 'sense', '')} {_range(limits)}".strip(),
        ))  # fmt: skip
    return _table(("subject to", "of", "", "groups", "limit"), "lllrr", rows, "constraints")


def _named(name: str, function: Function) -> str:
    text = str(function)
    return text if name == text else f"{text}   ({name})"


def _range(limits: Floats) -> str:
    if not limits.size:
        return "none"
    low, high = float(limits.min()), float(limits.max())
    return number(low, 6) if low == high else f"{number(low, 6)} to {number(high, 6)}"


def _table(head: Sequence[str], align: str, rows: Sequence[tuple[str, ...]], what: str) -> TextTable:
    more = f"... and {len(rows) - _ROWS:,} more {what}" if len(rows) > _ROWS else ""
    return TextTable(head, align, rows[:_ROWS], more)
