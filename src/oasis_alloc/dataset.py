"""Pairs in Parquet files: row groups in order, read one at a time, and single pairs by position."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import InputError

_AHEAD = 4  # row groups that the disk is asked for before they are decoded

Columns = dict[str, NDArray[Any]]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class File:
    """One Parquet file as it was when it was looked at first."""

    path: Path
    metadata: Any  # pyarrow.parquet.FileMetaData
    stamp: tuple[int, int]  # size, time of the last change

    @classmethod
    def of(cls, path: Path) -> File:
        """Open a file for its footer."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return cls(path, pq.read_metadata(path), _stamp(path))
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path} cannot be read as a Parquet file ({error}).") from error


class Ledger:
    """Bytes that may be held of pairs, and those that are: every reader and engine of a dataset shares one.

    What an owner holds counts as long as the owner lives, so nothing stays counted after an interrupt.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = 0
        self._owners: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._lock = Lock()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return sum(self._owners.values())

    def take(self, owner: object, n_bytes: int) -> None:
        """Count bytes that the owner has to hold; fewer than 0 are given back."""
        with self._lock:
            self._owners[owner] = self._owners.get(owner, 0) + n_bytes
            self.most = max(self.most, self.held)

    def ask(self, owner: object, n_bytes: int, leave: int) -> bool:
        """Count bytes that would be good to have, if `leave` are left over after it; whether they are."""
        with self._lock:
            if self.held + n_bytes + leave > self.limit:
                return False
            self._owners[owner] = self._owners.get(owner, 0) + n_bytes
            self.most = max(self.most, self.held)
            return True

    def close(self, owner: object) -> None:
        """The owner holds nothing any more."""
        with self._lock:
            self._owners.pop(owner, None)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Files of pairs sorted by user, as one sequence of row groups.

    - `start`: int64 (n_groups + 1,); row group g holds the pairs `start[g]:start[g + 1]`.
    - `file`, `group`: (n_groups,) where each one is.
    - `user`, `item`: names of the columns of numbers; `columns`: the rest, name -> type as it is handed out.
    - `ledger`: how much may be held of pairs at a time.
    """

    files: tuple[File, ...]
    start: Positions
    file: Positions
    group: Positions
    user: str
    item: str
    columns: dict[str, np.dtype[Any]]
    ledger: Ledger
    _largest: dict[tuple[str, ...], int] = field(default_factory=dict, init=False)

    @property
    def n_groups(self) -> int:
        """How many row groups there are."""
        return int(self.file.size)

    def place(self, position: int) -> str:
        """Where a pair is, in words: its file, row group and row in it."""
        g = int(np.searchsorted(self.start, position, side="right")) - 1
        row = position - int(self.start[g])
        return f"{self.files[self.file[g]].path.name}, row group {self.group[g]:,}, row {row:,}"

    def largest(self, names: tuple[str, ...]) -> int:
        """Bytes that reading these columns takes at the most, a row group at a time."""
        if names not in self._largest:
            self._largest[names] = max((self.group_bytes(g, names) for g in range(self.n_groups)), default=0)
        return self._largest[names]

    def group_bytes(self, g: int, names: Sequence[str]) -> int:
        """Bytes that reading these columns of a row group takes: as they are in the file, and decoded."""
        about = self.files[self.file[g]].metadata.row_group(int(self.group[g]))
        total = 0
        for k in range(about.num_columns):
            column = about.column(k)
            if column.path_in_schema in names:
                width = 8 if column.physical_type in ("INT64", "DOUBLE") else 4
                total += int(column.total_compressed_size) + width * int(about.num_rows)
                if column.compression != "UNCOMPRESSED":
                    total += int(column.total_uncompressed_size)
        return total

    def read(self, names: Sequence[str]) -> Reader:
        """A reader of some of the columns."""
        return Reader(self, tuple(names))

    def take(self, names: Sequence[str], positions: Positions) -> Columns:
        """Columns of single pairs, by position, in any order; reads the row groups that they are in."""
        order = np.argsort(positions, kind="stable")
        wanted = positions[order]
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        with self.read(names) as reader:
            at = 0
            while at < wanted.size:
                g = int(np.searchsorted(self.start, wanted[at], side="right")) - 1
                end = int(np.searchsorted(wanted, self.start[g + 1]))
                rows = wanted[at:end] - self.start[g]
                for name, column in reader.group(g).items():
                    parts[name].append(column[rows])
                at = end
        out: Columns = {}
        for name in names:
            column = np.concatenate(parts[name]) if parts[name] else np.empty(0, self.columns.get(name, np.int64))
            out[name] = np.empty_like(column)
            out[name][order] = column
        return out


class Reader:
    """Reads row groups, one held at a time; each thread has its own."""

    def __init__(self, dataset: Dataset, names: tuple[str, ...]) -> None:
        self._dataset = dataset
        self._names = names
        self._file, self._asked = -1, -1
        self._open: Any = None
        self._map: Any = None
        self._number = -1
        self._group: Columns = {}
        dataset.ledger.take(self, dataset.largest(names))

    def group(self, g: int) -> Columns:
        """The columns of row group g; read-only, and only good until the next one."""
        if g != self._number:
            self._group, self._number = {}, -1  # the memory of the last one is free before the next is read
            self._group, self._number = self._decoded(g), g
        return self._group

    def _decoded(self, g: int) -> Columns:
        data = self._dataset
        handle = self._opened(int(data.file[g]))
        table = handle.read_row_group(int(data.group[g]), columns=list(self._names), use_threads=False)
        self._ask_ahead(g)
        self._let_go(g)
        out: Columns = {}
        for name in self._names:
            column = table.column(name)
            if column.null_count:
                chunk = column.combine_chunks()
                row = int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
                raise InputError(
                    f"{data.place(int(data.start[g]) + row)}: column {name!r} is null; expected a number in every row."
                )
            out[name] = column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()
        return out

    def _opened(self, file: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if file != self._file:
            self._shut()
            known = self._dataset.files[file]
            if not known.path.exists() or _stamp(known.path) != known.stamp:
                raise InputError(
                    f"{known.path} has changed since Candidates.from_parquet looked at it; build the candidates anew."
                )
            with known.path.open("rb") as handle:  # mapped: decoding is then the only copy
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            self._open = pq.ParquetFile(pa.BufferReader(pa.py_buffer(self._map)), metadata=known.metadata)
            self._file, self._asked = file, -1
        return self._open

    def _ask_ahead(self, g: int) -> None:
        """Have the disk fetch the next row groups of the same file while this one is worked on."""
        if self._asked > g + _AHEAD:  # from the beginning again
            self._asked = g
        for ahead in range(max(g, self._asked) + 1, min(g + _AHEAD, self._dataset.n_groups - 1) + 1):
            if self._dataset.file[ahead] == self._file:
                self._advise(ahead, "MADV_WILLNEED")
                self._asked = ahead

    def _let_go(self, g: int) -> None:
        """What is decoded need not stay mapped, or the whole file would count as this process' memory."""
        self._advise(g, "MADV_DONTNEED")

    def _advise(self, g: int, what: str) -> None:
        if not hasattr(mmap, what):
            return
        about = self._dataset.files[self._file].metadata.row_group(int(self._dataset.group[g]))
        for k in range(about.num_columns):
            column = about.column(k)
            if column.path_in_schema in self._names:
                first = column.dictionary_page_offset
                begin = column.data_page_offset if first is None else min(first, column.data_page_offset)
                page = begin // mmap.PAGESIZE * mmap.PAGESIZE
                self._map.madvise(getattr(mmap, what), page, column.total_compressed_size + begin - page)

    def _shut(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open, self._map, self._file = None, None, -1  # unmapped with the last buffer of it

    def close(self) -> None:
        """Give back the file and the memory."""
        self._group, self._number = {}, -1
        self._shut()
        self._dataset.ledger.close(self)

    def __iter__(self) -> Iterator[tuple[int, int, Columns]]:
        """(first position, one after the last, columns) of every row group."""
        start = self._dataset.start
        for g in range(self._dataset.n_groups):
            yield int(start[g]), int(start[g + 1]), self.group(g)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class StreamedColumn:
    """A column of pairs that stays in its files: single pairs by position, and what one look at all of them said."""

    dataset: Dataset
    name: str
    dtype: np.dtype[Any]
    size: float  # mean of |c|
    any_negative: bool

    def __len__(self) -> int:
        return int(self.dataset.start[-1])

    def __getitem__(self, positions: Positions) -> NDArray[Any]:
        """The numbers at these positions, in any order; reads the row groups that they are in."""
        found = self.dataset.take([self.name], np.asarray(positions, np.int64))
        return found[self.name].astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        raise InputError(
            f"column {self.name!r} has {len(self):,} entries in Parquet files and is never in memory as a whole; ask "
            "for single pairs by position, such as candidates.columns[name][solution.positions]."
        )


def any_negative(column: NDArray[Any] | StreamedColumn) -> bool:
    """True where a number of the column is below 0."""
    return column.any_negative if isinstance(column, StreamedColumn) else bool((column < 0).any())


def clipped(indptr: Positions, begin: int, end: int) -> tuple[int, int, Positions]:
    """(first user, one after the last, their indptr) of the pairs begin:end, whose first and last user may be cut."""
    first = int(np.searchsorted(indptr, begin, side="right")) - 1
    last = int(np.searchsorted(indptr, end, side="left"))
    return first, last, np.clip(indptr[first : last + 1], begin, end) - begin


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns
