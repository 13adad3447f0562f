"""Candidates in Parquet files: writing, and one complete check before they are streamed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_flag, as_whole
from oasis_alloc.common.csr import blocks
from oasis_alloc.common.files import kind_of_file, path_text, reason_of, replacing
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.remote_path import RemotePath, as_place
from oasis_alloc.data.left_out import is_left_out
from oasis_alloc.data.multi_keys import as_attribute, n_rows
from oasis_alloc.data.parquet_file import File
from oasis_alloc.data.partitions import TableFile, parts_of, typed
from oasis_alloc.data.row_groups import Columns, Dataset, MemoryBudget, StreamedColumn
from oasis_alloc.data.validation import item_dtype
from oasis_alloc.errors import InputError, require

if TYPE_CHECKING:
    from oasis_alloc.data.attributes import Given
    from oasis_alloc.data.pairs import PairSource

_UNITS = {"": 0, "b": 0, "kib": 10, "mib": 20, "gib": 30, "tib": 40}
_SHARE = 4  # row groups that must fit into memory: a pass with its blocks, and another engine or a lookup
_SPARSE = 100  # user numbers per user with pairs from which they look like ids
_FEW = 1_000_000


@dataclass(frozen=True, eq=False)
class AttributeTable:
    """The users, or the items, by number: their attributes, their ids, and their number."""

    attributes: dict[str, Given]
    ids: object
    n: int | None


def as_bytes(memory: object) -> int:
    """Read a number of bytes, or a text such as "2GiB"."""
    if isinstance(memory, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", memory)
        if found and found[2].lower() in _UNITS:
            memory = int(float(found[1]) * (1 << _UNITS[found[2].lower()]))
    whole = as_whole(memory)
    if whole is None or whole <= 0:
        raise InputError(f"memory={shown(memory)}: expected a number of bytes above 0, or a text such as '2GiB'.")
    return whole


def table_of(values: object, name: str, what: str) -> AttributeTable:
    """Read a mapping or a frame whose row k is number k; the entry `name` has the ids."""
    from oasis_alloc.data.attributes import Given

    if values is None:
        return AttributeTable({}, None, None)
    if not isinstance(values, Mapping):
        from oasis_alloc.data.frames import columns_of

        columns, n = columns_of(values, what, name)
        return AttributeTable(
            {key: of for key, of in columns.items() if key != name},
            columns[name].read() if name in columns else None,
            n,
        )
    attributes = {key: as_attribute(key, column, what) for key, column in values.items() if key != name}
    ids = values.get(name)
    sizes = [n_rows(column) for column in attributes.values()]
    if ids is not None:
        sizes.append(len(np.asarray(ids)))
    return AttributeTable({key: Given(column) for key, column in attributes.items()}, ids, sizes[0] if sizes else None)


def open_dataset(
    directory: object, user: str, item: str, columns: Sequence[str] | None, memory: object, without: Sequence[str] = ()
) -> Dataset:
    """Find the files, but those named in `without`, and check their footers."""
    require("pyarrow", "parquet")
    limit = as_bytes(memory)
    for argument, name in (("user", user), ("item", item)):
        if not isinstance(name, str) or not name:
            raise InputError(f"{argument} is {name!r}; expected the name of a column.")
    if user == item:
        raise InputError(f"user and item both name the column {user!r}; expected two columns.")
    parts = [part for part in _parts(directory) if part.path.name not in without]
    said = {name: typed([part.values[name] for part in parts]) for name in parts[0].values}
    numbers = {name: values for name, values in said.items() if all(isinstance(v, (int, float)) for v in values)}
    files = [File.of(part.path, {name: numbers[name][k] for name in numbers}) for k, part in enumerate(parts)]
    refused: dict[str, str] = {}
    types = _types(files, user, item, columns, refused)
    for file in files:
        file.check_footer((user, item, *types))
    rows, where, group = [], [], []
    for number, file in enumerate(files):
        for g in range(file.metadata.num_row_groups):
            if file.metadata.row_group(g).num_rows:
                rows.append(file.metadata.row_group(g).num_rows)
                where.append(number)
                group.append(g)
    start = np.concatenate([[0], np.cumsum(rows)]).astype(np.int64)
    made = Dataset(
        tuple(files), start, np.array(where, np.int64), np.array(group, np.int64), user, item, types,
        MemoryBudget(limit), refused,
    )  # fmt: skip
    _check_groups(made, (item, *types))
    return made


def _parts(directory: object) -> list[TableFile]:
    if not isinstance(directory, (str, Path, RemotePath)) or directory == "":  # Path would use the current directory
        raise InputError(f"directory is {directory!r}; expected the path of a directory of Parquet files.")
    path = as_place(directory)
    try:
        if path.is_file():
            return [TableFile(path, {})]
        is_there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long, a folder without permission, a zero byte
        raise InputError(f"{str(path)!r}: {reason_of(error)}; expected a directory with Parquet files.") from error
    if is_there and not is_folder and isinstance(path, Path):
        raise InputError(f"{str(path)!r} is {kind_of_file(path)}; expected a directory with Parquet files, or one.")
    if not is_folder:
        raise InputError(f"there is no directory {str(path)!r}; expected one with Parquet files.")
    return parts_of(path)


def _types(
    files: list[File], user: str, item: str, columns: Sequence[str] | None, refused: dict[str, str]
) -> dict[str, np.dtype[Any]]:
    """The types of the columns: float32 if it represents all their numbers, else float64.

    If columns are not named, those that cannot be used go into `refused`.
    """
    import pyarrow.types as kinds

    for file in files:
        for name in (user, item):
            kind = _kind(file, name)
            if not kinds.is_integer(kind):
                raise InputError(
                    f"{file.path.name}: column {name!r} is {kind}; expected integers, the numbers of users and "
                    "items. Number them from 0 when you write the files, and give the ids for the answer in users= "
                    "and items=."
                )
    if columns is None:
        numeric = [f.name for f in files[0].schema if kinds.is_integer(f.type) or kinds.is_floating(f.type)]
        numeric += files[0].folders
        asked = [name for name in dict.fromkeys(numeric) if name not in (user, item) and not is_left_out(name)]
    else:
        asked = [columns] if isinstance(columns, str) else list(columns)
    out: dict[str, np.dtype[Any]] = {}
    for name in asked:
        if name in (user, item):
            raise InputError(f"columns names {name!r}, which holds the numbers of users or items.")
        try:
            out[name] = _type(files, name)
        except InputError as error:
            if columns is not None:
                raise
            refused[name] = str(error)
    if not out:
        others = [f"{f.name} ({f.type})" for f in files[0].schema if f.name not in (user, item)]
        raise InputError(
            next(iter(refused.values()), None)
            or f"{files[0].path.name} has no column of numbers besides {user!r} and {item!r}; expected one. "
            f"{'Others: ' + ', '.join(others[:5]) if others else 'There are no other columns'}."
        )
    return out


def _type(files: list[File], name: str) -> np.dtype[Any]:
    """The type of one column, the same in all files."""
    import pyarrow.types as kinds

    found = []
    for file in files:
        kind = _kind(file, name)
        if not (kinds.is_integer(kind) or kinds.is_floating(kind)):
            raise InputError(f"{file.path.name}: column {name!r} is {kind}; expected numbers.")
        narrow = kind.bit_width <= (32 if kinds.is_floating(kind) else 16)
        found.append(np.dtype(np.float32 if narrow else np.float64))
        if found[-1] != found[0]:
            raise InputError(
                f"{file.path.name}: column {name!r} is {found[-1]} there and {found[0]} in {files[0].path.name}; "
                "expected one type in all files."
            )
    return found[0]


def _kind(file: File, name: object) -> Any:
    """The Arrow type of a column, which is once in the file or in the names of its folders."""
    names = file.schema.names
    there = names.count(name)
    if not there and name in file.folders:
        import pyarrow as pa

        return pa.int64() if isinstance(file.folders[str(name)], int) else pa.float64()
    if not there:
        raise InputError(f"{file.path.name} has no column {name!r}.{did_you_mean(str(name), names)}")
    if there > 1:
        raise InputError(
            f"{file.path.name} has {there} columns named {name!r}; expected one. Rename the others, or list the "
            "columns to read in columns= without this name."
        )
    return file.schema.field(name).type


def _check_groups(dataset: Dataset, names: tuple[str, ...]) -> None:
    for g in range(dataset.n_groups):
        needed = _SHARE * dataset.group_bytes(g, names)
        if needed > dataset.budget.limit:
            raise InputError(
                f"{dataset.place(int(dataset.start[g])).rpartition(',')[0]} has {int(np.diff(dataset.start)[g]):,} "
                f"rows, so reading ahead takes {needed:,} bytes, and memory= allows {dataset.budget.limit:,}. Allow "
                "more, or write smaller row groups (Candidates.to_parquet(rows_per_group=...))."
            )


@dataclass(frozen=True, eq=False)
class Scanned:
    """The result of one check of all pairs."""

    indptr: NDArray[np.int64]
    n_items: int
    columns: Mapping[str, StreamedColumn]
    item: StreamedColumn


def scan(dataset: Dataset, n_users: int | None, n_items: int | None, lenient: bool = False) -> Scanned:
    """Read everything once: order, duplicates, ranges and finiteness are checked, users' pairs are counted.

    If `lenient`, a column with other values than finite numbers is left out, and `dataset.refused` has the reason.
    """
    from oasis_alloc.kernels.solve import check

    counts = np.zeros(n_users or 0, np.int64)
    mark = np.zeros(n_items or 0, np.int64)
    sums = {name: np.zeros(8) for name in dataset.columns}
    negative = dict.fromkeys(dataset.columns, False)
    last, max_item = 0, -1
    with dataset.read((dataset.user, dataset.item, *dataset.columns), verify=True, lenient=lenient) as reader:
        for begin, end, group in reader:
            for name, column in group.items():
                dataset.check_range(begin, name, column)
            users = _numbers(dataset, group, dataset.user, begin, end, n_users)
            items = _numbers(dataset, group, dataset.item, begin, end, n_items)
            max_item = max(max_item, int(items.max()))
            counts = _long(counts, int(users.max()) + 1)
            mark = _long(mark, max_item + 1)
            pair, why = check.scan(users, items, last, mark, counts)
            if why == 1:
                before = int(users[pair - 1]) if pair else last
                raise InputError(
                    f"{dataset.place(begin + pair)}: user {int(users[pair]):,} comes after user {before:,}; expected "
                    "rows sorted by user, over all files in the order of their names."
                )
            if why == 2:
                raise InputError(
                    f"{dataset.place(begin + pair)}: user {int(users[pair]):,} has item {int(items[pair]):,} a second "
                    "time; expected each item once per user."
                )
            last = int(users[-1])
            for name, kind in list(dataset.columns.items()):
                column = group[name].astype(kind, copy=False)
                finite = np.isfinite(column)
                if not finite.all():
                    row = reader.missing.get(name, int(np.argmin(finite)))
                    found = "null" if name in reader.missing else column[row]
                    wrong = (
                        f"{dataset.place(begin + row)} (user {int(users[row]):,}): column {name!r} is {found}; "
                        "expected finite numbers."
                    )
                    if not lenient or len(dataset.columns) == 1:
                        raise InputError(wrong)
                    dataset.refused[name] = wrong
                    del dataset.columns[name]
                    continue
                check.add_sizes(readonly(column), begin, sums[name])
                negative[name] = negative[name] or bool(column.min() < 0)
    dataset.check()  # the first files may have changed since they were read
    if n_users is None:
        counts = counts[: last + 1] if counts.size else counts
    if not counts.size:
        raise InputError("there are no users: the files have no rows; expected one user or more.")
    n_pairs, n_items = int(dataset.start[-1]), max_item + 1 if n_items is None else n_items
    columns = {
        name: StreamedColumn(dataset, name, kind, float(sums[name].sum()) / max(1, n_pairs), negative[name])
        for name, kind in dataset.columns.items()
    }
    item = StreamedColumn(dataset, dataset.item, np.dtype(item_dtype(n_items)), np.nan, False)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Scanned(readonly(indptr), n_items, FrozenMapping(columns), item)


def _numbers(dataset: Dataset, group: Columns, name: str, begin: int, end: int, n: int | None) -> NDArray[np.int64]:
    numbers = group[name]
    limit = _SPARSE * end + _FEW if n is None else n  # without a table, numbers far above the number of users are ids
    outside = (numbers < 0) | (numbers >= limit)
    if outside.any():
        row = int(np.argmax(outside))
        side = "users" if name == dataset.user else "items"
        raise InputError(
            f"{dataset.place(begin + row)}: column {name!r} is {int(numbers[row]):,}; expected the number of one "
            f"of the {side}, "
            + (f"in [0, {n:,})." if n is not None else f"counted from 0. Give the ids for the answer in {side}=.")
        )
    return numbers.astype(np.int64)


def _long(array: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The array padded with zeros to this size or more: the size doubles, so that growing is cheap."""
    if size <= array.size:
        return array
    out = np.zeros(max(size, 2 * array.size), np.int64)
    out[: array.size] = array
    return out


def write(
    candidates: PairSource, directory: object, name: str, rows_per_group: int, first_user: int, compact: bool
) -> Path:
    """Write pairs as one file. See `Candidates.to_parquet`."""
    require("pyarrow", "parquet")
    import pyarrow as pa

    for what, given, minimum in (("rows_per_group", rows_per_group, 1), ("first_user", first_user, 0)):
        whole = as_whole(given)
        if whole is None or whole < minimum:
            raise InputError(f"{what}={shown(given)}: expected a whole number >= {minimum}.")
    as_flag(compact, "compact")
    if not isinstance(name, str) or not name or name.startswith((".", "_")) or "/" in name:
        raise InputError(f"name={name!r}: expected the name of a file without its ending, such as 'pairs-0001'.")
    target = Path(path_text(str(directory)))
    target.mkdir(parents=True, exist_ok=True)
    columns = dict(candidates.columns)
    for taken in (candidates.user_name, candidates.item_name):
        if taken in columns:
            raise InputError(f"{taken!r} is the name of a column and of the users or items; rename one of them.")
    names = [candidates.user_name, candidates.item_name, *columns]
    number = np.dtype(np.int32 if first_user + candidates.n_users < 2**31 else np.int64)
    schema = pa.schema(
        [
            pa.field(k, pa.from_numpy_dtype(kind), nullable=False)
            for k, kind in zip(
                names, (number, candidates.item.dtype, *(v.dtype for v in columns.values())), strict=True
            )
        ]
    )
    path = target / f"{name}.parquet"
    with replacing(path) as beside:  # readers of the old file can finish
        _write_rows(candidates, beside, schema, rows_per_group, first_user, names[: 2 if compact else 1])
    return path


def _write_rows(
    candidates: PairSource, path: Path, schema: Any, rows_per_group: int, first_user: int, coded: list[str]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names, number = schema.names, schema.field(0).type.to_pandas_dtype()
    # passes read uncompressed columns without nulls fastest; users are long runs of a number, so a dictionary is small
    with pq.ParquetWriter(
        path, schema, compression="none", use_dictionary=coded, write_statistics=False, write_page_checksum=True
    ) as file:
        for first, last in blocks(candidates.indptr, 0, candidates.n_users, rows_per_group):
            here = slice(int(candidates.indptr[first]), int(candidates.indptr[last]))
            numbers = np.arange(first + first_user, last + first_user).astype(number)
            users = np.repeat(numbers, np.diff(candidates.indptr[first : last + 1]))
            arrays = [users, candidates.item[here], *(column[here] for column in candidates.columns.values())]
            if users.size:
                file.write_table(pa.table(dict(zip(names, arrays, strict=True)), schema), row_group_size=users.size)
