"""One MLflow run per run of a job that has the table `[mlflow]`: parameters, metrics, the pages and the policy."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.environment import text_of
from oasis_alloc.errors import require
from oasis_alloc.publish.jobs.folder import PAGE, POLICY, SOLUTION_PAGE

if TYPE_CHECKING:
    from oasis_alloc.publish.jobs.folder import RunFolder
    from oasis_alloc.publish.jobs.job import Job
    from oasis_alloc.publish.jobs.steps import Report

_log = logging.getLogger("oasis_alloc.job")
_STATED = ("maximize", "subject_to", "slate", "solve", "checks", "gates", "policy")
_LONGEST = 6_000  # characters of a parameter
_PER_CALL = 100  # parameters, and
_METRICS = 500  # metrics that a server takes at once
_SECRET = re.compile(r"//[^/@\s]+@")  # user and password of an address
_NAME = re.compile(r"[^\w./ -]")


class Tracking:
    """Where the run is logged; made before the run, so that a missing package stops it before the solve.

    Raises `MissingDependencyError` without MLflow, `InputError` for a variable that does not exist.
    """

    def __init__(self, job: Job) -> None:
        entries = job.table("mlflow")
        self._job, self._experiment = job, entries.get("experiment", job.name)
        where = entries.get("tracking")
        # None: what MLflow finds in the environment
        self._where = None if where is None else text_of(where, f"{job.path.name}: mlflow.tracking")
        self._client = require("mlflow.tracking", "mlflow").MlflowClient
        self._entities = require("mlflow.entities", "mlflow")

    def log(self, folder: RunFolder, summary: Mapping[str, Any], steps: Mapping[str, Report]) -> dict[str, str]:
        """Log a run that has ended; return what `run.json` says of it.

        A server that cannot be reached is a warning: the policy is published, whatever becomes of its log.
        """
        try:
            return {"experiment": self._experiment, "run_id": self._logged(folder, summary, steps)}
        except Exception as error:  # MLflow and its clients of HTTP have errors of their own
            _log.warning("run %s: not logged to MLflow: %s", folder.name, _SECRET.sub("//", str(error)))
            return {"experiment": self._experiment, "error": f"{type(error).__name__}: not logged"}

    def _logged(self, folder: RunFolder, summary: Mapping[str, Any], steps: Mapping[str, Report]) -> str:
        client, made = self._client(tracking_uri=self._where), self._entities
        known = client.get_experiment_by_name(self._experiment)
        experiment = client.create_experiment(self._experiment) if known is None else known.experiment_id
        version = summary.get("version") or {}
        tags = {
            "oasis_alloc.job": summary["job"], "oasis_alloc.run": folder.name, "oasis_alloc.status": summary["status"],
            "oasis_alloc.version": str(version.get("version", "")),
            "oasis_alloc.policy_id": version.get("policy_id", ""),
        }  # fmt: skip
        run: str = client.create_run(experiment, run_name=folder.name, tags=tags).info.run_id
        now = int(time.time() * 1e3)
        parameters = [made.Param(name, text[:_LONGEST]) for name, text in parameters_of(self._job)]
        metrics = [made.Metric(name, number, now, 0) for name, number in metrics_of(steps).items()]
        for start in range(0, len(parameters), _PER_CALL):
            client.log_batch(run, params=parameters[start : start + _PER_CALL])
        for start in range(0, len(metrics), _METRICS):
            client.log_batch(run, metrics=metrics[start : start + _METRICS])
        for name in (PAGE, SOLUTION_PAGE, POLICY):
            of_this_run = name == PAGE or ("solve" if name == SOLUTION_PAGE else "policy") in steps
            if of_this_run and folder.file(name).is_file():
                client.log_artifact(run, str(folder.file(name)))
        client.log_dict(run, dict(summary), "run.json")
        client.set_terminated(run, status="FINISHED" if summary["exit_code"] == 0 else "FAILED")
        return run


def parameters_of(job: Job) -> Iterator[tuple[str, str]]:
    """(name, text) of what the job file states; no paths, no addresses and no keys.

    Names have dots for tables and numbers for lists: `solve.gap`, `subject_to.0`.
    """
    yield "job", job.name
    yield "job_digest", job.digest
    for name in _STATED:
        yield from _flat(name, job.stated.get(name, {}))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _flat(f"{name}.{inner}", one)
    elif name == "subject_to":
        for k, one in enumerate(value):
            yield f"{name}.{k}", str(one)
    else:
        yield _NAME.sub("_", name), str(value)


def metrics_of(steps: Mapping[str, Report]) -> dict[str, float]:
    """Numbers of the reports: seconds of steps, rows of tables, the certificate, what checks and gates found."""
    found: dict[str, Any] = {}
    for step, report in steps.items():
        found[f"seconds.{step}"] = report["seconds"]
        for one in report.get("findings", ()):
            found[f"{'check' if step == 'checks' else 'gate'}.{one['name']}"] = one["value"]
    for name, count in steps.get("tables", {}).get("profile", {}).get("rows", {}).items():
        found[f"rows.{name}"] = count
    for name, number in steps.get("solve", {}).get("numbers", {}).items():
        inner = number if name == "relevance" and isinstance(number, Mapping) else {"": number}
        found |= {f"solution.{name}{'.' if key else ''}{key}": one for key, one in inner.items()}
    return {
        _NAME.sub("_", name): float(number)
        for name, number in found.items()
        if isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
    }
