"""How far a solver gets: whether a size is worth trying, by its own seconds and memory at smaller ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import Any

_SHARE_OF_MEMORY = 0.85  # of what is free
_COUNTS = 50.0  # megabytes, and pairs, below which a run says little of larger ones
_LEAST_PAIRS = 100_000


@dataclass
class Reached:
    """What a solver took at the sizes that it has done: (pairs, seconds, new megabytes)."""

    done: list[tuple[int, float, float]] = field(default_factory=list)
    failed: int | None = None

    def note(self, pairs: int, result: dict[str, Any]) -> None:
        """Remember a result of `worker.watch`."""
        if result["outcome"] != "done":
            self.failed = pairs
            return
        seconds = result["build_seconds"] + result["solve_seconds"]
        self.done.append((pairs, seconds, result["peak_mb"] - result.get("before_mb", 0.0)))

    def beyond(self, pairs: int, limit: float, megabytes: float) -> str:
        """Why this size cannot be done within so many seconds and megabytes, or nothing.

        Seconds grow as they did between the last two sizes, at least in proportion; memory in proportion.

        >>> reached = Reached([(100_000, 1.0, 100.0), (1_000_000, 20.0, 900.0)])
        >>> reached.beyond(10_000_000, 300.0, 16_000.0)
        'would take some 400 s'
        >>> reached.beyond(10_000_000, 500.0, 8_000.0)
        'would take some 9.0 GB'
        >>> reached.beyond(10_000_000, 500.0, 16_000.0)
        ''
        """
        if self.failed is not None and self.failed < pairs:
            return f"had no answer at {self.failed:,} pairs"
        if not self.done or self.done[-1][0] < _LEAST_PAIRS:
            return ""
        last, seconds, new = self.done[-1]
        power = 1.0
        if len(self.done) > 1 and self.done[-2][0] >= _LEAST_PAIRS:
            before, then, _ = self.done[-2]
            power = max(1.0, log(max(seconds, 1e-9) / max(then, 1e-9)) / log(last / before))
        wanted = seconds * (pairs / last) ** power
        if wanted > limit:
            return f"would take some {wanted:.0f} s"
        if new > _COUNTS and new * pairs / last > _SHARE_OF_MEMORY * megabytes:
            return f"would take some {new * pairs / last / 1e3:.1f} GB"
        return ""
