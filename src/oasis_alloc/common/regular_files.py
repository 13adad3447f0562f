"""Files opened to be read: regular ones of a limited size, because pipes and devices may block or never end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

DOCUMENT = 1 << 30  # bytes: more than any statement, schedule, manifest or state needs


def read_regular(path: str | os.PathLike[str], largest: int = DOCUMENT, length: int | None = None) -> bytes:
    """The bytes of a regular file that is not larger, all or the first `length`; raises OSError.

    >>> import os
    >>> read_regular(os.devnull)
    Traceback (most recent call last):
        ...
    OSError: [Errno 22] it is not a regular file: '/dev/null'
    """
    with opened_regular(path, largest) as file:
        return file.read(largest if length is None else length)


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless a library that opens the file itself would open a regular one."""
    with opened_regular(path):
        pass


@contextmanager
def opened_regular(path: str | os.PathLike[str], largest: int | None = None) -> Iterator[IO[bytes]]:
    """Open a regular file of at most this size in bytes, without waiting for pipes or devices; raises OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        at = os.fstat(descriptor)
        if stat.S_ISDIR(at.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(at.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        check_size(at.st_size, largest, path)
        file = open(descriptor, "rb")  # noqa: SIM115 # closed below
    except BaseException:
        os.close(descriptor)
        raise
    with file:
        yield file


def check_size(size: int, largest: int | None, path: object) -> None:
    """Raise OSError for a file that is larger than `largest` bytes; None for no limit."""
    if largest is not None and size > largest:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes; expected at most {largest:,}", str(path))
