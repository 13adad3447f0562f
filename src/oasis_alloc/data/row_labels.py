"""Rows of several columns that have labels, as pandas Series do: they are matched by label, not by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from oasis_alloc.common.labels import all_same, shown
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


def in_order_of_ids(what: str, values: Any, ids: Any, ids_name: str) -> Any:
    """A pandas Series by user or item in the order of their ids; anything without row labels as it is.

    Row labels are the ids, or those of the ids where these are a Series too, or 0, 1, .... Without ids, integers that
    are no number of a user or item are rows of some frame. Raises `InputError` for others: it is not known whose they
    are.

    >>> import pandas as pd
    >>> market = pd.Series(["SE", "DE"], index=["zoe", "ann"])
    >>> in_order_of_ids("users['market']", market, ["ann", "zoe"], "user_ids").tolist()
    ['DE', 'SE']
    """
    if not _has_labels(values):
        return values
    index, n = values.index, len(values)
    if (_has_labels(ids) and index.equals(ids.index)) or np.array_equal(index.to_numpy(), np.arange(n)):
        return values
    labels = all_same(index)
    if ids is None:
        if all(isinstance(label, int) and not 0 <= label < n for label in labels):
            return values
    elif not isinstance(ids, (str, bytes)) and isinstance(ids, Iterable):
        known, place = all_same(ids), {label: row for row, label in enumerate(labels)}
        if len(place) == n == len(known) and place.keys() == set(known):
            return values.iloc[[place[one] for one in known]]
    raise InputError(
        f"{what} has row labels (its index) that are neither 0, 1, 2, ... nor {ids_name}: such as {shown(labels[0])}, "
        "the first. Set the ids as the index, or pass .to_numpy(), which is taken by position."
    )


def _has_labels(values: Any) -> bool:
    return callable(getattr(values, "reindex", None)) and not callable(getattr(values, "index", len))
