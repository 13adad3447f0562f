"""Partitions that are corrupt: the solve fails and names them, or leaves them out and says so."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from clusters import RAY, candidates_of, clusters_that_start, files_of, problems, same

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES

pytestmark = [
    *RAY,
    pytest.mark.usefixtures("local_ray"),
]


def damage(path: Path) -> None:
    """One bit of a page, which its checksum finds."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def rest_of(stored: oa.Partitions, *lost: int) -> oa.Candidates:
    """The same candidates in memory, where the users of some partitions have no pairs."""
    manifest = json.loads((Path(str(stored.directory)) / "_partitions.json").read_text())
    whole = candidates_of()
    keep = np.ones(whole.n_users, bool)
    for k in lost:
        about = manifest["partitions"][k]
        keep[about["first_user"] : about["first_user"] + about["n_users"]] = False
    counts = np.diff(whole.indptr)
    of_pair = np.repeat(keep, counts)
    return oa.Candidates.from_arrays(
        np.concatenate([[0], np.cumsum(np.where(keep, counts, 0))]),
        whole.item[of_pair],
        {name: column[of_pair] for name, column in whole.columns.items()},
        users={"market": np.array(["DE", "SE", "US"])[np.arange(whole.n_users) % 3]},
        items={key: candidates_of.items[key].to_numpy() for key in ("campaign", "artist")},
        n_items=whole.n_items,
    )


def test_a_corrupt_partition_is_left_out_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started = clusters_that_start(monkeypatch)
    stored = files_of(tmp_path)
    path = Path(str(stored.directory))
    damage(path / "part-00001.parquet")
    candidates = stored.candidates(items=candidates_of.items)
    problem = problems["supply"](candidates)
    with SIZES.using(chunk_pairs=1_000, max_small=0), oa.RayEngine(actors=2) as engine:
        with pytest.raises(oa.InputError, match=r"part-00001.parquet, row group 0 of .*damaged"):
            oa.solve(problem, engine=engine)
        tolerant = oa.RayEngine(actors=2, on_corrupt="exclude")
        with caplog.at_level(logging.WARNING, "oasis_alloc.solve"):
            found = oa.solve(problem, gap=1e-7, engine=tolerant)
        assert [message[:36] for message in caplog.messages] == ["a partition is left out, and the sol"]
        assert len(started) == 3, "it begins again once"
        same(found, oa.solve(problems["supply"](rest_of(stored, 1)), gap=1e-7), bits=False)
        (one,) = found.excluded
        part = json.loads((path / "_partitions.json").read_text())["partitions"][1]
        assert (one["file"], one["users"], one["pairs"]) == ("part-00001.parquet", part["n_users"], part["n_pairs"])
        assert "row group 0" in one["reason"]
        said = (
            f"excluded: 1 corrupt partition (part-00001.parquet) with {part['n_users']:,} users and "
            f"{part['n_pairs']:,} of 15,000 pairs; the certificate is about the rest"
        )
        assert said in " ".join(str(found).split()), "a paragraph of its own"
        assert "without 1 corrupt partitions" in repr(found)
        assert found.to_dict()["excluded"] == [one]
        assert found.to_dict()["pairs"] == 15_000 - part["n_pairs"]
        manifest = engine.write_allocation(found, tmp_path / "allocation")
        about = json.loads(manifest.read_text())
        assert about["certificate"]["excluded"] == [one]
        assert [file["name"] for file in about["files"]] == [f"part-0000{k}.parquet" for k in (0, 2, 3)]
        slates = json.loads(engine.write_slates(found, tmp_path / "slates").read_text())
        assert len(slates["files"]) == 3
        again = oa.solve(found.problem, gap=1e-7, engine=engine)
        same(again, found)


def test_a_partition_that_is_lost_in_mid_solve_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor dies, and the one in its place cannot load its pairs: the solve begins again without them."""
    import ray

    stored, started, turns = files_of(tmp_path), clusters_that_start(monkeypatch), list[float]()
    problem = problems["supply"](stored.candidates(items=candidates_of.items))

    def kill(progress: oa.Progress) -> None:
        turns.append(progress.passes)
        if len(turns) == 3:
            (Path(str(stored.directory)) / "part-00003.parquet").unlink()
            ray.kill(started[-1]._seats[-1].actor)

    with SIZES.using(chunk_pairs=1_000, max_small=0):
        found = oa.solve(problem, gap=1e-7, engine=oa.RayEngine(actors=2, on_corrupt="exclude"), progress=kill)
    assert [one["file"] for one in found.excluded] == ["part-00003.parquet"]
    assert "it is gone" in found.excluded[0]["reason"]
    same(found, oa.solve(problems["supply"](rest_of(stored, 3)), gap=1e-7), bits=False)


def test_when_all_are_corrupt_the_solve_fails(tmp_path: Path) -> None:
    stored = files_of(tmp_path)
    for path in Path(str(stored.directory)).glob("part-*.parquet"):
        damage(path)
    problem = problems["supply"](stored.candidates(items=candidates_of.items))
    with pytest.raises(oa.InputError, match=r"part-0000\d.parquet, row group 0 of .*damaged"):
        oa.solve(problem, engine=oa.RayEngine(actors=1, on_corrupt="exclude"))
