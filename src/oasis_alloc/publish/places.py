"""Where policies are published: a folder of this machine, or of object storage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from oasis_alloc.common.files import locked, write_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.common.remote import RemoteFolder, is_remote
from oasis_alloc.errors import InputError

_LARGEST = 1 << 33  # bytes of a file
_LOCK = "manifest.lock"
_ABANDONED = 3600.0  # seconds after which a temporary file belongs to a process that was killed


class Place(Protocol):
    """Files by name, each replaced in one step."""

    name: str  # the last part of the path

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError if there is no such file, OSError if it cannot be read."""

    def write(self, name: str, raw: bytes) -> None:
        """Write a file, completely or not at all; OSError."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def names(self) -> list[str]:
        """Names of the files; none if there is no such folder."""

    def exclusive(self) -> AbstractContextManager[None]:
        """For the block, other publishers wait."""


class Folder:
    """A folder of a local or mounted file system; it is made when the first file is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.resolve().name

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        return read_regular(self.path / name, _LARGEST)

    def write(self, name: str, raw: bytes) -> None:
        """Write a file, completely or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / name, raw)

    def remove(self, name: str) -> None:
        """Remove a file; one that cannot be removed stays."""
        with suppress(OSError):
            (self.path / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Names of the files, without those of writes in progress; what killed writers have left is removed."""
        try:
            found = sorted(entry.name for entry in self.path.iterdir())
        except FileNotFoundError:
            return []
        for name in found:
            if name.startswith(".") and ".tmp" in name:
                with suppress(OSError):
                    if time.time() - (self.path / name).stat().st_mtime > _ABANDONED:
                        (self.path / name).unlink()
        return [name for name in found if not name.startswith(".")]

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """For the block, other publishers on this machine wait; the lock ends with the process that holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / _LOCK, wait=True):  # on Windows, one job publishes to a directory
            yield


class Bucket(RemoteFolder):
    """A folder of object storage; an object is replaced in one step, and there is no lock."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing: one job publishes to a bucket."""
        yield


def place_of(where: str | os.PathLike[str]) -> Place:
    """The place that a path names; InputError for anything that is not a path."""
    if not isinstance(where, (str, os.PathLike)):
        raise InputError(f"where is {shown(where)}; expected the path of a directory.")
    text = os.fspath(where)
    if is_remote(text):
        return Bucket(text)
    if not text or "\0" in text:
        raise InputError(f"where is {shown(text)}; expected the path of a directory.")
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; expected a directory, which is made if it does not exist.")
    return Folder(path)
