"""Partitions in object storage, over real sockets: the same files, candidates and answers as in a folder."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import candidates_of, pairs_frame, problems, same

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.common.remote_path import RemotePath, is_within, write_at


@pytest.fixture
def pairs(tmp_path: Path, bucket: str) -> str:
    """The pairs as two objects in a folder of the bucket."""
    frame = pairs_frame()
    for k, part in enumerate((frame.iloc[:9_000], frame.iloc[9_000:])):
        part.to_parquet(tmp_path / f"{k}.parquet")
        RemotePath(f"{bucket}/pairs/day={k}/{k}.parquet").put(tmp_path / f"{k}.parquet")
    return f"{bucket}/pairs"


@pytest.mark.full
def test_partitions_from_bucket_to_bucket(tmp_path: Path, bucket: str, pairs: str) -> None:
    where = f"{bucket}/a/partitions"
    far = oa.partition(pairs, where, user_keys=["market"], columns=["relevance", "promotion"], rows_per_partition=4_000)
    pairs_frame().to_parquet(tmp_path / "pairs.parquet")
    near = oa.partition(tmp_path / "pairs.parquet", tmp_path / "out", user_keys=["market"], rows_per_partition=4_000)
    assert str(far.directory) == where
    assert far.written == near.written == (0, 1, 2, 3)
    for path in (tmp_path / "out").rglob("*.parquet"):
        name = path.relative_to(tmp_path / "out").as_posix()
        assert (RemotePath(where) / name).read_bytes() == path.read_bytes()
    assert not any(path.name.startswith("_part") and "ing" in path.name for path in RemotePath(where).rglob("*"))
    far.verify()
    candidates = pickle.loads(pickle.dumps(oa.Partitions.open(where))).candidates(items=candidates_of.items)
    assert np.array_equal(candidates.columns["relevance"][5:9], candidates_of().columns["relevance"][5:9])
    found = oa.solve(problems["limits"](candidates), gap=1e-3)
    same(found, oa.solve(problems["limits"](candidates_of()), gap=1e-3))


def test_objects_are_closed_by_who_reads_them(bucket: str, pairs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is freed while it is open waits for its server, and no other thread of Python runs meanwhile."""
    opened: list[Any] = []
    open_arrow = RemotePath.open_arrow

    def noted(self: RemotePath) -> Any:
        opened.append(open_arrow(self))
        return opened[-1]

    monkeypatch.setattr(RemotePath, "open_arrow", noted)
    oa.partition(pairs, f"{bucket}/out", user_keys=["market"], rows_per_partition=4_000)
    candidates = oa.Partitions.open(f"{bucket}/out").candidates(items=candidates_of.items)
    candidates.columns["relevance"][5:9]
    assert oa.solve(problems["limits"](candidates), gap=1e-2).gap <= 1e-2
    assert len(opened) > 10
    assert all(file.closed for file in opened)


def test_a_lost_object_is_written_again_and_a_changed_one_is_named(bucket: str, pairs: str) -> None:
    where = f"{bucket}/partitions"
    arguments = [pairs, where, "--rows", "4000", "--columns", "relevance", "promotion"]
    assert main(["partition", *arguments]) == 0
    lost = RemotePath(where) / "part-00002.parquet"
    raw = lost.read_bytes()
    stored = oa.Partitions.open(where)
    candidates = stored.candidates()
    lost.unlink()
    with pytest.raises(oa.InputError, match=rf"partition file {lost} is missing"):
        oa.Partitions.open(where)
    with pytest.raises(oa.InputError, match=r"part-00002\.parquet has changed since .* it is gone"):
        candidates.columns["relevance"][9_000:9_010]
    again = oa.partition(pairs, where, columns=["relevance", "promotion"], rows_per_partition=4_000)
    assert again.written == (2,)
    assert lost.read_bytes() == raw
    damaged = bytearray(raw)
    damaged[len(raw) // 2] ^= 1
    write_at(lost, bytes(damaged))
    with pytest.raises(oa.InputError, match=rf"partition file {lost} is corrupt"):
        again.verify()


@pytest.mark.parametrize("place", ["source", "target"])
def test_what_cannot_be_reached_is_named(tmp_path: Path, bucket: str, place: str) -> None:
    pairs_frame().to_parquet(tmp_path / "pairs.parquet")
    source, target = tmp_path / "pairs.parquet", tmp_path / "out"
    nowhere = "s3://no-such-bucket/x"
    with pytest.raises(oa.InputError, match=r"no-such-bucket/x"):
        oa.partition(*((nowhere, target) if place == "source" else (source, nowhere)))
    with pytest.raises(oa.InputError, match=r"has no _partitions\.json"):
        oa.Partitions.open(f"{bucket}/nothing")


def test_paths_of_object_storage_are_like_those_of_folders(tmp_path: Path, bucket: str) -> None:
    folder = RemotePath(f"{bucket}/folder/")
    (tmp_path / "a").write_bytes(b"text")
    (folder / "b" / "a.txt").put(tmp_path / "a")
    one = folder / "b" / "a.txt"
    assert (one.name, one.parent.name, one.parent.parent == folder) == ("a.txt", "b", True)
    assert one.read_text() == "text"
    assert is_within(one, folder)
    assert not is_within(folder, one)
    assert not is_within(RemotePath(f"{bucket}/folder-2"), folder)
    assert not is_within(tmp_path, folder)
    assert (folder.is_dir(), folder.is_file(), one.is_file(), (folder / "c").exists()) == (True, False, True, False)
    assert folder.glob("*") == []
    assert folder.rglob("*.txt") == [one]
    assert len({one, pickle.loads(pickle.dumps(one))}) == 1
    with pytest.raises(FileNotFoundError):
        (folder / "c").about()
    (folder / "c").unlink(missing_ok=True)
