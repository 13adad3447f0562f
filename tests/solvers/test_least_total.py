"""The search for the least total relaxation ends where nothing has to be relaxed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from large_paths import large_paths
from presented import present
from random_statements import random_program

import oasis_alloc as oa
from oasis_alloc.engines.base import Engine
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.relaxation import Relaxation, neutral, smallest_relaxation
from oasis_alloc.solvers.stages import prepare

USERS, EACH = 40, 5


def problem(unit: float = 1.0, everything: float | None = None) -> oa.Problem:
    """Floors, shares and caps that can be met together; a floor of all exposure if one is given."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(2 * EACH)[:EACH] for _ in range(USERS)])
    cands = oa.Candidates.from_arrays(
        np.arange(USERS + 1) * EACH, items, {"relevance": rng.random(items.size), "one": np.full(items.size, unit)},
        items={"campaign": np.arange(2 * EACH) % 3, "artist": np.arange(2 * EACH) // 3},
    )  # fmt: skip
    shown = oa.total("one", by="campaign")
    limits = [
        shown >= {0: 0.3 * USERS * unit, 1: 0.4 * USERS * unit},
        shown >= 0.2 * oa.total("one"),
        oa.total("one", by="artist") <= 0.6 * USERS * unit,
    ]
    if everything is not None:
        limits.append((oa.total("one") >= everything * unit).named("everything"))
    return oa.Problem(cands, oa.total("relevance"), limits, oa.Slate(2))


@contextmanager
def search(stated: oa.Problem) -> Iterator[tuple[Engine, Relaxation, float]]:
    """The engine, the relaxation that the steps of large programs find, and their passes."""
    opened: list[Threads] = []

    def engine_of(program: Program) -> Threads:
        opened.append(Threads(program, 1))
        return opened[-1]

    with large_paths(), Threads(lower(stated), 1) as engine:
        monitor = Monitor(1e-4)
        prepare(engine, monitor)
        found = smallest_relaxation(engine, engine_of, monitor, neutral(engine.program))
        yield engine, found, opened[-1].passes


@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_limits_that_can_be_met_end_the_search_at_the_first_slates_that_keep_them(unit: float) -> None:
    with search(problem(unit)) as (engine, found, passes):
        assert not found.proven
        assert found.at_least == 0.0
        assert evaluate(engine, found.positions, found.x).feasible
        assert passes <= 60, "more smoothings than one, relative to a total of 0, prove nothing"


def test_next_to_a_limit_that_nothing_reaches_the_others_end_the_search_where_they_are_kept() -> None:
    with search(problem(everything=1.5 * EACH * USERS)) as (_, found, passes):
        assert found.proven
        assert found.certain
        assert [conflict.constraint for conflict in found.conflicts if conflict.give > 0.0] == ["everything"]
        assert passes <= 60


def test_slates_that_steps_never_bring_within_a_small_limit_are_left_to_the_finisher() -> None:
    """Random program 117: every try of a recovery misses a floor by 1e-6, whatever the smoothing (658 passes)."""
    with search(present(random_program(117)).problem) as (engine, found, passes):
        assert not found.proven
        assert evaluate(engine, found.positions, found.x).feasible
        assert passes <= 250


def test_a_total_above_0_is_still_the_least() -> None:
    with search(problem(everything=2.5 * USERS)) as (_, found, _):
        assert found.proven
        assert found.at_least == pytest.approx(0.5 * USERS, rel=1e-3)
        assert found.at_most == pytest.approx(0.5 * USERS, rel=1e-3)
