"""Rows of several columns that have labels, as pandas Series do: they are matched by label, not by position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oasis_alloc.errors import InputError


def in_one_order(**given: Any) -> list[Any]:
    """The arguments in the order of the first that has row labels.

    Arguments without row labels (arrays, lists, columns of polars) are taken by position. Raises `InputError` for row
    labels that another argument lacks.

    >>> import pandas as pd
    >>> scores, outcomes = pd.Series([0.1, 0.9], index=["a", "b"]), pd.Series([1, 0], index=["b", "a"])
    >>> [one.tolist() for one in in_one_order(scores=scores, outcomes=outcomes)]
    [[0.1, 0.9], [0, 1]]
    """
    labeled = [name for name, values in given.items() if _has_labels(values)]
    for name in labeled[1:]:
        index, own = given[labeled[0]].index, given[name].index
        if len(own) != len(index) or own.equals(index):
            continue  # lengths that differ are refused where they matter
        if not (own.is_unique and index.is_unique and own.isin(index).all()):
            raise InputError(
                f"{name} has other row labels (its index) than {labeled[0]}: rows are matched by label. Pass columns "
                "of one frame, or arrays (.to_numpy()), which are matched by position."
            )
        given[name] = given[name].reindex(index)
    return list(given.values())


def in_one_order_by(by: object, **given: Any) -> list[Any]:
    """The same with `by` at the end, a mapping to labels of the rows; anything else stays as it is.

    >>> in_one_order_by({"market": ["SE", "DE"]}, scores=[0.1, 0.9])
    [[0.1, 0.9], {'market': ['SE', 'DE']}]
    """
    if not isinstance(by, Mapping):
        return [*in_one_order(**given), by]
    found = in_one_order(**given, **{f"by[{key!r}]": labels for key, labels in by.items()})
    return [*found[: len(given)], dict(zip(by, found[len(given) :], strict=True))]


def _has_labels(values: Any) -> bool:
    return callable(getattr(values, "reindex", None)) and not callable(getattr(values, "index", len))
