"""The folder of a run: its reports, its files, and the runs before it."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.files import locked, write_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

FORMAT, SCHEMA = "oasis_alloc.job_run", 1
STEP_FORMAT = "oasis_alloc.job_step"
RUN, SOLUTION, POLICY, REQUESTS, PAGE = "run.json", "solution", "policy", "requests.json", "report.html"
SOLUTION_PAGE = "solution.html"
PUBLISHED = "published"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,99}")
_LOCK = ".lock"


class RunInProgress(InputError):
    """Another process runs this job."""

    exit_code = 75  # of a command: try again later


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The id of the run."""
        return self.path.name

    def file(self, name: str) -> Path:
        """A file of the run."""
        return self.path / name

    def summary(self) -> dict[str, Any] | None:
        """What `run.json` says; None if it is not there, or is of another format."""
        return self.report(RUN)

    def report(self, name: str) -> dict[str, Any] | None:
        """A JSON document of the run; None if it is not there or damaged, as if it had not been written."""
        try:
            found = json.loads(self.file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and found.get("format") in (FORMAT, STEP_FORMAT)
        return found if known and found.get("schema") == SCHEMA else None

    def write(self, name: str, document: Mapping[str, Any], format: str = FORMAT) -> dict[str, Any]:
        """Write a JSON document, completely or not at all."""
        text = dict(jsonable({"format": format, "schema": SCHEMA, **document}))
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.file(name), json.dumps(text, indent=1) + "\n")
        return text


def step_file(step: str) -> str:
    """The report of a step."""
    return f"{step}.json"


def runs_of(runs: Path) -> list[tuple[RunFolder, dict[str, Any]]]:
    """The runs that have begun, the oldest first, with their summaries."""
    found = []
    with suppress(FileNotFoundError):
        for entry in runs.iterdir():
            summary = RunFolder(entry).summary() if entry.is_dir() else None
            if summary is not None:
                found.append((RunFolder(entry), summary))
    return sorted(found, key=lambda one: (str(one[1].get("begun")), one[0].name))


def last_published(runs: Path, before: str) -> RunFolder | None:
    """The newest run that has published, other than the run `before`."""
    return _newest_published(runs_of(runs), before)


def _newest_published(known: list[tuple[RunFolder, dict[str, Any]]], before: str) -> RunFolder | None:
    published = [one for one, summary in known if one.name != before and summary["status"] == PUBLISHED]
    return published[-1] if published else None


def folder_for(runs: Path, run: str | None, job: str) -> RunFolder:
    """The folder of a run: the one that is named, an interrupted run of the same job file, or a new one."""
    if run is not None:
        if not isinstance(run, str) or not _NAME.fullmatch(run):
            raise InputError(f"run is {shown(run)}; expected letters, digits and _.:+-, such as 2026-11-30.")
        return RunFolder(runs / run)
    known = runs_of(runs)
    if known:
        last, summary = known[-1]
        if summary.get("status") == "running" and summary.get("digests", {}).get("job") == job:
            return last
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
    names, k = {folder.name for folder, _ in known}, 1
    while (name := now if k == 1 else f"{now}-{k}") in names:
        k += 1
    return RunFolder(runs / name)


def remove_old(runs: Path, keep: int) -> None:
    """Remove finished runs, the oldest first; the last `keep` stay, and the last one that has published."""
    known = runs_of(runs)
    finished = [folder for folder, summary in known if summary.get("status") != "running"]
    last = _newest_published(known, "")
    for folder in finished[:-keep]:
        if last is None or folder.name != last.name:
            shutil.rmtree(folder.path, ignore_errors=True)


@contextmanager
def only_one(runs: Path) -> Iterator[None]:
    """For the block, no other process on this machine runs the job; raises `RunInProgress`."""
    runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(locked(runs / _LOCK, wait=False))
        except BlockingIOError:
            raise RunInProgress(f"{runs}: another process runs this job; wait until it has ended.") from None
        yield
