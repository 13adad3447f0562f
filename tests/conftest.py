"""What all tests share: where the data sets are, and how hard Hypothesis tries."""

import os
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
    from oasis_alloc.engines import chunks
    from oasis_alloc.solvers import dual, relaxation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dual, "_LEAST_UNDECIDED", 2)
        patch.setattr(dual, "_UNDECIDED_A_ROW", 0)
        patch.setattr(dual, "_SAMPLE_PAIRS", 0)
        patch.setattr(chunks, "_CHUNK_PAIRS", 8)
        patch.setattr(chunks, "_BLOCK", 1)
        patch.setattr(relaxation, "_ALL_AT_ONCE", 0)
        patch.setattr("oasis_alloc.program.lowering._FOLD_LIMIT", 0)
        yield
