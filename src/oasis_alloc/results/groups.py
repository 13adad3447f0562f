"""Totals, limits and prices of the groups of one constraint or function, as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.errors import ProblemError
from oasis_alloc.results.answer_columns import answer_names

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer

_ANSWERS = ("lower", "upper", "total", "price")


def groups_frame(answer: Answer, name: object, backend: str | None) -> Any:
    """See `Solution.groups_frame`."""
    from oasis_alloc.data.frames import table

    problem = answer.problem
    if name not in problem.names:
        raise ProblemError(
            f"groups_frame({name!r}): the problem has no constraint or function of this name."
            f"{did_you_mean(name, problem.names)}"
        )
    answer.raise_if_infeasible()
    at = problem.names.index(str(name))
    function, bound, labels = problem.functions[at], problem.bound[at], problem.labels(str(name))
    lower, upper, _ = bound.band()
    by = function.measure.by
    parts = [labels] if len(by) == 1 else [[label[k] for label in labels] for k in range(len(by))]
    columns: dict[str, Any] = {key: _column(part) for key, part in zip(by, parts, strict=True)}
    numbers = (lower, upper, answer.totals[str(name)], answer.prices[str(name)])
    names = answer_names(_ANSWERS, by)
    columns |= {names[answer]: np.asarray(array) for answer, array in zip(_ANSWERS, numbers, strict=True)}
    return table(columns, backend or problem.candidates.backend)


def _column(labels: list[Any]) -> Any:
    array = np.array(labels)
    return array if array.dtype.kind in "fiu" and array.ndim == 1 else objects(labels)
