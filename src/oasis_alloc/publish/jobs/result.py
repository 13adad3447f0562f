"""How a run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.publish.manifest import PublishedVersion

EXIT_CODES = {
    "published": 0,
    "checked": 0,
    "bad input": 2,
    "infeasible": 3,
    "not proven": 4,
    "not written": 5,
    "check failed": 6,
    "gate failed": 7,
    "in progress": 75,
}


@dataclass(frozen=True, eq=False)
class JobResult(ByFields):
    """How a run of a job ended; see `run_job`.

    Attributes
    ----------
    run, folder
        The id of the run, and its folder: a path, or the address of a folder in object storage.
    status
        "published"; "checked" for a run that only checks; else why nothing was published: "bad input", "infeasible",
        "not proven", "not written", "check failed", "gate failed".
    message
        One sentence about it.
    steps
        `{step: report}`, in the order of the steps; docs/jobs.md has the members.
    version
        What was published, or None. A run that is "not written" may have published: its slates are not in Redis then.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> from pathlib import Path
    >>> result = oa.JobResult("2026-11-30", Path("runs/2026-11-30"), "gate failed", "churn 0.4 (limit 0.3)")
    >>> print(result)
    run 2026-11-30: gate failed: churn 0.4 (limit 0.3)
    >>> result.exit_code
    7
    """

    run: str
    folder: Path | str
    status: str
    message: str = ""
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    version: PublishedVersion | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", FrozenMapping(dict(self.steps)))

    @property
    def exit_code(self) -> int:
        """The exit code of `oasis-alloc run`: 0 if the policy was published."""
        return EXIT_CODES[self.status]

    def __str__(self) -> str:
        return f"run {self.run}: {self.status}" + (f": {self.message}" if self.message else "")

    def __repr__(self) -> str:
        return f"JobResult({self.run!r}, {self.status!r})"
