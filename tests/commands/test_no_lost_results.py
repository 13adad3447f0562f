"""Whatever happens to the terminal, the pipe or the disk: the answer is written, and one message says what is not."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from effort import full_only

import oasis_alloc
from oasis_alloc.__main__ import main
from oasis_alloc.commands import run
from oasis_alloc.solvers import stages

POSIX = pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")
FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
FULL_DISK = "oasis-alloc: standard output cannot be written: No space left on device.\n"
SOURCE = str(Path(oasis_alloc.__file__).resolve().parents[1])


@pytest.fixture
def stated(tmp_path: Path) -> Path:
    """A problem whose labels no old terminal can show."""
    pd.DataFrame({"user": ["ü", "ü", "v"], "item": ["x", "日本", "x"], "relevance": [0.9, 0.5, 0.8]}).to_csv(
        tmp_path / "pairs.csv", index=False
    )
    pd.DataFrame({"item": ["x", "日本"], "artist": ["Björk → 🎧", "日本"]}).to_csv(tmp_path / "items.csv", index=False)
    (tmp_path / "problem.toml").write_text(
        "maximize = 'total(\"relevance\")'\nsubject_to = ['exposure(by=\"artist\") <= 1']\n"
        '[candidates]\npairs = "pairs.csv"\nitems = "items.csv"\n[output]\ndirectory = "answer"\n',
        encoding="utf-8",
    )
    return tmp_path


def command(folder: Path, shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $RUN solves the problem; its exit code is that of the solve."""
    names = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    names |= {"PYTHONPATH": SOURCE, "RUN": f"{sys.executable} -m oasis_alloc solve problem.toml"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell],
        cwd=folder,
        env=names | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def said(text: str) -> str:
    """What is on standard error besides progress, whose lines come where a solve compiles or takes seconds."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if "  " not in line and not re.fullmatch(r"[a-z]+\n", line))  # a stage alone


def assert_written(folder: Path) -> None:
    shown = pd.read_parquet(folder / "answer" / "allocation.parquet")
    assert list(shown.columns) == ["user", "item", "x", "relevance"]
    assert shown["x"].sum() == pytest.approx(2.0, abs=1e-3)
    assert "Björk" in (folder / "answer" / "report.html").read_text(encoding="utf-8")
    assert sorted(p.name for p in (folder / "answer").iterdir()) == ["allocation.parquet", "report.html"]


@pytest.mark.full
@POSIX
@pytest.mark.parametrize(
    "shell",
    [
        "$RUN | head -n 1",
        pytest.param("$RUN 2>&1 | head -n 0", marks=pytest.mark.full),
        pytest.param("$RUN >&- 2>&-", marks=pytest.mark.full),
    ],
)
def test_a_pipe_that_is_closed_costs_nothing(stated: Path, shell: str) -> None:
    done = command(stated, shell)
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    assert done.returncode == 0
    assert_written(stated)


SHOWN = """
import time
from oasis_alloc.commands import progress
from oasis_alloc.solvers import progress_views
progress_views.EVERY = 0.0
time.sleep(0.5)  # until the reader has gone
with progress.Display() as display:
    display.stage("reading")
    display.stage("solving")
"""


@POSIX
def test_progress_for_a_reader_that_has_gone_costs_nothing(tmp_path: Path) -> None:
    done = command(tmp_path, f"{sys.executable} -c '{SHOWN}' 2>&1 | head -n 0")
    assert (done.returncode, done.stderr) == (0, "")


@POSIX
@FULL_DEVICE
def test_a_report_that_cannot_be_written_costs_no_file(
    stated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["solve", str(stated / "problem.toml")]) == 5
    assert said(capsys.readouterr().err) == FULL_DISK
    assert_written(stated)


@POSIX
@pytest.mark.full
def test_a_full_disk_behind_standard_output_is_one_message(stated: Path) -> None:
    done = command(stated, "$RUN > /dev/full", PYTHONUNBUFFERED="1")
    assert done.returncode == 5
    assert said(done.stderr) == FULL_DISK
    assert_written(stated)


@POSIX
@pytest.mark.full
@pytest.mark.parametrize("asked", ["--help", "doctor"])
def test_a_full_disk_is_one_message_from_every_command(tmp_path: Path, asked: str) -> None:
    done = command(tmp_path, f"{sys.executable} -m oasis_alloc {asked} > /dev/full")
    assert (done.returncode, done.stderr) == (5, FULL_DISK)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_a_stream_lacks_are_escaped(
    stated: Path, encoding: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["solve", str(stated / "problem.toml")]) == 0
        out = terminal.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    assert said(capsys.readouterr().err) == ""
    assert "solved" in out
    assert "rk \\u2192 \\U0001f3a7" in out
    assert_written(stated)


@POSIX
@pytest.mark.full
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_labels_that_the_terminal_lacks_are_escaped(stated: Path, encoding: str) -> None:
    done = command(stated, "$RUN", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, said(done.stderr)) == (0, "")
    assert "solved" in done.stdout
    assert_written(stated)


@pytest.mark.parametrize("broken", ["write_allocation", "page"])
def test_one_file_that_cannot_be_written_costs_no_other(
    stated: Path, broken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, broken, full)
    assert main(["solve", str(stated / "problem.toml")]) == 5
    out, err = capsys.readouterr()
    assert out.startswith("solved")
    assert err.count("\n") == 1
    assert "cannot be written: No space left on device." in err
    there = {path.name for path in (stated / "answer").iterdir()}
    assert there == {"report.html" if broken == "write_allocation" else "allocation.parquet"}


@POSIX
def test_what_is_in_the_way_of_one_file_costs_no_other(stated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stated / "answer" / "allocation.parquet").mkdir(parents=True)
    assert main(["solve", str(stated / "problem.toml")]) == 5
    assert "Is a directory" in capsys.readouterr().err
    assert (stated / "answer" / "report.html").is_file()


def test_ids_that_parquet_has_no_type_for_are_written_as_csv(
    stated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = oasis_alloc.Candidates.frame

    def frame(self: Any, *arguments: Any, **named: Any) -> Any:
        real(self, *arguments, **named)
        raise oasis_alloc.InputError("pyarrow cannot hold the ids of 'user'")

    monkeypatch.setattr(oasis_alloc.Candidates, "frame", frame)
    assert main(["solve", str(stated / "problem.toml"), "--format", "parquet"]) == 0
    assert "Written as CSV: pyarrow cannot hold" in capsys.readouterr().err
    assert len(pd.read_csv(stated / "answer" / "allocation.csv")) == 2


def test_an_allocation_that_misses_constraints_has_another_name(
    stated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "_SMALL", 0)  # as in a large program: none is solved at once after the stop
    assert main(["solve", str(stated / "problem.toml")]) == 0
    path = stated / "problem.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("]\n", ", 'total(\"relevance\") >= 1.29']\n", 1), "utf-8")
    capsys.readouterr()
    assert main(["solve", str(path), "--time-limit", "1e-9"]) == 4
    out = capsys.readouterr().out
    assert "misses constraints" in out
    assert "allocation.parquet is left from an earlier run" in out
    assert (stated / "answer" / "allocation.unproven.parquet").is_file()


def test_an_internal_error_is_one_message(
    stated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("a fault")

    monkeypatch.setattr(run, "solve", broken)
    assert main(["solve", str(stated / "problem.toml")]) == 70
    assert "internal error, a fault of oasis-alloc: KeyError: 'a fault'" in capsys.readouterr().err
    monkeypatch.setenv("OASIS_ALLOC_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(["solve", str(stated / "problem.toml")])


@pytest.fixture
def masked() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@POSIX
def test_links_are_followed_and_modes_kept(stated: Path, masked: None) -> None:
    answer, elsewhere = stated / "answer", stated / "elsewhere"
    elsewhere.mkdir()
    answer.symlink_to(elsewhere)
    (stated / "shared.html").touch(0o604)
    (stated / "shared.html").chmod(0o604)
    (elsewhere / "report.html").symlink_to("../shared.html")
    (elsewhere / "allocation.parquet").symlink_to(stated / "not-yet.parquet")
    assert main(["solve", str(stated / "problem.toml")]) == 0
    assert answer.is_symlink()
    assert (elsewhere / "report.html").is_symlink()
    assert "Björk" in (stated / "shared.html").read_text(encoding="utf-8")
    assert (stated / "shared.html").stat().st_mode & 0o777 == 0o604
    assert (elsewhere / "allocation.parquet").is_symlink()
    assert (stated / "not-yet.parquet").stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in elsewhere.iterdir()) == ["allocation.parquet", "report.html"]


@FULL_DEVICE
@pytest.mark.parametrize("asked", ["--help", *full_only("--version", "solve --help", "store --help")])
@pytest.mark.parametrize("unbuffered", ["", *full_only("1")])
def test_help_that_cannot_be_written_is_no_success(tmp_path: Path, asked: str, unbuffered: str) -> None:
    done = command(tmp_path, f"{sys.executable} -m oasis_alloc {asked} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 5
    assert "standard output cannot be written" in done.stderr
