"""A signed directory, and buckets on the loopback interface."""

from __future__ import annotations

from pathlib import Path

import pytest
from buckets import bucket, gcs_server, s3_server  # noqa: F401
from published import keys, priced

import oasis_alloc as oa


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory next to the keys `one` and `two`, with two versions signed by the first."""
    ((private, _), _) = keys(tmp_path, "one", "two")
    for k in range(2):
        oa.publish(priced(k), tmp_path / "radio", sign=private)
    return tmp_path / "radio"
