"""Numbers of functions from the smallest to the largest: an answer without a warning, or an error that names them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa
from oasis_alloc.errors import ProblemError

N_USERS = 6
M = oa.exposure(by="artist")
SIZES = [1e-150, 1e-20, 1e140, 1e200, *full_only(1e-320, 1e-300, 1e-200, 1e-149, 1e-100, 1e-40, 1e100, 1e155, 1e308)]

FUNCTIONS: dict[str, Callable[[float], Any]] = {
    "worst_off, one weight": lambda w: oa.worst_off(M, [w, 1.0, 2.0]),
    "worst_off, all weights": lambda w: oa.worst_off(M, [w, w, 2.0 * w]),
    "worst_off, all weights and its own": lambda w: w * oa.worst_off(M, [w, w, 2.0 * w]),
    "gini_welfare": lambda w: oa.gini_welfare(M, sorted([w, 1.0, 1.0], reverse=True)),
    "kl, one target": lambda w: -1.0 * oa.kl(M, {"a": w, "b": 1.0, "c": 1.0}, 3.0),
    "kl, all targets": lambda w: -1.0 * oa.kl(M, {"a": w, "b": w, "c": w}, 3.0),
    "log, offset": lambda w: oa.log(M, w),
    "log, weight": lambda w: w * oa.log(M, 1.0),
    "alpha_fair, offset": lambda w: oa.alpha_fair(M, 2.0, w),
    "alpha_fair, weight": lambda w: w * oa.alpha_fair(M, 3.0, 1.0),
    "alpha_fair, alpha": lambda w: oa.alpha_fair(M, w, 1.0),
    "square_deviation": lambda w: -1.0 * oa.square_deviation(M, [w, 1.0, 1.0]),
    "square_deviation, weight": lambda w: -w * oa.square_deviation(M, 1.0),
    "reach": lambda w: oa.reach(M, w),
    "reach, weight": lambda w: w * oa.reach(M, 1.0),
}


def candidates() -> oa.Candidates:
    rng = np.random.default_rng(0)
    return oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * 3,
        np.tile([0, 1, 2], N_USERS),
        {"r": rng.random(3 * N_USERS)},
        items={"artist": ["a", "b", "c"]},
    )


def answer(gain: Any, supply: Any = None) -> oa.Solution | str:
    """The solution, or the error's text; a warning is neither."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stated = gain() if callable(gain) else gain
            problem = oa.Problem(candidates(), oa.total("r") + stated, slate=oa.Slate(1), supply=supply)
            return oa.solve(problem, gap=1e-6, threads=1)
    except ProblemError as error:
        return str(error)


@pytest.mark.few(12)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_number_of_a_function_is_answered_or_refused_by_name(function: str, size: float) -> None:
    found = answer(lambda: FUNCTIONS[function](size))
    if isinstance(found, str):
        assert not 1e-140 < size < 1e140, found
        assert found.partition("(")[0].split()[-1] in function or "maximize" in found
        assert "expected" in found
    else:
        assert found.status is oa.Status.SOLVED
        assert np.isfinite([found.value, found.bound]).all()


@pytest.mark.parametrize("unit", [1e-120, 1e-9, 1e9, 1e120])
def test_the_unit_of_weights_is_the_unit_of_the_function(unit: float) -> None:
    """min e / (w a) is min e / a divided by w."""
    plain = answer(oa.worst_off(M, [1.0, 0.5, 2.0]))
    other = answer(unit * oa.worst_off(M, [unit, 0.5 * unit, 2.0 * unit]))
    assert isinstance(plain, oa.Solution)
    assert isinstance(other, oa.Solution)
    assert other.value == pytest.approx(plain.value, rel=1e-9)
    assert other.allocation == pytest.approx(plain.allocation, abs=1e-7)


@pytest.mark.parametrize("weight", [1e-9, 1e-20, 1e-100])
def test_a_group_with_next_to_no_weight_needs_next_to_nothing(weight: float) -> None:
    """As the weight goes to 0, the value goes to that of the other groups alone."""
    found = answer(oa.worst_off(M, [weight, 1.0, 2.0]))
    assert isinstance(found, oa.Solution)
    limit = answer(oa.worst_off(M, [1e-7, 1.0, 2.0]))
    assert isinstance(limit, oa.Solution)
    assert found.status is oa.Status.SOLVED
    assert found.totals['worst_off(exposure(by="artist"), array of 3)'].min() > 0.0
    assert found.value == pytest.approx(limit.value, rel=1e-6)


def test_supply_beyond_any_sum_is_refused_by_name() -> None:
    assert "supply: 1e+308 is too large" in str(answer(oa.log(M), supply=np.full(N_USERS, 1e308)))
