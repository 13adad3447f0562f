"""Workers of a test run compile no kernel that another one compiles: `compiled_once.py`, which the other tests use."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oasis_alloc.kernels import _jit

pytest.importorskip("fcntl", reason="workers share their locks on POSIX alone")
from compiled_once import KernelLocks, compiled_once


def total(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value
    return result


def test_one_waits_until_the_other_gives_up_its_lock(tmp_path: Path) -> None:
    first, second, said = KernelLocks(tmp_path), KernelLocks(tmp_path), []
    first.acquire("a kernel")
    second.acquire("another kernel")  # at once

    def wait() -> None:
        second.acquire("a kernel")
        said.append("second")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    said.append("first")
    first.release("a kernel")
    waiting.join(timeout=10)
    assert said == ["first", "second"]
    second.release_all()
    first.acquire("another kernel")
    first.release_all()


def test_a_kernel_that_another_worker_compiled_meanwhile_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path / "cache"))
    other, ours = _jit.jit(total), _jit.jit(total)
    with compiled_once(tmp_path / "locks") as locks:

        def compiled_elsewhere(key: str) -> None:
            assert key
            monkeypatch.setattr(locks, "acquire", lambda _: None)
            assert other(np.ones(3)) == 3.0

        monkeypatch.setattr(locks, "acquire", compiled_elsewhere)
        assert ours(np.ones(3)) == 3.0
    statistics: Any = ours
    assert sum(statistics.stats.cache_hits.values()) == 1
    assert sum(statistics.stats.cache_misses.values()) == 0


def test_afterwards_nothing_is_held_and_kernels_are_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path / "cache"))
    before = _jit._KernelCache.save_overload
    with compiled_once(tmp_path / "locks"):
        assert _jit.jit(total)(np.ones(2)) == 2.0
    assert _jit._KernelCache.save_overload is before
    (held,) = (tmp_path / "locks").iterdir()
    again = KernelLocks(tmp_path / "locks")
    started = time.monotonic()
    again.acquire(held.name)
    assert time.monotonic() - started < 5.0
    again.release_all()
