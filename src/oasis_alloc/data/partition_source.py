"""Pairs in Parquet files in any order, read in batches for the partitioner, which checks them on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.files import reason_of
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.remote_path import Place, RemotePath, as_place, opened_for_parquet
from oasis_alloc.data.parquet_file import File
from oasis_alloc.data.partitions import parts_of
from oasis_alloc.errors import InputError

_BATCH = 1 << 17  # rows read at a time
_SAMPLE = 1 << 18  # user ids from which the partitions' bounds are chosen


@dataclass(frozen=True, eq=False)
class Source:
    """The files of pairs, with the same columns of the same types in each."""

    files: tuple[File, ...]
    user: str
    item: str
    columns: tuple[str, ...]
    user_keys: tuple[str, ...]

    @classmethod
    def open(
        cls, path: object, user: str, item: str, columns: Sequence[str] | None, user_keys: Sequence[str]
    ) -> Source:
        """Find the files and compare their columns; `InputError` names the file and the column."""
        where = _path(path)
        files = tuple(File.of(part.path) for part in ([] if where.is_file() else parts_of(where)))
        files = files or (File.of(where),)
        first = files[0].schema
        keys = tuple(user_keys)
        if columns is None:
            columns = _numbers(files[0], (user, item, *keys))
            for file in files:
                more = [name for name in _numbers(file, (user, item, *keys)) if name not in columns]
                if more:
                    raise InputError(
                        f"{file.path.name}: {more[0]!r} is a column of numbers, and not one of {files[0].path.name}; "
                        "expected the same in all files. Name the columns to take with columns=."
                    )
        found = cls(files, user, item, tuple(columns), keys)
        if not found.columns:
            others = ", ".join(f"{f.name} ({f.type})" for f in list(first)[:5])
            raise InputError(
                f"{files[0].path.name} has no column of numbers besides {user!r} and {item!r}; expected one. It has "
                f"{others}."
            )
        if len({user, item, *found.columns, *keys}) < len(found.names):
            raise InputError(f"the columns {list(found.names)} are not distinct; expected each name once.")
        for file in files:
            for name in found.names:
                _check_type(file, name, files[0], of_ids=name in (user, item, *keys))
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (self.user, self.item, *self.columns, *self.user_keys)

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return sum(int(file.metadata.num_rows) for file in self.files)

    def stamp(self) -> list[list[Any]]:
        """What identifies the state of the files: name, size and time of the last write of each."""
        return [[str(file.path), file.stamp.size, file.stamp.written] for file in self.files]

    def types(self) -> dict[str, str]:
        """The Arrow types of the columns as texts."""
        return {name: str(self.files[0].schema.field(name).type) for name in self.names}

    def batches(self, names: Sequence[str]) -> Iterator[tuple[File, int, dict[str, Any]]]:
        """(file, its first row, Arrow arrays by name) of every batch; dictionaries are decoded, nulls refused."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file in self.files:
            row = 0
            try:
                with (
                    opened_for_parquet(file.path) as given,
                    pq.ParquetFile(given, metadata=file.metadata, page_checksum_verification=True) as opened,
                ):
                    for batch in opened.iter_batches(_BATCH, columns=list(names), use_threads=False):
                        arrays = {name: _plain(batch.column(batch.schema.names.index(name))) for name in names}
                        for name, array in arrays.items():
                            _check_values(file, row, name, array, name in self.columns)
                        yield file, row, arrays
                        row += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{file.path} cannot be read after row {row:,} ({error}). The file is damaged, or its disk is; "
                    "write it again."
                ) from error
            file.check()


def survey(source: Source, n_partitions: int) -> tuple[list[Any], NDArray[Any]]:
    """(first user id of each partition but the first, distinct item ids in their order): one read of the ids."""
    every = max(1, source.n_rows // _SAMPLE)
    sample: list[NDArray[Any]] = []
    items: NDArray[Any] | None = None
    at = 0
    for _, _, arrays in source.batches([source.user, source.item]):
        users = arrays[source.user]
        sample.append(as_ids(users.take(np.arange(-at % every, len(users), every))))
        at += len(users)
        here = np.unique(as_ids(arrays[source.item].unique()))
        items = here if items is None else np.union1d(items, here)
    if items is None:
        raise InputError("there are no users: the files have no rows; expected one row or more.")
    ordered = np.sort(np.concatenate(sample))
    places = np.arange(1, n_partitions) * ordered.size // n_partitions
    bounds = np.unique(ordered[places])
    return [b for b in bounds.tolist() if b > ordered[0]], items


def as_ids(array: Any) -> NDArray[Any]:
    """Ids of an Arrow array as int64 numbers, or as Python strings."""
    import pyarrow as pa

    if pa.types.is_integer(array.type):
        return np.asarray(array.cast(pa.int64()).to_numpy(zero_copy_only=False))
    return np.array(array.to_pylist(), dtype=object)


def _numbers(file: File, others: Sequence[str]) -> list[str]:
    return [field.name for field in file.schema if field.name not in others and _is_number(field.type)]


def _path(path: object) -> Place:
    if not isinstance(path, (str, Path, RemotePath)) or path == "":
        raise InputError(f"pairs is {path!r}; expected the path of a Parquet file, or of a directory of them.")
    where = as_place(path)
    try:
        is_there = where.exists()
    except OSError as error:
        raise InputError(f"{str(where)!r} cannot be read ({reason_of(error)}).") from error
    if not is_there:
        raise InputError(f"there is no {str(where)!r}; expected a Parquet file, or a directory of them.")
    return where


def _plain(array: Any) -> Any:
    import pyarrow as pa

    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind) or kinds.is_floating(kind))


def _check_type(file: File, name: str, first: File, of_ids: bool) -> None:
    """Raise `InputError` for a column that is missing, of another type than in the first file, or of no use."""
    import pyarrow.types as kinds

    names = file.schema.names
    if names.count(name) != 1:
        raise InputError(
            f"{file.path.name} has {names.count(name) or 'no'} column{'s'[: names.count(name)]} {name!r}; expected one."
            f"{'' if name in names else did_you_mean(name, names)}"
        )
    kind, wanted = file.schema.field(name).type, first.schema.field(name).type
    if kind != wanted:
        raise InputError(
            f"{file.path.name}: column {name!r} is {kind}, and {wanted} in {first.path.name}; expected one type in all "
            "files. Write the files again with one schema."
        )
    inner = kind.value_type if kinds.is_dictionary(kind) else kind
    text = kinds.is_string(inner) or kinds.is_large_string(inner)
    if of_ids and not (text or kinds.is_integer(inner)):
        raise InputError(
            f"{file.path.name}: column {name!r} is {kind}; expected integers or strings, the ids or labels."
        )
    if not of_ids and not _is_number(kind):
        raise InputError(f"{file.path.name}: column {name!r} is {kind}; expected numbers.")


def _check_values(file: File, row: int, name: str, array: Any, is_number: bool) -> None:
    """Raise `InputError` for a null, and for a number that is not finite."""
    import pyarrow as pa

    if array.null_count:
        bad = row + int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise InputError(f"{file.path.name}, row {bad:,}: column {name!r} is null; expected a value in every row.")
    if is_number and pa.types.is_floating(array.type):
        finite = np.isfinite(array.to_numpy(zero_copy_only=False))
        if not finite.all():
            bad = int(np.argmin(finite))
            raise InputError(
                f"{file.path.name}, row {row + bad:,}: column {name!r} is {array[bad]}; expected finite numbers."
            )
