"""Counts of ignored keys and mistyped requests, of one policy or of all policies of a store."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any


class Tally:
    """Counts of keys that nothing depends on, and of requests of another type; methods may be called from any thread.

    >>> tally = Tally()
    >>> tally.ignored("daypart"), tally.ignored("daypart")
    (None, None)
    >>> tally.summary()
    {'ignored_keys': {'daypart': 2}, 'mistyped_requests': 0}
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._ignored: Counter[str] = Counter()
        self._mistyped = 0

    def ignored(self, key: str) -> None:
        """Count a call with a key of the problem that no price or rule of the policy depends on."""
        with self._lock:
            self._ignored[key] += 1

    def mistyped(self) -> None:
        """Count a request with ids, or labels of a key, none of which is of the type of the policy's."""
        with self._lock:
            self._mistyped += 1

    def summary(self) -> dict[str, Any]:
        """All of it as a plain dict that shares nothing with this object."""
        with self._lock:
            return {"ignored_keys": dict(self._ignored), "mistyped_requests": self._mistyped}
