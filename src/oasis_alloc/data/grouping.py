"""Groups of pairs by keys of the item, of the user, or of both, factored into two codes and a small table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import gather, number_sets
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.data.attributes import refuse_shared
from oasis_alloc.data.by_group import Labels
from oasis_alloc.data.keys import Key
from oasis_alloc.data.left_out import why_left_out
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.data.occurring import Occurring
from oasis_alloc.data.pairs import PairSource
from oasis_alloc.data.row_groups import StreamedColumn, clipped
from oasis_alloc.errors import ProblemError

_BLOCK = 1 << 22

Sets: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(indptr, codes): set s holds `codes[indptr[s]:indptr[s + 1]]`."""


@dataclass(frozen=True, eq=False)
class Grouping(ByFields):
    """Which group each pair belongs to, as a code on its user, a code on its item, and a table of both.

    - `labels`: one per group, in group order: the label of a single key, a tuple in the order of `by` for
      several, `[None]` for `by=None` (everything is one group).
    - `user_part` (n_users,) and `item_part` (n_items,): int32 codes, -1 without a label. A side that
      `by` does not name has code 0 everywhere.
    - `table`: int32 (n user codes, n item codes), the group or -1. It is None if keys of both sides
      would need more than max(4 n_pairs, 1e6) entries; `of` then searches the sorted combinations that occur.

    - `sets`: None, or if a key has several labels per item: (indptr, codes) of the sets of item codes.
      `item_part` is then the number of each item's set, and a pair lies in the groups of all codes in it.

    Build one with `Candidates.grouping`; `of` and `members` give group numbers in all cases.
    """

    by: tuple[str, ...]
    labels: Labels
    user_part: NDArray[np.int32]
    item_part: NDArray[np.int32]
    n_item_codes: int
    table: NDArray[np.int32] | None
    _found: NDArray[np.int64] | None = None  # sparse: sorted user code * n_item_codes + item code ...
    _group: NDArray[np.int32] | None = None  # ... and the group of each
    sets: Sets | None = None

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.labels)

    def of(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> NDArray[np.int32]:
        """Return the groups, int32, of pairs given by their codes (arrays that broadcast); -1 for no group.

        Raises `ProblemError` if a pair may be in several groups.
        """
        if self.sets is not None:
            raise ProblemError(
                f"by={self.by!r}: a pair may be in several groups; expected a key with one group per pair."
            )
        return self._look_up(user_codes, item_codes)

    def totals(self, candidates: PairSource, positions: NDArray[np.int64], weight: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n_groups,) the sums of `weight` over the pairs at `positions`: of each group that a pair lies in.

        >>> from oasis_alloc import Candidates
        >>> c = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, items={"artist": ["b", "a"]})
        >>> c.grouping("artist").totals(c, np.array([0, 1]), np.array([0.5, 0.25])).tolist()
        [0.25, 0.5]
        """
        users = self.user_part[candidates.user_of(positions)]
        inside, group = self.members(users, self.item_part[candidates.item[positions]])
        return np.bincount(group, weight[inside], self.n_groups).astype(np.float64)

    def members(
        self, user_codes: NDArray[Any], item_codes: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return (position, group) of pairs given by their codes: of every group that the pair at a position lies in.

        >>> from oasis_alloc import Candidates
        >>> c = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, items={"genre": [["rock", "pop"], ["pop"]]})
        >>> genre = c.grouping("genre")
        >>> [part.tolist() for part in genre.members(genre.user_part[[0, 0]], genre.item_part[c.item])]
        [[0, 0, 1], [0, 1, 0]]
        """
        if self.sets is None:
            group = self._look_up(user_codes, item_codes)
            position = np.flatnonzero(group >= 0)
            return position, group[position]
        indptr, codes = self.sets
        start, entries = gather(indptr, item_codes)
        position = np.repeat(np.arange(len(item_codes)), np.diff(start))
        group = self._look_up(user_codes[position], codes[entries])
        has = group >= 0
        return position[has], group[has]

    def _look_up(self, user_codes: NDArray[Any], item_codes: NDArray[Any]) -> NDArray[np.int32]:
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


def as_by(by: object, users: Mapping[str, Key], items: Mapping[str, Key | MultiKey]) -> tuple[str, ...]:
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
                f"{why_left_out(name) or did_you_mean(name, list(dict.fromkeys([*users, *items])))}"
                f" (users: {', '.join(users) or 'none'}; items: {', '.join(items) or 'none'})"
            )
        refuse_shared(name, frozenset(users) & frozenset(items))
    if len(set(names)) < len(names):
        raise ProblemError(f"by={by!r} names a key twice; expected distinct keys.")
    return names


def build(
    by: tuple[str, ...],
    users: Mapping[str, Key],
    items: Mapping[str, Key | MultiKey],
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    n_items: int,
) -> Grouping:
    """Group the pairs by keys that `as_by` has checked."""
    of_users = [users[name] for name in by if name in users]
    of_items = [items[name] for name in by if name in items]
    user_part, user_rows = _part(of_users, len(indptr) - 1)
    item_part, item_rows, sets = _item_part(of_items, n_items)
    shape = len(user_rows), len(item_rows)
    both = bool(of_users and of_items)
    small = not both or _fits(shape, len(item))
    if both:
        find = _occurring_dense if small else _occurring_sparse
        found = find(indptr, item, user_part, item_part, shape, sets)
    else:
        found = np.arange(shape[0] * shape[1])  # a part has only combinations that occur

    user_codes, item_codes = np.divmod(found, max(shape[1], 1))
    of_key = {key.name: user_rows[user_codes, k] for k, key in enumerate(of_users)}
    of_key |= {key.name: item_rows[item_codes, k] for k, key in enumerate(of_items)}
    order = np.lexsort([of_key[name] for name in reversed(by)]) if by else np.zeros(1, dtype=np.int64)
    group = np.empty(len(found), dtype=np.int32)
    group[order] = np.arange(len(found), dtype=np.int32)

    labels = Labels([None])
    if by:
        sides = [users[name] if name in users else items[name] for name in by]
        columns = [key.labels[of_key[key.name][order]].tolist() for key in sides]
        labels = Labels(columns[0] if len(by) == 1 else zip(*columns, strict=True))
    table = None
    if small:
        table = np.full(shape, -1, dtype=np.int32)
        table.reshape(-1)[found] = group
        table = readonly(table)
    return Grouping(
        by, labels, user_part, item_part, shape[1], table,
        None if small else found, None if small else group, sets,
    )  # fmt: skip


def _fits(shape: tuple[int, int], n_pairs: int) -> bool:
    return shape[0] * shape[1] <= max(4 * n_pairs, 1_000_000)


def _part(keys: list[Key], n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return a code for each row, and for each code its label numbers, (n_codes, n_keys), sorted."""
    if not keys:
        return readonly(np.zeros(n, dtype=np.int32)), np.zeros((1, 0), dtype=np.int64)
    code, rows = keys[0].codes, np.arange(keys[0].n_groups)[:, None]
    for key in keys[1:]:
        # Only combinations that occur get a code, so a product of many keys stays small.
        joint = np.where((code >= 0) & (key.codes >= 0), code.astype(np.int64) * key.n_groups + key.codes, -1)
        found = np.unique(joint)
        found = found[found >= 0]
        code = np.where(joint >= 0, np.searchsorted(found, joint), -1).astype(np.int32)
        before, last = np.divmod(found, max(key.n_groups, 1))
        rows = np.column_stack([rows[before], last])
    return readonly(code), rows


def _item_part(keys: list[Key | MultiKey], n: int) -> tuple[NDArray[np.int32], NDArray[np.int64], Sets | None]:
    """Return `_part` and None; where a key has several labels, the number of each item's set, `_part`'s rows, the sets.

    A code is a combination of one label of every key; an item has all those of its labels.
    """
    single = [key for key in keys if isinstance(key, Key)]
    if len(single) == len(keys):
        return *_part(single, n), None
    item, code, rows = np.arange(n), np.zeros(n, dtype=np.int64), np.zeros((1, 0), dtype=np.int64)
    for key in keys:
        indptr, labels = key.membership()
        start, entries = gather(indptr, item)
        repeats = np.diff(start)
        joint = np.repeat(code, repeats) * key.n_groups + labels[entries]
        item = np.repeat(item, repeats)
        found, code = np.unique(joint, return_inverse=True)
        before, last = np.divmod(found, max(key.n_groups, 1))
        rows = np.column_stack([rows[before], last])
    of_item = np.searchsorted(item, np.arange(n + 1))
    number = number_sets(of_item, code, len(rows))
    start, entries = gather(of_item, np.unique(number, return_index=True)[1])
    return readonly(number), rows, (readonly(start), readonly(code[entries]))


def _occurring_dense(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    shape: tuple[int, int],
    sets: Sets | None,
) -> NDArray[np.int64]:
    from oasis_alloc.kernels.solve.check import mark_occurring, mark_occurring_sets

    occurs = np.zeros(shape, dtype=bool)
    for users, _, pointers, items in runs(indptr, item):
        if sets is None:
            mark_occurring(pointers, items, user_part[users], item_part, occurs)
        else:
            mark_occurring_sets(pointers, items, user_part[users], item_part, *sets, occurs)
    return np.flatnonzero(occurs)


def runs(
    indptr: NDArray[np.int64], item: NDArray[Any] | StreamedColumn
) -> Iterator[tuple[slice, int, NDArray[np.int64], NDArray[Any]]]:
    """(users, the first pair, their indptr from there, their items): block by block, or by row group for a stream."""
    if not isinstance(item, StreamedColumn):
        for begin in range(0, len(item), _BLOCK):
            end = min(begin + _BLOCK, len(item))
            first, last, local = clipped(indptr, begin, end)
            yield slice(first, last), begin, local, item[begin:end]
        return
    with item.dataset.read([item.name]) as reader:
        for begin, end, columns in reader:
            first, last, local = clipped(indptr, begin, end)
            yield slice(first, last), begin, local, columns[item.name].astype(item.dtype)


def _occurring_sparse(
    indptr: NDArray[np.int64],
    item: NDArray[Any],
    user_part: NDArray[np.int32],
    item_part: NDArray[np.int32],
    shape: tuple[int, int],
    sets: Sets | None,
) -> NDArray[np.int64]:
    found = Occurring()
    for which, _, pointers, items_of in runs(indptr, item):
        users = np.repeat(user_part[which], np.diff(pointers))
        items = item_part[items_of].astype(np.int64)
        if sets is not None:
            indptr_of, entries = gather(sets[0], items)
            users, items = np.repeat(users, np.diff(indptr_of)), sets[1][entries]
        valid = (users >= 0) & (items >= 0)
        found.add(users[valid].astype(np.int64) * shape[1] + items[valid])
    return found.ascending()
