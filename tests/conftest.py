"""What all tests share: where the data sets are, and how hard Hypothesis tries."""

import os
from pathlib import Path

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
