"""The runs of a job: folders below a folder of this machine, or of object storage."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oasis_alloc.common.files import locked, reason_of
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote import RemoteFolder, remove_copies, without_secrets
from oasis_alloc.errors import InputError
from oasis_alloc.publish.jobs.folder import PUBLISHED, RUN, RunFolder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,99}")
_LOCK = ".lock"

Known = list[tuple[RunFolder, dict[str, Any]]]


class RunsNotWritten(InputError):
    """The folder of the runs cannot be written."""

    exit_code = 5  # of a command: a file


class RunInProgress(InputError):
    """Another process runs this job."""

    exit_code = 75  # of a command: try again later


class Runs:
    """The runs below a folder; for an address, files are copied to this machine when they are read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Runs(Path(folder)).last_published(""), Runs(Path(folder)).folder("monday").name
    (None, 'monday')
    """

    def __init__(self, where: Path | str) -> None:
        self._remote: RemoteFolder | None = None
        self._folders: dict[str, RunFolder] = {}
        if isinstance(where, Path):
            self._path = where
            return
        self._remote = RemoteFolder(where)
        self._path = Path(tempfile.mkdtemp(prefix="oasis-alloc-runs-"))
        weakref.finalize(self, remove_copies, str(self._path), os.getpid())

    def __str__(self) -> str:
        return str(self._path) if self._remote is None else without_secrets(self._remote.address)

    def folder(self, name: str) -> RunFolder:
        """The folder of a run, which need not exist."""
        if name not in self._folders:
            remote = None if self._remote is None else RemoteFolder(f"{self._remote.address}/{name}")
            self._folders[name] = RunFolder(self._path / name, remote)
        return self._folders[name]

    def all(self) -> Known:
        """The runs that have begun, the oldest first, with their summaries."""
        found: Known = []
        for name in self._names():
            summary = self.folder(name).summary()
            if summary is not None:
                found.append((self.folder(name), summary))
        return sorted(found, key=lambda one: (str(one[1].get("begun")), one[0].name))

    def _names(self) -> list[str]:
        if self._remote is None:
            with suppress(FileNotFoundError, NotADirectoryError):
                return [entry.name for entry in self._path.iterdir() if entry.is_dir()]
            return []
        try:
            below = self._remote.below()
        except OSError as error:
            raise InputError(f"{self}: the runs cannot be read: {reason_of(error)}") from error
        return [name for name, _, file in (path.rpartition("/") for path in below) if file == RUN and "/" not in name]

    def last_published(self, before: str) -> RunFolder | None:
        """The newest run that has published, other than the run `before`."""
        return _newest_published(self.all(), before)

    def folder_for(self, run: str | None, job: str) -> RunFolder:
        """The folder of a run: the one that is named, an interrupted run of the same job file, or a new one."""
        if run is not None:
            if not isinstance(run, str) or not _NAME.fullmatch(run):
                raise InputError(f"run is {shown(run)}; expected letters, digits and _.:+-, such as 2026-11-30.")
            return self.folder(run)
        known = self.all()
        if known:
            last, summary = known[-1]
            if summary.get("status") == "running" and summary.get("digests", {}).get("job") == job:
                return last
        now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        names, k = {folder.name for folder, _ in known}, 1
        while (name := now if k == 1 else f"{now}-{k}") in names:
            k += 1
        return self.folder(name)

    def remove_old(self, keep: int) -> None:
        """Remove finished runs, the oldest first; the last `keep` stay, and the last one that has published."""
        known = self.all()
        finished = [folder for folder, summary in known if summary.get("status") != "running"]
        last = _newest_published(known, "")
        for folder in finished[:-keep]:
            if last is None or folder.name != last.name:
                folder.remove()

    @contextmanager
    def only_one(self) -> Iterator[None]:
        """For the block, no other process on this machine runs the job; raises `RunInProgress`, `RunsNotWritten`."""
        if self._remote is None:
            lock = self._path / _LOCK
        else:
            address = hashlib.sha256(self._remote.address.encode()).hexdigest()[:16]
            user = os.getuid() if hasattr(os, "getuid") else ""
            lock = Path(tempfile.gettempdir()) / f"oasis-alloc-{address}-{user}.lock"
        with ExitStack() as held:
            try:
                if self._remote is None:
                    self._path.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(lock, wait=False))
            except BlockingIOError:
                raise RunInProgress(f"{self}: another process runs this job; wait until it has ended.") from None
            except OSError as error:
                raise RunsNotWritten(f"{self}: the folder of the runs cannot be written: {reason_of(error)}") from error
            yield


def _newest_published(known: Known, before: str) -> RunFolder | None:
    published = [one for one, summary in known if one.name != before and summary["status"] == PUBLISHED]
    return published[-1] if published else None
