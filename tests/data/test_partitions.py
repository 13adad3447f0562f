"""Pairs in any order as partitions by user: the same candidates as from frames, idempotent, errors with names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.data import partition_writer

N_USERS, N_ITEMS, DEGREE = 300, 40, 12
MARKETS = np.array(["DE", "SE", "US"])


def pairs_frame(seed: int = 1, texts: bool = False) -> pd.DataFrame:
    """Pairs in random order; ids that are not numbers from 0."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(N_USERS), DEGREE)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    frame = pd.DataFrame(
        {
            "user": [f"u{k:05d}é" for k in user] if texts else 7 * user - 500,
            "item": [f"track-{k}" for k in item] if texts else 1_000 - 3 * item,
            "relevance": rng.random(user.size, np.float32),
            "promotion": rng.normal(size=user.size),
            "market": MARKETS[user % 3],
        }
    )
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def items_frame(texts: bool = False) -> pd.DataFrame:
    numbers = np.random.default_rng(0).permutation(N_ITEMS + 3)  # three that no pair has
    ids = [f"track-{k}" for k in numbers] if texts else 1_000 - 3 * numbers
    return pd.DataFrame({"item": ids, "campaign": numbers // 8, "genre": [["a", "b"][: k % 3] for k in numbers]})


def written(tmp_path: Path, frame: pd.DataFrame, n_files: int = 3) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for k, part in enumerate(np.array_split(np.arange(len(frame)), n_files)):
        frame.iloc[part].to_parquet(folder / f"{k}.parquet", index=False)
    return folder


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("texts", "rows"), diagonal({"False": False, "True": True}, {"100": 100, "1500": 1_500, "1000000": 10**6}, every=2)
)
def test_the_candidates_are_those_of_frames(
    tmp_path: Path, texts: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_writer, "_OPEN", 7)  # several reads of the source
    monkeypatch.setattr(partition_writer, "_GROUP", 50)
    frame, items = pairs_frame(texts=texts), items_frame(texts)
    found = oa.partition(written(tmp_path, frame), tmp_path / "out", user_keys=["market"], rows_per_partition=rows)
    assert (found.n_users, found.n_items, found.n_pairs) == (N_USERS, N_ITEMS, len(frame))
    assert found.n_partitions >= min(len(frame) // rows, 8) or rows > len(frame)
    found.verify()
    users = frame[["user", "market"]].drop_duplicates()
    known = items[items["item"].isin(frame["item"])]
    expected = oa.Candidates.from_frames(frame.drop(columns="market"), users=users, items=known)
    for candidates in (found.candidates(items=items), oa.Partitions.open(found.directory).candidates(items=items)):
        assert np.array_equal(candidates.indptr, expected.indptr)
        assert np.array_equal(candidates.item[np.arange(len(frame))], expected.item)
        assert candidates.item_ids is not None
        assert candidates.item_ids.tolist() == expected.item_ids.tolist()  # type: ignore[union-attr]
        for name in ("relevance", "promotion"):
            assert np.array_equal(candidates.columns[name][0 : len(frame)], expected.columns[name])
            assert candidates.columns[name].dtype == expected.columns[name].dtype
        for key in ("market", "campaign", "genre"):
            assert candidates.groups(key) == expected.groups(key)
        assert np.array_equal(candidates.users["market"].codes, expected.users["market"].codes)
    one, other = (
        oa.solve(oa.Problem(c, oa.total("relevance"), oa.exposure(by=("market", "campaign")) <= 12.0, oa.Slate(2)))
        for c in (candidates, expected)
    )
    assert np.array_equal(one.pairs, other.pairs)
    assert np.array_equal(one.x, other.x)
    assert (one.value, one.bound, one.passes) == (other.value, other.bound, other.passes)


def test_facts_agree_with_a_complete_check(tmp_path: Path) -> None:
    found = oa.partition(written(tmp_path, pairs_frame()), tmp_path / "out", rows_per_partition=700)
    trusted, checked = found.candidates(), oa.Candidates.from_parquet(found.directory)
    assert np.array_equal(trusted.indptr, checked.indptr)
    assert trusted.n_items == checked.n_items
    for name in ("relevance", "promotion"):
        mine: Any = trusted.columns[name]
        theirs: Any = checked.columns[name]
        assert (mine.size, mine.any_negative, mine.dtype) == (theirs.size, theirs.any_negative, theirs.dtype)


def test_the_order_of_rows_and_files_changes_nothing(tmp_path: Path) -> None:
    digests = []
    for seed, n_files in ((0, 1), (1, 4)):
        frame = pairs_frame().sample(frac=1.0, random_state=seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        oa.partition(written(folder, frame, n_files), folder / "out", rows_per_partition=10**6)
        digests.append([part["pairs"]["sha256"] for part in manifest(folder / "out")["partitions"]])
    assert digests[0] == digests[1]


def manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "_partitions.json").read_text())
    return found


def test_a_second_call_writes_nothing_and_a_lost_partition_is_written_again(tmp_path: Path) -> None:
    source, out = written(tmp_path, pairs_frame()), tmp_path / "out"
    first = oa.partition(source, out, rows_per_partition=500)
    assert first.written == tuple(range(first.n_partitions))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in before}
    assert oa.partition(source, out, rows_per_partition=500).written == ()
    assert {path: path.stat().st_mtime_ns for path in before} == times
    (out / "part-00002.parquet").unlink()
    (out / "_users" / "part-00004.parquet").write_bytes(b"short")
    with pytest.raises(oa.InputError, match=r"part-00002\.parquet is missing"):
        oa.Partitions.open(out)
    assert oa.partition(source, out, rows_per_partition=500).written == (2, 4)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "_items.parquet").unlink()
    assert oa.partition(source, out, rows_per_partition=500).written == ()
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_changed_source_and_an_interrupted_run_are_written_as_a_whole(tmp_path: Path) -> None:
    source, out = written(tmp_path, pairs_frame()), tmp_path / "out"
    many = oa.partition(source, out, rows_per_partition=200).n_partitions
    (out / "_partitions.json").unlink()  # as after an interrupt
    (out / "_partitioning").touch()
    few = oa.partition(source, out, rows_per_partition=2_000)
    assert few.n_partitions < many
    assert len(list(out.glob("*.parquet"))) == few.n_partitions + 1
    assert not (out / "_spill").exists()
    pairs_frame(seed=5).to_parquet(source / "0.parquet", index=False)
    for name in ("1.parquet", "2.parquet"):
        (source / name).unlink()
    assert oa.partition(source, out, rows_per_partition=2_000).written == tuple(range(few.n_partitions))


def test_bad_pairs_are_named(tmp_path: Path) -> None:
    frame = pairs_frame()
    source, out = written(tmp_path, frame), tmp_path / "out"
    for column, value, message in (
        ("relevance", np.nan, r"0.parquet, row 0: column 'relevance' is null"),
        ("relevance", np.inf, r"0.parquet, row 0: column 'relevance' is inf; expected finite"),
        ("market", None, r"0.parquet, row 0: column 'market' is null"),
        ("market", "XX", r"has several values of 'market', such as '(XX|..)' and '(XX|..)'"),
    ):
        bad = frame.iloc[:1_000].copy()
        bad.loc[0, column] = value
        bad.to_parquet(source / "0.parquet", index=False)
        with pytest.raises(oa.InputError, match=message):
            oa.partition(source, out, user_keys=["market"])
        with pytest.raises(oa.InputError, match=r"has no _partitions\.json"):
            oa.Partitions.open(out)
    pd.concat([frame.iloc[:1_200], frame.iloc[1_000:1_001]]).to_parquet(source / "0.parquet", index=False)
    ids = frame.loc[1_000, ["user", "item"]]
    with pytest.raises(oa.InputError, match=rf"user {ids['user']} has item {ids['item']} a second time"):
        oa.partition(source, out)
    frame.iloc[:1_000].astype({"relevance": np.float64}).to_parquet(source / "0.parquet", index=False)
    with pytest.raises(oa.InputError, match=r"1.parquet: column 'relevance' is float, and double in 0.parquet"):
        oa.partition(source, out)
    frame.iloc[:1_000].drop(columns="item").to_parquet(source / "0.parquet", index=False)
    with pytest.raises(oa.InputError, match=r"0.parquet has no column 'item'; expected one"):
        oa.partition(source, out)


def test_foreign_files_are_never_deleted(tmp_path: Path) -> None:
    source = written(tmp_path, pairs_frame())
    (tmp_path / "other").mkdir()
    pairs_frame().to_parquet(tmp_path / "other" / "part-00000.parquet")
    with pytest.raises(oa.InputError, match="which were not written by a partitioner"):
        oa.partition(source, tmp_path / "other")
    with pytest.raises(oa.InputError, match="has the pairs themselves"):
        oa.partition(source, source)
    assert len(list(source.glob("*.parquet"))) == 3


def test_a_partition_with_other_bytes_is_named(tmp_path: Path) -> None:
    found = oa.partition(written(tmp_path, pairs_frame()), tmp_path / "out", rows_per_partition=500)
    path = found.directory / "part-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(oa.InputError, match=r"part-00001\.parquet is corrupt"):
        found.verify()
    path.write_bytes(content[:-7])
    with pytest.raises(oa.InputError, match=r"part-00001\.parquet is corrupt"):
        oa.Partitions.open(found.directory)
    (found.directory / "_partitions.json").write_text("{}")
    with pytest.raises(oa.InputError, match=r"_partitions.json is damaged"):
        oa.Partitions.open(found.directory)


def test_items_without_a_row_are_named(tmp_path: Path) -> None:
    found = oa.partition(written(tmp_path, pairs_frame()), tmp_path / "out")
    with pytest.raises(oa.InputError, match="there is no row of item 883; expected one for every item"):
        found.candidates(items=items_frame()[lambda f: f["item"] != 883])


def test_the_command_writes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = written(tmp_path, pairs_frame()), tmp_path / "out"
    asked = ["partition", str(source), str(out), "--rows", "1000", "--user-keys", "market", "--verify"]
    assert main(asked) == 0
    assert capsys.readouterr().out.endswith("300 users, 40 items, 3,600 pairs; 4 of 4 partitions written\n")
    assert main(asked) == 0
    assert "0 of 4 partitions written" in capsys.readouterr().out
    assert main(["partition", str(tmp_path / "nowhere"), str(out)]) == 2
    assert "there is no" in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in the units of Linux")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Eight times the rows, the same rows per partition: 7 MB of spilled rows are sorted at a time, not 220 MB."""
    peaks = []
    for n_users in (50_000, 400_000):
        folder = tmp_path / str(n_users)
        (folder / "pairs").mkdir(parents=True)
        for k in range(n_users // 50_000):
            rng = np.random.default_rng(k)
            user = np.repeat(np.arange(50_000) + 50_000 * k, 20)
            item = (np.tile(np.arange(20), 50_000) * 5 + np.repeat(rng.integers(0, 5, 50_000), 20)).astype(np.int64)
            order = rng.permutation(user.size)
            frame = pd.DataFrame({"user": user[order], "item": item[order], "relevance": rng.random(user.size)})
            frame.to_parquet(folder / "pairs" / f"{k}.parquet", index=False)
        code = (
            "import resource, oasis_alloc as oa\n"
            f"oa.partition({str(folder / 'pairs')!r}, {str(folder / 'out')!r}, rows_per_partition=250_000)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) * 1024)
    assert peaks[1] < peaks[0] + 60_000_000, peaks


@pytest.mark.few(1)
@pytest.mark.parametrize("lost", ["pairs are gone", "users are gone", "a footer is damaged"])
def test_a_corrupt_partition_is_left_out_where_that_is_asked_for(tmp_path: Path, lost: str) -> None:
    found = oa.partition(
        written(tmp_path, pairs_frame()), tmp_path / "out", user_keys=["market"], rows_per_partition=900
    )
    about = manifest(tmp_path / "out")["partitions"][1]
    path = tmp_path / "out" / about["users" if "users" in lost else "pairs"]["name"]
    if "gone" in lost:
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-30] + bytes(30))
    with pytest.raises(oa.InputError, match=r"part-00001\.parquet"):
        found.candidates()
    rest = found.candidates(items=items_frame(), on_corrupt="exclude")
    assert rest.stream is not None
    (one,) = rest.stream.excluded
    assert (one.file, one.users, one.pairs) == ("part-00001.parquet", about["n_users"], about["n_pairs"])
    assert rest.n_pairs == found.n_pairs - about["n_pairs"]
    users = np.arange(about["first_user"], about["first_user"] + about["n_users"])
    counts = np.diff(rest.indptr)
    assert not counts[users].any()
    assert np.delete(counts, users).tolist() == [DEGREE] * (N_USERS - users.size)
    assert rest.groups("market") == MARKETS.tolist()
    assert (rest.users["market"].codes[users] == -1).all()
    solution = oa.solve(oa.Problem(rest, oa.total("relevance"), oa.exposure(by="market") <= 60.0, oa.Slate(2)))
    assert [excluded["file"] for excluded in solution.excluded] == ["part-00001.parquet"]
    assert "excluded: 1 corrupt partition" in str(solution)
    assert not np.isin(rest.user_of(solution.pairs), users).any()
    with pytest.raises(oa.InputError, match=r"on_corrupt='skip'\): expected 'fail' or 'exclude'"):
        found.candidates(on_corrupt="skip")


def test_when_all_partitions_are_corrupt_there_is_nothing_to_leave_out(tmp_path: Path) -> None:
    found = oa.partition(written(tmp_path, pairs_frame()), tmp_path / "out", rows_per_partition=900)
    for path in (tmp_path / "out").glob("part-*.parquet"):
        path.write_bytes(b"PAR1")
    with pytest.raises(oa.InputError, match=r"all partitions are corrupt. The first: .*part-00000"):
        found.candidates(on_corrupt="exclude")
