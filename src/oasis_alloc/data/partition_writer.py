"""Writes pairs in any order as partitions by user: an external sort, one partition in memory at a time.

1. One read of the ids finds bounds between user ids that cut the rows into about equal parts, and all item ids.
2. Another read puts every row into the spill file of its partition.
3. Each spill file is sorted by user and item, checked, numbered and written.

The order of the input does not matter: users and items are numbered in the order of their ids.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.remote_path import Place, RemotePath, opened_for_parquet, replacing_at, write_at
from oasis_alloc.data.partition_manifest import ITEMS, NAME, USERS, Column, Manifest, Partition, StoredFile, counts_name
from oasis_alloc.data.partition_source import Source, as_ids, survey
from oasis_alloc.data.partitions import PARQUET
from oasis_alloc.data.validation import item_dtype
from oasis_alloc.errors import InputError

_BEGUN = "_partitioning"  # marks a directory whose files were left by a run that did not end
_SPILL = "_spill"
_OPEN = 200  # spill files written at a time; more partitions are more reads of the source
_GROUP = 1 << 19  # rows of a row group, which ends with a user


@dataclass(eq=False)
class Facts:
    """What is added up over the partitions, in their order."""

    columns: dict[str, Column]
    parts: list[Partition] = field(default_factory=list)

    @property
    def n_pairs(self) -> int:
        return self.parts[-1].first_pair + self.parts[-1].n_pairs if self.parts else 0

    @property
    def n_users(self) -> int:
        return self.parts[-1].first_user + self.parts[-1].n_users if self.parts else 0


def write_partitions(source: Source, directory: Place, rows: int) -> tuple[Manifest, list[int]]:
    """(the manifest, the partitions that were written): all, those that were lost, or none."""
    with _spilling(directory) as spill:
        return _write_all_or_lost(source, directory, rows, spill)


@contextmanager
def _spilling(directory: Place) -> Iterator[Path]:
    """For the block, a folder of this machine for spill files: in the directory, if that is on this machine too."""
    if isinstance(directory, RemotePath):
        with TemporaryDirectory(prefix="oasis-alloc-spill-") as folder:
            yield Path(folder)
        return
    try:
        yield directory / _SPILL
    finally:
        shutil.rmtree(directory / _SPILL, ignore_errors=True)


def _write_all_or_lost(source: Source, directory: Place, rows: int, spill: Path) -> tuple[Manifest, list[int]]:
    asked = {"files": source.stamp(), "types": source.types(), "user_keys": list(source.user_keys), "rows": rows}
    old = Manifest.read(directory)
    if old is not None and old.source == asked:
        lost = [k for k, part in enumerate(old.partitions) if not all(file.is_there(directory) for file in part.files)]
        if not lost and old.items.is_there(directory):
            return old, []
        return _again(source, directory, old, lost, spill), lost
    _clear(directory, old)
    bounds, items = survey(source, max(1, -(-source.n_rows // rows)))
    stored = _write_items(directory, source.item, items)
    facts = Facts({name: _no_numbers(source, name) for name in source.columns})
    for first in range(0, len(bounds) + 1, _OPEN):
        some = range(first, min(first + _OPEN, len(bounds) + 1))
        for number, spilled in zip(some, _spilled(source, spill, bounds, items, some), strict=True):
            part, columns = _partition(
                source, directory, number, spilled, items.size, facts.n_users, facts.n_pairs, facts.columns
            )
            facts.parts.append(part)
            facts.columns = columns
    made = Manifest(
        source.user, source.item, facts.n_users, int(items.size), facts.n_pairs, facts.columns,
        list(source.user_keys), bounds, stored, facts.parts, asked,
    )  # fmt: skip
    made.write(directory)
    (directory / _BEGUN).unlink(missing_ok=True)
    return made, list(range(len(facts.parts)))


def _again(source: Source, directory: Place, old: Manifest, lost: list[int], spill: Path) -> Manifest:
    """Write lost partitions again, from a source that has not changed."""
    if old.items.is_there(directory):
        items = read_items(directory, old)
    else:
        _, items = survey(source, 1)
        _write_items(directory, source.item, items)
    parts = list(old.partitions)
    for first in range(0, len(lost), _OPEN):
        some = lost[first : first + _OPEN]
        for number, spilled in zip(some, _spilled(source, spill, old.bounds, items, some), strict=True):
            was = parts[number]
            parts[number], _ = _partition(
                source, directory, number, spilled, items.size, was.first_user, was.first_pair, old.columns
            )
    made = replace(old, partitions=parts, items=StoredFile.of(directory, ITEMS))
    made.write(directory)
    (directory / _BEGUN).unlink(missing_ok=True)
    return made


def read_items(directory: Place, manifest: Manifest) -> NDArray[Any]:
    """The ids of the items, in the order of their numbers."""
    return as_ids(manifest.items.table(directory).column(manifest.item).combine_chunks())


def _clear(directory: Place, old: Manifest | None) -> None:
    """An empty directory to write to; files that no partitioner has written are an error."""
    directory.mkdir(parents=True, exist_ok=True)
    there = [path for path in directory.rglob("*") if path.name.lower().endswith(PARQUET)]
    if there and old is None and not (directory / _BEGUN).exists():
        raise InputError(
            f"{str(directory)!r} has Parquet files already ({there[0].name}), which were not written by a partitioner; "
            "expected an empty directory, or one of an earlier run."
        )
    write_at(directory / _BEGUN, "")
    (directory / NAME).unlink(missing_ok=True)
    for path in there:
        path.unlink()
    if isinstance(directory, Path):
        shutil.rmtree(directory / _SPILL, ignore_errors=True)


def _write_items(directory: Place, name: str, items: NDArray[Any]) -> StoredFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if items.size >= 2**32:
        raise InputError(f"there are {items.size:,} items; expected fewer than 2**32.")
    with replacing_at(directory / ITEMS) as beside:
        pq.write_table(pa.table({name: pa.array(items)}), beside, write_page_checksum=True)
    return StoredFile.of(directory, ITEMS)


def _spilled(
    source: Source, folder: Path, bounds: list[Any], items: NDArray[Any], some: Sequence[int]
) -> Sequence[Path]:
    """Write the rows of some partitions to a spill file each; return their paths."""
    import pyarrow as pa

    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.arrow" for number in some]
    numbers = np.full(len(bounds) + 1, -1)
    numbers[list(some)] = np.arange(len(some))
    edges = np.array(bounds, items.dtype if not bounds else np.array(bounds[:1]).dtype)
    edges = edges.astype(object) if edges.dtype.kind == "U" else edges
    with ExitStack() as opened:
        writers: list[Any] = []
        for _, _, arrays in source.batches(source.names):
            user, item = arrays[source.user].dictionary_encode(), arrays[source.item].dictionary_encode()
            place = numbers[np.searchsorted(edges, as_ids(user.dictionary), side="right")]
            bucket = place[user.indices.to_numpy(zero_copy_only=False)]
            number = np.searchsorted(items, as_ids(item.dictionary)).astype(np.uint32)
            arrays[source.item] = pa.array(number[item.indices.to_numpy(zero_copy_only=False)])
            order = np.argsort(bucket, kind="stable")
            ends = np.searchsorted(bucket[order], np.arange(len(some) + 1))
            batch = pa.record_batch(arrays).take(pa.array(order))
            if not writers:
                writers = [opened.enter_context(pa.ipc.new_stream(str(path), batch.schema)) for path in paths]
            for k in np.flatnonzero(np.diff(ends)).tolist():
                writers[k].write_batch(batch.slice(ends[k], ends[k + 1] - ends[k]))
    return paths


def _partition(
    source: Source, directory: Place, number: int, spilled: Path, n_items: int, first_user: int, first_pair: int,
    columns: dict[str, Column],
) -> tuple[Partition, dict[str, Column]]:  # fmt: skip
    """Write one partition from its spill file; (its entry of the manifest, the columns' facts with its pairs)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.ipc.open_stream(str(spilled)) as stream:
        table = stream.read_all().combine_chunks()
    spilled.unlink()
    keys = [(source.user, "ascending"), (source.item, "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()
    user, item = table.column(source.user).chunk(0), table.column(source.item).to_numpy()
    same = np.concatenate([[False], pc.equal(user.slice(1), user.slice(0, len(user) - 1)).to_numpy(False)])
    twice = np.flatnonzero(same[1:] & (item[1:] == item[:-1]))
    if twice.size:
        who, what = user[int(twice[0])].as_py(), _item_id(directory, source, item[twice[0]])
        raise InputError(f"user {who!r} has item {what!r} a second time; expected each item once per user.")
    starts = np.flatnonzero(~same)
    counts = np.diff(np.append(starts, len(user)))
    ids = pa.array(starts)
    facts = {
        source.user: user.take(ids), counts_name(source.user, source.user_keys): pa.array(counts.astype(np.uint32))
    }  # fmt: skip
    for key in source.user_keys:
        column = table.column(key).chunk(0)
        differ = np.flatnonzero(
            same[1:] & pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(False)
        )
        if differ.size:
            raise InputError(
                f"user {user[int(differ[0])].as_py()!r} has several values of {key!r}, such as "
                f"{column[int(differ[0])].as_py()!r} and {column[int(differ[0]) + 1].as_py()!r}; expected one per user."
            )
        facts[key] = column.take(ids)
    users = first_user + np.cumsum(~same) - 1
    made = {source.user: users.astype(np.int32 if source.n_rows < 2**31 else np.int64)}
    made[source.item] = item.astype(item_dtype(n_items))
    for name in source.columns:
        numbers = table.column(name).to_numpy()
        made[name] = numbers.astype(np.float32) if numbers.dtype == np.float16 else numbers
    name = f"part-{number:05d}.parquet"
    _write(directory / name, made, starts)
    (directory / USERS).mkdir(exist_ok=True)
    _write(directory / USERS / name, facts, None)
    part = Partition(
        StoredFile.of(directory, name), StoredFile.of(directory, f"{USERS}/{name}"),
        len(user), int(starts.size), first_pair, first_user,
    )  # fmt: skip
    return part, {name: _added(columns[name], made[name], first_pair) for name in source.columns}


def _item_id(directory: Place, source: Source, number: int) -> Any:
    """The id of one item."""
    import pyarrow.parquet as pq

    with opened_for_parquet(directory / ITEMS) as file:
        return pq.read_table(file).column(source.item)[int(number)].as_py()


def _write(path: Place, columns: dict[str, Any], starts: NDArray[np.int64] | None) -> None:
    """Write a file whose row groups end with a user; uncompressed, not nullable, with checksums and statistics."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array(values) for name, values in columns.items()}
    schema = pa.schema([pa.field(name, array.type, nullable=False) for name, array in arrays.items()])
    table, n = pa.table(arrays, schema=schema), len(next(iter(columns.values())))
    with (
        replacing_at(path) as beside,
        pq.ParquetWriter(
            beside, schema, compression="none", use_dictionary=list(columns)[:2], write_page_checksum=True
        ) as file,
    ):
        begin = 0
        while begin < n:
            end = min(n, begin + _GROUP)
            if starts is not None and end < n:
                whole = int(starts[np.searchsorted(starts, end, side="right") - 1])
                after = np.searchsorted(starts, begin, side="right")
                end = whole if whole > begin else int(starts[after]) if after < starts.size else n
            file.write_table(table.slice(begin, end - begin), row_group_size=end - begin)
            begin = end


def _no_numbers(source: Source, name: str) -> Column:
    return Column(str(source.files[0].schema.field(name).type), (0.0,) * 8, float("inf"), float("-inf"))


def _added(column: Column, numbers: NDArray[Any], first: int) -> Column:
    """The facts with the numbers of more pairs, of which the first is pair `first`."""
    from oasis_alloc.kernels.solve.check import add_sizes

    sums = np.array(column.sums)
    narrow = numbers.dtype.itemsize <= (4 if numbers.dtype.kind == "f" else 2)
    add_sizes(readonly(numbers.astype(np.float32 if narrow else np.float64)), first, sums)
    low, high = min(column.min, float(numbers.min())), max(column.max, float(numbers.max()))
    return replace(column, sums=tuple(sums.tolist()), min=low, max=high)
