"""A new actor that fails at its start leaves the pairs of a lost one to the others, and the log says why."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, clusters_of, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.ray.worker import Worker
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.errors import SolverError

pytestmark = [*RAY, pytest.mark.usefixtures("local_ray")]


class Unlucky(Worker):
    """Starts where the mark is, and fails otherwise: as on a node without memory, or without a package."""

    mark: Path

    def __init__(self, threads: int) -> None:
        if not self.mark.exists():
            raise ImportError("no module of this name")
        super().__init__(threads)


def test_the_others_take_what_a_new_actor_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import ray

    Unlucky.mark = tmp_path / "mark"
    clusters_of(Unlucky, monkeypatch)
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    ask = Cluster.ask

    def killing(self: Cluster, key: int, name: str, arguments: Any) -> Any:
        if name == "visit" and Unlucky.mark.exists():
            Unlucky.mark.unlink()
            ray.kill(self.seats[0].actor)
        return ask(self, key, name, arguments)

    monkeypatch.setattr(Cluster, "ask", killing)
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        engine = oa.RayEngine(actors=2, replace_timeout=600.0)
        with pytest.raises(SolverError, match=r"an actor could not start \(.*ImportError: no module of this name"):
            oa.solve(problem, engine=engine)
        Unlucky.mark.touch()
        with caplog.at_level(logging.WARNING, "oasis_alloc.solve"):
            found = oa.solve(problem, gap=1e-4, engine=engine)
        same(found, oa.solve(problem, gap=1e-4))
    (said,) = caplog.messages
    assert "loaded again by the 1 that are left, because no new one could start (" in said
    assert "ImportError: no module of this name" in said
