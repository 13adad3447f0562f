"""Threads that watch, and forks that end them: what a store has of one process only."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import Protocol

_log = logging.getLogger("oasis_alloc.serving")


class ForkState:
    """How often this process is the child of a fork: locks and threads of a store are of one process only."""

    forks = 0
    lock = threading.Lock()  # around what a store makes again after a fork


def _mark_fork() -> None:
    ForkState.forks += 1
    ForkState.lock = threading.Lock()  # another thread of the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_fork)


class Watched(Protocol):
    """What has to be looked at every now and then."""

    def watched(self) -> None:
        """Look at it."""


class Bell:
    """Ends a wait, now or later; may be rung from where a garbage collector calls, which an event may not."""

    def __init__(self) -> None:
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """End the wait that is on, or the next one."""
        self._rung.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, or until it rings; whether it did."""
        try:
            self._rung.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        except Empty:
            return False
        return True


def start_watching(what: Watched, interval: float, closed: Bell) -> threading.Thread:
    """Start a thread that looks at `what` every so many seconds, until it is closed or nobody has it any more."""
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
        except Exception:  # a thread that ended would leave the policy to grow old in silence
            _log.exception("looking at the snapshot failed")
        del what
