"""A second run leaves out what has passed in the first, but nothing that failed or does more in another profile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import passed_before
import pytest

CONFTEST = """
import passed_before
from passed_before import pytest_runtest_call
pytest_configure = passed_before.register
def pytest_collection_modifyitems(config, items):
    passed_before.leave_out(config, items)
"""
TESTS = """
import os, pytest
from effort import examples
from hypothesis import given, strategies

def test_plain(): pass
def test_fails(): assert os.environ.get("SECOND")
def test_skipped():
    if not os.environ.get("SECOND"): pytest.skip("not here")
def test_loop():
    for k in range(examples(100)): assert k >= 0
@given(strategies.integers())
def test_given(n): assert n == n
"""


@pytest.mark.full
def test_the_second_run_has_what_the_first_has_not_shown(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_few.py").write_text(TESTS)
    support = Path(passed_before.__file__).parent

    def run(**variables: str) -> list[str]:
        """The names of the tests that passed."""
        command = [sys.executable, "-m", "pytest", "-v", "-n", "1", "-p", "no:cacheprovider", "-o", "addopts=", "."]
        environment = {**os.environ, "PYTHONPATH": str(support), **variables}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if " PASSED " in f"{line} "]
        return sorted(line.split("::")[1].split()[0] for line in lines)

    note = str(tmp_path / "passed")
    assert run(OASIS_ALLOC_NOTE_PASSED=note) == ["test_given", "test_loop", "test_plain"]
    assert Path(note).read_text().split() == ["test_few.py::test_plain"]
    second = run(OASIS_ALLOC_LEAVE_PASSED=note, SECOND="1")
    assert second == ["test_fails", "test_given", "test_loop", "test_skipped"]
