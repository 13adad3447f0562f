"""Value and violation of an allocation, computed from its non-zeros."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.base import Engine
from oasis_alloc.engines.shown import Shown, with_shown
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.incumbent import Allocation

_BROADCAST = 4  # a base total in more rows than this is summed once for all of them
_PART = 1 << 20  # pairs looked up at a time


def evaluate(
    engine: Engine, positions: Ints, x: Floats, limits: Program | None = None, whole: Shown | None = None
) -> Allocation:
    """The allocation with its value, its totals and its violation.

    `limits` is the same program with other limits, if the violation of those is asked for; `whole` are more pairs, with
    x = 1.
    """
    program = engine.program
    sums = engine.sums(positions, x) if whole is None else engine.sums_with(whole, positions, x)
    limits = program if limits is None else limits
    known = program.kept_share * sums.activity if limits.hard.any() else sums.activity
    ratios = limits.ratios(sums.totals, known)
    doubtful = np.flatnonzero((ratios > FEASIBLE) & mixed(engine))
    # if another limit is missed by far, the exact miss of these does not matter
    if doubtful.size and ratios[ratios > FEASIBLE].size == doubtful.size:
        known[doubtful] = activity(engine, *with_shown(whole, positions, x), doubtful)
        ratios = limits.ratios(sums.totals, known)
    linear = sums.value + sums.decrement_cost
    violation, over = float(ratios.max(initial=0.0)), 0.0
    if violation > FEASIBLE:
        caps = (sums.totals > limits.bands()[1]) & (engine.survey().min_totals >= 0.0)
        over = float(ratios[caps].max(initial=0.0))
    return Allocation(
        positions,
        x,
        value=sums.value + program.concave(sums.totals),
        totals=sums.totals,
        violation=violation,
        linear=linear,
        size=abs(linear) + abs(sums.decrement_cost) + program.concave_size(sums.totals),
        parts=program.concave_parts(sums.totals),
        whole=whole,
        over=over,
    )


def sizes(engine: Engine, allocation: Allocation) -> Floats:
    """max(|total|, sum_p |a_gp| x_p) of every row, exact where a limit is missed; not used elsewhere."""
    program, totals = engine.program, allocation.totals
    out = np.abs(totals)
    missed = np.flatnonzero((program.ratios(totals) > 0.0) & mixed(engine))
    if missed.size:
        out[missed] = np.maximum(out[missed], activity(engine, *allocation.nonzeros, missed))
    return out


def mixed(engine: Engine) -> npt.NDArray[np.bool_]:
    """(n_rows,) True where pairs add to a row with both signs, so that its total can be much smaller than its parts."""
    survey = engine.survey()
    return (survey.min_totals < 0.0) & (survey.max_totals > 0.0)


def activity(engine: Engine, positions: Ints, x: Floats, rows: Ints) -> Floats:
    """sum_p |a_gp| x_p of some rows, with a_gp what pair p adds to the row after the arithmetic on measures."""
    program = engine.program
    arithmetic = sp.csr_array(program.arithmetic[rows])
    broad = np.bincount(arithmetic.indices, minlength=arithmetic.shape[1]) > _BROADCAST
    shared, own = sp.csr_array(arithmetic[:, broad]), sp.csr_array(arithmetic[:, ~broad])
    first, pattern = _patterns(shared)
    shared = sp.csr_array(shared[first])
    out = np.zeros(rows.size)
    for start in range(0, positions.size, _PART):
        part = slice(start, start + _PART)
        base, weight = program.columns_of(engine.take(positions[part])), x[part]
        common = (shared @ sp.csr_array(base[broad])).toarray()  # of every pair, in every pattern
        out += (np.abs(common) @ weight)[pattern]
        more = sp.coo_array(own @ sp.csr_array(base[~broad]))
        row, pair = more.coords
        before = common[pattern[row], pair]
        out += np.bincount(row, (np.abs(before + more.data) - np.abs(before)) * weight[pair], rows.size)
    return out


def _patterns(matrix: sp.csr_array) -> tuple[Ints, Ints]:
    """(an example of every distinct row, the number of the distinct row for each row)."""
    matrix.sort_indices()
    number: dict[bytes, int] = {}
    first, pattern = [], np.empty(matrix.shape[0], np.int64)
    for k in range(matrix.shape[0]):
        entries = slice(matrix.indptr[k], matrix.indptr[k + 1])
        key = matrix.indices[entries].tobytes() + matrix.data[entries].tobytes()
        if key not in number:
            number[key] = len(number)
            first.append(k)
        pattern[k] = number[key]
    return np.array(first, np.int64), pattern


def missed_cost(program: Program, prices: Floats, totals: Floats) -> float:
    """sum_g |price_g| excess_g: how far a value may exceed the bound of allocations that keep all limits."""
    lower, upper, _ = program.bands()
    excess = np.where(program.hard, np.maximum(np.maximum(totals - upper, lower - totals), 0.0), 0.0)
    return float(np.abs(prices) @ excess)
