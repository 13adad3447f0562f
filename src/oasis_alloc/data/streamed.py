"""Reads candidates that stay in Parquet files: the pairs, and the attributes and ids of users and items by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from oasis_alloc.data.attributes import as_ids, as_keys, refuse_shared
from oasis_alloc.data.parquet import open_dataset, scan, table_of


def read(
    directory: str | PathLike[str], *, user: str, item: str, columns: Sequence[str] | None, users: object,
    items: object, memory: int | str,
) -> dict[str, Any]:  # fmt: skip
    """The fields of `Candidates.from_parquet`, whose arguments these are."""
    dataset = open_dataset(directory, user, item, columns, memory)
    of_users, of_items = table_of(users, user, "users"), table_of(items, item, "items")
    found = scan(dataset, of_users.n, of_items.n, lenient=columns is None)
    n_users = len(found.indptr) - 1
    if isinstance(users, Mapping) and isinstance(items, Mapping):
        for key in of_users.attributes:  # as in from_arrays
            refuse_shared(key, frozenset(of_items.attributes))
    user_keys, item_keys = as_keys(of_users.attributes, of_items.attributes, n_users, found.n_items)
    for given, keys in ((users, user_keys), (items, item_keys)):
        if isinstance(given, Mapping):
            keys.all_made()
    return {
        "n_users": n_users,
        "n_items": found.n_items,
        "n_pairs": int(found.indptr[-1]),
        "indptr": found.indptr,
        "item": found.item,  # handles, which give single pairs by position as arrays do
        "columns": found.columns,
        "users": user_keys,
        "items": item_keys,
        "user_ids": as_ids(of_users.ids, n_users, f"users[{user!r}]", "n_users"),
        "item_ids": as_ids(of_items.ids, found.n_items, f"items[{item!r}]", "n_items"),
        "user_name": user,
        "item_name": item,
        "stream": dataset,
        "_refused": dataset.refused,
    }
