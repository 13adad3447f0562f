"""A Ray cluster of two nodes on this machine, joined by address: a node or the driver is killed during a solve."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, clusters_that_start, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.errors import SolverError

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


def test_files_are_written_while_actors_hold_all_cores(two_nodes: Any, tmp_path: Path) -> None:
    """Idle ones of the same `with` block give theirs; those of others are named."""
    stored = files_of(tmp_path)
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    with oa.RayEngine(address=two_nodes.address, actors=2) as engine, SIZES.using(chunk_pairs=1_000):
        solution = oa.solve(problem, gap=1e-2, engine=engine)
        assert len(engine._idle or ()) == 2, "they have both cores"
        engine.write_allocation(solution, tmp_path / "written")
        other = oa.RayEngine(answer_timeout=1.0)
        with pytest.raises(SolverError, match=r"no file was written within 1 seconds\. .* free in the cluster: 0 of 2"):
            other.write_allocation(solution, tmp_path / "not written")
    assert len([*(tmp_path / "written").glob("*.parquet")]) == stored.n_partitions
    assert not (tmp_path / "not written" / "_allocation.json").exists()


# A driver that solves with a checkpoint at every pass, and is killed after some.
DRIVER = """
import os, signal, sys
sys.path[:0] = {paths!r}
import oasis_alloc as oa
from clusters import candidates_of, problems
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.errors import SolverError

def kill(progress):
    if progress.passes > 5 and os.path.exists({state!r}):
        os.kill(os.getpid(), signal.SIGKILL)

candidates = oa.Partitions.open({folder!r}).candidates(items=candidates_of.items)
with SIZES.using(chunk_pairs=1_000, max_small=0):
    engine = oa.RayEngine(address={address!r}, actors=2)
    oa.solve(
        problems["limits"](candidates), gap=1e-7, engine=engine, checkpoint={state!r}, checkpoint_every=1e-9,
        progress=kill,
    )
"""


@pytest.mark.full
def test_a_driver_that_is_killed_is_resumed(two_nodes: Any, tmp_path: Path) -> None:
    """Its actors end with it, so that the next driver finds the cores free."""
    stored, state = files_of(tmp_path), str(tmp_path / "state")
    code = DRIVER.format(paths=sys.path, state=state, folder=str(stored.directory), address=two_nodes.address)
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        found = oa.solve(problem, gap=1e-7, resume=state, engine=oa.RayEngine(address=two_nodes.address, actors=2))
        same(found, oa.solve(problem, gap=1e-7, resume=state))
    assert found.gap <= 1e-7
    assert found.passes > 5, "what was spent before counts"
