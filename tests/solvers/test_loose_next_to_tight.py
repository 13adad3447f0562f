"""A limit beyond what slates hold, in one constraint with limits that bind: it changes no verdict and no answer.

All candidates together could reach such a limit, so it stays a row of the program. It has no price, and its size
counts for no tolerance: status, allocation and conflicts are those without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa

N_USERS, N_ITEMS = 60, 30
LABELS = ["loose", "tight", "rare"]


def solved(seed: int, loose: float | None, conflict: bool = False, **options: Any) -> oa.Solution:
    """Caps on two of three groups, and a cap or none on the third; `loose` is a share of what all candidates have."""
    rng = np.random.default_rng(seed)
    of = np.repeat([0, 1, 2], [15, 12, 3])
    candidates = oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * N_ITEMS,
        np.tile(np.arange(N_ITEMS), N_USERS),
        {"r": rng.random(N_USERS * N_ITEMS), "cost": rng.random(N_USERS * N_ITEMS)},
        items={"group": [LABELS[g] for g in of], "kind": [LABELS[g] for g in of]},
    )
    measure = oa.exposure(by="group") if seed % 2 else oa.total("cost", by="group")
    caps = {"tight": 8.0, "rare": 1.0}
    constraints = []
    if conflict:
        constraints.append((oa.exposure(by="kind") >= {"rare": 12.0}).named("promised"))
    if loose is not None:
        column = np.ones(N_USERS * N_ITEMS) if seed % 2 else candidates.columns["cost"]
        caps["loose"] = loose * float(np.asarray(column)[np.tile(of == 0, N_USERS)].sum())
    constraints.append((measure <= caps).named("caps"))
    problem = oa.Problem(candidates, oa.total("r"), constraints, oa.Slate(1))
    return oa.solve(problem, gap=1e-6, threads=1, **options)


@pytest.mark.few(2)
@pytest.mark.parametrize("loose", [0.2, 0.99])
@pytest.mark.parametrize("seed", [0, 1, *full_only(*range(2, 12))])
def test_the_answer_is_the_one_without_the_loose_limit(seed: int, loose: float) -> None:
    without, with_ = solved(seed, None), solved(seed, loose)
    assert with_.status is without.status is oa.Status.SOLVED
    assert with_.value == pytest.approx(without.value, rel=1e-6)
    assert with_.violation <= 1e-6
    assert with_.allocation == pytest.approx(without.allocation, abs=1e-6)
    groups = list(with_.problem.candidates.groups("group"))
    assert with_.prices["caps"][groups.index("loose")] == 0.0


@pytest.mark.few(2)
@pytest.mark.parametrize("loose", [0.2, 0.99])
@pytest.mark.parametrize("seed", [1, 3, *full_only(*range(5, 13, 2))])
def test_the_conflict_is_the_one_without_the_loose_limit(seed: int, loose: float) -> None:
    without, with_ = solved(seed, None, conflict=True), solved(seed, loose, conflict=True)
    assert with_.status is without.status is oa.Status.INFEASIBLE
    told = [[(c.constraint, c.label, round(c.give, 6)) for c in one.conflicts] for one in (without, with_)]
    assert told[0] == told[1]
    relaxed = [solved(seed, cap, conflict=True, on_conflict="relax") for cap in (None, loose)]
    assert [one.status for one in relaxed] == [oa.Status.RELAXED] * 2
    assert relaxed[1].value == pytest.approx(relaxed[0].value, rel=1e-6)
