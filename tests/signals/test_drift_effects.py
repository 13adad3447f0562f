"""Totals on other candidates at the same prices, and which way prices would move: compared with solving again."""

from __future__ import annotations

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc import engines
from oasis_alloc.engines.base import Engine

N_USERS, DEGREE, N_ITEMS = 400, 8, 40


def market(seed: int, lift: float = 0.0, noise: float = 0.0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(N_ITEMS, DEGREE, replace=False) for _ in range(N_USERS)])
    artist = np.arange(N_ITEMS) % 4
    r = rng.random(item.size) + lift * (artist[item] == 0)
    r += noise * np.random.default_rng(seed + 100).standard_normal(item.size)
    return oa.Candidates.from_arrays(np.arange(N_USERS + 1) * DEGREE, item, {"r": r}, items={"artist": artist})


@pytest.fixture(scope="module")
def solution() -> oa.Solution:
    exposure = oa.exposure(by="artist")
    limits = [(exposure <= {0: 150.0}).named("caps"), (exposure >= {3: 260.0}).named("floors")]
    return oa.solve(oa.Problem(market(0), oa.total("r"), limits, oa.Slate(2)))


def test_the_same_candidates_change_little(solution: oa.Solution) -> None:
    effects = oa.drift_effects(solution, market(0), tolerance=0.05)
    assert {(one.name, one.label) for one in effects} == {("caps", 0), ("floors", 3)}
    for one in effects:
        assert one.now == pytest.approx(one.before, rel=0.03)
        assert one.moves == ""


def test_directions_are_those_of_solving_again(solution: oa.Solution) -> None:
    lifted = market(0, lift=0.2)
    effects = {one.name: one for one in oa.drift_effects(solution, lifted)}
    again = oa.solve(solution.problem.replace(candidates=lifted))
    assert effects["caps"].now > 1.2 * 150.0
    assert effects["caps"].moves == "up"
    assert again.prices["caps"][0] > solution.prices["caps"][0] == effects["caps"].price
    assert effects["floors"].moves == "down"
    # where the cap pays the lift, slates are as before, and the floor's earlier price is one of the best ones
    assert again.prices["caps"][0] == pytest.approx(solution.prices["caps"][0] + 0.2, abs=0.01)
    assert again.prices["floors"][3] <= solution.prices["floors"][3] < 0
    lowered = market(0, lift=-0.2)
    effects = {one.name: one for one in oa.drift_effects(solution, lowered)}
    assert effects["caps"].moves == "down"
    assert oa.solve(solution.problem.replace(candidates=lowered)).prices["caps"][0] < solution.prices["caps"][0]


def test_totals_are_those_of_the_policy(solution: oa.Solution) -> None:
    lifted = market(5, lift=0.1)
    effects = {one.name: one for one in oa.drift_effects(solution, lifted)}
    slates = solution.policy().select_batch(lifted.indptr, lifted.item, lifted.columns)
    artist = np.arange(N_ITEMS)[lifted.item[slates[slates >= 0]]] % 4
    assert effects["caps"].now == pytest.approx((artist == 0).sum(), rel=0.03)
    assert effects["floors"].now == pytest.approx((artist == 3).sum(), rel=0.03)


@pytest.mark.parametrize(
    ("lift", "noise"), [(0.0, 0.0), (0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (-0.1, 0.0), (0.05, 0.1), (0.0, 0.2)]
)
def test_new_prices_are_near_those_of_solving_again_and_take_one_visit(
    lift: float, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exposure = oa.exposure(by="artist")
    limits = [(exposure <= {0: 150.0, 1: 190.0}).named("caps"), (exposure >= {3: 260.0}).named("floors")]
    solution = oa.solve(oa.Problem(market(0), oa.total("r"), limits, oa.Slate(2)))
    today = market(0, lift, noise)
    made: list[Engine] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            engines, "engine_for", lambda program, of=engines.engine_for: made.append(of(program)) or made[-1]
        )
        effects = oa.drift_effects(solution, today)
    assert [engine.passes for engine in made] == [1.0]
    again = oa.solve(solution.problem.replace(candidates=today))
    served, new, solved = np.array([[one.price, one.new_price, again.prices[one.name][one.label]] for one in effects]).T
    assert np.abs(new - solved).max() <= 0.15 * np.abs(served - solved).max() + 0.005
    assert all(one.new_price >= 0.0 if one.name == "caps" else one.new_price <= 0.0 for one in effects)


def test_new_prices_of_functions_and_coupled_limits_stay_in_their_ranges() -> None:
    exposure = oa.exposure(by="artist")
    limits = [(exposure <= 200.0).named("caps"), oa.soft(exposure >= {2: 250.0}, penalty=0.3).named("soft")]
    goal = oa.total("r") + 5.0 * oa.log(oa.total("r", by="artist"), offset=1.0) + 3.0 * oa.worst_off(exposure)
    solution = oa.solve(oa.Problem(market(0), goal, limits, oa.Slate(2)))
    today = market(0, 0.1)
    again = oa.solve(solution.problem.replace(candidates=today))
    effects = [one for one in oa.drift_effects(solution, today) if one.name == "caps"]
    assert len(effects) == 4
    for one in effects:
        assert one.new_price >= 0.0
        assert one.new_price == pytest.approx(again.prices["caps"][one.label], abs=0.05)


@pytest.mark.parametrize("as_array", [True, False])
def test_limits_stay_with_their_labels_where_groups_come_and_go(as_array: bool) -> None:
    def of(labels: list[str]) -> oa.Candidates:
        item, r = np.tile(np.arange(6), 60), np.random.default_rng(4).random(360)
        return oa.Candidates.from_arrays(np.arange(61) * 6, item, {"r": r}, items={"song": labels})

    limit = [10.0, 30.0, 500.0] if as_array else {"a": 10.0, "b": 30.0, "c": 500.0}
    caps = (oa.exposure(by="song") <= limit).named("caps")
    floors = (oa.exposure(by="song") >= {"b": 20.0}).named("floors")
    solution = oa.solve(oa.Problem(of(list("abcabc")), oa.total("r"), [caps, floors], oa.Slate(2)))
    effects = {(one.name, one.label): one for one in oa.drift_effects(solution, of(list("acdacd")))}
    assert {key: one.upper for key, one in effects.items() if key[0] == "caps"} == {
        ("caps", "a"): 10.0, ("caps", "b"): 30.0, ("caps", "c"): 500.0
    }  # fmt: skip
    gone = effects["floors", "b"]
    assert (gone.lower, gone.now, gone.moves) == (20.0, 0.0, "down")
    assert gone.before >= 20.0 - 1e-6
    assert effects["caps", "b"].before == gone.before
    assert gone.new_price == 0.0


def test_a_conflict_has_no_prices_to_judge_by() -> None:
    floors = (oa.exposure(by="artist") >= {3: 1e6}).named("floors")
    conflict = oa.solve(oa.Problem(market(0), oa.total("r"), floors, oa.Slate(2)))
    with pytest.raises(oa.SolverError, match="the problem is infeasible"):
        oa.drift_effects(conflict, market(1))


def test_bad_input(solution: oa.Solution) -> None:
    with pytest.raises(oa.InputError, match="expected a solution"):
        oa.drift_effects(market(0), market(0))  # type: ignore[arg-type]
    with pytest.raises(oa.InputError, match="tolerance=-1"):
        oa.drift_effects(solution, market(0), tolerance=-1)
    with pytest.raises(oa.ProblemError, match="'artist'"):
        oa.drift_effects(solution, oa.Candidates.from_arrays([0, 1], [0], {"r": [0.5]}))
