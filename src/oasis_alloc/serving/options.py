"""The options of a store, checked."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from pathlib import Path

from oasis_alloc.errors import InputError
from oasis_alloc.serving.staleness import Staleness


def checked_interval(refresh: float | None) -> float | None:
    """Seconds between two looks at the file, or None."""
    if refresh is None:
        return None
    if isinstance(refresh, bool) or not isinstance(refresh, Real) or not math.isfinite(refresh) or refresh <= 0:
        raise InputError(f"PolicyStore(refresh={refresh!r}): expected a finite number of seconds above 0, or None.")
    return float(refresh)


def checked_ladder(staleness: Staleness | None, interval: float | None) -> Staleness:
    """How a policy grows old, in steps that are longer than the time between two looks."""
    ladder = Staleness() if staleness is None else staleness
    if not isinstance(ladder, Staleness):
        raise InputError(f"PolicyStore(staleness={staleness!r}): expected a Staleness, or None.")
    if interval is not None:
        ladder.check_against(interval)
    return ladder


def checked_keep(keep: int) -> int:
    """How many earlier policies are kept."""
    if isinstance(keep, bool) or not isinstance(keep, Integral) or keep < 0:
        raise InputError(f"PolicyStore(keep={keep!r}): expected a whole number, 0 or more.")
    return int(keep)


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The snapshot file."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        text = "\0"
    if "\0" in text or not text:
        raise InputError(f"PolicyStore({path!r}): expected the path of a file.")
    return Path(text)


def checked_name(name: str | None, path: Path) -> str:
    """What the store is called in statistics: the path where it has no name."""
    if name is None:
        return str(path).encode(errors="replace").decode()
    if not isinstance(name, str) or not name.isprintable():
        raise InputError(f"PolicyStore(name={name!r}): expected a printable text, or None for the path.")
    return name
