"""The options of a store, checked."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving.file.container import path_text
from oasis_alloc.serving.schema import shown
from oasis_alloc.serving.staleness import Staleness

if TYPE_CHECKING:
    from oasis_alloc.publish.trust import Trust

_KEPT = 10_000  # policies


def checked_interval(refresh: float | None) -> float | None:
    """Seconds between two checks of the file, or None."""
    if refresh is None:
        return None
    seconds = as_real(refresh)
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        raise InputError(
            f"PolicyStore(refresh={shown(refresh)}): expected a finite number of seconds above 0, or None."
        )
    return seconds


def checked_ladder(staleness: Staleness | None, interval: float | None) -> Staleness:
    """The staleness rules, whose steps must be longer than the time between two checks."""
    ladder = Staleness() if staleness is None else staleness
    if not isinstance(ladder, Staleness):
        raise InputError(f"PolicyStore(staleness={shown(staleness)}): expected a Staleness, or None.")
    if interval is not None:
        ladder.check_against(interval)
    return ladder


def checked_history(history: int) -> int:
    """Number of earlier policies that are kept."""
    policies = as_whole(history)
    if policies is None or not 0 <= policies <= _KEPT:
        raise InputError(f"PolicyStore(history={shown(history)}): expected a whole number, 0 or more, up to {_KEPT:,}.")
    return policies


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The snapshot file."""
    try:
        text = path_text(path)
    except SnapshotError:
        text = ""
    if "\0" in text or Path(text).name in ("", ".."):
        raise InputError(f"PolicyStore({shown(path)}): expected the path of a file.")
    return Path(text)


def checked_trust(trust: Trust | None) -> Trust | None:
    """Whose signatures are accepted, or None."""
    from oasis_alloc.publish.trust import Trust

    if trust is not None and not isinstance(trust, Trust):
        raise InputError(f"PolicyStore(trust={shown(trust)}): expected an oa.Trust, or None.")
    return trust


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """A clock that returns UNIX seconds, or raises `InputError`."""
    if clock is time.time:  # always correct
        return clock
    if not callable(clock):
        raise InputError(f"PolicyStore(clock={shown(clock)}): expected a function that returns UNIX seconds.")

    def checked() -> float:
        said = clock()
        seconds = as_real(said)
        if seconds is None or not math.isfinite(seconds):
            raise InputError(f"PolicyStore(clock=...) returned {shown(said)}; expected UNIX seconds, a finite number.")
        return seconds

    checked()
    return checked


def checked_name(name: str | None, path: Path) -> str:
    """The name of the store in statistics: the path by default."""
    if name is None:
        return str(path).encode(errors="replace").decode()
    if not isinstance(name, str) or not name.isprintable():
        raise InputError(f"PolicyStore(name={shown(name)}): expected a printable text, or None for the path.")
    return name
