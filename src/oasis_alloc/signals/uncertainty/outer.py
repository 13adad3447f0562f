"""The best allocation for the worst weights of the draws, by solves of ordinary problems.

For weights q of the draws, D(q) = max_x q @ V(x) + F(x) is an ordinary problem, and its bound is a bound of the risk's
optimum (see risks.py). Every solve adds an allocation, whose values in all draws are known. The best mixture of these
allocations is a small linear program: it gives the value, and its dual a lower estimate of D (Kelley, J. SIAM 8:703,
1960; in x, column generation of Dantzig and Wolfe, Oper. Res. 8:101, 1960). The next q is the one nearest to the best q
whose estimate is at most a level between value and bound (Lemarechal, Nemirovskii and Nesterov, Math. Program. 69:111,
1995): with 100 draws a quarter of the solves of steps to the estimate's own minimum (docs/decisions/0015).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE, relative_gap
from oasis_alloc.signals.uncertainty.mixing import best_mixture, nearest_weights
from oasis_alloc.signals.uncertainty.risks import least
from oasis_alloc.signals.uncertainty.weighted import DrawnObjective
from oasis_alloc.solution import Solution
from oasis_alloc.solve import solve

_LEVEL = 0.3  # of the way from value to bound, at which the next weights are looked for
_INNER = 0.3  # gap of a solve, as a share of the gap that is left
_FIRST_GAP = 0.03
_MAX_SOLVES = 100


@dataclass(eq=False)
class Cuts:
    """The allocations of all solves, their values in the draws, and the best bound."""

    values: list[Floats] = field(default_factory=list)  # (n_draws,) each
    rest: list[float] = field(default_factory=list)  # the part of the objective that is not uncertain
    solutions: list[Solution] = field(default_factory=list)
    bound: float = np.inf
    weights: Floats = field(default_factory=lambda: np.empty(0))  # those of the bound
    proof: Solution | None = None  # the solve that proved it

    def add(self, solution: Solution, weights: Floats, values: Floats) -> None:
        """Take the bound of a solve, and its allocation if it keeps the limits."""
        if solution.bound < self.bound:
            self.bound, self.weights, self.proof = solution.bound, weights, solution
        if solution.violation <= FEASIBLE:
            self.values.append(values)
            self.rest.append(solution.value - float(weights @ values))
            self.solutions.append(solution)


@dataclass(frozen=True, eq=False)
class Mixed:
    """The end of the outer method."""

    solution: Solution  # of the problem of the weights that prove the bound; with the mixed allocation
    value: float
    bound: float
    weights: Floats
    values: Floats  # (n_draws,) objective in every draw
    solves: int


def solve_draws(
    drawn: DrawnObjective, cap: float, gap: float, time_limit: float | None, threads: int | None
) -> Solution | Mixed:
    """The mixed allocation with its bound; a solution alone if a solve ended without an allocation."""
    begun, cuts = time.perf_counter(), Cuts()
    weights = np.full(drawn.draws.number, 1.0 / drawn.draws.number)
    fixed = cap <= weights[0] * (1.0 + 1e-12)  # the mean: there are no other weights
    inner, tried = _FIRST_GAP, list[Floats]()
    if fixed:
        inner = gap
    for _ in range(_MAX_SOLVES):
        left = None if time_limit is None else max(time_limit - (time.perf_counter() - begun), 1e-3)
        # from the beginning: near the last prices, weights that moved far leave many open pairs to the linear program
        problem, wanted = drawn.weighted(weights), max(inner, gap if fixed else _INNER * gap)
        solution = solve(problem, gap=wanted, time_limit=left, threads=threads)
        if solution.status.name == "INFEASIBLE" or (not cuts.values and solution.violation > FEASIBLE):
            return solution
        cuts.add(solution, weights, drawn.values(solution.pairs, solution.x))
        values, rest = np.array(cuts.values), np.array(cuts.rest)
        shares, dual = best_mixture(values, rest, cap)
        value = least(shares @ values, cap)[0] + float(shares @ rest)
        missing = relative_gap(cuts.bound, value)
        tried.append(weights)
        if missing <= gap or fixed or solution.status.name not in ("SOLVED", "STALLED"):
            break
        inner = _INNER * missing
        near = nearest_weights(cuts.weights, values, rest, value + _LEVEL * (cuts.bound - value), cap)
        weights = dual if near is None or _is_among(near, tried) else near
    return _mixed(drawn, cuts, shares, cap, len(tried), time.perf_counter() - begun, gap)


def _is_among(weights: Floats, tried: list[Floats]) -> bool:
    return any(float(np.abs(weights - other).max()) <= 1e-9 for other in tried)


def _mixed(
    drawn: DrawnObjective, cuts: Cuts, shares: Floats, cap: float, solves: int, seconds: float, gap: float
) -> Mixed:
    """The mixture of the allocations, evaluated for itself."""
    from oasis_alloc.engines import engine_for
    from oasis_alloc.engines.shown import NonZeros
    from oasis_alloc.program.lowering import lower
    from oasis_alloc.program.supply_and_positions import folded
    from oasis_alloc.solvers.evaluation import evaluate, sizes
    from oasis_alloc.solvers.monitor import Status

    proof = cuts.proof
    assert proof is not None  # there is an allocation, so there was a bound
    used = np.flatnonzero(shares > 1e-12)
    share = shares[used] / shares[used].sum()
    parts = [_program_pairs(cuts.solutions[k]) for k in used]
    program = lower(proof.problem)
    if any(part is None for part in parts):  # slot weights without the solver's own pairs: take the best one alone
        best = int(np.argmax([least(v, cap)[0] + r for v, r in zip(cuts.values, cuts.rest, strict=True)]))
        parts, share = [(cuts.solutions[best].pairs, cuts.solutions[best].x)], np.ones(1)
    positions, x = _sum([part for part in parts if part is not None], share, program.n_pairs)
    with engine_for(program, proof.threads) as engine:
        found = evaluate(engine, positions, x)
        pairs, shown = folded(program, positions, x)
        known, diminished = sizes(engine, found), program.diminished(engine.take(positions), x)
    values = drawn.values(pairs, shown) if share.size == 1 else share @ np.array([cuts.values[k] for k in used])
    rest = found.value - float(cuts.weights @ values)
    value = least(values, cap)[0] + rest
    missing = relative_gap(cuts.bound, value, found.size)
    solution = replace(
        proof,
        status=Status.SOLVED if missing <= gap else proof.status if proof.status.name != "SOLVED" else Status.STALLED,
        value=float(found.value),
        bound=max(cuts.bound, float(found.value)),
        gap=relative_gap(cuts.bound, float(found.value), found.size),
        violation=program.violation(found.totals, known),
        totals={block.name: found.totals[block.rows] for block in program.blocks},
        sizes={block.name: known[block.rows] for block in program.blocks if block.function.is_constraint},
        _nonzeros=NonZeros(pairs, shown),
        diminished=diminished,
        passes=sum(one.passes for one in cuts.solutions),
        seconds=seconds,
        _kept=None,
    )
    return Mixed(solution, float(value), cuts.bound, cuts.weights, values + rest, solves)


def _program_pairs(solution: Solution) -> tuple[Ints, Floats] | None:
    """The allocation over the pairs of the program, which has several of each with slot weights."""
    if solution._kept is not None:
        return solution._kept.nonzeros.pairs, solution._kept.nonzeros.x
    return None if solution.problem.slate.slot_weights is not None else (solution.pairs, solution.x)


def _sum(parts: list[tuple[Ints, Floats]], shares: Floats, n_pairs: int) -> tuple[Ints, Floats]:
    """Non-zeros of the weighted sum of some allocations."""
    whole: npt.NDArray[np.float64] = np.zeros(n_pairs)
    for (positions, x), share in zip(parts, shares, strict=True):
        whole[positions] += share * x
    positions = np.flatnonzero(whole)
    return positions, whole[positions]
