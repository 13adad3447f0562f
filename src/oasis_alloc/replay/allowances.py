"""Allowances of all replicas of a replay, by the formula of `pacing/leases.py` on arrays."""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.rooms import Rooms
from oasis_alloc.pacing.rows import Rows

_FRACTION = 0.5
_PARTS = 1000  # of a cap that is not counted in showings: what is granted at least


class Allowances:
    """What replicas were granted and have spent of the caps of the flight, the day and the hour: (3, replicas, n)."""

    def __init__(self, rows: Rows, rooms: Rooms, replicas: int) -> None:
        cap = np.stack([np.where(rows.hard, rows.cap, np.inf), rows.daily, rows.hourly])
        self._cap = np.where(rows.per_request, np.inf, cap)
        self._is_capped = np.isfinite(self._cap)
        whole = np.floor(self._cap + 1e-9)
        self._cap = np.where(rooms.whole & self._is_capped, whole, self._cap)
        self._step = np.where(rooms.whole, 1.0, np.where(self._is_capped, self._cap / _PARTS, 1.0))
        self._granted = np.zeros((3, rows.n))  # to all replicas
        self._lease, self._spent = np.zeros((2, 3, replicas, rows.n))

    def roll(self, window: int) -> None:
        """A day (0) or an hour (1) has begun."""
        for of in (self._granted[1 + window], self._lease[1 + window], self._spent[1 + window]):
            of[:] = 0.0

    def sync(self, replica: int, used: Floats, live: int) -> None:
        """A replica says what it has delivered since the last time, and takes more, as one of `live`."""
        spent, lease = self._spent[:, replica], self._lease[:, replica]
        spent += used
        free = np.where(self._is_capped, np.maximum(self._cap - self._granted, 0.0), 0.0)
        part = _FRACTION * (free + np.maximum(lease - spent, 0.0)) / live
        part = np.maximum(np.ceil(part / self._step - 1e-9), 1.0) * self._step
        new = np.maximum(spent, np.minimum(spent + part, lease + free))
        self._granted += new - lease
        self._lease[:, replica] = new

    def give_back(self, amounts: Floats) -> None:
        """Deliveries were lost: their part of the flight's cap is free again."""
        self._granted[0] -= amounts

    def left(self, replica: int) -> Floats:
        """(n,) what a replica may still deliver; infinite without a cap."""
        left = np.where(self._is_capped, self._lease[:, replica] - self._spent[:, replica], np.inf)
        out: Floats = np.maximum(left.min(axis=0), 0.0)
        return out
