"""What hard caps leave: of the flight, of the day and of the hour, for this process alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.rows import Rows
from oasis_alloc.pacing.targets import DAY, HOUR, Targets

_ROUNDING = 1e-9


class Rooms:
    """Keeps what was delivered when a day and an hour began, and divides what is left among replicas."""

    def __init__(self, rows: Rows, targets: Targets) -> None:
        from oasis_alloc.kernels.pace import limits

        self._kernel = limits
        self.rows, self.targets = rows, targets
        self.began = np.full(2, -np.inf)  # day, hour
        self.before = np.zeros((2, rows.n))  # delivered by then
        self.whole = np.array([all(c is None for c, _, _ in goal.terms) for goal in rows.goals], np.bool_)
        # with less than this a goal is stopped
        self.least = np.where(self.whole, 1.0 - _ROUNDING, np.where(rows.capped, _ROUNDING * rows.finite_cap, 0.0))

    def roll(self, now: float, at_most: Floats) -> list[tuple[int, bool]]:
        """Begin a new day (0) or hour (1) where one has begun: [(which, whether it is the first ever), ...]."""
        rolled = []
        for w, length in enumerate((DAY, HOUR)):
            began = self.targets.window(now, length)
            if began > self.began[w]:
                rolled.append((w, bool(self.began[w] == -np.inf)))
                self.began[w], self.before[w] = began, at_most
        return rolled

    def left(self, at_most: Floats) -> Floats:
        """(n,) what all processes together may still deliver before a cap stops it; infinite without a hard cap."""
        out = np.empty(self.rows.n)
        self._kernel.left(self.rows.hard_caps, at_most, self.before, out)
        return out

    def share(self, left: Floats, replicas: int, replica: int) -> Floats:
        """This process's part: whole units where showings are counted, the odd ones to the first processes."""
        out = np.empty(self.rows.n)
        self._kernel.share(self.whole, left, replicas, replica, out)
        return out

    def mine(self, at_most: Floats, granted: Floats, replicas: int, replica: int) -> Floats:
        """This process's part of what was left at the last synchronization, less what it delivered since then.

        `granted` is `at_most` at that time. Dividing what is left now instead would grant a part of the others' parts
        with every tick.
        """
        if replicas == 1:
            return self.share(self.left(at_most), 1, 0)
        out: Floats = np.full(self.rows.n, np.inf)
        for cap, before in zip(self.rows.hard_caps, self._befores(), strict=True):
            base = np.maximum(granted, before)  # a day or an hour may have begun since
            part = self.share(np.maximum(cap - (base - before), 0.0), replicas, replica)
            out = np.minimum(out, part - (at_most - base))
        return np.maximum(out, 0.0)

    def _befores(self) -> Floats:
        """(3, n) what was delivered before the flight, the day and the hour."""
        out: Floats = np.concatenate([np.zeros((1, self.rows.n)), self.before])
        return out

    def stopped(self, now: float, left: Floats) -> npt.NDArray[np.bool_]:
        """(n,) goals that may have nothing now: outside of their flights, or without room."""
        rows, out = self.rows, np.empty(self.rows.n, np.bool_)
        self._kernel.stopped(now, rows.start, rows.end, self.least, rows.per_request, left, out)
        return out

    def state(self) -> dict[str, Any]:
        return {"began": [None if b == -np.inf else b for b in self.began.tolist()], "before": self.before.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        self.began[:] = [-np.inf if b is None else b for b in state["began"]]
        self.before[:] = state["before"]
