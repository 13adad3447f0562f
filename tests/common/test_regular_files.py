"""Readers of documents: a pipe, a device or a file of any size is refused at once, with a message."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.common.documents import from_json
from oasis_alloc.common.regular_files import DOCUMENT, read_regular
from oasis_alloc.problem_file.calibrations import _document
from oasis_alloc.publish.keys import id_of_file

READERS: dict[str, Callable[[Path], object]] = {
    "schedule": oa.Schedule.load,
    "saved solution": oa.load_solution,
    "reproduction": oa.read_reproduction,
    "policy": oa.Policy.load,
    "job": oa.run_job,
    "key of Trust": lambda path: oa.Trust([path]),
    "key": id_of_file,
    "calibration": lambda path: _document(path, "calibrated"),
    "partitions": lambda path: oa.Partitions.open(path.parent),
    "remembered version": lambda path: oa.Trust([], required=False, remember=path).floor(),
}  # each reads the file at the path, or one in its folder


def of_kind(folder: Path, kind: str) -> Path:
    path = folder / "_partitions.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(9 * DOCUMENT)  # sparse: takes no room
    return path


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "device", "larger than any document"])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_blocks_or_never_ends_is_refused(tmp_path: Path, reader: str, kind: str) -> None:
    path = of_kind(tmp_path, kind)
    with pytest.raises(oa.OasisAllocError) as refused:
        READERS[reader](path)
    if kind in ("pipe", "device"):
        assert "it is not a regular file" in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("command", ["solve", "check", "replay", "board"])
@pytest.mark.parametrize("kind", ["pipe", "device", "larger than any document"])
def test_a_command_refuses_such_a_file_with_one_message(
    tmp_path: Path, command: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(of_kind(tmp_path, kind))]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_regular_file_is_read_whole_or_in_part(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abcdef")
    assert (read_regular(path), read_regular(path, length=2)) == (b"abcdef", b"ab")
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(OSError, match="it has 6 bytes; expected at most 5"):
        read_regular(path, 5)


@pytest.mark.parametrize("reader", ["schedule", "partitions"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_document_that_is_nested_too_deeply_is_refused(tmp_path: Path, reader: str, text: str) -> None:
    path = tmp_path / "_partitions.json"
    path.write_text(text)
    with pytest.raises(oa.InputError, match="nested too deeply"):
        READERS[reader](path)
    with pytest.raises(ValueError, match="nested too deeply"):
        from_json(text)


@pytest.mark.parametrize("read", [oa.load_solution, oa.read_reproduction])
@pytest.mark.parametrize("path", [None, 5, b"x", ["a"]])
def test_what_is_no_path_is_refused_by_its_value(read: Callable[[object], object], path: object) -> None:
    with pytest.raises(oa.InputError, match="expected the path of a"):
        read(path)


@pytest.mark.parametrize(
    "read", [oa.load_solution, oa.read_reproduction, oa.Schedule.load, oa.Partitions.open, oa.Ledger]
)
def test_a_null_character_in_a_path_is_refused(read: Callable[[str], object]) -> None:
    with pytest.raises(oa.InputError):
        read("a\0b")
