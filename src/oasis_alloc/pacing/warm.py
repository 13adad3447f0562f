"""Everything that a pacer's requests run, compiled before there are requests."""

from __future__ import annotations

import time

import numpy as np

from oasis_alloc.policy import Policy


def warmup(policy: Policy) -> dict[str, float]:
    """See `Pacer.warmup`."""
    from oasis_alloc.kernels.serve import paced

    seconds = policy.warmup()
    at, items, columns, of_item = (
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros((1, 1)),
        np.zeros((2, 2), np.uint32),
    )
    indptr, cells, amount = np.zeros(3, np.int64), np.zeros((3, 0), np.int64), np.zeros(0)
    used, room, scores = np.zeros(1), np.zeros(1), np.zeros(1)
    uses = (indptr, cells, amount, used, room)
    for name, call in (
        ("count", lambda: paced.count(1, at, items, columns, of_item, *uses)),
        ("fits", lambda: paced.fits(1, at, items, columns, of_item, *uses)),
        ("drop", lambda: paced.drop(1, items, of_item, indptr, cells, room, 1, scores)),
    ):
        started = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - started
    return seconds
