"""Pairs that are shown stay with the actors: what the driver asks of them has the bits of arrays, also after a loss."""

from __future__ import annotations

import pickle
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from actors_here import actors_here
from clusters import candidates_of, files_of, problems

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.chunks import Chunked
from oasis_alloc.engines.ray.decision import FarShown
from oasis_alloc.engines.ray.partial import Divided
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.engines.shown import NonZeros
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.finisher import release

SOLVE = "limits"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> oa.Partitions:
    return files_of(tmp_path_factory.mktemp("pairs"))


def far_problem(stored: oa.Partitions) -> oa.Problem:
    return problems[SOLVE](stored.candidates(items=candidates_of.items))


def rounds_of(engine: Chunked) -> tuple[list[Any], list[Any]]:
    """(numbers and arrays, handles) of decisions, their differences and sums, as the finisher asks for them."""
    program, size = engine.program, engine.survey().size
    prices = np.where(np.arange(program.n_rows) % 2 == 0, 0.1 * size, 0.0)
    decision = engine.decide(prices, np.full(program.n_rows, 0.02 * size))
    out: list[Any] = [decision.undecided, decision.shown.size, decision.bound]
    for k in range(3):
        fresh = engine.decide(prices * (1.1 + 0.1 * k), np.full(program.n_rows, 0.01 * size))
        out += fresh.shown.compared(decision.shown)
        decision = release(decision, fresh)
        own, x = decision.undecided[::3], np.linspace(0.1, 0.9, decision.undecided[::3].size)
        found = evaluate(engine, own, x, whole=decision.shown)
        out += [decision.undecided, decision.shown.size, found.value, found.totals, found.filled]
        users = np.unique(program.users_of(own))
        out += [decision.shown.of_users(program.indptr, users), found.has_whole(np.arange(0, program.n_pairs, 7))]
    users = np.arange(0, program.n_users, 5)  # most of whom nobody has asked for
    out += [decision.shown.of_users(program.indptr, users), *engine.sums_with(fresh.shown, own[:0], x[:0])]
    some, rest = engine.shown_in(decision.shown, np.arange(program.n_cells) % 3 == 0)
    out += [some, rest.size, engine.sums_with(rest, some, np.full(some.size, 0.5)).totals]
    with closing(engine.core(decision)) as core:
        out += [core.visit(prices, 0.01 * size).smoothed, *core.last_slates(prices, 0.01 * size)]
    out += [*found.nonzeros, decision.shown.array(), *fresh.shown.compared(decision.shown)]
    return out, [decision.shown, found.later]


def test_rounds_have_the_bits_of_arrays_also_where_an_actor_is_lost(
    stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        with engine_for(lower(problems[SOLVE](candidates_of())), 1) as engine:
            expected, _ = rounds_of(engine)
        lost, n_calls = [0], 1
        clusters = actors_here(monkeypatch, lambda number, name: number == lost[0])
        while lost[0] <= n_calls:
            with oa.RayEngine(actors=2)._started() as cluster, cluster.engine(lower(far_problem(stored))) as far:
                found, (shown, allocation) = rounds_of(far)
                assert isinstance(shown, FarShown)
            n_calls = clusters[-1].n_calls
            for one, other in zip(found, expected, strict=True):
                assert np.array_equal(one, other)
            lost[0] += 5
        # the actors are gone: what they had is decided from the files, also in another process
        for handle in (shown, pickle.loads(pickle.dumps(shown))):
            assert np.array_equal(handle.array(), expected[-3])
        copy = pickle.loads(pickle.dumps(allocation))
        assert np.array_equal(copy.pairs, expected[-5])
        assert np.array_equal(copy.x, expected[-4])


def test_a_solution_has_no_array_of_its_allocation_until_it_is_asked(
    stored: oa.Partitions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clusters = actors_here(monkeypatch)
    expected = oa.solve(problems[SOLVE](candidates_of()), gap=1e-3, threads=1)
    with SIZES.using(chunk_pairs=1_000, max_small=0):
        solution = oa.solve(far_problem(stored), gap=1e-3, engine=oa.RayEngine(actors=2))
    assert "shown" not in clusters[-1].calls, "nobody has asked for all of them"
    of: NonZeros = solution._nonzeros
    assert not of.is_here
    assert of.size == expected.pairs.size
    divided, indptr = Divided(of, solution.problem.candidates.indptr), solution.problem.candidates.indptr
    manifest = list(partitions(solution))
    parts = [divided.of(about).nonzeros(divided.recipe, about) for about in manifest]
    assert not of.is_here, "the tasks of partitions decide their own"
    assert np.array_equal(np.concatenate([pairs for pairs, _ in parts]), expected.pairs)
    assert np.array_equal(np.concatenate([x for _, x in parts]), expected.x)
    assert indptr[-1] == solution.problem.candidates.n_pairs
    with caplog.at_level("INFO", "oasis_alloc.solve"):
        assert np.array_equal(solution.pairs, expected.pairs)
    assert "are brought to this process" in caplog.text
    assert of.is_here
    assert np.array_equal(Divided(of, indptr).of(manifest[0]).own, parts[0][0])
    again = oa.solve(solution.problem, gap=1e-3, start=solution, threads=1)
    assert again.value == pytest.approx(expected.value, rel=1e-3)


def partitions(solution: oa.Solution) -> Any:
    from oasis_alloc.engines.ray.parts import partitions_of

    return partitions_of(solution.problem.candidates, "a test").partitions
