"""Keys of users and items together that are too fine for a table of all combinations, for candidates in files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled_statements import labeled
from strategies import Market
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.data import grouping, occurring
from oasis_alloc.data.occurring import Occurring
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.kernels.solve.cells import find_cells
from oasis_alloc.program import narrowing
from oasis_alloc.program.fine_cells import FineCells
from oasis_alloc.program.lowering import SIZES as LOWERING
from oasis_alloc.program.lowering import lower

ITEM_KEYS = ("campaign", "artist", "mood")
SLATES: list[dict[str, Any]] = [{}, {"keep": {"relevance": 0.5}}, {"slot_weights": [1.0, 0.5]}]


@pytest.fixture(autouse=True)
def fine(monkeypatch: pytest.MonkeyPatch, small_steps: Any, tuned: Any) -> None:
    """No key fits a table, and cells are not merged in memory, as they never are of files: the bits are the same."""
    monkeypatch.setattr(grouping, "_fits", lambda shape, n_pairs: False)
    monkeypatch.setattr(narrowing, "_MERGED", 0.0)
    monkeypatch.setattr(occurring, "_FEW", 3)
    tuned(LOWERING, folded_per_pair=0)


def with_persons(market: Market, persons: list[int], directory: str | None = None, rows: int = 4) -> oa.Candidates:
    """The candidates of a market whose users are persons too, in memory or in files."""
    users = {"person": np.array(persons), "market": market.labels["market"]}
    items = {key: market.labels[key] for key in ITEM_KEYS}
    if directory is None:
        given = market.candidates
        return oa.Candidates.from_arrays(given.indptr, given.item, given.columns, users=users, items=items)
    files(market.candidates, Path(directory), [market.n_pairs // 3], rows)
    return oa.Candidates.from_parquet(directory, users=users, items=items, memory="32KiB")


@st.composite
def personal(draw: st.DrawFn) -> tuple[Market, list[int]]:
    market = draw(labeled(nested=False, max_users=9, max_items=7))
    return market, draw(st.lists(st.integers(-1, 4), min_size=market.n_users, max_size=market.n_users))


@settings(max_examples=examples(60))
@given(
    given_=personal(), by=st.sampled_from(ITEM_KEYS), rows=st.integers(1, 5), block=st.integers(1, 9),
    slate=st.sampled_from(SLATES), cap=st.sampled_from([0.5, 1.0]),
)  # fmt: skip
def test_caps_by_person_are_the_same_as_in_memory(
    given_: tuple[Market, list[int]], by: str, rows: int, block: int, slate: dict[str, Any], cap: float
) -> None:
    market, persons = given_
    with tempfile.TemporaryDirectory() as directory, SIZES.using(max_block=block, min_block=1):
        both = [with_persons(market, persons), with_persons(market, persons, directory, rows)]
        limits = [
            oa.exposure(by=("person", by)) <= cap,
            oa.soft(oa.exposure(by=("market", by)) >= 1.0, penalty=0.5),
            oa.total("streams", by="artist") <= 2.0,
        ]
        found = [oa.solve(oa.Problem(c, oa.total("relevance"), limits, oa.Slate(2, **slate)), gap=1e-6) for c in both]
        assert both[0].groups(("person", by)) == both[1].groups(("person", by))
        same(*found)
        if found[1].status.name == "SOLVED":
            totals = by_person(market, persons, by, found[1].allocation)
            assert all(total <= cap + 1e-5 for total in totals.values())
            said = found[1].totals[found[1].problem.names[0]]
            assert dict(zip(both[1].groups(("person", by)), said, strict=True)) == pytest.approx(totals, abs=1e-9)


def by_person(market: Market, persons: list[int], by: str, x: Any) -> dict[tuple[Any, Any], float]:
    """Sums of x over the pairs of a person and a label, for every one that occurs."""
    out: dict[tuple[Any, Any], float] = {}
    for user, item, share in zip(market.user, market.item, x, strict=True):
        labels = market.labels[by][item]
        for label in labels if isinstance(labels, list) else [labels]:
            if persons[user] >= 0 and label not in (None, -1):
                out[persons[user], label] = out.get((persons[user], label), 0.0) + share
    return out


@settings(max_examples=examples(60))
@given(given_=personal(), rows=st.integers(1, 5), times=st.sampled_from([1, 2]))
def test_pairs_have_the_same_cells(given_: tuple[Market, list[int]], rows: int, times: int) -> None:
    market, persons = given_
    weights = {"slot_weights": [1.0, 0.5][:times]} if times > 1 else {}
    with tempfile.TemporaryDirectory() as directory:
        programs = [
            lower(
                oa.Problem(
                    c, oa.total("relevance"), oa.exposure(by=("person", "artist")) <= 1.0, oa.Slate(2, **weights)
                )
            )
            for c in (with_persons(market, persons), with_persons(market, persons, directory, rows))
        ]
        here, there = programs
        assert here.n_segments == there.n_segments
        assert here.n_segments == 1 or not here.n_pairs  # without pairs there are no cells to be found
        assert (there.stream.cells is None) == (not here.n_pairs)
        assert here.n_cells == there.n_cells
        assert there.code.dtype == (here.code.dtype if here.rules is None else np.uint32)  # that of kernels under rules
        assert all((abs(one - other)).nnz == 0 for one, other in zip(here.base, there.base, strict=True))
        found = np.zeros(here.n_pairs, here.code.dtype)
        for first, last, indptr, arrays in there.stream.blocks(there.indptr, there.arrays):
            found[there.indptr[first] : there.indptr[last]] = arrays.code[: indptr[last]]
        assert np.array_equal(found, here.code)
        positions = np.arange(0, here.n_pairs, 2)
        taken = there.stream.take(there.users_of(positions), positions, there.arrays)
        assert np.array_equal(taken.code, here.code[positions])


def test_cells_are_found_as_numpy_finds_them() -> None:
    rng = np.random.default_rng(0)
    indptr = np.concatenate([[0], np.cumsum(rng.integers(0, 30, 200))])
    item = rng.integers(0, 50, indptr[-1]).astype(np.uint16)
    segment, code_of = rng.integers(0, 90, 200), rng.integers(0, 12, 50).astype(np.uint16)
    cells, keys = FineCells.of(indptr, item, segment, code_of, 12)
    by_pair = np.repeat(segment, np.diff(indptr)).astype(np.uint32)
    expected, number = np.unique(by_pair * 12 + code_of[item], return_inverse=True)
    assert np.array_equal(keys, expected)
    out = np.zeros(item.size, np.uint32)
    cells.find(by_pair, code_of[item], out)
    assert np.array_equal(out, number)
    again = np.zeros(item.size, np.uint32)
    find_cells.py_func(by_pair, code_of[item], cells.start, cells.classes, again)
    assert np.array_equal(again, out)


def test_what_occurs_is_merged_as_it_comes() -> None:
    rng = np.random.default_rng(1)
    seen, every = Occurring(), []
    for _ in range(50):
        every.append(rng.integers(-5, 400, 13))
        seen.add(every[-1])
        assert seen._n <= max(3, seen._merged.size)
    assert np.array_equal(seen.ascending(), np.unique(np.concatenate(every)))
