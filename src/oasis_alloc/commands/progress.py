"""What a person sees while a problem is solved: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import importlib.util
import math
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from oasis_alloc.commands.terminal import forget

if TYPE_CHECKING:
    from oasis_alloc.solvers.monitor import Progress

_EVERY = 5.0  # seconds between lines where there is no terminal


class _View(Protocol):
    def show(self, stage: str, done: float, numbers: str) -> None: ...
    def close(self) -> None: ...


class Display:
    """A context in which `solve(..., progress=display)` reports to `stream`, stderr by default.

    The first Ctrl-C asks the solver to stop at its next pass, with the best answer so far; a second one
    interrupts as usual.

    >>> import io
    >>> with Display(io.StringIO()) as display:
    ...     display.stage("reading the pairs")
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._stop = False
        self._first_gap = math.inf
        self._done = 0.0
        self._handler: Any = None
        self._view: _View | None = None
        self._told = ExitStack()

    def __enter__(self) -> Self:
        if self._stream is not None:  # None: closed by the parent process
            terminal = self._stream.isatty()
            bar = terminal and importlib.util.find_spec("rich")
            self._view = _Bar(self._stream) if bar else _Line(self._stream, terminal)
        from oasis_alloc.kernels._compiling import told_of_compiling

        self._told.enter_context(told_of_compiling(self.compiling))
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told.close()
        if self._view is not None:
            with suppress(OSError, ValueError):
                self._view.close()
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True

    def stage(self, text: str) -> None:
        """Say what is being done before the solver starts."""
        if self._stop:
            raise KeyboardInterrupt
        self._show(text, 0.0, "")

    def compiling(self, kernel: str) -> None:
        """Say that a kernel is compiled, once for this version of the package: nothing else moves for seconds."""
        self._show("compiling", self._done, f"{kernel}  (the first run on a machine compiles)")

    def __call__(self, state: Progress) -> bool:
        """Show the solver's state; True asks it to stop."""
        self._show("stopping" if self._stop else state.stage, self.done(state), numbers(state))
        return self._stop

    def _show(self, stage: str, done: float, numbers: str) -> None:
        """Show it; where the stream has gone (a closed pipe, a full disk), go on without."""
        if self._view is None:
            return
        try:
            self._view.show(stage, done, numbers)
        except (OSError, ValueError):  # ValueError: closed, or an encoding that lacks a sign
            view, self._view = self._view, None
            with suppress(OSError, ValueError):
                view.close()
            if self._stream is sys.stderr:
                forget(sys.stderr)

    def done(self, state: Progress) -> float:
        """Share of the way from the first gap to the one asked for, in orders of magnitude; never falls."""
        if math.isfinite(state.gap) and self._first_gap == math.inf:
            self._first_gap = max(state.gap, 10 * state.target)
        if state.gap <= state.target:
            self._done = 1.0
        elif math.isfinite(state.gap) and state.target > 0:
            way = math.log(self._first_gap / state.target)
            self._done = max(self._done, min(0.99, math.log(self._first_gap / state.gap) / way))
        return self._done


def numbers(state: Progress) -> str:
    """The state in one line: bound, value, gap, rate and time left once they are known, passes and seconds."""
    parts = []
    if math.isfinite(state.bound):
        parts.append(f"bound {state.bound:,.6g}")
    if math.isfinite(state.gap):  # until then the value is that of an allocation that misses a demand
        parts.append(f"value {state.value:,.6g}")
        parts.append(f"gap {state.gap:.1e} of {state.target:.0e}")
    parts.append(f"pass {state.passes:.0f}")
    if state.rate is not None:
        parts.append(f"{state.rate / 1e6:,.3g}M pairs/s")
    parts.append(f"{state.seconds:.1f} s")
    if state.left is not None and state.gap > state.target:
        parts.append(f"about {state.left:,.0f} s left")
    return "  ".join(parts)


class _Bar:
    """A bar drawn by rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=Console(file=stream),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, numbers="")
        self._stage = ""
        self._progress.start()

    def show(self, stage: str, done: float, numbers: str) -> None:
        # without a total the bar pulses: there is no gap to measure the way by yet
        total = 1.0 if done > 0 else None
        self._progress.update(self._task, description=stage, completed=done, total=total, numbers=numbers)
        if stage != self._stage:  # what follows may hold the interpreter for a while
            self._stage = stage
            self._progress.refresh()

    def close(self) -> None:
        self._progress.stop()


class _Line:
    """One line, rewritten in place on a terminal and printed every few seconds elsewhere."""

    def __init__(self, stream: TextIO, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal
        self._width = 0
        self._last = time.monotonic()

    def show(self, stage: str, done: float, numbers: str) -> None:
        line = "  ".join(part for part in (stage, f"{done:.0%}" if done > 0 else "", numbers) if part)
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._stream.flush()
            self._width = len(line)
        elif time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
