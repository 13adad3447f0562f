"""The folder of a run: its reports and its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oasis_alloc.common.documents import from_json, jsonable
from oasis_alloc.common.files import replacing, write_whole
from oasis_alloc.common.remote import RemoteFolder, without_secrets
from oasis_alloc.common.remote_path import text_at

FORMAT, SCHEMA = "oasis_alloc.job_run", 1
STEP_FORMAT = "oasis_alloc.job_step"
RUN, SOLUTION, POLICY, REQUESTS, PAGE = "run.json", "solution", "policy", "requests.json", "report.html"
SOLUTION_PAGE = "solution.html"
PUBLISHED = "published"

_State = tuple[int, int]  # (time of the last change, bytes)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. With `remote`, a folder of object storage, `path` has copies of its files.

    Files are written below `path`. They are sent with the next document, and before it: so a report in object storage
    says what is there.
    """

    path: Path
    remote: RemoteFolder | None = None
    _sent: dict[str, _State] = field(default_factory=dict, repr=False, compare=False)  # copies that are up to date

    @property
    def name(self) -> str:
        """The id of the run."""
        return self.path.name

    @property
    def place(self) -> Path | str:
        """Where others find it: a path of this machine, or an address."""
        return self.path if self.remote is None else without_secrets(self.remote.address)

    def file(self, name: str) -> Path:
        """A file of the run; one that is in object storage alone is copied here first."""
        path = self.path / name
        if self.remote is not None and name not in self._sent and not path.exists():
            self._fetch(self.remote, name, path)
        return path

    def _fetch(self, remote: RemoteFolder, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)  # without it, the file seems not to be there
        try:
            with replacing(path) as part:
                remote.copy_file(name, part)
        except FileNotFoundError:
            return
        self._sent[name] = _state(path)

    def summary(self) -> dict[str, Any] | None:
        """What `run.json` says; None if it is not there, or is of another format."""
        return self.report(RUN)

    def report(self, name: str) -> dict[str, Any] | None:
        """A JSON document of the run; None if it is not there or damaged, as if it had not been written."""
        try:
            found = from_json(text_at(self.file(name)))
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and found.get("format") in (FORMAT, STEP_FORMAT)
        return found if known and found.get("schema") == SCHEMA else None

    def write(self, name: str, document: Mapping[str, Any], format: str = FORMAT) -> dict[str, Any]:
        """Write a JSON document, completely or not at all."""
        text = dict(jsonable({"format": format, "schema": SCHEMA, **document}))
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / name, json.dumps(text, indent=1) + "\n")
        if self.remote is not None:
            self._send(self.remote, name)
        return text

    def _send(self, remote: RemoteFolder, last: str) -> None:
        """Send what has changed; the document `last` at the end."""
        changed = [path for path in self.path.iterdir() if path.is_file() and path.name[0] != "."]
        for path in sorted(changed, key=lambda path: (path.name == last, path.name)):
            state = _state(path)
            if self._sent.get(path.name) != state:
                remote.put(path.name, path)
                self._sent[path.name] = state

    def remove(self) -> None:
        """Remove the run; what cannot be removed stays."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.remote is not None:
            with suppress(OSError):
                for name in sorted(self.remote.names(), key=lambda name: name == RUN):  # what is left is still a run
                    self.remote.remove(name)


def step_file(step: str) -> str:
    """The report of a step."""
    return f"{step}.json"


def _state(path: Path) -> _State:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
