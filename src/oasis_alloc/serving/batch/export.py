"""Boosts and slates of all users as a Parquet file, for a key-value store to load."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.arrays import objects
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.csr import blocks
from oasis_alloc.common.remote_path import AnyPath, as_place, replacing_at
from oasis_alloc.errors import InputError, require
from oasis_alloc.serving.batch.scores import column_of

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.data.keys import Key
    from oasis_alloc.serving.batch.batched import Batched

ANSWERS = ("boost", "score", "rank")
ROWS = 1 << 17  # pairs of a row group, about
_BYTES = 200  # of a pair while its row is made

_Pairs = Callable[[int, int], tuple[Any, dict[str, Any]]]  # the items and columns of the pairs begin:end


def to_parquet(policy: Batched, encode: Callable[[Any], Any], candidates: Candidates, path: AnyPath) -> int:
    """See `Policy.to_parquet`."""
    pa, pq = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    writer, written = None, 0
    parts = answers_by_part(policy, encode, candidates, ROWS)
    with closing(parts), replacing_at(as_place(path)) as beside:
        try:
            for _, _, rows in parts:
                table = pa.table(rows)
                writer = writer or pq.ParquetWriter(str(beside), table.schema, write_page_checksum=True)
                writer.write_table(table)
                written += table.num_rows
        finally:
            if writer is not None:
                writer.close()
    return written


def answers_by_part(
    policy: Batched, encode: Callable[[Any], Any], candidates: Candidates, pairs_at_once: int,
    users: tuple[int, int] | None = None,
) -> Generator[tuple[int, int, dict[str, Any]]]:  # fmt: skip
    """(first user, last user + 1, columns of their pairs): ids, boost, score and rank, some pairs at a time.

    `users` are the first and one after the last of those that are wanted; None takes all.
    """
    wanted, data = check_candidates(policy, candidates), policy.data
    ids = candidates.item_ids
    numbers = encode(np.arange(candidates.n_items) if ids is None else ids)
    labels = {key: _labels(candidates.users[key]) for key in data.user_keys}
    names = answer_names(ANSWERS, (candidates.user_name, candidates.item_name))
    first, end = (0, candidates.n_users) if users is None else users
    with _reading(candidates, wanted, pairs_at_once) as (pairs, rows):
        for a, b in blocks(candidates.indptr, first, end, rows):
            yield a, b, _rows(policy, candidates, pairs, numbers, labels, a, b, names)


def check_candidates(policy: Batched, candidates: object) -> list[str]:
    """The columns that scores need; `InputError` if candidates lack one of them, or a key of users."""
    from oasis_alloc.candidates import Candidates

    if not isinstance(candidates, Candidates):
        raise InputError(f"candidates: expected oa.Candidates, got {type(candidates).__name__}.")
    data = policy.data
    for key in data.user_keys:
        if key not in candidates.users:
            raise InputError(f"candidates: the users have no key {key!r}, which prices depend on.")
    wanted = list(dict.fromkeys((*data.columns, data.organic)))
    for name in wanted:
        if name not in candidates.columns:
            raise InputError(f"candidates: the column {name!r} is missing.{candidates.no_column(name)}")
    return wanted


@contextmanager
def _reading(candidates: Candidates, names: list[str], most: int) -> Iterator[tuple[_Pairs, int]]:
    """A reader of pairs in order, and the number of pairs at a time: for files, within the memory limit."""
    if (stream := candidates.stream) is None:
        yield lambda a, b: (candidates.item[a:b], {name: candidates.request_columns[name][a:b] for name in names}), most
        return
    with stream.read([stream.item, *names]) as reader:
        rows = min(most, max(1, (stream.budget.limit - stream.budget.held) // _BYTES))
        stream.budget.take(reader, rows * _BYTES)

        def pairs(a: int, b: int) -> tuple[Any, dict[str, Any]]:
            found = reader.between(a, b)
            return found.pop(stream.item), found

        yield pairs, rows


def _rows(
    policy: Batched,
    candidates: Candidates,
    pairs: _Pairs,
    numbers: Any,
    labels: dict[str, Any],
    first: int,
    last: int,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """The pairs of users first <= u < last: ids, boost, score, place in the slate (-1 where not shown)."""
    a, b = int(candidates.indptr[first]), int(candidates.indptr[last])
    rule, (item, columns) = policy.data.slate, pairs(a, b)
    has_numbers = rule.size_by_user is not None or rule.at_least_by_user is not None
    by_number = has_numbers and policy.data.n_users == candidates.n_users
    users = np.arange(first, last) if by_number else {key: of[first:last] for key, of in labels.items()}
    indptr, score = candidates.indptr[first : last + 1] - a, np.empty(b - a)
    organic = column_of(columns, policy.data.organic, b - a)
    slates = policy.select_batch(indptr, numbers[item], columns, users, scores=score)
    rank = np.full(b - a, -1, np.int32)
    row, place = np.nonzero(slates >= 0)
    rank[slates[row, place]] = place
    user_of = np.repeat(np.arange(first, last), np.diff(candidates.indptr[first : last + 1]))
    ids = candidates.user_ids
    item = item.astype(np.int64, copy=False)
    return {
        candidates.user_name: _plain(user_of if ids is None else ids[user_of]),
        candidates.item_name: _plain(item if candidates.item_ids is None else candidates.item_ids[item]),
        names["boost"]: score - organic,
        names["score"]: score,
        names["rank"]: rank,
    }


def _labels(key: Key) -> Any:
    """(n_users,) the label of every user, None without a label."""
    return objects([*key.labels.tolist(), None])[key.codes]  # -1 reads the last one


def _plain(ids: Any) -> Any:
    return ids.tolist() if ids.dtype.kind in "OUS" else ids
