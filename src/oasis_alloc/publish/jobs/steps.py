"""The steps of a run, one after the other; each writes a report, and a run that was interrupted goes on after them."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.documents import from_json
from oasis_alloc.common.files import reason_of, write_whole
from oasis_alloc.common.remote_path import text_at, text_in
from oasis_alloc.errors import InputError, ProblemError, SolverError
from oasis_alloc.page.page import page
from oasis_alloc.problem_file.answers import further_answers
from oasis_alloc.problem_file.uncertain import solve_stated
from oasis_alloc.publish.directory import KEEP, PolicyDirectory
from oasis_alloc.publish.jobs.before import check_later_options, check_publishing, signing_key
from oasis_alloc.publish.jobs.canary import compare_on, requests_of
from oasis_alloc.publish.jobs.checks import check_input
from oasis_alloc.publish.jobs.columns import COLUMNS, with_columns, write_columns
from oasis_alloc.publish.jobs.findings import Finding
from oasis_alloc.publish.jobs.folder import POLICY, REQUESTS, SOLUTION, SOLUTION_PAGE, STEP_FORMAT, RunFolder, step_file
from oasis_alloc.publish.jobs.gates import check_result, gate_of
from oasis_alloc.publish.jobs.job import Job
from oasis_alloc.publish.jobs.profile import profile_of
from oasis_alloc.publish.jobs.result_numbers import numbers_of, numbers_of_risk
from oasis_alloc.signals.uncertainty.solve import UncertainSolution

if TYPE_CHECKING:
    from oasis_alloc.problem_file.statement import Statement
    from oasis_alloc.publish.manifest import PublishedVersion
    from oasis_alloc.solution import Solution

Report = Mapping[str, Any]

_log = logging.getLogger("oasis_alloc.job")
_REQUESTS = 500


class Stopped(Exception):
    """A run ends here: its status, and a sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Steps:
    """The steps of one run; `write` is False for a run that only checks, which leaves no files."""

    def __init__(
        self, job: Job, folder: RunFolder, last: RunFolder | None, write: bool, say: Callable[[str], object] | None
    ) -> None:
        self.job, self.folder, self.last, self._write, self._say = job, folder, last, write, say
        self.reports: dict[str, Report] = {}
        self.version: PublishedVersion | None = None  # what was published, also if a later part of the step fails

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of the job file and of all files that it reads."""
        return self.job.digests()

    @cached_property
    def input(self) -> str:
        """Names the input of the run: the files, and the run before it."""
        last = None if self.last is None else self.last.name
        return hashlib.sha256(json.dumps([self.digests, last], sort_keys=True).encode()).hexdigest()

    @cached_property
    def _statement(self) -> Statement:
        solution = None if self.last is None else self.last.file(SOLUTION)
        return self.job.statement(solution, by_risk=True)

    def continue_after_policy(self) -> bool:
        """Take over the reports of the same input up to the policy; False if they are not all there."""
        reports = {name: self.folder.report(step_file(name)) for name in ("tables", "checks", "solve", "policy")}
        if not self.folder.file(POLICY).is_file():
            return False
        for report in reports.values():
            if report is None or report["status"] != "done" or report.get("input") != self.input:
                return False
        for name, report in reports.items():
            self.reports[name] = report or {}
            self._tell(name, {**self.reports[name], "status": "kept"})
        return True

    def tables(self) -> None:
        """Read the tables and make the problem."""
        begun = time.perf_counter()
        if self._write:
            check_publishing(self.job)
        check_later_options(self._statement, self.job)
        problem = self._statement.problem
        checks = self.job.table("checks")
        keys = [*checks.get("missing_labels", {}), *checks.get("new_labels", {})]
        text = f"{problem.candidates.n_users:,} users, {problem.candidates.n_pairs:,} pairs"
        found = {"digests": self.digests, "profile": profile_of(problem, keys), "statement": repr(problem)}
        self._done("tables", "done", begun, text, **found)

    def checks(self) -> None:
        """Check the input."""
        begun, last = time.perf_counter(), None
        before = None if self.last is None else self.last.report(step_file("tables"))
        if before is not None and self.last is not None:
            last = {**before, "run": self.last.name}
        findings = check_input(self._statement.problem, self.job.table("checks"), self.reports["tables"], last)
        bad = [finding for finding in findings if not finding.passed]
        text = "; ".join(map(str, bad)) or f"{len(findings):,} passed"
        self._done("checks", "failed" if bad else "done", begun, text, findings=[one.to_dict() for one in findings])
        if bad:
            raise Stopped("check failed", text)

    def solve(self) -> Solution:
        """Solve, save the solution and its page, and the numbers that gates need."""
        begun, statement = time.perf_counter(), self._statement
        answer = self._solved(statement)
        solution = answer.solution if isinstance(answer, UncertainSolution) else answer
        last, gates = None if self.last is None else self.last.file(SOLUTION), self.job.table("gates")
        numbers = numbers_of(solution, gates, last)
        if isinstance(answer, UncertainSolution):
            numbers |= numbers_of_risk(answer)
        relevance = gates.get("relevance", {}).get("column", "relevance")
        write_whole(
            self.folder.file(SOLUTION_PAGE),
            page(solution.problem, solution, self.job.name, relevance).encode("utf-8", "backslashreplace"),
        )
        if solution.status.name == "INFEASIBLE":
            some = ", ".join(str(conflict) for conflict in solution.conflicts[:3])
            self._done("solve", "failed", begun, f"infeasible: {some}", numbers=numbers)
            raise Stopped("infeasible", some)
        solution.save(self.folder.file(SOLUTION))
        if statement.uncertainty is not None:
            write_columns(self.folder.file(COLUMNS), statement.problem.candidates, solution.problem.candidates)
        for _, write in further_answers(statement, solution, self.folder.path, statement.format):
            write()
        text = f"{solution.status}: value {answer.value:,.8g}, gap {answer.gap:.1e}"
        self._done("solve", "done", begun, text, numbers=numbers)
        return solution

    def _solved(self, statement: Statement) -> Solution | UncertainSolution:
        """The answer. The solve goes on from its checkpoint, and begins if there is none that belongs to it."""
        from oasis_alloc.solve import solve

        if statement.uncertainty is not None:
            return solve_stated(statement, statement.solve)
        options = dict(statement.solve)
        resume = options.pop("resume", None)
        if resume is not None:
            try:  # a checkpoint has prices of its own
                return solve(statement.problem, **{**options, "start": None, "resume": resume})
            except (InputError, ProblemError) as error:
                _log.info("the solve begins: %s", error)
        return solve(statement.problem, **options)

    def policy(self, solution: Solution) -> None:
        """Make the policy, and try it on requests of the last run."""
        begun, options = time.perf_counter(), self.job.table("policy")
        try:
            policy = solution.policy(**options)
        except SolverError as error:
            self._done("policy", "failed", begun, str(error))
            raise Stopped("not proven", str(error)) from error
        policy.save(self.folder.file(POLICY))
        gate = self.job.table("gates").get("canary")
        canary = None
        if gate is not None:
            requests = requests_of(solution.problem.candidates, policy, gate.get("requests", _REQUESTS))
            write_whole(self.folder.file(REQUESTS), json.dumps(requests))
            canary = self._canary()
        text = f"policy {policy.policy_id}"
        self._done("policy", "done", begun, text, policy_id=policy.policy_id, canary=canary)

    def _canary(self) -> dict[str, Any] | None:
        from oasis_alloc.policy import Policy

        if self.last is None or not self.last.file(REQUESTS).is_file():
            return None
        file = self.last.file(REQUESTS)
        try:
            requests = from_json(text_at(file))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file}: the requests of run {self.last.name} cannot be read: {reason_of(error)}. Without its folder, "
                "the run before it is the last one."
            ) from error
        before = Policy.load(self.last.file(POLICY))
        return compare_on(requests, before, Policy.load(self.folder.file(POLICY)))

    def gates(self, accept: Mapping[str, str]) -> dict[str, str]:
        """Check the result; return the gates that failed and were accepted."""
        begun = time.perf_counter()
        numbers = {**self.reports["solve"]["numbers"], "canary": self.reports["policy"]["canary"]}
        findings = check_result(numbers, self.job.table("gates"))
        failed = {gate_of(finding) for finding in findings if not finding.passed}
        accepted = {gate: accept[gate] for gate in sorted(failed & accept.keys())}
        bad = [finding for finding in findings if not finding.passed and gate_of(finding) not in accepted]
        text = "; ".join(map(str, bad)) or f"{len(findings) - len(_failed(findings)):,} passed"
        text += f"; accepted: {', '.join(accepted)}" if accepted and not bad else ""
        found = {"findings": [one.to_dict() for one in findings], "accepted": accepted}
        self._done("gates", "failed" if bad else "done", begun, text, **found)
        if bad:
            raise Stopped("gate failed", text)
        return accepted

    def publish(self, accepted: Mapping[str, str]) -> PublishedVersion:
        """Publish the policy of this run."""
        begun, table = time.perf_counter(), self.job.table("publish")
        directory = PolicyDirectory(text_in(self.job.folder, table["directory"]))
        reasons = (f"run {self.folder.name} of {self.job.path.name}",)
        before = self._published_before(directory, reasons)
        self.version = version = before or directory.publish(
            self.folder.file(POLICY),
            keep=table.get("keep", KEEP),
            sign=signing_key(self.job),
            reasons=reasons,
            accepted=accepted,
            name=table.get("name"),
        )
        text = f"version {version.version} of {table['directory']}"
        if before is not None:
            text += ", published before; another version is current now"
        elif "redis" in table:
            given = {name: table[f"redis_{name}"] for name in ("prefix", "grace") if f"redis_{name}" in table}
            text += f", {self._deliver(table['redis'], given):,} users in Redis"
        self._done("publish", "done", begun, text, version=version.to_dict())
        return version

    def _published_before(self, directory: PolicyDirectory, reasons: tuple[str, ...]) -> PublishedVersion | None:
        """The version that this run has published, if it was interrupted after that and another one is current now."""
        digest = hashlib.sha256(self.folder.file(POLICY).read_bytes()).hexdigest()
        known = directory.history()
        mine = [one for one in known if one.kind == "publish" and one.digest == digest and one.reasons == reasons]
        return mine[-1] if mine and known[-1].digest != digest else None

    def _deliver(self, address: str, given: dict[str, Any]) -> int:
        """Write the slates of all users to Redis; repeated by a run that was interrupted here."""
        from oasis_alloc.policy import Policy

        policy = Policy.load(self.folder.file(POLICY))
        candidates = self._statement.problem.candidates
        if self._statement.uncertainty is not None:
            candidates = with_columns(candidates, self.folder.file(COLUMNS))
        return policy.to_redis(candidates, address, **given)

    def failed(self, step: str, error: BaseException) -> None:
        """Report a step that ended with an error."""
        if step not in self.reports:
            with suppress(OSError):  # the error may be that nothing can be written
                self._done(step, "failed", time.perf_counter(), str(error) or type(error).__name__)

    def _done(self, step: str, status: str, begun: float, text: str, **more: Any) -> None:
        document = {
            "step": step, "run": self.folder.name, "status": status, "seconds": time.perf_counter() - begun,
            "text": text, "input": self.input, **more,
        }  # fmt: skip
        if self._write:
            document = self.folder.write(step_file(step), document, STEP_FORMAT)
        self.reports[step] = document
        self._tell(step, document)

    def _tell(self, step: str, report: Report) -> None:
        line = f"{step:8s} {report['status']:6s} {report['seconds']:7.1f} s  {report['text']}"
        _log.log(logging.WARNING if report["status"] == "failed" else logging.INFO, "%s", line)
        if self._say is not None:
            self._say(line)


def checked_accept(accept: Mapping[str, str], gates: Mapping[str, Any]) -> dict[str, str]:
    """Gates that may fail, each with a reason; InputError for a gate that the job does not have."""
    from oasis_alloc.common.nearest import did_you_mean
    from oasis_alloc.publish.manifest import checked_accepted

    for gate in accept:
        if gate not in gates:
            raise InputError(f"accept: the job has no gate {gate!r}.{did_you_mean(gate, list(gates))}")
    return checked_accepted(accept)


def _failed(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.passed]
