"""Writing tables: Parquet if a library can write it, else CSV with a note."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.remote_path import Place, replacing_at, write_at
from oasis_alloc.errors import InputError, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oasis_alloc.candidates import Candidates

_CHUNK = 100_000  # rows turned into Python objects at a time
_WRITERS = ("pyarrow", "polars")  # of Parquet


def best_kind() -> str:
    """`parquet` if an installed library can write it, else `csv`."""
    return "parquet" if any(map(importlib.util.find_spec, _WRITERS)) else "csv"


def make_directory(directory: Place) -> None:
    """Make the folder of the answer, or raise `InputError` before solving starts."""
    try:
        if directory.is_file():
            wanted = "expected a directory for the answer, or a path that does not exist yet"
            raise InputError(f"{directory} is a file; {wanted}.")
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / f".oasis-alloc-writable-{os.getpid()}"
        write_at(probe, b"")
        probe.unlink()
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a zero byte in a name is a ValueError
        raise InputError(f"{directory}: cannot write files there ({_reason(error)}).") from error


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


@contextmanager
def written(path: Place) -> Iterator[None]:
    """Turn system errors in writing a file into one message."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write_allocation(
    candidates: Candidates,
    shown: NDArray[np.int64],
    x: NDArray[np.float64],
    directory: Place,
    kind: str | None,
    name: str = "allocation",
) -> tuple[Place, str | None]:
    """Write the pairs at `shown` with the probability `x`; see `write_pairs`."""
    return write_pairs(candidates, shown, {"x": x}, directory, kind, name)


def write_pairs(
    candidates: Candidates,
    shown: NDArray[np.int64],
    answers: Mapping[str, NDArray[Any]],
    directory: Place,
    kind: str | None,
    name: str,
) -> tuple[Place, str | None]:
    """Write the pairs at `shown`: their ids, the columns of `answers`, and their own columns.

    `kind` is "parquet", "csv", or None for Parquet if it can be written and CSV if not. Ids without a Parquet type
    are written as CSV in any case. Returns the file, and a note if it is CSV although Parquet was
    requested. If an id or a column has the name of an answer, `_` is added to that; see `answer_names`.
    """
    names = (candidates.user_name, candidates.item_name)
    of_columns = answer_names(candidates.columns, names)  # an array may be called like the ids; a column of a table not
    called = answer_names(answers, (*names, *of_columns))
    columns = {of_columns[column]: values[shown] for column, values in candidates.columns.items()}
    values = {called[answer]: array for answer, array in answers.items()} | columns
    note = None
    if kind is None:
        kind = best_kind()
        if kind == "csv":
            note = 'Written as CSV; for Parquet, from a checkout of oasis_alloc: pip install ".[cli]"'
    if kind == "parquet":
        try:  # the frame has ids in the type they came in
            frame = candidates.frame(shown, values, backend=_parquet_writer())
        except InputError as error:
            kind, note = "csv", f"Written as CSV: {error}"
        else:
            path = directory / f"{name}.parquet"
            _write_frame(path, frame)
            return path, note
    users, items = candidates.user_of(shown), candidates.item[shown]
    ids = {
        names[0]: users if candidates.user_ids is None else candidates.user_ids[users],
        names[1]: items if candidates.item_ids is None else candidates.item_ids[items],
    }
    path = directory / f"{name}.csv"
    write_table(path, ids | values)
    return path, note


def write_table(path: Place, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of equal length as `.parquet` or `.csv`; None in an object column is a null."""
    if path.name.endswith(".parquet"):
        lists = {n: c.tolist() if c.dtype.kind in "OU" else c for n, c in columns.items()}
        library = _parquet_writer()
        module = require(library, "cli")
        _write_frame(path, module.table(lists) if library == "pyarrow" else module.DataFrame(lists))
        return
    # half of a pair of UTF-16 in an id is written as its escape: no reason to lose the other rows
    with (
        replacing_at(path) as beside,
        beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        rows = min(map(len, columns.values()), default=0)
        for start in range(0, rows, _CHUNK):
            chunk = (column[start : start + _CHUNK].tolist() for column in columns.values())
            writer.writerows(zip(*chunk, strict=True))


def write_text(path: Place, text: str) -> None:
    """Write a text as UTF-8; half of a pair of UTF-16 as its escape."""
    write_at(path, text.encode("utf-8", "backslashreplace"))


def _parquet_writer() -> str:
    return next((name for name in _WRITERS if importlib.util.find_spec(name)), _WRITERS[0])


def _write_frame(path: Place, frame: Any) -> None:
    with replacing_at(path) as beside:
        if hasattr(frame, "write_parquet"):
            frame.write_parquet(beside)
        else:
            require("pyarrow.parquet", "cli").write_table(frame, beside, compression="zstd")
