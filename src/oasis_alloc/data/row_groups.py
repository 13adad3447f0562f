"""Pairs in Parquet files: row groups in order, read one at a time, and single pairs by position."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import RemotePath
from oasis_alloc.common.types import Ints
from oasis_alloc.data.corrupt import CorruptFileError, Excluded
from oasis_alloc.data.parquet_file import File
from oasis_alloc.data.positions import positions_of
from oasis_alloc.errors import InputError

_AHEAD = 4  # row groups requested from the disk before they are decoded
_BUFFER = 1 << 15  # bytes of a column that are read at a time, besides whole pages

Columns = dict[str, NDArray[Any]]


class MemoryBudget:
    """Counts the bytes held for pairs, against a limit: all readers and engines of a dataset share one.

    The bytes of an owner count as long as the owner exists, so nothing stays counted after an interrupt.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self._owners: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryBudget, (self.limit,)  # a copy has readers of its own

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(self._owners.values())

    def take(self, owner: object, n_bytes: int) -> None:
        """Count bytes that the owner must hold; a negative number releases bytes."""
        with self._lock:
            self._owners[owner] = self._owners.get(owner, 0) + n_bytes
            self.peak = max(self.peak, self.held)

    def ask(self, owner: object, n_bytes: int, leave: int) -> bool:
        """Count optional bytes if `leave` bytes remain free after it; return whether they were counted."""
        with self._lock:
            if self.held + n_bytes + leave > self.limit:
                return False
            self._owners[owner] = self._owners.get(owner, 0) + n_bytes
            self.peak = max(self.peak, self.held)
            return True

    def close(self, owner: object) -> None:
        """Release all bytes of the owner."""
        with self._lock:
            self._owners.pop(owner, None)


@dataclass(frozen=True, eq=False)
class Dataset(ByFields):
    """Files of pairs sorted by user, as one sequence of row groups.

    - `start`: int64 (n_groups + 1,); row group g holds the pairs `start[g]:start[g + 1]`.
    - `file`, `group`: (n_groups,) where each one is.
    - `user`, `item`: names of the columns of numbers; `columns`: the rest, name -> type of the arrays returned.
    - `budget`: the memory for pairs.
    - `refused`: columns that were not named and cannot be used: name -> reason.
    - `excluded`: partitions that are left out.
    """

    files: tuple[File, ...]
    start: Ints
    file: Ints
    group: Ints
    user: str
    item: str
    columns: dict[str, np.dtype[Any]]
    budget: MemoryBudget
    refused: dict[str, str] = field(default_factory=dict)
    excluded: tuple[Excluded, ...] = ()
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
        """The largest number of bytes needed to read these columns of one row group."""
        if names not in self._largest:
            self._largest[names] = max((self.group_bytes(g, names) for g in range(self.n_groups)), default=0)
        return self._largest[names]

    def group_bytes(self, g: int, names: Sequence[str]) -> int:
        """Bytes that reading these columns of a row group takes: encoded and decoded."""
        total = 0
        for chunk in self.files[self.file[g]].chunks(int(self.group[g]), names):
            width = 4 if chunk.physical_type in ("INT32", "FLOAT") else 8  # half floats: as they are, and widened
            total += int(chunk.total_compressed_size) + width * int(chunk.num_values)
            if chunk.compression != "UNCOMPRESSED":
                total += int(chunk.total_uncompressed_size)
        folders = sum(name in self.files[self.file[g]].folders for name in names)
        return total + 8 * folders * int(self.start[g + 1] - self.start[g])

    def check(self) -> None:
        """Raise `InputError` if a file has changed since the first read."""
        for file in self.files:
            file.check()

    def check_range(self, position: int, name: str, column: NDArray[Any]) -> None:
        """Raise `InputError` if numbers of a row group are outside the range in its footer.

        `position` is its first pair. This finds some damage in files whose pages have no checksums.
        """
        g = int(np.searchsorted(self.start, position, side="right")) - 1
        if name in self.files[self.file[g]].folders:
            return
        said = self.files[self.file[g]].chunks(int(self.group[g]), [name])[0].statistics
        if said is None or not said.has_min_max or not column.size:
            return
        low, high, smallest, largest = _number(said.min), _number(said.max), column.min(), column.max()
        if smallest < low or largest > high:
            raise InputError(
                f"{self.place(position).rpartition(',')[0]}: column {name!r} has numbers from {smallest} to {largest}, "
                f"and the footer says from {low} to {high}. The file is damaged; write it again."
            )

    def read(self, names: Sequence[str], verify: bool = False, lenient: bool = False) -> RowGroupReader:
        """A reader of some of the columns.

        `verify` checks the checksums of pages that have one. `lenient` returns columns with nulls, as NaN, and the
        position of the first null (`RowGroupReader.missing`), instead of an error.
        """
        return RowGroupReader(self, tuple(names), verify, lenient)

    def take(self, names: Sequence[str], positions: Ints) -> Columns:
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


class RowGroupReader:
    """Reads row groups, one held at a time; each thread has its own."""

    def __init__(self, dataset: Dataset, names: tuple[str, ...], verify: bool = False, lenient: bool = False) -> None:
        self.missing: dict[str, int] = {}  # of the row group that was read last: column -> first row that is null
        self._dataset = dataset
        self._names = names
        self._verify, self._lenient = verify, lenient
        self._file, self._asked = -1, -1
        self._open: Any = None
        self._handle = -1  # to check the open file, and for reading ahead
        self._number = -1
        self._group: Columns = {}
        dataset.budget.take(self, dataset.largest(names))

    def group(self, g: int) -> Columns:
        """The columns of row group g; read-only, and valid until the next call."""
        if g != self._number:
            self._group, self._number = {}, -1  # frees the memory of the last group before the next is read
            self._group, self._number = self._decoded(g), g
        return self._group

    def between(self, begin: int, end: int) -> Columns:
        """The columns of the pairs begin:end, which may be of several row groups; they stay valid.

        Columns of numbers have their final type; users and items are int64.
        """
        data = self._dataset
        out = {name: np.empty(max(0, end - begin), data.columns.get(name, np.int64)) for name in self._names}
        for at, stop, columns in self.stretches(begin, end):
            for name, column in columns.items():
                out[name][at - begin : stop - begin] = column
        return out

    def stretches(self, begin: int, end: int) -> Iterator[tuple[int, int, Columns]]:
        """(first pair, one after the last, columns) of the part of each row group in begin:end; valid as `group`."""
        start, at = self._dataset.start, begin
        while at < end:
            g = int(np.searchsorted(start, at, side="right")) - 1
            first, stop = int(start[g]), min(end, int(start[g + 1]))
            yield at, stop, {name: column[at - first : stop - first] for name, column in self.group(g).items()}
            at = stop

    def _decoded(self, g: int) -> Columns:
        """Read a row group, with a check of the file before and after."""
        import pyarrow as pa

        data = self._dataset
        known = data.files[int(data.file[g])]
        try:
            opened = self._opened(int(data.file[g]))
            if self._handle >= 0:  # of object storage, every look is a request: one after the read is enough
                known.check(self._handle)
            self.missing = {}
            stored = [name for name in self._names if name not in known.folders]
            table = opened.read_row_group(int(data.group[g]), columns=stored, use_threads=False)
            self._ask_ahead(g)
            out = {name: self._column(table, name, g) for name in self._names}
        except (pa.ArrowException, OSError) as error:
            known.check(self._handle if self._handle >= 0 else None)  # a changed file explains the error better
            raise CorruptFileError(
                f"{data.place(int(data.start[g])).rpartition(',')[0]} of {known.path} cannot be read ({error}). The "
                "file is damaged, or its disk is; write it again.",
                known.path.name,
            ) from error
        known.check(self._handle if self._handle >= 0 else None)
        return out

    def _column(self, table: Any, name: str, g: int) -> NDArray[Any]:
        data = self._dataset
        first, rows = int(data.start[g]), int(data.start[g + 1] - data.start[g])
        folders = data.files[int(data.file[g])].folders
        if name in folders:
            return np.full(rows, folders[name])
        column = table.column(name)
        if len(column) != rows:
            raise InputError(
                f"{data.place(first).rpartition(',')[0]}: column {name!r} has {len(column):,} rows, and the footer "
                f"says {rows:,}. The file is damaged; write it again."
            )
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            if self._lenient and name in data.columns:
                self.missing[name] = row
                return _wide(np.asarray(column.to_numpy()))
            raise InputError(f"{data.place(first + row)}: column {name!r} is null; expected a number in every row.")
        return _wide(np.asarray(column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()))

    def _opened(self, file: int) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if file != self._file:
            self._shut()
            known = self._dataset.files[file]
            known.check()
            far = isinstance(known.path, RemotePath)
            if isinstance(known.path, RemotePath):
                source = known.path.open_arrow()
            else:  # read, not mapped: if a mapped file is truncated, the process dies
                self._handle = os.open(known.path, os.O_RDONLY)
                source = pa.OSFile(str(known.path))
            self._open = pq.ParquetFile(
                source,
                metadata=known.metadata,
                buffer_size=0 if far else _BUFFER,
                pre_buffer=far,  # one request for columns that are next to each other
                page_checksum_verification=self._verify,
            )
            self._file, self._asked = file, -1
        return self._open

    def _ask_ahead(self, g: int) -> None:
        """Let the disk fetch the next row groups of the same file while this one is processed."""
        if self._handle < 0 or not hasattr(os, "posix_fadvise"):
            return
        if self._asked > g + _AHEAD:  # from the beginning again
            self._asked = g
        data, file = self._dataset, self._dataset.files[self._file]
        for ahead in range(max(g, self._asked) + 1, min(g + _AHEAD, data.n_groups - 1) + 1):
            if data.file[ahead] == self._file:
                for chunk in file.chunks(int(data.group[ahead]), self._names):
                    with suppress(OSError):  # a hint, which not all file systems support
                        os.posix_fadvise(self._handle, *file.extent(chunk), os.POSIX_FADV_WILLNEED)
                self._asked = ahead

    def _shut(self) -> None:
        if self._open is not None:
            self._open.close(force=True)
            self._open = None
        if self._handle >= 0:
            os.close(self._handle)
        self._handle, self._file = -1, -1

    def close(self) -> None:
        """Give back the file and the memory."""
        self._group, self._number = {}, -1
        self._shut()
        self._dataset.budget.close(self)

    def __iter__(self) -> Iterator[tuple[int, int, Columns]]:
        """(first position, one after the last, columns) of every row group."""
        start = self._dataset.start
        for g in range(self._dataset.n_groups):
            yield int(start[g]), int(start[g + 1]), self.group(g)

    def __enter__(self) -> RowGroupReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, eq=False)
class StreamedColumn(ByFields):
    """A column of pairs that stays in its files: single pairs by position, and facts from the first complete read."""

    dataset: Dataset
    name: str
    dtype: np.dtype[Any]
    size: float  # mean of |c|
    any_negative: bool

    def __len__(self) -> int:
        return int(self.dataset.start[-1])

    def __getitem__(self, index: Any) -> Any:
        """The numbers at positions, in a slice or under a mask, as arrays give them; reads the row groups they are in.

        Raises `InputError` for anything else, and for a slice that needs more than `memory`.
        """
        where = positions_of(index, len(self), f"column {self.name!r}")
        if not isinstance(where, range):
            found = self.dataset.take([self.name], where.ravel())[self.name].astype(self.dtype, copy=False)
            return found.reshape(where.shape)[()]  # for one position, the number itself
        needed = len(where) * (self.dtype.itemsize + (0 if where.step == 1 else 3 * 8))  # 3: positions and their order
        if needed > self.dataset.budget.limit:
            raise InputError(
                f"column {self.name!r}: a slice of {len(where):,} entries takes {needed:,} bytes, and memory= allows "
                f"{self.dataset.budget.limit:,}; ask for fewer at a time."
            )
        if where.step != 1:
            return self[np.arange(where.start, where.stop, where.step, dtype=np.int64)]
        with self.dataset.read([self.name]) as reader:
            return reader.between(where.start, where.stop)[self.name].astype(self.dtype, copy=False)

    def __iter__(self) -> NoReturn:
        self._refuse()  # iterating would read a row group for every number

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InputError(
            f"column {self.name!r} has {len(self):,} entries in Parquet files and is never in memory as a whole; ask "
            "for pairs by position, such as candidates.columns[name][solution.pairs], or for a slice."
        )


def _wide(column: NDArray[Any]) -> NDArray[Any]:
    """Half floats as float32, which represents them exactly and which kernels accept; other types unchanged."""
    return column.astype(np.float32) if column.dtype == np.float16 else column


def _number(said: Any) -> Any:
    """A bound in a footer as a number (half floats are two bytes); NaN for other bytes."""
    if not isinstance(said, bytes):
        return said
    return np.float32(np.frombuffer(said, "<f2")[0]) if len(said) == 2 else np.nan


def any_negative(column: NDArray[Any] | StreamedColumn) -> bool:
    """True where a number of the column is below 0."""
    return column.any_negative if isinstance(column, StreamedColumn) else bool((column < 0).any())


def clipped(indptr: Ints, begin: int, end: int) -> tuple[int, int, Ints]:
    """(first user, one after the last, their indptr) of the pairs begin:end, whose first and last user may be cut."""
    first = int(np.searchsorted(indptr, begin, side="right")) - 1
    last = int(np.searchsorted(indptr, end, side="left"))
    return first, last, np.clip(indptr[first : last + 1], begin, end) - begin
