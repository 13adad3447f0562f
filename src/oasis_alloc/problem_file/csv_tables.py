"""Reads CSV by one set of rules for all frame libraries, whose own readers differ in missing values."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.remote_path import Place
from oasis_alloc.data.partitions import TableFile
from oasis_alloc.errors import InputError

_CHUNK = 50_000  # rows at a time
_WHOLE = frozenset("0123456789+- \t")
_REAL = _WHOLE | frozenset(".eEinfatyINFATY")  # inf, infinity and nan in any case
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_LONGEST = 1 << 27  # characters of a cell; 131,072 by default

Column = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values, and a mask of missing ones."""


class _NotNumbers(Exception):
    """A column that seemed to be of numbers is not."""


def read_csv(parts: Sequence[TableFile]) -> dict[str, Column]:
    """Read a table with a header; several files are one table by the names of columns, with those that folders name.

    Only an empty cell is missing: NA, null, None and blanks are texts. A column has whole numbers if all its cells are
    whole numbers of up to 64 bits, numbers if all are numbers (also inf and nan), booleans if all are true or false,
    and else texts. Repeated names get the number of the column: `plays (column 2)`; several columns without a name are
    left out.

    Raises `InputError` for anything that is not such a table, with the file and the line.
    """
    csv.field_size_limit(_LONGEST)
    names = _names(parts)
    texts: set[int] = set()
    unnamed = names.count("") > 1  # one may be the ids; of several, nobody can name one
    while True:
        columns = [_Column(k in texts) for k in range(len(names))]
        try:
            for rows in _chunks(parts, names):
                for k, cells in enumerate(zip(*rows, strict=True)):
                    if names[k] or not unnamed:
                        columns[k].add(cells, k)
        except _NotNumbers as column:  # read the whole column again as texts
            texts.add(column.args[0])
            continue
        return {name: columns[k].whole() for k, name in enumerate(_distinct(names)) if name or not unnamed}


class _Column:
    """A growing column: whole numbers as long as possible, then numbers, then texts."""

    def __init__(self, text: bool) -> None:
        self._kind: type = str if text else int
        self._values: list[NDArray[Any]] = []
        self._missing: list[NDArray[np.bool_]] = []
        self._known: dict[str, str] = {}  # equal texts are one object, because labels repeat

    def add(self, cells: Sequence[str], number: int) -> None:
        missing = np.fromiter((not cell for cell in cells), np.bool_, len(cells))
        there = [cell for cell in cells if cell] if missing.any() else cells
        if self._kind is not str and not self._numbers(there):
            if any(values.size for values in self._values):
                raise _NotNumbers(number)
            self._kind = str
        if self._kind is str:
            known = self._known
            found: NDArray[Any] = np.empty(len(there), dtype=object)
            found[:] = [known.setdefault(cell, cell) for cell in there]
            self._values.append(found)
        self._missing.append(missing)

    def _numbers(self, cells: Sequence[str]) -> bool:
        """Add the cells as numbers; False if one is not a number."""
        signs = set().union(*cells)
        if not signs <= _REAL:
            return False
        whole = self._kind is int and signs <= _WHOLE
        try:
            values = _integers([int(cell) for cell in cells]) if whole else np.array([float(cell) for cell in cells])
        except (ValueError, OverflowError):  # "1-2"; whole numbers beyond 64 bits, which are ids and not numbers
            return False
        if not self._fits(values):
            return False
        self._kind = int if whole else float
        self._values.append(values)
        return True

    def _fits(self, values: NDArray[Any]) -> bool:
        """False if one column would need negative numbers and unsigned 64-bit numbers."""
        kinds = {array.dtype.kind for array in (*self._values, values) if array.size}
        signed = (array for array in (*self._values, values) if array.size and array.dtype.kind == "i")
        return not ("u" in kinds and "f" not in kinds and min((int(array.min()) for array in signed), default=0) < 0)

    def whole(self) -> Column:
        missing = np.concatenate(self._missing) if self._missing else np.empty(0, np.bool_)
        there = [array for array in self._values if array.size]
        if self._kind is str or not there:
            found = np.concatenate(there) if there else np.empty(0, dtype=object)
            if found.size and self._known.keys() <= _BOOLEAN.keys():
                found = np.array([_BOOLEAN[cell] for cell in found.tolist()], dtype=object)
            values: NDArray[Any] = np.full(missing.size, None, dtype=object)
        else:
            unsigned = {array.dtype.kind for array in there} == {"i", "u"}
            found = np.concatenate([array.astype(np.uint64) if unsigned else array for array in there])
            values = np.zeros(missing.size, found.dtype)
        values[~missing] = found
        return values, missing


def _integers(numbers: list[int]) -> NDArray[Any]:
    """The numbers as signed or unsigned integers; `OverflowError` if they need more than 64 bits."""
    try:
        return np.array(numbers, np.int64)
    except OverflowError:
        return np.array(numbers, np.uint64)


def _header(path: Place) -> list[str]:
    for rows in _rows(path):
        return rows
    raise InputError(f"{path} is empty; expected a line of column names.")


def _names(parts: Sequence[TableFile]) -> list[str]:
    """The columns of all files, in the order of their first header."""
    headers = [_header(part.path) for part in parts]
    names = list(headers[0])
    for part, header in zip(parts, headers, strict=True):
        if header != headers[0]:
            for one, place in ((headers[0], parts[0].path), (header, part.path)):
                if again := next((name for name in one if name and one.count(name) > 1), None):
                    raise InputError(
                        f"{place}: its header has {again!r} twice, so its columns cannot be found by name, and the "
                        f"headers of {parts[0].path} and {part.path} differ."
                    )
            names += [name for name in header if name not in names]
    return names + [name for name in parts[0].values if name not in names]


def _chunks(parts: Sequence[TableFile], names: Sequence[str]) -> Iterator[list[list[str]]]:
    for part in parts:
        path, rows, begin, header = part.path, islice(_rows(part.path), 1, None), 0, _header(part.path)
        width = len(header)
        same = header == list(names[:width])  # then names that a header repeats are different columns
        at = list(range(width)) if same else [header.index(name) if name in header else -1 for name in names]
        rest = [part.values.get(name) or "" if name not in header else "" for name in names]
        while chunk := list(islice(rows, _CHUNK)):
            for k, row in enumerate(chunk):
                if len(row) != width:
                    raise InputError(
                        f"{path}, row {begin + k:,} has {len(row)} cells; expected {width}, as the header has."
                    )
                if same:
                    row += rest[width:]
                else:
                    chunk[k] = [rest[j] if i < 0 else row[i] for j, i in enumerate(at)]
            yield chunk
            begin += len(chunk)


def _rows(path: Place) -> Iterator[list[str]]:
    """The rows of a file, the header first; blank lines are skipped."""
    try:
        with open(str(path), newline="", encoding="utf-8-sig") as file:
            yield from (row for row in csv.reader(file, strict=True) if row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise InputError(f"{path} cannot be read as CSV in UTF-8: {reason}.") from error


def _distinct(names: Sequence[str]) -> list[str]:
    return [f"{name} (column {k + 1})" if name and names.count(name) > 1 else name for k, name in enumerate(names)]


def as_frame(columns: Mapping[str, Column], library: str, module: Any) -> Any:
    """The columns as a frame of pyarrow, polars or pandas."""
    if library == "pyarrow":
        return module.table({name: module.array(values, mask=missing) for name, (values, missing) in columns.items()})
    if library == "polars":
        return module.DataFrame({name: _polars(module, name, *column) for name, column in columns.items()})
    return module.DataFrame({name: _pandas(module, *column) for name, column in columns.items()})


def _polars(module: Any, name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> Any:
    if values.dtype.kind == "O":
        return module.Series(name, values.tolist())
    series = module.Series(name, values)
    if missing.any():
        series = series.set(module.Series(missing), None)
    return series


def _pandas(module: Any, values: NDArray[Any], missing: NDArray[np.bool_]) -> Any:
    if values.dtype.kind in "iu" and missing.any():
        return module.arrays.IntegerArray(values, missing)
    if values.dtype.kind == "f":
        return np.where(missing, np.nan, values)
    return values
