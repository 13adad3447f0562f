"""Jobs from tables to a published policy: the policy, the reports, what stops a run, and where the next one goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import full_only
from jobs import in_python, make_job, make_tables, published_job, write_job
from published import SOURCE, keys

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.publish.jobs.steps import Steps

STEPS = ["tables", "checks", "solve", "policy", "gates", "publish"]


def served(folder: Path) -> str:
    return oa.PolicyStore(folder / "policies" / "manifest.json", refresh=None).policy.policy_id


def test_the_policy_is_that_of_python_to_the_last_bit(tmp_path: Path) -> None:
    lines: list[str] = []
    result = oa.run_job(make_job(tmp_path), run="monday", progress=lines.append)
    assert (result.status, result.exit_code, list(result.steps)) == ("published", 0, STEPS)
    policy = in_python(tmp_path)
    assert served(tmp_path) == policy.policy_id
    made = oa.Policy.load(result.folder / "policy")
    for one, other in zip(made.data.constraints, policy.data.constraints, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.price, other.price)
    assert [line.split()[0] for line in lines] == STEPS
    assert result.version is not None
    assert result.version.reasons == ("run monday of radio.toml",)
    assert made.valid_until == pytest.approx(made.created + 172800)


def test_reports_and_page(tmp_path: Path) -> None:
    result = oa.run_job(make_job(tmp_path, checks="promised = 1.0"), run="monday")
    for step in STEPS:
        report = json.loads((result.folder / f"{step}.json").read_text())
        assert report == json.loads(json.dumps(dict(result.steps[step])))
        assert (report["format"], report["status"], report["run"]) == ("oasis_alloc.job_step", "done", "monday")
    summary = json.loads((result.folder / "run.json").read_text())
    assert (summary["status"], summary["exit_code"], summary["last"]) == ("published", 0, None)
    assert summary["version"]["version"] == 1
    page = (result.folder / "report.html").read_text()
    assert "promised" in page
    assert 'href="solution.html"' in page
    assert "delivered" in (result.folder / "solution.html").read_text()
    saved = oa.load_solution(result.folder / "solution")
    assert saved.document["status"] == "SOLVED"


def test_the_next_day_starts_from_the_last_run(tmp_path: Path) -> None:
    path = make_job(tmp_path, solve='start = "last run"', gates="churn = 0.5\n[gates.canary]\nchanged = 0.9")
    first = oa.run_job(path, run="monday")
    notes = [finding["note"] for finding in first.steps["gates"]["findings"]]
    assert notes == ["no earlier run"] * 2
    before = oa.load_solution(first.folder / "solution")
    make_tables(tmp_path, day=1)
    second = oa.run_job(path, run="tuesday")
    assert second.status == "published"
    assert served(tmp_path) == in_python(tmp_path, start=before.prices).policy_id
    found = {finding["name"]: finding for finding in second.steps["gates"]["findings"]}
    assert 0 < found["churn"]["value"] < 0.5
    assert found["canary answers"]["passed"]
    assert 0 < found["canary changed"]["value"] < 0.9
    assert second.version is not None
    assert second.version.version == 2


def test_churn_is_that_of_python(tmp_path: Path) -> None:
    path = make_job(tmp_path, gates="churn = 1")
    oa.run_job(path, run="monday")
    make_tables(tmp_path, day=1)
    result = oa.run_job(path, run="tuesday")
    solutions = []
    for day in (0, 1):
        make_tables(tmp_path, day=day)
        frames = {name: pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("pairs", "users", "items")}
        saved = oa.load_solution(tmp_path / "radio-runs" / ("monday", "tuesday")[day] / "solution")
        solutions.append((frames, saved))
    now = {(u, i): x for u, i, x in zip(solutions[1][1].user, solutions[1][1].item, solutions[1][1].x, strict=True)}
    was = {(u, i): x for u, i, x in zip(solutions[0][1].user, solutions[0][1].item, solutions[0][1].x, strict=True)}
    churn = 1 - sum(min(x, was.get(pair, 0.0)) for pair, x in now.items()) / sum(now.values())
    assert result.steps["gates"]["findings"][0]["value"] == pytest.approx(churn, abs=1e-12)


def test_a_run_that_has_published_is_not_repeated(tmp_path: Path) -> None:
    path = make_job(tmp_path)
    first = oa.run_job(path, run="monday")
    again = oa.run_job(path, run="monday")
    assert again.version == first.version
    assert dict(again.steps) == {}
    make_tables(tmp_path, day=1)
    other = oa.run_job(path, run="monday")
    assert other.version is not None
    assert other.version.version == 2, "other tables, so another policy"


def test_infeasible(tmp_path: Path) -> None:
    path = published_job(tmp_path)
    before = served(tmp_path)
    path.write_text(path.read_text().replace("0.8 * organic", "1.2 * organic"))
    result = oa.run_job(path, run="tuesday")
    assert (result.status, result.exit_code) == ("infeasible", 3)
    assert "guard" in result.message
    assert result.steps["solve"]["numbers"]["conflicts"][0]["constraint"] == "guard"
    assert served(tmp_path) == before
    assert "What conflicts" in (result.folder / "solution.html").read_text()


def test_an_unproven_answer(tmp_path: Path) -> None:
    path = make_job(tmp_path, solve="pass_limit = 1", gates="violation = 0.5")
    path.write_text(path.read_text().replace("gap = 1e-5", "gap = 1e-12"))
    result = oa.run_job(path, run="monday")
    assert (result.status, result.exit_code) == ("not proven", 4)
    path.write_text(path.read_text().replace("[policy]", "[policy]\nunproven = true"))
    assert oa.run_job(path, run="monday").status in ("published", "gate failed")


def test_tables_that_are_missing_or_wrong(tmp_path: Path) -> None:
    path = make_job(tmp_path)
    (tmp_path / "pairs.parquet").rename(tmp_path / "pears.parquet")
    result = oa.run_job(path, run="monday")
    assert (result.status, result.exit_code) == ("bad input", 2)
    assert "pears.parquet" in result.message
    assert json.loads((result.folder / "run.json").read_text())["status"] == "bad input"
    (tmp_path / "pears.parquet").rename(tmp_path / "pairs.parquet")
    make_tables(tmp_path, campaigns=lambda f: f.assign(campaign=["c0", "c1", "C2", "c3"]))
    result = oa.run_job(path, run="monday")
    assert "'C2'" in result.message
    assert "'c2'" in result.message
    make_tables(tmp_path)
    assert oa.run_job(path, run="monday").status == "published"


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    path = make_job(tmp_path)
    (tmp_path / "policies").write_text("a file")
    result = oa.run_job(path, run="monday")
    assert (result.status, result.exit_code) == ("bad input", 2)
    assert "is a file" in result.message
    (tmp_path / "policies").unlink()
    again = oa.run_job(path, run="monday")
    assert again.status == "published"
    assert again.steps["publish"]["status"] == "done"


@pytest.mark.few(2)
@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = make_job(tmp_path, checks="promised = 1")
    expected = in_python(tmp_path).policy_id

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Steps, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            oa.run_job(path)
    (folder,) = (entry for entry in (tmp_path / "radio-runs").iterdir() if entry.is_dir())
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    lines: list[str] = []
    result = oa.run_job(path, progress=lines.append)
    assert (result.run, result.status) == (folder.name, "published")
    assert served(tmp_path) == expected
    kept = [line.split()[0] for line in lines if " kept " in line]
    assert kept == (STEPS[:4] if step in ("gates", "publish") else [])


@pytest.mark.full
def test_reports_of_other_tables_are_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after `tables` of a second attempt with other tables: the policy of the first is not published."""
    path = make_job(tmp_path, gates="promised = 100")
    assert oa.run_job(path, run="monday").status == "gate failed"
    make_tables(tmp_path, day=3)
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "checks", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            oa.run_job(path, run="monday")
    result = oa.run_job(path, run="monday", accept={"promised": "a test"})
    assert result.status == "published"
    assert served(tmp_path) == in_python(tmp_path).policy_id


def test_a_change_of_the_file_begins_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_job(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Steps, "solve", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            oa.run_job(path)
    path.write_text(path.read_text().replace("0.4 *", "0.3 *"))
    assert oa.run_job(path).status == "published"
    assert len([entry for entry in (tmp_path / "radio-runs").iterdir() if entry.is_dir()]) == 2


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, *full_only(*range(1, 50))])
def test_kill_9_at_any_moment(tmp_path: Path, seed: int) -> None:
    """The served policy is always whole; the second run ends with the policy of an uninterrupted one."""
    path = make_job(tmp_path, solve='start = "last run"', gates="gap = 1e-3\nchurn = 1\ncanary = {changed = 1}")
    oa.run_job(path, run="monday")
    before = served(tmp_path)
    make_tables(tmp_path, day=1)
    start = oa.load_solution(tmp_path / "radio-runs" / "monday" / "solution").prices
    expected = in_python(tmp_path, start=start).policy_id
    command = [sys.executable, "-m", "oasis_alloc", "run", str(path), "--run", "tuesday"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    rng = np.random.default_rng(seed)
    for _ in range(int(rng.integers(0, 6))):  # after so many steps, and a moment
        process.stdout.readline()
    time.sleep(float(rng.uniform(0, 0.1)))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert served(tmp_path) in (before, expected)
    assert oa.run_job(path, run="tuesday").status == "published"
    assert served(tmp_path) == expected
    versions = oa.PolicyDirectory(tmp_path / "policies").history()
    assert [version.version for version in versions] == [1, 2], "published once"


def test_a_signed_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((private, public),) = keys(tmp_path, "radio")
    path = make_job(tmp_path, publish='sign = "radio.key"\nname = "radio"')
    assert oa.run_job(path, run="monday").status == "published"
    monkeypatch.setenv("RADIO_KEY", private.read_text())
    write_job(tmp_path, publish='sign = "env:RADIO_KEY"')
    make_tables(tmp_path, day=1)
    result = oa.run_job(path, run="tuesday")
    trust = oa.Trust(public, name="radio")
    store = oa.PolicyStore(tmp_path / "policies" / "manifest.json", refresh=None, trust=trust)
    assert result.version is not None
    assert store.stats()["version"] == result.version.version == 2
    secret = private.read_text().splitlines()[1]
    for file in (tmp_path / "radio-runs").rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes()
    write_job(tmp_path)
    make_tables(tmp_path, day=2)
    unsigned = oa.run_job(path, run="wednesday")
    assert unsigned.status == "bad input"
    assert "is signed" in unsigned.message


def test_two_processes_do_not_run_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_job(tmp_path)

    def meanwhile(steps: Steps) -> None:
        assert main(["run", str(path)]) == 75
        raise KeyboardInterrupt

    monkeypatch.setattr(Steps, "tables", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        oa.run_job(path)


def test_old_runs_are_removed(tmp_path: Path) -> None:
    path = make_job(tmp_path)
    path.write_text(path.read_text() + "\n[run]\nkeep = 2\n")
    oa.run_job(path, run="day-0")
    path.write_text(path.read_text().replace("0.8 * organic", "1.2 * organic"))
    for day in range(1, 4):
        assert oa.run_job(path, run=f"day-{day}").status == "infeasible"
    there = {entry.name for entry in (tmp_path / "radio-runs").iterdir() if entry.is_dir()}
    assert there == {"day-0", "day-2", "day-3"}, "and the last that has published"


def test_check_reads_and_states_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_job(tmp_path, checks="promised = 0.5\nrange = {relevance = [0, 1]}")
    before = sorted(tmp_path.rglob("*"))
    assert main(["check", str(path)]) == 6
    said = capsys.readouterr()
    assert "guard promises" in said.err
    write_job(tmp_path, checks="promised = 1")
    assert main(["check", str(path)]) == 0
    assert "60 users, 480 pairs" in capsys.readouterr().out
    path.write_text(path.read_text().replace("<= caps", "<= capz"))
    assert main(["check", str(path)]) == 2
    assert "unknown name 'capz'" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_from_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_job(tmp_path, gates="promised = 100")
    assert main(["run", str(path), "--run", "monday"]) == 7
    said = capsys.readouterr()
    assert re.search(r"^solve +done ", said.out, re.MULTILINE)
    assert "run monday: gate failed: promised" in said.err
    assert main(["run", str(path), "--run", "monday", "--accept", "promised=it is = small"]) == 0
    assert "run monday: published: version 1 of policies" in capsys.readouterr().out
    assert oa.PolicyDirectory(tmp_path / "policies").history()[0].accepted["promised"] == "it is = small"
    for wrong in ("promised", "promised=", "promised= ", "promise=x"):
        assert main(["run", str(path), "--accept", wrong]) == 2
    assert main(["run", str(path), "--run", "../up"]) == 2
    assert main(["run", str(tmp_path / "none.toml")]) == 2


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[checks]", "[checks]\nrow = [1, 2]"), "checks.row: unknown entry. Did you mean 'rows'?"),
        (("[checks]", "[checks]\nrows = [2, 1]"), "checks.rows is [2, 1]; expected [lowest, highest]"),
        (("[checks]", "[checks]\nrange = {relevance = 1}"), "checks.range.relevance is 1; expected [lowest"),
        (("[checks]", '[checks]\nfresh = ["days"]'), "checks.fresh has 'days'"),
        (("[checks]", "[checks]\nnew_labels = {market = 2}"), "new_labels.market is 2; expected a share"),
        (("[checks]", "[checks]\npromised = -1"), "checks.promised is -1; expected a number of 0 or more"),
        (("[checks]", "[checks]\nwithout_supply = 0.5"), "checks.without_supply is 0.5; expected a whole number"),
        (("[gates]", "[gates]\nchurn = true"), "gates.churn is True; expected a number"),
        (("[gates]", "[gates]\nrelevance = {lowest = 0.9}"), "gates.relevance has lowest without by"),
        (("[gates]", "[gates]\nrelevance = {median = 0.9}"), "gates.relevance.median: unknown entry"),
        (("keep = 5", "keep = 0"), "publish.keep is 0; expected 1 or more"),
        (('directory = "policies"', ""), "[publish] must name a directory"),
        (("[policy]", "[policy]\nusers = 1"), "policy.users is 1; expected true or false"),
        (("size = 3", "sizes = 3"), "slate.sizes: unknown entry"),
        (("[slate]", "[slate"), "not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = make_job(tmp_path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(oa.OasisAllocError) as caught:
        oa.run_job(path)
    assert words in str(caught.value)
    assert not (tmp_path / "radio-runs").exists()


@pytest.mark.parametrize("job", [7, None])
def test_a_job_is_a_path(job: Any) -> None:
    with pytest.raises(oa.InputError, match="expected the path of a TOML file"):
        oa.run_job(job)


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["problem", "job"])
def test_the_schema_accepts_what_the_reader_accepts(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import tomllib

    jsonschema = pytest.importorskip("jsonschema")
    assert main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    page = Path(__file__).parents[2] / "docs" / f"{kind}.schema.json"
    assert json.loads(page.read_text()) == schema, f"run oasis-alloc schema {kind} > docs/{kind}.schema.json"
    stated = tomllib.loads(make_job(tmp_path, checks="rows = [0.5, 2]", gates="canary = {changed = 0.5}").read_text())
    if kind == "problem":
        stated = {name: of for name, of in stated.items() if name not in ("checks", "gates", "policy", "publish")}
    jsonschema.validate(stated, schema)
    for wrong in ({"maximum": "x"}, {"slate": {"size": 1.5}}, {"solve": {"gap": "small"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(stated | wrong, schema)


def test_a_run_is_one_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    spans: list[list[Any]] = []
    open_now: list[str] = []

    class Span(trace.NonRecordingSpan):  # type: ignore[misc,name-defined]
        def __init__(self, name: str, attributes: dict[str, Any]) -> None:
            super().__init__(trace.INVALID_SPAN_CONTEXT)
            spans.append([name, tuple(open_now), attributes])
            self.attributes = attributes

        def set_attribute(self, key: str, value: Any) -> None:
            self.attributes[key] = value

    class Tracer(trace.NoOpTracer):  # type: ignore[misc,name-defined]
        @contextmanager
        def start_as_current_span(self, name: str, attributes: dict[str, Any]) -> Iterator[Span]:  # type: ignore[override]
            one = Span(name, dict(attributes))
            open_now.append(name)
            yield one
            open_now.pop()

    monkeypatch.setattr(trace, "get_tracer", lambda name: Tracer())
    oa.run_job(make_job(tmp_path), run="monday")
    assert spans[0][0] == "oasis_alloc.job"
    assert spans[0][2] == {"job": "radio", "run": "monday", "status": "published", "exit_code": 0}
    assert [(name, inside) for name, inside, _ in spans[1:]] == [
        (f"oasis_alloc.job.{step}", ("oasis_alloc.job",)) for step in STEPS
    ]
