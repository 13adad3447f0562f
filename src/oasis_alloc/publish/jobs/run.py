"""run_job(): from tables to a published policy."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.files import write_whole
from oasis_alloc.errors import OasisAllocError
from oasis_alloc.publish.jobs.folder import PAGE, PUBLISHED, RUN, SOLUTION_PAGE, RunFolder
from oasis_alloc.publish.jobs.job import Job, read_job
from oasis_alloc.publish.jobs.page import page_of
from oasis_alloc.publish.jobs.result import EXIT_CODES, JobResult
from oasis_alloc.publish.jobs.steps import Steps, Stopped, checked_accept
from oasis_alloc.publish.jobs.tracing import span
from oasis_alloc.publish.jobs.tracking import Tracking
from oasis_alloc.publish.manifest import PublishedVersion

_KEEP = 60  # runs
_Answer = TypeVar("_Answer")


@suggesting
def run_job(
    job: str | os.PathLike[str],
    *,
    run: str | None = None,
    accept: Mapping[str, str] | None = None,
    check: bool = False,
    progress: Callable[[str], object] | None = None,
) -> JobResult:
    """Run a job: read its tables, check them, solve, check the result, and publish the policy.

    Parameters
    ----------
    job
        A TOML file; docs/jobs.md has its entries.
    run
        The id of the run, such as "2026-11-30". A run that has published the same input is not repeated, and one that
        was interrupted goes on. None continues an interrupted run of the same file, or begins a new one.
    accept
        `{gate: reason}`: gates that may fail in this run; the reasons are recorded in the manifest.
    check
        True only reads the tables and checks them: nothing is solved or written.
    progress
        Called with a line of text after each step.

    Returns
    -------
    JobResult
        How it ended, also where it published nothing: `status`, `exit_code`, `steps`.

    Raises
    ------
    InputError, ProblemError, MissingDependencyError
        For a job file that cannot be read or has invalid entries, an invalid id, a gate that the job does not have, and
        a run of this job in another process. What is wrong with tables is a result, "bad input".

    Example
    -------
    >>> import tempfile, pandas as pd, oasis_alloc as oa
    >>> from pathlib import Path
    >>> text = '''
    ... maximize = 'total("relevance")'
    ... subject_to = ['exposure(by="kind") <= 1']
    ... [candidates]
    ... pairs = "pairs.csv"
    ... items = "items.csv"
    ... [gates]
    ... gap = 1e-3
    ... [publish]
    ... directory = "policies"
    ... '''
    >>> pairs = pd.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 0, 1], "relevance": [0.9, 0.5, 0.8, 0.7]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pairs.to_csv(f"{folder}/pairs.csv", index=False)
    ...     pd.DataFrame({"item": [0, 1], "kind": ["a", "b"]}).to_csv(f"{folder}/items.csv", index=False)
    ...     _ = Path(folder, "job.toml").write_text(text)
    ...     result = oa.run_job(f"{folder}/job.toml", run="monday")
    >>> print(result)
    run monday: published: version 1 of policies
    """
    stated = read_job(job)
    accepts = checked_accept(accept or {}, stated.table("gates"))
    if check:
        return check_job(stated, progress)
    with stated.runs.only_one():
        return _run(stated, run, accepts, progress)


def _run(job: Job, run: str | None, accepts: Mapping[str, str], progress: Callable[[str], object] | None) -> JobResult:
    tracking = Tracking(job) if "mlflow" in job.stated else None
    digest = job.digest
    folder = job.runs.folder_for(run, digest)
    before = folder.summary() or {}
    last = _last(job, folder, before)
    steps = Steps(job, folder, last, True, progress)
    if before.get("status") == PUBLISHED and before.get("digests") == steps.digests:
        known = PublishedVersion(**before["version"])
        return JobResult(folder.name, folder.place, PUBLISHED, before["message"], {}, known)
    summary: dict[str, Any] = {
        "run": folder.name, "job": job.name, "status": "running", "message": "",
        "begun": before.get("begun") or time.time(), "digests": steps.digests,
        "last": None if last is None else last.name, "accepted": {}, "version": None,
    }  # fmt: skip
    try:
        folder.write(RUN, summary)
    except OSError as error:
        return JobResult(folder.name, folder.place, "not written", f"{RUN}: {error}")
    with span("oasis_alloc.job", job=job.name, run=folder.name) as whole:
        status, message, version = _all_steps(steps, accepts)
        if whole is not None:
            whole.set_attribute("status", status)
            whole.set_attribute("exit_code", EXIT_CODES[status])
    gates = steps.reports.get("gates", {})
    summary |= {
        "status": status, "message": message, "exit_code": EXIT_CODES[status], "ended": time.time(),
        "accepted": gates.get("accepted", {}), "version": None if version is None else version.to_dict(),
    }  # fmt: skip
    try:
        _report(steps, folder, summary, tracking)
        job.runs.remove_old(job.table("run").get("keep", _KEEP))
    except OSError as error:  # what is published stays published, and the next run repeats this one
        status, message = "not written", f"{RUN}: {error}"
    return JobResult(folder.name, folder.place, status, message, steps.reports, version)


def _report(steps: Steps, folder: RunFolder, summary: dict[str, Any], tracking: Tracking | None) -> None:
    """Write the page of a run that has ended, log it, and then say that it has ended."""
    solution = SOLUTION_PAGE if folder.file(SOLUTION_PAGE).is_file() and "solve" in steps.reports else None
    write_whole(folder.file(PAGE), page_of(summary, steps.reports, solution).encode("utf-8", "backslashreplace"))
    if tracking is not None:
        summary["mlflow"] = tracking.log(folder, summary, steps.reports)
    folder.write(RUN, summary)  # last: from here on the run has ended


def _last(job: Job, folder: RunFolder, before: Mapping[str, Any]) -> RunFolder | None:
    """The run to compare with; a run that goes on keeps the one that it began with."""
    if before.get("status") == "running":
        name = before["last"]
        return None if name is None else job.runs.folder(name)
    return job.runs.last_published(folder.name)


def _all_steps(steps: Steps, accepts: Mapping[str, str]) -> tuple[str, str, PublishedVersion | None]:
    """(status, message, what was published)."""
    step = "tables"

    def do(name: str, what: Callable[..., _Answer], *arguments: Any) -> _Answer:
        nonlocal step
        step = name
        with span(f"oasis_alloc.job.{name}"):
            return what(*arguments)

    try:
        if not steps.continue_after_policy():
            do("tables", steps.tables)
            do("checks", steps.checks)
            do("policy", steps.policy, do("solve", steps.solve))
        version = do("publish", steps.publish, do("gates", steps.gates, accepts))
        return PUBLISHED, steps.reports["publish"]["text"], version
    except Stopped as end:
        return end.status, str(end), None
    except OasisAllocError as error:
        steps.failed(step, error)
        return "bad input", f"{step}: {error}", steps.version
    except OSError as error:
        steps.failed(step, error)
        return "not written", f"{step}: {error}", steps.version


def check_job(job: Job, progress: Callable[[str], object] | None = None) -> JobResult:
    """Read the tables of a job and check them: nothing is solved or written."""
    folder = job.runs.folder("check")
    steps = Steps(job, folder, job.runs.last_published(""), False, progress)
    status, message = _checked(steps)
    return JobResult("check", folder.place, status, message, steps.reports)


def _checked(steps: Steps) -> tuple[str, str]:
    step = "tables"
    try:
        steps.tables()
        step = "checks"
        steps.checks()
    except Stopped as end:
        return end.status, str(end)
    except OasisAllocError as error:
        steps.failed(step, error)
        return "bad input", f"{step}: {error}"
    return "checked", steps.reports["checks"]["text"]
