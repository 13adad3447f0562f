"""Where the caller of the package is, for warnings that point at the caller's own line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


def callers_level() -> int:
    """The `stacklevel` with which `warnings.warn`, in the function that asks, points outside the package.

    >>> callers_level()
    1
    """
    level = 1
    outside: FrameType | None = sys._getframe(1)
    while outside is not None and outside.f_code.co_filename.startswith(_PACKAGE):
        level, outside = level + 1, outside.f_back
    return 1 if outside is None else level
