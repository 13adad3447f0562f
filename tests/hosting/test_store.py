"""The store: what it serves at every age, what it refuses, and that it survives threads and forks."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc import store as store_module
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.hosting import watcher as watching
from oasis_alloc.serving.staleness import Staleness

T0 = 1_700_000_000.0


class Plain:
    """As much of a policy as a store needs: one number for an answer."""

    made = 0

    def __init__(self, name: str, created: float, valid_until: float | None = None, factor: float = 1.0) -> None:
        self.policy_id, self.created, self.valid_until, self.factor = name, created, valid_until, factor
        self.warmed = 0

    def decayed(self, factor: float) -> Plain:
        Plain.made += 1
        return Plain(f"{self.policy_id}~{factor:.3f}", self.created, self.valid_until, factor)

    def organic_only(self) -> Plain:
        Plain.made += 1
        return Plain(f"{self.policy_id}~organic", self.created, self.valid_until, 0.0)

    def count_into(self, tally: Any) -> None:
        self.tally = tally

    def save(self, path: Path) -> None:
        path.write_text(self.policy_id)

    def warmup(self, draws: bool = True) -> dict[str, float]:
        self.warmed += 1
        return {"score": 0.0}

    def score(self, items: Any, columns: Any) -> Any:
        return np.full(len(items), self.factor)

    boosts = select = score


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


class Disk:
    """Snapshots that are a line of text, and what a store loads from them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.policies: dict[str, Plain] = {}

    def put(self, name: str, created: float | None = None, valid_until: float | None = None) -> Plain:
        policy = Plain(name, self.clock.now if created is None else created, valid_until)
        self.policies[name] = policy
        self.write(name)
        return policy

    def write(self, text: str) -> None:
        beside = self.path.with_suffix(".tmp")
        beside.write_text(text)
        os.replace(beside, self.path)

    def load(self, path: Path, _raw: bytes | None) -> Plain:
        text = path.read_text()
        if text not in self.policies:
            raise SnapshotError(f"{path}: {text}", text)
        return self.policies[text]

    def store(self, **options: Any) -> oa.PolicyStore:
        return oa.PolicyStore(self.path, **{"refresh": None, "clock": self.clock} | options)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path / "policy")
    monkeypatch.setattr(store_module, "_load", disk.load)
    Plain.made = 0
    return disk


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refresh": 0}, "refresh=0 | above 0"),
        ({"refresh": float("inf")}, "refresh=inf | finite"),
        ({"refresh": "5"}, "refresh='5'"),
        ({"refresh": 7200.0}, "hold_after=7200 | refresh interval of 7200 | Set hold_after"),
        ({"refresh": 15.0, "staleness": Staleness(hold_after=0.2)}, "hold_after=0.2 | 15 seconds"),
        ({"staleness": 3}, "staleness=3 | Staleness"),
        ({"history": -1}, "history=-1 | 0 or more"),
        ({"history": 1.5}, "history=1.5"),
    ],
)
def test_a_store_that_is_none(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        oa.PolicyStore(tmp_path / "p", **options)
    assert all(word in str(caught.value) for word in words.split(" | "))


def test_down_the_ladder_and_up_again(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.put("a")
    store = disk.store(staleness=Staleness(hold_after=10, decay_after=20, organic_after=40, steps=4))
    seen = []
    with caplog.at_level(logging.WARNING, "oasis_alloc.serving"):
        for age in (0, 9.99, 10, 20, 24.9, 25, 30, 35, 39.9, 40, 1e6):
            disk.clock.now = T0 + age
            policy = store.policy
            assert store.policy is policy, "one policy per step, not one per request"
            seen.append((store.mode, round(policy.factor, 6), policy.policy_id))
    assert seen == [
        ("fresh", 1.0, "a"), ("fresh", 1.0, "a"), ("hold", 1.0, "a"),
        ("decay", 0.8, "a~0.800"), ("decay", 0.8, "a~0.800"), ("decay", 0.6, "a~0.600"), ("decay", 0.4, "a~0.400"),
        ("decay", 0.2, "a~0.200"), ("decay", 0.2, "a~0.200"), ("organic", 0.0, "a~organic"),
        ("organic", 0.0, "a~organic"),
    ]  # fmt: skip
    assert Plain.made == 5
    assert [record.getMessage().split(": ")[-1] for record in caplog.records] == [
        "hold, after fresh", "decay, after hold", "organic, after decay",
    ]  # fmt: skip
    disk.put("b")
    assert store.refresh()
    assert (store.mode, store.policy.policy_id) == ("fresh", "b")


def test_after_its_last_day_a_policy_is_organic_whatever_the_ladder_says(disk: Disk) -> None:
    disk.put("a", valid_until=T0 + 5)
    store = disk.store()
    assert store.mode == "fresh"
    disk.clock.now += 5
    assert (store.mode, store.policy.factor) == ("organic", 0.0)
    assert store.stats()["factor"] == 0.0


def test_what_is_refused_leaves_the_active_policy(disk: Disk) -> None:
    disk.put("a")
    store = disk.store()
    assert store.policy.policy_id == "a"
    for reason in ("truncated", "tampered", "newer schema", "not finite"):
        disk.write(reason)
        assert not store.refresh()
        assert not store.refresh(), "a file that has not changed is not read again"
        assert store.policy.policy_id == "a"
    disk.put("old", created=T0 - 1)
    assert not store.refresh()
    disk.put("ahead", created=T0 + 301)
    assert not store.refresh()
    disk.put("late", valid_until=T0 - 1)
    assert not store.refresh()
    disk.path.unlink()
    assert not store.refresh()
    stats = store.stats()
    assert stats["refused_snapshots"] == {
        "truncated": 1, "tampered": 1, "newer schema": 1, "not finite": 1, "older": 1, "in the future": 1, "expired": 1,
        "unreadable": 1,
    }  # fmt: skip
    assert stats["last_refused"]["reason"] == "unreadable"
    assert (stats["policy_id"], stats["loaded_snapshots"]) == ("a", 1)
    assert set(stats["refused_snapshots"]) <= set(SnapshotError.REASONS)
    disk.put("a", created=T0)
    assert not store.refresh(), "the same once more"
    disk.clock.now += 1
    disk.put("a")
    assert store.refresh(), "the same prices, confirmed: they are as young as that"
    assert store.stats()["age"] == 0
    disk.put("b")
    assert store.refresh()


def test_the_log_says_a_reason_once_in_half_a_minute(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.put("a")
    store = disk.store()
    with caplog.at_level(logging.WARNING, "oasis_alloc.serving"):
        for second in range(61):
            disk.clock.now = T0 + second
            disk.write("truncated")
            os.utime(disk.path, ns=(second, second))
            store.refresh()
    assert store.stats()["refused_snapshots"] == {"truncated": 61}
    assert len(caplog.records) == 3


def test_without_a_policy_there_is_a_named_error(disk: Disk) -> None:
    store = disk.store()
    for ask in (lambda: store.policy, lambda: store.mode, store.warmup, lambda: store.score([0], {}), store.rollback):
        with pytest.raises(SnapshotError, match=str(disk.path)) as caught:
            ask()
        assert caught.value.reason == "no policy"
    assert store.stats()["ready"] is False
    disk.write("tampered")
    store.refresh()
    with pytest.raises(SnapshotError, match=r"The last one was refused: .*: tampered"):
        _ = store.policy
    disk.put("a")
    assert store.refresh()
    assert store.policy.policy_id == "a"


def test_rolling_back(disk: Disk) -> None:
    store = disk.store(history=2)
    for name in "abcd":
        disk.clock.now += 10
        disk.put(name)
        assert store.refresh()
    assert store.stats()["kept"] == 2
    assert store.rollback().policy_id == "c"
    assert store.stats()["age"] == 10
    disk.put("d", created=disk.clock.now)
    assert not store.refresh()
    assert store.stats()["refused_snapshots"]["rolled back"] == 1
    assert store.rollback().policy_id == "b"
    with pytest.raises(SnapshotError, match="no earlier policy"):
        store.rollback()
    assert store.policy.policy_id == "b"
    disk.put("between", created=disk.clock.now - 5)
    assert not store.refresh(), "older than one that has been active"
    disk.put("e")
    assert store.refresh()
    assert store.stats()["kept"] == 1


def test_readiness_is_a_policy_and_a_warm_up(disk: Disk) -> None:
    first = disk.put("a")
    store = disk.store()
    assert not store.stats()["ready"]
    assert first.warmed == 0
    assert store.warmup() == {"score": 0.0}
    assert store.stats()["ready"]
    disk.clock.now += 1
    second = disk.put("b")
    store.refresh()
    assert second.warmed == 1, "before it is active"


def test_decisions_are_counted(disk: Disk) -> None:
    disk.put("a")
    store = disk.store(staleness=Staleness(hold_after=1, decay_after=2, organic_after=3))
    store.score([0, -1, -1, 5], {})
    store.select(np.array([1]), {})
    disk.clock.now += 1
    store.boosts([], {})
    with store.decide() as decision:
        disk.clock.now += 1
        assert store.mode == "decay"
        assert (decision.mode, decision.policy.policy_id) == ("hold", "a"), "as it was when it began"
        decision.unseen = 3
        time.sleep(0.02)
    with pytest.raises(ZeroDivisionError), store.decide():
        raise ZeroDivisionError
    stats = store.stats()
    assert stats["decisions"] == 4
    assert stats["decisions_by_mode"] == {"fresh": 2, "hold": 2, "decay": 0, "organic": 0}
    assert stats["unseen_items"] == 5
    times = stats["score_seconds"]
    assert times["count"] == 4
    assert times["max"] == times["p999"] > 0.02
    assert 0 < times["p50"] < 0.01
    stats["decisions_by_mode"]["fresh"] = 99
    assert store.stats()["decisions_by_mode"]["fresh"] == 2


def until(true: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "oasis_alloc snapshots"]


@pytest.mark.parametrize("unseen", ["x", None, -1, 1.5, True, np.timedelta64(1, "s")])
def test_unseen_candidates_are_a_whole_number(disk: Disk, unseen: Any) -> None:
    disk.put("a")
    store = disk.store()
    with pytest.raises(InputError, match=r"decision.unseen=.* expected a whole number"), store.decide() as decision:
        decision.unseen = unseen
    assert store.stats()["failed_requests"]["input"] == 1, "where it is set, in the decision"
    with store.decide() as decision:
        decision.unseen = np.int8(2)  # type: ignore[assignment]  # as NumPy counts
    assert store.stats()["unseen_items"] == 2
    assert store.stats()["decisions"] == 1


def test_a_clock_that_fails_later_is_named_too(disk: Disk) -> None:
    said: list[Any] = [T0, T0]
    disk.put("a")
    store = disk.store(clock=lambda: said[-1])
    said.append(None)
    with pytest.raises(InputError, match=r"clock=\.\.\.\) returned None; expected UNIX seconds"):
        _ = store.policy
    said.append(T0)
    assert store.policy.policy_id == "a"


def test_a_thread_starts_with_the_first_request_and_ends_with_the_store(disk: Disk) -> None:
    disk.put("a")
    store = disk.store(refresh=0.01)
    assert watchers() == []
    assert store.policy.policy_id == "a"
    assert [thread.daemon for thread in watchers()] == [True]
    disk.clock.now += 1
    disk.put("b")
    until(lambda: store.policy.policy_id == "b")
    assert len(watchers()) == 1
    with store:
        pass
    until(lambda: watchers() == [])
    assert store.policy.policy_id == "b"
    assert watchers() == []
    other = disk.store(refresh=0.01)
    assert other.policy.policy_id == "b"
    del other
    until(lambda: watchers() == [])


def test_the_thread_survives_what_nobody_expected(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk.put("a")
    with disk.store(refresh=0.01) as store, caplog.at_level(logging.ERROR, "oasis_alloc.serving"):

        def broken(path: Path, raw: bytes | None) -> Plain:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(store_module, "_load", broken)
        disk.clock.now += 1
        disk.put("b")
        assert store.policy.policy_id == "a"
        until(lambda: "a bug" in caplog.text)
        monkeypatch.setattr(store_module, "_load", disk.load)
        until(lambda: store.policy.policy_id == "b")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_of_a_fork_watches_for_itself(disk: Disk) -> None:
    disk.put("a")
    store = disk.store(refresh=0.01)
    store.score([0], {})
    assert len(watchers()) == 1
    # the worst moment: every lock of the store is held by a thread that the child does not have
    locks = [store._changing, store._stats._lock, watching.ForkState.lock]
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with locks[0], locks[1], locks[2]:
            held.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    child = os.fork()
    if child == 0:
        try:
            assert store.policy.policy_id == "a"
            assert len(watchers()) == 1
            assert store.stats()["decisions"] == 0
            disk.clock.now += 1
            disk.put("b")
            until(lambda: store.policy.policy_id == "b")
            os._exit(0)
        except BaseException:
            os._exit(1)
    let_go.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.stats()["decisions"] == 1
    store.close()
