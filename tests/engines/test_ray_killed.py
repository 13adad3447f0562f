"""Twenty solves, in each of which a random actor is killed at a random call: twenty times the same bits."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import RAY, candidates_of, clusters_that_start, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.settings import SIZES

pytestmark = [
    *RAY,
    pytest.mark.full,
    pytest.mark.usefixtures("local_ray"),
]


def test_a_random_actor_is_killed_in_each_of_20_solves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray: Any = import_module("ray")
    started = clusters_that_start(monkeypatch)
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    rng, calls, at = np.random.default_rng(0), list[str](), 0
    ask = Cluster.ask

    def killing(self: Cluster, key: int, name: str, arguments: Any) -> Any:
        calls.append(name)
        if len(calls) == at:
            ray.kill(self.seats[int(rng.integers(len(self.seats)))].actor)
        return ask(self, key, name, arguments)

    monkeypatch.setattr(Cluster, "ask", killing)
    with SIZES.using(chunk_pairs=1_000, max_small=0), oa.RayEngine(actors=2, replace_timeout=60.0) as engine:
        expected = oa.solve(problem, gap=1e-5, engine=engine)
        last = len(calls) - 3  # one that dies after its last answer is not missed
        for _ in range(20):
            calls.clear()
            at = int(rng.integers(2, last))
            same(oa.solve(problem, gap=1e-5, engine=engine), expected)
    assert len(started) == 21
    assert sum(cluster.lost for cluster in started) == 20
