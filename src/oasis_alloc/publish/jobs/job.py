"""A job file: the statement of a problem, and what is checked, gated and published."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.digests import add_file
from oasis_alloc.common.environment import has_secret
from oasis_alloc.common.labels import shown
from oasis_alloc.common.remote import Files, is_remote
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.problem_file.entries import ENTRIES, Tables, check_entries
from oasis_alloc.problem_file.statement import Statement, parsed, read_source, read_statement
from oasis_alloc.problem_file.uncertain import DRAWS, UNCERTAINTY
from oasis_alloc.publish.jobs.entries import JOB_ENTRIES
from oasis_alloc.publish.jobs.runs import Runs

_TABLES = ("pairs", "users", "items")


def all_entries() -> Tables:
    """The entries of a job file."""
    return {**ENTRIES, **JOB_ENTRIES, "": {**ENTRIES[""], **JOB_ENTRIES[""]}}


@dataclass(frozen=True)
class Job:
    """A job file, read and checked, without its tables."""

    path: Path
    source: str
    stated: Mapping[str, Any]
    files: Files  # of this machine, and copies of those in object storage

    @property
    def name(self) -> str:
        """The name of the file, without its ending."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    @cached_property
    def runs(self) -> Runs:
        """The runs of the job."""
        directory: str = self.table("run").get("directory", f"{self.name}-runs")
        return Runs(directory if is_remote(directory) else self.folder / directory)

    @property
    def digest(self) -> str:
        """The SHA-256 of the job file."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def table(self, name: str) -> Mapping[str, Any]:
        """The entries of a table; none if the file does not have it."""
        found: Mapping[str, Any] = self.stated.get(name, {})
        return found

    def statement(self, last: Path | None, by_risk: bool = False) -> Statement:
        """Read the tables and make the problem; `last` is the solution that "last run" means, `by_risk` as there."""
        return read_statement(self.path, JOB_ENTRIES, last=last, files=self.files, by_risk=by_risk)

    def digests(self) -> dict[str, str]:
        """{name: SHA-256} of the job file and of every file and folder that it reads.

        It is empty for one that cannot be read: reading it later says what is wrong.
        """
        out = {"job": self.digest}
        for name, text in self._inputs():
            digest = hashlib.sha256()
            try:
                path = self.files / text
                if not path.exists():
                    continue
                for file in _files_of(path) if path.is_dir() else [path]:
                    if file.is_file():
                        digest.update(f"{file.relative_to(path.parent)}\n{file.stat().st_size}\n".encode())
                        with file.open("rb") as source:
                            add_file(digest, source)
            except (InputError, OSError, RecursionError):
                out[name] = ""
                continue
            out[name] = digest.hexdigest()
        return out

    def _inputs(self) -> list[tuple[str, str]]:
        candidates = self.table("candidates")
        named = [(name, candidates[name]) for name in _TABLES if name in candidates]
        drawn = self.table(UNCERTAINTY)
        named += [(f"{UNCERTAINTY}.{name}", drawn[name]) for name in DRAWS if name in drawn]
        tables = {**self.table("limits"), "supply": self.stated.get("supply"), **self.table("slate")}
        for name, entry in tables.items():
            for kind in ("file", "solution", "ledger"):
                text = entry.get(kind) if isinstance(entry, Mapping) else None
                if (isinstance(text, str) and "://" not in text) or is_remote(text):
                    named.append((f"{name} ({kind})", text))
        named += [("start", start) for start in [self.table("solve").get("start")] if start is not None]
        calibrated = candidates.get("calibrated", {})
        named += [(f"calibrated.{name}", text) for name, text in calibrated.items() if isinstance(text, str)]
        return named


def read_job(path: str | os.PathLike[str]) -> Job:
    """Read a job file and check its entries; raises `InputError` and `ProblemError`."""
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"job is {shown(path)}; expected the path of a TOML file.")
    place = Path(path)
    source = read_source(place)
    stated = parsed(source, place.name)
    check_entries(stated, place.name, all_entries())
    job = Job(place, source, stated, Files(place.parent))
    if "directory" not in job.table("publish"):
        raise ProblemError(f'{place.name}: [publish] must name a directory: directory = "policies".')
    _check_numbers(job)
    _ = job.runs  # refuses an address that is not valid
    for table, name in (("publish", "redis"), ("mlflow", "tracking")):
        if has_secret(job.table(table).get(name)):
            raise ProblemError(
                f"{place.name}: {table}.{name} has a password; expected env:NAME, a variable that has it."
            )
    return job


def _check_numbers(job: Job) -> None:
    """Refuse thresholds that can have no meaning: they are shares, ratios and counts."""
    file = job.path.name
    for table in ("checks", "gates", "gates.relevance", "gates.canary", "run", "publish"):
        found: Any = job.stated
        for part in table.split("."):
            found = found.get(part, {})
        for name, value in found.items():
            if as_real(value) is not None and not 0 <= value < float("inf"):
                raise ProblemError(f"{file}: {table}.{name} is {shown(value)}; expected a number of 0 or more.")
    for name, bounds in (("rows", job.table("checks").get("rows")), *_ranges(job)):
        if bounds is not None and not _is_pair(bounds):
            raise ProblemError(f"{file}: checks.{name} is {shown(bounds)}; expected [lowest, highest].")
    for table in ("missing_labels", "new_labels"):
        for key, share in job.table("checks").get(table, {}).items():
            number = as_real(share)
            if number is None or not 0 <= number <= 1:
                raise ProblemError(f"{file}: checks.{table}.{key} is {shown(share)}; expected a share from 0 to 1.")
    fresh = job.table("checks").get("fresh", [])
    for name in fresh:
        if name not in job.table("candidates"):
            raise ProblemError(f"{file}: checks.fresh has {name!r}, which [candidates] does not name.")
    canary = job.table("gates").get("canary", {})
    for name, value in (
        ("run.keep", job.table("run").get("keep", 1)), ("publish.keep", job.table("publish").get("keep", 1)),
        ("gates.canary.requests", canary.get("requests", 1)),
    ):  # fmt: skip
        if value < 1:
            raise ProblemError(f"{file}: {name} is {value}; expected 1 or more.")
    relevance = job.table("gates").get("relevance", {})
    if "lowest" in relevance and "by" not in relevance:
        raise ProblemError(f"{file}: gates.relevance has lowest without by; expected a key of users: by = 'market'.")


def _ranges(job: Job) -> list[tuple[str, Any]]:
    return [(f"range.{column}", bounds) for column, bounds in job.table("checks").get("range", {}).items()]


def _is_pair(bounds: object) -> bool:
    if not isinstance(bounds, list) or len(bounds) != 2:
        return False
    low, high = map(as_real, bounds)
    return low is not None and high is not None and low <= high


def _files_of(folder: Path) -> Iterator[Path]:
    """All files in and below a folder, also behind links, as readers of tables follow them."""
    for here, inner, names in os.walk(folder, followlinks=True):
        above, real = os.path.realpath(os.path.dirname(here)), os.path.realpath(here)
        if os.path.islink(here) and f"{above}{os.sep}".startswith(f"{real}{os.sep}"):
            raise OSError(errno.ELOOP, "a link leads back up", here)
        inner.sort()
        yield from (Path(here, name) for name in sorted(names))
