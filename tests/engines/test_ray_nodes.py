"""A Ray cluster of two nodes on this machine, joined by address, with a node that is killed during a solve."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, clusters_that_start, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES

pytestmark = RAY

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def ray() -> Any:
    """Ray, imported by tests alone: it takes as long as the rest of a collection."""
    return import_module("ray")


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    cluster = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
    )
    cluster.add_node(**NODE)
    cluster.wait_for_nodes()
    yield cluster
    ray().shutdown()
    cluster.shutdown()


@pytest.mark.parametrize("spare", [False, True])
def test_a_node_that_is_killed_changes_nothing(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: bool
) -> None:
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    started = clusters_that_start(monkeypatch)
    (node,) = two_nodes.worker_nodes
    places: list[dict[str, Any]] = []
    turns: list[float] = []

    def kill(progress: oa.Progress) -> None:
        turns.append(progress.passes)
        if len(turns) == 1:
            places.extend(started[0].places())
        if len(turns) == 4:
            two_nodes.remove_node(node, allow_graceful=False)
            here = ray().get_runtime_context().get_node_id()  # of the head
            for place in places:  # on another machine, its processes would be gone too
                if place["node"] != here:
                    with suppress(ProcessLookupError):
                        os.kill(place["process"], signal.SIGKILL)
            if spare:
                two_nodes.add_node(**NODE)

    with SIZES.using(chunk_pairs=1_000, max_small=0):
        expected = oa.solve(problem, gap=1e-7)
        engine = oa.RayEngine(address=two_nodes.address, actors=2, replace_timeout=60.0 if spare else 2.0)
        found = oa.solve(problem, gap=1e-7, engine=engine, progress=kill)
    same(found, expected)
    assert len({place["node"] for place in places}) == 2, "an actor on each node"
    assert started[0].lost == 1
