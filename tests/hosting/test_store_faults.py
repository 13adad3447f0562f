"""Stores where clocks jump, files hang or are written in parts, and policies are swapped at the worst moment."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from policies import small
from test_store import Clock, Disk, until, watchers
from test_store import disk as disk

import oasis_alloc as oa
from oasis_alloc import store as store_module
from oasis_alloc.hosting import judging, stats
from oasis_alloc.serving.file import container as snapshot
from oasis_alloc.serving.staleness import Staleness

T0 = 1_700_000_000.0


def test_a_snapshot_of_the_future_is_active_when_its_time_has_come(disk: Disk) -> None:
    disk.clock.now = 0.0  # no clock of its own, and no time server yet
    disk.put("a", created=T0)
    store = disk.store()
    assert [store.refresh() for _ in range(3)] == [False] * 3
    assert store.stats()["refused_snapshots"] == {"in the future": 1}, "counted once"
    disk.clock.now = T0 + 5
    assert store.refresh()
    assert store.policy.policy_id == "a"


def test_a_snapshot_that_had_expired_by_a_clock_ahead_is_active_when_that_is_put_right(disk: Disk) -> None:
    disk.put("a")
    store = disk.store()
    disk.clock.now += 10**6
    disk.put("b", created=T0 + 10, valid_until=T0 + 3600)
    assert not store.refresh()
    disk.clock.now -= 10**6 - 20
    assert store.refresh()
    assert store.policy.policy_id == "b"


def test_what_is_refused_for_another_reason_now_is_counted_again(disk: Disk) -> None:
    disk.put("a", created=T0 + 1000, valid_until=T0 + 2000)
    store = disk.store()
    disk.clock.now += 3000
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"in the future": 1, "expired": 1}


@pytest.mark.parametrize("age", [12.0, 22.0, 27.0, 45.0, 10**6])
def test_a_clock_that_was_ahead_for_a_moment_leaves_the_policy_fresh(disk: Disk, age: float) -> None:
    disk.put("a", valid_until=T0 + 10**5)
    store = disk.store(staleness=Staleness(hold_after=10, decay_after=20, organic_after=40, steps=2))
    fresh = store.policy
    disk.clock.now = T0 + age
    assert store.mode != "fresh"
    disk.clock.now = T0 + 1
    assert (store.mode, store.policy) == ("fresh", fresh)
    assert (store.stats()["age"], store.stats()["factor"]) == (1, 1.0)
    disk.clock.now = T0 + 21
    assert store.stats()["factor"] == pytest.approx(2 / 3)
    disk.clock.now = T0 + 31
    assert store.stats()["factor"] == pytest.approx(1 / 3)
    disk.clock.now = T0 + 21
    assert store.stats()["factor"] == pytest.approx(2 / 3)
    disk.clock.now = T0 - 10**4
    assert store.mode == "fresh"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_file_that_does_not_answer_stops_neither_ageing_nor_a_roll_back(tmp_path: Path) -> None:
    path, clock = tmp_path / "p", Clock()
    store = oa.PolicyStore(path, refresh=0.01, clock=clock)
    for number in (0, 1):
        oa.Policy(replace(small(), created=T0 + number, valid_until=T0 + 60, policy_id=f"p{number}")).save(path)
        clock.now = T0 + number
        assert store.refresh()
    with store:
        assert store.policy.policy_id == "p1"
        path.unlink()
        os.mkfifo(path)
        until(lambda: store.stats()["refused_snapshots"].get("unreadable", 0) > 1)
        assert "not a regular file" in store.stats()["last_refused"]["message"]
        assert store.rollback().policy_id == "p0"
        clock.now = T0 + 61
        assert store.mode == "organic"
        path.unlink()
        oa.Policy(replace(small(), created=T0 + 60, valid_until=None, policy_id="p2")).save(path)
        until(lambda: store.policy.policy_id == "p2")


def test_a_load_that_hangs_holds_up_nothing_else(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.put("a")
    store = disk.store(staleness=Staleness(hold_after=10, decay_after=20, organic_after=40))
    disk.clock.now += 1
    disk.put("b")
    store.refresh()
    hangs, goes_on = threading.Event(), threading.Event()

    def slow(path: Path, raw: bytes | None) -> Any:
        hangs.set()
        goes_on.wait(20)
        return disk.load(path, raw)

    monkeypatch.setattr(store_module, "_load", slow)
    disk.put("c", created=T0 + 2)
    looking = threading.Thread(target=store.refresh)
    looking.start()
    assert hangs.wait(10)
    disk.clock.now = T0 + 50
    assert store.mode == "organic"
    assert store.rollback().policy_id == "a~organic"
    goes_on.set()
    looking.join(10)
    assert store.policy.policy_id == "c~organic"


def test_a_warm_up_of_the_next_policy_holds_up_nothing_else(disk: Disk) -> None:
    disk.put("a")
    store = disk.store(staleness=Staleness(hold_after=10, decay_after=20, organic_after=40))
    store.warmup()
    warms, goes_on = threading.Event(), threading.Event()
    disk.clock.now += 1
    policy = disk.put("b")

    def slow(draws: bool = True) -> dict[str, float]:
        warms.set()
        goes_on.wait(20)
        return {}

    policy.warmup = slow  # type: ignore[method-assign]
    looking = threading.Thread(target=store.refresh)
    looking.start()
    assert warms.wait(10)
    disk.clock.now = T0 + 15
    assert (store.mode, store.stats()["ready"]) == ("hold", True)
    goes_on.set()
    looking.join(10)
    assert store.policy.policy_id == "b"
    assert store.stats()["ready"]


def test_what_was_rolled_back_while_it_was_warmed_up_again_is_refused(disk: Disk) -> None:
    disk.put("a")
    store = disk.store()
    store.warmup()
    disk.clock.now += 1
    disk.put("b")
    store.refresh()
    disk.clock.now += 1
    again = disk.put("b")  # the same prices, confirmed
    again.warmup = lambda draws=True: {"x": len(store.rollback().policy_id)}  # type: ignore[method-assign, misc]
    assert not store.refresh()
    assert store.policy.policy_id == "a"
    assert store.stats()["last_refused"]["reason"] == "rolled back"


def test_a_file_seen_half_written_is_read_again_when_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also within the same tick of the file system's clock, and with the same size."""
    whole = tmp_path / "whole"
    oa.Policy(replace(small(), valid_until=None)).save(whole)
    raw, path = whole.read_bytes(), tmp_path / "p"
    path.write_bytes(raw[:-100] + bytes(100))
    stamp = judging.stamp_of(path)
    monkeypatch.setattr(judging, "stamp_of", lambda _path: stamp)
    store = oa.PolicyStore(path, refresh=None)
    assert store.stats()["refused_snapshots"] == {"tampered": 1}
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"tampered": 1}, "the same bytes are refused once"
    path.write_bytes(raw)
    assert store.refresh()
    assert store.policy.policy_id == f"{small().policy_id}~organic", "it is old"


def test_a_file_that_has_settled_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oa.Policy(replace(small(), valid_until=None)).save(tmp_path / "p")
    store = oa.PolicyStore(tmp_path / "p", refresh=None)
    now = time.monotonic() + judging._SETTLED
    monkeypatch.setattr(judging, "_clock", lambda: now)
    store.refresh()
    monkeypatch.setattr(judging, "read_file", None)
    assert not store.refresh()


def test_a_new_snapshot_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared with the file before, and what is loaded, are the same bytes."""
    path, policy = tmp_path / "p", oa.Policy(replace(small(), valid_until=None))
    policy.save(path)
    store = oa.PolicyStore(path, refresh=None)
    oa.Policy(replace(small(), valid_until=None, policy_id="b", created=small().created + 1)).save(path)
    opened: list[Any] = []
    really = os.open

    def counted(name: Any, flags: int, mode: int = 0o777) -> int:
        opened.append(name)
        return really(name, flags, mode)

    monkeypatch.setattr(snapshot.os, "open", counted)
    assert store.refresh()
    assert opened == [path]


def test_ready_is_of_the_policy_that_is_active(disk: Disk) -> None:
    """One that became active while the one before it was warmed up is warmed up as well, and only then it is ready."""
    first = disk.put("a")
    store = disk.store()
    seen = []

    def warmup(draws: bool = True) -> dict[str, float]:
        disk.clock.now += 1
        store._warms = False  # as if the swap had begun before the warm-up
        second = disk.put("b")
        store.refresh()
        seen.append((store.policy.policy_id, store.stats()["ready"], store.stats()["not_ready"], second.warmed))
        return {"score": 1.0}

    first.warmup = warmup  # type: ignore[method-assign]
    assert not store.stats()["ready"]
    assert store.warmup() == {"score": 1.0}
    assert seen == [("b", False, "not warm", 0)]
    assert disk.policies["b"].warmed == 1
    assert store.stats()["ready"]


def test_a_policy_that_answers_nobody_is_not_ready(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.put("a")
    store = disk.store()
    store.warmup()
    store.score([0], {})
    for number in range(21):
        assert store.stats()["ready"] == (number < 20)
        with pytest.raises(oa.InputError), store.decide():
            raise oa.InputError("user: ...")
    assert store.stats()["not_ready"] == "requests fail"
    assert store.stats()["failed_requests"] == {"input": 21, "error": 0, "no policy": 0}
    later = time.monotonic() + 31
    monkeypatch.setattr(stats, "_clock", lambda: later)
    assert store.stats()["ready"], "tried again after half a minute"
    with pytest.raises(ZeroDivisionError), store.decide():
        raise ZeroDivisionError
    assert not store.stats()["ready"]
    store.score([0], {})
    assert store.stats()["ready"]
    assert store.stats()["decisions"] == 2


def test_requests_without_a_policy_are_counted(disk: Disk) -> None:
    store = disk.store()
    for _ in range(30):
        with pytest.raises(oa.SnapshotError):
            store.score([0], {})
    assert store.stats()["failed_requests"]["no policy"] == 30
    assert store.stats()["not_ready"] == "no policy"


def test_keys_that_nothing_depends_on_are_counted_over_all_policies(tmp_path: Path) -> None:
    path = tmp_path / "p"
    oa.Policy(replace(small(), valid_until=None)).save(path)
    store = oa.PolicyStore(path, refresh=None, clock=lambda: small().created + 8 * 3600)
    columns, user = {"relevance": [1.0], "streams": [0.5]}, {"market": "se", "daypart": "night"}
    assert store.mode == "decay"
    store.score([0], columns, user=user)
    oa.Policy(replace(small(), valid_until=None, policy_id="next", created=small().created + 1)).save(path)
    store.refresh()
    store.score([0], columns, user=user)
    assert store.stats()["ignored_keys"] == {"daypart": 2}


def test_a_store_that_nobody_has_any_more_ends_its_thread_at_once(disk: Disk) -> None:
    disk.put("a")
    store = disk.store(refresh=3600.0)
    assert store.policy.policy_id == "a"
    assert len(watchers()) == 1
    del store
    gc.collect()
    until(lambda: watchers() == [], 5.0)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev there")
def test_what_is_no_regular_file_or_no_honest_one_is_refused_before_it_is_read(tmp_path: Path) -> None:
    endless = oa.PolicyStore("/dev/zero", refresh=None)
    assert endless.stats()["last_refused"]["reason"] == "unreadable"
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(50 << 30)
    sparse = oa.PolicyStore(tmp_path / "sparse", refresh=None)
    assert sparse.stats()["last_refused"]["reason"] == "unreadable"
    assert "at most 8,589,934,592" in sparse.stats()["last_refused"]["message"]
