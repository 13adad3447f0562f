"""The gate of the benchmarks: what is as it was passes, and what does more or takes longer is found."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from benchmarks import counters, gate, ratios, shape_counters
from benchmarks.yardstick import one_pass, settled
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.settings import DUAL

_SMALL = "caps, 1e4 pairs"
Call = Callable[[], object]


@pytest.fixture(scope="module")
def timed() -> tuple[Call, Call]:
    """(visits of all users, the yardstick on the same market)."""
    given = counters.market(2_000, 50, 60)
    candidates = given.candidates
    value = np.asarray(candidates.columns["value"]).reshape(2_000, 50)
    code = np.asarray(candidates.items["campaign"].codes)[candidates.item].astype(np.uint16).reshape(value.shape)
    price, threshold = settled(value, code, 0.75 * given.campaign, 3)
    program = lower(counters.caps_alone(given))
    return partial(ratios.visits, program, price, 0.005), partial(one_pass, value, code, price, threshold, 0.005)


def longer(call: Call, share: float) -> Call:
    """The same, and then as much of its own time again."""

    def planted() -> None:
        started = time.process_time()
        call()
        now = time.process_time()
        end = now + share * (now - started)
        while time.process_time() < end:
            pass

    return planted


class Clock:
    """Processor time that calls take as they are told: a part of it each, and up to `noise` more."""

    def __init__(self, noise: float) -> None:
        self._now, self._noise, self._rng = 0.0, noise, np.random.default_rng(3)

    def process_time(self) -> float:
        return self._now

    def takes(self, seconds: float) -> Call:
        def call() -> None:
            self._now += seconds * (1.0 + self._noise * self._rng.random())

        return call


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.4])
def test_a_part_that_is_as_it_was_passes(monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    clock = Clock(noise)
    monkeypatch.setattr(ratios, "time", clock)
    measured, repeated = ratios.compare(clock.takes(2e-4), clock.takes(1e-4), 2.0)
    assert not repeated
    assert gate.slower("visit", measured, 2.0) == []


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.4])
def test_a_slowdown_of_1_3_fails(monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    clock = Clock(noise)
    monkeypatch.setattr(ratios, "time", clock)
    measured, repeated = ratios.compare(clock.takes(2.6e-4), clock.takes(1e-4), 2.0)
    assert repeated
    (line,) = gate.slower("visit", measured, 2.0)
    assert line.startswith("visit: ")
    assert measured.ratio == pytest.approx(2.6, rel=0.1)


@pytest.mark.full
def test_real_calls_that_take_1_3_times_as_long_are_measured_so(timed: tuple[Call, Call]) -> None:
    """Next to the same calls without it, in one run: two runs may meet two speeds of one machine."""
    part, _ = timed
    assert ratios.measure(longer(part, 0.3), part).ratio == pytest.approx(1.3, rel=0.12)


@pytest.mark.full
def test_a_part_without_a_ratio_fails(timed: tuple[Call, Call]) -> None:
    measured = ratios.measure(*timed, rounds=1)
    assert gate.slower("visit", measured, gate.limit_of({"here": {"decide": 1.0}}, "here", "visit"))


def test_a_noisy_run_says_less() -> None:
    quiet, noisy = (ratios.Measured(1.4, spread, 1e-3) for spread in (0.01, 0.1))
    assert gate.slower("visit", quiet, 1.0)
    assert not gate.slower("visit", noisy, 1.0)


def test_work_is_counted_alike_and_as_it_is_kept() -> None:
    one, other = (counters.count([_SMALL])[_SMALL] for _ in range(2))
    assert gate.counted_differently({_SMALL: one}, {_SMALL: other}) == []
    kept = json.loads(gate.KEPT.read_text())["counters"]
    assert gate.counted_differently({_SMALL: kept[_SMALL]}, {_SMALL: one}) == []
    again = map(counters.again_name, counters.AGAIN)
    assert set(kept) == {*counters.PROBLEMS, *again, *shape_counters.NAMES, "signatures"}


def test_a_pass_more_or_less_is_found() -> None:
    before = counters.count([_SMALL])
    with DUAL.using(first_gamma=1.0):
        lines = gate.counted_differently(before, counters.count([_SMALL]))
    assert any(line.startswith(f"{_SMALL}: passes was ") for line in lines)


def test_resident_bytes_are_those_of_the_arrays() -> None:
    problem = counters.caps_alone(counters.market(200, 50, 60))
    given = problem.candidates
    campaign = np.asarray(given.items["campaign"].codes)
    found = []
    for kind in (np.float32, np.float64):
        columns = {name: np.asarray(column, kind) for name, column in given.columns.items()}
        made = oa.Candidates.from_arrays(given.indptr, given.item, columns, items={"campaign": campaign})
        found.append(counters.resident(problem.replace(candidates=made)))
    (data, work), (data_wide, work_wide) = found
    numbers = 2 * 4 + 2 + 8 * 201 / 10_000  # two columns, item numbers, indptr
    assert data == pytest.approx(numbers, abs=0.5)  # and a key of 300 items
    assert data_wide - data == pytest.approx(2 * 4)
    assert 4.0 < work == pytest.approx(work_wide)


def test_differences_close_the_gate_until_they_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "gate.json"
    found: dict[str, Any] = {"caps": {"passes": 20.0}}
    monkeypatch.setattr(gate, "count", lambda: json.loads(json.dumps(found)))
    run = partial(gate.main, ["--only", "counters", "--kept", str(kept)])
    accept = ["--only", "counters", "--kept", str(kept), "--accept"]
    assert run() == 1
    assert gate.main([*accept, "these are the first"]) == 0
    assert run() == 0
    found["caps"]["passes"] = 19.0  # better counts too: it is not to be lost again
    assert run() == 1
    assert "caps: passes was 20.0, is 19.0" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        gate.main([*accept, "because"])
    assert run() == 1
    assert gate.main([*accept, "one pass less by a better start"]) == 0
    assert run() == 0
    log = json.loads(kept.read_text())["accepted"]
    assert [entry["reason"] for entry in log] == ["these are the first", "one pass less by a better start"]
    assert log[1]["changes"] == ["caps: passes was 20.0, is 19.0"]


def test_another_yardstick_closes_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(gate.KEPT.read_text())["yardstick"] == gate.yardstick(), "yardstick.py is frozen"
    monkeypatch.setattr(gate, "yardstick", lambda: "another")
    assert gate.main(["--only", "ratios"]) == 1
    assert "the yardstick is another one" in capsys.readouterr().out


def test_the_yardstick_is_a_pass() -> None:
    rng = np.random.default_rng(0)
    value, code = rng.random((300, 7), np.float32), rng.integers(0, 5, (300, 7)).astype(np.uint16)
    price, threshold = rng.random(5) / 4, rng.random(300) / 4
    worth, load = one_pass(value, code, price, threshold, 0.3)
    s = value - price[code]
    x = np.minimum(1.0, np.maximum(0.0, s - threshold[:, None]) / 0.3)
    expected = np.zeros(5)
    np.add.at(expected, code, x)
    assert worth == pytest.approx(float((s * x).sum()))
    np.testing.assert_allclose(load, expected)


@pytest.mark.parametrize(
    "name",
    [
        "contestants",
        "counters",
        "gate",
        "instances",
        "kinds",
        "page",
        "passes",
        "plot",
        "ratios",
        "reach",
        "regions",
        "results",
        "shape_counters",
        "shape_tables",
        "tables",
    ],
)
def test_the_examples_of_the_benchmarks_run(name: str) -> None:
    failed, tried = doctest.testmod(
        importlib.import_module(f"benchmarks.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert (failed, tried > 0) == (0, True)


def test_a_benchmark_that_is_run_by_its_path_says_how_to_run_it(tmp_path: Path) -> None:
    root = Path(gate.__file__).resolve().parents[1]
    by_path = subprocess.run(
        [sys.executable, str(root / "benchmarks" / "whole.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert by_path.returncode == 1
    assert f"In {root}, run: python -m benchmarks.whole" in by_path.stderr


@pytest.mark.full
def test_a_benchmark_that_is_run_as_a_module_runs() -> None:
    root = Path(gate.__file__).resolve().parents[1]
    as_module = _run(["-m", "benchmarks.whole", "--help"], root)
    assert as_module.returncode == 0, as_module.stderr
    assert "usage: " in as_module.stdout


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
