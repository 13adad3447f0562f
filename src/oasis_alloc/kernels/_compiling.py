"""Reports that a kernel is being compiled, which takes seconds: to the log and to progress displays."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_log = logging.getLogger("oasis_alloc.kernels")

_Listener = Callable[[str], object]
_listeners: list[tuple[_Listener, _Listener]] = []  # of those that begin, and of those that are done


class _Thread(threading.local):
    """What a thread is compiling: a kernel, then those that it calls, and when each was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []


_thread = _Thread()


@contextmanager
def told_of_compiling(begins: _Listener, ended: _Listener = lambda kernel: None) -> Iterator[None]:
    """Within the block, call `begins` with the name of every kernel that is about to be compiled, and `ended` after.

    Kernels called by it are not reported separately. The calls are made in the compiling thread.
    """
    both = (begins, ended)
    _listeners.append(both)
    try:
        yield
    finally:
        _listeners.remove(both)


def begin(name: str, kept_in: str | None) -> None:
    """A kernel is about to be compiled."""
    outermost = not _thread.begun
    _thread.begun.append((name, time.perf_counter()))
    if not outermost:
        return
    kept = f"will be kept in {kept_in}" if kept_in is not None else "will not be kept"
    _log.info("compiling kernel %s, which takes seconds; the code %s", name, kept)
    _tell(name, 0)


def end(name: str) -> None:
    """It is compiled."""
    begun = _thread.begun
    while begun:  # kernels that failed to compile never ended
        last, since = begun.pop()
        if last == name:
            if not begun:
                _log.info("compiled kernel %s in %.1f s", name, time.perf_counter() - since)
                _tell(name, 1)
            return


def _tell(name: str, what: int) -> None:
    for both in tuple(_listeners):
        with suppress(Exception):  # a display that has gone is no reason not to compile
            both[what](name)
