"""Ctrl-C returns the best certified answer so far; and what progress says of rate and time left."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import full_only
from test_checkpoint import problem, same_within_the_gap

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.progress_display import numbers
from oasis_alloc.solvers.settings import DUAL


class After:
    """A progress that presses Ctrl-C when a condition holds."""

    def __init__(self, condition: Any, signaled: bool = False) -> None:
        self.condition = condition
        self.signaled = signaled
        self.last: oa.Progress | None = None

    def __call__(self, state: oa.Progress) -> bool:
        self.last = state
        if self.condition(state):
            self.condition = lambda state: False
            if self.signaled:
                signal.raise_signal(signal.SIGINT)
            else:
                raise KeyboardInterrupt
        return False


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C as Python has it: a shell that starts something in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.few(1)
@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("signaled", [False, True])
def test_the_best_answer_so_far_is_returned(signaled: bool) -> None:
    whole = oa.solve(problem(), gap=1e-7)
    progress = After(lambda s: np.isfinite(s.gap), signaled)
    part = oa.solve(problem(), gap=1e-7, progress=progress)
    assert part.status is oa.Status.INTERRUPTED
    assert "resume=" in part.status.advice
    assert part.violation <= 1e-6
    assert 1e-7 < part.gap < 1.0
    assert progress.last is not None
    assert part.value == progress.last.value
    assert part.value <= whole.bound
    assert whole.value <= part.bound
    same_within_the_gap(oa.solve(problem(), gap=1e-7, start=part), whole, 1e-7)


def test_before_the_finisher_the_prices_give_an_answer() -> None:
    part = oa.solve(problem(), gap=1e-7, progress=After(lambda s: s.stage == "passes" and s.passes > 3))
    assert part.status is oa.Status.INTERRUPTED
    assert part.violation <= 1e-6
    assert 0.0 < part.value <= part.bound


@pytest.mark.full
def test_where_there_is_no_answer_the_interrupt_passes_on(tmp_path: Path) -> None:
    # a sample gives no bound
    with DUAL.using(sample_pairs=1_000), pytest.raises(KeyboardInterrupt):
        oa.solve(problem(), progress=After(lambda s: s.stage == "sample"))
    # prices, but slates that follow them miss the floor; what was found is in the checkpoint all the same
    caps = oa.exposure(by="campaign") <= 150.0
    most = oa.solve(problem(maximize=oa.total("relevance"), subject_to=[caps])).value
    floor = [caps, oa.total("relevance") >= 0.999 * most]
    path = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        oa.solve(problem(subject_to=floor), gap=1e-7, checkpoint=path, progress=After(lambda s: np.isfinite(s.bound)))
    assert path.exists()
    solved = oa.solve(problem(subject_to=floor), gap=1e-5, resume=path)
    assert solved.status is oa.Status.SOLVED


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of others
@pytest.mark.parametrize("delays", [(0.02,), *full_only(((0.002, 0.02, 0.06, 0.1),))], ids=str)
def test_a_signal_at_any_time_finds_threads_and_files_in_order(
    tmp_path: Path, tuned: Any, delays: tuple[float, ...]
) -> None:
    """A timer presses Ctrl-C while kernels run; afterwards everything has been given back and works."""
    tuned(SIZES, chunk_pairs=2_000)
    asked = problem()
    whole = oa.solve(asked, gap=1e-7)
    asked.candidates.to_parquet(tmp_path, rows_per_group=500)
    users, items = (
        {k: key.labels[key.codes] for k, key in side.items()}
        for side in (asked.candidates.users, asked.candidates.items)
    )
    streamed = oa.Candidates.from_parquet(tmp_path, users=users, items=items, memory="256KiB")
    assert np.array_equal(oa.solve(asked.replace(candidates=streamed), gap=1e-7).x, whole.x)
    before = threading.active_count()
    statuses, solving = set(), [False]

    def press(number: int, frame: Any) -> None:
        if solving[0]:  # once, and not while the test itself goes on
            solving[0] = False
            raise KeyboardInterrupt

    old = signal.signal(signal.SIGINT, press)
    for candidates in (asked.candidates, streamed):
        for delay in delays:
            part = None
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            with contextlib.suppress(KeyboardInterrupt):
                solving[0] = True
                timer.start()
                part = oa.solve(asked.replace(candidates=candidates), gap=1e-12, threads=2)
                solving[0] = False
            timer.join()
            statuses.add(part and part.status)
            if part is not None:
                assert whole.value <= part.bound * (1 + 1e-9)
                assert part.violation <= 1e-6
    signal.signal(signal.SIGINT, old)
    part = None
    gc.collect()
    assert threading.active_count() == before
    assert streamed.stream is not None
    assert streamed.stream.budget.held == 0
    assert np.array_equal(oa.solve(asked.replace(candidates=streamed), gap=1e-7).x, whole.x)
    assert statuses & {None, oa.Status.INTERRUPTED}, "it came in time once"


def test_progress_has_rate_and_time_left() -> None:
    seen: list[oa.Progress] = []
    oa.solve(problem(), gap=1e-9, progress=lambda state: seen.append(state) or False)
    assert seen[0].rate is None
    rates = [state.rate for state in seen if state.rate is not None]
    assert len(rates) > len(seen) / 2
    assert min(rates) > 0.0
    assert all(state.left is None for state in seen if not np.isfinite(state.gap))


def test_time_left_goes_by_orders_of_magnitude(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("oasis_alloc.solvers.monitor.time.perf_counter", lambda: clock[0])
    monitor = Monitor(1e-6)
    monitor.about(1_000, -np.inf, 0.0, 0.0, None, 1.0)
    none = np.empty(0)
    states = []
    for second, gap in enumerate((None, 1e-2, 1e-2, 1e-3, 1e-4, 9e-7)):
        clock[0] = float(second)
        if gap is not None:
            monitor.offer_bound(100.0, none)
            monitor.offer(Allocation(none.astype(np.int64), none, 100.0 - 100.0 * gap, none, 0.0))
        states.append(monitor.state(2.0 * second, 0.1))
    # two orders of magnitude in three seconds, then two more to go
    assert [s.left for s in states] == [None, None, None, pytest.approx(6.0), pytest.approx(3.0), 0.0]
    assert states[0].rate is None
    assert [s.rate for s in states[1:]] == [2_000.0] * 5
    assert "0.002M pairs/s" in numbers(states[4])
    assert "about 3 s left" in numbers(states[4])
    assert "left" not in numbers(states[5])
