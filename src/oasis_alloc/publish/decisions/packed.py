"""Decisions on their way to the disk: one tuple of bytes each, of which thousands together become an Arrow table.

Packing is what a request waits for, so arrays become bytes, which is three times as fast as a copy of an array. The
rest is done by column: the bytes of thousands of rows are joined and read as one array.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy import ndarray

from oasis_alloc.common.documents import jsonable
from oasis_alloc.errors import require
from oasis_alloc.publish.decisions.schema import arrow_schema, hashed

Packed = tuple[Any, ...]
Labels = tuple[tuple[str, Any], ...]
_MOST = 10_000  # distinct labels that are shared
_NOTHING = type(None)
_DOUBLE, _LONG = np.dtype(np.float64), np.dtype(np.int64)
(
    _REQUEST, _TIME, _POLICY, _ORGANIC, _MODE, _USER, _LABELS, _ITEMS, _NAMES, _SCORES, _SLATE, _PROPENSITIES, _K,
    _PINNED, _EXCLUDED, _FIRST,
) = range(16)  # fmt: skip
"""Places in a packed decision; the numbers of its columns begin at the last one."""


class Interned:
    """Equal names of columns, and equal labels, as one object each.

    What waits in a queue is then one object per decision for the garbage collector, which otherwise interrupts one
    request of a hundred. Only labels that are texts are shared, because 1, 1.0 and True are equal.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._labels: dict[Labels, Labels] = {}

    def names(self, columns: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the columns of a request."""
        given = tuple(columns)
        found = self._names.get(given)
        if found is None:
            found = _kept(self._names, given)
        return found

    def labels(self, labels: Mapping[str, Any]) -> Labels:
        """The labels of a user."""
        given = tuple(labels.items())
        try:
            found = self._labels.get(given)
        except TypeError:  # a label that is a list
            return given
        if found is None:
            texts = all(isinstance(label, str) for _, label in given)
            found = _kept(self._labels, given) if texts else given
        return found


def _kept(known: dict[Any, Any], given: Any) -> Any:
    if len(known) >= _MOST:
        known.clear()
    known[given] = given
    return given


def numbers(values: Any) -> Any:
    """The bytes of float64 numbers; the error for values that are not numbers, which is raised when they are written.

    >>> numbers([0.5]) == numbers(np.array([0.5], np.float32)) == np.float64(0.5).tobytes()
    True
    """
    if type(values) is ndarray and values.dtype is _DOUBLE:
        return values.tobytes()
    return _converted(values, _DOUBLE)


def places(values: Any) -> Any:
    """The bytes of whole numbers, as int64; the error for other values."""
    if type(values) is ndarray and values.dtype is _LONG:
        return values.tobytes()
    return _converted(values, _LONG)


def ids(values: Any) -> Any:
    """The bytes of whole numbers, a tuple of texts, or the error for other values."""
    if type(values) is ndarray and values.dtype is _LONG:
        return values.tobytes()
    listed = values.tolist() if isinstance(values, ndarray) else list(values)
    return tuple(map(str, listed)) if listed and isinstance(listed[0], str) else _converted(listed, _LONG)


def _converted(values: Any, dtype: np.dtype[Any]) -> Any:
    try:
        found = np.asarray(values)
        if not found.size:
            return b""
        if dtype is _LONG and found.dtype.kind not in "iu":
            raise TypeError(f"expected whole numbers, got {found.dtype}")
        if found.dtype == np.uint64 and found.max() > np.iinfo(np.int64).max:
            raise OverflowError(f"{found.max()} is above {np.iinfo(np.int64).max}")
        return found.astype(dtype, casting="same_kind", copy=False).tobytes()
    except Exception as error:
        return error


def table_of(rows: Sequence[Packed], secret: bytes | None, rate: float) -> Any:
    """The Arrow table of packed decisions; raises what is wrong with one of them."""
    pa = require("pyarrow", "parquet")
    n, schema = len(rows), arrow_schema()
    if len(set(map(len, rows))) == 1:
        cells = list(zip(*rows, strict=True))
        values = list(chain.from_iterable(zip(*cells[_FIRST:], strict=True)))
    else:  # requests with fewer columns
        cells = list(zip(*(row[:_FIRST] for row in rows), strict=True))
        values = list(chain.from_iterable(row[_FIRST:] for row in rows))
    items, texts, excluded = cells[_ITEMS], None, cells[_EXCLUDED]
    if tuple in set(map(type, items)):
        texts = [list(cell) if type(cell) is tuple else None for cell in items]
        items = tuple(None if type(cell) is tuple else cell for cell in items)
    users = None
    if secret is not None and _some(cells[_USER]):
        users = [None if user is None else hashed(user, secret) for user in cells[_USER]]
    if _some(excluded):
        out = [places(list(one)) if one else b"" for one in excluded]
        reasons = pa.array([list(one.values()) if one else [] for one in excluded], pa.list_(pa.string()))
    else:
        out, reasons = [b""] * n, pa.repeat(pa.scalar([], pa.list_(pa.string())), n)
    columns = {
        "request": pa.array(cells[_REQUEST], pa.string()),
        "time": pa.array(np.array(cells[_TIME], np.float64)),
        "policy_id": _text(pa, cells[_POLICY]),
        "mode": _text(pa, cells[_MODE]),
        "user": pa.nulls(n, pa.string()) if users is None else pa.array(users, pa.string()),
        "labels": _text(pa, _labels(cells[_LABELS])),
        "items": _lists(pa, items, _LONG, pa.int64()),
        "ids": pa.nulls(n, pa.list_(pa.string())) if texts is None else pa.array(texts, pa.list_(pa.string())),
        "columns": _maps(pa, cells[_NAMES], values),
        "scores": _lists(pa, cells[_SCORES], _DOUBLE, pa.float64()),
        "organic": _text(pa, cells[_ORGANIC]),
        "slate": _lists(pa, cells[_SLATE], _LONG, pa.int32()),
        "propensities": _lists(pa, cells[_PROPENSITIES], _DOUBLE, pa.float64()),
        "k": pa.array(cells[_K], pa.int32()),
        "pinned": _lists(pa, cells[_PINNED], _LONG, pa.int32()),
        "excluded": _lists(pa, out, _LONG, pa.int32()),
        "reasons": reasons,
        "rate": pa.array(np.full(n, rate)),
    }
    return pa.table(columns, schema=schema)


def in_slices(
    rows: Sequence[Packed], secret: bytes | None, rate: float, size: int, pause: Callable[[], object]
) -> tuple[Any, list[Exception]]:
    """(table of all rows that can be written, the errors of the others), made of `size` rows at a time.

    `pause` is called between two slices, so that other threads get the interpreter.
    """
    tables, errors = [table_of_none()], []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        try:
            tables.append(table_of(part, secret, rate))
        except Exception:  # one of them: find it
            for row in part:
                try:
                    tables.append(table_of([row], secret, rate))
                except Exception as error:
                    errors.append(error)
        pause()
    return require("pyarrow", "parquet").concat_tables(tables).combine_chunks(), errors


def table_of_none() -> Any:
    """The table of no decisions."""
    return arrow_schema().empty_table()


def _text(pa: Any, cells: Sequence[str | None]) -> Any:
    """Texts, which are mostly the same one."""
    first = cells[0]
    if cells.count(first) == len(cells):
        return pa.repeat(pa.scalar(first, pa.string()), len(cells))
    return pa.array(cells, pa.string())


def _some(cells: Sequence[Any]) -> bool:
    """Whether one of them is not None."""
    return set(map(type, cells)) != {_NOTHING}


def _labels(cells: Sequence[Labels | None]) -> Sequence[str | None]:
    """The JSON of labels; where labels are texts, that of equal ones is made once."""
    try:
        known = dict.fromkeys(cells)
        if not all(isinstance(label, str) for cell in known if cell for _, label in cell):
            raise TypeError  # 1, 1.0 and True are equal
    except TypeError:  # a label that is a list
        return [_json(cell) for cell in cells]
    written = {cell: _json(cell) for cell in known}
    return list(map(written.__getitem__, cells))


def _json(cell: Labels | None) -> str | None:
    return json.dumps(jsonable(dict(cell))) if cell else None


def _lists(pa: Any, cells: Sequence[Any], dtype: np.dtype[Any], kind: Any) -> Any:
    """Lists of numbers from their bytes, None for null."""
    given, types = cells, set(map(type, cells))
    if types - {bytes, _NOTHING}:
        raise next(cell for cell in cells if isinstance(cell, Exception))
    if _NOTHING in types:
        if len(types) == 1:
            return pa.nulls(len(cells), pa.list_(kind))
        given = [b"" if cell is None else cell for cell in cells]
    sizes = np.fromiter(map(len, given), np.int64, len(given)) // dtype.itemsize
    ends = np.concatenate([[0], np.cumsum(sizes)])
    values = np.frombuffer(b"".join(given), dtype)
    narrow = np.dtype(kind.to_pandas_dtype())
    if narrow != dtype and values.size and np.abs(values).max() > np.iinfo(narrow).max:
        raise OverflowError(f"positions from {values.min()} to {values.max()}")
    mask = None if _NOTHING not in types else pa.array([cell is None for cell in cells])
    values = pa.array(values.astype(narrow, copy=False), kind)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values, mask=mask)


def _maps(pa: Any, names: Sequence[tuple[str, ...]], values: Sequence[bytes]) -> Any:
    """{name: numbers} of each row; `values` are those of the first row, of the second, and so on."""
    number: dict[str, int] = {}
    of_names = {one: [number.setdefault(name, len(number)) for name in one] for one in dict.fromkeys(names)}
    ends = np.concatenate([[0], np.cumsum(np.fromiter(map(len, names), np.int64, len(names)))])
    places_of = np.fromiter(chain.from_iterable(map(of_names.__getitem__, names)), np.int32, int(ends[-1]))
    keys = pa.array(list(number), pa.string()).take(pa.array(places_of))
    lists = _lists(pa, values, _DOUBLE, pa.float64())
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, lists)
