"""Requests from frames of every library, from Parquet files, and generated."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.replay.bar import Bar

PAIRS = {"user": ["b", "b", "a"], "item": ["x", "y", "x"], "r": [0.1, 0.2, 0.3]}
NOON = dt.datetime(2026, 7, 1, 12)


def frame(library: str, columns: dict[str, Any]) -> Any:
    module = pytest.importorskip(library)
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def times(requests: oa.Requests) -> dict[Any, float]:
    assert requests.candidates.user_ids is not None
    return dict(zip(requests.candidates.user_ids, requests.time.tolist(), strict=True))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_every_request_gets_its_own_time(library: str) -> None:
    table = {"user": ["a", "b"], "time": [7.0, 3.0], "market": ["SE", "DE"]}
    found = oa.Requests.from_frames(frame(library, PAIRS), frame(library, table), start=0.0, end=10.0)
    assert times(found) == {"a": 7.0, "b": 3.0}
    assert (found.start, found.end) == (0.0, 10.0)
    assert set(found.candidates.users) == {"market"}, "the time is no attribute"


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("Europe/Stockholm", -2)])
def test_dates_and_times_are_of_a_zone(library: str, zone: str, hours: int) -> None:
    table = {"user": ["a", "b"], "time": [NOON, NOON + dt.timedelta(seconds=90.5)]}
    found = oa.Requests.from_frames(frame(library, PAIRS), frame(library, table), zone=zone)
    first = (NOON + dt.timedelta(hours=hours)).replace(tzinfo=dt.UTC).timestamp()
    assert times(found) == {"a": first, "b": first + 90.5}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"user": ["a", "b"], "time": pa.array([NOON, NOON], pa.timestamp("us", "UTC"))}
    parquet.write_table(pa.table(PAIRS), tmp_path / "pairs.parquet")
    parquet.write_table(pa.table(table), tmp_path / "requests.parquet")
    parquet.write_table(pa.table({"item": ["y", "x"], "campaign": ["one", None]}), tmp_path / "items.parquet")
    return tmp_path


def test_parquet_files_are_read(files: Path) -> None:
    found = oa.Requests.from_parquet(
        files / "pairs.parquet", files / "requests.parquet", items=files / "items.parquet", end=2e9
    )
    assert len(found) == 2
    assert found.end == 2e9
    assert found.candidates.groups("campaign") == ["one"]


def test_files_that_cannot_be_read_are_named(files: Path) -> None:
    (files / "bad.parquet").write_bytes(b"no Parquet")
    for pairs in ("bad.parquet", "missing.parquet"):
        with pytest.raises(oa.InputError, match=rf"{pairs} cannot be read"):
            oa.Requests.from_parquet(files / pairs, files / "requests.parquet")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"user": ["a", "b"], "tme": [1.0, 2.0]}, "no column 'time'.*Did you mean 'tme'"),
        ({"usr": ["a", "b"], "time": [1.0, 2.0]}, "no column 'user'"),
        ({"user": ["a", "b"], "time": [1.0, np.nan]}, "column 'time', row 1: nan; expected UNIX seconds"),
        ({"user": ["a", "b"], "time": [1.0, "noon"]}, "column 'time', row 1: 'noon'"),
        (3, "expected a frame, got int"),
    ],
)
def test_wrong_tables_are_named(table: Any, words: str) -> None:
    with pytest.raises(oa.InputError, match=words):
        oa.Requests.from_frames(frame("pandas", PAIRS), frame("pandas", table) if isinstance(table, dict) else table)


def test_generated_traffic_follows_its_schedule() -> None:
    n = 4000
    cands = oa.Candidates.from_arrays(np.arange(n + 1), np.zeros(n, int), {"r": np.ones(n)})
    schedule = oa.Schedule.from_weights([1.0] * 12 + [3.0] * 12).over(0.0, 86400.0)
    found = oa.Requests.generated(cands, 0.0, 86400.0, schedule=schedule, seed=1)
    assert 0.72 < (found.time >= 43200.0).mean() < 0.78
    again = oa.Requests.generated(cands, 0.0, 86400.0, schedule=schedule, seed=1)
    assert (found.time == again.time).all()
    even = oa.Requests.generated(cands, 0.0, 86400.0)
    assert 0.47 < (even.time >= 43200.0).mean() < 0.53
    with pytest.raises(oa.InputError, match="expected start < end"):
        oa.Requests.generated(cands, 5.0, 5.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_says_how_far_a_replay_is() -> None:
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        bar = Bar(out)
        for done in range(5):
            bar(done, 4, "" if done == 4 else f"two peaks, seed {done}")
    said = terminal.getvalue()
    assert said.count("\n") == 1
    assert said.endswith("\n")
    lines = file.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("[############............] 2 of 4, two peaks, seed 2")
    assert lines[4] == "[########################] 4 of 4"


def test_true_shows_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"c": ["a", None]})
    cap = (oa.exposure(by="c") <= {"a": 1.0}).named("cap")
    policy = oa.solve(oa.Problem(cands, oa.total("r"), cap, oa.Slate(1))).policy()
    pacer = oa.Pacer(policy, oa.Plan("c", 0.0, 2.0, caps={"a": 1.0}))
    oa.replay(oa.Requests(cands, [0.5, 1.5], 0.0, 2.0), {"a": pacer}, seeds=2, hindsight=None, progress=True)
    said = capsys.readouterr().err
    assert "2 of 2" in said
