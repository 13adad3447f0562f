"""Limits, totals and prices of the groups of one constraint or function: as arrays, and as a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.results.naming import plain_label

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer


_NUMBERS = ("lower", "upper", "total", "price")


class Groups(NamedTuple):
    """One entry per group, in the order of its labels; NaN for totals and prices that do not exist."""

    name: str
    is_constraint: bool
    by: tuple[str, ...]
    labels: Sequence[Any]
    lower: Floats
    upper: Floats
    total: Floats
    price: Floats


def groups_of(answer: Answer, at: int) -> Groups:
    """The groups of the constraint or function with this number."""
    problem = answer.problem
    name, bound = problem.names[at], problem.bound[at]
    lower, upper, _ = bound.band()
    none = np.full(lower.size, np.nan)
    total, price = answer.totals.get(name, none), answer.prices.get(name, none)
    by = problem.functions[at].measure.by
    return Groups(name, bound.is_constraint, by, problem.labels(name), lower, upper, total, price)


def groups_frame(answer: Answer, name: object, backend: str | None) -> Any:
    """See `Solution.groups_frame`."""
    from oasis_alloc.data.frames import table

    problem = answer.problem
    if name is None:
        answer.raise_if_infeasible()
        return table(_all_groups(answer), backend or problem.candidates.backend)
    if name not in problem.names:
        raise ProblemError(
            f"groups_frame({name!r}): the problem has no constraint or function of this name."
            f"{did_you_mean(name, problem.names)}"
        )
    answer.raise_if_infeasible()
    groups = groups_of(answer, problem.names.index(str(name)))
    by, labels = groups.by, groups.labels
    parts = [labels] if len(by) == 1 else [[label[k] for label in labels] for k in range(len(by))]
    columns: dict[str, Any] = {key: _column(part) for key, part in zip(by, parts, strict=True)}
    numbers = {name: getattr(groups, name) for name in _NUMBERS}
    names = answer_names(numbers, by)
    columns |= {names[name]: np.asarray(array) for name, array in numbers.items()}
    return table(columns, backend or problem.candidates.backend)


def _all_groups(answer: Answer) -> dict[str, Any]:
    """The groups of all constraints and functions, one after the other; labels as texts, for they are of any type."""
    problem = answer.problem
    columns: dict[str, list[Any]] = {name: [] for name in ("name", "kind", "group", *_NUMBERS)}
    for at, function in enumerate(problem.functions):
        groups = groups_of(answer, at)
        kind = "constraint" if groups.is_constraint else "soft" if function.in_constraints else "function"
        columns["name"] += [groups.name] * len(groups.labels)
        columns["kind"] += [kind] * len(groups.labels)
        columns["group"] += [plain_label(groups.by, label, answer.label_names) for label in groups.labels]
        for name in _NUMBERS:
            columns[name] += np.asarray(getattr(groups, name), np.float64).tolist()
    return {name: np.array(of, np.float64) if name in _NUMBERS else objects(of) for name, of in columns.items()}


def _column(labels: Sequence[Any]) -> Any:
    array = np.array(labels)
    return array if array.dtype.kind in "fiu" and array.ndim == 1 else objects(labels)
