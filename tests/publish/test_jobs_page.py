"""The job on the page about jobs can be read, and what the page of a run has."""

from __future__ import annotations

import re
from pathlib import Path

from oasis_alloc.publish.jobs.entries import CHECKS, GATES
from oasis_alloc.publish.jobs.findings import Finding
from oasis_alloc.publish.jobs.job import read_job
from oasis_alloc.publish.jobs.page import page_of

PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"


def test_the_job_of_the_page_is_valid(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "job.toml").write_text(block)
    job = read_job(tmp_path / "job.toml")
    assert job.table("solve")["start"] == "last run"


def test_the_page_has_every_check_and_gate() -> None:
    checks, gates = PAGE.read_text(encoding="utf-8").split("## Checks")[1].split("## Gates")
    assert set(re.findall(r"^\| `(\w+) = ", checks, re.MULTILINE)) == set(CHECKS)
    assert set(re.findall(r"^\| `(\w+) = ", gates, re.MULTILINE)) == set(GATES)


def test_the_title_of_a_run_is_its_own_whatever_tables_it_has() -> None:
    findings = [Finding("gap", True, 1e-6, 1e-4).to_dict()]
    done = {"status": "done", "seconds": 1.0, "text": "", "findings": findings}
    summary = {"job": "radio", "run": "monday", "status": "published", "message": ""}
    page = page_of(summary, {"checks": done, "gates": done}, None)
    assert "<title>radio: run monday</title>" in page
    assert "<h2>Gates on the result</h2>" in page
