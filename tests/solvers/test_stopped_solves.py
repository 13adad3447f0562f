"""What a solve returns that a limit ends: slates that are slates, caps that hold, and the violation that it says."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples, full_only
from fuzz_judge import Judge, Rows
from fuzz_model import Unsure
from fuzz_verdicts import Answer, _certificate, _slates
from hypothesis import given, settings
from hypothesis import strategies as st
from presented import present
from random_statements import random_program

import oasis_alloc as oa
from oasis_alloc.markets import matching
from oasis_alloc.solvers import stages

ENDS = st.one_of(
    st.tuples(st.just("pass_limit"), st.sampled_from([1e-9, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0])),
    st.tuples(st.just("time_limit"), st.sampled_from([1e-9, 1e-3, 5e-3, 2e-2])),
)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 10**6), end=ENDS)
def test_slates_and_caps_hold_however_a_solve_ends(seed: int, end: tuple[str, float]) -> None:
    """Caps of totals without negative parts; where slates have to show something, as far as all of these can hold."""
    program = random_program(seed)
    presented = present(program)
    options = {name: given for name, given in presented.options.items() if name not in ("on_conflict", "relax_weights")}
    solution = oa.solve(presented.problem, **{end[0]: end[1]}, **options)
    if solution.status not in (oa.Status.TIME_LIMIT, oa.Status.PASS_LIMIT):
        return
    judge = Judge(presented.program, presented.earlier)
    answer = Answer(presented, judge, solution)
    try:
        assert not [*_slates(answer), *_certificate(answer, feasible=False)]
    except Unsure:
        return
    for rows, cap in zip(judge.rows, map(_caps, judge.rows), strict=True):
        totals = rows.matrix @ solution.allocation
        over = totals[cap] - rows.upper[cap] > 1e-6 * np.maximum(rows.upper, totals)[cap]
        assert not over.any() or not _can_hold(judge)


def _caps(rows: Rows) -> np.ndarray:
    """(n_groups,) the hard caps of totals that cannot be negative."""
    return np.asarray(rows.hard & (rows.matrix >= 0.0).all(axis=1) & np.isfinite(rows.upper) & (rows.upper >= 0.0))


def _can_hold(judge: Judge) -> bool:
    """Whether slates that keep their rules can keep all caps."""
    try:
        return judge.possible(0.0, only=lambda k, g: bool(_caps(judge.rows[k])[g]))
    except Unsure:
        return False


@pytest.mark.parametrize("seed", [30, *full_only(41, 92, 97, 117, 118, 127)])
def test_slates_that_cannot_be_scaled_keep_caps(seed: int) -> None:
    """Programs with `keep` or `at_least` whose stopped solves exceeded caps by a fifth and more."""
    test_slates_and_caps_hold_however_a_solve_ends.hypothesis.inner_test(seed, ("pass_limit", 1e-9))


def test_smoothed_slates_miss_floors_by_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after a few passes, with the slates at the prices alone and with the smoothed ones."""
    market = next(iter(matching(users=1_500, degree=20, campaigns=60, size=3, seed=3).blocks()))
    value = market.columns["value"].ravel().astype(np.float64)
    cands = oa.Candidates.from_arrays(
        np.arange(1_501) * 20, market.item.ravel(), {"value": value}, items={"campaign": np.arange(60)}
    )
    exposure = oa.exposure(by="campaign")
    problem = oa.Problem(cands, oa.total("value"), [exposure <= 90.0, exposure >= 60.0], oa.Slate(3))
    moved = [oa.solve(problem, gap=1e-6, pass_limit=limit, threads=1) for limit in (3.0, 5.0, 7.0)]
    monkeypatch.setattr(stages, "moved_within", lambda engine, positions, x, *more, **options: (positions, x))
    found = [oa.solve(problem, gap=1e-6, pass_limit=limit, threads=1) for limit in (3.0, 5.0, 7.0)]
    scaled = stages.scaled
    monkeypatch.setattr(stages, "scaled", lambda engine, prices, gamma=0.0: scaled(engine, prices))
    before = [oa.solve(problem, gap=1e-6, pass_limit=limit, threads=1) for limit in (3.0, 5.0, 7.0)]
    for best, now, then in zip(moved, found, before, strict=True):
        assert best.violation <= 1e-6  # moves within users meet all floors
        assert now.violation <= then.violation
        assert max(total.max() for total in now.totals.values()) <= 90.0 + 1e-6
    assert min(now.violation / then.violation for now, then in zip(found, before, strict=True)) < 0.8
