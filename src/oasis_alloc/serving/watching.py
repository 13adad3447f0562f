"""Threads that watch, and forks that end them: what a store has of one process only."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Protocol

_log = logging.getLogger("oasis_alloc.serving")


class Process:
    """How often this process is the child of a fork: locks and threads of a store are of one process only."""

    forks = 0
    lock = threading.Lock()  # around what a store makes anew after a fork


def _mark_fork() -> None:
    Process.forks += 1
    Process.lock = threading.Lock()  # another thread of the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_fork)


class Watched(Protocol):
    """What has to be looked at every now and then."""

    def watched(self) -> None:
        """Look at it."""


def start_watching(what: Watched, interval: float, closed: threading.Event) -> threading.Thread:
    """Start a thread that looks at `what` every so many seconds, until it is closed or nobody has it any more."""
    thread = threading.Thread(
        target=_watch, args=(weakref.ref(what), interval, closed), name="oasis_alloc snapshots", daemon=True
    )
    thread.start()
    return thread


def _watch(of: weakref.ref[Watched], interval: float, closed: threading.Event) -> None:
    while not closed.wait(interval):
        what = of()
        if what is None:
            return
        try:
            what.watched()
        except Exception:  # a thread that ended would leave the policy to grow old in silence
            _log.exception("looking at the snapshot failed")
        del what
