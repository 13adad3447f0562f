"""Candidates with the pairs of new items, after those that each user had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import objects, readonly
from oasis_alloc.common.labels import plain, same
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.types import Ints
from oasis_alloc.data.attributes import Given, Keys
from oasis_alloc.data.keys import Key
from oasis_alloc.data.validation import as_column, by_name, item_dtype
from oasis_alloc.errors import ProblemError


def with_new_items(candidates: Candidates, pairs: Any, attributes: Mapping[str, Any]) -> tuple[Candidates, Ints]:
    """(the candidates with the pairs of new items, the numbers of these items)."""
    table = by_name(pairs)
    if table is None:
        raise ProblemError(f"quote: pairs is {type(pairs).__name__}; expected a frame, or a mapping of arrays.")
    user_name, item_name = candidates.user_name, candidates.item_name
    for name in (user_name, item_name, *candidates.columns):
        if name not in table:
            raise ProblemError(f"quote: pairs has no column {name!r}.{did_you_mean(name, list(table))}")
    ids = [plain(one) for one in np.asarray(table[item_name]).tolist()]
    user = _users(candidates, np.asarray(table[user_name]).tolist())
    _refuse_known(candidates, ids)
    number: dict[Any, int] = {}
    for one in ids:
        number.setdefault(same(one), candidates.n_items + len(number))
    item = np.array([number[same(one)] for one in ids], np.int64)
    if not item.size:
        raise ProblemError("quote: pairs has no rows; a campaign without candidates can be shown to no user.")
    if item.size > np.unique(np.stack([user, item]), axis=1).shape[1]:
        raise ProblemError("quote: pairs has a (user, item) pair twice; expected every pair once.")
    names = list(dict.fromkeys(ids))
    made = _merged(candidates, user, item, {c: np.asarray(table[c]) for c in candidates.columns}, len(names))
    items = Keys[Any](
        {key: Given(_labels(candidates, key, attributes.get(key), names)) for key in candidates.items},
        "items", made.n_items, frozenset(candidates.users),
    )  # fmt: skip
    for key in attributes:
        if key not in candidates.items:
            raise ProblemError(
                f"quote: attributes: the items have no key {key!r}.{did_you_mean(key, list(candidates.items))}"
            )
    known = candidates.item_ids
    item_ids = None if known is None else readonly(objects([*known.tolist(), *names]))
    made = replace(made, items=items, item_ids=item_ids)
    if candidates.calibration:  # new pairs bring scores, as requests do
        made = made.calibrated(candidates.calibration)
    return made, np.arange(candidates.n_items, made.n_items)


def _users(candidates: Candidates, ids: list[Any]) -> Ints:
    known = candidates.user_ids
    number = None if known is None else {same(plain(one)): k for k, one in enumerate(known.tolist())}
    out = np.empty(len(ids), np.int64)
    for row, one in enumerate(ids):
        found = number.get(same(plain(one))) if number is not None else one
        if not isinstance(found, int) or not 0 <= found < candidates.n_users:
            raise ProblemError(f"quote: pairs: row {row:,} has the user {one!r}, who is not a user of the candidates.")
        out[row] = found
    return out


def _refuse_known(candidates: Candidates, ids: list[Any]) -> None:
    """New items must be new: by id, or by a number that is not in use."""
    known = candidates.item_ids
    taken = set(range(candidates.n_items)) if known is None else {same(plain(one)) for one in known.tolist()}
    for row, one in enumerate(ids):
        if (one if known is None else same(one)) in taken:
            raise ProblemError(
                f"quote: pairs: row {row:,} has the item {one!r}, which the candidates have already; name known items "
                "by items=."
            )


def _merged(
    candidates: Candidates, user: Ints, item: Ints, columns: Mapping[str, npt.NDArray[Any]], n_new: int
) -> Candidates:
    """The pairs of both, by user, with the new ones of a user at the end."""
    order = np.argsort(user, kind="stable")
    at = candidates.indptr[1:][user[order]]
    n_items = candidates.n_items + n_new
    indptr = candidates.indptr + np.concatenate([[0], np.cumsum(np.bincount(user, minlength=candidates.n_users))])
    items = np.insert(candidates.item.astype(item_dtype(n_items)), at, item[order])
    made = {}
    for name, before in candidates.request_columns.items():
        new = as_column(f"pairs[{name!r}]", columns[name], item.size)
        made[name] = readonly(np.insert(before, at, new[order].astype(before.dtype)))
    return replace(
        candidates, n_items=n_items, n_pairs=int(indptr[-1]), indptr=readonly(indptr.astype(np.int64)),
        item=readonly(items), columns=FrozenMapping(made), row=None,
        calibration={}, _scores={}, uncertainty={},
    )  # fmt: skip


def _labels(candidates: Candidates, key: str, given: Any, names: list[Any]) -> Any:
    """The labels of all items in a key: those of before, then those of the new ones (None: no label)."""
    own = candidates.items[key]
    by_id = {same(plain(one)): label for one, label in given.items()} if isinstance(given, Mapping) else None
    new = [given if by_id is None else by_id.get(same(one)) for one in names]
    labels = own.labels.tolist()
    if isinstance(own, Key):
        return objects([*(labels[c] if c >= 0 else None for c in own.codes.tolist()), *new])
    indptr, codes = own.membership()
    before = [[labels[c] for c in codes[indptr[i] : indptr[i + 1]]] for i in range(candidates.n_items)]
    return objects([*before, *([] if one is None else one if isinstance(one, list) else [one] for one in new)])
