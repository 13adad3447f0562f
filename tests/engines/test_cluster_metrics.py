"""The numbers that a solve gives to the metrics of a cluster, without Ray; test_ray_metrics.py reads its exporter."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from actors_here import Recorded, actors_here
from clusters import candidates_of, files_of, problems

import oasis_alloc as oa
from oasis_alloc.engines.ray.metrics import NAMES
from oasis_alloc.engines.settings import SIZES


def test_a_solve_sets_passes_rate_memory_and_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = actors_here(monkeypatch)
    problem = problems["supply"](files_of(tmp_path).candidates(items=candidates_of.items))
    gaps: list[float] = []

    def look(state: oa.Progress) -> None:
        gaps.append(clusters[-1].metrics._of["gap"].values[()])
        assert gaps[-1] == (state.gap if math.isfinite(state.gap) else -1.0)

    with SIZES.using(chunk_pairs=1_000, max_small=0):
        solution = oa.solve(problem, gap=1e-5, engine=oa.RayEngine(actors=2), progress=look)
    found: dict[str, Recorded] = clusters[-1].metrics._of
    assert {metric.name for metric in found.values()} == {name for _, name, _ in NAMES.values()}
    assert found["passes"].values[()] == pytest.approx(solution.passes)
    assert found["gap"].values[()] == solution.gap
    assert gaps[0] == -1.0
    ((node, process),) = found["memory"].values  # both actors are in this process
    assert node == "here"
    assert found["memory"].values[node, process] > 5e7
    assert found["lost"].values == {(): 0.0}
    assert found["slowest"].values[()] >= 1.0
    assert found["rate"].values[()] > 0.0


def test_a_lost_actor_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = actors_here(monkeypatch, lambda number, name: number == 9)
    problem = problems["supply"](files_of(tmp_path).candidates(items=candidates_of.items))
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        oa.solve(problem, gap=1e-3, engine=oa.RayEngine(actors=2))
    assert clusters[-1].metrics._of["lost"].values == {(): 1.0}
