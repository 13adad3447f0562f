"""Threads: as many as were asked for, wherever work is divided."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.common import threads
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program import attaining
from oasis_alloc.results import draw_blocks

N_USERS = 60


@pytest.mark.parametrize("n_workers", [1, 3])
def test_every_number_is_given_once(n_workers: int) -> None:
    seen: list[int] = []
    threads.each(range(20), seen.append, n_workers)
    assert sorted(seen) == list(range(20))


def test_workers_are_no_more_than_asked_for_and_than_there_are_jobs() -> None:
    assert threads.workers(3, 20) == 3
    assert threads.workers(3, 2) == 2
    assert threads.workers(None, 1) == 1
    assert threads.workers(2, 0) == 1


def test_one_thread_means_one_wherever_work_is_divided(monkeypatch: pytest.MonkeyPatch, tuned: Any) -> None:
    """Lowering a slate's rules, visits, drawn slates, and what these are worth."""
    monkeypatch.setattr(attaining, "_BLOCK", 7)
    monkeypatch.setattr(draw_blocks, "_BLOCK", 7)
    tuned(SIZES, chunk_pairs=20)
    rng = np.random.default_rng(0)
    candidates = oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * 4, np.tile(np.arange(4), N_USERS), {"relevance": rng.uniform(0.1, 1.0, 4 * N_USERS)}
    )
    slate = oa.Slate(2, keep={"relevance": 0.5})
    problem = oa.Problem(candidates, oa.total("relevance"), [oa.exposure() <= 100.0], slate)
    started: list[str] = []
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    slates = oa.solve(problem, threads=1).round()
    assert slates.value > 0.0
    assert started == []
    more = oa.solve(problem, threads=2).round()
    assert started
    assert np.array_equal(more.pairs, slates.pairs)
    assert more.value == slates.value
