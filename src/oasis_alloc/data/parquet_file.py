"""One Parquet file as it was at the first read: its footer, and a check that the file is still the same."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from oasis_alloc.common.files import reason_of
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.remote_path import Place, RemotePath, opened_for_parquet
from oasis_alloc.data.corrupt import CorruptFileError
from oasis_alloc.errors import InputError

_TICK = 20_000_000  # ns: the resolution of clocks of file systems; two writes within one tick look like one
_REMOTE_TICK = 1_000_000_000  # ns: object stores say when an object was written in seconds
_REMEDY = (
    "Build the candidates again with Candidates.from_parquet. Do not change files while candidates use them: "
    "write new data to another directory, or under other names."
)


@dataclass(frozen=True)
class Stamp:
    """Identifies the state of a file: every change of its bytes changes one of these fields.

    `changed` is the time of the last change of the file or its metadata (ctime), which cannot be set by programs;
    `number` is the inode. Both are 0 where the system has none. The device is left out: it differs
    between hosts that mount the same file system.
    """

    size: int
    written: int
    changed: int
    number: int

    @classmethod
    def at(cls, path: Place) -> Stamp:
        """The stamp of the file at a path; OSError if there is none."""
        if isinstance(path, RemotePath):
            return cls(*path.about(), 0, 0)
        return cls.of(path.stat())

    @classmethod
    def of(cls, about: os.stat_result) -> Stamp:
        """The stamp from a result of `stat`."""
        if os.name != "posix":
            return cls(about.st_size, about.st_mtime_ns, 0, 0)
        return cls(about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)

    def differs(self, now: Stamp) -> str:
        """How a file differs from its earlier state, in words; empty if it does not."""
        if now == self:
            return ""
        if now.number != self.number:
            return "another file is in its place"
        if now.size != self.size:
            return f"it had {self.size:,} bytes and has {now.size:,}"
        if now.written != self.written:
            return "it was written or touched"
        return "it was written over, or its mode, owner, name or links have changed"


@dataclass(frozen=True, eq=False)
class File(ByFields):
    """One Parquet file as it was at the first read.

    - `path`: absolute, so that a change of directory, or another process, finds the same one; or in object storage.
    - `metadata`: its footer, a `pyarrow.parquet.FileMetaData`; `schema`: its types, as Arrow types.
    """

    path: Place
    metadata: Any
    schema: Any
    stamp: Stamp
    folders: Mapping[str, int | float] = field(default_factory=dict)  # numbers of folders such as hour=9
    _places: dict[str, int] = field(default_factory=dict, init=False)  # column -> its number among the leaves

    @classmethod
    def of(cls, path: Place, folders: Mapping[str, int | float] | None = None) -> File:
        """Open a file for its footer; raise `InputError` if it has no valid footer."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = path.absolute()
        try:
            before = _settled(path)
            with opened_for_parquet(path) as source:
                metadata = pq.read_metadata(source)
            leaves = metadata.schema
            schema = leaves.to_arrow_schema()
            own = {name: value for name, value in (folders or {}).items() if name not in schema.names}
            made = cls(path, metadata, schema, before, own)
            for k in range(len(leaves)):
                made._places.setdefault(leaves.column(k).path, k)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as a Parquet file ({error}).") from error
        made.check()
        return made

    def check(self, handle: int | None = None) -> None:
        """Raise `InputError` if the file at the path, or an open one, has changed."""
        try:
            found = Stamp.at(self.path)
        except FileNotFoundError:
            self._changed("it is gone")
        except OSError as error:
            raise CorruptFileError(
                f"{self.path} can no longer be accessed ({reason_of(error)}). {_REMEDY}", self.path.name
            ) from error
        difference = self.stamp.differs(found)
        if not difference and handle is not None:
            difference = self.stamp.differs(Stamp.of(os.fstat(handle)))
        if difference:
            self._changed(difference)

    def _changed(self, how: str) -> NoReturn:
        raise CorruptFileError(
            f"{self.path} has changed since Candidates.from_parquet looked at it: {how}. {_REMEDY}", self.path.name
        )

    def chunks(self, group: int, names: Sequence[str]) -> list[Any]:
        """The footer's entries for these columns of a row group (`ColumnChunkMetaData`), for columns that exist."""
        about = self.metadata.row_group(group)
        return [about.column(self._places[name]) for name in names if name in self._places]

    def extent(self, chunk: Any) -> tuple[int, int]:
        """(first byte, number of bytes) of a column of a row group."""
        first = chunk.dictionary_page_offset
        begin = chunk.data_page_offset if first is None else min(first, chunk.data_page_offset)
        return begin, chunk.total_compressed_size

    def check_footer(self, names: Sequence[str]) -> None:
        """Raise `InputError` if the footer's entries for these columns contradict each other or the file."""
        about, rows = self.metadata, 0
        for g in range(about.num_row_groups):
            here = about.row_group(g).num_rows
            rows += here
            for chunk in self.chunks(g, names):
                begin, size = self.extent(chunk)
                if here < 0 or chunk.num_values != here or begin < 0 or size < 0 or begin + size > self.stamp.size:
                    raise InputError(
                        f"{self.path.name}, row group {g:,}: the footer says that column {chunk.path_in_schema!r} has "
                        f"{chunk.num_values:,} values in {size:,} bytes from byte {begin:,} on, in a row group of "
                        f"{here:,} rows and a file of {self.stamp.size:,} bytes. The file is damaged, or the column "
                        "does not have plain numbers; write it again."
                    )
        if rows != about.num_rows:
            raise InputError(
                f"{self.path.name}: the footer says {about.num_rows:,} rows, and its row groups have {rows:,}. The "
                "file is damaged; write it again."
            )


def _settled(path: Place) -> Stamp:
    """The stamp of a file whose last write is old enough that a later change has a later time."""
    tick = _REMOTE_TICK if isinstance(path, RemotePath) else _TICK
    while True:
        stamp = Stamp.at(path)
        age = time.time_ns() - max(stamp.written, stamp.changed)
        if not 0 <= age < tick:  # a time in the future is from another clock, so it says nothing
            return stamp
        time.sleep((tick - age) * 1e-9)
