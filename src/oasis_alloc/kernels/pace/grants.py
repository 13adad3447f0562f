"""Allowances of the replicas of a replay: what `pacing/leases.py` says of one key of one replica, for all of them.

Windows are the flight, the day and the hour.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@jit
def synchronize(
    replicas: Ints, used: Floats, live: int, fraction: float, cap: Floats, step: Floats, granted: Floats, lease: Floats,
    spent: Floats,
) -> bool:  # fmt: skip
    """Replicas report what they `used` (len(replicas), n) and take more, in this order; whether any lease changed.

    `cap`, `step` and `granted` are (3, n), `lease` and `spent` (3, n, all replicas). An infinite cap has no leases.
    """
    changed = False
    for w in range(cap.shape[0]):
        for g in range(cap.shape[1]):
            if cap[w, g] == np.inf:
                continue
            free, unit, back = max(cap[w, g] - granted[w, g], 0.0), step[w, g], 0.0
            wanted = np.empty(replicas.size)
            for at in range(replicas.size):
                r = replicas[at]
                spent[w, g, r] += used[at, g]
                had, gone = lease[w, g, r], spent[w, g, r]
                part = fraction * (free + max(had - gone, 0.0)) / live
                part = max(math.ceil(part / unit - 1e-9), 1.0) * unit
                wanted[at] = max(gone, min(gone + part, had + free)) - had
                back += min(wanted[at], 0.0)
            granted[w, g] += back
            free, asked = max(cap[w, g] - granted[w, g], 0.0), 0.0
            for at in range(replicas.size):
                r = replicas[at]
                more = max(wanted[at], 0.0)
                # what was delivered beyond the lease is gone, whatever the cap says
                owed = max(spent[w, g, r] - lease[w, g, r], 0.0)
                got = max(min(more, max(free - asked, 0.0)), owed)
                asked += more
                change = min(wanted[at], 0.0) + got
                if change != 0.0:
                    lease[w, g, r] += change
                    granted[w, g] += got
                    changed = True
    return changed


@jit
def left(replicas: Ints, cap: Floats, lease: Floats, spent: Floats, out: Floats) -> None:
    """Write what each of these replicas may still deliver of every goal into `out` (len(replicas), n)."""
    out[:] = np.inf
    for w in range(cap.shape[0]):
        for g in range(cap.shape[1]):
            if cap[w, g] == np.inf:
                continue
            for at in range(replicas.size):
                r = replicas[at]
                out[at, g] = min(out[at, g], max(lease[w, g, r] - spent[w, g, r], 0.0))
