"""Where progress is drawn: a bar or a line on a terminal, plain lines elsewhere, a bar in a notebook."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
import time
from html import escape
from typing import Any, Protocol, TextIO

from oasis_alloc.common.text_tables import cut

EVERY = 1.0  # seconds between lines where there is no terminal; with the next repetition 1.5, and compiling delays that
_REDRAWN = 0.25  # seconds between two updates of a notebook's output


class View(Protocol):
    """Shows a stage, the share that is done and a line of numbers; leaves one last line, or nothing, behind."""

    def show(self, stage: str, done: float, numbers: str) -> None: ...
    def close(self, last: str) -> None: ...


def view_for(stream: TextIO, in_notebook: bool) -> View:
    """The view that fits: `in_notebook` allows the output of a notebook's cell in place of the stream."""
    shell = notebook_display() if in_notebook else None
    if shell is not None:
        return Notebook(shell)
    terminal = stream.isatty()
    return Bar(stream) if terminal and importlib.util.find_spec("rich") else Line(stream, terminal)


def notebook_display() -> Any:
    """The module `IPython.display` where this process is the kernel of a notebook, else None.

    A shell that has a kernel shows rich output. IPython is not imported unless it runs already.
    """
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
    return importlib.import_module("IPython.display") if getattr(shell, "kernel", None) is not None else None


def in_line(stage: str, done: float, numbers: str) -> str:
    """All of it as one line of text.

    >>> in_line("passes", 0.5, "pass 3"), in_line("reading", 0.0, "")
    ('passes  50%  pass 3', 'reading')
    """
    return "  ".join(part for part in (stage, f"{done:.0%}" if done > 0 else "", numbers) if part)


class Bar:
    """A bar drawn by rich."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._stream = stream
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

    def close(self, last: str) -> None:
        self._progress.stop()
        if last:
            self._stream.write(last + "\n")
            self._stream.flush()


class Line:
    """One line, rewritten in place on a terminal and printed every few seconds elsewhere."""

    def __init__(self, stream: TextIO, terminal: bool) -> None:
        self._stream = stream
        self._terminal = terminal
        self._width = 0
        self._last = time.monotonic()

    def show(self, stage: str, done: float, numbers: str) -> None:
        line = in_line(stage, done, numbers)
        if self._terminal:
            line = cut(line, max(20, shutil.get_terminal_size().columns - 1))  # a line that wraps stays behind
            self._stream.write("\r" + line.ljust(self._width))
            self._stream.flush()
            self._width = len(line)
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self, last: str) -> None:
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
        if last:
            self._stream.write(last + "\n")
        self._stream.flush()


class Notebook:
    """A bar in the output of a notebook's cell, which is replaced as the solve goes on.

    The cell keeps the last line, also where it is printed or read without the notebook's program.
    """

    def __init__(self, shell: Any) -> None:
        self._handle = shell.display(_Output("", 0.0, "", False), display_id=True)
        self._stage = ""
        self._last = -_REDRAWN

    def show(self, stage: str, done: float, numbers: str) -> None:
        now = time.monotonic()
        if stage == self._stage and now - self._last < _REDRAWN:
            return  # hundreds of passes a second would flood the page
        self._stage, self._last = stage, now
        self._handle.update(_Output(stage, done, numbers, True))

    def close(self, last: str) -> None:
        self._handle.update(_Output("", 0.0, last, False))


class _Output:
    """What a cell shows: HTML without colors of its own, and the same as text."""

    def __init__(self, stage: str, done: float, numbers: str, is_running: bool) -> None:
        self._stage, self._done, self._numbers, self._is_running = stage, done, numbers, is_running

    def __repr__(self) -> str:
        return in_line(self._stage, self._done, self._numbers)

    def _repr_html_(self) -> str:
        if not self._is_running:
            return f"<span>{escape(self._numbers)}</span>"
        # without a value the bar pulses: there is no gap to measure the way by yet
        value = f' value="{self._done:.3f}"' if self._done > 0 else ""
        bar = f'<progress max="1"{value} style="vertical-align:middle;width:12em"></progress>'
        numbers = f'<span style="font-variant-numeric:tabular-nums">{escape(self._numbers)}</span>'
        return f"<div>{bar} <b>{escape(self._stage)}</b> {numbers}</div>"
