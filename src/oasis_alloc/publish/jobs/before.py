"""What can be known of later steps before a solve: arguments, names and keys that would end the run after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oasis_alloc.common.environment import text_of, variable_in
from oasis_alloc.common.remote_path import text_in
from oasis_alloc.errors import InputError
from oasis_alloc.problem_file.answers import check_further
from oasis_alloc.publish.directory import check_publication
from oasis_alloc.publish.jobs.result_numbers import check_relevance
from oasis_alloc.results.saved import check_labels
from oasis_alloc.serving.batch.redis_export import check_user_ids
from oasis_alloc.serving.build import check_policy_options
from oasis_alloc.solve import check_options

if TYPE_CHECKING:
    from oasis_alloc.problem_file.statement import Statement
    from oasis_alloc.publish.jobs.job import Job


def check_later_options(statement: Statement, job: Job) -> None:
    """Raise `InputError` or `ProblemError` for options of the solve and of later steps that do not fit the problem."""
    problem = statement.problem
    check_options(problem, statement.solve)
    check_labels(problem)
    check_policy_options(problem, job.table("policy"))
    check_further(statement)
    if "redis" in job.table("publish"):
        check_user_ids(problem.candidates)
    if "relevance" in job.table("gates"):
        check_relevance(problem.candidates, job.table("gates")["relevance"])


def check_publishing(job: Job) -> None:
    """Raise `InputError` or `SnapshotError` if [publish] names no place, a key or a variable that does not exist."""
    table = job.table("publish")
    if "redis" in table and "://" not in text_of(table["redis"], f"{job.path.name}: publish.redis"):
        raise InputError(f"{job.path.name}: publish.redis: expected the address of a Redis: redis://host:6379/0.")
    check_publication(text_in(job.folder, table["directory"]), signing_key(job))


def signing_key(job: Job) -> str | None:
    """The private key of [publish]: a path, env:NAME, or None."""
    sign = job.table("publish").get("sign")
    return sign if sign is None or variable_in(sign) is not None else str(job.folder / sign)
