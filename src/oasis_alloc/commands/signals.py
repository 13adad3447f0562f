"""`oasis-alloc signals LOGS`: what a decision log says of calibration, drift and other policies, as one page."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oasis_alloc.errors import InputError


def register(commands: Any) -> None:
    """Add the command to those of `oasis-alloc`."""
    parser = commands.add_parser("signals", help="report calibration, drift and off-policy results of a decision log")
    parser.add_argument("logs", metavar="LOGS", help="a folder of DecisionLog, or its address")
    parser.add_argument("--outcomes", required=True, metavar="FILE", help="a table with request, item and the outcome")
    parser.add_argument("--outcome", metavar="COLUMN", help="the outcome, if the table has several other columns")
    parser.add_argument("--missing", type=float, metavar="X", help="outcome of items shown that are not in the table")
    parser.add_argument("--predicted", metavar="COLUMN", help="logged column that predicts the outcome")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="SNAPSHOT", help="a policy to evaluate; repeatable"
    )
    parser.add_argument("--policy-id", metavar="ID", help="use the decisions of this policy alone")
    parser.add_argument("--mixed", action="store_true", help="accept decisions of several policies")
    parser.add_argument("--since", metavar="TIME", help="ISO 8601 or UNIX seconds; UTC without an offset")
    parser.add_argument("--until", metavar="TIME", help="decisions before this time")
    parser.add_argument("--out", default="signals.html", metavar="FILE", help="the page")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def signals(arguments: argparse.Namespace) -> int:
    """Read the log, write the page, print the report."""
    from oasis_alloc.commands.terminal import NOT_WRITTEN, say, warn
    from oasis_alloc.common.remote import Files
    from oasis_alloc.common.remote_path import write_at
    from oasis_alloc.problem_file.tables import read_table
    from oasis_alloc.publish.decisions.reading import read_decisions
    from oasis_alloc.signals.log_page import page_of
    from oasis_alloc.signals.log_report import report_of, text_of

    decisions = read_decisions(
        arguments.logs, since=_time("--since", arguments.since), until=_time("--until", arguments.until)
    )
    files = Files(Path())  # whose copies of object storage stay until the end
    outcomes = read_table(files / arguments.outcomes)
    report = report_of(
        decisions, outcomes, arguments.outcome or _outcome(arguments.outcomes, outcomes), source=str(arguments.logs),
        policies=_policies(arguments.policy), predicted=arguments.predicted, missing=arguments.missing,
        policy_id=arguments.policy_id, mixed=arguments.mixed,
    )  # fmt: skip
    try:
        write_at(arguments.out, page_of(report))
    except OSError as error:
        warn(f"oasis-alloc: {arguments.out} cannot be written: {error.strerror or error}.")
        return NOT_WRITTEN
    text = json.dumps(report.to_dict(), allow_nan=False) if arguments.json else f"{text_of(report)}\n\n{arguments.out}"
    return 0 if say(text) else NOT_WRITTEN


def _time(option: str, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise InputError(f"{option} {given}: expected a time such as 2026-11-30T12:00, or UNIX seconds.") from error
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _outcome(path: Path, table: Any) -> str:
    import narwhals.stable.v2 as nw

    others = [name for name in nw.from_native(table, eager_only=True).columns if name not in ("request", "item")]
    if len(others) != 1:
        listed = ", ".join(map(repr, others)) or "no other columns"
        raise InputError(f"{path} has {listed}; name the outcome with --outcome.")
    return str(others[0])


def _policies(paths: list[str]) -> dict[str, Any]:
    from oasis_alloc.common.remote_path import as_place
    from oasis_alloc.policy import Policy

    names = [as_place(path).name for path in paths]
    out: dict[str, Any] = {}
    for path, short in zip(paths, names, strict=True):
        name = short if names.count(short) == 1 else path
        out[name] = Policy.load(path)
    return out
