"""A loose gap: rougher prices before the linear program, a smaller sample; and samples of few pairs in any program."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from benchmarks.counters import caps_alone, floors_and_shares, market, whole
from oasis_alloc.solvers.dual import sample_stride
from oasis_alloc.solvers.primal_recovery import _Slow
from oasis_alloc.solvers.settings import DUAL, DualSettings


def test_settings_for_a_gap() -> None:
    settings = DualSettings()
    assert settings.for_gap(1e-4) is settings
    loose = settings.for_gap(settings.loose)
    assert loose.fine > settings.fine
    assert loose.slots_per_row < settings.slots_per_row
    assert loose.guarded_rough == settings.rough
    assert loose.guarded_gamma == 1.0
    rough = DualSettings(fine=0.5, slots_per_row=1).for_gap(1e-3)
    assert (rough.fine, rough.slots_per_row) == (0.5, 1), "what is rougher stays"


@pytest.mark.few(1)
@pytest.mark.parametrize("build", [caps_alone, floors_and_shares])
def test_a_loose_gap_takes_fewer_passes(build: Any) -> None:
    problem = build(market(4_000, 50, 100))
    found = oa.solve(problem, gap=1e-3, threads=1)
    with DUAL.using(loose_fine=DUAL.now.fine, loose_slots=DUAL.now.slots_per_row):
        before = oa.solve(problem, gap=1e-3, threads=1)
    exact = oa.solve(problem, gap=1e-4, threads=1)
    assert found.gap <= 1e-3
    assert found.violation <= 1e-6
    assert found.passes <= before.passes
    assert found.value >= exact.value * (1.0 - 1.1e-3)
    assert found.bound <= exact.bound * (1.0 + 1.1e-3)


@pytest.mark.few(1)
def test_a_loose_gap_of_the_whole_program_needs_no_better_prices_for_its_guards() -> None:
    problem = whole(market(5_000, 40, 400))
    found = oa.solve(problem, gap=1e-3, threads=1)
    with DUAL.using(loose=np.inf):
        before = oa.solve(problem, gap=1e-3, threads=1)
    assert found.status is before.status is oa.Status.SOLVED
    assert found.violation <= 1e-6
    assert found.passes < before.passes
    assert found.value >= before.value * (1.0 - 1.1e-3)
    assert found.bound <= before.bound * (1.0 + 1.1e-3)


@pytest.mark.parametrize(("residuals", "ends"), [([0.5**k for k in range(30)], 30), ([0.9**k for k in range(30)], 13)])
def test_steps_that_do_not_arrive_are_given_up(residuals: list[float], ends: int) -> None:
    settings, left = DualSettings(), iter(residuals)
    dual: Any = SimpleNamespace(settings=settings, residual=lambda point: next(left))
    slow = _Slow(dual, lambda point: False)
    asked: Any = None
    assert settings.sparse_steps == 12
    count = sum(1 for _ in itertools.takewhile(lambda _: not slow(asked), range(len(residuals) - 1)))
    assert count + 1 == ends


@pytest.mark.parametrize("n_users", [10**5, 10**7, 10**9])
def test_a_sample_has_few_pairs_however_many_there_are(n_users: int) -> None:
    settings = DualSettings().for_gap(1e-3)
    program: Any = SimpleNamespace(n_users=n_users, n_pairs=100 * n_users, size=3, n_limited=10_000)
    stride = sample_stride(program, settings.slots_per_row, settings)
    assert 100 * n_users / stride <= 1.7e7
    assert 3 * n_users / stride >= min(3 * n_users, settings.slots_per_row * program.n_limited)
    assert stride >= 1
