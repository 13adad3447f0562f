"""Importing the package is cheap: what costs a second is imported where it is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import oasis_alloc

HEAVY = ("cvxpy", "numba", "pandas", "polars", "pyarrow", "matplotlib", "rich", "osqp", "clarabel", "highspy")
YARDSTICK = "numpy, scipy.sparse"

# Processor seconds of one import statement, without the start of the interpreter.
TIMER = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def run(code: str) -> str:
    """What a fresh interpreter prints; a warning in it is an error."""
    source = str(Path(oasis_alloc.__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": source}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_leaves_heavy_packages_alone() -> None:
    loaded = run("import oasis_alloc, sys; print(*sys.modules)").split()
    assert "oasis_alloc" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_for_serving_loads_no_solver() -> None:
    loaded = run("from oasis_alloc import Policy; import sys; print(*sys.modules)").split()
    assert "oasis_alloc.policy" in loaded
    heavy = ("cvxpy", "pandas", "pyarrow", "scipy", "highspy", "oasis_alloc.solvers.", "oasis_alloc.program.lowering")
    light = ["oasis_alloc.solvers.conflicts"]  # what a conflict is, in words
    assert [name for name in loaded if name.startswith(heavy)] == light


def test_names_that_are_found_on_first_use_are_listed_and_found() -> None:
    code = "import oasis_alloc as oa; print(*{'Status', 'Progress'} - set(dir(oa)), oa.Status.SOLVED.name)"
    assert run(code) == "SOLVED"
    assert {"Policy", "Status", "Progress", "solve"} <= set(dir(oasis_alloc))
    with pytest.raises(AttributeError, match="no attribute 'Polity'"):
        _ = oasis_alloc.Polity  # type: ignore[attr-defined]


def test_import_starts_no_thread() -> None:
    assert run("import oasis_alloc, threading; print(threading.active_count())") == "1"


@pytest.mark.full
def test_import_takes_at_most_half_as_long_again_as_numpy_and_scipy() -> None:
    ours, theirs = [], []
    for _ in range(3):  # minima of interleaved runs; more of them only if the machine is too busy to tell
        for _ in range(4):
            ours.append(float(run(TIMER.format("oasis_alloc"))))
            theirs.append(float(run(TIMER.format(YARDSTICK))))
        if min(ours) <= 1.5 * min(theirs):
            return
    pytest.fail(f"import oasis_alloc takes {min(ours):.3f} s, import {YARDSTICK} {min(theirs):.3f} s")
