"""Candidates in Parquet files: the same bits as in memory, within the memory that was allowed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from effort import examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, problems
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.data.row_groups import RowGroupReader
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.lowering import SIZES as LOWERING
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import primal_recovery
from oasis_alloc.solvers.settings import DUAL

Array = np.ndarray[Any, Any]


@settings(max_examples=examples(20))
@given(case=problems(feasible=False, max_users=9, max_items=7), data=st.data())
@pytest.mark.usefixtures("small_steps")
def test_any_small_problem_has_the_same_answer(case: Case, data: st.DataObject) -> None:
    market, problem = case.market, case.problem
    cuts = data.draw(st.lists(st.integers(0, market.n_pairs), max_size=2))
    rows = data.draw(st.integers(1, 5))
    users = {key: market.labels[key] for key in ("market", "hour")}
    items = {key: market.labels[key] for key in ("campaign", "artist")}
    folded = LOWERING.using(folded_cells=1000)  # of which small steps leave none
    with tempfile.TemporaryDirectory() as directory, SIZES.using(max_block=3, min_block=2), folded:
        files(market.candidates, Path(directory), cuts, rows)
        streamed = oa.Candidates.from_parquet(directory, users=users, items=items, memory="16KiB")
        assert np.array_equal(streamed.indptr, market.candidates.indptr)
        same(oa.solve(problem, gap=1e-9), oa.solve(problem.replace(candidates=streamed), gap=1e-9))


N_USERS, N_ITEMS = 3_000, 120
RNG = np.random.default_rng(5)
USERS = {"market": RNG.integers(0, 4, N_USERS)}
ITEMS = {
    "campaign": np.where(np.arange(N_ITEMS) % 3 == 0, -1, np.arange(N_ITEMS) // 8),
    "artist": RNG.integers(0, 20, N_ITEMS),
    "genre": [["pop", "rock", "jazz"][: k % 4] for k in range(N_ITEMS)],
}


def market(n_users: int = N_USERS) -> oa.Candidates:
    rng = np.random.default_rng(6)
    count = rng.integers(0, 40, n_users)
    item = np.concatenate([rng.choice(N_ITEMS, n, replace=False) for n in count])
    columns = {"relevance": rng.random(item.size, np.float32), "streams": rng.gamma(2.0, 1.0, item.size)}
    indptr = np.concatenate([[0], np.cumsum(count)])
    return oa.Candidates.from_arrays(indptr, item, columns, users={"market": USERS["market"][:n_users]}, items=ITEMS)


MARKET = market()
POOL = pa.default_memory_pool()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return files(MARKET, tmp_path_factory.mktemp("pairs"), [20_011, 20_013, 41_000], 2_003)


@pytest.fixture
def streamed(directory: Path, tuned: Any) -> Iterator[oa.Candidates]:
    """The market in files, by blocks of a few hundred pairs, in chunks of some thousand, on samples of users first."""
    tuned(SIZES, max_block=700, min_block=100, chunk_pairs=5_000)
    tuned(DUAL, sample_pairs=10_000)
    candidates = oa.Candidates.from_parquet(directory, users=USERS, items=ITEMS, memory="700KiB")
    yield candidates
    assert candidates.stream is not None
    assert candidates.stream.budget.held == 0, "everything was given back"
    assert candidates.stream.budget.peak <= 700 << 10


def caps() -> Any:
    return (oa.exposure(by="campaign") <= 60.0).named("caps")


def rich(candidates: oa.Candidates, **changes: Any) -> oa.Problem:
    """A problem with most of what a problem can have."""
    worth = oa.total("relevance") + 0.1 * oa.total("streams") + 3.0 * oa.log(oa.exposure(by="artist"))
    limits = [
        caps(),
        oa.exposure(by=("market", "campaign")) <= 30.0,
        oa.exposure(by="genre") <= 0.4 * oa.exposure(),
        oa.soft(oa.total("streams", by="market") >= 9_000.0, penalty=0.1),
    ]
    return oa.Problem(candidates, worth, limits, oa.Slate(3)).replace(**changes)


PROBLEMS = {
    "caps": lambda c: oa.Problem(c, oa.total("relevance"), [caps()], oa.Slate(2)),
    "everything": rich,
    "rules alone": lambda c: oa.Problem(
        c, oa.total("relevance"), [caps()], oa.Slate(3, at_most={"artist": 1}, diminishing={"genre": 0.02})
    ),
    "rules": lambda c: rich(c, slate=oa.Slate(3, at_most={"artist": 1}, diminishing={"genre": 0.02})),
    "supply": lambda c: rich(c, supply=np.linspace(0.5, 2.0, N_USERS)),
    "sizes": lambda c: rich(c, slate=oa.Slate(np.arange(N_USERS) % 4)),
    "kept share": lambda c: rich(c, slate=oa.Slate(3, at_most={"artist": 1}, at_least=1, keep={"relevance": 0.5})),
    "slots": lambda c: rich(c, slate=oa.Slate(3, slot_weights=[1, 0.7, 0.7]), supply=np.linspace(0.5, 2.0, N_USERS)),
    "max-min": lambda c: oa.Problem(c, oa.total("relevance") + 50.0 * oa.worst_off(oa.exposure(by="artist"))),
    "conflict": lambda c: oa.Problem(
        c, 2.0 * oa.total("relevance"), [caps(), oa.total("streams", by="campaign") >= 600.0]
    ),
    "narrow values and wide columns": lambda c: oa.Problem(c, oa.total("relevance"), oa.total("streams") <= 9_000.0),
    "nothing to price": lambda c: oa.Problem(c, oa.total("streams") + 0.5 * oa.exposure(), slate=oa.Slate(2)),
}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "gap"),
    [
        *[(name, 1e-7) for name in ("caps", "nothing to price")],
        ("everything", 1e-3),
        ("kept share", 1e-2),
        *full_only(
            ("conflict", 1e-7),
            ("max-min", 1e-7),
            ("rules alone", 1e-2),
            ("kept share", 1e-5),
            ("slots", 1e-5),
            ("everything", 1e-7),
            ("narrow values and wide columns", 1e-7),
            ("rules", 1e-3),
            ("rules", 1e-5),
            ("supply", 1e-5),
            ("sizes", 1e-7),
        ),
    ],
)
def test_the_same_bits_as_in_memory(streamed: oa.Candidates, name: str, gap: float) -> None:
    here = oa.solve(PROBLEMS[name](MARKET), gap=gap)
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    try:
        there = oa.solve(PROBLEMS[name](streamed), gap=gap)
    finally:
        pa.set_memory_pool(POOL)
    assert 0 < pool.max_memory() <= streamed.stream.budget.limit
    assert pool.bytes_allocated() == 0
    assert here.status.name == ("INFEASIBLE" if name == "conflict" else "SOLVED")
    same(here, there)


@pytest.mark.full
def test_relaxed_and_warm_solves_are_the_same(streamed: oa.Candidates) -> None:
    hard = [PROBLEMS["conflict"](c) for c in (MARKET, streamed)]
    same(*(oa.solve(problem, gap=1e-5, on_conflict="relax") for problem in hard))
    cold = [oa.solve(PROBLEMS["caps"](c), gap=1e-5) for c in (MARKET, streamed)]
    same(*(oa.solve(c.problem, gap=1e-7, start=c) for c in cold))
    same(*(oa.solve(c.problem, pass_limit=2) for c in cold))


@pytest.mark.full
@pytest.mark.parametrize("gap", [1e-3, *full_only(1e-5)])
def test_the_threads_do_not_matter(streamed: oa.Candidates, gap: float) -> None:
    same(*(oa.solve(rich(streamed), gap=gap, threads=n) for n in (1, 3)))


def test_samples_that_do_not_fit_and_blocks_that_are_kept(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tuned: Any
) -> None:
    tuned(DUAL, sample_pairs=10_000)
    tuned(SIZES, chunk_pairs=5_000)
    here = oa.solve(PROBLEMS["caps"](MARKET), gap=1e-7)
    read, groups = {}, []
    decoded = RowGroupReader._decoded
    monkeypatch.setattr(RowGroupReader, "_decoded", lambda self, g: groups.append(g) or decoded(self, g))
    for memory in (420_000, 100 << 20):  # next to nothing to spare; and room for all
        candidates = oa.Candidates.from_parquet(directory, users=USERS, items=ITEMS, memory=memory)
        groups.clear()
        same(here, oa.solve(PROBLEMS["caps"](candidates), gap=1e-7))
        assert candidates.stream is not None
        assert candidates.stream.budget.peak <= memory
        read[memory] = len(groups) / candidates.stream.n_groups
    assert read[100 << 20] < 1.2, "read once, and a row group between two threads twice"
    assert read[420_000] > 0.8 * here.passes, "of which some were over samples"


@pytest.mark.full
def test_what_a_solution_shows(streamed: oa.Candidates, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = (oa.solve(rich(c), gap=1e-3) for c in (MARKET, streamed))
    assert here.parts == there.parts
    assert here.to_frame("pandas").equals(there.to_frame("pandas"))
    assert there.churn(here) == here.churn(there) == 0.0
    assert np.array_equal(here.allocation, there.allocation)
    assert np.array_equal(here.scores(), there.scores())
    drawn = [solution.round(3) for solution in (here, there)]
    assert np.array_equal(drawn[0].pairs, drawn[1].pairs)
    assert (drawn[0].value, drawn[0].violation) == (drawn[1].value, drawn[1].violation)
    monkeypatch.setattr(streamed.stream.budget, "limit", 8 * MARKET.n_pairs - 1)
    again = oa.solve(PROBLEMS["caps"](streamed), gap=1e-3)
    for ask in (lambda: again.allocation, again.scores):
        with pytest.raises(oa.SolverError, match=r"one number per pair.*Use pairs and x"):
            ask()


def test_single_pairs_by_position(streamed: oa.Candidates) -> None:
    positions = np.random.default_rng(1).permutation(MARKET.n_pairs)[:500]
    assert np.array_equal(streamed.item[positions], MARKET.item[positions])
    for name, column in MARKET.columns.items():
        assert np.array_equal(streamed.columns[name][positions], column[positions])
        assert streamed.columns[name].dtype == column.dtype
        assert len(streamed.columns[name]) == MARKET.n_pairs
    with pytest.raises(oa.InputError, match=r"'relevance'.*never in memory as a whole"):
        np.asarray(streamed.columns["relevance"])


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize("statistics", [True, False])
def test_half_floats_are_read_as_the_same_numbers(tmp_path: Path, compression: str, statistics: bool) -> None:
    half = np.array([0.1, -65504.0, 6e-8, 2.0], np.float16)
    table = pa.table({"user": [0, 0, 1, 1], "item": [0, 1, 0, 1], "r": half, "null": pa.array([*half[:3], None])})
    pq.write_table(table, tmp_path / "a.parquet", compression=compression, write_statistics=statistics)
    streamed = oa.Candidates.from_parquet(tmp_path, memory="4KiB")
    assert list(streamed.columns) == ["r"]
    assert streamed.columns["r"].dtype == np.float32
    assert streamed.columns["r"][np.arange(4)].tolist() == half.tolist()
    here = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": half})
    same(*(oa.solve(oa.Problem(c, oa.total("r"), oa.exposure() <= 1.5, oa.Slate(1))) for c in (here, streamed)))


def test_the_engine_reads_pairs_that_it_does_not_hold(streamed: oa.Candidates) -> None:
    programs = [lower(rich(c)) for c in (MARKET, streamed)]
    rng = np.random.default_rng(2)
    prices = np.zeros(programs[0].n_rows)
    with engine_for(programs[0]) as memory, engine_for(programs[1]) as stream:
        margins = np.full(prices.size, 0.01)
        decisions = [engine.decide(prices, margins) for engine in (memory, stream)]
        assert np.array_equal(decisions[0].shown.array(), decisions[1].shown.array())
        assert decisions[0].bound == decisions[1].bound == pytest.approx(memory.visit(prices, 1e-9).bound, rel=1e-12)
        for size in (40, 4_000):  # of which some are held
            positions = np.sort(rng.permutation(MARKET.n_pairs)[:size])
            one, other = (engine.take(positions) for engine in (memory, stream))
            assert np.array_equal(one.value, other.value)
            assert np.array_equal(one.cells, other.cells)
            assert np.array_equal(one.extra(0), other.extra(0))
            x = rng.random(size)
            sums = [engine.add_up(positions, x) for engine in (memory, stream)]
            assert sums[0][0] == sums[1][0]
            assert np.array_equal(sums[0][1], sums[1][1])


def test_the_reference_takes_small_ones_too(tmp_path: Path) -> None:
    small = market(1_000)
    candidates = oa.Candidates.from_parquet(files(small, tmp_path, [6_001], 2_003), items=ITEMS)
    ours, reference = (oa.solve(PROBLEMS["caps"](candidates), gap=1e-6, solver=name) for name in ("dual", "conic"))
    assert ours.value == pytest.approx(reference.value, rel=2e-6)


def test_written_and_read_again(tmp_path: Path) -> None:
    """In two parts, with ids for the answer, as frames."""
    half = N_USERS // 2
    at = int(MARKET.indptr[half])
    for k, (users, pairs) in enumerate(((slice(0, half), slice(0, at)), (slice(half, None), slice(at, None)))):
        indptr = MARKET.indptr[users.start : users.start + half + 1] - pairs.start
        columns = {name: column[pairs] for name, column in MARKET.columns.items()}
        part = oa.Candidates.from_arrays(indptr, MARKET.item[pairs], columns, n_items=N_ITEMS)
        part.to_parquet(tmp_path, name=f"pairs-{k}", rows_per_group=1_000, first_user=users.start, compact=k > 0)
    names = [f"track {k}" for k in range(N_ITEMS)]
    items = pd.DataFrame({"item": names, "campaign": ITEMS["campaign"]})
    users = pd.DataFrame(USERS)
    streamed = oa.Candidates.from_parquet(tmp_path, users=users, items=items, columns=["relevance"])
    assert repr(streamed) == (
        f"Candidates(3,000 users, 120 items, {MARKET.n_pairs:,} pairs in Parquet files; columns: relevance; "
        "user keys: market; item keys: campaign)"
    )
    groups = [pq.ParquetFile(tmp_path / f"pairs-{k}.parquet").metadata for k in (0, 1)]
    assert all(g.row_group(0).num_rows <= 1_000 for g in groups)
    assert ["RLE_DICTIONARY" in g.row_group(0).column(1).encodings for g in groups] == [False, True]
    here, there = (oa.solve(PROBLEMS["caps"](c)) for c in (MARKET, streamed))
    same(here, there)
    frame = there.to_frame("pandas")
    assert frame["item"].tolist() == [names[k] for k in MARKET.item[here.pairs]]
    assert frame["user"].tolist() == MARKET.user_of(here.pairs).tolist()
    with pytest.raises(oa.InputError, match="in Parquet files already"):
        streamed.to_parquet(tmp_path)


def test_files_that_change_are_noticed(directory: Path, tmp_path: Path) -> None:
    for path in directory.glob("part-*.parquet"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    candidates = oa.Candidates.from_parquet(tmp_path, users=USERS, items=ITEMS)
    first = tmp_path / "part-0000.parquet"
    first.write_bytes(first.read_bytes() + b"PAR1")
    with pytest.raises(oa.InputError, match=r"part-0000\.parquet has changed since"):
        oa.solve(PROBLEMS["caps"](candidates))


def test_blocks_of_users_without_pairs_do_not_take_the_place_of_others(tmp_path: Path, tuned: Any) -> None:
    """Such a block begins at the same pair as the next one."""
    tuned(SIZES, max_block=1, min_block=1)
    given = oa.Candidates.from_arrays([0, 0, 2, 2, 2, 4], [0, 1, 0, 1], {"r": np.array([0.9, 0.5, 0.8, 0.7])})
    given.to_parquet(tmp_path / "pairs", rows_per_group=2)
    caps = oa.exposure(by="song") <= {"a": 1.0}
    items, answers = {"song": ["a", "b"]}, []
    for cands in (
        oa.Candidates.from_arrays(given.indptr, given.item, given.columns, items=items),
        oa.Candidates.from_parquet(tmp_path / "pairs", items=items),
    ):
        answers.append(oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)), gap=1e-9))
    assert np.array_equal(answers[0].allocation, answers[1].allocation)
    assert answers[0].value == answers[1].value == pytest.approx(1.6)


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", [0, 1])
def test_slots_that_caps_took_are_refilled_as_in_memory(tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    changed, refilled = [], primal_recovery.refilled

    def seen(engine: Any, positions: Any, x: Any, *rest: Any) -> Any:
        found = refilled(engine, positions, x, *rest)
        changed.append(not np.array_equal(found[0], positions) or not np.array_equal(found[1], x))
        return found

    monkeypatch.setattr(primal_recovery, "refilled", seen)
    rng = np.random.default_rng(seed)
    n_users, n_items, degree = 200, 40, 8
    item = np.concatenate([np.sort(rng.choice(n_items, degree, replace=False)) for _ in range(n_users)])
    value = {"value": rng.random(item.size, np.float32)}
    keys = {"campaign": np.arange(n_items) % 20, "artist": np.arange(n_items) % 7}
    indptr = np.arange(n_users + 1) * degree
    memory = oa.Candidates.from_arrays(indptr, item.astype(np.uint16), value, items=keys)
    caps = [oa.exposure(by="campaign") <= 12.0, oa.exposure(by="artist") <= 35.0]
    found = []
    for candidates in (memory, oa.Candidates.from_parquet(files(memory, tmp_path, [500], 97), items=keys)):
        with DUAL.using(fractional_per_row=0.0, large=0):
            found.append(oa.solve(oa.Problem(candidates, oa.total("value"), caps, oa.Slate(2)), gap=1e-3))
        assert changed[:1] == [True]
        changed.clear()
    same(*found)
