"""The one folder that tools may read and write, and how much they may read."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote import Files
from oasis_alloc.data.partitions import PARQUET
from oasis_alloc.errors import InputError, require

_WANTED = "expected a path below the folder of the server, such as 'radio/pairs.parquet'"


@dataclass(frozen=True)
class Limits:
    """What one call of a tool may take.

    Attributes
    ----------
    seconds
        Of all solves of a call together.
    pairs
        Rows of the table of pairs.
    megabytes
        Of all tables of a statement together, unpacked.
    points
        Points of a sweep.
    rows
        Rows of a list in an answer.
    """

    seconds: float = 60.0
    pairs: int = 5_000_000
    megabytes: float = 1_000.0
    points: int = 20
    rows: int = 200

    def __post_init__(self) -> None:
        for name in ("seconds", "megabytes"):
            number = as_real(getattr(self, name))
            if number is None or not 0 < number < float("inf"):
                raise InputError(f"--{name} is {shown(getattr(self, name))}; expected a number above 0.")
        for name in ("pairs", "points", "rows"):
            whole = as_whole(getattr(self, name))
            if whole is None or whole < 1:
                raise InputError(f"--{name} is {shown(getattr(self, name))}; expected a whole number, 1 or more.")


class Room:
    """A folder; paths are given relative to it, and lead nowhere else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         Room(folder).path("../secrets.csv")
    ...     except InputError as error:
    ...         print(str(error).partition(":")[0])
    the path '../secrets.csv' leads out of the folder
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.realpath(folder))
        if not self.folder.is_dir():
            raise InputError(f"{os.fspath(folder)}: there is no such folder; make it first.")

    def path(self, text: object) -> Path:
        """The file or folder that a relative path names; it need not exist.

        Raises `InputError` for a path that leads out of the folder: absolute, with "..", an address, or through a
        symbolic link.
        """
        if not isinstance(text, str) or not text or "\0" in text:
            raise InputError(f"the path {shown(text)} is not valid; {_WANTED}.")
        if "://" in text:
            raise InputError(f"the path {shown(text)} is an address; {_WANTED}.")
        here, there = PurePosixPath(text), PureWindowsPath(text)
        if here.is_absolute() or there.drive or there.root or ".." in (*here.parts, *there.parts):
            raise InputError(f"the path {shown(text)} leads out of the folder: {_WANTED}, without '..'.")
        path = self.folder
        for part in here.parts:
            path = path / part
            if path.is_symlink():
                raise InputError(f"the path {shown(text)} goes through a symbolic link, {part!r}; {_WANTED}.")
        return path

    def file(self, text: object) -> Path:
        """An existing file."""
        path = self.path(text)
        if not path.is_file():
            raise InputError(f"{text}: there is no such file in the folder.")
        return path

    def relative(self, path: Path) -> str:
        """The name of a path in answers."""
        return path.relative_to(self.folder).as_posix()


class RoomFiles(Files):
    """The tables of a statement: paths below the room, of limited size, and none of them in object storage.

    Every path that a statement names is looked up here before it is read.
    """

    def __init__(self, room: Room, folder: Path, limits: Limits) -> None:
        super().__init__(folder)
        self._room, self._limits, self._megabytes = room, limits, 0.0
        self._seen: dict[Path, float] = {}  # megabytes

    def __truediv__(self, path: str) -> Path:
        text = path if "://" in path else os.path.join(self._room.relative(self.folder), path)
        found = self._room.path(text.removeprefix("./"))
        if found not in self._seen:
            self._seen[found], rows = self._sizes(found)
            self._megabytes += self._seen[found]
            if rows > self._limits.pairs:
                raise InputError(
                    f"{path} has {rows:,} rows; expected at most {self._limits.pairs:,}. Use a sample of users, or "
                    "start the server with a larger --pairs."
                )
            if self._megabytes > self._limits.megabytes:
                raise InputError(
                    f"{path}: the tables of the statement have more than {self._limits.megabytes:,.6g} MB, unpacked; "
                    "use smaller tables, or start the server with a larger --megabytes."
                )
        return found

    def files(self) -> dict[Path, tuple[int, int]]:
        """(time of the last change, bytes) of every file that has been looked up, and of those below folders."""
        out = {}
        for path in self._seen:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                with suppress(OSError):
                    about = file.stat()
                    out[file] = (about.st_mtime_ns, about.st_size)
        return out

    def _sizes(self, path: Path) -> tuple[float, int]:
        """(megabytes unpacked, rows of Parquet files) of a file, or of all files of a folder."""
        files, size, rows = [path], 0.0, 0
        if path.is_dir():
            files = []
            for folder, folders, names in os.walk(path):
                for name in (*folders, *names):
                    if (Path(folder) / name).is_symlink():
                        raise InputError(f"{path.name} has a symbolic link, {name!r}; replace it by the file.")
                files += [Path(folder) / name for name in names]
        for file in files:
            if not file.is_file():
                continue
            packed = file.stat().st_size / 1e6
            if file.suffix.lower() in PARQUET:
                unpacked, n = _parquet_sizes(file)
                size, rows = size + max(packed, unpacked), rows + n
            else:
                size += packed
        return size, rows


def _parquet_sizes(file: Path) -> tuple[float, int]:
    """(megabytes unpacked, rows) by the file's own footer; zeros for a damaged file, which the reader names.

    A few bytes can say that a value is repeated a billion times, so a cell counts as 8 bytes or more.
    """
    parquet = require("pyarrow.parquet", "mcp")
    try:
        about: Any = parquet.read_metadata(file)
    except Exception:  # Arrow has errors of its own
        return 0.0, 0
    encoded = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return max(encoded, 8 * about.num_rows * about.num_columns) / 1e6, int(about.num_rows)
