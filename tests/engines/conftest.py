"""A bucket on the loopback interface, and Ray on this machine for the tests of a module."""

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from buckets import s3_bucket, s3_server  # noqa: F401


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Ray on this machine, imported by tests alone: it takes as long as the rest of a collection."""
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # read by Ray's import; other tests may run
    ray: Any = import_module("ray")
    ray.init(address="local", num_cpus=4, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
