"""Progress during a solve: on a terminal, in a notebook, or as lines of a log file.

A solver reports about once a pass. A pass may take minutes, and compiling takes seconds, so a thread of the display
repeats what was said last, with the time since then, twice a second.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from oasis_alloc.kernels._compiling import told_of_compiling
from oasis_alloc.solvers.progress_views import View, view_for

if TYPE_CHECKING:
    from oasis_alloc.solvers.monitor import Progress

_REPEATED = 0.4  # seconds after which what was said last is shown again
_NOTHING = ("", "")


class ProgressDisplay:
    """A context in which `solve(..., progress=display)` reports to a notebook's cell, or to `stream`, else to stderr.

    >>> import io
    >>> with ProgressDisplay(io.StringIO()) as display:
    ...     display.stage("reading the pairs")
    """

    def __init__(self, stream: TextIO | None = None, prefix: str = "") -> None:
        self._stream = sys.stderr if stream is None else stream
        self._in_notebook = stream is None
        self._first_gap = math.inf
        self._done = 0.0
        self._view: View | None = None
        self._told = ExitStack()
        self._lock = threading.RLock()  # the solver, threads that compile and the display's own all show
        self._ended = threading.Event()
        self._said: tuple[str, str | Progress] = _NOTHING  # the stage, and its numbers
        self._said_at = self._shown_at = time.monotonic()
        self._compiling: tuple[str, float] | None = None  # a kernel, and since when
        self._last = ""
        self.prefix = prefix  # of every stage: "point 3 of 6"

    def __enter__(self) -> Self:
        if self._stream is not None:  # None: closed by the parent process
            self._view = view_for(self._stream, self._in_notebook)
        self._told.enter_context(told_of_compiling(self._begin_compiling, self._end_compiling))
        threading.Thread(target=self._repeat, name="oasis-alloc-progress", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._told.close()
        with self._lock:
            view, self._view = self._view, None
        if view is not None:
            with suppress(Exception):
                view.close(self._last if error is None else "")

    def stage(self, text: str) -> None:
        """Show the stage before the solver starts."""
        self._say(text, "")

    def __call__(self, state: Progress) -> bool:
        """Show the solver's state; never asks it to stop."""
        self._say(state.stage, state)
        return False

    def next(self, prefix: str) -> None:
        """Begin another solve, whose stages have this before them."""
        self.prefix, self._first_gap, self._done = prefix, math.inf, 0.0

    def leave(self, last: str) -> None:
        """Leave this line behind when the display ends."""
        self._last = last

    def _say(self, stage: str, numbers: str | Progress) -> None:
        with self._lock:
            self._said, self._said_at = (stage, numbers), time.monotonic()
            self._show()

    def _begin_compiling(self, kernel: str) -> None:
        with self._lock:
            self._compiling = (kernel, time.monotonic())
            self._show()

    def _end_compiling(self, kernel: str) -> None:
        with self._lock:
            self._compiling = None

    def _repeat(self) -> None:
        """Show what was said last again, with the time that has passed, until the display ends."""
        while not self._ended.wait(_REPEATED / 4):
            with self._lock:
                said = self._compiling is not None or self._said != _NOTHING
                if said and time.monotonic() - self._shown_at >= _REPEATED:
                    self._show()

    def _show(self) -> None:
        """Show it; if the stream fails (a closed pipe, a full disk), continue without it."""
        if self._view is None:
            return
        self._shown_at = time.monotonic()
        try:
            self._view.show(*self._line())
        except (
            Exception
        ):  # a closed stream, an encoding that lacks a sign, a notebook's sockets: no reason to end a solve
            view, self._view = self._view, None
            with suppress(Exception):
                view.close("")
            self._gone()

    def _gone(self) -> None:
        """The stream is gone; a program that owns it may do more."""

    def _line(self) -> tuple[str, float, str]:
        """(stage, share that is done, numbers) as they are now."""
        (stage, said), now = self._said, time.monotonic()
        if self._compiling is not None:
            kernel, since = self._compiling
            stage, text = "compiling", f"{kernel}  (the first run on a machine compiles)"
            text += f"  {now - since:.0f} s" if now - since >= 1.0 else ""
        elif isinstance(said, str):
            text = said if now - self._said_at < 1.0 else f"{now - self._said_at:.0f} s"
        else:
            self.done(said)
            text = numbers(said, now - self._said_at)
        return "  ".join(part for part in (self.prefix, stage) if part), self._done, text

    def done(self, state: Progress) -> float:
        """Progress from the first gap to the requested one, in orders of magnitude; never decreases."""
        if math.isfinite(state.gap) and self._first_gap == math.inf:
            self._first_gap = max(state.gap, 10 * state.target)
        if state.gap <= state.target:
            self._done = 1.0
        elif math.isfinite(state.gap) and state.target > 0:
            way = math.log(self._first_gap / state.target)
            self._done = max(self._done, min(0.99, math.log(self._first_gap / state.gap) / way))
        return self._done


def numbers(state: Progress, since: float = 0.0) -> str:
    """The state in one line: bound, value, gap, rate and time left once they are known, passes and seconds.

    `since` is how many seconds ago that was.
    """
    parts = []
    if math.isfinite(state.bound):
        parts.append(f"bound {state.bound:,.6g}")
    if math.isfinite(state.gap):  # until then the value is that of an allocation that misses a demand
        parts.append(f"value {state.value:,.6g}")
        parts.append(f"gap {state.gap:.1e} of {state.target:.0e}")
    parts.append(f"pass {state.passes:.0f}")
    if state.rate is not None:
        parts.append(f"{state.rate / 1e6:,.3g}M pairs/s")
    parts.append(f"{state.seconds + since:.1f} s")
    if state.left is not None and state.gap > state.target:
        parts.append(f"about {max(state.left - since, 0.0):,.0f} s left")
    return "  ".join(parts)
