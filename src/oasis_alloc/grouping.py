"""Groups of pairs by keys of the item, of the user, or of both, factored into two codes and a small table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import ProblemError, did_you_mean
from oasis_alloc.keys import Key, frozen

_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which group each pair belongs to, as a code on its user, a code on its item, and a table of both.

    - `labels`: one a group, in group order: the label of a single key, a tuple in the order of `by` for
      several, `[None]` for `by=None` (everything is one group).
    - `user_part` (n_users,) and `item_part` (n_items,): int32 codes, -1 where a key has none. A side that
      `by` does not name has code 0 everywhere.
    - `table`: int32 (n user codes, n item codes), the group or -1. It is None where keys of both sides
      would need more than max(4 n_pairs, 1e6) entries; `of` then searches the sorted combinations that occur.

    Build one with `Candidates.grouping`; `of` gives group numbers in both cases.
    """

    by: tuple[str, ...]
    labels: list[Any]
    user_part: NDArray[np.int32]
    item_part: NDArray[np.int32]
    n_user_codes: int
    n_item_codes: int
    table: NDArray[np.int32] | None
    _found: NDArray[np.int64] | None = None  # sparse: sorted user code * n_item_codes + item code ...
    _group: NDArray[np.int32] | None = None  # ... and the group of each

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.labels)

    def of(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> NDArray[np.int32]:
        """Return the groups, int32, of pairs given by their codes (arrays that broadcast); -1 for none."""
        users, items = np.broadcast_arrays(user_codes, item_codes)
        valid = (users >= 0) & (items >= 0)
        if self.table is not None:
            if not self.table.size:
                return np.full(users.shape, -1, dtype=np.int32)
            return np.where(valid, self.table[users, items], np.int32(-1))  # -1 reads the last entry: masked
        assert self._found is not None
        assert self._group is not None
        if not self._found.size:
            return np.full(users.shape, -1, dtype=np.int32)
        wanted = users.astype(np.int64) * self.n_item_codes + items
        place = np.minimum(np.searchsorted(self._found, wanted), len(self._found) - 1)
        return np.where(valid & (self._found[place] == wanted), self._group[place], np.int32(-1))


def as_by(by: object, users: Mapping[str, Key], items: Mapping[str, Key]) -> tuple[str, ...]:
    """Return `by` as a tuple of known, distinct key names, or raise `ProblemError`."""
    names: tuple[Any, ...]
    if by is None:
        return ()
    if isinstance(by, str):
        names = (by,)
    elif isinstance(by, (tuple, list)) and by:
        names = tuple(by)
    else:
        raise ProblemError(f"by={by!r}: expected the name of a key, a tuple of names, or None for all pairs.")
    for name in names:
        if name not in users and name not in items:
            raise ProblemError(
                f"by={by!r}: {name!r} is not a key of the users or of the items."
                f"{did_you_mean(name, [*users, *items])}"
                f" (users: {', '.join(users) or 'none'}; items: {', '.join(items) or 'none'})"
            )
    if len(set(names)) < len(names):
        raise ProblemError(f"by={by!r} names a key twice; expected distinct keys.")
    return names


def build(
    by: tuple[str, ...],
    users: Mapping[str, Key],
    items: Mapping[str, Key],
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    n_items: int,
) -> Grouping:
    """Group the pairs by keys that `as_by` has checked."""
    of_users = [users[name] for name in by if name in users]
    of_items = [items[name] for name in by if name in items]
    user_part, user_rows = _part(of_users, len(indptr) - 1)
    item_part, item_rows = _part(of_items, n_items)
    shape = len(user_rows), len(item_rows)
    both = bool(of_users and of_items)
    small = not both or _fits(shape, len(item))
    if both:
        find = _occurring_dense if small else _occurring_sparse
        found = find(indptr, item, user_part, item_part, shape)
    else:
        found = np.arange(shape[0] * shape[1])  # a part holds only combinations that occur

    user_codes, item_codes = np.divmod(found, max(shape[1], 1))
    of_key = {key.name: user_rows[user_codes, k] for k, key in enumerate(of_users)}
    of_key |= {key.name: item_rows[item_codes, k] for k, key in enumerate(of_items)}
    order = np.lexsort([of_key[name] for name in reversed(by)]) if by else np.zeros(1, dtype=np.int64)
    group = np.empty(len(found), dtype=np.int32)
    group[order] = np.arange(len(found), dtype=np.int32)

    labels: list[Any] = [None]
    if by:
        columns = [({**users, **items}[name]).labels[of_key[name][order]].tolist() for name in by]
        labels = columns[0] if len(by) == 1 else list(zip(*columns, strict=True))
    table = None
    if small:
        table = np.full(shape, -1, dtype=np.int32)
        table.reshape(-1)[found] = group
        table = frozen(table)
    return Grouping(
        by, labels, user_part, item_part, *shape, table,
        None if small else found, None if small else group,
    )  # fmt: skip


def _fits(shape: tuple[int, int], n_pairs: int) -> bool:
    return shape[0] * shape[1] <= max(4 * n_pairs, 1_000_000)


def _part(keys: list[Key], n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return a code for each row, and for each code its label numbers, (n_codes, n_keys), sorted."""
    if not keys:
        return frozen(np.zeros(n, dtype=np.int32)), np.zeros((1, 0), dtype=np.int64)
    code, rows = keys[0].codes, np.arange(keys[0].n_groups)[:, None]
    for key in keys[1:]:
        # Only combinations that occur get a code, so a product of many keys stays small.
        joint = np.where((code >= 0) & (key.codes >= 0), code.astype(np.int64) * key.n_groups + key.codes, -1)
        found = np.unique(joint)
        found = found[found >= 0]
        code = np.where(joint >= 0, np.searchsorted(found, joint), -1).astype(np.int32)
        before, last = np.divmod(found, max(key.n_groups, 1))
        rows = np.column_stack([rows[before], last])
    return frozen(code), rows


def _occurring_dense(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    shape: tuple[int, int],
) -> NDArray[np.int64]:
    from oasis_alloc.kernels.check import mark_occurring

    occurs = np.zeros(shape, dtype=bool)
    mark_occurring(indptr, item, user_part, item_part, occurs)
    return np.flatnonzero(occurs)


def _occurring_sparse(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    shape: tuple[int, int],
) -> NDArray[np.int64]:
    found = np.empty(0, dtype=np.int64)
    for start in range(0, len(item), _BLOCK):
        pairs = np.arange(start, min(start + _BLOCK, len(item)))
        users = user_part[np.searchsorted(indptr, pairs, side="right") - 1]
        items = item_part[item[pairs]]
        valid = (users >= 0) & (items >= 0)
        found = np.union1d(found, users[valid].astype(np.int64) * shape[1] + items[valid])
    return found
