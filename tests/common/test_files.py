"""Files are replaced whole, through links, with their modes, and nothing is left where that fails."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.common import files as replacing
from oasis_alloc.common.files import write_whole
from oasis_alloc.errors import InputError
from oasis_alloc.serving.file.container import write_arrays

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, modes and devices of POSIX")


def problem() -> oa.Problem:
    c = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.1]}, items={"song": ["a", "b"]})
    return oa.Problem(c, oa.total("r"), [(oa.exposure(by="song") <= 1.0).named("caps")])


def _checkpoint(path: Path) -> None:
    oa.solve(problem(), checkpoint=path)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: write_whole(path, "text"),
    "arrays": lambda path: write_arrays(path, {"a": np.zeros(3)}, {}),
    "policy": lambda path: oa.solve(problem()).policy().save(path),
    "table": lambda path: oa.solve(problem()).policy().to_parquet(problem().candidates, path),
    "checkpoint": _checkpoint,
    "solution": lambda path: oa.solve(problem()).save(path),
    "reproduction": lambda path: oa.write_reproduction(problem(), path),
}
each_writer = pytest.mark.parametrize("write", list(WRITERS.values()), ids=list(WRITERS))


@pytest.mark.few(2)
@each_writer
def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    (tmp_path / "real").mkdir()
    target, link, further = tmp_path / "real" / "file", tmp_path / "link", tmp_path / "further"
    target.write_bytes(b"before")
    target.chmod(0o604)
    link.symlink_to("real/file")
    further.symlink_to(link)
    write(further)
    assert further.is_symlink()
    assert link.is_symlink()
    assert target.read_bytes() != b"before"
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["file"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["further", "link", "real"]


@each_writer
def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.few(3)
@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "checkpoint"])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_where_it_fails_the_old_file_stays_and_nothing_else(
    tmp_path: Path, writer: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replacing.os, step, full)
    with pytest.raises(OSError, match="No space left") as caught:
        WRITERS[writer](path)
    assert str(path) in str(caught.value), "a message says which file"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "new").symlink_to("target")
    write_whole(tmp_path / "new", "text")
    assert (tmp_path / "target").read_text() == "text"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "loop", "text")
    (tmp_path / "gone").symlink_to("no/such/file")
    with pytest.raises(FileNotFoundError, match=r"no directory '.*no/such'; the path is a link to '.*no/such/file'"):
        write_whole(tmp_path / "gone", "text")
    assert (tmp_path / "gone").is_symlink()


def _no_folder(tmp_path: Path) -> Path:
    return tmp_path / "none" / "x"


def _no_right(tmp_path: Path) -> Path:
    (tmp_path / "closed").mkdir(mode=0o500)
    return tmp_path / "closed" / "x"


@pytest.mark.few(3)
@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "checkpoint"])
@pytest.mark.parametrize("where", [_no_folder, _no_right])
def test_an_error_names_the_file_that_was_to_be_written(
    tmp_path: Path, writer: str, where: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = where(tmp_path)
    if where is _no_right and os.geteuid() == 0:  # root may write anywhere
        real = os.open

        def refused(name: Any, *rest: Any, **more: Any) -> int:
            if Path(name).parent == path.parent:
                raise PermissionError(13, "Permission denied", str(name))
            return real(name, *rest, **more)

        monkeypatch.setattr(replacing.os, "open", refused)
    with pytest.raises((FileNotFoundError, PermissionError)) as caught:
        WRITERS[writer](path)
    assert caught.value.filename == str(path)
    assert ".tmp" not in str(caught.value)


def test_an_error_of_a_library_names_the_file_too(tmp_path: Path) -> None:
    for args in (["Failed to write {}"], [5, "Input/output error", "{}"], [5, "of {}"]):

        def write(args: list[Any] = args) -> None:
            with replacing.replacing(tmp_path / "file") as beside:
                raise OSError(*[arg.format(beside) if isinstance(arg, str) else arg for arg in args])

        with pytest.raises(OSError, match="file") as caught:
            write()
        assert str(tmp_path / "file") in str(caught.value)
        assert ".tmp" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "checkpoint"])
def test_a_path_with_a_null_character_is_refused_by_every_writer(writer: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\\x00b' is not a path: it has a null character"):
        WRITERS[writer](tmp_path / "a\0b")
    with pytest.raises(InputError, match="null character"):
        problem().candidates.to_parquet(tmp_path / "a\0b")


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(OSError, match=r"cannot be replaced|Is a directory"):
            write_whole(path, "text")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "a" * 240 + ".parquet", ".hidden", "no-ending."])
def test_names_of_any_length_and_kind(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


READERS: dict[str, Callable[[Path], Any]] = {
    "policy": oa.Policy.load,
    "candidates": oa.Candidates.from_parquet,
    "checkpoint": lambda path: oa.solve(problem(), resume=path),
    "reproduction": oa.read_reproduction,
}


@pytest.mark.parametrize("read", list(READERS.values()), ids=list(READERS))
def test_a_file_that_is_not_there_is_said_in_words_and_its_path_once(
    tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    with pytest.raises(oa.OasisAllocError) as caught:
        read(tmp_path / "none" / "file")
    assert str(caught.value).count(str(tmp_path)) == 1
    assert "Errno" not in str(caught.value)
