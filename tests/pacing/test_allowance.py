"""Allowances: parts by live replicas, arguments that are refused, accounts by period, real stores and processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import NOW, SHARED

import oasis_alloc as oa
from oasis_alloc.pacing.leases import Parts


def test_parts_follow_the_number_of_live_replicas() -> None:
    now = [0.0]
    ledger = oa.Ledger()
    first = oa.Allowance(ledger, {"one": 800.0}, fraction=1.0, clock=lambda: now[0])
    first.sync()
    assert first.left("one") == 800
    others = [oa.Allowance(ledger, {"one": 800.0}, fraction=1.0, clock=lambda: now[0]) for _ in range(7)]
    for _ in range(60):
        for one in (first, *others):
            one.sync()
    left = [one.left("one") for one in (first, *others)]
    assert max(left) - min(left) <= 1, "equal parts"
    assert sum(left) > 400
    for one in others[3:]:
        one.close()
    now[0] = 31.0  # and two of the others fall silent
    for _ in range(60):
        for one in (first, others[0]):
            now[0] += 1.0
            one.sync()
    assert first.left("one") + others[0].left("one") > 450
    assert set(first.replicas()) == {one.replica for one in (first, *others[:3])}
    assert first.replicas()[others[1].replica] > 100


def test_a_replica_without_store_stops_after_ttl() -> None:
    now = [0.0]
    one = oa.Allowance(oa.Ledger(), {"one": 100.0}, ttl=60.0, clock=lambda: now[0])
    assert not one.spend("one"), "nothing before the first sync"
    one.sync()
    now[0] = 59.0
    assert one.spend("one")
    now[0] = -5.0  # a clock that steps back makes nothing last longer
    assert one.spend("one")
    now[0] = 60.0
    assert (one.spend("one"), one.left("one")) == (False, 0.0)
    now[0] = 10.0
    assert not one.spend("one")
    one.sync()
    assert one.spend("one")
    assert one.stats()["spent"] == {"one": 3.0}
    assert one.stats()["refused"] == 3


def test_accounts_of_periods_are_separate_and_begin_with_what_was_delivered() -> None:
    ledger = oa.Ledger(clock=lambda: NOW)
    ledger.record([oa.Event(f"{k}", "one", NOW) for k in range(8)])
    july = oa.Allowance(ledger, {"one": 10.0}, period="2026-07", delivered=ledger.delivered())
    august = oa.Allowance(ledger, {"one": 10.0}, period="2026-08")
    for one, cap in ((july, 2.0), (august, 10.0)):
        served = 0
        for _ in range(30):
            one.sync()
            served += sum(one.spend("one") for _ in range(20))
        assert served == cap
    late = oa.Allowance(ledger, {"one": 99.0}, period="2026-07")  # the cap that the account has is the cap
    late.sync()
    assert late.left("one") == 0
    late.set_caps({"one": 12.0})
    late.sync()
    assert late.left("one") == 1.0


def test_groups_can_begin_in_mid_flight() -> None:
    ledger = oa.Ledger()
    one = oa.Allowance(ledger, {"one": 10.0})
    one.sync()
    one.set_caps({"two": 4.0})
    two = oa.Allowance(ledger, {"one": 10.0, "two": 4.0, "three": 6.0})
    for allowance in (one, two):
        allowance.sync()
        assert allowance.left("two") > 0
    with pytest.raises(oa.InputError, match="'three' has no cap in this allowance"):
        one.spend("three")


@given(st.integers(-50, 200), st.integers(0, 100), st.integers(0, 120), st.integers(1, 70), st.floats(0.01, 1))
def test_a_part_is_never_more_than_there_is(free: int, leased: int, spent: int, live: int, fraction: float) -> None:
    new = Parts(fraction, 5).granted(free, leased, spent, live, None, "a")
    assert new >= spent
    assert new <= max(leased + max(free, 0), spent)
    wanted = Parts(fraction, 5).granted(free, leased, spent, live, {"a": 7}, "a")
    assert spent <= wanted <= min(new, spent + 10)


BAD: dict[str, tuple[Callable[[oa.Ledger], Any], str]] = {
    "no ledger": (lambda _: oa.Allowance(None, {}), r"expected an oasis_alloc\.Ledger"),  # type: ignore[arg-type]
    "a negative cap": (lambda ledger: oa.Allowance(ledger, {"one": -1.0}), "caps: 'one' has -1.0"),
    "NaN": (lambda ledger: oa.Allowance(ledger, {"one": float("nan")}), "caps: 'one' has nan"),
    "an infinite cap": (lambda ledger: oa.Allowance(ledger, {"one": float("inf")}), "from 0 to 1e\\+12"),
    "a list of caps": (lambda ledger: oa.Allowance(ledger, [1.0]), r"\{label: amount\}"),  # type: ignore[arg-type]
    "a name with spaces": (lambda ledger: oa.Allowance(ledger, {}, replica="a b"), "replica='a b'"),
    "no part": (lambda ledger: oa.Allowance(ledger, {}, fraction=0.0), "fraction=0.0"),
    "more than all": (lambda ledger: oa.Allowance(ledger, {}, fraction=1.5), "fraction=1.5"),
    "no step": (lambda ledger: oa.Allowance(ledger, {}, step=-1.0), "step=-1.0"),
    "a negative amount": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).spend("one", -1.0), "from 0 to"),
    "an amount as text": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).spend("one", "1"), "'1'"),  # type: ignore[arg-type]
    "an amount of NaN": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).spend("one", float("nan")), "nan"),
    "an unknown label": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).left("two"), "'two' has no cap"),
    "a label that is a list": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).spend(["one"]), "has no cap"),
    "a negative demand": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).sync({"one": -1.0}), "demand: 'one'"),
    "an unknown replica": (lambda ledger: oa.Allowance(ledger, {"one": 1.0}).release("x"), "no replica has this name"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_are_checked(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(oa.InputError, match=message):
        call(oa.Ledger())


def test_an_allowance_is_of_one_process() -> None:
    one = oa.Allowance(oa.Ledger(), {"one": 10.0})
    with pytest.raises(TypeError, match="an Allowance is of one process"):
        pickle.dumps(one)
    one.sync()
    one._exchange.process += 1  # as after a fork
    for call in (one.sync, lambda: one.spend("one")):
        with pytest.raises(oa.InputError, match="made before a fork"):
            call()


@pytest.mark.parametrize("address", SHARED, indirect=True)
def test_threads_with_stores_of_their_own_keep_a_cap(open_ledger: Callable[..., oa.Ledger]) -> None:
    allowances = [oa.Allowance(open_ledger(), {"one": 60.0, "two": 3.0}) for _ in range(4)]
    problems: list[BaseException] = []

    def serve(one: oa.Allowance) -> None:
        try:
            for _ in range(40):
                one.sync()
                for label in ("one", "two"):
                    while one.spend(label):
                        pass
            one.close()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=serve, args=(one,)) for one in allowances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for label, cap in (("one", 60.0), ("two", 3.0)):
        assert sum(one.stats()["spent"][label] for one in allowances) == cap


SERVE = """
import sys, time
import oasis_alloc as oa

ledger = oa.Ledger(sys.argv[1])
allowance = oa.Allowance(ledger, {"one": 200.0})
served = 0
while served < int(sys.argv[2]):
    allowance.sync()
    if not allowance.left("one"):
        break
    while served < int(sys.argv[2]) and allowance.spend("one"):
        served += 1
        ledger.record([oa.Event(f"{sys.argv[3]}-{served}", "one", time.time())])
        print(served, flush=True)
if sys.argv[2] != "30":
    allowance.close()
else:
    time.sleep(60)
"""


@pytest.mark.full
def test_two_processes_keep_one_cap_and_a_third_is_killed(tmp_path: Path) -> None:
    """The one that is killed strands its allowance; the others serve the rest, and nothing more."""
    path = str(tmp_path / "ledger.db")
    environment = os.environ | {"PYTHONPATH": str(Path(str(oa.__file__)).parents[1])}

    def start(most: int, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SERVE, path, str(most), name]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

    killed = start(30, "killed")
    assert killed.stdout is not None
    for _ in range(30):
        killed.stdout.readline()
    killed.kill()
    killed.communicate()
    others = [start(1000, name) for name in ("a", "b")]
    served = sum(len(other.communicate()[0].splitlines()) for other in others)
    assert [other.returncode for other in others] == [0, 0]
    with oa.Ledger(path) as ledger:
        assert ledger.delivered() == {"one": served + 30.0}
        assert 100 <= served + 30 <= 200
        last = oa.Allowance(ledger, {"one": 200.0})
        last.sync()
        assert last.left("one") == 0, "all of it is spent, or stranded with the one that was killed"
