"""Runs of jobs and checkpoints in object storage, over real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from effort import full_only
from jobs import make_job, make_tables

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.common.remote import RemoteFolder
from oasis_alloc.publish.jobs.folder import RunFolder
from oasis_alloc.publish.jobs.runs import RunInProgress, Runs
from oasis_alloc.publish.jobs.steps import Steps
from oasis_alloc.solvers.checkpoint import _FORMAT

GATES = "churn = 0.9\n[gates.canary]\nchanged = 0.9"
FILES = {
    "run.json", "tables.json", "checks.json", "solve.json", "policy.json", "gates.json", "publish.json", "solution",
    "policy", "requests.json", "report.html", "solution.html",
}  # fmt: skip


def job(folder: Path, runs: str | None, solve: str = 'start = "last run"', keep: int = 60) -> Path:
    """A job whose runs are at an address, or on this machine."""
    path = make_job(folder, solve=solve, gates=GATES)
    directory = "" if runs is None else f'directory = "{runs}"\n'
    path.write_text(path.read_text() + f"\n[run]\n{directory}keep = {keep}\n")
    return path


def test_a_file_is_copied_into_a_folder_that_this_machine_does_not_have_yet(tmp_path: Path) -> None:
    class There(RemoteFolder):
        def __init__(self) -> None:
            """It needs no server."""

        def copy_file(self, name: str, target: Path) -> None:
            if name != "run.json":
                raise FileNotFoundError(name)
            target.write_text('{"format": "oasis_alloc.job_run", "schema": 1, "status": "published"}')

    folder = RunFolder(tmp_path / "runs" / "monday", There())
    summary = folder.summary()
    assert summary is not None
    assert summary["status"] == "published"
    assert not folder.file("policy").exists()


@pytest.mark.full
def test_runs_in_a_bucket_are_those_of_this_machine(tmp_path: Path, bucket: str) -> None:
    there, here = job(tmp_path / "there", f"{bucket}/runs"), job(tmp_path / "here", None)
    first = oa.run_job(there, run="monday")
    assert (first.status, first.folder) == ("published", f"{bucket}/runs/monday")
    assert set(RemoteFolder(f"{bucket}/runs/monday").names()) == FILES
    assert not list((tmp_path / "there").glob("radio-runs*"))
    oa.run_job(here, run="monday")
    for one in (tmp_path / "there", tmp_path / "here"):
        make_tables(one, day=1)
    results = [oa.run_job(path, run="tuesday") for path in (there, here)]
    assert [result.status for result in results] == ["published"] * 2
    policies = [result.steps["policy"]["policy_id"] for result in results]
    assert policies[0] == policies[1] != first.steps["policy"]["policy_id"]
    found = [[(one["name"], one["value"]) for one in result.steps["gates"]["findings"]] for result in results]
    assert found[0] == found[1]
    assert found[0][0][1] is not None, "churn against monday, which was read from the bucket"
    remote = RemoteFolder(f"{bucket}/runs/tuesday")
    assert json.loads(remote.read("run.json"))["last"] == "monday"
    remote.copy_file("solution", tmp_path / "solution")
    assert oa.load_solution(tmp_path / "solution").document["status"] == "SOLVED"
    again = oa.run_job(there, run="tuesday")
    assert (again.status, dict(again.steps)) == ("published", {}), "it has published, and does nothing"


@pytest.mark.full
def test_an_interrupted_run_goes_on_from_the_bucket(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = job(tmp_path, f"{bucket}/runs")

    def killed(*_of: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "gates", killed)
        with pytest.raises(KeyboardInterrupt):
            oa.run_job(path)
    ((folder, summary),) = Runs(f"{bucket}/runs").all()
    assert (summary["status"], set(folder.remote.names() if folder.remote else ()) >= {"policy.json", "policy"}) == (
        "running", True,
    )  # fmt: skip
    lines: list[str] = []
    result = oa.run_job(path, progress=lines.append)
    assert (result.run, result.status) == (folder.name, "published")
    assert [line.split()[:2] for line in lines[:4]] == [
        [step, "kept"] for step in ("tables", "checks", "solve", "policy")
    ]


@pytest.mark.full
def test_old_runs_are_removed_and_one_process_runs(tmp_path: Path, bucket: str) -> None:
    path = job(tmp_path, f"{bucket}/runs", keep=1)
    for k in range(3):
        make_tables(tmp_path, day=k)
        assert oa.run_job(path, run=f"day-{k}").status == "published"
    assert {name.partition("/")[0] for name in RemoteFolder(f"{bucket}/runs").below()} == {"day-2"}
    with (
        Runs(f"{bucket}/runs").only_one(),
        pytest.raises(RunInProgress, match=f"{bucket}/runs: another process"),
        Runs(f"{bucket}/runs").only_one(),
    ):
        pass
    with Runs(f"{bucket}/other").only_one(), Runs(f"{bucket}/runs").only_one():
        pass


@pytest.mark.parametrize("name", ["policy", *full_only("run.json")])
def test_a_bucket_that_takes_nothing_publishes_nothing(
    tmp_path: Path, bucket: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, put = job(tmp_path, f"{bucket}/runs"), RemoteFolder.put

    def full(self: RemoteFolder, what: str, source: Path) -> None:
        if what == name:
            raise OSError("the bucket is full")
        put(self, what, source)

    monkeypatch.setattr(RemoteFolder, "put", full)
    assert main(["run", str(path), "--run", "monday"]) == 5
    assert "the bucket is full" in capsys.readouterr().err
    assert not (tmp_path / "policies").exists()
    monkeypatch.undo()


@pytest.mark.full
@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_what_is_wrong_with_the_address_is_named(tmp_path: Path, bucket: str) -> None:
    secret = f"{bucket[:5]}key:secret@{bucket[5:]}/runs"
    for address, words in (("s3://", "expected a bucket"), (secret, "leave them out")):
        with pytest.raises(oa.InputError, match=words):
            oa.run_job(job(tmp_path, address), run="monday")
    result = oa.run_job(job(tmp_path, f"{bucket[:5]}no-such-bucket-at-all/runs"), run="monday")
    assert (result.status, "no-such-bucket-at-all" in result.message) == ("not written", True)


def problem(floor: float = 30.0) -> oa.Problem:
    import numpy as np

    rng = np.random.default_rng(4)
    cands = oa.Candidates.from_arrays(
        np.arange(201) * 10, np.concatenate([rng.choice(40, 10, replace=False) for _ in range(200)]),
        {"relevance": rng.random(2000)}, items={"campaign": np.arange(40) % 8},
    )  # fmt: skip
    limits = [oa.exposure(by="campaign") <= 80.0, oa.exposure(by="campaign") >= floor]
    return oa.Problem(cands, oa.total("relevance") + 2.0 * oa.log(oa.exposure(by="campaign")), limits, oa.Slate(3))


def test_checkpoints_in_a_bucket(bucket: str) -> None:
    state = f"{bucket}/solves/state"
    part = oa.solve(problem(), gap=1e-7, checkpoint=state, pass_limit=6)
    assert part.status.name == "PASS_LIMIT"
    assert _FORMAT.encode() in RemoteFolder(f"{bucket}/solves").read("state")
    whole, again = oa.solve(problem(), gap=1e-7), oa.solve(problem(), gap=1e-7, resume=state, checkpoint=state)
    assert again.status.name == "SOLVED"
    assert again.value == pytest.approx(whole.value, rel=2e-7)
    assert again.passes > part.passes, "passes of both runs"
    with pytest.raises(oa.ProblemError, match="checkpoint of another problem"):
        oa.solve(problem(29.0), resume=state)
    with pytest.raises(oa.ProblemError, match=f"resume='{bucket}/none'.*no such file"):
        oa.solve(problem(), resume=f"{bucket}/none")


@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_a_checkpoint_that_cannot_be_sent_costs_no_answer(bucket: str) -> None:
    with pytest.warns(oa.CheckpointWarning, match="'s3://no-such-bucket-at-all/state' cannot be written"):
        found = oa.solve(problem(), checkpoint="s3://no-such-bucket-at-all/state")
    assert found.status.name == "SOLVED"


@pytest.mark.full
def test_a_job_keeps_and_resumes_a_checkpoint_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    state = f"{bucket}/solves/radio"
    first = oa.run_job(job(tmp_path, f"{bucket}/runs", solve=f'checkpoint = "{state}"'), run="monday")
    assert first.status == "published"
    second = oa.run_job(job(tmp_path, f"{bucket}/runs", solve=f'resume = "{state}"'), run="tuesday")
    assert second.status == "published"
    assert second.steps["solve"]["numbers"]["gap"] <= 1e-5
