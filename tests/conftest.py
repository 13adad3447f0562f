"""What all tests share: where the data sets are, and how hard Hypothesis tries."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# "ci" repeats the same examples on every machine; no deadline, for the first example compiles the kernels.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


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
