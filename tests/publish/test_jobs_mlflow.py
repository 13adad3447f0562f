"""Runs of jobs in MLflow: what is logged, and that a log that fails stops no publication."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from jobs import make_job

import oasis_alloc as oa
from oasis_alloc.publish.jobs.job import read_job
from oasis_alloc.publish.jobs.tracking import Tracking, metrics_of, parameters_of

GATES = "gap = 1e-3\nchurn = 0.9\n[gates.relevance]\nmean = 0.5"


def tracked(folder: Path, entries: str, **how: str) -> Path:
    path = make_job(folder, **how)
    path.write_text(path.read_text() + f"\n[mlflow]\n{entries}\n")
    return path


@pytest.mark.full
def test_a_run_is_logged_to_a_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("RADIO_MLFLOW", f"file://{tmp_path}/store")
    path = tracked(tmp_path, 'experiment = "radio jobs"\ntracking = "env:RADIO_MLFLOW"', gates=GATES)
    result = oa.run_job(path, run="monday")
    assert result.status == "published"
    summary = json.loads((result.folder / "run.json").read_text())
    client = tracking.MlflowClient(tracking_uri=f"file://{tmp_path}/store")
    experiment = client.get_experiment_by_name("radio jobs")
    assert summary["mlflow"]["experiment"] == "radio jobs"
    run = client.get_run(summary["mlflow"]["run_id"])
    assert (run.info.status, run.info.run_name, run.info.experiment_id) == (
        "FINISHED", "monday", experiment.experiment_id,
    )  # fmt: skip
    solved = result.steps["solve"]["numbers"]
    for name in ("value", "bound", "gap", "violation", "passes"):
        assert run.data.metrics[f"solution.{name}"] == solved[name]
    assert run.data.metrics["rows.pairs"] == 480
    assert run.data.metrics["gate.relevance mean"] == run.data.metrics["solution.relevance.mean"]
    assert run.data.metrics["seconds.solve"] == result.steps["solve"]["seconds"]
    assert run.data.params["solve.gap"] == "1e-05"
    assert run.data.params["maximize"] == 'total("relevance") + 0.4 * total("promotion")'
    assert result.version is not None
    assert run.data.tags["oasis_alloc.policy_id"] == result.version.policy_id
    assert run.data.tags["oasis_alloc.status"] == "published"
    names = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert names == {"report.html", "solution.html", "policy", "run.json"}
    fetched = Path(client.download_artifacts(run.info.run_id, "policy", str(tmp_path)))
    assert oa.Policy.load(fetched).policy_id == result.version.policy_id

    oa.run_job(path, run="monday")  # has published, and does nothing
    path.write_text(path.read_text().replace("gap = 1e-3", "gap = 1e-30"))
    failed = oa.run_job(path, run="tuesday")
    assert failed.status == "gate failed"
    runs = client.search_runs([experiment.experiment_id])
    assert [(one.info.run_name, one.info.status) for one in runs] == [("tuesday", "FAILED"), ("monday", "FINISHED")]


@pytest.mark.full
def test_a_server_that_is_away_stops_no_publication(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mlflow.tracking", reason="the extra mlflow is not installed")
    path = tracked(tmp_path, 'tracking = "nowhere://here"')
    result = oa.run_job(path, run="monday")
    assert result.status == "published"
    assert json.loads((result.folder / "run.json").read_text())["mlflow"]["error"].endswith(": not logged")
    assert "run monday: not logged to MLflow" in caplog.text


class _Broken:
    """A tracking whose server does not answer."""

    def __init__(self, job: Any) -> None:
        self._experiment = job.name

    def _logged(self, *_of: Any) -> str:
        raise ConnectionError("https://user:secret@host is away")

    log = Tracking.log


def test_the_error_of_a_server_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys.modules[oa.run_job.__module__], "Tracking", _Broken)
    result = oa.run_job(tracked(tmp_path, ""), run="monday")
    assert result.status == "published"
    text = (result.folder / "run.json").read_text()
    assert json.loads(text)["mlflow"] == {"experiment": "radio", "error": "ConnectionError: not logged"}
    assert "https://host is away" in caplog.text
    assert "secret" not in text + caplog.text


def test_parameters_and_metrics_have_no_addresses_and_names_that_servers_take(tmp_path: Path) -> None:
    path = tracked(tmp_path, "", publish='redis = "redis://host/0"', gates=GATES)
    result = oa.run_job(make_job(tmp_path / "plain", gates=GATES), run="monday")
    stated = dict(parameters_of(read_job(path)))
    assert stated["gates.relevance.mean"] == "0.5"
    assert stated["subject_to.2"] == '(total("relevance") >= 0.8 * organic).named("guard")'
    assert "redis" not in json.dumps(stated)
    metrics = metrics_of({**result.steps, "checks": {"seconds": 1.0, "findings": [{"name": "new é%", "value": 2}]}})
    assert metrics["check.new é_"] == 2.0
    assert all(isinstance(number, float) for number in metrics.values())


def test_what_is_missing_is_named_before_the_tables_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tracked(tmp_path, "")
    (tmp_path / "pairs.parquet").unlink()
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(oa.MissingDependencyError, match=r'pip install "\.\[mlflow\]"'):
        oa.run_job(path, run="monday")
    for entries, words in (
        ('tracking = "env:NO_SUCH_VARIABLE"', "no variable 'NO_SUCH_VARIABLE'"),
        ('tracking = "https://user:secret@host"', "has a password"),
        ("experiments = 'x'", "unknown entry"),
    ):
        with pytest.raises(oa.InputError if "VARIABLE" in words else oa.ProblemError, match=words):
            oa.run_job(tracked(tmp_path, entries), run="monday")
    assert not (tmp_path / "radio-runs" / "monday").exists()
