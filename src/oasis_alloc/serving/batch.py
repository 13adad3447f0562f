"""Scores of many users at once, block by block, into the caller's buffer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.arrays import as_indptr
from oasis_alloc.errors import InputError, did_you_mean
from oasis_alloc.keys import as_vector, frozen
from oasis_alloc.serving.data import Floats, Integers

if TYPE_CHECKING:
    from oasis_alloc.serving.requests import Reader

# Pairs whose scores stay in the cache while column after column is taken off. With smaller blocks there are more calls
# between which a thread waits for the interpreter: at 1 << 15 two threads gain 1.4 times instead of 1.7.
_BLOCK = 1 << 18
_TABLES = 1 << 22  # numbers in tables that are held at once

Column = npt.NDArray[np.floating[Any]]


def score_batch(
    reader: Reader, indptr: object, items: object, columns: object, users: object, out: Floats | None
) -> Floats:
    """See `Policy.score_batch`."""
    from oasis_alloc.kernels import serve

    data, formula = reader.data, reader.formula
    pointers = as_indptr(indptr)
    n_pairs, n_users = int(pointers[-1]), pointers.size - 1
    item = np.asarray(items)
    if item.shape != (n_pairs,) or (item.dtype.kind not in "iu" and n_pairs):
        raise InputError(
            f"items has dtype {item.dtype} and shape {item.shape}; expected ({n_pairs:,},) item numbers, as many as "
            "indptr ends at."
        )
    given = {name: _column(columns, name, n_pairs) for name in data.scored}
    codes, of_user = _users(reader, users, n_users)
    scores = np.empty(n_pairs) if out is None else out
    if scores.shape != (n_pairs,) or scores.dtype != np.float64 or not scores.flags.c_contiguous:
        raise InputError(f"out: expected a contiguous float64 array of shape ({n_pairs:,},).")
    first_of_item = frozen(formula.class_of)
    for begin, end in _chunks(of_user, max(1, _TABLES // formula.size)):
        used, segment = np.unique(of_user[begin:end], return_inverse=True)
        tables = frozen(np.stack([formula.table(tuple(codes[s].tolist())) for s in used]))
        segments = np.zeros(end, np.int64)
        segments[begin:] = segment.reshape(-1)
        for first, last in _blocks(pointers, begin, end):
            a, b = int(pointers[first]), int(pointers[last])
            s = scores[a:b]
            numbers = _numbers(item[a:b], a, data.n_items)
            _blend(data.weights, given, a, b, s)
            wrong = serve.charge(first, last, pointers, numbers, first_of_item, tables, segments, s)
            for k, name in enumerate(data.measured, 1):
                column = _part(given[name], a, b)
                wrong = serve.charge_column(
                    first, last, pointers, numbers, first_of_item, tables, k, column, segments, s
                )
            if wrong:
                _refuse(given, a, b)
    return scores


def _blend(weights: Sequence[tuple[str | None, float]], given: Mapping[str, Column], a: int, b: int, s: Floats) -> None:
    from oasis_alloc.kernels import serve

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
    return frozen(np.ascontiguousarray(column[a:b]))


def _numbers(items: npt.NDArray[Any], first: int, n_items: int) -> npt.NDArray[np.uint32]:
    """Item numbers as uint32, the largest of which stands for unseen."""
    if items.size and (items.max() >= n_items or (items.dtype.kind == "i" and items.min() < -1)):
        at = int(np.argmax((items >= n_items) | (items < -1 if items.dtype.kind == "i" else False)))
        raise InputError(
            f"items: entry {first + at:,} is {items[at]}; expected numbers in [0, {n_items:,}), or -1 for unseen."
        )
    return frozen(np.ascontiguousarray(items).astype(np.uint32, copy=False))


def _column(columns: object, name: str, n_pairs: int) -> Column:
    if not isinstance(columns, Mapping) or name not in columns:
        known = list(columns) if isinstance(columns, Mapping) else []
        raise InputError(f"columns: {name!r} is missing.{did_you_mean(name, known)}")
    column = np.asarray(columns[name])
    if column.shape != (n_pairs,) or column.dtype.kind not in "biuf":
        raise InputError(
            f"columns[{name!r}] has dtype {column.dtype} and shape {column.shape}; expected ({n_pairs:,},) numbers."
        )
    if column.dtype in (np.float32, np.float64):
        return column
    return column.astype(np.float64)


def _users(reader: Reader, users: object, n_users: int) -> tuple[npt.NDArray[np.int32], Integers]:
    """(distinct codes of users, which of them each user has)."""
    data = reader.data
    if users is None:
        return np.full((1, len(data.user_keys)), -1, np.int32), np.zeros(n_users, np.int64)
    if isinstance(users, Mapping):
        parts = []
        for key in users:
            if key not in data.user_keys:
                raise InputError(f"users: no price depends on a key {key!r}.{did_you_mean(key, data.user_keys)}")
        for key in data.user_keys:
            labels = as_vector(users[key], f"users[{key!r}]").tolist() if key in users else [None] * n_users
            if len(labels) != n_users:
                raise InputError(f"users[{key!r}] has {len(labels):,} labels; expected {n_users:,}, one a user.")
            parts.append([reader.code(key, label) for label in labels])
        rows = np.array(parts, np.int32).reshape(len(parts), n_users).T
        if not parts:
            return np.zeros((1, 0), np.int32), np.zeros(n_users, np.int64)
        found, of_user = np.unique(rows, axis=0, return_inverse=True)
        return found.astype(np.int32), of_user.reshape(-1).astype(np.int64)
    numbers = np.asarray(users)
    if numbers.shape != (n_users,) or numbers.dtype.kind not in "iu":
        raise InputError(f"users: expected ({n_users:,},) user numbers of the solve, or {{key: labels}}.")
    if data.segment_of_user is None:
        raise InputError("users: this policy does not know users by number; pass {key: labels}.")
    if numbers.size and (numbers.min() < 0 or numbers.max() >= data.n_users):
        raise InputError(f"users: from {numbers.min()} to {numbers.max()}; expected numbers in [0, {data.n_users:,}).")
    return data.segments, data.segment_of_user[numbers].astype(np.int64)


def _chunks(of_user: Integers, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of users who are of at most so many segments."""
    n = of_user.size
    if n and int(of_user.max()) < most:
        yield 0, n
        return
    for first in range(0, n, most):
        yield first, min(first + most, n)


def _blocks(indptr: Integers, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Ranges of users with about so many pairs."""
    first = begin
    while first < end:
        last = int(np.searchsorted(indptr, indptr[first] + _BLOCK, side="right")) - 1
        last = min(max(last, first + 1), end)
        yield first, last
        first = last


def _refuse(given: Mapping[str, Column], a: int, b: int) -> None:
    for name, column in given.items():
        bad = np.flatnonzero(~np.isfinite(column[a:b]))
        if bad.size:
            at = a + int(bad[0])
            raise InputError(f"columns[{name!r}]: pair {at:,} is {column[at]}; expected finite numbers.")
    raise InputError(f"pairs {a:,} to {b:,}: a score is beyond float64; expected smaller numbers in columns.")
