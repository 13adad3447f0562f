"""Allowances of all replicas of a replay, by the formula of `pacing/leases.py` on arrays."""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.pacing.leases import FRACTION, PARTS
from oasis_alloc.pacing.rooms import Rooms
from oasis_alloc.pacing.rows import Rows


class Allowances:
    """What replicas were granted and have spent of the caps of the flight, the day and the hour: (3, n, replicas)."""

    def __init__(self, rows: Rows, rooms: Rooms, replicas: int) -> None:
        from oasis_alloc.kernels.pace import grants

        self._kernel = grants
        caps = rows.hard_caps
        is_capped = np.isfinite(caps)
        self._cap = np.where(rooms.whole & is_capped, np.floor(caps + 1e-9), caps)
        step = np.where(rooms.whole, 1.0, np.where(is_capped, self._cap / PARTS, 1.0))
        self._step = np.where(step > 0.0, step, 1.0)  # a cap of 0 has no parts
        self._granted = np.zeros((3, rows.n))  # to all replicas
        self._lease, self._spent = np.zeros((2, 3, rows.n, replicas))  # kernels go from one replica to the next

    def roll(self, window: int) -> None:
        """A day (0) or an hour (1) has begun."""
        for of in (self._granted[1 + window], self._lease[1 + window], self._spent[1 + window]):
            of[:] = 0.0

    def sync(self, replicas: Ints, used: Floats, live: int) -> bool:
        """Replicas say, in this order, what they delivered since the last time, and take more, each as one of `live`.

        `used` is (len(replicas), n). What is given back is there for all of them. Returns whether any of them has
        another allowance now: if not, another call without deliveries changes nothing.
        """
        return bool(
            self._kernel.synchronize(
                replicas, np.ascontiguousarray(used), live, FRACTION, self._cap, self._step, self._granted, self._lease,
                self._spent,
            )
        )  # fmt: skip

    def give_back(self, amounts: Floats) -> None:
        """Deliveries were lost: their part of the flight's cap is free again."""
        self._granted[0] -= amounts

    def left(self, replicas: Ints) -> Floats:
        """(len(replicas), n) what each may still deliver; infinite without a cap."""
        out = np.empty((replicas.size, self._cap.shape[1]))
        self._kernel.left(replicas, self._cap, self._lease, self._spent, out)
        return out
