"""Rounds of a solve over a cluster, with actors of this process: few of them, and the bits of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from actors_here import ClusterHere, actors_here
from clusters import candidates_of, files_of, problems, same
from effort import diagonal, examples

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.ray.found import FoundPairs
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.solvers.settings import DUAL

GAP = 1e-3
SOLVABLE = [name for name in problems if name != "conflict"]
SAMPLES = {"sample_pairs": 1_000, "slots_per_row": 4, "min_slots_per_row": 2}  # of problems as small as these


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> oa.Partitions:
    return files_of(tmp_path_factory.mktemp("pairs"))


SMALL = {"visits at the actors": 0, "small": 1 << 25}  # the largest visit that the driver makes by itself


@pytest.fixture(params=SMALL.values(), ids=SMALL)
def small(request: pytest.FixtureRequest) -> Iterator[int]:
    with SIZES.using(chunk_pairs=1_000, max_small=request.param), DUAL.using(**SAMPLES):
        yield request.param


def solved(stored: oa.Partitions, name: str, gap: float, **engine: Any) -> oa.Solution:
    """On actors."""
    far = problems[name](stored.candidates(items=candidates_of.items))
    return oa.solve(far, gap=gap, engine=oa.RayEngine(**engine))


def solved_twice(stored: oa.Partitions, name: str, gap: float, **engine: Any) -> tuple[oa.Solution, oa.Solution]:
    """(on actors, on threads)."""
    here = problems[name](candidates_of())
    return solved(stored, name, gap, **engine), oa.solve(here, gap=gap, threads=1)


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "small"), diagonal(SOLVABLE, SMALL), indirect=["small"])
def test_the_bits_are_those_of_threads(
    stored: oa.Partitions, small: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors_here(monkeypatch)
    found, expected = solved_twice(stored, name, GAP, actors=3)
    same(found, expected, bits=name != "curved")  # the range of a curved function is summed by chunk


@pytest.mark.few(1)
def test_the_bits_are_those_of_threads_to_a_small_gap(
    stored: oa.Partitions, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors_here(monkeypatch)
    same(*solved_twice(stored, "limits", 1e-7, actors=1))


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "small"), diagonal(reversed(SOLVABLE), SMALL), indirect=["small"])
def test_a_solve_has_few_rounds(stored: oa.Partitions, small: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = actors_here(monkeypatch)
    found = solved(stored, name, GAP, actors=2)
    calls = clusters[-1].calls
    assert found.gap <= GAP
    assert found.passes > 3
    assert len(calls) == clusters[-1].rounds <= 25
    assert not {"kept", "curvature", "open", "load", "follow", "settle"} & set(calls), "these come with others"
    if name == "limits" and small:
        assert "visit" not in calls


def test_what_is_too_large_to_come_unasked_is_asked_for(stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch) -> None:
    from oasis_alloc.engines.ray import driver, held

    clusters = actors_here(monkeypatch)
    monkeypatch.setattr(driver, "_KEPT_BYTES", 0)
    monkeypatch.setattr(held, "_FOUND_PAIRS", 0)
    with SIZES.using(chunk_pairs=1_000, max_small=0, max_sample=0), DUAL.using(**SAMPLES):
        for name in ("limits", "rules"):  # and all of the allocations where no decision is known
            same(*solved_twice(stored, name, GAP, actors=2))
            assert {"kept", "take"} <= set(clusters[-1].calls)
            assert "sample" not in clusters[-1].calls


def calls_of(engine: Chunked) -> list[Any]:
    """Results of calls as a solver makes them: a sample, all users, curvature, slates, decisions, sums."""
    program, size = engine.program, engine.survey().size
    prices = np.where(np.arange(program.n_rows) % 2 == 0, 0.1 * size, 0.0)
    out: list[Any] = []
    for stride, gamma in ((2, 0.3), (1, 0.1), (2, 0.1), (1, 0.02)):
        visit = engine.visit(prices, gamma * size, stride)
        out += [visit.bound, visit.totals, visit.curvature(prices)]
    out += visit.slates()
    split = engine.decide(prices, np.full(program.n_rows, 0.02 * size))
    shown = split.shown.array()
    out += [split.undecided, shown, *engine.add_up(shown, np.ones(shown.size))]
    x = np.ones(shown.size)
    x[::7] = 0.25
    out += engine.add_up(shown, x)
    out += engine.add_up(shown[5:], x[5:])
    out += [engine.take(split.undecided).value, engine.visit(prices, 0.01 * size).smoothed, engine.thresholds]
    out += [engine.decide(prices, np.zeros(program.n_rows)).shown.array(), engine.histogram(prices, size)]
    return out


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["limits", "rules"])
def test_an_actor_that_is_lost_in_any_call_changes_nothing(
    stored: oa.Partitions, small: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in one that brings thresholds of a sample, and where its heir is lost meanwhile.

    Every second call in a full run, and fewer in others.
    """
    actors_here(monkeypatch)
    program = lower(problems[name](stored.candidates(items=candidates_of.items)))
    with engine_for(lower(problems[name](candidates_of())), 1) as engine:
        expected = calls_of(engine)
    never = ClusterHere(oa.RayEngine(actors=2), lambda number, method: False)
    with never.engine(program) as engine:
        calls_of(engine)
    calls = range(1, never.n_calls + 1, 2)
    for at in calls[:: max(1, len(calls) // examples(100))]:
        cluster = ClusterHere(oa.RayEngine(actors=2), lambda number, method, at=at: number in (at, at + 3))
        with cluster.engine(program) as engine:
            for one, other in zip(calls_of(engine), expected, strict=True):
                assert np.array_equal(one, other)
        assert cluster.lost >= 1


def test_pairs_that_are_here_are_not_fetched() -> None:
    rng = np.random.default_rng(0)
    every = PairArrays(
        np.arange(100, dtype=np.uint16), rng.random(100, np.float32), rng.random((2, 100)), np.empty((0, 100))
    )
    asked: list[int] = []

    def fetch(positions: Any) -> PairArrays:
        asked.extend(positions.tolist())
        return every.at(positions)

    found = FoundPairs(every.like(0), fetch)
    assert not found.has(np.array([3]))
    for positions in ([5, 9], [9], [1, 5, 9, 50], [], [1, 50]):
        at = np.array(positions, np.int64)
        got = found.get(at)
        assert np.array_equal(got.code, at)
        assert np.array_equal(got.value, every.value[at])
        assert np.array_equal(got.extra, every.extra[:, at])
    assert asked == [5, 9, 1, 50]
    found.add(np.array([2, 5]), every.at(np.array([2, 5])))
    assert found.has(np.array([1, 2, 5, 9, 50]))
    assert not found.has(np.array([1, 3]))
