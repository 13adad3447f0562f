"""The files of a table that is a folder, in the layout of Spark, Dask, polars, pyarrow and Hive."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from oasis_alloc.common.remote_path import Place, RemotePath
from oasis_alloc.errors import InputError

PARQUET = (".parquet", ".parq", ".pq")
_DIGITS = 1_000  # of a whole number that Python reads
_NONE = "__HIVE_DEFAULT_PARTITION__"  # the folder name for rows without a value
_VALUE = re.compile(r"([^=]+)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class TableFile:
    """One file of a table: its path, and the values in the names of its folders, as texts; None for a missing value."""

    path: Place
    values: Mapping[str, str | None]


def parts_of(folder: Place, endings: Sequence[str] = PARQUET) -> list[TableFile]:
    """Find the files of a table in a folder and its subfolders, in the natural order of their names.

    Natural is `part-2` before `part-10`; leading zeros change nothing. Names that begin with `.` or `_` are skipped,
    both files and folders: `_SUCCESS`, `_metadata`, `_delta_log`, `.part-0.crc`. A folder `date=2026-11-01` gives its
    files the column `date` with this value, `%3A` standing for a colon and so on.

    Raises `InputError` if there is no such file, if the folders of two files name different columns, and if the folder
    cannot be read.
    """
    found: list[TableFile] = []

    def look(here: Place, values: dict[str, str | None]) -> None:
        try:
            for name, is_folder in sorted(_entries(here), key=lambda entry: natural(entry[0])):
                if name.startswith((".", "_")):
                    continue
                path = here / name
                if is_folder:
                    said = _VALUE.fullmatch(name)
                    look(path, values | _value(said) if said else values)
                elif name.lower().endswith(tuple(endings)):
                    found.append(TableFile(path, values))
        except OSError as error:
            raise InputError(f"{here} cannot be read ({error.strerror or error}).") from error
        except RecursionError as error:
            raise InputError(f"{here}: the folders are nested too deeply, or a link leads back up.") from error

    look(folder, {})
    if not found:
        raise InputError(
            f"{str(folder)!r} has no file whose name ends in {' or '.join(endings)} (names that begin with . or _ are "
            "passed over)."
        )
    for part in found[1:]:
        if list(part.values) != list(found[0].values):
            raise InputError(
                f"{part.path}: the names of its folders give {_names(part)}, those of {found[0].path} give "
                f"{_names(found[0])}; expected the same for all files of a table."
            )
    return found


def _entries(folder: Place) -> list[tuple[str, bool]]:
    """(name, is a folder) of what is in a folder."""
    if isinstance(folder, RemotePath):
        return folder.entries()
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir()) for entry in entries]


def natural(name: str) -> tuple[tuple[Any, ...], str]:
    """A key that sorts names naturally; it is a total order, and only equal names have the same key.

    >>> sorted(["part-10", "part-9", "part", "part-009"], key=natural)
    ['part', 'part-009', 'part-9', 'part-10']
    """
    pieces = re.split(r"([0-9]+)", name)  # text and digits alternate, text first, so equal types are compared
    return tuple(piece if k % 2 == 0 else _number(piece) for k, piece in enumerate(pieces)), name


def typed(texts: Sequence[str | None]) -> list[Any]:
    """The values of a column given as texts: all whole numbers of 64 bits, all other numbers, or texts; None stays.

    Whole numbers beyond 64 bits are texts, as in CSV files: they are ids, which floats would not tell apart.

    >>> typed(["1", "02", None]), typed(["1", "2.5"]), typed(["1", "x"])
    ([1, 2, None], [1.0, 2.5], ['1', 'x'])
    >>> typed(["18446744073709551615", "1"]), typed(["18446744073709551616", "1"])
    ([18446744073709551615, 1], ['18446744073709551616', '1'])
    """
    there = [text for text in texts if text is not None]
    if there and all(re.fullmatch(r"[+-]?[0-9]+", text) for text in there):
        if max(map(len, there)) <= _DIGITS:
            whole = [int(text) for text in there]
            if min(whole) >= -(1 << 63) and max(whole) < (1 << 64 if min(whole) >= 0 else 1 << 63):
                return [None if text is None else int(text) for text in texts]
        return list(texts)
    if there and all(re.fullmatch(r"[+-]?[0-9]+\.?[0-9]*([eE][+-]?[0-9]{1,3})?", text) for text in there):
        return [None if text is None else float(text) for text in texts]
    return list(texts)


def _value(said: re.Match[str]) -> dict[str, str | None]:
    value = unquote(said[2])
    return {unquote(said[1]): None if value == _NONE else value}


def _number(digits: str) -> tuple[int, str]:
    """A sort key for digits by their number; it is fast to compare for numbers of any length."""
    short = digits.lstrip("0")
    return len(short), short


def _names(part: TableFile) -> str:
    return ", ".join(part.values) if part.values else "no column"
