"""Writing tables: Parquet where a library can write it, else CSV with a word about it."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.errors import InputError, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oasis_alloc.candidates import Candidates

_CHUNK = 100_000  # rows turned into Python objects at a time
_WRITERS = ("pyarrow", "polars")  # of Parquet


def best_kind() -> str:
    """`parquet` where a library is installed that writes it, else `csv`."""
    return "parquet" if any(map(importlib.util.find_spec, _WRITERS)) else "csv"


def make_directory(directory: Path) -> None:
    """Make the folder of the answer, or raise `InputError`: better before solving than after."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".oasis-alloc-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{directory}: nothing can be written there ({error.strerror or error}).") from error


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Turn what the system says where a file cannot be written into one message."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def write_allocation(
    candidates: Candidates,
    shown: NDArray[np.int64],
    x: NDArray[np.float64],
    directory: Path,
    kind: str | None,
) -> tuple[Path, str | None]:
    """Write the pairs at `shown`: their ids, the probability `x`, and their columns.

    `kind` is "parquet", "csv", or None for Parquet if it can be written and CSV if not. Returns the file, and
    a note where it is not Parquet because a package is missing.
    """
    values = {"x": x} | {n: c[shown] for n, c in candidates.columns.items() if n != "x"}
    note = None
    if kind is None:
        kind = best_kind()
        if kind == "csv":
            note = 'Written as CSV; for Parquet: pip install "oasis_alloc[cli]"'
    path = directory / f"allocation.{kind}"
    if kind == "csv":
        users, items = candidates.user_of(shown), candidates.item[shown]
        ids = {
            candidates.user_name: users if candidates.user_ids is None else candidates.user_ids[users],
            candidates.item_name: items if candidates.item_ids is None else candidates.item_ids[items],
        }
        write_table(path, ids | values)
    else:  # the frame has ids in the type they came in
        _write_frame(path, candidates.frame(shown, values, backend=_parquet_writer()))
    return path, note


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of equal length as `.parquet` or `.csv`; None in an object column is a null."""
    if path.suffix == ".parquet":
        lists = {n: c.tolist() if c.dtype.kind in "OU" else c for n, c in columns.items()}
        library = _parquet_writer()
        module = require(library, "cli")
        _write_frame(path, module.table(lists) if library == "pyarrow" else module.DataFrame(lists))
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        rows = min(map(len, columns.values()), default=0)
        for start in range(0, rows, _CHUNK):
            chunk = (column[start : start + _CHUNK].tolist() for column in columns.values())
            writer.writerows(zip(*chunk, strict=True))


def _parquet_writer() -> str:
    return next((name for name in _WRITERS if importlib.util.find_spec(name)), _WRITERS[0])


def _write_frame(path: Path, frame: Any) -> None:
    if hasattr(frame, "write_parquet"):
        frame.write_parquet(path)
    else:
        require("pyarrow.parquet", "cli").write_table(frame, path, compression="zstd")
