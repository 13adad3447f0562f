"""A problem lowered to arrays: the price formula and all data that a solver may use.

Totals are sums over *cells*. A cell is a (segment, class): users with equal labels in all keys share a segment, items
with equal labels share a class. A pass reads, for every pair, its value, its class and the extra columns, and sums one
table `T_k[cell]` per column k (k = 0 is exposure). Everything else is linear and small:

    base totals   t = sum_k B_k T_k           one entry per group of each (column, keys) that the problem names
    measures      e = M t                     rows; M holds the arithmetic, shares included
    prices        lam = V z / row_scale            z: the dual variables (see functions/base.py), V sums them by row
    price tables  P_k = B_k' M' lam           folded once per pass
    priced score  s_p = v_p - sum_k P_k[cell_p] c_pk
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.types import AnyInts, Floats
from oasis_alloc.common.verdicts import ratios
from oasis_alloc.program.pair_arrays import PairArrays, PairReader
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.slate_rules import LoweredRules
from oasis_alloc.statement.functions.base import BoundFunction
from oasis_alloc.statement.functions.support import BoundSupport

_INWARD, _USERS = 1e-7, 1 << 14  # share of a range of prices; users counted at a time
_MOST_SHARES, _SHARES = 1 << 24, 1 << 20  # limits of (row, cell) entries for `kept_share`: in total, and at a time


@dataclass(frozen=True, eq=False)
class RowBlock:
    """The rows of one function: `rows` of the stacked measures, its numbers and its labels."""

    name: str
    rows: slice
    function: BoundFunction
    labels: Sequence[Any]
    variables: slice = field(default_factory=lambda: slice(0, 0))  # its part of the dual variables
    key: str = ""  # the name, without numbers if the user gave none; it decides ties


def block_of(blocks: Sequence[RowBlock], row: int) -> RowBlock:
    """The block that has this row."""
    return next(block for block in blocks if block.rows.start <= row < block.rows.stop)


class Origin(NamedTuple):
    """The candidates' pair that a pair of the program represents, and its share of that pair's probability."""

    pair: npt.NDArray[np.int64]  # (n_pairs,)
    share: Floats  # (n_pairs,)


class Conjugate(NamedTuple):
    """The functions' conjugates at some dual variables, in the units of these."""

    value: float
    gradient: Floats
    diagonal: Floats  # of the Hessian, which has nothing else


@dataclass(frozen=True, eq=False)
class Program:
    """Arrays of a problem; the module's docstring defines the letters."""

    indptr: npt.NDArray[np.int64]
    code: AnyInts  # (n_pairs,) class of the pair's item, unsigned; or its cell, if segments are not folded
    segment: npt.NDArray[np.uint32]  # (n_users,)
    n_segments: int
    n_classes: int
    value: npt.NDArray[np.floating[Any]]  # (n_pairs,) v
    extra: npt.NDArray[np.floating[Any]]  # (K, n_pairs): columns of measures besides exposure
    size: int  # the largest slate
    rules: LoweredRules | None  # all rules of slates, None if one size for all users is the only rule
    blocks: tuple[RowBlock, ...]
    base: tuple[sp.csr_array, ...]  # B_k, (n_base, n_cells), k = 0 .. K
    arithmetic: sp.csr_array  # M, (n_rows, n_base)
    row_scale: Floats  # (n_rows,) typical size of a row's coefficients: z = lam * row_scale is in units of scores
    row: npt.NDArray[np.int64]  # of each dual variable
    lower: Floats  # ranges of z
    upper: Floats
    limit: Floats  # limit / row_scale, so that the linear conjugate is limit @ z
    origin: Origin | None = None  # if pairs represent parts of the candidates' pairs (see supply_and_positions.py)
    stream: PairReader | None = None  # if pairs stay in files; code, value and extra are then empty, of the right types

    @property
    def n_users(self) -> int:
        return int(self.indptr.size - 1)

    @property
    def n_pairs(self) -> int:
        return int(self.indptr[-1])

    @property
    def n_rows(self) -> int:
        return int(self.arithmetic.shape[0])

    @property
    def arrays(self) -> PairArrays:
        """The arrays of pairs that a pass reads."""
        return PairArrays(self.code, self.value, self.extra, self.guard)

    @property
    def guard(self) -> npt.NDArray[np.floating[Any]]:
        """The column of `keep` as given, (1, n_pairs), or (0, n_pairs) without; empty for pairs in files."""
        if self.stream is not None:
            return np.empty((int(self.stream.guard is not None), 0))
        if self.rules is None or not self.rules.target.size:
            return np.empty((0, self.n_pairs))
        return self.rules.guard.column[None, :]

    @property
    def n_cells(self) -> int:
        return self.n_segments * self.n_classes

    @cached_property
    def _base_t(self) -> tuple[sp.csr_array, ...]:
        return tuple(sp.csr_array(b.T) for b in self.base)

    @cached_property
    def _arithmetic_t(self) -> sp.csr_array:
        return sp.csr_array(self.arithmetic.T)

    @cached_property
    def _arithmetic_size(self) -> sp.csr_array:
        return abs(self.arithmetic)

    @cached_property
    def _arithmetic_squared(self) -> sp.csr_array:
        return self.arithmetic.power(2)

    def prices(self, z: Floats) -> Floats:
        """lam = V z / row_scale, (n_rows,)."""
        return np.bincount(self.row, weights=z, minlength=self.n_rows) / self.row_scale

    def variables(self, prices: Floats) -> Floats:
        """z with V z / row_scale = lam, each side of a band with its sign of the price; the nearest in the domain."""
        z = np.clip((prices * self.row_scale)[self.row], self.lower, self.upper)
        for block, function in self.supports:
            z[block.variables] = function.admit(prices[block.rows]) * self.row_scale[block.rows]
        return z

    def admit(self, prices: Floats) -> Floats:
        """The nearest prices in the domain: signs and penalties kept."""
        return self.prices(self.variables(prices))

    def by_variable(self, by_row: Floats) -> Floats:
        """Totals (or changes of totals) by row, in the units of the dual variables' gradient."""
        return (by_row / self.row_scale)[self.row]

    def base_prices(self, prices: Floats) -> Floats:
        """M' lam, (n_base,): the price of a unit of every base total."""
        return np.asarray(self._arithmetic_t @ prices)

    def tables(self, prices: Floats) -> Floats:
        """Price tables P_k, (K + 1, n_segments, n_classes), of prices by row."""
        base = self.base_prices(prices)
        return np.stack([b @ base for b in self._base_t]).reshape(len(self.base), self.n_segments, self.n_classes)

    def widest(self, by_row: Floats) -> Floats:
        """Spread numbers >= 0 by row over the cells, (n_segments, n_classes): the largest of each cell's rows."""
        rows, groups = self.arithmetic.nonzero()
        by_base = np.zeros(self.arithmetic.shape[1])
        np.maximum.at(by_base, groups, by_row[rows])
        out = np.zeros(self.n_cells)
        for matrix in self.base:
            group, cell = matrix.nonzero()
            np.maximum.at(out, cell, by_base[group])
        return out.reshape(self.n_segments, self.n_classes)

    def totals(self, tables: Floats) -> Floats:
        """Measures e, (n_rows,), of the tables T_k of a pass."""
        return np.asarray(self.arithmetic @ self._base_totals(tables))

    def _base_totals(self, tables: Floats) -> Floats:
        flat = tables.reshape(len(self.base), self.n_cells)
        base = self.base[0] @ flat[0]
        for k in range(1, len(self.base)):
            base = base + self.base[k] @ flat[k]
        return np.asarray(base)

    def activity(self, tables: Floats) -> Floats:
        """Sums of absolute contributions to the measures, (n_rows,), from the same tables."""
        return np.asarray(self._arithmetic_size @ self._base_totals(np.abs(tables)))

    def curvature_diagonal(self, tables: Floats) -> Floats:
        """Diagonal of the measures' Hessian by row, from the tables of sums of squares; cross terms left out."""
        return np.asarray(self._arithmetic_squared @ self._base_totals(tables))

    @cached_property
    def curved(self) -> tuple[RowBlock, ...]:
        """The blocks whose conjugate is not linear; they have one dual variable per row."""
        return tuple(b for b in self.blocks if b.function.is_curved)

    @cached_property
    def supports(self) -> tuple[tuple[RowBlock, BoundSupport], ...]:
        """The blocks whose prices have a domain that is not a box; they have one dual variable per row."""
        return tuple((b, b.function) for b in self.blocks if isinstance(b.function, BoundSupport) and len(b.labels))

    def conjugate_at(self, z: Floats) -> Conjugate:
        """The conjugate on the dual variables, in their units; that of support functions is 0 in their domain."""
        value, gradient, curvature = float(self.limit @ z), self.limit.copy(), np.zeros(z.size)
        for block in self.curved:
            unit, own = self.row_scale[block.rows], block.variables
            curve = block.function.curve(z[own] / unit)
            value += curve.value
            gradient[own] = curve.maximizer / unit
            # at an end of the range, the curvature on the inner side
            low, high = self.lower[own], self.upper[own]
            width = np.where(np.isfinite(high - low), _INWARD * (high - low), 0.0)
            inside = np.clip(z[own], low + width, high - width)
            curvature[own] = block.function.curve(inside / unit).slope / unit**2
        return Conjugate(value, gradient, curvature)

    def nearest(self, z: Floats, slope: Floats, metric: Floats, lower: Floats, upper: Floats) -> Floats:
        """The dual variables w with the least `slope @ (w - z) + metric / 2 @ (w - z)^2`.

        Single ones are between the limits, those of support functions in their domain.
        """
        out = np.clip(z - slope / metric, lower, upper)
        for block, function in self.supports:
            unit, own = self.row_scale[block.rows], block.variables
            out[own] = -unit * function.nearest(-z[own] / unit, -slope[own] * unit, metric[own] * unit**2)
        return out

    def reach(self) -> tuple[Floats, Floats]:
        """(smallest, largest) total of every row if every candidate could be shown: one pass over the pairs."""
        from oasis_alloc.kernels.solve.decide import reach as add_up
        from oasis_alloc.kernels.solve.visit import Pairs

        def read(indptr: npt.NDArray[np.int64], arrays: PairArrays, segment: npt.NDArray[np.uint32]) -> Pairs:
            """Arrays that cannot be written, as an engine has them: others would have other compiled types."""
            code, value, extra, _ = arrays
            return Pairs(readonly(indptr), readonly(code), readonly(value), readonly(extra), readonly(segment))

        positive = np.zeros((len(self.base), self.n_cells))
        negative = np.zeros_like(positive)
        if self.stream is None:
            pairs = read(self.indptr, self.arrays, self.segment)
            add_up(0, self.n_users, pairs, self.n_classes, positive, negative)
            return self.reached(positive, negative)
        for first, last, indptr, arrays in self.stream.blocks(self.indptr, self.arrays):
            add_up(first, last, read(indptr, arrays, self.segment), self.n_classes, positive, negative)
        return self.reached(positive, negative)

    def reached(self, positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
        """(smallest, largest) total of every row, from tables of the positive and negative parts of all columns."""
        up, down = self._base_totals(positive), self._base_totals(negative)
        more, less = self.arithmetic.maximum(0), self.arithmetic.minimum(0)
        return np.asarray(more @ down + less @ up), np.asarray(more @ up + less @ down)

    def conjugate(self, prices: Floats) -> float:
        """sum_j F_j*(lam_j), plus infinity outside the domain."""
        return float(sum(b.function.conjugate(prices[b.rows]) for b in self.blocks))

    def concave(self, totals: Floats) -> float:
        """sum of the functions that are not constraints, at these totals."""
        return float(sum(b.function.value(totals[b.rows]) for b in self.blocks if not b.function.is_constraint))

    def concave_size(self, totals: Floats) -> float:
        """Sum of the absolute values of the same functions."""
        return float(sum(abs(b.function.value(totals[b.rows])) for b in self.blocks if not b.function.is_constraint))

    def concave_parts(self, totals: Floats) -> float:
        """Sum of the absolute numbers that `concave` adds up at these totals."""
        return float(sum(b.function.parts(totals[b.rows]) for b in self.blocks if not b.function.is_constraint))

    def conjugate_parts(self, prices: Floats) -> float:
        """Sum of the absolute numbers that `conjugate` adds up at these prices; what is not finite is left out."""
        parts = [np.abs(self.limit * self.variables(prices))]
        for block in self.curved:
            price = prices[block.rows]
            curve = block.function.curve(price)
            with np.errstate(invalid="ignore", over="ignore"):
                parts += [np.abs(curve.values), np.abs(price * curve.maximizer)]
        return float(sum(part[np.isfinite(part)].sum() for part in parts))

    def violation(self, totals: Floats, activity: Floats | None = None) -> float:
        """Worst over hard limits of excess / max(|limit|, activity); `activity` as in `verdicts.ratios`."""
        return float(self.ratios(totals, activity).max(initial=0.0))

    def ratios(self, totals: Floats, activity: Floats | None = None) -> Floats:
        """The same for every row, 0 in rows without hard limits."""
        lower, upper, _ = self.bands()
        hard = self.hard
        return ratios(totals, np.where(hard, lower, -np.inf), np.where(hard, upper, np.inf), activity)

    @cached_property
    def hard(self) -> npt.NDArray[np.bool_]:
        """(n_rows,) True for the rows of constraints."""
        out = np.zeros(self.n_rows, np.bool_)
        for block in self.blocks:
            out[block.rows] = block.function.is_constraint
        return out

    @cached_property
    def kept_share(self) -> Floats:
        """(n_rows,) the smallest net contribution of a cell to a row, as a share of its absolute parts.

        1 if all coefficients of a row have the same sign; for a share of a quarter, 0.75 / 1.25; 0 if several columns
        may cancel in a pair.
        """
        column = np.zeros(self.arithmetic.shape[1], np.int64)
        for at, matrix in enumerate(self.base):
            column[np.diff(matrix.indptr) > 0] = at
        row, base = self.arithmetic.nonzero()
        out, k = np.ones(self.n_rows), column[base]
        first, last = np.full(self.n_rows, len(self.base)), np.zeros(self.n_rows, np.int64)
        np.minimum.at(first, row, k)
        np.maximum.at(last, row, k)
        out[first < last] = 0.0
        signs = self.arithmetic.sign()
        mixed = np.flatnonzero((out > 0.0) & (signs.min(axis=1).toarray() * signs.max(axis=1).toarray() < 0.0))
        if mixed.size * self.n_cells > _MOST_SHARES:
            out[mixed] = 0.0
            return out
        at_a_time = max(1, _SHARES // max(1, self.n_cells))
        for start in range(0, mixed.size, at_a_time):
            some = mixed[start : start + at_a_time]
            arithmetic, of = self.arithmetic[some], {int(k) for k in first[some]}
            parts = sum((abs(arithmetic) @ self.base[k]).toarray() for k in of)
            left = np.abs(sum((arithmetic @ self.base[k]).toarray() for k in of))
            share = np.divide(left, parts, out=np.ones_like(left), where=parts > 0.0)
            out[some] = share.min(axis=1, initial=1.0)
        return out

    @cached_property
    def n_limited(self) -> int:
        """Rows that can have a price."""
        return int(np.unique(self.row).size)

    @property
    def holds_back(self) -> bool:
        """True if slates have to show something: scaling one down may break a rule."""
        return self.rules is not None and self.rules.holds_back

    def bands(self) -> tuple[Floats, Floats, Floats]:
        """(lower, upper, penalty) of every row."""
        parts = [block.function.band() for block in self.blocks]
        if not parts:
            return np.empty(0), np.empty(0), np.empty(0)
        lower, upper, penalty = (np.concatenate(side) for side in zip(*parts, strict=True))
        return lower, upper, penalty

    def columns_of(self, pairs: PairView) -> sp.csr_array:
        """Contributions of single pairs to base totals: (n_base, len(pairs)) sparse, the columns of B for them."""
        out = self.base[0][:, pairs.cells]
        for k in range(1, len(self.base)):
            out = out + self.base[k][:, pairs.cells] @ sp.diags_array(pairs.extra(k - 1))
        return sp.csr_array(out)

    def users_of(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """User numbers of pairs."""
        return np.searchsorted(self.indptr, pairs, side="right") - 1

    @property  # it is used once or twice, and has 8 bytes per user
    def slots_by_user(self) -> AnyInts:
        """(n_users,) slots that can be filled."""
        return np.minimum(np.diff(self.indptr), self.size if self.rules is None else self.rules.size)

    @cached_property
    def slots(self) -> float:
        """Slots that can be filled, users counted by their weight."""
        return self.n_slots if self.rules is None else float(self.slots_by_user @ self.rules.weight)

    @cached_property
    def n_slots(self) -> float:
        """Slots that can be filled, every user counted once."""
        if self.rules is not None:
            return float(self.slots_by_user.sum())
        counts = (np.diff(self.indptr[k : k + _USERS + 1]) for k in range(0, self.n_users, _USERS))
        return float(sum(int(np.minimum(n, self.size).sum()) for n in counts))

    def diminished(self, shown: PairView, x: Floats) -> float:
        """The sum of decrements of an allocation, given by its non-zeros."""
        if self.rules is None:
            return 0.0
        return self.rules.decrement_cost(shown.users, shown.code, x)


def dual_variables(
    blocks: Sequence[RowBlock], unit: Floats
) -> tuple[list[RowBlock], npt.NDArray[np.int64], Floats, Floats, Floats]:
    """(blocks with their slices, row, lower, upper, limit) of the dual variables, in the units of z."""
    if not blocks:
        return [], np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0)
    boxes = [block.function.price_box() for block in blocks]
    ends = np.cumsum([0, *(box.group.size for box in boxes)]).tolist()
    told = [replace(b, variables=slice(ends[k], ends[k + 1])) for k, b in enumerate(blocks)]
    row = np.concatenate([block.rows.start + box.group for block, box in zip(blocks, boxes, strict=True)])
    low, high, limit = (np.concatenate([box[k] for box in boxes]) for k in range(1, 4))
    return told, row, low * unit[row], high * unit[row], limit / unit[row]
