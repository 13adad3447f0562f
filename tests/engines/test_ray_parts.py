"""What is written on the cluster, partition by partition: the allocation, whole slates, and scores of a policy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from clusters import RAY, candidates_of, files_of, problems

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.errors import SolverError

pytestmark = [
    *RAY,
    pytest.mark.usefixtures("local_ray"),
]

KEPT = oa.RayEngine()
GAP = 1e-7


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> oa.Partitions:
    return files_of(tmp_path_factory.mktemp("pairs"))


def test_the_allocation_is_written_in_parts(stored: oa.Partitions, tmp_path: Path) -> None:
    problem = problems["limits"](stored.candidates(items=candidates_of.items))
    solution = oa.solve(problem, gap=GAP)
    expected = oa.solve(problems["limits"](candidates_of()), gap=GAP).to_frame("pandas")
    (tmp_path / "part-00099.parquet").write_bytes(b"of an earlier call")
    for _ in range(2):
        path = KEPT.write_allocation(solution, tmp_path)
        assert path == tmp_path / "_allocation.json"
        found = pd.concat([pd.read_parquet(file) for file in sorted(tmp_path.glob("*.parquet"))], ignore_index=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    about = json.loads(path.read_text())
    assert about["certificate"]["status"] == "SOLVED"
    assert about["certificate"]["bound"] == solution.bound
    assert about["pairs"] == len(expected)
    assert len(about["files"]) == stored.n_partitions
    for file in about["files"]:
        assert hashlib.sha256((tmp_path / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    with pytest.raises(oa.InputError, match=r"needs candidates of Partitions\.candidates"):
        KEPT.write_allocation(oa.solve(problems["limits"](candidates_of())), tmp_path)
    with pytest.raises(SolverError, match="infeasible"):
        KEPT.write_allocation(oa.solve(problems["conflict"](problem.candidates)), tmp_path)
    (stored.directory / "_users" / "part-00002.parquet").rename(tmp_path / "kept")
    try:
        with pytest.raises(oa.InputError, match=r"_users/part-00002.parquet is missing"):
            KEPT.write_allocation(solution, tmp_path)
        assert not path.exists(), "no manifest, so the directory is not complete"
    finally:
        (tmp_path / "kept").rename(stored.directory / "_users" / "part-00002.parquet")


def test_slates_and_scores_on_the_cluster_have_the_bits_of_this_process(stored: oa.Partitions, tmp_path: Path) -> None:
    candidates = stored.candidates(items=candidates_of.items)
    for name in ("limits", "rules"):
        problem = problems[name](candidates)
        solution, local = oa.solve(problem, gap=1e-3), oa.solve(problems[name](candidates_of()), gap=1e-3)
        path = KEPT.write_slates(solution, tmp_path / name, rng=7)
        expected = local.round(rng=7).to_frame("pandas")
        pd.testing.assert_frame_equal(rows_of(path), expected, check_dtype=False, check_exact=True)
        about = json.loads(path.read_text())
        assert (about["seed"], about["certificate"]["value"]) == (7, solution.value)
        policy = solution.policy()
        with SIZES.using(chunk_pairs=1_000):
            path = KEPT.write_scores(policy, candidates, tmp_path / f"{name} scores")
        policy.to_parquet(candidates_of(), tmp_path / "here.parquet")
        here = pd.read_parquet(tmp_path / "here.parquet")
        pd.testing.assert_frame_equal(rows_of(path), here, check_dtype=False, check_exact=True)
        assert json.loads(path.read_text())["policy_id"] == policy.policy_id
    with pytest.raises(oa.InputError, match=r"write_slates\(\).*rng is -1"):
        KEPT.write_slates(solution, tmp_path, rng=-1)
    with pytest.raises(oa.InputError, match=r"write_scores\(\) needs candidates of Partitions\.candidates"):
        KEPT.write_scores(policy, candidates_of(), tmp_path)
    with pytest.raises(oa.InputError, match="the column 'promotion' is missing"):
        KEPT.write_scores(
            oa.solve(problems["limits"](candidates), gap=1e-2).policy(),
            stored.candidates(columns=["relevance"]),
            tmp_path,
        )
    assert not list(tmp_path.glob("_s*.json"))


def rows_of(manifest: Path) -> pd.DataFrame:
    """The rows of all files that a manifest names."""
    files = json.loads(manifest.read_text())["files"]
    return pd.concat([pd.read_parquet(manifest.parent / file["name"]) for file in files], ignore_index=True)
