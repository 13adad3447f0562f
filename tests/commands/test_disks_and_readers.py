"""Full disks and readers that are gone, in commands that do not expect them: one message and an exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oasis_alloc.__main__ import main
from oasis_alloc.commands.terminal import not_written

FULL = OSError(errno.ENOSPC, "No space left on device", "part-0.parquet")
GONE = BrokenPipeError(errno.EPIPE, "Broken pipe")
FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FULL, 5),
        (GONE, 0),
        (ExceptionGroup("tasks", [ExceptionGroup("tasks", [FULL])]), 5),
        (ExceptionGroup("tasks", [GONE, FULL]), 5),
        (ExceptionGroup("tasks", [GONE, GONE]), 0),
        (ExceptionGroup("tasks", [GONE, ValueError("a fault")]), None),
        (ValueError("a fault"), None),
        (FileNotFoundError(errno.ENOENT, "No such file", "pairs"), None),
    ],
)
def test_a_full_disk_is_told_from_a_fault(
    error: Exception, code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert not_written(error) == code
    assert ("cannot be written: " + os.strerror(errno.ENOSPC) in capsys.readouterr().err) == (code == 5)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pa.table({"user": np.repeat(np.arange(4), 3), "item": np.tile(np.arange(3), 4), "r": rng.random(12)})
    pq.write_table(table, tmp_path / "pairs.parquet")
    return tmp_path / "pairs.parquet"


def test_a_disk_that_is_full_ends_partition_with_one_message(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FULL

    monkeypatch.setattr("oasis_alloc.data.partition_writer._write", full)
    monkeypatch.delenv("OASIS_ALLOC_TRACEBACK", raising=False)
    assert main(["partition", str(pairs), str(pairs.parent / "parts")]) == 5
    assert capsys.readouterr().err == "oasis-alloc: part-0.parquet cannot be written: No space left on device.\n"


@FULL_DEVICE
def test_a_report_of_partition_that_cannot_be_written_is_no_success(
    pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["partition", str(pairs), str(pairs.parent / "parts")]) == 5
    assert any((pairs.parent / "parts").glob("part-*.parquet"))


@FULL_DEVICE
@pytest.mark.full
def test_tools_for_agents_end_with_one_message_where_answers_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    asked = (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},'
        '"clientInfo":{"name":"test","version":"1"}}}\n'
    )
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "oasis_alloc", "mcp", str(tmp_path)],
            input=asked, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert "internal error" not in done.stderr
    assert "cannot be written" in done.stderr
