"""Actors that are slower than the others: reported, and relieved of a part of their chunks where that is asked for.

Actors time their own visits. An actor is a straggler if it takes more than twice the median of the actors, per pair, in
three visits in succession, and if the difference is worth a move. Answers do not depend on who has which chunk.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.ray.worker import Report

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.cluster import Cluster, Seat
    from oasis_alloc.engines.ray.driver import RayChunks

SLOW = 2.0  # times the median per pair
_VISITS = 3  # in succession
_WORTH = 0.05  # seconds of a visit that the slowest actor must be behind the median

_log = logging.getLogger("oasis_alloc.solve")

Took = list[tuple[list[int], Report]]  # chunks, what their actor says


@dataclass(frozen=True)
class Straggler:
    """An actor that was found to be slow: how many times slower than the median, and how many chunks were moved."""

    node: str
    process: int
    times: float
    moved: int


class Watch:
    """Follows the rates of the actors of a solve."""

    def __init__(self, moves: bool) -> None:
        self._moves = moves
        self._behind: dict[int, int] = {}  # id of a seat -> visits in succession
        self.found: list[Straggler] = []

    def seen(self, cluster: Cluster, engine: RayChunks, took: Took) -> None:
        """After a visit to all users: count who was slow, report it once, and move chunks away."""
        seats = {id(seat): seat for seat in cluster.seats}
        per_chunk = np.diff(engine.program.indptr[engine.edges])
        pairs, seconds = dict.fromkeys(seats, 0.0), dict.fromkeys(seats, 0.0)
        owner = {chunk: id(seat) for seat in cluster.seats for chunk in seat.chunks}
        last: dict[int, Report] = {}
        for chunks, report in took:
            key = owner[chunks[0]]
            pairs[key] += float(per_chunk[chunks].sum())
            seconds[key] += report.seconds
            last[key] = report
        cluster.metrics.visited(list(last.values()), cluster.lost)
        rate = {key: seconds[key] / pairs[key] for key in seats if pairs[key] > 0}
        if len(rate) < 2:
            return
        median, usual = float(np.median(list(rate.values()))), float(np.median(list(seconds.values())))
        cluster.metrics.slowest(max(rate.values()) / median if median > 0.0 else 1.0)
        for key, one in rate.items():
            slow = one > SLOW * median and seconds[key] > usual + _WORTH
            self._behind[key] = self._behind.get(key, 0) + 1 if slow else 0
            if self._behind[key] == _VISITS:
                moved = relieve(cluster, seats[key], rate, per_chunk) if self._moves else 0
                self._report(last[key], one / median, moved)
                self._behind[key] = 0 if moved else _VISITS  # without a move, it is said once

    def _report(self, report: Report, times: float, moved: int) -> None:
        self.found.append(Straggler(report.node, report.process, times, moved))
        _log.warning(
            "an actor is slow: process %d of node %s takes %.1f times as long per pair as the median; %s",
            report.process, report.node, times,
            f"{moved} of its chunks are moved to the others" if moved else "its chunks stay there",
        )  # fmt: skip


def relieve(cluster: Cluster, slow: Seat, rate: dict[int, float], per_chunk: Floats) -> int:
    """Move chunks from a slow actor to the others, so that all need about as long; the number of chunks moved."""
    others = [seat for seat in cluster.seats if seat is not slow and id(seat) in rate]
    chunks = list(slow.chunks)
    held = {id(seat): float(per_chunk[seat.chunks].sum()) for seat in [slow, *others]}
    parts: dict[int, list[int]] = {id(seat): [] for seat in others}
    while len(chunks) > 1:
        size = float(per_chunk[chunks[-1]])
        heir = min(others, key=lambda seat: (held[id(seat)] + size) * rate[id(seat)])
        if (held[id(heir)] + size) * rate[id(heir)] >= held[id(slow)] * rate[id(slow)]:
            break
        held[id(heir)] += size
        held[id(slow)] -= size
        parts[id(heir)].append(chunks.pop())
    moved = 0
    for seat in others:
        if (part := sorted(parts[id(seat)])) and cluster.move(slow, seat, part):
            moved += len(part)
    return moved
