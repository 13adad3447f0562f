"""What is said on standard output and standard error, whatever these are: a pipe, a full disk, an old terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

NOT_WRITTEN = 5
"""The exit code where a file, or the report on standard output, could not be written."""


def be_lenient() -> None:
    """Have both streams write what their encoding lacks as an escape, as in `caf\\xe9`, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # tests and notebooks put streams of their own there
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


def say(text: str) -> bool:
    """Print to standard output; False where it cannot be written, which is then said on standard error.

    A reader that has seen enough and closed the pipe, as `head` does, is no failure.
    """
    if sys.stdout is None:  # closed by the parent process
        return True
    try:
        try:
            print(text)
        except UnicodeError:  # a stream that could not be made lenient
            print(text.encode("ascii", "backslashreplace").decode("ascii"))
    except (OSError, ValueError) as error:  # ValueError: closed
        return _failed(error)
    return flushed()


def flushed() -> bool:
    """Write what standard output still holds back; False, with a message, where that fails."""
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


def _failed(error: OSError | ValueError) -> bool:
    forget(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return True
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    warn(f"oasis-alloc: standard output cannot be written: {reason}.")
    return False


def forget(stream: TextIO) -> None:
    """Send what is still in the stream's buffer nowhere, or the interpreter fails on it when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
