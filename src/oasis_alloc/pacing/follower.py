"""Reads totals from a store that may disappear: the last prices go on serving, and the failures are counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("oasis_alloc.pacing")
_QUIET = 30.0  # seconds between two lines of the log


class Follower:
    """Counts reads that failed."""

    def __init__(self) -> None:
        self.failed, self.in_a_row, self.last_error = 0, 0, ""
        self._logged = -float("inf")

    def read(self, source: Callable[[], Any], failures: type[Exception] = Exception, is_last: bool = True) -> Any:
        """What a source returns, or None where it fails with one of `failures`.

        One that `is_last` of several reads ends a row of failures.
        """
        try:
            found = source()
        except failures as error:  # requests go on
            self.failed += 1
            self.in_a_row += 1
            self.last_error = f"{type(error).__name__}: {error}"
            if time.monotonic() - self._logged > _QUIET:
                self._logged = time.monotonic()
                _log.warning("totals cannot be read; serving goes on at the last prices (%s)", self.last_error)
            return None
        if is_last:
            self.in_a_row = 0
        return found

    def does(self, call: Callable[[], None], failures: type[Exception] = Exception) -> bool:
        """Call, and whether it has not failed."""

        def done() -> bool:
            call()
            return True

        return self.read(done, failures) is not None
