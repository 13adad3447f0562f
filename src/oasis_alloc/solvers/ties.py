"""Chooses which of several least relaxations is reported, and which met limits are named, for any solver.

Often several relaxations have the same least total, and several prices prove it. A simplex code returns any of them,
and an unrelated row or another unit makes it return another. So two more linear programs make the choice. Both stay on
the optimal face: a limit with a price in one optimal solution binds in all of them (complementary slackness), so the
least total cannot grow.

1. Among the least totals, the one with the least sum of `share * weight * excess`. A row's share is a number between 1
   and 2 that follows from the constraint's name and the group's label alone.
2. Among the prices that prove it, those with the least sum of `share * |price| / weight`.

Shares are practically random, so each program has one solution. Neither depends on the order of rows, users or pairs;
on units, as weights are of a unit; or on limits that are not in the program. Perturbation against ties: Charnes,
"Optimality and degeneracy in linear programming", Econometrica 20:160.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import without_rounding
from oasis_alloc.solvers.highs import LinearProgramError, solve_lp
from oasis_alloc.solvers.linear import BASIC, LinearProgram, LinearSolution
from oasis_alloc.solvers.restricted import Restricted

_ABOUT_ZERO = 1e-11
_PRICED = 1e-7  # relative to the parts of a column: a smaller reduced cost is rounding
_AT = 1e-7  # relative to a column's or row's size: closer than this counts as at the limit


@dataclass(frozen=True, eq=False)
class Choice:
    """The allocation and the prices that are reported."""

    positions: npt.NDArray[np.int64]
    x: Floats
    prices: Floats  # by row
    more: float  # than the least total that was given: slates keep all that they have to keep, without any rounding


def choose(
    program: Program, part: Restricted, smallest: LinearSolution, weights: Floats, seconds: float | None, clear: bool
) -> Choice | None:
    """The choice among the least relaxations; None if there is none, or time ran out.

    `part` is the whole relaxation as a linear program (see `variants.relaxed`), `smallest` a solution of it;
    `weights` are of a missed unit, by row of `program`, with the original limits. If the conflict is not `clear` of
    rounding, ties are not broken.

    With `keep`, slates may lack a billionth of what they have to keep. A total can gain many times of that, and an
    amount that is reported as enough would be too small for slates that lack nothing. So the chosen ones lack nothing.
    """
    share, more = shares(program), 0.0
    if not (clear or part.slates.n_guards):
        return None
    try:
        if part.slates.n_guards:
            part, found = _kept_exactly(program, part), smallest
            exact = solve_lp(part.lp, (found.columns, found.rows), seconds)
            if exact is None:
                return None
            more, smallest = max(0.0, float(part.lp.cost @ (found.x - exact.x))), exact
        if not clear:
            return _choice(program, part, smallest, smallest, more)
        basis = smallest.columns, smallest.rows
        chosen = solve_lp(_smallest_cost_among(part, smallest, (share * weights)[part.rows]), basis, seconds)
        if chosen is None:
            return None
        proof = solve_lp(_proofs(part, chosen, (share / weights)[part.rows]), basis, seconds)
    except LinearProgramError:  # numbers too different in size for HiGHS: keep the relaxation that was found
        return None
    return None if proof is None else _choice(program, part, chosen, proof, more)


def _choice(program: Program, part: Restricted, chosen: LinearSolution, proof: LinearSolution, more: float) -> Choice:
    told = np.zeros(program.n_rows)
    told[part.rows] = part.prices(proof)
    x = np.clip(chosen.x[: part.pairs.size], 0.0, 1.0)
    kept = np.flatnonzero(x > _ABOUT_ZERO)
    return Choice(part.pairs[kept], x[kept], told, more)


def _kept_exactly(program: Program, part: Restricted) -> Restricted:
    """The same program for slates that keep all that they have to, not all but an amount for rounding."""
    rules = program.rules
    assert rules is not None  # there are guards
    lower = part.lp.row_lower.copy()
    lower[: part.n_slates] = part.slates.lower_of(rules, without_rounding(rules.target))
    return replace(part, lp=replace(part.lp, row_lower=lower))


def shares(program: Program) -> Floats:
    """(n_rows,) numbers in [1, 2) of the rows with a hard limit, from names and labels alone; 1 elsewhere."""
    out, seen = np.ones(program.n_rows), Counter[str]()
    for block in program.blocks:
        lower, upper, _ = block.function.band()
        for g in np.flatnonzero(np.isfinite(lower) | np.isfinite(upper)).tolist():
            text = f"{block.key}\0{_text(block.labels[g])}"
            seen[text] += 1
            digest = blake2b(f"{text}\0{seen[text]}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
            out[block.rows.start + g] = 1.0 + int.from_bytes(digest, "little") / 2.0**64
    return out


def _text(label: Any) -> str:
    """A label as text, equal for all libraries."""
    return "\0".join(map(_text, label)) if isinstance(label, tuple) else str(label)


def _smallest_cost_among(part: Restricted, smallest: LinearSolution, cost: Floats) -> LinearProgram:
    """The program whose solutions are those of `part` with the least `cost` of what `part.rows` miss."""
    lp = part.lp
    size, row_size = _sizes(lp, smallest.prices)
    reduced = lp.cost - lp.matrix.T @ smallest.prices
    priced = (smallest.columns != BASIC) & (np.abs(reduced) > _PRICED * size)
    tight = (smallest.rows != BASIC) & (row_size > _PRICED)
    lower, upper = _fixed(lp.lower, lp.upper, priced & (reduced > 0.0), priced & (reduced < 0.0))
    row_lower, row_upper = _fixed(
        lp.row_lower, lp.row_upper, tight & (smallest.prices > 0.0), tight & (smallest.prices < 0.0)
    )
    costs = np.zeros(lp.cost.size)
    costs[part.slacks] = -np.tile(cost, 2)
    return replace(lp, cost=costs, lower=lower, upper=upper, row_lower=row_lower, row_upper=row_upper)


def _fixed(
    lower: Floats, upper: Floats, high: npt.NDArray[np.bool_], low: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """The limits, with some fixed at the upper one and some at the lower one, if finite."""
    high, low = high & np.isfinite(upper), low & np.isfinite(lower)
    return np.where(high, upper, lower), np.where(low, lower, upper)


def _proofs(part: Restricted, chosen: LinearSolution, room: Floats) -> LinearProgram:
    """The program whose prices are those that prove the least total, with the least `room` times their sizes.

    It computes, to first order, the gain in the total if every binding limit is relaxed by its room.
    """
    lp, x = part.lp, chosen.x
    made = abs(lp.matrix)
    activity, size = lp.matrix @ x, made @ np.abs(x)
    give = np.zeros(lp.matrix.shape[0])
    give[part.n_slates : part.n_slates + part.rows.size] = room
    at_least, at_most = _at(x, lp.lower, lp.upper, np.maximum(np.abs(x), _typical(part)))
    row_at_least, row_at_most = _at(activity, lp.row_lower, lp.row_upper, np.maximum(size, _largest_of_rows(lp)))
    return replace(
        lp,
        lower=np.where(at_least, 0.0, -np.inf),
        upper=np.where(at_most, 0.0, np.inf),
        row_lower=np.where(row_at_least, -give, -np.inf),
        row_upper=np.where(row_at_most, give, np.inf),
    )


def _at(
    numbers: Floats, lower: Floats, upper: Floats, size: Floats
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether numbers are at their lower and at their upper limits."""
    return numbers <= lower + _AT * size, numbers >= upper - _AT * size


def _typical(part: Restricted) -> Floats:
    """Size of every column: 1 for probabilities, the contribution of a candidate for misses of rows."""
    out = np.ones(part.lp.cost.size)
    largest = _largest_of_rows(part.lp)[part.n_slates : part.n_slates + part.rows.size]
    out[part.slacks] = np.tile(largest, 2)
    return out


def _largest_of_rows(lp: LinearProgram) -> Floats:
    """The largest coefficient of a probability in each row, 0 where it has none."""
    mine = sp.csr_array(abs(lp.matrix[:, : lp.n_fixed]))
    return np.asarray(mine.max(axis=1).toarray()).ravel() if lp.n_fixed else np.zeros(lp.matrix.shape[0])


def _sizes(lp: LinearProgram, prices: Floats) -> tuple[Floats, Floats]:
    """(the absolute parts of every column's reduced cost, the largest part from one row's price)."""
    matrix = lp.matrix
    of = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))
    parts = np.abs(matrix.data * prices[matrix.indices])
    size: Floats = np.abs(lp.cost) + np.bincount(of, parts, matrix.shape[1])
    share = np.zeros(matrix.shape[0])
    np.maximum.at(share, matrix.indices, parts / np.where(size > 0.0, size, 1.0)[of])
    return size, share
