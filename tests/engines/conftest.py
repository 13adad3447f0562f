"""Buckets on the loopback interface, and Ray on this machine for the tests of a module."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from buckets import bucket, gcs_server, s3_server  # noqa: F401

ATTEMPTS = 4  # Ray gives a node 30 seconds to start, which is too short where many programs run


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Ray on this machine, imported by tests alone: it takes as long as the rest of a collection."""
    ray: Any = import_module("ray")
    for attempt in range(ATTEMPTS):
        try:
            ray.init(
                address="local", num_cpus=4, object_store_memory=100_000_000, include_dashboard=False,
                log_to_driver=False,
            )  # fmt: skip
            break
        except Exception:  # of no class of its own
            ray.shutdown()
            if attempt == ATTEMPTS - 1:
                raise
    yield
    ray.shutdown()
