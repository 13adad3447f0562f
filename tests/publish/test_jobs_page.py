"""The job on the page about jobs can be read, and what the page of a run has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import oasis_alloc as oa
from oasis_alloc.problem_file.entries import ENTRIES
from oasis_alloc.problem_file.limits import OF_LEDGER
from oasis_alloc.publish.jobs.entries import CHECKS, GATES, JOB_ENTRIES
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


@pytest.mark.parametrize(
    ("call", "table", "prefix", "elsewhere"),
    [
        # what the file itself states, what the command line gives or shows, and what another table has
        (oa.frontier, ENTRIES["frontier"], "", {"problem", "progress", "options"}),
        (oa.Solution.round, {"rng": ENTRIES["rounding"]["seed"]}, "", {"self"}),
        (oa.Policy.to_parquet, {}, "", {"self", "candidates", "path"}),
        (oa.Ledger.delivered, dict.fromkeys(OF_LEDGER[2:]), "", {"self", "among"}),
        (oa.stay_close, {"weight": None}, "", {"previous"}),
        (oa.Solution.policy, JOB_ENTRIES["policy"], "", {"self"}),
        (oa.publish, JOB_ENTRIES["publish"], "", {"policy", "where", "reasons", "accepted"}),
        (oa.Policy.to_redis, JOB_ENTRIES["publish"], "redis_", {"self", "candidates", "address"}),
    ],
)
def test_what_a_call_takes_can_be_given_in_the_file(
    call: Callable[..., Any], table: dict[str, Any], prefix: str, elsewhere: set[str]
) -> None:
    given = {name.removeprefix(prefix) for name in table if name.startswith(prefix)}
    asked = set(inspect.signature(call).parameters) - elsewhere
    assert asked <= given
    if table is not JOB_ENTRIES["publish"]:
        assert given == asked


def test_the_title_of_a_run_is_its_own_whatever_tables_it_has() -> None:
    findings = [Finding("gap", True, 1e-6, 1e-4).to_dict()]
    done = {"status": "done", "seconds": 1.0, "text": "", "findings": findings}
    summary = {"job": "radio", "run": "monday", "status": "published", "message": ""}
    page = page_of(summary, {"checks": done, "gates": done}, None)
    assert "<title>radio: run monday</title>" in page
    assert "<h2>Gates on the result</h2>" in page
