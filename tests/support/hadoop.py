"""A file system that behaves as HDFS does where that matters, on a folder of this machine.

It has folders, which must be there before a file is; a file can be seen before it is closed; and a rename to a name
that is taken fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.fs as fs
import pytest

from oasis_alloc.common import remote


class Hadoop(fs.FileSystemHandler):  # type: ignore[misc]
    """The calls of a file system, on `root`."""

    def __init__(self, root: Path) -> None:
        self.root, self.moves = root, 0
        self._local = fs.LocalFileSystem()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hadoop) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def get_type_name(self) -> str:
        return "hdfs"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[Any]:
        return [self._here(one) for one in self._local.get_file_info([self._at(path) for path in paths])]

    def get_file_info_selector(self, selector: Any) -> list[Any]:
        there = fs.FileSelector(self._at(selector.base_dir), selector.allow_not_found, selector.recursive)
        return [self._here(one) for one in self._local.get_file_info(there)]

    def create_dir(self, path: str, recursive: bool) -> None:
        self._local.create_dir(self._at(path), recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._local.delete_dir(self._at(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._local.delete_dir_contents(self._at(path), missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._local.delete_file(self._at(path))

    def move(self, source: str, target: str) -> None:
        if Path(self._at(target)).exists():
            raise OSError(f"{target} exists")
        self.moves += 1
        self._local.move(self._at(source), self._at(target))

    def copy_file(self, source: str, target: str) -> None:
        self._local.copy_file(self._at(source), self._at(target))

    def open_input_stream(self, path: str) -> Any:
        return self._local.open_input_stream(self._at(path))

    def open_input_file(self, path: str) -> Any:
        return self._local.open_input_file(self._at(path))

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return self._local.open_output_stream(self._at(path))

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        raise NotImplementedError

    def _at(self, path: str) -> str:
        return str(self.root / path.strip("/"))

    def _here(self, info: Any) -> Any:
        path = "/" + info.path.removeprefix(str(self.root)).strip("/")
        return fs.FileInfo(path, info.type, size=info.size, mtime_ns=info.mtime_ns)


def serve(root: Path, monkeypatch: pytest.MonkeyPatch) -> Hadoop:
    """Addresses of `hdfs://` are below this folder, until the end of the test."""
    handler, opened = Hadoop(root), remote._opened
    system = fs.PyFileSystem(handler)

    def open_here(address: str) -> tuple[Any, str]:
        if not address.startswith("hdfs://"):
            return opened(address)
        return system, "/" + address.removeprefix("hdfs://").partition("/")[2]

    monkeypatch.setattr(remote, "_opened", open_here)
    return handler
