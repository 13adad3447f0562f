"""Allowances of all replicas of a replay, by the formula of `pacing/leases.py` on arrays."""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.pacing.leases import FRACTION, PARTS
from oasis_alloc.pacing.rooms import Rooms
from oasis_alloc.pacing.rows import Rows


class Allowances:
    """What replicas were granted and have spent of the caps of the flight, the day and the hour: (3, replicas, n)."""

    def __init__(self, rows: Rows, rooms: Rooms, replicas: int) -> None:
        self._cap = rows.hard_caps
        self._is_capped = np.isfinite(self._cap)
        whole = np.floor(self._cap + 1e-9)
        self._cap = np.where(rooms.whole & self._is_capped, whole, self._cap)
        self._step = np.where(rooms.whole, 1.0, np.where(self._is_capped, self._cap / PARTS, 1.0))
        self._granted = np.zeros((3, rows.n))  # to all replicas
        self._lease, self._spent = np.zeros((2, 3, replicas, rows.n))

    def roll(self, window: int) -> None:
        """A day (0) or an hour (1) has begun."""
        for of in (self._granted[1 + window], self._lease[1 + window], self._spent[1 + window]):
            of[:] = 0.0

    def sync(self, replicas: Ints, used: Floats, live: int) -> None:
        """Replicas say, in this order, what they delivered since the last time, and take more, each as one of `live`.

        `used` is (len(replicas), n). What is given back is there for all of them.
        """
        spent, lease = self._spent[:, replicas] + used, self._lease[:, replicas]
        self._spent[:, replicas] = spent
        free = np.where(self._is_capped, np.maximum(self._cap - self._granted, 0.0), 0.0)[:, None]
        part = FRACTION * (free + np.maximum(lease - spent, 0.0)) / live
        part = np.maximum(np.ceil(part / self._step[:, None] - 1e-9), 1.0) * self._step[:, None]
        change = np.maximum(spent, np.minimum(spent + part, lease + free)) - lease
        self._granted += np.minimum(change, 0.0).sum(axis=1)
        free = np.maximum(self._cap - self._granted, 0.0)[:, None]
        more = np.maximum(change, 0.0)
        before = np.cumsum(more, axis=1) - more
        owed = np.maximum(spent - lease, 0.0)  # delivered beyond the lease: it is gone, whatever the cap says
        more = np.maximum(np.minimum(more, np.maximum(free - before, 0.0)), owed)
        self._granted += more.sum(axis=1)
        self._lease[:, replicas] = lease + np.minimum(change, 0.0) + more

    def give_back(self, amounts: Floats) -> None:
        """Deliveries were lost: their part of the flight's cap is free again."""
        self._granted[0] -= amounts

    def left(self, replicas: Ints) -> Floats:
        """(len(replicas), n) what each may still deliver; infinite without a cap."""
        left = self._lease[:, replicas] - self._spent[:, replicas]
        left = np.where(self._is_capped[:, None], left, np.inf)
        out: Floats = np.maximum(left.min(axis=0), 0.0)
        return out
