"""Memory of actors follows their pairs, at most 1.3 times; that of the driver hardly follows users, and no pairs."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import RAY, clusters_that_start

import oasis_alloc as oa
from oasis_alloc.engines.ray.worker import own_memory

pytestmark = [
    *RAY,
    pytest.mark.full,
    pytest.mark.usefixtures("local_ray"),
]

DEGREE, CAMPAIGNS = 100, 100
BYTES = 6  # of a pair: an item in 2 and a number in 4


def problem_of(folder: Path, n_users: int, degree: int = DEGREE) -> oa.Problem:
    """A market in a file: each user has candidates of every twentieth item, from another start."""
    rng, n_items = np.random.default_rng(0), 20 * degree
    item = (np.arange(degree) * 20 + rng.integers(0, 20, (n_users, 1))).astype(np.uint16).ravel()
    value = rng.random(item.size, np.float32)
    pairs = oa.Candidates.from_arrays(np.arange(n_users + 1) * degree, item, {"value": value}, n_items=n_items)
    pairs.to_parquet(folder)
    candidates = oa.Candidates.from_parquet(folder, items={"campaign": np.arange(n_items) * CAMPAIGNS // n_items})
    caps = (oa.exposure(by="campaign") <= 0.02 * n_users).named("caps")
    return oa.Problem(candidates, oa.total("value"), [caps], oa.Slate(3))


def test_an_actor_takes_little_more_than_its_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = clusters_that_start(monkeypatch)
    small, large = (problem_of(tmp_path / str(n), n) for n in (5_000, 300_000))
    places: list[dict[str, Any]] = []

    def look(progress: oa.Progress) -> None:
        places[:] = started[-1].places()

    with oa.RayEngine(actors=1) as engine:
        found = []
        for problem in (small, large):
            oa.solve(problem, gap=1e-2, engine=engine, progress=look)
            found.append(dict(places[0]))
    assert found[0]["process"] == found[1]["process"]
    data = BYTES * (large.candidates.n_pairs - small.candidates.n_pairs)
    grown = found[1]["own_bytes"] - found[0]["own_bytes"]
    print(f"{grown / data:.2f} times {data:,} bytes")
    assert 0.9 * data <= grown <= 1.3 * data


def test_the_driver_takes_no_more_for_more_pairs(tmp_path: Path) -> None:
    """Its own memory, without the sample of at most 64 MB, which stays in the object store."""
    few, many = (problem_of(tmp_path / str(degree), 10_000, degree) for degree in (100, 3_000))
    peaks: list[int] = []

    def look(progress: oa.Progress) -> None:
        peaks[-1] = max(peaks[-1], own_memory())

    with oa.RayEngine(actors=1) as engine:
        for problem in (few, few, many):  # the first one loads libraries
            peaks.append(own_memory())
            oa.solve(problem, gap=1e-3, engine=engine, progress=look)
    _, first, second = peaks
    data = BYTES * (many.candidates.n_pairs - few.candidates.n_pairs)
    print(f"{second - first:,} bytes for {data:,} bytes of pairs")
    assert second - first <= 0.1 * data  # curvature of a visit, at most 16 MB


def test_the_driver_has_arrays_by_user_alone(tmp_path: Path) -> None:
    """And the linear program, whose pairs are more for more users; memory for curvature is the same for both sizes."""
    sizes, peaks = (100_000, 300_000), []
    with oa.RayEngine(actors=1) as engine:
        for n in (10_000, *sizes):  # the first one loads libraries
            problem = problem_of(tmp_path / str(n), n)
            tracemalloc.start()
            solution = oa.solve(problem, gap=1e-3, engine=engine)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert not solution._nonzeros.is_here, "which pairs are shown is known to the actors"
    per_user = (peaks[2] - peaks[1]) / (sizes[1] - sizes[0])
    print(f"{peaks}: {per_user:.0f} bytes per user")
    assert per_user <= 90.0  # 12 of arrays, and no positions and x of the pairs shown, of which there are two per user
