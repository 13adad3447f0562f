"""Importing the package is cheap: what costs a second is imported where it is used."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


STAGES = """
import json, sys, threading
loaded = {}

import oasis_alloc as oa
loaded["the package"] = list(sys.modules)
threads = threading.active_count()

from oasis_alloc import Policy
loaded["a policy"] = list(sys.modules)

known = [name for name in ("Status", "Progress") if name in vars(oa)]
unlisted = [name for name in ("Status", "Progress") if name not in dir(oa)]
solved = oa.Status.SOLVED.name

from oasis_alloc.candidates import Candidates
loaded["candidates"] = list(sys.modules)
Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, items={"a": [1, 2]}).groups("a")
loaded["candidates that are used"] = list(sys.modules)

print(json.dumps({"loaded": loaded, "threads": threads, "known": known, "unlisted": unlisted, "solved": solved}))
"""


@pytest.fixture(scope="module")
def stages() -> Any:
    """What one fresh process sees, stage by stage; each stage has loaded what those before it have."""
    return json.loads(run(STAGES))


def test_import_leaves_heavy_packages_alone(stages: Any) -> None:
    loaded = stages["loaded"]["the package"]
    assert "oasis_alloc" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_importing_for_serving_loads_no_solver(stages: Any) -> None:
    loaded = stages["loaded"]["a policy"]
    assert "oasis_alloc.policy" in loaded
    heavy = ("cvxpy", "pandas", "pyarrow", "scipy", "highspy", "oasis_alloc.solvers.", "oasis_alloc.program.lowering")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_names_that_are_found_on_first_use_are_listed_and_found(stages: Any) -> None:
    assert (stages["known"], stages["unlisted"], stages["solved"]) == ([], [], "SOLVED")
    assert {"Policy", "Status", "Progress", "solve"} <= set(dir(oasis_alloc))
    with pytest.raises(AttributeError, match="no attribute 'Polity'"):
        _ = oasis_alloc.Polity  # type: ignore[attr-defined]


def test_import_starts_no_thread(stages: Any) -> None:
    assert stages["threads"] == 1


def test_frames_are_not_needed_for_arrays(stages: Any) -> None:
    frames = {"narwhals", "pandas", "polars", "pyarrow"}
    assert not {"numba", *frames} & set(stages["loaded"]["candidates"]), "at import"
    assert not frames & set(stages["loaded"]["candidates that are used"]), "at use"


@pytest.mark.full
def test_a_star_import_brings_every_public_name() -> None:
    found = run(
        "from oasis_alloc import *\nprint(callable(solve), callable(replay), Problem.__name__, Status.SOLVED.name)"
    )
    assert found == "True True Problem SOLVED"


@pytest.mark.full
def test_functions_keep_their_names_once_modules_of_the_same_names_are_loaded() -> None:
    modules = (
        "import oasis_alloc.solve, oasis_alloc.compare, oasis_alloc.frontier, oasis_alloc.replay, oasis_alloc.publish"
    )
    check = "\nprint(*[getattr(oasis_alloc, name).__class__.__name__ for name in {!r}])"
    found = run(modules + check.format(["solve", "compare", "frontier", "replay", "publish"]))
    assert found == " ".join(["function"] * 5)


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


def test_extras_that_errors_name_exist() -> None:
    source = Path(oasis_alloc.__file__).parent
    named = {
        (extra, path.name)
        for path in source.rglob("*.py")
        for extra in re.findall(r'\brequire\([^()\n]*, "(\w+)"\)', path.read_text("utf-8"))
    }
    stated = tomllib.loads((source.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    assert len(named) > 20
    assert not [one for one in sorted(named) if one[0] not in stated["optional-dependencies"]]
