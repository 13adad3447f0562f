"""Groups of one constraint may have units of their own: a column of costs in every campaign's own currency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import full_only

import oasis_alloc as oa
from oasis_alloc.program.lowering import lower

USERS, ITEMS, CAMPAIGNS = 24, 10, 5
Market = dict[str, Any]
Array = np.ndarray[Any, Any]


def market(seed: int) -> Market:
    """Numbers without ties, and limits around an allocation that keeps them, for some campaigns and markets."""
    rng = np.random.default_rng(seed)
    n = USERS * ITEMS
    campaign, country = rng.permutation(ITEMS) % CAMPAIGNS, rng.integers(0, 3, USERS)
    cost, relevance = rng.uniform(0.4, 1.0, n), rng.random(n)
    shown = np.argsort(-rng.random((USERS, ITEMS)), axis=1)[:, :2] + ITEMS * np.arange(USERS)[:, None]
    x = np.zeros(n)
    x[shown.ravel()] = 1.0
    spent = np.bincount(np.tile(campaign, USERS), cost * x, CAMPAIGNS)
    return {
        "relevance": relevance, "cost": cost, "campaign": campaign, "country": country, "spent": spent,
        "sense": str(rng.choice(["<=", ">=", "=="])), "size": int(rng.integers(1, 4)),
        "capped": rng.random(CAMPAIGNS) < 0.8,
    }  # fmt: skip


def limits(of: Market, units: Array, shift: Array) -> oa.Problem:
    """The market with what each campaign costs in its own unit; limits are what was spent times `shift`."""
    unit_of_pair = np.tile(units[of["campaign"]], USERS)
    cands = oa.Candidates.from_arrays(
        np.arange(USERS + 1) * ITEMS, np.tile(np.arange(ITEMS), USERS),
        {"relevance": of["relevance"], "cost": of["cost"] * unit_of_pair},
        users={"country": of["country"]}, items={"campaign": of["campaign"]},
    )  # fmt: skip
    spent = oa.total("cost", by="campaign")
    numbers = {k: float(of["spent"][k] * shift[k] * units[k]) for k in np.flatnonzero(of["capped"]).tolist()}
    band: Any = {"<=": spent.__le__, ">=": spent.__ge__, "==": spent.__eq__}[of["sense"]](numbers)
    worst = oa.worst_off(spent, {k: float(units[k]) for k in range(CAMPAIGNS)}).named("worst")
    objective = oa.total("relevance") + (2.0 * worst if of["size"] == 2 else 0.0 * oa.exposure())
    return oa.Problem(cands, objective, [band.named("spent"), oa.exposure(by="country") <= 15.0], oa.Slate(2))


def units_of(seed: int) -> Array:
    return 10.0 ** np.random.default_rng([seed, 1]).integers(-9, 10, CAMPAIGNS).astype(float)


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", [*range(9), *full_only(*range(9, 24))])
def test_units_of_single_groups_change_nothing_but_their_prices(seed: int) -> None:
    of, units, same = market(seed), units_of(seed), np.ones(CAMPAIGNS)
    shift = {"<=": 0.8, ">=": 1.1, "==": 1.0}[of["sense"]] * same
    here = oa.solve(limits(of, same, shift), gap=1e-6)
    there = oa.solve(limits(of, units, shift), gap=1e-6)
    assert there.status is here.status
    if here.status is oa.Status.INFEASIBLE:
        found, expected = ({(c.constraint, c.label) for c in s.conflicts if c.give > 0} for s in (there, here))
        assert found == expected
        return
    assert here.status is oa.Status.SOLVED
    assert there.violation <= 1e-9
    assert there.value == pytest.approx(here.value, rel=3e-6)
    assert np.allclose(there.allocation, here.allocation, rtol=0.0, atol=1e-6) or there.value == pytest.approx(
        here.value, rel=1e-9
    )
    assert there.prices["spent"] * units == pytest.approx(here.prices["spent"], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("seed", [*range(3), *full_only(3, 4)])
def test_a_conflict_names_the_same_groups_in_any_units(seed: int) -> None:
    of = market(seed)
    of["sense"], of["capped"] = ">=", np.ones(CAMPAIGNS, bool)
    shift = np.full(CAMPAIGNS, 0.5)
    shift[3] = 20.0  # more than all of its candidates cost
    named = []
    for units in (np.ones(CAMPAIGNS), units_of(seed)):
        found = oa.solve(limits(of, units, shift), gap=1e-6)
        assert found.status is oa.Status.INFEASIBLE
        gives = {c.label: c.give / units[c.label] for c in found.conflicts if c.give > 0 and c.constraint == "spent"}
        named.append((gives, {(c.constraint, c.label) for c in found.conflicts if c.give > 0}))
    assert named[1][1] == named[0][1]
    assert named[1][0] == pytest.approx(named[0][0], rel=1e-6)
    assert 3 in named[0][0]


def test_rows_of_ordinary_sizes_keep_the_unit_of_their_measure() -> None:
    """Units decide the last bits of answers: those of groups that differ by less than a factor of a thousand stay."""
    from oasis_alloc.engines import engine_for
    from oasis_alloc.program.row_units import with_units_of_rows

    for spread, changed in ((100.0, []), (1e6, [0, 1, 2, 3, 4])):
        units = np.array([1.0 / spread, 1.0, 1.0, 1.0, 1.0])
        program = lower(limits(market(0), units, np.ones(CAMPAIGNS)))
        with engine_for(program, 1, None) as engine:
            told = with_units_of_rows(program, engine.survey().typical)
        assert np.flatnonzero(told.row_scale != program.row_scale).tolist() == changed


def test_pairs_in_files_have_the_same_units(tmp_path: Path) -> None:
    problem = limits(market(1), units_of(1), np.full(CAMPAIGNS, 0.8))
    cands = problem.candidates
    cands.to_parquet(tmp_path)
    streamed = oa.Candidates.from_parquet(
        tmp_path, users={"country": cands.users["country"].codes}, items={"campaign": cands.items["campaign"].codes}
    )
    here, there = oa.solve(problem, gap=1e-6), oa.solve(problem.replace(candidates=streamed), gap=1e-6)
    assert (there.value, there.bound) == (here.value, here.bound)
    assert np.array_equal(there.x, here.x)
