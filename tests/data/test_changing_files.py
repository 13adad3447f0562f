"""Parquet files that change under candidates, or are damaged: an error that names the file, never an answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import diagonal, full_only

import oasis_alloc as oa
from oasis_alloc.engines.settings import SIZES

N_USERS, DEGREE, N_ITEMS = 1_200, 20, 60
ITEMS = {"campaign": np.arange(N_ITEMS) // 4}


def market(seed: int = 0, scale: float = 1.0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    relevance = (scale * rng.random(item.size)).astype(np.float32)
    return oa.Candidates.from_arrays(np.arange(N_USERS + 1) * DEGREE, item, {"relevance": relevance}, n_items=N_ITEMS)


def written(directory: Path, files: int, **changes: float) -> oa.Candidates:
    """The market in files, of row groups of 2,000 pairs."""
    whole, users = market(**changes), N_USERS // files  # type: ignore[arg-type]
    for part in range(files):
        pairs = slice(part * users * DEGREE, (part + 1) * users * DEGREE)
        oa.Candidates.from_arrays(
            np.arange(users + 1) * DEGREE,
            whole.item[pairs],
            {"relevance": whole.columns["relevance"][pairs]},
            n_items=N_ITEMS,
        ).to_parquet(directory, name=f"part-{part}", first_user=part * users, rows_per_group=2_000, compact=False)
    return oa.Candidates.from_parquet(directory, items=ITEMS, memory="600KiB")


def problem(candidates: oa.Candidates) -> oa.Problem:
    return oa.Problem(candidates, oa.total("relevance"), [oa.exposure(by="campaign") <= 100.0], oa.Slate(2))


def touch(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    beside = path.with_suffix(".tmp")
    beside.write_bytes(path.read_bytes())
    beside.replace(path)


def write_over(path: Path) -> None:
    """Other numbers of the same size, and the time of writing put back."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[2_000:3_000] = bytes(1_000)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def write_anew(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content)


CHANGES = [touch, append, delete, replace, write_over, cut_short, write_anew]
posix = pytest.mark.skipif(os.name != "posix", reason="an open file cannot be changed or deleted there")


@pytest.fixture
def small(tuned: Any) -> None:
    """Small blocks, so that these files take many."""
    tuned(SIZES, max_block=700, min_block=100, chunk_pairs=5_000)


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait for the clock of the file system, where nothing changes under candidates."""
    monkeypatch.setattr("oasis_alloc.data.parquet_file._TICK", 0)


@pytest.mark.few(2)
@posix
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("change", "files"), diagonal({change.__name__: change for change in CHANGES}, {"1": 1, "3": 3})
)
def test_a_change_during_a_solve_is_an_error(tmp_path: Path, change: Callable[[Path], None], files: int) -> None:
    candidates = written(tmp_path, files)
    path = tmp_path / f"part-{files - 1}.parquet"
    calls = []

    def progress(state: oa.Progress) -> None:
        calls.append(state.passes)
        if len(calls) == 3:
            change(path)

    with pytest.raises(oa.InputError, match=rf"{path.name} has changed since.*Build the candidates again"):
        oa.solve(problem(candidates), gap=1e-9, progress=progress)
    assert len(calls) < 6, "noticed in the next pass"
    with pytest.raises(oa.InputError, match=rf"{path.name} has changed since"):
        oa.solve(problem(candidates))
    with pytest.raises(oa.InputError, match=rf"{path.name} has changed since"):
        _ = candidates.columns["relevance"][np.array([candidates.n_pairs - 1])]


@pytest.mark.few(2)
@posix
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_an_error_where_all_pairs_are_kept(tmp_path: Path, change: Callable[[Path], None]) -> None:
    written(tmp_path, 1)
    candidates = oa.Candidates.from_parquet(tmp_path, items=ITEMS)
    calls = []

    def progress(state: oa.Progress) -> None:
        calls.append(state)
        if len(calls) == 3:
            change(tmp_path / "part-0.parquet")

    with pytest.raises(oa.InputError, match=r"part-0\.parquet has changed since"):
        oa.solve(problem(candidates), gap=1e-9, progress=progress)


@pytest.mark.few(1)
@posix
@pytest.mark.parametrize(
    "change", [delete, write_over, *full_only(*(c for c in CHANGES if c not in (delete, write_over)))]
)
def test_the_report_of_an_answer_is_there_when_its_files_are_not(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    asked = problem(written(tmp_path, 2))
    solution = oa.solve(asked)
    seen = oa.solve(asked)
    assert seen.parts
    change(tmp_path / "part-0.parquet")
    for text in (str(solution), solution._repr_html_()):
        assert "The parts of the objective are left out" in text
        assert "part-0.parquet has changed since" in " ".join(text.split())
        assert f"{solution.value:,.8g}" in text
        assert "exposure(by=" in text
    assert solution.report() == str(solution)
    assert "Solution(" in repr(solution)
    assert len(str(solution).splitlines()) <= 40
    assert solution.shadow_prices() == seen.shadow_prices()
    with pytest.raises(oa.InputError, match=r"part-0\.parquet has changed since"):
        solution.parts  # noqa: B018  # asked for by themselves, they are an error
    assert "left out" not in str(seen), "parts that were read before"


@pytest.mark.few(1)
@posix
@pytest.mark.parametrize("change", [touch, replace, cut_short, *full_only(append, delete, write_over, write_anew)])
def test_a_change_after_the_last_pass_is_an_error(
    tmp_path: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = written(tmp_path, 2)
    import importlib

    module = importlib.import_module("oasis_alloc.results.certified")
    made = module.solved_answer

    def late(*arguments: Any) -> oa.Solution:
        solution: oa.Solution = made(*arguments)
        change(tmp_path / "part-0.parquet")
        return solution

    monkeypatch.setattr(module, "solved_answer", late)
    with pytest.raises(oa.InputError, match=r"part-0\.parquet has changed since"):
        oa.solve(problem(candidates))


@posix
def test_a_change_while_the_candidates_are_built_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oasis_alloc.kernels.solve import check

    written(tmp_path, 2)
    add_sizes, calls = check.add_sizes, []

    def later(*arguments: Any) -> None:
        add_sizes(*arguments)
        calls.append(1)
        if len(calls) == 8:  # of 12 row groups, so the first file has been read
            touch(tmp_path / "part-0.parquet")

    monkeypatch.setattr(check, "add_sizes", later)
    with pytest.raises(oa.InputError, match=r"part-0\.parquet has changed since.*written or touched"):
        oa.Candidates.from_parquet(tmp_path, items=ITEMS)


@pytest.mark.full
@posix
def test_a_file_that_is_written_twice_within_a_tick_of_the_clock_is_not_taken_for_the_same(tmp_path: Path) -> None:
    for _ in range(20):
        candidates = written(tmp_path, 1)
        write_over(tmp_path / "part-0.parquet")
        with pytest.raises(oa.InputError, match="has changed since"):
            oa.solve(problem(candidates))


@posix
def test_files_are_found_after_a_change_of_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, 2)
    monkeypatch.chdir(tmp_path.parent)
    candidates = oa.Candidates.from_parquet(tmp_path.name, items=ITEMS)
    monkeypatch.chdir("/")
    assert oa.solve(problem(candidates)).status is oa.Status.SOLVED


CUT_AT_ANY_TIME = """
import os, sys, threading, time
from pathlib import Path
import numpy as np, oasis_alloc as oa
sys.path.insert(0, sys.argv[2])
from test_changing_files import ITEMS, problem, written

path = Path(sys.argv[1]) / "part-0.parquet"
candidates = written(path.parent, 1)
assert oa.solve(problem(candidates), gap=1e-3).gap <= 1e-3
content = path.read_bytes()
for k in range(20):
    path.write_bytes(content)
    candidates = oa.Candidates.from_parquet(path.parent, items=ITEMS, memory="600KiB")
    cut = threading.Timer(0.002 * k, os.truncate, (path, 4096))
    cut.start()
    try:
        while True:
            oa.solve(problem(candidates), gap=1e-9)
    except oa.InputError as error:
        assert "part-0.parquet" in str(error)
    cut.join()
print("alive")
"""


@pytest.mark.full
@posix
def test_a_file_that_is_cut_short_at_any_time_does_not_end_the_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CUT_AT_ANY_TIME, str(tmp_path), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "alive", (done.returncode, done.stderr)


def pages(path: Path) -> list[tuple[int, int]]:
    """(first byte, one after the last) of the pages of every column, headers included."""
    metadata = pq.read_metadata(path)
    out = []
    for g in range(metadata.num_row_groups):
        for k in range(metadata.num_columns):
            chunk = metadata.row_group(g).column(k)
            begin = min(x for x in (chunk.dictionary_page_offset, chunk.data_page_offset) if x is not None)
            out.append((begin, begin + chunk.total_compressed_size))
    return out


def damaged(path: Path, content: bytes, at: int, size: int = 1) -> None:
    changed = bytearray(content)
    for k in range(at, at + size):
        changed[k] ^= 0x55
    path.write_bytes(changed)


@pytest.mark.full
@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize("compact", [False, *full_only(True)])
def test_any_damage_to_the_pages_of_our_own_files_is_found(tmp_path: Path, compact: bool) -> None:
    good = oa.Candidates.from_arrays(
        np.arange(41) * 3, np.tile([0, 1, 2], 40), {"r": np.random.default_rng(1).random(120)}, n_items=3
    )
    path = good.to_parquet(tmp_path, compact=compact, rows_per_group=60)
    content = path.read_bytes()
    found, positions = 0, np.arange(120)
    for begin, end in pages(path):
        for at in range(begin, end, 3):
            damaged(path, content, at)
            problem = None
            try:
                other = oa.Candidates.from_parquet(tmp_path)
            except oa.InputError as error:
                problem = str(error)
            if problem is None:  # a byte of a page's header on which nothing depends
                assert np.array_equal(other.item[positions], good.item), at
                assert np.array_equal(other.columns["r"][positions], good.columns["r"]), at
                assert np.array_equal(other.indptr, good.indptr), at
            else:
                assert "pairs.parquet" in problem, at
                found += 1
    assert found > 100


@pytest.mark.few(1)
@pytest.mark.usefixtures("in_haste")
@pytest.mark.parametrize(
    ("compression", "checksum"), diagonal(["none", "snappy", "zstd"], {"False": False, "True": True})
)
def test_damage_anywhere_in_any_file_is_an_error_of_ours_or_a_table(
    tmp_path: Path, compression: str, checksum: bool
) -> None:
    rng = np.random.default_rng(2)
    table = pa.table(
        {"user": np.repeat(np.arange(40), 3), "item": np.tile([0, 1, 2], 40).astype(np.uint16), "r": rng.random(120)}
    )
    path = tmp_path / "pairs.parquet"
    pq.write_table(table, path, row_group_size=50, compression=compression, write_page_checksum=checksum)
    content = path.read_bytes()
    for at in np.sort(rng.permutation(len(content) - 20)[:60]).tolist():
        damaged(path, content, at, int(rng.integers(1, 20)))
        with suppress(oa.InputError):
            candidates = oa.Candidates.from_parquet(path)
            oa.solve(oa.Problem(candidates, oa.total(next(iter(candidates.columns)))))


@pytest.mark.parametrize(
    ("name", "at", "size", "compression"),
    [("start", 0.3, 20, "none"), ("middle", 0.6, 20, "none"), ("end", 0.985, 20, "none"), ("zstd", 0.1, 1, "zstd")],
)
def test_damaged_pages_with_checksums_are_named_by_file(
    tmp_path: Path, name: str, at: float, size: int, compression: str
) -> None:
    rng = np.random.default_rng(3)
    table = pa.table(
        {"user": np.repeat(np.arange(4_000), 5), "item": np.tile(np.arange(5), 4_000), "relevance": rng.random(20_000)}
    )
    path = tmp_path / f"{name}.parquet"
    pq.write_table(table, path, compression=compression, row_group_size=3_000, write_page_checksum=True)
    content = path.read_bytes()
    damaged(path, content, int(at * len(content)), size)
    with pytest.raises(oa.InputError, match=rf"{name}\.parquet.*(damaged|cannot be read)"):
        oa.Candidates.from_parquet(tmp_path)


def test_numbers_outside_of_what_the_footer_says_are_damage(tmp_path: Path) -> None:
    r = np.linspace(1.0, 2.0, 100)
    table = pa.table({"user": np.repeat(np.arange(50), 2), "item": np.tile([0, 1], 50), "r": r})
    path = tmp_path / "pairs.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False)
    content = path.read_bytes()
    at = content.index(r[50].tobytes())
    damaged(path, content, at + 7)  # sign and exponent
    with pytest.raises(oa.InputError, match=r"pairs\.parquet, row group 0: column 'r' has numbers from .* damaged"):
        oa.Candidates.from_parquet(path)


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    written(tmp_path, 1)
    path = tmp_path / "part-0.parquet"
    content = path.read_bytes()
    for size in (0, 4, 11, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(oa.InputError, match=r"part-0\.parquet cannot be read as a Parquet file"):
            oa.Candidates.from_parquet(tmp_path)
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") :]
    path.write_bytes(content[:5_000] + footer)  # all of the footer, and some of the pages
    with pytest.raises(oa.InputError, match=r"part-0\.parquet, row group 0: the footer says.*damaged"):
        oa.Candidates.from_parquet(tmp_path)


def test_writing_over_a_file_leaves_its_readers_the_old_one_or_an_error(tmp_path: Path) -> None:
    candidates = written(tmp_path, 1)
    path = tmp_path / "part-0.parquet"
    path.chmod(0o640)
    (tmp_path / "latest").mkdir()
    link = tmp_path / "latest" / "part-0.parquet"
    link.symlink_to(path)
    market(seed=1).to_parquet(link.parent, name="part-0")
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "part-0.parquet"]
    with pytest.raises(oa.InputError, match="another file is in its place"):
        oa.solve(problem(candidates))
