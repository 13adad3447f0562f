"""Counts of the requests of a store, and score times as quantiles, without storing any request."""

from __future__ import annotations

import math
import time
from collections import Counter
from threading import Lock
from typing import Any

from oasis_alloc.serving.staleness import MODES

_SMALLEST = 1e-8  # seconds: shorter times count as this
_PER_DOUBLING = 16  # so that a quantile is at most 4.5 % above the truth
_BUCKETS = 34 * _PER_DOUBLING  # up to 170 seconds
_IN_A_ROW = 20  # consecutive failed requests since a policy became active, from which `ready` is false
_AGAIN = 30.0  # seconds after the last of them, when it is tried again
_clock = time.monotonic
FAILURES = ("input", "error", "no policy")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class Latency:
    """Times in buckets that grow by a factor, so that every quantile has the same relative error.

    >>> times = Latency()
    >>> for k in range(1, 1001):
    ...     times.add(k * 1e-6)
    >>> 500e-6 <= times.quantile(0.5) <= 523e-6, times.count, round(times.total, 6)
    (True, 1000, 0.5005)
    """

    __slots__ = ("buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self.buckets = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.largest = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        place = int(math.log2(seconds / _SMALLEST) * _PER_DOUBLING) if seconds > _SMALLEST else 0
        self.buckets[min(place, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)

    def merge(self, other: Latency) -> None:
        """Add the times of another one."""
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def quantile(self, share: float) -> float | None:
        """The quantile of all times at `share`, or None without times."""
        wanted, seen = share * self.count, 0
        for place, number in enumerate(self.buckets):
            seen += number
            if number and seen >= wanted:
                return min(_SMALLEST * math.exp2((place + 1) / _PER_DOUBLING), self.largest)
        return None

    def summary(self) -> dict[str, float | int | None]:
        """Count, sum and quantiles as a plain dict, in seconds."""
        quantiles = {name: self.quantile(share) for name, share in QUANTILES.items()}
        return {"count": self.count, "sum": self.total, **quantiles, "max": self.largest if self.count else None}


class Stats:
    """The counts of one process; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latency = Latency()
        self._by_mode = dict.fromkeys(MODES, 0)
        self._unseen = 0
        self._refused: Counter[str] = Counter()
        self._last_refused: dict[str, Any] | None = None
        self._loaded = 0
        self._failed: Counter[str] = Counter()
        self._in_a_row = 0
        self._last_failed = 0.0

    def decided(self, mode: str, seconds: float, unseen: int) -> None:
        """Count one decision."""
        with self._lock:
            self._by_mode[mode] += 1
            self._in_a_row = 0
            self._unseen += unseen
            self._latency.add(seconds)

    def failed(self, reason: str) -> None:
        """Count one request without a decision: wrong "input", another "error", or "no policy"."""
        with self._lock:
            self._failed[reason] += 1
            self._in_a_row += reason != "no policy"
            self._last_failed = _clock()

    def is_failing(self) -> bool:
        """Whether the last twenty requests, and all of the last half minute, have failed."""
        with self._lock:
            return self._in_a_row >= _IN_A_ROW and _clock() < self._last_failed + _AGAIN

    def refused(self, reason: str, message: str, when: float) -> None:
        """Count one snapshot that was refused."""
        with self._lock:
            self._refused[reason] += 1
            self._last_refused = {"reason": reason, "message": message, "time": when}

    def loaded(self) -> None:
        """Count one snapshot that became the active one."""
        with self._lock:
            self._loaded += 1
            self._in_a_row = 0

    def summary(self) -> dict[str, Any]:
        """All counts as a plain dict that shares nothing with this object."""
        with self._lock:
            return {
                "decisions": sum(self._by_mode.values()),
                "decisions_by_mode": dict(self._by_mode),
                "failed_requests": {reason: self._failed[reason] for reason in FAILURES},
                "unseen_items": self._unseen,
                "score_seconds": self._latency.summary(),
                "loaded_snapshots": self._loaded,
                "refused_snapshots": dict(self._refused),
                "last_refused": None if self._last_refused is None else dict(self._last_refused),
            }
