"""Slates of candidates in files that keep a share, fill slots or weigh slots: the same bits as in memory."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled_statements import ruled_problems
from slate_oracle import polytope_of
from strategies import Case
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.attaining import attained_in_files, max_attainable
from oasis_alloc.program.lowering import SIZES as LOWERING
from oasis_alloc.program.lowering import lower


def in_files(case: Case, directory: str, cuts: list[int], rows: int, memory: str = "32KiB") -> oa.Candidates:
    """The candidates of a case, read from files that are cut there."""
    market = case.market
    files(market.candidates, Path(directory), cuts, rows)
    users = {key: market.labels[key] for key in ("market", "hour")}
    items = {key: labels for key, labels in market.labels.items() if key not in users}
    return oa.Candidates.from_parquet(directory, users=users, items=items, memory=memory)


@settings(max_examples=examples(60))
@given(case=ruled_problems(max_users=9, max_items=7), data=st.data())
@pytest.mark.usefixtures("small_steps")
def test_any_slate_has_the_same_answer(case: Case, data: st.DataObject) -> None:
    """And keeps its rules, as the statement of the slates says."""
    cuts = data.draw(st.lists(st.integers(0, case.market.n_pairs), max_size=2))
    rows = data.draw(st.integers(1, 5))
    block = data.draw(st.integers(1, 12))
    folded = LOWERING.using(folded_cells=1000)  # of which small steps leave none
    with tempfile.TemporaryDirectory() as directory, SIZES.using(max_block=block, min_block=1), folded:
        streamed = in_files(case, directory, cuts, rows)
        here = oa.solve(case.problem, gap=1e-5)
        there = oa.solve(case.problem.replace(candidates=streamed), gap=1e-5)
        same(here, there)
        broken, _ = polytope_of(case).nearest(there.allocation)
    assert broken <= 1e-7


@settings(max_examples=examples(60))
@given(case=ruled_problems(max_users=9, max_items=7), data=st.data())
def test_what_users_can_have_and_single_pairs_are_the_same(case: Case, data: st.DataObject) -> None:
    """Whatever the blocks are, and for users who are copied by their slots' weights, too."""
    rows, block = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 12))
    with tempfile.TemporaryDirectory() as directory, SIZES.using(max_block=block, min_block=1):
        streamed = in_files(case, directory, [], rows)
        here, there = (lower(case.problem.replace(candidates=c)) for c in (case.market.candidates, streamed))
        if here.rules is None or there.rules is None:
            return
        for name in ("size", "min_size", "target", "weight"):
            assert np.array_equal(getattr(here.rules, name), getattr(there.rules, name)), name
        free = here.rules.without_decrements()
        items, _ = attained_in_files(there, free, False)
        assert np.array_equal(items, max_attainable(here, free, None)[0])
        assert np.array_equal(items, attained_in_files(there, replace(free, target=np.empty(0)), False)[0]), "of keep"
        mask = data.draw(st.lists(st.booleans(), min_size=here.n_pairs, max_size=here.n_pairs))
        positions = np.flatnonzero(np.array(mask, np.bool_))
        with engine_for(here) as memory, engine_for(there) as stream:
            one, other = memory.take(positions), stream.take(positions)
            assert np.array_equal(one.cells, other.cells)
            assert np.array_equal(one.value, other.value)
            if here.rules.target.size:
                assert np.array_equal(one.guard, other.guard)


@pytest.mark.full
def test_a_solve_goes_on_from_either(tmp_path: Path) -> None:
    """A checkpoint of candidates in memory goes on in files, and the other way round."""
    rng = np.random.default_rng(3)
    indptr, item = np.arange(401) * 12, np.concatenate([rng.choice(40, 12, replace=False) for _ in range(400)])
    columns = {"relevance": rng.random(item.size, np.float32), "promotion": rng.random(item.size)}
    items = {"campaign": np.arange(40) // 4}
    memory = oa.Candidates.from_arrays(indptr, item, columns, items=items)
    streamed = oa.Candidates.from_parquet(files(memory, tmp_path, [777], 500), items=items, memory="300KiB")
    slate = oa.Slate(3, slot_weights=[1.0, 0.5, 0.5], keep={"relevance": 0.8}, at_least=1)
    caps = oa.exposure(by="campaign") <= 80.0
    problems = [oa.Problem(c, oa.total("promotion"), [caps], slate) for c in (memory, streamed)]
    for one, other in (problems, problems[::-1]):
        state = tmp_path / "state"
        part = oa.solve(one, gap=1e-7, pass_limit=3, checkpoint=state)
        assert part.status.name == "PASS_LIMIT"
        found = [oa.solve(problem, gap=1e-7, resume=state) for problem in (one, other)]
        assert found[0].status.name == "SOLVED"
        same(*found)
