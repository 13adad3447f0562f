"""An actor takes at most 1.3 times the memory of its pairs, beyond what its process has before it loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import RAY, clusters_that_start

import oasis_alloc as oa

pytestmark = [
    *RAY,
    pytest.mark.full,
    pytest.mark.usefixtures("local_ray"),
]

DEGREE, N_ITEMS = 100, 2_000
BYTES = 6  # of a pair: an item in 2 and a number in 4


def problem_of(folder: Path, n_users: int) -> oa.Problem:
    """A market in a file: each user has candidates of every twentieth item, from another start."""
    rng = np.random.default_rng(0)
    item = (np.arange(DEGREE) * 20 + rng.integers(0, 20, (n_users, 1))).astype(np.uint16).ravel()
    value = rng.random(item.size, np.float32)
    pairs = oa.Candidates.from_arrays(np.arange(n_users + 1) * DEGREE, item, {"value": value}, n_items=N_ITEMS)
    pairs.to_parquet(folder)
    candidates = oa.Candidates.from_parquet(folder, items={"campaign": np.arange(N_ITEMS) // 20})
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
