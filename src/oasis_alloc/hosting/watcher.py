"""The watcher thread of a store, and its restart after a fork."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import Protocol

_log = logging.getLogger("oasis_alloc.serving")


class ForkState:
    """Counts the forks that led to this process: locks and threads of a store belong to one process."""

    forks = 0
    lock = threading.Lock()  # held while a store renews its state after a fork


def _mark_fork() -> None:
    ForkState.forks += 1
    ForkState.lock = threading.Lock()  # another thread of the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_fork)


class Watched(Protocol):
    """An object with a periodic check."""

    def watched(self) -> None:
        """Run the check."""


class Bell:
    """Ends a wait, now or later; unlike an Event, it may be rung from a finalizer."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """End the current wait, or the next one."""
        self._rung.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for this many seconds, or until it rings; return whether it rang."""
        try:
            self._rung.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return False
        return True


def start_watching(what: Watched, interval: float, closed: Bell) -> threading.Thread:
    """Start a thread that checks `what` every `interval` seconds, until it is closed or garbage-collected."""
    of = weakref.ref(what, lambda _of: closed.ring())
    thread = threading.Thread(target=_watch, args=(of, interval, closed), name="oasis_alloc snapshots", daemon=True)
    thread.start()
    return thread


def _watch(of: weakref.ref[Watched], interval: float, closed: Bell) -> None:
    while not closed.wait(interval):
        what = of()
        if what is None:
            return
        try:
            what.watched()
        except Exception:  # if this thread ended, the policy would age without notice
            _log.exception("checking the snapshot failed")
        del what
