"""Scores of many users at once, block by block, into the caller's buffer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_buffer
from oasis_alloc.common.csr import blocks
from oasis_alloc.common.labels import as_listed
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.coded import decoded
from oasis_alloc.data.keys import as_vector
from oasis_alloc.data.validation import as_column, as_indptr, by_name
from oasis_alloc.errors import InputError
from oasis_alloc.serving.request.reader import User

if TYPE_CHECKING:
    from oasis_alloc.serving.formula import Formula
    from oasis_alloc.serving.request.reader import RequestReader

# Pairs whose scores stay in the cache while columns are subtracted one by one. Smaller blocks need more calls, between
# which a thread waits for the interpreter: at 1 << 15 two threads gain 1.4 times instead of 1.7.
_BLOCK = 1 << 18
_TABLES = 1 << 22  # numbers in tables that are held at once

Column = npt.NDArray[np.floating[Any]]
Tables = npt.NDArray[np.float64]  # (n_tables, K + 1, n_classes)


class Users(NamedTuple):
    """The users of a batch: the distinct kinds of users, and the kind and slate size of each user."""

    codes: npt.NDArray[np.int32]  # (n_kinds, n_keys)
    kind: Ints  # (n_users,)
    sizes: Ints  # (n_users,) of their slates
    min_sizes: Ints


class Batch(NamedTuple):
    """The candidates of many users, with all checks that need no pass over the pairs."""

    pointers: Ints
    items: npt.NDArray[Any]
    columns: dict[str, Column]
    users: Users


def read(
    reader: RequestReader, indptr: object, items: object, columns: object, names: Sequence[str], users: object
) -> Batch:  # fmt: skip
    """Check the arguments of a call for many users; `names` are the columns that it reads."""
    pointers = as_indptr(indptr)
    n_pairs = int(pointers[-1])
    item = np.asarray(items)
    if item.shape != (n_pairs,) or (item.dtype.kind not in "iu" and n_pairs):
        raise InputError(
            f"items has dtype {item.dtype} and shape {item.shape}; expected ({n_pairs:,},) item numbers, as many as "
            "indptr ends at."
        )
    given = {name: column_of(columns, name, n_pairs) for name in names}
    who = _users(reader, users, pointers.size - 1)
    if (calibrator := reader.formula.calibrator) is not None:
        for name in calibrator.names & given.keys():
            if not np.isfinite(given[name]).all():
                refuse({name: given[name]}, 0, n_pairs)
        given = calibrator.batch(given, pointers, item_numbers(item, 0, reader.data.n_items), who.codes, who.kind)
    return Batch(pointers, item, given, who)


def buffer(out: Floats | None, n_pairs: int, name: str = "out") -> Floats:
    """The caller's array for scores, checked, or a new one."""
    scores = np.empty(n_pairs) if out is None else out
    return as_buffer(scores, np.float64, (n_pairs,), name=name)


def score_batch(
    reader: RequestReader, indptr: object, items: object, columns: object, users: object, out: Floats | None
) -> Floats:
    """See `Policy.score_batch`."""
    from oasis_alloc.kernels.serve import score as serve

    data, formula = reader.data, reader.formula
    pointers, item, given, who = read(reader, indptr, items, columns, data.scored, users)
    scores = buffer(out, int(pointers[-1]))
    first_of_item = readonly(formula.class_of)
    for begin, end, tables, segments in kinds(formula, who):
        for first, last in blocks(pointers, begin, end, _BLOCK):
            a, b = int(pointers[first]), int(pointers[last])
            s = scores[a:b]
            numbers = readonly(item_numbers(item[a:b], a, data.n_items).astype(np.uint32, copy=False))
            _blend(data.weights, given, a, b, s)
            pairs = pointers, numbers
            wrong = serve.charge(first, last, pairs, first_of_item, (tables, segments, 0), None, s)
            for k, name in enumerate(data.measured, 1):
                column = _part(given[name], a, b)
                wrong = serve.charge(first, last, pairs, first_of_item, (tables, segments, k), column, s)
            if wrong:
                refuse(given, a, b)
    return scores


def _blend(weights: Sequence[tuple[str | None, float]], given: Mapping[str, Column], a: int, b: int, s: Floats) -> None:
    from oasis_alloc.kernels.serve import score as serve

    if len(weights) == 1 and weights[0][0] is not None and weights[0][1] == 1.0:
        s[:] = given[weights[0][0]][a:b]
        return
    s[:] = 0.0
    for name, weight in weights:
        if name is None:
            s += weight
        else:
            serve.add(0, b - a, weight, _part(given[name], a, b), s)


def _part(column: Column, a: int, b: int) -> Column:
    return readonly(np.ascontiguousarray(column[a:b]))


def item_numbers(items: npt.NDArray[Any], first: int, n_items: int) -> npt.NDArray[Any]:
    """Contiguous item numbers, -1 for unseen."""
    if items.size and (items.max() >= n_items or (items.dtype.kind == "i" and items.min() < -1)):
        at = int(np.argmax((items >= n_items) | (items < -1 if items.dtype.kind == "i" else False)))
        raise InputError(
            f"items: entry {first + at:,} is {items[at]}; expected numbers in [0, {n_items:,}), or -1 for unseen."
        )
    return np.ascontiguousarray(items)


def column_of(columns: object, name: str, n_pairs: int) -> Column:
    named = by_name(columns)
    if named is None:
        raise InputError(f"columns is {type(columns).__name__}; expected {{name: (n_pairs,) numbers}}.")
    if name not in named:
        raise InputError(f"columns: {name!r} is missing.{did_you_mean(name, named)}")
    column = np.asarray(decoded(named[name]))
    if column.dtype.kind == "O" and column.ndim == 1:
        column = as_column(f"columns[{name!r}]", column, column.size)
    if column.shape != (n_pairs,) or column.dtype.kind not in "biuf":
        raise InputError(
            f"columns[{name!r}] has dtype {column.dtype} and shape {column.shape}; expected ({n_pairs:,},) numbers."
        )
    if column.dtype in (np.float32, np.float64):
        return column
    return column.astype(np.float64)


def _users(reader: RequestReader, users: object, n_users: int) -> Users:
    data, rule = reader.data, reader.data.slate
    sizes, min_sizes = np.full(n_users, rule.size), np.full(n_users, rule.at_least)
    if users is None:
        return Users(np.full((1, len(data.user_keys)), -1, np.int32), np.zeros(n_users, np.int64), sizes, min_sizes)
    if (labels := by_name(users)) is not None:
        return Users(*_labeled(reader, labels, n_users), sizes, min_sizes)
    if isinstance(users, Sequence) and users and isinstance(users[0], User):
        return _known(reader, users, n_users)
    numbers = np.asarray(users)
    if numbers.shape != (n_users,) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"users: expected ({n_users:,},) user numbers of the solve, {{key: labels}}, or a list of policy.user(...)."
        )
    if data.segment_of_user is None:
        raise InputError("users: this policy does not know users by number; pass {key: labels}.")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= data.n_users):
        raise InputError(f"users: from {numbers.min()} to {numbers.max()}; expected numbers in [0, {data.n_users:,}).")
    sizes = sizes if rule.size_by_user is None else rule.size_by_user[numbers]
    min_sizes = min_sizes if rule.at_least_by_user is None else rule.at_least_by_user[numbers]
    return Users(data.segments, data.segment_of_user[numbers].astype(np.int64), sizes, min_sizes)


def _labeled(
    reader: RequestReader, users: Mapping[Any, Any], n_users: int
) -> tuple[npt.NDArray[np.int32], Ints]:  # fmt: skip
    data, parts = reader.data, []
    reader.check_user_keys("users", users)
    for key in data.user_keys:
        labels = as_listed(as_vector(users[key], f"users[{key!r}]")) if key in users else [None] * n_users
        if len(labels) != n_users:
            raise InputError(f"users[{key!r}] has {len(labels):,} labels; expected {n_users:,}, one per user.")
        parts.append(reader.codes(key, labels))
    if not parts:
        return np.zeros((1, 0), np.int32), np.zeros(n_users, np.int64)
    rows = np.array(parts, np.int32).reshape(len(parts), n_users).T
    found, kind = np.unique(rows, axis=0, return_inverse=True)
    return found.astype(np.int32), kind.reshape(-1).astype(np.int64)


def _known(reader: RequestReader, users: Sequence[User], n_users: int) -> Users:
    """Users from `policy.user`."""
    if len(users) != n_users:
        raise InputError(f"users: {len(users):,} of policy.user(...); expected {n_users:,}, as many as indptr has.")
    if set(map(type, users)) != {User}:
        other = next(user for user in users if not isinstance(user, User))
        raise InputError(f"users: {other!r} is in a list of policy.user(...); expected those alone.")
    known = [reader.user(user) for user in dict.fromkeys(users)]
    place = {user: k for k, user in enumerate(known)}
    which = np.array([place[user] for user in users])
    codes = np.array([user.codes for user in known], np.int32).reshape(len(known), -1)
    sizes, min_sizes = np.array([(user.size, user.at_least) for user in known]).T
    return Users(codes, which, sizes[which], min_sizes[which])


def kinds(formula: Formula, users: Users) -> Iterator[tuple[int, int, Tables, Ints]]:
    """(first, last, tables of prices, (n_users,) table of each user), of as many users as tables are held at once."""
    n, max_tables = users.kind.size, max(1, _TABLES // formula.size)
    for first in range(0, n, n if len(users.codes) <= max_tables else max_tables):
        last = n if len(users.codes) <= max_tables else min(first + max_tables, n)
        used, place = np.zeros(1, np.int64), np.zeros(last - first, np.int64)
        if len(users.codes) > 1:
            used, place = np.unique(users.kind[first:last], return_inverse=True)
        tables, numbers = formula.tables([tuple(codes) for codes in users.codes[used].tolist()])
        segments = np.zeros(last, np.int64)
        segments[first:] = np.asarray(numbers)[place.reshape(-1)]
        yield first, last, tables, segments


def refuse(given: Mapping[str, Column], a: int, b: int) -> NoReturn:
    """Raise the error for the wrong pair among a <= p < b."""
    for name, column in given.items():
        bad = np.flatnonzero(~np.isfinite(column[a:b]))
        if bad.size:
            at = a + int(bad[0])
            raise InputError(f"columns[{name!r}]: pair {at:,} is {column[at]}; expected finite numbers.")
    raise InputError(f"pairs {a:,} to {b:,}: a score is beyond float64; expected smaller numbers in columns.")
