"""Tables read from Parquet and CSV, files and folders of them, with whichever frame library is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from oasis_alloc.common.files import kind_of_file, plainly, reason_of
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.data.doubled import told_apart
from oasis_alloc.data.partitions import PARQUET, TableFile, parts_of, typed
from oasis_alloc.errors import InputError, MissingDependencyError, require
from oasis_alloc.problem_file.csv_tables import as_frame, read_csv

_LIBRARIES = ("pyarrow", "polars", "pandas")
_CSV = (".csv",)
_NUMBER, _TEXT, _OTHER, _MISSING = "number", "text", "other", "missing"
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
    columns = {name: typed([part.values[name] for part in parts]) for name in parts[0].values}
    return {name: _in_64_bits(values) for name, values in columns.items()}


def _in_64_bits(values: list[Any]) -> list[Any]:
    """Whole numbers as scalars of one type of 64 bits, because a library takes the type of each by its size."""
    there = [value for value in values if value is not None]
    if not there or not isinstance(there[0], int):
        return values
    kind = np.uint64 if max(there) >= 1 << 63 else np.int64
    return [None if value is None else kind(value) for value in values]


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
            column = pa.nulls(len(table)) if value is None else pa.repeat(pa.scalar(value), len(table))
            table = table.append_column(name, column)
    return table


def _polars_constants(frame: Any, values: dict[str, Any]) -> Any:
    pl = require("polars", "cli")
    return frame.with_columns(**{name: pl.lit(value) for name, value in values.items() if name not in frame.columns})


def _pyarrow_joined(tables: list[Any]) -> Any:
    """One table of all rows. Texts may be dictionaries or views in some files and plain in others."""
    pa = require("pyarrow", "cli")
    tables = [_pyarrow_plain(table) for table in tables]
    for name, types in _types((field.name, field.type) for table in tables for field in table.schema).items():
        kind = _kind_of_all({_pyarrow_kind(pa, one) for one in types})
        if kind == _TEXT and any(not pa.types.is_large_string(one) for one in types):
            cast = [pa.large_string()]
        elif kind == _NUMBER and pa.uint64() in types and any(map(pa.types.is_signed_integer, types)):
            cast = [pa.int64(), pa.decimal128(20, 0)]  # the second if a number is 2**63 or more
        elif not kind or (kind == _OTHER and not _pyarrow_unites(pa, types)):
            cast = []
        else:
            continue
        tables = _pyarrow_cast(tables, name, cast)
    return pa.concat_tables(tables, promote_options="permissive")


def _pyarrow_plain(table: Any) -> Any:
    """The table with plain columns in place of dictionaries and views."""
    pa = require("pyarrow", "cli")
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    for at, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if views.get(kind, kind) != field.type:
            table = table.set_column(at, field.name, table.column(at).cast(views.get(kind, kind)))
    return table


def _pyarrow_cast(tables: list[Any], name: str, types: Sequence[Any]) -> list[Any]:
    """The tables with a column in the first of these types that takes it in all of them, without it if none does."""
    for kind in types:
        with suppress(ValueError, NotImplementedError):  # what errors of Arrow are
            return [
                table.set_column(at, name, table.column(at).cast(kind))
                if (at := table.schema.get_field_index(name)) >= 0
                else table
                for table in tables
            ]
    return [table.drop_columns([name]) if name in table.column_names else table for table in tables]


def _pyarrow_unites(pa: Any, types: set[Any]) -> bool:
    try:
        pa.unify_schemas([pa.schema([("column", one)]) for one in types], promote_options="permissive")
    except (ValueError, TypeError, NotImplementedError):  # what errors of Arrow are
        return False
    return True


def _pyarrow_kind(pa: Any, one: Any) -> str:
    is_ = pa.types
    if is_.is_integer(one) or is_.is_floating(one) or is_.is_decimal(one):
        return _NUMBER
    if is_.is_string(one) or is_.is_large_string(one):
        return _TEXT
    return _MISSING if is_.is_null(one) else str(one) if is_.is_boolean(one) or is_.is_temporal(one) else _OTHER


def _polars_joined(frames: list[Any]) -> Any:
    """The same; categories of different files are different types."""
    pl = require("polars", "cli")
    for name, types in _types(column for frame in frames for column in frame.schema.items()).items():
        kind = _kind_of_all({_polars_kind(pl, one) for one in types})
        if kind == _TEXT:
            frames = [frame.with_columns(pl.col(name).cast(pl.String)) if name in frame else frame for frame in frames]
        elif not kind or (kind == _OTHER and not _polars_unites(pl, types)):
            frames = [frame.drop(name, strict=False) for frame in frames]
    return pl.concat(frames, how="diagonal_relaxed")


def _polars_unites(pl: Any, types: set[Any]) -> bool:
    try:
        pl.concat([pl.DataFrame(schema={"column": one}) for one in types], how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        return False
    return True


def _polars_kind(pl: Any, one: Any) -> str:
    if one.is_numeric():
        return _NUMBER
    if one in (pl.String, pl.Categorical, pl.Enum):
        return _TEXT
    return _MISSING if one == pl.Null else str(one) if one == pl.Boolean or one.is_temporal() else _OTHER


def _types(columns: Iterable[tuple[str, Any]]) -> dict[str, set[Any]]:
    """The types that the files of a table give each column."""
    types: dict[str, set[Any]] = {}
    for name, kind in columns:
        types.setdefault(name, set()).add(kind)
    return types


def _kind_of_all(kinds: set[str]) -> str:
    """The kind of a column whose files have these: by the rule of CSV files, of several kinds all values are texts.

    It is "" if lists, structures or bytes are next to another kind: they have no text, and the column is left out.
    """
    there = kinds - {_MISSING}
    return next(iter(there), _MISSING) if len(there) < 2 else "" if _OTHER in there else _TEXT


_PARQUET = {"pyarrow": _pyarrow_parquet, "polars": _polars_parquet}
_CONSTANTS = {"pyarrow": _pyarrow_constants, "polars": _polars_constants}
_JOINED = {"pyarrow": _pyarrow_joined, "polars": _polars_joined}
