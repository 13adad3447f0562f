"""Pairs beyond memory as partitions by user: `partition` writes them, `Partitions` makes candidates of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.files import reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.remote_path import Place, RemotePath, as_place, is_within
from oasis_alloc.common.types import AttributesLike
from oasis_alloc.data import parquet
from oasis_alloc.data.attributes import Given, as_ids, as_keys
from oasis_alloc.data.corrupt import CorruptFileError, Excluded, counts_without, remaining
from oasis_alloc.data.parquet_file import File
from oasis_alloc.data.partition_manifest import NAME, Manifest
from oasis_alloc.data.partition_source import Source
from oasis_alloc.data.partition_writer import read_items, write_partitions
from oasis_alloc.data.row_groups import StreamedColumn
from oasis_alloc.data.validation import item_dtype
from oasis_alloc.errors import InputError, require


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Partitions:
    """A directory of partitions by user, as `partition` writes it.

    - `directory`: its absolute path, under which every machine of a cluster must find it; or, of an address such as
      s3://bucket/partitions, an object whose text is the address.
    - `n_users`, `n_items`, `n_pairs`, `n_partitions`: how many there are.
    - `written`: the partitions that the call of `partition` wrote, by number; empty if they were all there.

    Example
    -------
    >>> import tempfile, pandas as pd, oasis_alloc as oa
    >>> pairs = pd.DataFrame({"user": ["b", "a", "b"], "item": [7, 9, 9], "relevance": [0.5, 0.25, 1.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pairs.to_parquet(f"{folder}/pairs.parquet")
    ...     _ = oa.partition(f"{folder}/pairs.parquet", f"{folder}/partitions")
    ...     oa.Partitions.open(f"{folder}/partitions")
    Partitions(2 users, 2 items, 3 pairs in 1 partitions)
    """

    directory: Place
    n_users: int
    n_items: int
    n_pairs: int
    n_partitions: int
    written: tuple[int, ...] = ()

    @classmethod
    def open(cls, directory: str | PathLike[str] | RemotePath) -> Partitions:
        """Open the partitions in a directory, without reading pairs.

        Raises `InputError` if the directory has no manifest, for a damaged manifest, and for a partition that is
        missing or has another size than the manifest says; the message names the file.
        """
        path = as_place(directory).absolute()
        manifest = _manifest(path)
        for part in manifest.partitions:
            for file in part.files:
                file.check(path)
        return cls._of(path, manifest)

    @classmethod
    def _of(cls, path: Place, manifest: Manifest, written: Sequence[int] = ()) -> Partitions:
        n = len(manifest.partitions)
        return cls(path, manifest.n_users, manifest.n_items, manifest.n_pairs, n, tuple(written))

    def candidates(
        self,
        *,
        columns: Sequence[str] | None = None,
        items: AttributesLike | None = None,
        memory: int | str = "2GiB",
        on_corrupt: str = "fail",
    ) -> Candidates:
        """Candidates that stay in the partitions, without a read of the pairs: the manifest has the facts.

        Of the users, only counts of pairs and the keys that `partition(user_keys=)` stored are read, not the ids.
        So answers name users by number; `RayEngine.write_allocation` writes ids.

        Parameters
        ----------
        columns
            Columns of numbers to use; None takes all.
        items
            Attributes of the items: a frame with the column of item ids, rows in any order; or a mapping of arrays in
            the order of the sorted item ids. Rows of other items are left out.
        memory
            Maximum memory for pairs at a time where a solve streams them on one machine, as in
            `Candidates.from_parquet`. Actors of a `RayEngine` hold their partitions in memory instead.
        on_corrupt
            What to do with a partition whose files are missing, have another size or no readable footer: "fail", or
            "exclude", which leaves out its users' pairs. `Solution.excluded` names it. Damage within pages is found
            when pairs are read; `RayEngine(on_corrupt="exclude")` leaves out such partitions too.

        Raises
        ------
        InputError
            For unknown columns, an item without a row in `items`, and files that are not as the manifest says.
        """
        manifest = _manifest(self.directory)
        chosen = list(manifest.columns) if columns is None else list(columns)
        if on_corrupt not in ("fail", "exclude"):
            raise InputError(f"candidates(on_corrupt={shown(on_corrupt)}): expected 'fail' or 'exclude'.")
        excluded = _corrupt(self.directory, manifest) if on_corrupt == "exclude" else {}
        without = [one.file for one in excluded.values()]
        dataset = parquet.open_dataset(self.directory, manifest.user, manifest.item, chosen, memory, without)
        dataset = replace(dataset, excluded=tuple(excluded.values()))
        found = [(file.path.name, int(file.metadata.num_rows)) for file in dataset.files]
        said = [(part.pairs.name, part.n_pairs) for k, part in enumerate(manifest.partitions) if k not in excluded]
        if found != said:
            wrong = next((one for one in [*said, *found] if one not in said or one not in found), said[0])
            raise InputError(
                f"{self.directory}: file {wrong[0]!r} is not as the manifest says. Run `oasis-alloc partition` again "
                "with the same arguments; it writes what is missing."
            )
        counts, user_attributes = _users(self.directory, manifest, excluded)
        ids = as_ids(read_items(self.directory, manifest), manifest.n_items, "item ids", "n_items")
        assert ids is not None  # they were given
        user_keys, item_keys = as_keys(
            user_attributes, _item_attributes(items, manifest.item, ids.tolist()), manifest.n_users, manifest.n_items
        )
        streamed = {
            name: StreamedColumn(
                dataset, name, kind, float(np.array(manifest.columns[name].sums).sum()) / max(1, manifest.n_pairs),
                manifest.columns[name].min < 0,
            )
            for name, kind in dataset.columns.items()
        }  # fmt: skip
        item = StreamedColumn(dataset, manifest.item, np.dtype(item_dtype(manifest.n_items)), np.nan, False)
        return Candidates(
            n_users=manifest.n_users,
            n_items=manifest.n_items,
            n_pairs=int(dataset.start[-1]),
            indptr=readonly(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])),
            item=item,  # type: ignore[arg-type] # handles, as in Candidates.from_parquet
            columns=FrozenMapping(streamed),  # type: ignore[arg-type]
            users=user_keys,
            items=item_keys,
            item_ids=ids,
            user_name=manifest.user,
            item_name=manifest.item,
            stream=dataset,
        )

    def verify(self) -> None:
        """Read every file and compare it with its digest; `InputError` names the first that is missing or corrupt."""
        for part in _manifest(self.directory).partitions:
            for file in part.files:
                file.check(self.directory, whole=True)

    def __repr__(self) -> str:
        return (
            f"Partitions({self.n_users:,} users, {self.n_items:,} items, {self.n_pairs:,} pairs in "
            f"{self.n_partitions:,} partitions)"
        )


@suggesting
def partition(
    pairs: str | PathLike[str] | RemotePath,
    directory: str | PathLike[str] | RemotePath,
    *,
    user: str = "user",
    item: str = "item",
    columns: Sequence[str] | None = None,
    user_keys: Sequence[str] = (),
    rows_per_partition: int = 4_000_000,
) -> Partitions:
    """Write pairs in any order as partitions by user, sorted by user and item, in bounded memory.

    Users and items are numbered in the order of their ids, and pairs hold the numbers. The ids of the items are one
    file; those of the users are a file per partition, with their numbers of pairs and their keys. The call is
    idempotent: if the source has not changed, it writes only partitions that are missing.

    Parameters
    ----------
    pairs
        A Parquet file, or a directory of them; one row per candidate, rows in any order. An address of object storage
        (`s3://`, `gs://`, `hdfs://`) is read through `pyarrow.fs`, with the credentials of the environment.
    directory
        Where to write: an empty directory, or one of an earlier call; also such an address. Objects are replaced in one
        step, and files on the way there are on this machine.
    user, item
        Columns of ids, integers or strings.
    columns
        Columns of finite numbers; None takes all columns of numbers.
    user_keys
        Columns of integers or strings that are the same in all rows of a user, such as the market: keys of users.
    rows_per_partition
        About how many rows a partition has. One partition is in memory at a time, with about 4 times its size on the
        way. A user is never divided.

    Raises
    ------
    InputError
        Names the file, row and column of a null, of a number that is not finite and of a file that differs in its
        types; the user and item of a pair that occurs twice; a directory with other Parquet files.
    MissingDependencyError
        If pyarrow is not installed.

    Example
    -------
    >>> import tempfile, pandas as pd, oasis_alloc as oa
    >>> pairs = pd.DataFrame({"user": ["b", "a", "b"], "item": [7, 9, 9], "relevance": [0.5, 0.25, 1.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pairs.to_parquet(f"{folder}/pairs.parquet")
    ...     first = oa.partition(f"{folder}/pairs.parquet", f"{folder}/partitions")
    ...     again = oa.partition(f"{folder}/pairs.parquet", f"{folder}/partitions")
    ...     first.written, again.written, first.candidates().item_ids.tolist()
    ((0,), (), [7, 9])
    """
    require("pyarrow", "parquet")
    rows = as_whole(rows_per_partition)
    if rows is None or rows < 1:
        raise InputError(f"rows_per_partition={shown(rows_per_partition)}: expected a whole number >= 1.")
    source = Source.open(pairs, user, item, columns, user_keys)
    target = as_place(directory).absolute()
    if any(is_within(file.path, target) for file in source.files):
        raise InputError(f"{str(target)!r} has the pairs themselves; expected another directory for the partitions.")
    try:
        return Partitions._of(target, *write_partitions(source, target, rows))
    except OSError as error:
        if isinstance(target, RemotePath):
            raise InputError(f"{target} cannot be written ({reason_of(error)}).") from error
        raise


def _manifest(path: Place) -> Manifest:
    manifest = Manifest.read(path)
    if manifest is None:
        raise InputError(
            f"{str(path)!r} has no {NAME}; expected a directory that oa.partition has written completely. Run it (or "
            "`oasis-alloc partition`) first."
        )
    return manifest


def without_partition(candidates: Candidates, error: CorruptFileError) -> Candidates | None:
    """Candidates without the pairs of the partition that an error is about; None if they have no such partition."""
    dataset = candidates.stream
    manifest = None if dataset is None or not dataset.files else Manifest.read(dataset.files[0].path.parent)
    if dataset is None or manifest is None:
        return None
    number = {part.pairs.name: k for k, part in enumerate(manifest.partitions)}
    excluded = {number[one.file]: one for one in dataset.excluded if one.file in number}
    k = number.get(error.file)
    if k is None or k in excluded or len(excluded) + 1 == len(number):
        return None
    excluded[k] = Excluded.of(manifest.partitions[k], error)
    rest = remaining(dataset, excluded, manifest)
    columns = {name: replace(column, dataset=rest) for name, column in candidates.columns.items()}  # type: ignore[type-var]
    counts = counts_without(np.diff(candidates.indptr), excluded, manifest)
    return replace(
        candidates,
        n_pairs=int(rest.start[-1]),
        indptr=readonly(np.concatenate([[0], np.cumsum(counts)])),
        item=replace(candidates.item, dataset=rest),  # type: ignore[type-var]
        columns=FrozenMapping(columns),
        stream=rest,
    )


def _corrupt(directory: Place, manifest: Manifest) -> dict[int, Excluded]:
    """The partitions of which a file is missing, has another size or no footer that can be read."""
    out = {}
    for k, part in enumerate(manifest.partitions):
        try:
            for file in part.files:
                file.check(directory)
                File.of(directory / file.name)
        except InputError as error:
            out[k] = Excluded.of(part, error)
    if len(out) == len(manifest.partitions):
        raise InputError(f"{directory}: all partitions are corrupt. The first: {out[0].reason}")
    return out


def _users(directory: Place, manifest: Manifest, excluded: Collection[int] = ()) -> tuple[Any, dict[str, Given]]:
    """(numbers of pairs of all users, their keys); the ids are not read. Users left out have no pairs and no labels."""
    import pyarrow as pa

    tables: list[Any] = []
    for k, part in enumerate(manifest.partitions):
        if k in excluded:
            tables.append(pa.table({manifest.counts: np.zeros(part.n_users, np.uint32)}))
            continue
        tables.append(part.users.table(directory, [manifest.counts, *manifest.user_keys]))
        if tables[-1].num_rows != part.n_users:
            raise InputError(f"{directory / part.users.name} has {tables[-1].num_rows:,} users, not {part.n_users:,}.")
    table = pa.concat_tables(tables, promote_options="default")  # columns that are not there are null
    keys = {name: Given(_labels(table.column(name))) for name in manifest.user_keys}
    return table.column(manifest.counts).to_numpy(), keys


def _labels(column: Any) -> Any:
    """The labels of users; as objects where some have none, so that integers stay integers."""
    return np.array(column.to_pylist(), object) if column.null_count else column.to_numpy()


def _item_attributes(items: AttributesLike | None, name: str, ids: list[Any]) -> dict[str, Given]:
    """The attributes in the order of the items' numbers."""
    table = parquet.table_of(items, name, "items")
    if items is None or isinstance(items, Mapping):
        return table.attributes
    if table.ids is None:
        raise InputError(f"items has no column {name!r}; expected the ids of the items.")
    row = {key: k for k, key in enumerate(np.asarray(table.ids).tolist())}
    without = next((key for key in ids if key not in row), None)
    if without is not None:
        raise InputError(f"items: there is no row of item {without!r}; expected one for every item of the pairs.")
    rows = np.array([row[key] for key in ids], np.int64)
    return {key: Given(given.values, rows, given.is_series) for key, given in table.attributes.items()}
