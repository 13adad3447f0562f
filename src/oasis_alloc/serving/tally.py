"""Counts of what requests brought in vain, of one policy or of all policies of a store."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any


class Tally:
    """Counts of keys that nothing depends on; every method may be called from any thread.

    >>> tally = Tally()
    >>> tally.ignored("daypart"), tally.ignored("daypart")
    (None, None)
    >>> tally.summary()
    {'ignored_keys': {'daypart': 2}}
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._ignored: Counter[str] = Counter()

    def ignored(self, key: str) -> None:
        """Count a call with a key of the problem that no price or rule of the policy depends on."""
        with self._lock:
            self._ignored[key] += 1

    def summary(self) -> dict[str, Any]:
        """All of it as a plain dict that shares nothing with this object."""
        with self._lock:
            return {"ignored_keys": dict(self._ignored)}
