"""Rules of slates, steady slates and fine keys on Ray: the same bits as in memory, from pairs that actors load once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import RAY, candidates_of, files_of, fine, problems, same

import oasis_alloc as oa
from oasis_alloc.data import grouping
from oasis_alloc.engines.ray.cluster import Cluster
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.lowering import SIZES as LOWERING

pytestmark = RAY

GAP = 1e-7


@pytest.fixture(scope="module")
def engine(local_ray: None) -> Iterator[oa.RayEngine]:
    """Two actors that stay for all tests."""
    with oa.RayEngine(actors=2, start_timeout=300.0) as made:
        yield made


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> oa.Partitions:
    return files_of(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(autouse=True)
def many_chunks() -> Iterator[None]:
    with SIZES.using(chunk_pairs=1_000):
        yield


@pytest.mark.parametrize("name", ["kept share", "slots"])
def test_pairs_are_read_once_by_the_actors(
    stored: oa.Partitions, engine: oa.RayEngine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also what users can have at most is worked out there: this process reads no row group."""
    problem = problems[name](stored.candidates(items=candidates_of.items))
    loads = []
    defer = Cluster.defer

    def counted(self: Cluster, key: int, name: str, arguments: Any) -> None:
        defer(self, key, name, arguments)
        if name == "load":
            loads.append(len(self._stores))

    monkeypatch.setattr(Cluster, "defer", counted)
    assert oa.solve(problem, gap=1e-4, engine=engine).status.name == "SOLVED"
    assert problem.candidates.stream is not None
    assert problem.candidates.stream.budget.peak == 0
    assert len(loads) > 1, "an engine for what users can have, and one to solve"
    assert max(loads) == 1, "which share their pairs"


def test_cells_that_occur_have_numbers_at_the_actors(
    stored: oa.Partitions, engine: oa.RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for keys that are too fine for a table of all combinations."""
    monkeypatch.setattr(grouping, "_fits", lambda shape, n_pairs: False)
    problem = fine(stored.candidates(items=candidates_of.items))
    state = tmp_path / "state"
    with LOWERING.using(folded_cells=0, folded_per_pair=0):
        expected = oa.solve(fine(candidates_of()), gap=GAP)
        assert expected.passes > 3
        same(oa.solve(problem, gap=GAP), expected)
        same(oa.solve(problem, gap=GAP, engine=engine), expected)
        oa.solve(problem, gap=GAP, pass_limit=4, checkpoint=state, engine=engine)
        same(oa.solve(problem, gap=GAP, resume=state, engine=engine), oa.solve(problem, gap=GAP, resume=state))


@pytest.mark.parametrize("name", ["kept share", "slots", "steady"])
def test_slates_are_resumed_elsewhere(stored: oa.Partitions, engine: oa.RayEngine, tmp_path: Path, name: str) -> None:
    problem = problems[name](stored.candidates(items=candidates_of.items))
    state = tmp_path / "state"
    oa.solve(problem, gap=GAP, pass_limit=6, checkpoint=state, engine=engine)
    here = oa.solve(problem, gap=GAP, resume=state)
    same(oa.solve(problem, gap=GAP, resume=state, engine=engine), here)
    same(oa.solve(problems[name](candidates_of()), gap=GAP, resume=state), here)
