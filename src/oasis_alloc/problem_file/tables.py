"""Tables read from Parquet and CSV, files and folders of them, with whichever frame library is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oasis_alloc.common.files import kind_of_file, plainly, reason_of
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.data.doubled import told_apart
from oasis_alloc.data.partitions import PARQUET, TableFile, parts_of, typed
from oasis_alloc.errors import InputError, MissingDependencyError, require
from oasis_alloc.problem_file.csv_tables import as_frame, read_csv

_LIBRARIES = ("pyarrow", "polars", "pandas")
_CSV = (".csv",)
_WANTED = "expected a file whose name ends in .parquet or .csv, or a folder of such files."


def read_table(path: Path) -> Any:
    """Read a table as a pyarrow, polars or pandas frame, the first that is installed.

    `path` is a file that ends in `.parquet` or `.csv`, or a folder of such files in the layout of Spark, Dask,
    polars or pyarrow (see `data/partitions.py`). An index written by pandas is a column, which candidates leave out.

    Raises `InputError` if it is missing, of another kind, or cannot be read, and
    `MissingDependencyError` if no installed library can read it.
    """
    parts, kind = _found(path)
    library = next((name for name in _LIBRARIES if importlib.util.find_spec(name)), "pyarrow")
    if library == "pandas" and kind == PARQUET:  # pandas reads Parquet only with pyarrow
        library = "pyarrow"
    module = require(library, "cli")
    if kind == _CSV:
        return as_frame(read_csv(parts), library, module)
    try:
        return _parquet(library, parts)
    except (InputError, MissingDependencyError):
        raise
    except Exception as error:  # every library has its own errors for files with a wrong extension
        raise InputError(f"{path}: {library} cannot read it: {str(error).strip()}") from error


def _found(path: Path) -> tuple[list[TableFile], tuple[str, ...]]:
    """The files of the table, and their kind by the ends of their names."""
    ending = path.suffix.lower()
    kind = _CSV if ending in _CSV else PARQUET
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.exists():
            there = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
            hint = did_you_mean(path.name, [plainly(name) for name in there]) if there else ""
            kinds = "" if ending in (*_CSV, *PARQUET) else f" E{_WANTED[1:]}"
            raise InputError(f"{plainly(path)}: there is no such file or folder.{kinds}{hint}")
        if not path.is_file():
            raise InputError(f"{plainly(path)} is {kind_of_file(path)}; expected a file or a folder of files.")
        if ending not in (*_CSV, *PARQUET):
            raise InputError(f"{plainly(path)}: {_WANTED}")
    except (OSError, ValueError) as error:  # a name that is too long, a folder without permission
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be accessed ({reason_of(error)}).") from error
    return [TableFile(path, {})], kind


def _of_folder(path: Path) -> tuple[list[TableFile], tuple[str, ...]]:
    """The files of a folder, which are all of one kind."""
    found: dict[tuple[str, ...], list[TableFile]] = {}
    nothing: InputError | None = None
    for kind in (PARQUET, _CSV):
        try:
            found[kind] = parts_of(path, kind)
        except InputError as error:
            nothing = nothing or error
    if len(found) > 1:
        first = " and ".join(f"{len(parts):,} such as {plainly(parts[0].path.name)}" for parts in found.values())
        raise InputError(
            f"{plainly(path)} has files of two kinds: {first}; expected Parquet files or CSV files, not both. Name one "
            "file, or move those of one kind to another folder."
        )
    for only, parts in found.items():
        return parts, only
    raise nothing or InputError(f"{plainly(path)} has no files.")


def _of_folders(parts: Sequence[TableFile]) -> dict[str, list[Any]]:
    """The columns that the names of folders make: a value for every file."""
    return {name: typed([part.values[name] for part in parts]) for name in parts[0].values}


def _parquet(library: str, parts: Sequence[TableFile]) -> Any:
    of_folders = _of_folders(parts)
    frames = []
    for k, part in enumerate(parts):
        try:
            frame = _PARQUET[library](str(part.path))
        except Exception as error:
            raise InputError(f"{part.path}: {library} cannot read it: {str(error).strip()}") from error
        values = {name: column[k] for name, column in of_folders.items()}
        frames.append(_CONSTANTS[library](frame, values))
    return frames[0] if len(frames) == 1 else _JOINED[library](frames)


def _pyarrow_parquet(path: str) -> Any:
    pa = require("pyarrow", "cli")
    with pa.OSFile(path) as file:  # a path would have folders on the way read as columns, by other rules
        return told_apart(require("pyarrow.parquet", "cli").ParquetFile(file).read())  # reads columns of one name, too


def _polars_parquet(path: str) -> Any:
    pl = require("polars", "cli")
    return pl.read_parquet(path, hive_partitioning=False, glob=False)


def _pyarrow_constants(table: Any, values: dict[str, Any]) -> Any:
    pa = require("pyarrow", "cli")
    for name, value in values.items():
        if name not in table.column_names:
            column = pa.nulls(len(table)) if value is None else pa.repeat(value, len(table))
            table = table.append_column(name, column)
    return table


def _polars_constants(frame: Any, values: dict[str, Any]) -> Any:
    pl = require("polars", "cli")
    return frame.with_columns(**{name: pl.lit(value) for name, value in values.items() if name not in frame.columns})


def _pyarrow_joined(tables: list[Any]) -> Any:
    """One table of all rows. Texts may be dictionaries or views in some files and plain in others."""
    pa = require("pyarrow", "cli")
    types: dict[str, set[Any]] = {}
    for field in (field for table in tables for field in table.schema):
        types.setdefault(field.name, set()).add(field.type)

    def plain(table: Any) -> Any:
        for at, field in enumerate(table.schema):
            if len(types[field.name]) > 1:
                kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
                kind = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(kind, kind)
                if kind != field.type:
                    table = table.set_column(at, field.name, table.column(at).cast(kind))
        return table

    return pa.concat_tables([plain(table) for table in tables], promote_options="permissive")


def _polars_joined(frames: list[Any]) -> Any:
    """The same; categories of different files are different types."""
    pl = require("polars", "cli")
    types: dict[str, set[Any]] = {}
    for name, kind in (column for frame in frames for column in frame.schema.items()):
        types.setdefault(name, set()).add(kind)
    mixed = {name: kinds for name, kinds in types.items() if len(kinds) > 1}
    coded = [name for name, kinds in mixed.items() if any(kind in (pl.Categorical, pl.Enum) for kind in kinds)]
    texts = [
        frame.with_columns(pl.col(name).cast(pl.String) for name in coded if name in frame.columns) for frame in frames
    ]
    return pl.concat(texts, how="diagonal_relaxed")


_PARQUET = {"pyarrow": _pyarrow_parquet, "polars": _polars_parquet}
_CONSTANTS = {"pyarrow": _pyarrow_constants, "polars": _polars_constants}
_JOINED = {"pyarrow": _pyarrow_joined, "polars": _polars_joined}
