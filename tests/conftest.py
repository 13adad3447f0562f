"""What all tests share: where the data sets are, how hard Hypothesis tries, and on how many cores tests run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from effort import FULL
from hypothesis import HealthCheck, settings

# "fast" is what `pytest` does by itself: few examples, the same for everybody, so what passes here passes elsewhere.
# "full" is what `nox -s full` and `.ci/run` do: all that a test asks for, and other ones every time outside CI.
# No deadline in either: the first example compiles the kernels.
settings.register_profile(
    "full", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=FULL, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.register_profile("fast", settings.get_profile("full"), derandomize=True, max_examples=FULL // 10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "fast")

# More workers than this would compile the same kernels at the same time.
_MOST_WORKERS = 8


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Workers of `-n auto`: one per core, but none on a single core or for files that are named one by one."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # xdist reads it
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    few = all(".py" in argument for argument in config.args)
    return 0 if few or cores == 1 else min(cores, _MOST_WORKERS)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the public data sets; tests that ask for it are skipped where it is absent."""
    chosen = os.environ.get("OASIS_ALLOC_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data sets: {folder} is not a directory; set OASIS_ALLOC_DATA to where they are")
    return folder


@pytest.fixture(scope="class")  # of every function by itself: Hypothesis takes no fixtures of scope "function"
def small_steps() -> Any:
    """Every path of large problems, on small ones."""
    from large_paths import large_paths

    with large_paths():
        yield


@pytest.fixture
def tuned() -> Iterator[Any]:
    """Call `tuned(tuning, name=value)`: the change holds until the test ends."""
    with ExitStack() as stack:
        yield lambda tuning, **changes: stack.enter_context(tuning.using(**changes))
