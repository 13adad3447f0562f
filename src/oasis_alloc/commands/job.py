"""`oasis-alloc run | check | schema`: jobs from tables to a published policy, and what their files may have."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the commands to those of `oasis-alloc`."""
    run = commands.add_parser("run", help="run a job: tables, checks, solve, gates, publication of the policy")
    run.add_argument("job", type=Path, metavar="job.toml")
    run.add_argument(
        "--run", dest="run_id", metavar="ID", help="names the run, such as 2026-11-30; it goes on if it was begun"
    )
    run.add_argument(
        "--accept", action="append", default=[], metavar="GATE=REASON", help="publish although this gate fails"
    )
    check = commands.add_parser("check", help="read the tables of a job and check them, without a solve")
    check.add_argument("job", type=Path, metavar="job.toml")
    schema = commands.add_parser("schema", help="print the JSON schema of a file, for the completion of an editor")
    schema.add_argument("kind", choices=("problem", "job"))
    for parser in (run, check, schema):
        parser.set_defaults(module="job")


def run(arguments: argparse.Namespace) -> int:
    """Run a job."""
    from oasis_alloc.errors import InputError

    accept: dict[str, str] = {}
    for text in arguments.accept:
        gate, sign, reason = text.partition("=")
        if not sign or not reason.strip():
            raise InputError(f"--accept {text!r}: expected GATE=REASON, such as churn='a new month'.")
        accept[gate.strip()] = reason.strip()
    return _done(arguments.job, run=arguments.run_id, accept=accept)


def check(arguments: argparse.Namespace) -> int:
    """Read and check, without a solve."""
    return _done(arguments.job, check=True)


def schema(arguments: argparse.Namespace) -> int:
    """Print a schema."""
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say
    from oasis_alloc.problem_file.entries import ENTRIES, schema_of
    from oasis_alloc.publish.jobs.job import all_entries

    entries = ENTRIES if arguments.kind == "problem" else all_entries()
    title = f"A {arguments.kind} of oasis-alloc"
    return 0 if say(json.dumps(schema_of(entries, title), indent=1)) else NOT_WRITTEN


def _done(job: Path, **how: Any) -> int:
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say, warn
    from oasis_alloc.publish.jobs.run import run_job

    printed = True

    def line(text: str) -> None:
        nonlocal printed
        printed &= say(text)

    result = run_job(job, progress=line, **how)
    code = result.exit_code
    if code:
        warn(f"oasis-alloc: {result}")
    else:
        line(str(result))
    return code if printed or code else NOT_WRITTEN
