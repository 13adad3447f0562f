"""What totals can reach in slates, against linear programs; caps beyond it leave every bit of an answer as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_here import actors_here
from clusters import candidates_of, files_of
from effort import diagonal, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import matrix
from scipy.optimize import linprog
from strategies import Case, measures, problems
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.engines.surveyed import Surveyed
from oasis_alloc.program import slate_reach
from oasis_alloc.program.lowering import lower

Array = np.ndarray[Any, Any]

N_USERS, N_ITEMS = 40, 30
SLATES: dict[str, Any] = {
    "size": {"slate": oa.Slate(3)},
    "sizes by user": {"slate": oa.Slate(np.arange(N_USERS) % 4)},
    "a cap": {"slate": oa.Slate(4, at_most={"artist": 1})},
    "nested caps": {"slate": oa.Slate(5, at_most={"artist": 1, "label": 2})},
    "slot weights": {"slate": oa.Slate(3, slot_weights=[1.0, 0.5, 0.2])},
    "supply": {"slate": oa.Slate(3), "supply": np.linspace(0.1, 7.0, N_USERS)},
}


def market(seed: int = 0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 10, N_USERS)
    item = np.concatenate([rng.choice(N_ITEMS, n, replace=False) for n in counts])
    artist = np.arange(N_ITEMS) % 12
    return oa.Candidates.from_arrays(
        np.concatenate([[0], np.cumsum(counts)]),
        item,
        {"v": rng.random(item.size), "signed": rng.normal(size=item.size)},
        items={"campaign": np.arange(N_ITEMS) % 5, "artist": artist, "label": artist % 3},
    )


MEASURES = {
    "exposure": oa.exposure(by="campaign"),
    "column": oa.total("v", by="campaign"),
    "signed column": oa.total("signed", by="campaign"),
    "negative": -2.0 * oa.total("v", by="campaign"),
    "share": oa.exposure(by="campaign") - 0.25 * oa.exposure(),
    "columns": oa.total("v", by="campaign") - oa.total("signed") + 0.1 * oa.exposure(),
}


def most_by_program(program: Any, row: int, sign: float) -> float:
    """The largest total of a row, or of its negative, over all slates, by a linear program over all users' pairs."""
    n, rules = program.n_pairs, program.rules
    user = np.repeat(np.arange(program.n_users), np.diff(program.indptr))
    cell = program.segment[user].astype(int) * program.n_classes + program.code
    columns = [np.ones(n), *program.extra]
    by_cell = [(program.arithmetic[[row]] @ base).toarray()[0] for base in program.base]
    adds = sum(table[cell] * column for table, column in zip(by_cell, columns, strict=True))
    gains = sign * np.asarray(adds)
    sizes = np.full(program.n_users, program.size) if rules is None else rules.size
    rows, limits = [(user[:, None] == np.arange(program.n_users)).T.astype(float)], [np.asarray(sizes, float)]
    for system in () if rules is None else rules.systems:
        group = user * system.n + system.single[program.code]
        found = np.unique(group)
        rows.append((found[:, None] == group).astype(float))
        limits.append(np.full(found.size, float(system.max_count)))
    result = linprog(-gains, np.vstack(rows), np.concatenate(limits), bounds=(0.0, 1.0))
    assert result.status == 0
    return -float(result.fun)


@pytest.mark.few(2)
@pytest.mark.parametrize(("slate", "measure"), diagonal(SLATES, MEASURES))
def test_reach_is_what_the_best_slates_have(slate: dict[str, Any], measure: oa.Measure) -> None:
    """Never less, not even by a rounding; and exact where a limit lies between it and all candidates."""
    stated = measure
    candidates = market()
    labels = candidates.groups(stated.by or None)
    free = oa.Problem(candidates, oa.total("v"), (stated <= np.inf).named("c"), **slate)
    with engine_for(lower(free), 1) as engine:
        survey = engine.survey()
    most = np.array([most_by_program(engine.program, row, 1.0) for row in range(len(labels))])
    least = -np.array([most_by_program(engine.program, row, -1.0) for row in range(len(labels))])
    between = most + 0.5 * np.maximum(survey.max_totals - most, 0.0)
    under = least - 0.5 * np.maximum(least - survey.min_totals, 0.0)
    band = [(stated <= between).named("cap"), (stated >= under).named("floor")]
    problem = oa.Problem(candidates, oa.total("v"), band, **slate)
    with engine_for(lower(problem), 1) as engine:
        low, high = engine.slate_reach()
        caps, floors = engine.program.blocks[0].rows, engine.program.blocks[1].rows
        for found, known, limit in ((high[caps], most, between), (-low[floors], -least, -under)):
            assert (found >= known - 1e-9 * np.abs(known)).all()
            assert (found <= np.maximum(limit, known * (1 + 1e-9))).all(), "the limit is known not to bind"
            if not any(
                measure is MEASURES[name] for name in ("share", "columns")
            ):  # a bound without cancellation may do for these
                assert found == pytest.approx(known, rel=1e-7, abs=1e-9)
        if measure is MEASURES["exposure"] and "supply" not in slate and slate["slate"].slot_weights is None:
            assert np.array_equal(high[caps], np.round(most)), "whole numbers are not rounded outward"
        assert (high <= engine.survey().max_totals).all()
        assert (low >= engine.survey().min_totals).all()


@st.composite
def with_a_loose_limit(draw: st.DrawFn) -> tuple[Case, oa.Problem]:
    """(a case, its problem with a constraint that no slate can miss, but all candidates together can)."""
    case = draw(problems(max_users=5, max_items=5))
    market_, measure = case.market, draw(measures())
    sign = draw(st.sampled_from([1.0, -1.0]))
    labels = market_.candidates.groups(measure.by or None)
    size = int(np.max(case.problem.slate.sizes(market_.candidates.indptr)[0]))
    gains = np.maximum(sign * np.asarray(matrix(measure, market_)), 0.0)
    user, hold = np.array(market_.user, int), np.zeros(len(labels))
    for u in range(market_.n_users):
        hold += np.sort(gains[:, user == u], axis=1)[:, ::-1][:, :size].sum(axis=1)
    every = gains.sum(axis=1)
    beyond = np.array([draw(st.sampled_from([0.0, 0.3, 1.0, 2.0])) for _ in labels])
    whole = np.all(gains == np.round(gains), axis=1)  # sums of others are rounded outward
    limit = hold + beyond * (every - hold) + np.where(whole, 0.0, 1e-8)
    given_ = dict(zip(labels, (sign * limit).tolist(), strict=True)) if draw(st.booleans()) else sign * limit
    loose = (measure <= given_) if sign > 0 else (measure >= given_)
    place = draw(st.integers(0, len(case.problem.subject_to)))
    stated = [*case.problem.subject_to]
    stated.insert(place, loose.named("loose"))
    return case, case.problem.replace(subject_to=stated)


@settings(max_examples=examples(30))
@given(made=with_a_loose_limit())
def test_a_limit_beyond_what_slates_hold_leaves_every_bit_as_it_is(made: tuple[Case, oa.Problem]) -> None:
    case, full = made
    one, other = oa.solve(case.problem, gap=1e-6), oa.solve(full, gap=1e-6)
    assert other.status is one.status
    assert np.array_equal(one.pairs, other.pairs)
    assert np.array_equal(one.x, other.x)
    assert np.array_equal([one.value, one.bound, one.passes], [other.value, other.bound, other.passes], True)
    assert not np.any(other.prices.get("loose", 0.0))
    for name, price in one.prices.items():
        assert np.array_equal(other.prices[name], price)


@settings(max_examples=examples(10))
@given(made=with_a_loose_limit(), rows=st.integers(1, 5))
def test_candidates_in_files_have_the_same_reach(made: tuple[Case, oa.Problem], rows: int) -> None:
    case, full = made
    market_ = case.market
    users = {key: market_.labels[key] for key in ("market", "hour")}
    items = {key: market_.labels[key] for key in ("campaign", "artist")}
    with tempfile.TemporaryDirectory() as directory, SIZES.using(max_block=3, min_block=2):
        files(market_.candidates, Path(directory), [], rows)
        streamed = oa.Candidates.from_parquet(directory, users=users, items=items, memory="16KiB")
        same(oa.solve(full, gap=1e-6), oa.solve(full.replace(candidates=streamed), gap=1e-6))


@pytest.mark.full
def test_actors_have_the_same_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = actors_here(monkeypatch)
    stored = files_of(tmp_path)

    def problem(candidates: oa.Candidates) -> oa.Problem:
        caps, all_of_it = (oa.exposure(by="campaign") <= 210.0).named("caps"), oa.exposure() <= 3_000.0
        return oa.Problem(candidates, oa.total("relevance"), [caps, all_of_it.named("loose")], oa.Slate(3))

    with SIZES.using(chunk_pairs=1_000):
        far = oa.solve(problem(stored.candidates(items=candidates_of.items)), engine=oa.RayEngine(actors=2))
        here = oa.solve(problem(candidates_of()), threads=1)
    same(far, here)
    assert "slate_reach" in clusters[-1].calls
    assert not far.prices["loose"].any()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The strides of reads of pairs that a reach takes."""
    strides: list[int] = []
    add_up = Surveyed._added_by_slates

    def counted(engine: Surveyed, entries: Any, room: Any, n_rows: int, stride: int) -> Array:
        strides.append(stride)
        return add_up(engine, entries, room, n_rows, stride)

    monkeypatch.setattr(Surveyed, "_added_by_slates", counted)
    return strides


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("limit", "strides"),
    [(100.0, []), (2_990.0, []), (3_000.0, [16, 1]), (14_999.0, [16, 1]), (15_000.0, []), (np.inf, [])],
)
def test_pairs_are_read_again_only_where_slates_can_decide(limit: float, strides: list[int], reads: list[int]) -> None:
    """Of 15 candidates, slates of 3 hold at least a fifth of a total, and at most 3,000 exposures of 1,000 users."""
    problem = oa.Problem(candidates_of(), oa.total("relevance"), (oa.exposure() <= limit).named("cap"), oa.Slate(3))
    program = lower(problem)
    with engine_for(program, 1) as engine:
        low, high = engine.slate_reach()
        engine.slate_reach()
    assert reads == strides
    assert low.tolist() == [0.0]
    assert high.tolist() == [3_000.0 if strides else 15_000.0]
    assert slate_reach.least_share(program) == pytest.approx(1 / 5)


def test_some_users_tell_that_a_cap_can_bind(reads: list[int]) -> None:
    """One user with 500 candidates lets the share of a slate say little."""
    counts = np.append(np.full(640, 5), 500)
    item = np.concatenate([np.arange(n) for n in counts])
    candidates = oa.Candidates.from_arrays(np.concatenate([[0], np.cumsum(counts)]), item, {"v": np.ones(item.size)})
    for limit, strides in ((60.0, [16]), (600.0, [16, 1]), (2_000.0, [16, 1])):
        reads.clear()
        problem = oa.Problem(candidates, oa.total("v"), oa.exposure() <= limit, oa.Slate(3))
        with engine_for(lower(problem), 1) as engine:
            high = engine.slate_reach()[1]
        assert reads == strides
        assert high.tolist() == [1_923.0 if limit >= 1_923.0 else 3_700.0]


def test_one_limit_that_can_bind_keeps_its_constraint_as_it_is(reads: list[int]) -> None:
    caps = (oa.exposure(by="campaign") <= {0: 10.0, 1: 1_400.0}).named("caps")
    with engine_for(lower(oa.Problem(candidates_of(), oa.total("relevance"), caps, oa.Slate(3))), 1) as engine:
        survey, (low, high) = engine.survey(), engine.slate_reach()
    assert reads == []
    assert np.array_equal(low, survey.min_totals)
    assert np.array_equal(high, survey.max_totals)
