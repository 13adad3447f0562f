"""What groups have delivered already: limits and functions are of delivered + planned, in every part of the house."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Ranked, curves_of, groups, rows_of, values
from strategies import Case, curved_problems, problems
from test_functions import LABELS, LEAST, MOST, TABLE, N, Row

import oasis_alloc as oa
from oasis_alloc.statement.functions.band import Band
from oasis_alloc.statement.functions.base import BoundFunction
from oasis_alloc.statement.functions.reach import BoundReach
from oasis_alloc.statement.functions.shifted import Shifted
from oasis_alloc.statement.functions.soft import Soft
from oasis_alloc.statement.objective import Objective

E = oa.exposure
REL = oa.total("relevance")
BEFORE = np.array([0.0, 0.25, 0.5, 0.75, 0.0, 40.0, 1.0])
every_function = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def left(row: Row) -> BoundFunction:
    """The row's function of what is planned after BEFORE; its range is the row's, less that."""
    bound = Shifted(row.stated.bind(LABELS), BEFORE)
    return bound.within(LEAST - BEFORE, MOST - BEFORE) if bound.is_curved else bound


def test_every_part_of_a_function_is_shifted() -> None:
    """What functions offer later must be said of shifted ones too."""
    assert {name for name in vars(BoundFunction) if not name.startswith("_")} <= set(vars(Shifted))


@every_function
def test_value_is_the_formula_of_both_together(row: Row) -> None:
    bound = left(row)
    assert bound.is_constraint == row.bound.is_constraint
    for seed in range(examples(30)):
        e = row.totals(seed)
        with np.errstate(divide="ignore"):
            expected = float(np.sum(row.formula(e)))
        assert bound.value(e - BEFORE) == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert bound.excess(e - BEFORE) == pytest.approx(row.bound.excess(e))


@every_function
def test_conjugate_and_prices(row: Row) -> None:
    bound, box = left(row), left(row).price_box()
    for seed in range(examples(30)):
        price, e = row.prices(seed, wide=True), row.totals(seed + 1) - BEFORE
        conjugate = bound.conjugate(price)
        assert bound.value(e) + price @ e <= conjugate + 1e-9 * max(1.0, abs(conjugate)), "Fenchel's inequality"
        if bound.is_curved:
            curve = bound.curve(price)
            assert curve.value == conjugate
            assert bound.value(curve.maximizer) + price @ curve.maximizer == pytest.approx(conjugate, abs=1e-9)
            assert curve.values == pytest.approx(row.formula(curve.maximizer + BEFORE), rel=1e-6)
            assert not box.limit.any()
        else:
            constant = row.bound.max_value if isinstance(row.bound, BoundReach) else 0.0
            assert box.limit @ price[box.group] + constant == pytest.approx(conjugate, abs=1e-9)


@pytest.mark.few(3)
@every_function
def test_ranges_and_the_conic_form(row: Row) -> None:
    import cvxpy as cp

    bound = left(row)
    low, high, penalty = row.bound.band()
    assert all(map(np.array_equal, bound.band(), (low - BEFORE, high - BEFORE, penalty)))
    assert bound.min_value(LEAST - BEFORE, MOST - BEFORE) == row.bound.min_value(LEAST, MOST)
    for box in (bound.price_box(), row.bound.price_box()):
        assert box.lower == pytest.approx(row.bound.price_box().lower)
        assert box.upper == pytest.approx(row.bound.price_box().upper)
    e = np.maximum(row.totals(2), LEAST + 0.1 * (MOST - LEAST)) if bound.is_curved else row.totals(2)
    total = cp.Variable(N)
    conic = bound.conic(total)
    problem = cp.Problem(cp.Maximize(conic.objective), [*conic.constraints, total == e - BEFORE])
    problem.solve(solver=cp.CLARABEL)
    if np.isfinite(row.bound.value(e)):
        assert problem.value == pytest.approx(row.bound.value(e), rel=1e-6, abs=1e-6)
    else:
        assert problem.status in ("infeasible", "infeasible_inaccurate")


def quarters(draw: st.DrawFn, labels: list[Any]) -> dict[Any, float]:
    return {label: draw(st.integers(0, 12)) / 4 for label in labels}


@st.composite
def after_deliveries(draw: st.DrawFn) -> tuple[Case, oa.Problem]:
    """A problem, and the same one said of whole flights: every limit raised by what was delivered before."""
    case = draw(problems())
    raised: list[Any] = []
    for function in case.problem.subject_to:
        band: Any = function.constraint if isinstance(function, Soft) else function
        labels = groups(case.market, band.measure.by)
        before = quarters(draw, labels)
        limit = band.limit
        if not isinstance(limit, dict):
            limit = dict(zip(labels, np.broadcast_to(limit, len(labels)), strict=True))
        flight = Band.of(
            band.measure.delivered_so_far(before), band.sense, {label: limit[label] + before[label] for label in limit}
        )
        whole = oa.soft(flight, function.penalty) if isinstance(function, Soft) else flight
        raised.append(whole.named(function.given_name) if function.given_name else whole)
    return case, case.problem.replace(subject_to=raised)


@settings(max_examples=examples(40))
@given(after_deliveries())
def test_limits_of_the_whole_are_limits_of_what_is_left(both: tuple[Case, oa.Problem]) -> None:
    check_what_is_left(*both)


@pytest.mark.usefixtures("small_steps")
@settings(max_examples=examples(25))
@given(after_deliveries())
@pytest.mark.full
def test_what_is_left_by_the_paths_of_large_problems(both: tuple[Case, oa.Problem]) -> None:
    check_what_is_left(*both)


def check_what_is_left(case: Case, whole: oa.Problem) -> None:
    part, flight = oa.solve(case.problem, gap=1e-6), oa.solve(whole, gap=1e-6)
    assert part.status is flight.status is oa.Status.SOLVED
    scale = 1e-5 * max(1.0, abs(part.bound), float(np.abs(values(case)).sum()))
    assert flight.value <= part.bound + scale
    assert part.value <= flight.bound + scale
    for name, row in zip(whole.names, rows_of(case), strict=True):
        assert flight.totals[name] == pytest.approx(row.matrix @ flight.allocation, abs=1e-7 * max(1.0, row.size()))
        assert not row.hard or row.excess(flight.allocation).sum() <= 1e-6 * row.size()


@st.composite
def curved_after_deliveries(draw: st.DrawFn) -> tuple[Case, oa.Problem, list[np.ndarray[Any, Any]]]:
    """A problem with functions, the same with deliveries in the functions, and what these are."""
    case = draw(curved_problems())
    objective, amounts = Objective(case.problem.maximize.linear), []
    for function in case.problem.maximize.functions:
        labels = groups(case.market, function.measure.by)
        before = quarters(draw, labels)
        amounts.append(np.array([before[label] for label in labels]))
        objective = objective + replace(function, measure=function.measure.delivered_so_far(before))
    return case, case.problem.replace(maximize=objective), amounts


Curved = tuple[Case, oa.Problem, list[np.ndarray[Any, Any]]]


@settings(max_examples=examples(20))
@given(curved_after_deliveries())
def test_functions_of_the_whole(drawn: Curved) -> None:
    check_functions(*drawn)


@pytest.mark.usefixtures("small_steps")
@settings(max_examples=examples(10))
@given(curved_after_deliveries())
@pytest.mark.full
def test_functions_of_the_whole_by_the_paths_of_large_problems(drawn: Curved) -> None:
    check_functions(*drawn)


def check_functions(case: Case, problem: oa.Problem, amounts: list[np.ndarray[Any, Any]]) -> None:
    ours, reference = oa.solve(problem, gap=1e-5), oa.solve(problem, solver="conic")
    assert ours.status is oa.Status.SOLVED
    scale = max(1.0, abs(ours.bound), float(np.abs(values(case)).sum()))
    assert ours.value <= reference.bound + 1e-6 * scale
    # what the reference misses a limit by, it may have gained the price of
    hard = [row for row in rows_of(case) if row.hard]
    gained = sum(float(np.abs(ours.prices[row.name]) @ row.excess(reference.allocation)) for row in hard)
    assert reference.value <= ours.bound + gained + 1e-6 * scale
    worth = float(values(case) @ ours.allocation)
    for curve, before, name in zip(curves_of(case), amounts, problem.names[len(problem.subject_to) :], strict=True):
        planned = curve.matrix @ ours.allocation
        if isinstance(curve, Ranked):
            part = float(curve.weights @ np.sort((planned + before) / curve.shares))
        else:
            part = float(curve.formula(np.maximum(planned, curve.range()[0]) + before).sum())
        assert ours.parts[name] == pytest.approx(part, rel=1e-6, abs=1e-6 * scale)
        worth += part
    soft = sum(row.penalty * float(row.excess(ours.allocation).sum()) for row in rows_of(case) if not row.hard)
    assert ours.value == pytest.approx(worth - soft, rel=1e-6, abs=1e-6 * scale)


@pytest.fixture(scope="module")
def two() -> oa.Candidates:
    """Four users of one slot who could be shown a or b; b is worth less."""
    return oa.Candidates.from_arrays(
        np.arange(5) * 2,
        np.tile([0, 1], 4),
        {"relevance": np.tile([1.0, 0.5], 4), "drift": np.tile([1.0, -1.0], 4)},
        items={"campaign": ["a", "b"]},
    )


def totals(candidates: oa.Candidates, *constraints: Any, **options: Any) -> list[float]:
    """Exposure of a and b."""
    solution = oa.solve(oa.Problem(candidates, REL, constraints, oa.Slate(1)), **options)
    assert solution.status is oa.Status.SOLVED
    return np.bincount(candidates.item[solution.pairs], solution.x, 2).tolist()


@pytest.mark.parametrize("solver", ["dual", "conic"])
def test_caps_and_floors_of_a_flight(two: oa.Candidates, solver: str) -> None:
    flight = E(by="campaign").delivered_so_far({"a": 7.0})
    assert totals(two, flight <= {"a": 10.0}, solver=solver) == pytest.approx([3, 1])
    assert totals(two, flight >= {"b": 2.0}, solver=solver) == pytest.approx([2, 2])
    assert totals(two, flight == {"a": 8.0}, solver=solver) == pytest.approx([1, 3])


def test_a_cap_that_is_used_up_leaves_nothing_and_a_floor_that_is_met_asks_nothing(two: oa.Candidates) -> None:
    flight = E(by="campaign").delivered_so_far({"a": 12.0, "b": 1.0})
    assert totals(two, flight <= {"a": 10.0}) == pytest.approx([0, 4])
    assert totals(two, flight == {"a": 10.0}) == pytest.approx([0, 4])
    assert totals(two, flight >= {"a": 5.0, "b": 1.0}) == pytest.approx([4, 0])
    problem = oa.Problem(two, REL, [flight >= {"a": 5.0, "b": 2.5}, flight <= {"a": 10.0}], oa.Slate(1))
    assert [b.tolist() for b in problem.bound[0].band()[:2]] == [[-np.inf, 1.5], [np.inf, np.inf]]
    assert [b.tolist() for b in problem.bound[1].band()[:2]] == [[-np.inf, -np.inf], [0.0, np.inf]]
    assert "kept" in str(oa.solve(problem))
    assert totals(two, oa.total("relevance", by="campaign").delivered_so_far(9.0) <= {"a": 3.0}) == pytest.approx(
        [0, 4]
    )


def test_totals_that_may_be_negative_are_not_held_at_zero(two: oa.Candidates) -> None:
    """a has had more than half of what was shown, so b has to catch up."""
    share = E(by="campaign").delivered_so_far({"a": 6.0, "b": 4.0}) - 0.5 * E().delivered_so_far(10.0)
    assert totals(two, share <= 0) == pytest.approx([1, 3])
    assert totals(two, oa.total("drift").delivered_so_far(3.0) <= 1.0) == pytest.approx([1, 3])


def test_what_a_soft_cap_was_overrun_by_counts(two: oa.Candidates) -> None:
    flight = E(by="campaign").delivered_so_far({"a": 12.0})
    problem = oa.Problem(two, REL, oa.soft(flight <= {"a": 10.0}, penalty=0.25).named("cap"), oa.Slate(1))
    solution = oa.solve(problem)
    assert solution.totals["cap"].tolist() == [4, 0]  # of the plan alone
    assert solution.value == pytest.approx(4 - 0.25 * 6) == solution.bound


def test_what_is_left_may_conflict_and_says_by_how_much(two: oa.Candidates) -> None:
    flight = E(by="campaign").delivered_so_far([1.0, 2.0])
    solution = oa.solve(oa.Problem(two, REL, (flight >= [4.0, 6.0]).named("floors"), oa.Slate(1)))
    assert solution.status is oa.Status.INFEASIBLE
    assert sum(conflict.give for conflict in solution.conflicts) == pytest.approx(3.0)
    assert {conflict.limit for conflict in solution.conflicts} == {3.0, 4.0}, "limits are what is left of them"


def test_a_floor_above_a_cap_is_seen_through_deliveries(two: oa.Candidates) -> None:
    flight = E(by="campaign").delivered_so_far({"a": 5.0})
    with pytest.raises(oa.ProblemError, match=r"at least 3 of group 'a'.*at most 2: a floor above its cap"):
        oa.Problem(two, REL, [flight >= {"a": 8.0}, E(by="campaign") <= {"a": 2.0}])
    oa.Problem(two, REL, [flight >= {"a": 8.0}, E(by="campaign").delivered_so_far({"a": 4.0}) <= {"a": 8.0}])


def test_measures_keep_their_deliveries(two: oa.Candidates) -> None:
    labels = ["a", "b"]
    flight = E(by="campaign").delivered_so_far({"b": 4.0})
    assert flight.constant(labels).tolist() == [0, 4]
    assert (0.5 * flight).constant(labels).tolist() == [0, 2]
    assert (-flight / 2).constant(labels).tolist() == [0, -2]
    assert (flight + oa.total("relevance", by="campaign").delivered_so_far([1, 2])).constant(labels).tolist() == [1, 6]
    assert (flight - 0.25 * E().delivered_so_far(8)).constant(labels).tolist() == [-2, 2]
    assert (flight - 0.25 * E().delivered_so_far({None: 8})).constant(labels).tolist() == [-2, 2]
    assert flight.delivered_so_far(1).constant(labels).tolist() == [1, 5]
    assert sum([flight, flight]).constant(labels).tolist() == [0, 8]
    assert str(flight - 2 * E()) == "exposure(by=\"campaign\") - 2 * exposure() + delivered({'b': 4.0})"
    assert str(flight.planned) == 'exposure(by="campaign")'
    given = np.array([1.0, 2.0])
    later = E(by="campaign").delivered_so_far(given)
    given[:] = 9.0
    assert later.constant(labels).tolist() == [1, 2], "numbers are copied"


def test_square_deviation_and_log_look_at_the_flight(two: oa.Candidates) -> None:
    flight = E(by="campaign").delivered_so_far({"a": 6.0})
    even = oa.Problem(two, -oa.square_deviation(flight, 8.0), slate=oa.Slate(1))
    assert oa.solve(even, gap=1e-8).totals[even.names[0]] == pytest.approx([0, 4], abs=1e-3)
    fair = oa.Problem(two, oa.log(E(by="campaign").delivered_so_far({"a": 2.0}), offset=0), slate=oa.Slate(1))
    assert oa.solve(fair, gap=1e-8).totals[fair.names[0]] == pytest.approx([1, 3], abs=1e-3)


def flights(n_hours: int, n_users: int, seed: int) -> oa.Candidates:
    """Users of several hours, campaigns a to d and organic items."""
    rng = np.random.default_rng(seed)
    n_items, per_user = 24, 6
    labels: dict[str, list[Any]] = {
        "campaign": [*"aabbccdd", *[None] * (n_items - 8)],
        "hour": rng.integers(0, n_hours, n_users).tolist(),
    }
    item = np.concatenate([rng.choice(n_items, per_user, replace=False) for _ in range(n_users)])
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * per_user,
        item,
        {"relevance": rng.uniform(0, 1, item.size)},
        users={"hour": labels["hour"]},
        items={"campaign": labels["campaign"]},
    )
    return candidates


def test_a_plan_that_is_made_again_keeps_the_flights_limits() -> None:
    """Plan six hours, deliver two of them otherwise than planned, plan the other four with what is left."""
    floors, caps = {"a": 160.0, "b": 150.0}, {"c": 80.0, "d": 60.0}
    day = flights(6, 600, seed=1)
    plan = oa.solve(
        oa.Problem(
            day,
            REL,
            [
                (E(by="campaign") >= floors).named("floors"),
                (E(by="campaign") <= caps).named("caps"),
                (E(by=("hour", "campaign")) <= 40.0).named("hourly"),
            ],
            oa.Slate(2),
        ),
        gap=1e-6,
    )
    assert plan.status is oa.Status.SOLVED
    hour = np.array(day.users["hour"].labels)[day.users["hour"].codes]
    campaign = np.array([*"aabbccdd", *[""] * 16])
    early = hour[day.user_of(plan.pairs)] < 2
    # a fell short by a half, d ran over its cap
    happened = {"a": 0.5, "b": 1.0, "c": 1.2, "d": 9.0}
    of = campaign[day.item[plan.pairs]]
    delivered = {k: float(plan.x[early & (of == k)].sum()) * factor for k, factor in happened.items()}
    assert delivered["d"] > caps["d"]

    late = np.flatnonzero(hour >= 2)
    pairs = np.concatenate([np.arange(day.indptr[u], day.indptr[u + 1]) for u in late])
    rest = oa.Candidates.from_arrays(
        np.arange(late.size + 1) * 6,
        day.item[pairs],
        {"relevance": day.columns["relevance"][pairs]},
        users={"hour": hour[late]},
        items={"campaign": [*"aabbccdd", *[None] * 16]},
    )
    flight = E(by="campaign").delivered_so_far(delivered)
    again = oa.Problem(
        rest,
        REL,
        [
            (flight >= floors).named("floors"),
            (flight <= caps).named("caps"),
            (E(by=("hour", "campaign")) <= 60.0).named("hourly"),
        ],
        oa.Slate(2),
    )
    replan = oa.solve(again, gap=1e-6, start=plan)
    assert replan.status is oa.Status.SOLVED
    reference = oa.solve(again, solver="conic")
    assert replan.value == pytest.approx(reference.value, rel=1e-5)
    planned = dict(zip("abcd", replan.totals["floors"].tolist(), strict=True))
    whole = {k: delivered[k] + planned[k] for k in "abcd"}
    assert whole["a"] >= floors["a"] - 1e-6
    assert whole["b"] >= floors["b"] - 1e-6
    assert whole["c"] <= caps["c"] + 1e-6
    assert planned["d"] == pytest.approx(0.0, abs=1e-6), "it has had more than its cap"
    without = oa.solve(again.replace(subject_to=again.subject_to[2:]), gap=1e-6)
    assert without.value > replan.value + 1e-3, "the flights' limits bind"


def test_month_turnover_by_label() -> None:
    """Campaigns that end drop out of the prices, new ones start at 0, and the ones that stay keep theirs."""
    from oasis_alloc.program.lowering import lower
    from oasis_alloc.solvers.start import start_prices

    def month(names: list[str]) -> oa.Problem:
        rng = np.random.default_rng(3)
        candidates = oa.Candidates.from_arrays(
            np.arange(61) * 3, np.tile([0, 1, 2], 60), {"relevance": rng.uniform(0, 1, 180)}, items={"campaign": names}
        )
        return oa.Problem(candidates, REL, (E(by="campaign") <= 15.0).named("caps"), oa.Slate(1))

    june, july = month(["ends", "stays", "other"]), month(["stays", "new", "other"])
    before = oa.solve(june)
    prices = before.prices_by_label["caps"]
    assert min(prices.values()) > 0.01
    start, _ = start_prices(lower(july), before.prices_by_label)
    assert dict(zip(july.labels("caps"), start.tolist(), strict=True)) == {
        "new": 0.0,
        "stays": prices["stays"],
        "other": prices["other"],
    }
    warm, cold = oa.solve(july, start=before, gap=1e-8), oa.solve(july, gap=1e-8)
    assert warm.status is oa.Status.SOLVED
    assert warm.value == pytest.approx(cold.value, rel=1e-7)
