"""Progress of a command during a solve, and what Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from oasis_alloc.commands.terminal import forget
from oasis_alloc.solvers.progress_display import ProgressDisplay

if TYPE_CHECKING:
    from oasis_alloc.solvers.monitor import Progress


class Display(ProgressDisplay):
    """A context in which `solve(..., progress=display)` reports to `stream`, stderr by default.

    The first Ctrl-C asks the solver to stop at its next pass, with the best answer so far; a second one
    interrupts as usual.

    >>> import io
    >>> with Display(io.StringIO()) as display:
    ...     display.stage("reading the pairs")
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._stop = False
        self._handler: Any = None

    def __enter__(self) -> Self:
        super().__enter__()
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True

    def stage(self, text: str) -> None:
        """Show the stage before the solver starts."""
        if self._stop:
            raise KeyboardInterrupt
        super().stage(text)

    def __call__(self, state: Progress) -> bool:
        """Show the solver's state; True asks it to stop."""
        self._say("stopping" if self._stop else state.stage, state)
        return self._stop

    def _gone(self) -> None:
        if self._stream is sys.stderr:
            forget(sys.stderr)
