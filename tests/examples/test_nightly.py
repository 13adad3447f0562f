"""The month of nightly jobs ends as its page says, and the files for schedulers can be read."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from effort import full_only
from published import SOURCE

import oasis_alloc as oa

NIGHTLY = Path(__file__).parents[2] / "examples" / "nightly"


@pytest.mark.full
@pytest.mark.parametrize("days", [[8, 9, 12, 15, 20, 25, 26], *full_only(list(range(1, 31)))], ids=["some", "all"])
def test_every_night_ends_as_the_page_says(tmp_path: Path, days: list[int]) -> None:
    pytest.importorskip("cryptography")
    command = [sys.executable, str(NIGHTLY / "month.py"), "--out", str(tmp_path), "--days", *map(str, days)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {int(line.split()[0]): line for line in done.stdout.splitlines()[1:-1]}
    assert list(lines) == days
    for day, words in (
        (9, "fresh pairs"),
        (12, "'campagn-04'"),
        (15, "infeasible"),
        (20, "published"),
        (25, "unknown key"),
    ):
        assert words in lines[day]
    history = oa.PolicyDirectory(tmp_path / "policies").history()
    assert len(history) == len(days) - 3
    assert len(list((tmp_path / "policies").glob("*.policy"))) == min(7, len(history))
    report = oa.load_solution(tmp_path / "job-runs" / "2026-11-26" / "solution").document
    assert report["status"] == "SOLVED"


def test_the_files_for_schedulers_can_be_read() -> None:
    yaml = pytest.importorskip("yaml")
    cron = yaml.safe_load((NIGHTLY / "cronjob.yaml").read_text())
    spec = cron["spec"]["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    names = {container["name"] for container in spec["template"]["spec"]["containers"]}
    assert rule["onExitCodes"]["containerName"] in names
    tree = ast.parse((NIGHTLY / "dag.py").read_text())
    (final,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FINAL"
    )
    from oasis_alloc.publish.jobs.result import EXIT_CODES

    assert {EXIT_CODES[name] for name in ast.literal_eval(final)} == set(rule["onExitCodes"]["values"])
    words = [
        line.split()[0] for line in (NIGHTLY / "Dockerfile").read_text().splitlines() if line and line[0].isupper()
    ]
    assert words == ["FROM", "RUN", "WORKDIR", "COPY", "RUN", "COPY", "RUN", "USER", "ENTRYPOINT"]
    job = tomllib.loads((NIGHTLY / "job.toml").read_text())
    assert job["publish"]["sign"] == "env:RADIO_KEY"
