"""The judge of random programs: it is silent about right answers, and names what is wrong with planted ones.

`nox -s fuzz` judges thousands of programs; here are some fixed ones (most of them in a full run only), and
answers that were tampered with.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from effort import full_only
from fuzz_programs import judged, main
from fuzz_verdicts import findings
from presented import Presented, present
from random_programs import Gain, Limits, RandomProgram, Sum, Term
from random_statements import random_program

import oasis_alloc as oa
from oasis_alloc.engines.shown import NonZeros

OVERFLOWED = (2272, 4786)  # Newton steps met totals without any curvature
RESERVED = 20188  # relaxed to an optimum of 0, where all of the judge's value was what its own reserve buys
ROUNDED = (473, 857, 3247, 4118)  # relaxed: rounding of penalties was more than the gap of values
KEPT = 20501  # a floor that conflicts with a kept share: its amount counted on what slates may lack for rounding
REFERENCED = 3327  # the reference had the prices, and their bound was wider by the smoothing of its visit
SMALL = 4877  # limits of 0 next to a conflict of 2e-6: no part of a limit of 0 is free
TRIMMED = 21066  # all of a fractional pair was taken off, and a rounding more
SEEDS = [*range(1, 4), OVERFLOWED[1], RESERVED, SMALL, TRIMMED, KEPT]
SEEDS += full_only(*range(4, 31), OVERFLOWED[0], *ROUNDED, REFERENCED)
BY_CAMPAIGN = Sum((Term(1.0, None, ("campaign",)),))
COST = Sum((Term(1.0, "cost", ("campaign",)),), unit=1e-7)


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", SEEDS)
def test_answer_of_a_random_program(seed: int) -> None:
    assert judged(seed).findings == []


def test_a_seed_is_one_program() -> None:
    one, other = random_program(7), random_program(7)
    assert str(one) == str(other)
    assert str(one) != str(random_program(8))


def test_command_line_prints_one_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--one", "4"]) == 0
    out = capsys.readouterr().out
    assert "RandomProgram(seed=4" in out
    assert "SOLVED" in out


def market(*limits: Limits, **changes: Any) -> RandomProgram:
    """Five users with the same four items, two of each of two campaigns; the cost is told in units of 1e-7."""
    rng = np.random.default_rng(5)
    n_users, n_items = 5, 4
    n = n_users * n_items
    program = RandomProgram(
        seed=0,
        user=[u for u in range(n_users) for _ in range(n_items)],
        item=list(range(n_items)) * n_users,
        columns={"relevance": rng.uniform(0.5, 1.0, n), "cost": rng.uniform(0.5, 1.0, n)},
        labels={"campaign": [3, 3, 5, 5], "artist": list("abab"), "market": ["de"] * n_users, "hour": [0] * n_users},
        n_users=n_users,
        n_items=n_items,
        slate={"size": 2},
        linear=(Term(1.0, "relevance", ()),),
        limits=limits,
        units={"cost": 1e-7},
        gap=1e-6,
    )  # fmt: skip
    return replace(program, **changes)


CAPS = Limits(BY_CAMPAIGN, "<=", np.array([3.0, np.nan]), "mapping")
BUDGET = Limits(COST, "<=", np.array([np.nan, 2.0]), "mapping")
FEASIBLE = market(CAPS, BUDGET, gains=(Gain("log", BY_CAMPAIGN, 0.5, {"offset": 1.0}),))


@cache
def answer(which: str) -> tuple[Presented, oa.Solution]:
    floor = Limits(BY_CAMPAIGN, ">=", np.array([np.nan, 8.0]), "mapping")
    programs = {
        "solved": FEASIBLE,
        "infeasible": market(BUDGET, floor).without_units(),
        "relaxed": market(BUDGET, floor, relax=True).without_units(),
        "ruled": market(CAPS, slate={"size": 2, "at_most": {"artist": 1}}),
    }
    presented = present(programs[which])
    return presented, oa.solve(presented.problem, **presented.options)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("which", "status"),
    [("solved", "SOLVED"), ("infeasible", "INFEASIBLE"), ("relaxed", "RELAXED"), ("ruled", "SOLVED")],
)
def test_nothing_is_wrong_with_right_answers(which: str, status: str) -> None:
    presented, solution = answer(which)
    assert solution.status.name == status
    assert findings(presented, solution) == []


def caught(which: str, **changes: Any) -> set[str]:
    """The categories of what is found where parts of an answer are replaced."""
    presented, solution = answer(which)
    if "pairs" in changes:
        changes["_nonzeros"] = NonZeros(changes.pop("pairs"), changes.pop("x"))
    return {category for category, _ in findings(presented, replace(solution, **changes))}


def test_a_broken_limit_is_found() -> None:
    _, solution = answer("solved")
    x = np.minimum(1.0, solution.allocation * (1 + 1e-4))
    assert "limit broken" in caught("solved", pairs=np.arange(x.size), x=x)


def test_a_limit_missed_by_two_millionths_is_found() -> None:
    presented, solution = answer("solved")
    x, cost = solution.allocation.copy(), presented.program.columns["cost"]
    of = np.isin(np.array(presented.program.item), [2, 3])
    inner = of & (x > 0.01) & (x < 0.99)
    assert inner.sum() >= 1
    x[np.flatnonzero(inner)[0]] += 4e-6 / cost[np.flatnonzero(inner)[0]]
    assert "limit broken" in caught("solved", pairs=np.arange(x.size), x=x)


def test_a_value_above_its_bound_is_found() -> None:
    _, solution = answer("solved")
    assert {"value above the bound", "bound below the optimum"} <= caught("solved", bound=solution.value * 0.999)


def test_a_value_that_is_not_the_objective_is_found() -> None:
    _, solution = answer("solved")
    assert "value is not the objective" in caught(
        "solved", value=solution.value * (1 + 1e-7), bound=solution.bound * 1.01
    )


def test_a_gap_that_is_not_proven_is_found() -> None:
    _, solution = answer("solved")
    assert "gap is not proven" in caught("solved", bound=solution.bound * (1 + 1e-4))


def test_a_violation_that_is_not_true_is_found() -> None:
    assert "violation misreported" in caught("solved", violation=0.5)


def test_a_price_of_the_wrong_sign_is_found() -> None:
    _, solution = answer("solved")
    prices = {name: -np.abs(price) - 1.0 for name, price in solution.prices.items()}
    assert {"price of the wrong sign", "scores are not the formula"} & caught("solved", prices=prices)


def test_a_slate_with_too_many_items_is_found() -> None:
    x = np.full(20, 0.6)
    assert "slate broken" in caught("solved", pairs=np.arange(20), x=x)
    x = np.tile([1.0, 0.0, 1.0, 0.0], 5)  # both are of artist a
    assert "slate broken" in caught("ruled", pairs=np.arange(20), x=x)


def test_an_infeasible_verdict_on_a_feasible_program_is_found() -> None:
    assert caught("solved", status=oa.Status.INFEASIBLE) == {"infeasible though feasible"}
    assert caught("solved", status=oa.Status.RELAXED) == {"relaxed though feasible"}


def test_a_solved_verdict_on_an_infeasible_program_is_found() -> None:
    _, feasible = answer("solved")
    parts = {name: getattr(feasible, name) for name in ("status", "value", "bound", "gap", "pairs", "x")}
    prices = {name: np.zeros(2) for name in ("limit 0", "limit 1")}
    assert {"limit broken", "solved though infeasible"} <= caught("infeasible", **parts, prices=prices)


def test_a_conflict_that_gives_too_little_is_found() -> None:
    _, solution = answer("infeasible")
    less = tuple(replace(conflict, give=conflict.give * 0.9) for conflict in solution.conflicts)
    assert {"giving what is named is not enough", "not the least total"} <= caught("infeasible", conflicts=less)


def test_a_conflict_that_gives_too_much_is_found() -> None:
    _, solution = answer("infeasible")
    more = tuple(replace(conflict, give=conflict.give * 1.1) for conflict in solution.conflicts)
    assert caught("infeasible", conflicts=more) == {"not the least total"}


def test_a_conflict_that_gives_more_than_is_needed_is_found_without_weights() -> None:
    presented, solution = answer("infeasible")
    unweighted = replace(presented, program=replace(presented.program, weighted=False))
    assert findings(unweighted, solution) == []
    more = tuple(replace(conflict, give=conflict.give * 1.1) for conflict in solution.conflicts)
    found = {category for category, _ in findings(unweighted, replace(solution, conflicts=more))}
    assert found == {"more is given than is needed"}


def test_a_conflict_of_others_is_found() -> None:
    _, solution = answer("infeasible")
    assert "those named do not conflict" in caught("infeasible", conflicts=solution.conflicts[:1])
    assert "conflict without anyone who gives" in caught("infeasible", conflicts=())
    unknown = (replace(solution.conflicts[0], label="nobody"), *solution.conflicts)
    assert "conflict names what is no limit" in caught("infeasible", conflicts=unknown)


def test_a_relaxation_that_gives_more_than_the_least_is_found() -> None:
    found = caught("relaxed", pairs=np.empty(0, np.int64), x=np.empty(0), value=0.0)
    assert "relaxed is not the least total" in found


def test_a_relaxation_that_is_not_the_best_is_found() -> None:
    _, solution = answer("relaxed")
    assert "bound below the relaxed optimum" in caught("relaxed", bound=solution.value * 0.99)
    assert "relaxed: the gap is wider" in caught("relaxed", bound=solution.bound * 1.01)


def test_an_answer_that_decides_nothing_is_counted_apart() -> None:
    assert caught("solved", status=oa.Status.STALLED) == {"not decided"}
