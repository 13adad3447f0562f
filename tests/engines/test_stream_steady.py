"""Candidates in files that stay close to an earlier solution: the same bits as in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.lowering import lower
from oasis_alloc.statement.stay_close import Earlier

WEIGHT = 0.3


@st.composite
def hours(draw: st.DrawFn) -> tuple[oa.Candidates, oa.Candidates]:
    """The candidates of two hours; users and items of one may be missing in the other, and are in any order."""
    out = []
    for _ in range(2):
        users = draw(st.lists(st.integers(0, 7), min_size=1, max_size=6, unique=True))
        items = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
        lists = [draw(st.lists(st.integers(0, len(items) - 1), unique=True)) for _ in users]
        indptr = np.cumsum([0, *map(len, lists)])
        item = np.array([k for some in lists for k in some], np.int64)
        relevance = np.array(draw(st.lists(st.integers(0, 8), min_size=item.size, max_size=item.size)), float) / 8
        ids: dict[str, Any] = {"user_ids": users, "item_ids": items}
        keys = {"song": np.arange(len(items))}
        out.append(oa.Candidates.from_arrays(indptr, item, {"relevance": relevance}, items=keys, **ids))
    return out[0], out[1]


def in_files(candidates: oa.Candidates, directory: str, rows: int) -> oa.Candidates:
    """The same candidates, read from row groups of so many rows."""
    files(candidates, Path(directory), [candidates.n_pairs // 2], rows)
    users, items = {"user": candidates.user_ids}, {"item": candidates.item_ids, "song": np.arange(candidates.n_items)}
    return oa.Candidates.from_parquet(directory, users=users, items=items, memory="32KiB")


def problem(candidates: oa.Candidates, before: oa.Solution | None = None, **slate: Any) -> oa.Problem:
    worth: Any = oa.total("relevance")
    if before is not None:
        worth = worth + oa.stay_close(before, WEIGHT) + 0.5 * oa.stay_close(before, WEIGHT)
    supply = np.linspace(0.5, 2.0, candidates.n_users) if slate else None
    return oa.Problem(candidates, worth, [oa.exposure(by="song") <= 1.5], oa.Slate(2, **slate), supply)


@pytest.mark.full
@settings(max_examples=examples(60))
@given(hours=hours(), rows=st.integers(1, 4), block=st.integers(1, 8), slots=st.booleans())
def test_the_next_hour_is_the_same_as_in_memory(
    hours: tuple[oa.Candidates, oa.Candidates], rows: int, block: int, slots: bool
) -> None:
    """From an earlier hour in memory or in files, of other users and items; `kept` says it independently."""
    slate = {"slot_weights": [1.0, 0.5]} if slots else {}
    first, second = hours
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        SIZES.using(max_block=block, min_block=1, chunk_pairs=8, users=1),
    ):
        before = [oa.solve(problem(c), gap=1e-9) for c in (first, in_files(first, one, rows))]
        same(*before)
        here = oa.solve(problem(second, before[0], **slate), gap=1e-9)
        streamed = in_files(second, other, rows)
        for earlier in before:
            there = oa.solve(problem(streamed, earlier, **slate), gap=1e-9)
            same(here, there)
            assert there.parts == pytest.approx(here.parts, abs=1e-12)
            assert there.churn(earlier) == here.churn(before[0])
        counted = there.x * (1.0 if there.problem.supply is None else there.problem.supply[second.user_of(there.pairs)])
        kept = sum(
            x * shown(before[0]).get(pair, 0.0) for pair, x in zip(named(second, there.pairs), counted, strict=True)
        )
        assert sum(there.parts[name] for name in there.parts if "stay_close" in name) == pytest.approx(
            1.5 * WEIGHT * kept
        )


def named(candidates: oa.Candidates, pairs: Any) -> list[tuple[Any, Any]]:
    """Pairs by the ids of user and item."""
    users, items = candidates.user_of(pairs), np.asarray(candidates.item[pairs])
    return [(candidates.user_ids[u], candidates.item_ids[i]) for u, i in zip(users, items, strict=True)]


def shown(solution: oa.Solution) -> dict[tuple[Any, Any], float]:
    """What an allocation shows, by ids."""
    return dict(zip(named(solution.problem.candidates, solution.pairs), solution.x.tolist(), strict=True))


@settings(max_examples=examples(60))
@given(hours=hours(), rows=st.integers(1, 4))
def test_earlier_slots_are_found_among_other_pairs(hours: tuple[oa.Candidates, oa.Candidates], rows: int) -> None:
    first, second = hours
    earlier = Earlier.of(oa.solve(problem(first), gap=1e-9), "")
    with tempfile.TemporaryDirectory() as directory:
        for candidates in (second, in_files(second, directory, rows)):
            positions, x = earlier.places(candidates)
            assert (np.diff(positions) > 0).all()
            found = np.zeros(second.n_pairs)
            found[positions] = x
            assert np.array_equal(found, earlier.everywhere(second))


def test_the_same_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staying close to a solution of the same candidates takes its pairs as they are."""
    rng = np.random.default_rng(0)
    memory = oa.Candidates.from_arrays(
        np.arange(51) * 6, np.concatenate([rng.choice(20, 6, replace=False) for _ in range(50)]),
        {"relevance": rng.random(300)}, items={"song": np.arange(20)}, user_ids=np.arange(50), item_ids=np.arange(20),
    )  # fmt: skip
    streamed = in_files(memory, str(tmp_path), 40)
    before = oa.solve(problem(streamed))
    monkeypatch.setattr("oasis_alloc.statement.stay_close.runs", lambda *a: pytest.fail("the item column was read"))
    after = oa.solve(problem(streamed, before))
    assert after.status.name == "SOLVED"
    monkeypatch.undo()
    assert after.churn(before) <= oa.solve(problem(memory)).churn(before) + 1e-12
    with_rules = lower(problem(streamed, before, keep={"relevance": 0.5}))
    again = lower(problem(memory, oa.solve(problem(memory)), keep={"relevance": 0.5}))
    positions = np.arange(0, 300, 7)
    with engine_for(with_rules) as one, engine_for(again) as other:
        assert np.array_equal(one.take(positions).value, other.take(positions).value)
