"""Amounts by which limits must be relaxed, for slates that keep all of their share and not all but a billionth."""

from __future__ import annotations

import numpy as np
import pytest

import oasis_alloc as oa

USERS = 3
RULES = {
    "one": oa.Slate(1),
    "nested": oa.Slate(1, at_most={"artist": 1, "label": 2}),
    "crossing": oa.Slate(1, at_most={"artist": 1, "genre": 1}),
    "diminishing": oa.Slate(1, diminishing={"artist": 0.1}),
}


def conflict_of(rules: oa.Slate, keep: float, floor: float, unit: float, sign: float = 1.0) -> oa.Solution:
    """Item b is worth a tenth less than item a, so it may have a share of `10 (1 - keep)`; it has to have `floor`."""
    candidates = oa.Candidates.from_arrays(
        np.arange(USERS + 1) * 2,
        np.tile([0, 1], USERS),
        {"r": np.tile([1.0, 0.9] if sign > 0.0 else [-1.0, -1.1], USERS) * unit},
        items={"artist": ["x", "y"], "label": ["l", "l"], "genre": [["p", "q"], ["q"]], "song": ["a", "b"]},
    )
    slate = oa.Slate(1, dict(rules.at_most), dict(rules.diminishing), keep={"r": keep}, at_least=int(sign < 0.0))
    limit = (oa.exposure(by="song") >= {"b": floor * USERS}).named("promised")
    return oa.solve(oa.Problem(candidates, oa.total("r"), [limit], slate))


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "unit", [pytest.param(1e-6, marks=pytest.mark.full), 1.0, pytest.param(1e9, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("keep", [1.0, 0.95])
@pytest.mark.parametrize("more", [0.3, 1e-5])
def test_the_named_amount_is_enough_for_slates_that_keep_all_of_their_share(
    rules: str, unit: float, keep: float, more: float
) -> None:
    floor = 10 * (1.0 - keep) + more
    solution = conflict_of(RULES[rules], keep, floor, unit)
    assert solution.status is oa.Status.INFEASIBLE
    (conflict,) = (one for one in solution.conflicts if one.give > 0)
    assert conflict.give == pytest.approx(more * USERS, rel=1e-9, abs=1e-13)
    assert conflict.reached == pytest.approx(10 * (1.0 - keep) * USERS, rel=1e-12, abs=1e-13)


def test_so_is_it_where_the_best_slate_has_a_negative_sum() -> None:
    solution = conflict_of(RULES["one"], 0.95, 0.8, 1.0, sign=-1.0)  # b loses 0.1, and 0.05 may be lost
    (conflict,) = (one for one in solution.conflicts if one.give > 0)
    assert conflict.give == pytest.approx(0.3 * USERS, rel=1e-12)
