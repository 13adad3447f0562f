"""No verdict, allocation or price depends on units, on limits that cannot bind, or on any order.

Every property is of random programs of all features (`random_statements.py`), told in two ways (`retold.py`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from effort import examples
from fuzz_curves import CURVED
from fuzz_judge import Judge
from hypothesis import Phase, assume, event, given, settings
from hypothesis import strategies as st
from presented import Presented, name_of, present
from random_programs import COLUMNS, HUGE, RandomProgram
from random_statements import random_program
from retold import Order, in_units, with_a_loose_cap, with_loose_limits

import oasis_alloc as oa

Array = np.ndarray[Any, Any]
seeds = st.integers(0, 2**20)
powers = st.integers(-9, 9)
GAP = 1e-6
# the same programs on every machine; a smaller seed is no smaller program, so there is nothing to shrink
many = settings(max_examples=examples(30), derandomize=True, phases=[Phase.explicit, Phase.generate])


@cache
def plain(seed: int) -> RandomProgram:
    """The program of a seed in numbers of size 1, without ties: one allocation is best.

    Missed units are weighted: the least total that conflicts are named by has a unit, and weights say which.
    """
    program = random_program(seed, generic=True).without_units()
    return replace(program, gap=GAP, relax=False, steady=0.0, weighted=True)


def solved(program: RandomProgram) -> tuple[Presented, oa.Solution]:
    presented = present(program)
    return presented, oa.solve(presented.problem, **presented.options)


def prices(presented: Presented, solution: oa.Solution) -> dict[str, Array]:
    """Prices by name, without units."""
    program, out = presented.program, {}
    for k, limit in enumerate(program.limits):
        out[name_of(k)] = solution.prices[name_of(k)] * limit.measure.unit / program.scale
    for k, gain in enumerate(program.gains):
        out[f"gain {k}"] = solution.prices[f"gain {k}"] * gain.measure.unit / program.scale
    return out


def check_same(one: tuple[Presented, oa.Solution], other: tuple[Presented, oa.Solution]) -> None:
    """Status, allocation, value and prices are the same, the units of the second taken away."""
    (before, here), (after, there) = one, other
    assert there.status is here.status
    if here.status is oa.Status.INFEASIBLE:
        assert named(there) == named(here)
        return
    judge = Judge(before.program, before.earlier)
    size = size_of(judge, here.allocation) + abs(before.constant) + abs(after.constant)
    assert plain_value(other) == pytest.approx(plain_value(one), abs=2 * GAP * size)
    check_allocation(before.program, here.allocation, there.allocation, (plain_value(other) - plain_value(one)) / size)
    told, expected = prices(after, there), prices(before, here)
    near = all(
        np.allclose(told[name], price, rtol=1e-5, atol=1e-6 * (1.0 + float(np.abs(price).max(initial=0.0))))
        for name, price in expected.items()
    )
    event(f"prices are the same: {near}")
    if not near:  # where a corner has more limits than it needs, several prices prove the same bound
        assert plain_bound(other) == pytest.approx(plain_bound(one), abs=2 * GAP * size)


def size_of(judge: Judge, x: Array) -> float:
    """What values are compared by: the sum of the parts, and where they are 0, rounding of what they could be."""
    return judge.value(x)[1] + 1e-6 * judge.reach + 1e-12


def check_allocation(program: RandomProgram, one: Array, other: Array, better: float) -> None:
    """The allocations are the same, or as good to rounding; near a smooth optimum, as good to the gap."""
    same = bool(np.allclose(one, other, rtol=0.0, atol=1e-6))
    event(f"allocations are the same: {same}")
    if not same and not any(gain.kind in CURVED for gain in program.gains):
        assert abs(better) <= 1e-9, f"other allocations: {np.flatnonzero(np.abs(one - other) > 1e-6).tolist()}"


def plain_value(told: tuple[Presented, oa.Solution]) -> float:
    """The value without units."""
    return told[1].value / told[0].program.scale - told[0].constant


def plain_bound(told: tuple[Presented, oa.Solution]) -> float:
    """The bound without units."""
    return told[1].bound / told[0].program.scale - told[0].constant


def named(solution: oa.Solution) -> set[tuple[str, Any, str]]:
    """Who has to give. Of those that stand in the way there can be more than are needed, and then others do as well."""
    return {(one.constraint, one.label, one.sense) for one in solution.conflicts if one.give > 0}


@pytest.mark.full
@many
@given(seed=seeds, column=st.sampled_from(COLUMNS), k=powers)
def test_a_column_in_another_unit_changes_nothing_but_units(seed: int, column: str, k: int) -> None:
    program = plain(seed)
    check_same(solved(program), solved(in_units(program, {column: 10.0**k})))


@many
@given(seed=seeds, k=st.lists(powers, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_all_columns_in_other_units_change_nothing_but_units(seed: int, k: list[int]) -> None:
    program = plain(seed)
    units = {column: 10.0**power for column, power in zip(COLUMNS, k, strict=True)}
    check_same(solved(program), solved(in_units(program, units)))


@pytest.mark.full
@many
@given(seed=seeds, k=powers)
def test_an_objective_in_another_unit_keeps_the_allocation(seed: int, k: int) -> None:
    program = plain(seed)
    check_same(solved(program), solved(in_units(program, {}, scale=10.0**k)))


@many
@given(seed=seeds, huge=st.sampled_from(HUGE), units=st.booleans())
def test_a_cap_that_cannot_bind_changes_nothing(seed: int, huge: float, units: bool) -> None:
    program = plain(seed)
    if units:
        program = replace(random_program(seed, generic=True), gap=GAP, relax=False, steady=0.0, weighted=True)
    rng = np.random.default_rng(seed)
    check_bits(solved(program), solved(with_a_loose_cap(rng, program, huge)))


@settings(max_examples=examples(8), derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(seed=seeds, column=st.sampled_from(COLUMNS), k=powers)
def test_a_column_in_a_unit_of_a_power_of_two_keeps_every_bit_of_the_allocation(seed: int, column: str, k: int) -> None:
    """Nothing compares numbers of a unit with numbers of none: a multiple without rounding changes nothing."""
    (_, here), (_, there) = solved(plain(seed)), solved(in_units(plain(seed), {column: 8.0**k}))
    assert there.status is here.status
    assert np.array_equal(there.pairs, here.pairs)
    assert np.array_equal(there.x, here.x)


@pytest.mark.full
@many
@given(seed=seeds, huge=st.sampled_from(HUGE))
def test_limits_that_cannot_bind_in_other_constraints_change_nothing(seed: int, huge: float) -> None:
    program = replace(random_program(seed, generic=True), gap=GAP, relax=False)
    loose = with_loose_limits(np.random.default_rng(seed), program, huge)
    assume(any(before is not after for before, after in zip(program.limits, loose.limits, strict=True)))
    check_identical(solved(program), solved(loose))


def check_bits(one: tuple[Presented, oa.Solution], other: tuple[Presented, oa.Solution]) -> None:
    """The second has the same bits; what it has more are totals, and prices of 0."""
    (_, here), (_, there) = one, other
    assert there.status is here.status
    assert there.conflicts == here.conflicts
    assert np.array_equal(there.pairs, here.pairs)
    assert np.array_equal(there.x, here.x)
    assert np.array_equal([there.value, there.bound, there.gap], [here.value, here.bound, here.gap], equal_nan=True)
    assert there.passes == here.passes
    for name, price in there.prices.items():
        assert np.array_equal(price, here.prices.get(name, np.zeros(price.size)))
    for name in set(there.totals) & set(here.totals):
        assert np.array_equal(there.totals[name], here.totals[name])


def check_identical(one: tuple[Presented, oa.Solution], other: tuple[Presented, oa.Solution]) -> None:
    """To the last digits: status, allocation, value, bound, prices and conflicts of what both have."""
    (_, here), (_, there) = one, other
    assert there.status is here.status
    assert named(there) == named(here)
    if here.status is oa.Status.INFEASIBLE:
        return
    assert there.allocation == pytest.approx(here.allocation, rel=0.0, abs=1e-9)
    assert (there.value, there.bound) == pytest.approx((here.value, here.bound), rel=1e-10)
    for name, price in here.prices.items():
        assert there.prices[name] == pytest.approx(price, rel=1e-9, abs=1e-12 * float(np.abs(price).max(initial=0.0)))


@pytest.mark.full
@many
@given(seed=seeds, k=st.lists(powers, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_conflicts_in_mixed_units_name_the_same_groups(seed: int, k: list[int]) -> None:
    program = plain(seed)
    assume(len([limit for limit in program.limits if limit.hard]) > 0)
    judge = Judge(program)
    assume(not judge.possible(slack=1e-4))
    units = {column: 10.0**power for column, power in zip(COLUMNS, k, strict=True)}
    (_, here), (_, there) = solved(program), solved(in_units(program, units))
    assert here.status is there.status is oa.Status.INFEASIBLE
    assert named(there) == named(here)


@pytest.mark.full
@many
@given(seed=seeds, mixed=st.booleans())
def test_the_order_of_rows_labels_and_columns_changes_nothing(seed: int, mixed: bool) -> None:
    program = plain(seed)
    if mixed:
        program = replace(random_program(seed, generic=True), gap=GAP, relax=False, steady=0.0, weighted=True)
    order = Order(np.random.default_rng(seed), program)
    (before, here), (_, there) = solved(program), solved(order.of(program))
    assert there.status is here.status
    if here.status is oa.Status.INFEASIBLE:
        told = {
            (name_of(int(np.flatnonzero(order.limits == k)[0])), order.label(limit.measure.by, conflict.label))
            for k, limit in enumerate(program.limits)
            for conflict in here.conflicts
            if conflict.constraint == name_of(k) and conflict.give > 0
        }
        assert {(name, label) for name, label, _ in named(there)} == told
        return
    size = size_of(Judge(program, before.earlier), here.allocation) + abs(before.constant)
    assert there.value == pytest.approx(here.value, abs=2 * GAP * program.scale * size)
    better = (there.value - here.value) / (program.scale * size)
    check_allocation(program, here.allocation, order.back(there.allocation), better)


@pytest.mark.full
@many
@given(
    seed=seeds,
    r=powers,
    w=powers,
    idle=st.sampled_from([None, ("r", 1e6), ("w", 1e12), ("w", np.inf), (None, 1e6)]),
    mode=st.sampled_from(["infeasible", "relax"]),
)
def test_ties_between_least_relaxations_are_decided_alike(
    seed: int, r: int, w: int, idle: tuple[str | None, float] | None, mode: str
) -> None:
    """Units, limits that cannot bind, and all orders are changed at once: the same groups give the same amounts."""
    here, there = tied(seed, 0, 0, None, False, mode), tied(seed, r, w, idle, True, mode)
    assert here[0] is there[0]
    event(f"{mode}, {here[0].name}, {len(here[1])} give")
    assert there[2] == here[2]
    assert there[1] == pytest.approx(here[1], rel=1e-6)


def tied(
    seed: int, r: int, w: int, idle: tuple[str | None, float] | None, turned: bool, mode: str
) -> tuple[oa.Status, dict[Any, float], set[Any]]:
    """(status, who gives how much, all who take part) of caps and floors that leave each other too little.

    In units of 10^r and 10^w, with a cap that cannot bind, and with all users, items and constraints in another order.
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = int(rng.integers(2, 15)), int(rng.integers(3, 8))
    columns = {"r": rng.random((n_users, n_items)) * 10.0**r, "w": rng.random((n_users, n_items)) * 10.0**w}
    labels, markets = rng.integers(0, 3, n_items), rng.choice(["de", "se"], n_users)
    share, floor, least = rng.dirichlet(np.ones(3)), rng.uniform(0.6, 1.0), rng.uniform(0.0, 0.7, 3)
    users, items = np.arange(n_users), np.arange(n_items)
    if turned:
        users, items = rng.permutation(n_users), rng.permutation(n_items)
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n_items,
        np.tile(np.arange(n_items), n_users),
        {name: column[np.ix_(users, items)].ravel() for name, column in columns.items()},
        users={"m": markets[users].tolist()},
        items={"g": labels[items].tolist()},
    )
    groups, reach = sorted(set(labels.tolist())), columns["w"].max(axis=1).sum()
    each, places = oa.exposure(by="g"), sorted(set(markets.tolist()))
    constraints = {
        "caps": each <= {g: 0.5 * n_users * share[g] for g in groups},
        "all": oa.exposure() >= floor * n_users,
        "of each": oa.exposure(by="m") >= {m: 0.8 * float((markets == m).sum()) for m in places},
        "w": oa.total("w", by="g") >= {g: float(least[g] * reach) for g in groups},
    }
    if idle is not None:
        measure = each if idle[0] is None else oa.total(idle[0], by="g")
        size = 1.0 if idle[0] is None else 10.0 ** {"r": r, "w": w}[idle[0]]
        constraints["idle"] = measure <= {groups[0]: idle[1] * size}
    kinds = list(constraints)
    stated = [constraints[kind] for kind in kinds]  # without names: those have the limits in them
    if turned:
        kinds, stated = kinds[::-1], stated[::-1]
    problem = oa.Problem(candidates, oa.total("r"), stated, oa.Slate(1))
    weights = {problem.names[kinds.index("w")]: 10.0**-w} if mode == "relax" else None
    solution = oa.solve(problem, gap=1e-8, on_conflict=mode, relax_weights=weights)
    kind = dict(zip(problem.names, kinds, strict=False))  # functions come after constraints
    unit = {"w": 10.0**w}
    told = {(kind[c.constraint], c.label): c.give / unit.get(kind[c.constraint], 1.0) for c in solution.conflicts}
    return solution.status, {who: give for who, give in told.items() if give > 0}, set(told)
