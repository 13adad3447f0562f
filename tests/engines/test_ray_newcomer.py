"""What a newcomer meets with bad input before a cluster starts: errors say what is wrong, where, and what to do."""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import candidates_of, files_of, pairs_frame, problems

import oasis_alloc as oa
from oasis_alloc.data.partition_manifest import Manifest
from oasis_alloc.engines.ray import connection
from oasis_alloc.errors import SolverError


def test_partitions_with_different_schemas_are_named(tmp_path: Path) -> None:
    """One partition was written over by another program, with another type and with a column less."""
    stored = files_of(tmp_path)
    path = Path(str(stored.directory)) / "part-00002.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("relevance")
    wide = table.set_column(at, "relevance", table.column("relevance").cast(pa.float64()))
    for changed, words in (
        (wide, r"part-00002\.parquet: column 'relevance' is float64 there and float32 in part-00000\.parquet"),
        (table.drop_columns(["promotion"]), r"part-00002\.parquet has no column 'promotion'"),
    ):
        pq.write_table(changed, path)
        with pytest.raises(oa.InputError, match=words):
            stored.candidates()
        with pytest.raises(oa.InputError, match=r"part-00002\.parquet is corrupt: .* Delete it and run"):
            oa.Partitions.open(stored.directory)
    again = oa.partition(tmp_path / "pairs.parquet", stored.directory, user_keys=["market"], rows_per_partition=4_000)
    assert again.written == (2,), "what the message says helps"
    again.candidates(items=candidates_of.items)


def test_sources_with_different_schemas_are_named(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    frame = pairs_frame()
    frame.iloc[:100].to_parquet(tmp_path / "pairs" / "a.parquet")
    frame.iloc[100:].astype({"promotion": "float64"}).to_parquet(tmp_path / "pairs" / "b.parquet")
    with pytest.raises(oa.InputError, match=r"b\.parquet: column 'promotion' is double, and float in a\.parquet"):
        oa.partition(tmp_path / "pairs", tmp_path / "out", user_keys=["market"])
    for name in ("b", "0"):  # whichever file comes first has fewer columns or more
        (tmp_path / "pairs" / "b.parquet").unlink(missing_ok=True)
        frame.iloc[100:].assign(quality=1.0).to_parquet(tmp_path / "pairs" / f"{name}.parquet")
        with pytest.raises(oa.InputError, match="quality"):
            oa.partition(tmp_path / "pairs", tmp_path / "out", user_keys=["market"])
    taken = oa.partition(tmp_path / "pairs", tmp_path / "out", columns=["relevance", "promotion"], user_keys=["market"])
    assert taken.n_pairs == len(frame)


@pytest.mark.parametrize(
    "names", [{"market": "pairs"}, {"user": "pairs"}, {"user": "pairs", "market": "pairs_"}, {"item": "x"}]
)
def test_columns_may_have_names_that_files_of_partitions_have(tmp_path: Path, names: dict[str, str]) -> None:
    user, item, market = (names.get(name, name) for name in ("user", "item", "market"))
    pairs_frame().rename(columns=names).to_parquet(tmp_path / "pairs.parquet")
    stored = oa.partition(
        tmp_path / "pairs.parquet", tmp_path / "out", user=user, item=item, user_keys=[market], rows_per_partition=4_000
    )
    items = candidates_of.items.rename(columns=names)
    found = stored.candidates(items=items)
    assert found.users[market].labels.tolist() == ["DE", "SE", "US"]
    assert found.indptr.tolist() == candidates_of().indptr.tolist()


@pytest.mark.parametrize("name", ["_items.parquet", "_users/part-00001.parquet"])
@pytest.mark.parametrize("how", ["a flipped bit", "no file", "another size", "zeros"])
def test_files_of_ids_that_are_damaged_are_named(tmp_path: Path, name: str, how: str) -> None:
    """Those of the pairs are not the only files of partitions."""
    stored = files_of(tmp_path)
    path = stored.directory / name
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 16  # in a page of the first column
    damaged = {"a flipped bit": bytes(content), "another size": b"PAR1", "zeros": bytes(len(content))}
    path.unlink()
    if how in damaged:
        path.write_bytes(damaged[how])
    manifest = Manifest.read(stored.directory)
    assert manifest is not None

    def read() -> None:
        stored.candidates(items=candidates_of.items)
        for part in manifest.partitions:  # ids of users are read where rows are written
            part.users.table(stored.directory)

    with pytest.raises(oa.InputError, match=rf"{name} is (corrupt|missing)"):
        read()
    path.unlink(missing_ok=True)
    oa.partition(tmp_path / "pairs.parquet", stored.directory, user_keys=["market"], rows_per_partition=4_000)
    stored.candidates(items=candidates_of.items)


@pytest.mark.ray  # it imports Ray, which takes as long as the rest
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install '.[ray]'")
def test_an_address_that_accepts_and_never_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection._PATIENCE <= 15.0, "twice of it is within 30 seconds"
    monkeypatch.setattr(connection, "_PATIENCE", 0.2)
    problem = problems["limits"](files_of(tmp_path).candidates(items=candidates_of.items))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(SolverError, match=rf"no Ray cluster answers at '{address}' \(timed out\)\. Check that"):
            oa.solve(problem, engine=oa.RayEngine(address=address))
    assert time.monotonic() - started < 30.0


def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(oa.InputError, match=r"s3://bucket/x/_partitions\.json cannot be read .*connect to 127"):
        oa.Partitions.open("s3://bucket/x")
    with pytest.raises(oa.InputError, match=r"'s3://bucket/pairs' cannot be read .*connect to 127"):
        oa.partition("s3://bucket/pairs", tmp_path / "out")
