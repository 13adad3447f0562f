"""The basis that prices make: a start for the linear program, and its answer read back as the program's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers import finisher
from oasis_alloc.solvers.crash_basis import crash_basis
from oasis_alloc.solvers.highs import BASIC, LinearProgram, solve_lp
from oasis_alloc.solvers.repair import trimmed
from oasis_alloc.solvers.restricted import Restricted

E, VALUE = oa.exposure, oa.total("value")


@pytest.fixture(scope="module")
def candidates() -> oa.Candidates:
    rng = np.random.default_rng(3)
    n_users, each, n_items = 2_000, 20, 60
    item = np.sort(np.argsort(rng.random((n_users, n_items)), axis=1)[:, :each], axis=1)
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * each,
        item.ravel(),
        {"value": rng.gamma(2.0, 1.0, item.size), "streams": rng.uniform(0.5, 2.0, item.size)},
        users={"market": rng.choice(["de", "se"], n_users)},
        items={"campaign": np.arange(n_items) % 30, "genre": np.arange(n_items) % 5},
    )


PROBLEMS: dict[str, tuple[oa.Objective, list[Any], oa.Slate]] = {
    "caps": (VALUE, [E("campaign") <= 190], oa.Slate(size=3)),
    "ranges": (
        VALUE,
        [E("campaign") >= 150, E("campaign") <= 210, oa.total("streams", by="genre") >= 900],
        oa.Slate(size=3),
    ),
    "shares": (VALUE, [E("campaign") - 0.05 * E() <= 0, E("genre") >= 0.15 * E()], oa.Slate(size=3)),
    "curved": (VALUE + 20.0 * oa.log(E("campaign"), offset=1.0), [E("genre") <= 1_150], oa.Slate(size=3)),
    "filled": (VALUE - 3.0 * E(), [E("campaign") <= 190], oa.Slate(size=3, at_least=2)),
    "rules": (VALUE, [E("campaign") <= 190], oa.Slate(size=3, at_most={"genre": 1})),
    "diminishing": (VALUE, [E("campaign") <= 190], oa.Slate(size=4, diminishing={"genre": 0.3})),
    "guards": (VALUE, [E("campaign") <= 190], oa.Slate(size=3, keep={"streams": 0.6})),
    "full guards": (VALUE - 3.0 * E(), [E("campaign") <= 190], oa.Slate(3, at_least=2, keep={"streams": 0.6})),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_same_optimum_in_fewer_steps(name: str, candidates: oa.Candidates, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Restricted] = []

    def solve(part: Restricted, basis: Any, prices: Any, seconds: Any) -> Any:
        if basis is not None:
            return original(part, basis, prices, seconds)
        seen.append(part)
        start = crash_basis(part, prices[part.rows])
        lp, rows = part.lp, part.lp.matrix.shape[0]
        assert sum(np.count_nonzero(side == BASIC) for side in start.basis) == rows
        found = solve_lp(start.lp, start.basis)
        assert found is not None
        got, cold = start.back(found), solve_lp(lp)
        assert cold is not None
        assert got.iterations < 0.8 * cold.iterations
        scale = 1.0 + abs(lp.cost @ cold.x)
        assert lp.cost @ got.x == pytest.approx(lp.cost @ cold.x, abs=1e-9 * scale)
        total = lp.matrix @ got.x
        assert (np.maximum(lp.row_lower - total, total - lp.row_upper) <= 1e-7 * (1.0 + abs(total))).all()
        assert ((got.x >= lp.lower - 1e-8) & (got.x <= lp.upper + 1e-8)).all()
        # prices: whose limit does not bind has none, and what a column brings beyond them says where it stands
        brings = lp.cost - lp.matrix.T @ got.prices
        assert (brings[got.x > lp.lower + 1e-7] >= -1e-7).all()
        assert (brings[got.x < lp.upper - 1e-7] <= 1e-7).all()
        assert (got.prices[total < lp.row_upper - 1e-7 * (1.0 + abs(total))] <= 1e-7).all()
        assert (got.prices[total > lp.row_lower + 1e-7 * (1.0 + abs(total))] >= -1e-7).all()
        again = solve_lp(lp, (got.columns, got.rows))  # but for rows whose prices did not move, the optimal basis
        assert again is not None
        assert again.iterations < 0.5 * got.iterations
        return got

    original = finisher._solve
    monkeypatch.setattr(finisher, "_solve", solve)
    maximize, limits, slate = PROBLEMS[name]
    solution = oa.solve(oa.Problem(candidates, maximize=maximize, subject_to=limits, slate=slate), gap=1e-7)
    assert solution.status is oa.Status.SOLVED
    assert seen
    assert seen[0].n_slates > 0


def test_a_start_that_the_simplex_method_cannot_use_is_left() -> None:
    first = (0.006520271542296063, 0.0028359336468484885, 0.0074968166037654065)
    streams = np.array([*first, 0.0034832254992448975, 0.003077562464491951, 0.0007322210675308616])
    pairs = np.vstack([np.tile(0.5 * streams, (4, 1)), np.zeros((2, 6))])
    pairs[[0, 1, 2, 3], [0, 2, 1, 3]] += [74.75, 74.75, -300.25, -0.25]
    pairs[4, ::2], pairs[5, 1::2] = streams[::2] - 1.0, streams[1::2] - 1.0
    floors = [0.005243088000323263, 67.28024308800033, -270.2197569119997, 0.005243088000323263]
    slates = np.kron(np.eye(3), [1.0, 1.0])
    slacks = np.vstack([np.zeros((3, 12)), np.hstack([-np.eye(6), np.eye(6)])])
    slack_cost = [-40.0] * 4 + [-3e8] * 2
    lp = LinearProgram(
        cost=np.array([75.0, -300.0, 75.0, 0.0, -75.0, 0.0, *slack_cost, *slack_cost]),
        matrix=sp.csc_array(np.hstack([np.vstack([slates, pairs]), slacks])),
        row_lower=np.array([-np.inf] * 3 + floors + [-np.inf] * 2),
        row_upper=np.array([1.0] * 3 + [np.inf] * 4 + [-1.2417337927801115, -1.7466149005525033]),
        lower=np.zeros(18),
        upper=np.array([1.0] * 6 + [np.inf] * 12),
    )
    columns = np.array([1, 1, 1, 1, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0], np.int8)
    warm, cold = solve_lp(lp, (columns, np.array([2, 2, 2, 1, 0, 1, 0, 2, 2], np.int8))), solve_lp(lp)
    assert warm is not None
    assert cold is not None
    assert lp.cost @ warm.x == pytest.approx(lp.cost @ cold.x, rel=1e-9)


def test_a_little_too_much_is_taken_from_fractional_pairs(candidates: oa.Candidates) -> None:
    problem = oa.Problem(candidates, maximize=VALUE, subject_to=[E("campaign") <= 190.5], slate=oa.Slate(size=3))
    solution = oa.solve(problem, gap=1e-6)
    with Threads(lower(problem), 1) as engine:
        x = solution.x.copy()
        open_ = np.flatnonzero(x < 1.0)
        x[open_] = np.minimum(1.0 - 1e-6, x[open_] + 1e-3)
        _, totals = engine.add_up(solution.pairs, x)
        out = trimmed(engine, solution.pairs, x, totals)
        assert out is not None
        _, after = engine.add_up(solution.pairs, out)
        assert engine.program.violation(totals) > 1e-6
        assert engine.program.violation(after) <= 1e-12
        assert (out[x == 1.0] == 1.0).all()
        assert (out <= x).all()
        short = np.abs(after - totals).sum()
        assert short == pytest.approx(np.maximum(totals - engine.program.bands()[1], 0.0).sum(), rel=1e-6)
        assert trimmed(engine, solution.pairs, np.ones(x.size), totals * 1.5) is not None  # whole ones, at need
