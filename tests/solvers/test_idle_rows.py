"""Rows and cells that cannot have a price cost nothing, and change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from effort import diagonal, full_only

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.program.lowering import SIZES, lower
from oasis_alloc.program.narrowing import Narrowing, priced_rows, with_merged_cells, with_rows
from oasis_alloc.program.variants import without_idle_limits
from oasis_alloc.solvers.settings import DUAL

USERS, DEGREE, CAMPAIGNS = 300, 12, 10


def market(seed: int = 0) -> oa.Candidates:
    """Two users per person; a person has a campaign's items several times."""
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(5 * CAMPAIGNS, DEGREE, replace=False) for _ in range(USERS)])
    return oa.Candidates.from_arrays(
        DEGREE * np.arange(USERS + 1),
        item,
        {"value": rng.lognormal(0.0, 0.5, item.size)},
        items={"campaign": np.arange(5 * CAMPAIGNS) % CAMPAIGNS, "song": np.arange(5 * CAMPAIGNS)},
        users={"person": np.arange(USERS) // 2},
    )


def frequent(most: float = 1.0, by: str = "campaign") -> oa.Problem:
    caps = (oa.exposure(by="campaign") <= 80.0).named("caps")
    often = (oa.exposure(by=("person", by)) <= most).named("often")
    return oa.Problem(market(), oa.total("value"), [caps, often], oa.Slate(3))


def test_only_rows_that_can_have_a_price_are_left() -> None:
    whole = lower(frequent(3.0))
    with engine_for(whole, 1) as engine:
        survey = engine.survey()
        program = without_idle_limits(whole, survey.min_totals, survey.max_totals)
        rows = priced_rows(program)
        narrow = with_rows(program, rows)
        assert 0 < rows.size < 0.9 * program.n_rows
        assert narrow.row.size == program.row.size  # all dual variables are there
        z = np.random.default_rng(1).random(program.row.size)
        assert narrow.prices(z) == pytest.approx(program.prices(z)[rows])
        assert not np.delete(program.prices(z), rows).any()
        assert narrow.tables(narrow.prices(z)) == pytest.approx(program.tables(program.prices(z)))
        assert [len(block.labels) for block in narrow.blocks] == [b.rows.stop - b.rows.start for b in narrow.blocks]
        first = narrow.blocks[-1]
        assert first.labels[0] == program.blocks[-1].labels[int(rows[first.rows.start]) - program.blocks[-1].rows.start]


def test_cells_that_add_the_same_to_every_row_become_one() -> None:
    with SIZES.using(folded_cells=0):
        whole = lower(frequent(1.0, by="song"))
    with engine_for(whole, 1) as engine:
        survey = engine.survey()
        program = without_idle_limits(whole, survey.min_totals, survey.max_totals)
        narrow = with_rows(program, priced_rows(program))
        merged = with_merged_cells(narrow)
        assert merged.n_cells < 0.5 * narrow.n_cells
        prices = narrow.prices(np.random.default_rng(2).random(narrow.row.size))
        with engine_for(narrow, 1) as one, engine_for(merged, 1) as other:
            visits = one.visit(prices, 0.1), other.visit(prices, 0.1)
        assert visits[1].smoothed == pytest.approx(visits[0].smoothed, rel=1e-12)
        assert visits[1].totals == pytest.approx(visits[0].totals, rel=1e-12)
        assert visits[1].diagonal == pytest.approx(visits[0].diagonal, rel=1e-12)


def test_a_program_of_cells_that_all_differ_stays_as_it_is() -> None:
    program = lower(oa.Problem(market(), oa.total("value"), oa.exposure(by="campaign") <= 80.0, oa.Slate(3)))
    assert with_merged_cells(program) is program


def reached(times: float = 1.0, by: str = "song") -> oa.Problem:
    """Most persons have one candidate of a song, which they cannot be shown more than once."""
    caps = (oa.exposure(by="campaign") <= 80.0).named("caps")
    reach = 0.3 * oa.reach(oa.exposure(by=("person", by)), times).named("reach")
    return oa.Problem(market(), oa.total("value") + reach, [caps], oa.Slate(3))


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_rows_whose_price_is_known_become_one(times: float) -> None:
    whole = lower(reached(times))
    with engine_for(whole, 1) as engine:
        survey = engine.survey()
        narrowing = Narrowing.of(whole, survey.max_totals, 2.0)
        assert narrowing is not None
        narrow = narrowing.program
        joined = np.bincount(narrowing.part[narrowing.part >= 0], minlength=narrow.n_rows)
        assert (joined > 1).sum() == (1 if times >= 1.0 else 0)
        assert (survey.max_totals[narrowing.part == joined.argmax()] <= times).all() or times < 1.0
        z = narrow.variables(-np.random.default_rng(3).random(narrow.n_rows))
        prices, of_whole = narrow.prices(z), narrowing.prices_of_whole(narrow.prices(z))
        if times >= 1.0:
            assert prices[joined.argmax()] == pytest.approx(-0.3)
        assert narrowing.variables(narrowing.variables_of_whole(z)) == pytest.approx(z)
        assert narrow.conjugate(prices) == pytest.approx(whole.conjugate(of_whole))
        assert narrowing.sums(survey.max_totals) == pytest.approx(engine.survey().narrowed(narrowing).max_totals)
        visit = engine.visit(of_whole, 0.1)
        with engine.narrowed(narrowing) as fewer:
            other = fewer.visit(prices, 0.1)
            positions, x = other.slates()
        assert other.smoothed == pytest.approx(visit.smoothed, rel=1e-12)
        assert other.totals == pytest.approx(narrowing.sums(visit.totals), rel=1e-12)
        totals = engine.add_up(positions, x)[1]
        assert narrow.concave(narrowing.sums(totals)) == pytest.approx(whole.concave(totals), rel=1e-12)


@pytest.mark.parametrize("times", [1.0, *full_only(0.5, 2.0)])
def test_the_answer_is_that_with_a_price_per_row(times: float) -> None:
    problem = reached(times)
    narrow = oa.solve(problem, gap=1e-9)
    with DUAL.using(few_rows=0.0):
        wide = oa.solve(problem, gap=1e-9)
    assert narrow.status is wide.status is oa.Status.SOLVED
    assert narrow.value == pytest.approx(wide.value, rel=2e-9)
    assert narrow.bound >= wide.value * (1 - 1e-12)
    assert narrow.prices["reach"].shape == wide.prices["reach"].shape
    assert -0.3 - 1e-12 <= narrow.prices["reach"].min() <= narrow.prices["reach"].max() <= 0.0


def test_a_checkpoint_of_joined_rows_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = oa.solve(reached(), gap=1e-9, pass_limit=4, checkpoint=path)
    again = oa.solve(reached(), gap=1e-9, resume=path)
    assert first.status is oa.Status.PASS_LIMIT
    assert again.status is oa.Status.SOLVED
    warm = oa.solve(reached(), gap=1e-9, start=again)
    assert warm.value == pytest.approx(again.value, rel=2e-9)


@pytest.mark.parametrize("by", ["campaign", "song"])
@pytest.mark.parametrize("most", [*full_only(1.0), 3.0])
def test_the_answer_is_that_with_all_rows(most: float, by: str) -> None:
    problem = frequent(most, by)
    with SIZES.using(folded_cells=0):
        narrow = oa.solve(problem, gap=1e-9)
        with DUAL.using(few_rows=0.0):
            wide = oa.solve(problem, gap=1e-9)
    assert narrow.status is wide.status is oa.Status.SOLVED
    assert narrow.value == pytest.approx(wide.value, rel=2e-9)
    assert narrow.totals["often"].shape == wide.totals["often"].shape
    assert (narrow.totals["often"] <= most * (1 + 1e-6)).all()
    assert narrow.prices["often"].shape == wide.prices["often"].shape
    bound = narrow.bound
    assert bound >= wide.value * (1 - 1e-12)


def test_a_checkpoint_of_few_rows_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "state"
    problem = frequent(3.0)
    first = oa.solve(problem, gap=1e-9, pass_limit=4, checkpoint=path)
    again = oa.solve(problem, gap=1e-9, resume=path)
    assert first.status is oa.Status.PASS_LIMIT
    assert again.status is oa.Status.SOLVED
    assert again.passes > first.passes


LOOSE = {  # beyond what all candidates of a group add up to
    "a cap": oa.exposure(by=("person", "song")) <= 1e6,
    "a floor": oa.total("value", by="person") >= -1.0,
    "a soft cap": oa.soft(oa.exposure(by="song") <= 1e9, penalty=3.0),
    "no number": oa.exposure(by="person") <= np.inf,
}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("floor", "options"),
    diagonal({"met": 700.0, "in conflict": 850.0}, {"infeasible": {}, "relax": {"on_conflict": "relax"}}),
)
def test_constraints_that_cannot_bind_leave_every_bit_as_it_is(options: dict[str, str], floor: float) -> None:
    """Their totals are reported, and their prices are 0."""
    caps = (oa.exposure(by="campaign") <= 80.0).named("caps")
    floors = (oa.exposure() >= floor).named("floors")
    objective = oa.total("value") + 3.0 * oa.log(oa.exposure(by="campaign"))
    bare = oa.Problem(market(), objective, [caps, floors], oa.Slate(3))
    loose = [function.named(name) for name, function in LOOSE.items()]
    full = bare.replace(subject_to=[loose[0], caps, *loose[1:3], floors, loose[3]])
    weights = {"floors": 2.0, "a cap": 3.0}
    one = oa.solve(bare, relax_weights={"floors": 2.0}, **options)  # type: ignore[arg-type]
    other = oa.solve(full, relax_weights=weights, **options)  # type: ignore[arg-type]
    assert other.status is one.status
    assert other.conflicts == one.conflicts
    assert np.array_equal(other.allocation, one.allocation) if one.pairs.size else not other.pairs.size
    assert np.array_equal([other.value, other.bound], [one.value, one.bound], equal_nan=True)
    assert list(other.totals) == list(full.names)
    assert all(np.array_equal(other.totals[name], total) for name, total in one.totals.items())
    if one.status is oa.Status.INFEASIBLE:
        assert other.prices == {}
        return
    assert list(other.prices) == list(full.names)
    assert all(np.array_equal(other.prices[name], price) for name, price in one.prices.items())
    assert not any(other.prices[name].any() for name in LOOSE)
    by_person = np.bincount(np.repeat(np.arange(USERS) // 2, DEGREE), other.allocation * market().columns["value"])
    assert other.totals["a floor"] == pytest.approx(by_person)
    assert set(other.sizes) == {"a cap", "caps", "a floor", "floors", "no number"}


def test_a_session_leaves_them_out_again_and_finds_prices_of_those_that_bind_later() -> None:
    problem = frequent(3.0).replace(
        subject_to=[
            (oa.exposure(by="campaign") <= 80.0).named("caps"),
            (oa.exposure(by="song") <= 1e6).named("songs"),
        ]
    )
    session = oa.Session(problem)
    first = session.solve(gap=1e-6)
    session.change(limits={"caps": 70.0})
    second = session.solve(gap=1e-6)
    assert session.reused.arrays == "structure"
    session.change(limits={"songs": 10.0})
    third = session.solve(gap=1e-6)
    assert not first.prices["songs"].any()
    assert not second.prices["songs"].any()
    assert third.prices["songs"].any()
    for solution in (second, third):
        again = oa.solve(solution.problem, gap=1e-6)
        assert solution.value == pytest.approx(again.value, rel=2e-6)
    assert oa.solve(problem, start=third).value == pytest.approx(first.value, rel=2e-4)
    assert oa.solve(problem, start={"songs": {0: 0.5}, "caps": {0: 0.1}}).status is oa.Status.SOLVED
