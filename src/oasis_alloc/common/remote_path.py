"""Paths of files that readers and writers of data take: of this machine, or of object storage (`s3://`, `gs://`).

`RemotePath` has the calls of `pathlib.Path` that they need. Credentials and servers are those of the environment of the
process, as in `common/remote.py`, so a path that is pickled is opened with those of the other process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any

from oasis_alloc.common.files import replacing, write_whole
from oasis_alloc.common.regular_files import DOCUMENT, check_size, read_regular
from oasis_alloc.common.remote import RemoteFolder, is_remote, without_secrets
from oasis_alloc.errors import require


class RemotePath:
    """A file or folder of object storage, by its address.

    Folders are not made: an object store has the folders of its objects. Raises `InputError` for an address that is
    not valid, and `MissingDependencyError` without pyarrow; calls that reach the server raise OSError.
    """

    def __init__(self, address: str, system: Any = None) -> None:
        self._address = address.rstrip("/")
        opened = RemoteFolder(self._address) if system is None else None
        self._fs, root = (system[0], system[1]) if opened is None else opened.system
        self._path: str = root

    def __str__(self) -> str:
        return without_secrets(self._address)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self._address,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self._address}/{name}", (self._fs, f"{self._path}/{name}"))

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self._address.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part of the address, without what follows its last dot."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> RemotePath:
        """The folder that this is in."""
        return RemotePath(self._address.rpartition("/")[0], (self._fs, self._path.rpartition("/")[0]))

    def absolute(self) -> RemotePath:
        """This path: addresses are absolute."""
        return self

    def about(self) -> tuple[int, int]:
        """(size, time of the last write in ns) of a file; FileNotFoundError if there is none."""
        found = self._fs.get_file_info(self._path)
        if found.type.name != "File":
            raise FileNotFoundError(2, os.strerror(2), str(self))
        return int(found.size), int(found.mtime_ns or 0)

    def is_file(self) -> bool:
        """True if there is an object of this name."""
        return bool(self._fs.get_file_info(self._path).type.name == "File")

    def is_dir(self) -> bool:
        """True if there are objects below it."""
        return bool(self._fs.get_file_info(self._path).type.name == "Directory")

    def exists(self) -> bool:
        """True for a file, and for a folder of files."""
        return bool(self._fs.get_file_info(self._path).type.name in ("File", "Directory"))

    def entries(self) -> list[tuple[str, bool]]:
        """(name, is a folder) of what is in this folder; nothing if there is no such folder."""
        split = [name.split("/", 1) for name in self._below()]
        return [*dict.fromkeys((parts[0], len(parts) > 1) for parts in split)]

    def glob(self, pattern: str) -> list[RemotePath]:
        """The files of the folder whose names match."""
        return [self / name for name in self._below() if "/" not in name and fnmatchcase(name, pattern)]

    def rglob(self, pattern: str) -> list[RemotePath]:
        """The files in and below the folder whose names match."""
        return [self / name for name in self._below() if fnmatchcase(name.rpartition("/")[2], pattern)]

    def _below(self) -> list[str]:
        """Names of all files below this folder: not all stores list the folders in one that has no files itself."""
        selector = require("pyarrow.fs", "parquet").FileSelector(self._path, True, True)
        found = [info.path for info in self._fs.get_file_info(selector) if info.type.name == "File"]
        return sorted(path.removeprefix(self._path).strip("/") for path in found)

    def open_arrow(self) -> Any:
        """The file for Parquet readers of pyarrow: parts of it are fetched as they are asked for."""
        return self._fs.open_input_file(self._path)

    def open(self) -> IO[bytes]:
        """The file, to be read from its beginning."""
        stream: IO[bytes] = self._fs.open_input_stream(self._path)
        return stream

    def read_bytes(self) -> bytes:
        """All bytes of the file."""
        with self.open() as stream:
            return bytes(stream.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """The file as text."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""
        try:
            self._fs.delete_file(self._path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Nothing: folders of an object store are those of its objects. Elsewhere, writing a file makes them."""

    def copy_to(self, target: Path) -> None:
        """Copy the file, or the folder with its files, to this machine; OSError."""
        RemoteFolder(self._address).copy_to(target)

    def put(self, source: Path) -> None:
        """Replace the file by one of this machine, in one step."""
        folder = self._address.rpartition("/")[0]
        RemoteFolder(folder).put(self.name, source)


Place = Path | RemotePath
AnyPath = str | os.PathLike[str] | RemotePath


def as_place(path: AnyPath) -> Place:
    """The path that a caller means: an address of object storage, or a path of this machine.

    >>> as_place("/data/partitions").name
    'partitions'
    """
    if isinstance(path, RemotePath):
        return path
    return RemotePath(path) if isinstance(path, str) and is_remote(path) else Path(path)


def text_in(folder: Path, text: str) -> str:
    """The path that a file in `folder` names, which may be relative to the folder, or its address.

    >>> text_in(Path("/jobs"), "s3://bucket/answer")
    's3://bucket/answer'
    """
    return text if is_remote(text) else str(folder / text)


def files_in(folder: Place, pattern: str = "*") -> list[Place]:
    """What is in a folder under names that match, in the order of the names."""
    found: list[Place] = [*folder.glob(pattern)]
    return sorted(found, key=str)


def is_within(path: Place, folder: Place) -> bool:
    """True if a path is in a folder, or is it.

    >>> is_within(Path("/data/pairs/a.parquet"), Path("/data/pairs")), is_within(Path("/data/pairs"), Path("/data/p"))
    (True, False)
    """
    if isinstance(path, RemotePath) or isinstance(folder, RemotePath):
        return type(path) is type(folder) and f"{path}/".startswith(f"{folder}/")
    return path.is_relative_to(folder)


@contextmanager
def replacing_at(path: Place) -> Iterator[Path]:
    """Give a local file to write to; at the end of the block it replaces `path` in one step, as `replacing`."""
    if isinstance(path, Path):
        with replacing(path) as beside:
            yield beside
        return
    with tempfile.TemporaryDirectory(prefix="oasis-alloc-") as folder:
        local = Path(folder) / path.name
        yield local
        path.put(local)


def write_at(path: AnyPath, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, as `replacing_at` does."""
    place = as_place(path)
    if isinstance(place, Path):
        write_whole(place, content)
        return
    with replacing_at(place) as local:
        local.write_bytes(content.encode() if isinstance(content, str) else content)


def text_at(path: AnyPath) -> str:
    """The text of a regular file in UTF-8, up to `DOCUMENT` bytes; OSError, and ValueError for other bytes."""
    return document_at(path).decode()


def document_at(path: AnyPath) -> bytes:
    """The bytes of a regular file, up to `DOCUMENT`; OSError, and ValueError for a path with a null character."""
    place = as_place(path)
    if isinstance(place, RemotePath):
        check_size(place.about()[0], DOCUMENT, place)
        return place.read_bytes()
    return read_regular(place)


@contextmanager
def copied_from(path: AnyPath) -> Iterator[Path]:
    """Give a local file with the content of `path`: itself, or a copy for the block; OSError if there is none."""
    place = as_place(path)
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="oasis-alloc-") as folder:
        local = Path(folder) / (place.name or "file")
        place.copy_to(local)
        yield local


def name_of(path: AnyPath) -> str:
    """A path for messages; an address without what is secret in it.

    >>> name_of("s3://key:secret@bucket/policy"), name_of(Path("policy"))
    ('s3://bucket/policy', 'policy')
    """
    if isinstance(path, RemotePath):
        return str(path)
    return without_secrets(path) if isinstance(path, str) and is_remote(path) else os.fspath(path)


@contextmanager
def opened_for_parquet(path: Place) -> Iterator[Any]:
    """Give what pyarrow's readers of Parquet files take: a path, or a file of object storage, open for the block.

    One that is freed while it is open waits for its server and holds the lock of the interpreter meanwhile.
    """
    if not isinstance(path, RemotePath):
        yield path
        return
    with path.open_arrow() as file:
        yield file
