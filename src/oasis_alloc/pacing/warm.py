"""Everything that a pacer's requests and ticks run, compiled before there are requests."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from oasis_alloc.policy import Policy


def warmup(policy: Policy) -> dict[str, float]:
    """See `Pacer.warmup`."""
    seconds = policy.warmup()
    for name, call in {**_requests(), **_ticks()}.items():
        started = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - started
    return seconds


def _requests() -> dict[str, Callable[[], object]]:
    from oasis_alloc.kernels.serve import paced

    at, items, columns, of_item = (
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.zeros((1, 1)),
        np.zeros((2, 2), np.uint32),
    )
    indptr, cells, amount = np.zeros(3, np.int64), np.zeros((3, 0), np.int64), np.zeros(0)
    used, room, scores = np.zeros(1), np.zeros(1), np.zeros(1)
    uses = (indptr, cells, amount, used, room)
    return {
        "count": lambda: paced.count(1, at, items, columns, of_item, *uses),
        "fits": lambda: paced.fits(1, at, items, columns, of_item, *uses),
        "drop": lambda: paced.drop(1, items, of_item, indptr, cells, room, 1, scores),
    }


def _ticks() -> dict[str, Callable[[], object]]:
    from oasis_alloc.kernels.pace import limits, prices

    a, out, flag = np.ones(1), np.zeros(1), np.zeros(1, np.bool_)
    at, windows = np.zeros(1, np.int64), np.ones((3, 1))
    interval = prices.Interval(flag, a, a, a, a, a, a, a, a)
    flights, due = limits.Flights(a, a, a, a, flag), limits.Due(a, a, a)
    return {
        "left": lambda: limits.left(windows, a, np.zeros((2, 1)), out),
        "part": lambda: limits.share(flag, a, 1, 0, out),
        "stopped": lambda: limits.stopped(1.0, a, a, a, flag, a, np.zeros(1, np.bool_)),
        "planned": lambda: limits.planned(1.0, 0.0, flights, a, a, due, np.zeros((7, 1)), np.zeros(1, np.bool_)),
        "is_moved": lambda: limits.is_moved(a, a, flag, flag, a, a, a, 0.01),
        "add_moved": lambda: limits.add_moved(at, at, a, a, a, out),
        "errors": lambda: prices.errors(a, a, a, a, a, out),
        "adaptive": lambda: prices.adaptive(interval, a, 0.1, 0.1, 1.0, 0.25, False, out),
        "mirror": lambda: prices.mirror(interval, 0.1, 0.25, False, out),
    }
