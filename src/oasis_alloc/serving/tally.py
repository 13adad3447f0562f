"""Counts of ignored keys and mistyped requests, of one policy or of all policies of a store, and their keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
        self._known: frozenset[tuple[str, str]] = frozenset()  # (side, key); replaced as a whole, so read without lock

    def know(self, side: str, keys: Iterable[str]) -> None:
        """Remember keys of "users" or "items" that a policy's problem had: a later policy ignores and counts them."""
        with self._lock:
            self._known |= {(side, key) for key in keys}

    def knows(self, side: str, key: object) -> bool:
        """True for a key that the problem of this or an earlier policy had.

        >>> tally = Tally()
        >>> tally.know("users", ["daypart"])
        >>> tally.knows("users", "daypart"), tally.knows("items", "daypart")
        (True, False)
        """
        return (side, key) in self._known

    def emptied(self) -> Tally:
        """A tally with the same keys that has counted nothing: for the child of a fork, so without the lock."""
        out = Tally()
        out._known = self._known
        return out

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
