"""Compiled kernels are neither kept nor loaded where somebody else may write: they are code.

In every run in this process; in fresh ones, which take a second or two each, with the mark `full`.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernel_project import CHILD, Project, finish, on_posix

from oasis_alloc.kernels import _jit


def total(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value
    return result


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory in which this process has compiled `total`."""
    monkeypatch.setenv("OASIS_ALLOC_CACHE", str(tmp_path / "cache"))
    assert hits_and_misses() == (0, 1)
    return tmp_path / "cache"


def hits_and_misses() -> tuple[int, int]:
    """Of the first call of a kernel that is made again."""
    kernel: Any = _jit.jit(total)
    assert kernel(np.ones(3)) == 3.0
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def changed(cache: Path) -> dict[Path, int]:
    """When each entry was written."""
    return {file: file.stat().st_mtime_ns for file in cache.rglob("*.nb?")}


@on_posix
@pytest.mark.parametrize("mode", [0o777, 0o2770])
def test_a_directory_that_others_may_write_is_neither_read_nor_written(cache: Path, mode: int) -> None:
    before = changed(cache)
    cache.chmod(mode)
    assert hits_and_misses() == (0, 1)
    assert changed(cache) == before != {}
    cache.chmod(0o700)
    assert hits_and_misses() == (1, 0)


@on_posix
def test_a_refused_directory_is_one_warning_per_process_with_the_remedy(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_jit, "_said", set())
    cache.chmod(0o770)
    for _ in range(2):
        assert hits_and_misses() == (0, 1)
    cache.chmod(0o700)
    for file in changed(cache):  # many files are no reason for many warnings
        file.chmod(0o660)
        _jit._read(str(file))
    said = [(log, message) for log, level, message in caplog.record_tuples if level >= logging.WARNING]
    why = f"kernels are compiled in every process: {cache} can be written by its group, and it holds code"
    assert said == [("oasis_alloc.kernels", f"{why}; run: chmod go-w {cache}")]


@on_posix
def test_a_file_that_others_may_write_is_compiled_again_and_replaced(cache: Path) -> None:
    for file in changed(cache):
        file.chmod(0o660)
    assert hits_and_misses() == (0, 1)
    assert hits_and_misses() == (1, 0), "files of our own have taken their place"


@pytest.mark.full
@on_posix
@pytest.mark.parametrize("mode", [0o777, 0o2770])
@pytest.mark.parametrize("level", ["root", "leaf"])
def test_directory_that_others_may_write_is_refused(warm: Project, level: str, mode: int) -> None:
    leaf = warm.leaf()
    before = {file: file.stat().st_mtime_ns for file in warm.entries()}
    (leaf if level == "leaf" else warm.cache).chmod(mode)
    refused = warm.run("f8", "f4")
    assert (refused["answers"], refused["hits"], refused["misses"]) == ([12.0, 12.0], 0, 2)
    assert {file: file.stat().st_mtime_ns for file in warm.entries()} == before


@pytest.mark.full
@on_posix
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_file_that_others_may_write_is_not_loaded(warm: Project, ending: str) -> None:
    for file in warm.entries():
        if file.suffix == f".{ending}":
            file.chmod(0o660)
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 0, 1)
    assert warm.run("f8")["hits"] == 1, "files of our own have taken their place"


@pytest.mark.full
@on_posix
def test_file_behind_a_link_is_not_loaded(warm: Project) -> None:
    for file in warm.entries():
        file.rename(file.with_name(f"moved-{file.name}"))
        file.symlink_to(file.with_name(f"moved-{file.name}"))
    again = warm.run("f8")
    assert (again["answers"], again["hits"], again["misses"]) == ([12.0], 0, 1)


@on_posix
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o2770, 0o722, 0o777])
def test_no_mode_that_lets_others_write_is_private(tmp_path: Path, mode: int) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_bytes(b"code")
    for path in (folder, file):
        path.chmod(0o755)
    assert _jit._is_private(folder)
    assert _jit._read(str(file)) == b"code"
    for path in (folder, file):
        path.chmod(mode)
    assert not _jit._is_private(folder)
    assert _jit._read(str(file)) is None


@on_posix
def test_file_of_another_user_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kernel.nbi"
    file.write_bytes(b"code")
    file.chmod(0o600)
    assert _jit._read(str(file)) == b"code"
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert _jit._read(str(file)) is None


@pytest.mark.full
@on_posix
@pytest.mark.parametrize("umask", [0o000, 0o002])
def test_whatever_the_umask_files_are_of_their_user_alone(project: Project, umask: int) -> None:
    code = f"import os; os.umask({umask})\n{CHILD}"
    for hits in (0, 1):
        assert finish(project.start(code, "f8"))["hits"] == hits
    for path in (project.cache, *project.cache.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may write in every directory")
def test_read_only_cache_is_read_but_not_written(warm: Project) -> None:
    leaf = warm.leaf()
    leaf.chmod(0o500)
    result = warm.run("f8", "f4")
    leaf.chmod(0o700)
    assert (result["answers"], result["hits"], result["misses"]) == ([12.0, 12.0], 1, 1)


@pytest.mark.full
@on_posix
def test_what_is_refused_is_said_once_with_the_remedy(warm: Project) -> None:
    warm.cache.chmod(0o770)
    output, errors = warm.start(CHILD, "f8", "f4").communicate(timeout=60)
    assert json.loads(output)["answers"] == [12.0, 12.0]
    said = f"kernels are compiled in every process: {warm.cache} can be written by its group, and it holds code"
    assert errors.count(said) == 1, errors
    assert f"chmod go-w {warm.cache}" in errors


@on_posix
def test_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    assert _jit._is_private(tmp_path)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert not _jit._is_private(tmp_path)
    assert not _jit._make_safe(tmp_path / "leaf")
    assert not (tmp_path / "leaf").exists()
