"""A progress bar of a replay, on the terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 24


class Bar:
    """Shows how many worlds are done, what is next, and about how long the rest takes; a line per world in a file."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._began = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, of: int, what: str) -> None:
        """As `replay(progress=...)` calls it."""
        if self._first is None:  # an earlier call may have done some
            self._first = done
        part = done / of
        bar = "#" * round(_WIDTH * part) + "." * (_WIDTH - round(_WIDTH * part))
        fresh = done - self._first
        left = (time.monotonic() - self._began) / fresh * (of - done) if fresh and done < of else None
        said = f"[{bar}] {done} of {of}" + (f", {what}" if what else "") + (f", {left:.0f} s left" if left else "")
        is_live = self._out.isatty()
        try:
            self._out.write(f"\r{said:<100.100}" + ("\n" if done == of else "") if is_live else f"{said}\n")
            self._out.flush()
        except (OSError, ValueError):  # a terminal that has gone is no reason to lose the replay
            pass
