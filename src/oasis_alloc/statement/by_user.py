"""Numbers per user: a column of the users, `{id: number}`, a pandas Series by id, or an array in their order.

Numbers with ids are matched by id, never by position: `docs/labels.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import all_same, is_none, same, shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.data.by_group import as_number, labeled
from oasis_alloc.errors import InputError, ProblemError

_NAMED = 3  # maximum number of unknown ids in a message

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates

ByUser: TypeAlias = str | dict[Any, Any]
"""The name of a column of the users, or {id: number}."""


def by_user(given: object, what: str) -> ByUser | None:
    """Return a column name or a copy of {id: number}; None for numbers and arrays without ids.

    Raises `ProblemError` for a table, and for a text that is a number.

    >>> import pandas as pd
    >>> by_user("slots", "size"), by_user(pd.Series([3, 1], index=["zoe", "ann"]), "size"), by_user([3, 1], "size")
    ('slots', {'zoe': 3, 'ann': 1}, None)
    """
    if isinstance(given, str):
        try:
            float(given)
        except ValueError:
            if given:
                return given
        raise ProblemError(
            f"{what.replace('...', repr(given))}: a text names a column of users; expected a whole number, or one "
            "number per user."
        )
    found = labeled(given, what, "number per user")
    if found is not None and getattr(given, "name", None) is not None:
        return _Named(found, str(given.name))  # type: ignore[attr-defined]  # a Series
    return found


class _Named(dict[Any, Any]):
    """A Series as {id: number}, with its name, for messages."""

    def __init__(self, numbers: dict[Any, Any], name: str) -> None:
        super().__init__(numbers)
        self.name = name

    def __reduce__(self) -> Any:
        return _Named, (dict(self), self.name)


def per_user(given: ByUser, candidates: Candidates, what: str) -> npt.NDArray[np.float64]:
    """Return the numbers as (n_users,) in the order of the users' numbers.

    Raises `ProblemError` for an unknown column, a column that is not of numbers, and users without a number.

    >>> from oasis_alloc import Candidates
    >>> c = Candidates.from_arrays([0, 1, 2], [0, 0], {"r": [1, 2]}, users={"slots": [3, 1]}, user_ids=["ann", "zoe"])
    >>> per_user("slots", c, "size").tolist(), per_user({"zoe": 1, "ann": 3}, c, "size").tolist()
    ([3.0, 1.0], [3.0, 1.0])
    """
    if isinstance(given, str):
        if given not in candidates.users:
            raise ProblemError(f"{what}: the users have no column {given!r}.{did_you_mean(given, candidates.users)}")
        try:
            return np.asarray(candidates.users.numbers(given), np.float64)
        except InputError as error:
            raise ProblemError(f"{what}: {error}") from error
    ids = np.arange(candidates.n_users) if candidates.user_ids is None else candidates.user_ids
    number = {same(one): value for one, value in given.items()}
    out = np.empty(candidates.n_users)
    for user, one in enumerate(all_same(ids)):
        if one not in number:
            known = all_same(ids)
            raise ProblemError(_missing(given, ids[user], what, known[:3], set(number) - set(known)))
        value = number[one]
        found = None if is_none(value) else as_number(value)
        if found is None:
            raise ProblemError(f"{what}: user {plain(ids[user])!r} has {shown(value)}; expected a number.")
        out[user] = found
    return out


def _missing(given: Mapping[Any, Any], user: Any, what: str, ids: list[Any], unknown: set[Any]) -> str:
    text = (
        f"{what}: user {plain(user)!r} has no number; expected one for every user, by id, such as "
        f"{', '.join(map(repr, ids))}"
    )
    if not given:
        text += "; the mapping is empty."
    elif unknown:
        first = [shown(plain(one)) for one in given if same(one) in unknown][:_NAMED]
        more = f", ... ({len(unknown):,} in all)" if len(unknown) > len(first) else ""
        these = "this id" if len(unknown) == 1 else "these ids"
        text += f"; it has numbers for {', '.join(first)}{more}, and no user has {these}."
    else:
        text += f"; there are numbers for {len(given):,} of the users."
    if isinstance(given, _Named):
        text += f" Set the ids as the index of the Series, or name the column of users: {given.name!r}."
    return text


def plain(value: Any) -> Any:
    """A scalar of NumPy as Python's own, which reads better; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
