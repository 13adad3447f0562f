"""Writing to standard output and standard error of any kind: a pipe, a full disk, an old terminal."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import TextIO

NOT_WRITTEN = 5
"""The exit code if a file, or the report on standard output, could not be written."""

_NOT_WRITTEN = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def be_lenient() -> None:
    """Make both streams write characters that they cannot encode as escapes, as in `caf\\xe9`, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # tests and notebooks replace these streams
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


def say(text: str) -> bool:
    """Print to standard output; False if it cannot be written, which is then reported on standard error.

    A reader that closes the pipe, as `head` does, is not a failure.
    """
    if sys.stdout is None:  # closed by the parent process
        return True
    try:
        try:
            print(text)
        except UnicodeError:  # a stream that cannot write escapes
            print(text.encode("ascii", "backslashreplace").decode("ascii"))
    except (OSError, ValueError) as error:  # ValueError: closed
        return _failed(error)
    return flushed()


def flushed() -> bool:
    """Flush standard output; False, with a message, if that fails."""
    if sys.stdout is None:
        return True
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        return _failed(error)
    return True


def warn(text: str) -> None:
    """Print to standard error, if that is still possible."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        forget(sys.stderr)


def not_written(error: Exception) -> int | None:
    """The exit code after an error that says that a disk is full or a reader is gone, with a message; None for others.

    A command that did not expect it, or a library that serves standard output, lets it pass, alone or in a group.
    """
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return not_written(error.exceptions[0])
    several = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    known = [one for one in several if isinstance(one, OSError) and one.errno in _NOT_WRITTEN]
    if len(known) < len(several):
        return None
    if sys.stdout is not None:
        forget(sys.stdout)
    failed = [one for one in known if not isinstance(one, BrokenPipeError)]
    if not failed:
        return 0
    where = failed[0].filename or "a file or standard output"
    warn(f"oasis-alloc: {where} cannot be written: {os.strerror(failed[0].errno or 0)}.")
    return NOT_WRITTEN


def _failed(error: OSError | ValueError) -> bool:
    forget(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return True
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    warn(f"oasis-alloc: standard output cannot be written: {reason}.")
    return False


def forget(stream: TextIO) -> None:
    """Discard the stream's buffer, because the interpreter would fail on it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
