"""A solve on Ray from bucket to bucket: partitions, pairs at the actors, and the allocation are in object storage."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clusters import RAY, candidates_of, pairs_frame, problems, same

import oasis_alloc as oa
from oasis_alloc.common.remote_path import RemotePath
from oasis_alloc.engines.settings import SIZES

pytestmark = RAY


@pytest.fixture
def connected(bucket: str) -> Iterator[str]:
    """A cluster that starts after the environment has the bucket's server: actors read it there."""
    ray: Any = import_module("ray")
    ray.init(address="local", num_cpus=3, object_store_memory=80_000_000, include_dashboard=False, log_to_driver=False)
    yield bucket
    ray.shutdown()


def test_a_solve_from_bucket_to_bucket(tmp_path: Path, connected: str) -> None:
    pairs_frame().to_parquet(tmp_path / "pairs.parquet")
    source = f"{connected}/pairs.parquet"
    RemotePath(source).put(tmp_path / "pairs.parquet")
    stored = oa.partition(source, f"{connected}/partitions", user_keys=["market"], rows_per_partition=4_000)
    problem = problems["supply"](stored.candidates(items=candidates_of.items))
    to = f"{connected}/allocation"
    RemotePath(f"{to}/part-00099.parquet").put(tmp_path / "pairs.parquet")
    with SIZES.using(chunk_pairs=1_000, max_small=0), oa.RayEngine(actors=2) as engine:
        expected = oa.solve(problems["supply"](candidates_of()), gap=1e-7)
        found = oa.solve(problem, gap=1e-7, engine=engine)
        manifest = engine.write_allocation(found, to)
    assert problem.candidates.stream is not None
    assert problem.candidates.stream.budget.peak == 0, "the driver has read no pairs"
    same(found, expected)  # reads its pairs
    about = json.loads(manifest.read_text())
    raw = [(RemotePath(to) / file["name"]).read_bytes() for file in about["files"]]
    assert [hashlib.sha256(part).hexdigest() for part in raw] == [file["sha256"] for file in about["files"]]
    parts = pd.concat([pd.read_parquet(io.BytesIO(part)) for part in raw], ignore_index=True)
    pd.testing.assert_frame_equal(parts, expected.to_frame("pandas"), check_dtype=False)
    assert sorted(path.name for path in RemotePath(to).rglob("*")) == [
        "_allocation.json", *(file["name"] for file in about["files"]),
    ]  # fmt: skip
