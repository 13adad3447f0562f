"""A problem lowered to arrays: the price formula and everything that a solver may know of a problem.

Totals are sums over *cells*. A cell is a (segment, class): users that no key tells apart share a segment, items that no
key tells apart share a class. A pass reads, for every pair, its value, its class and the extra columns, and adds up one
table `T_k[cell]` per column k (k = 0 is exposure). Everything else is linear and small:

    base totals   t = sum_k B_k T_k           one entry a group of each (column, keys) that the problem names
    measures      e = M t                     rows; M holds the arithmetic, shares included
    prices        lam = V z / unit            z: the dual variables (see functions/base.py), V sums them by row
    price tables  P_k = B_k' M' lam           folded once a pass
    priced score  s_p = v_p - sum_k P_k[cell_p] c_pk
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.candidates import Candidates
from oasis_alloc.errors import ProblemError
from oasis_alloc.functions.base import BoundFunction, Floats
from oasis_alloc.functions.soft import BoundSoft
from oasis_alloc.grouping import Grouping
from oasis_alloc.measures import Measure, Term
from oasis_alloc.problem import Problem

Ints = npt.NDArray[np.integer[Any]]

_FOLD_LIMIT = 1 << 22  # cells that are always worth a folded table (32 MiB a column)


@dataclass(frozen=True, eq=False)
class Block:
    """The rows of one function: `rows` of the stacked measures, its numbers and its labels."""

    name: str
    rows: slice
    function: BoundFunction
    labels: Sequence[Any]
    variables: slice = field(default_factory=lambda: slice(0, 0))  # its part of the dual variables


@dataclass(frozen=True, eq=False)
class Program:
    """Arrays of a problem; see the module's text for the letters."""

    indptr: npt.NDArray[np.int64]
    code: Ints  # (n_pairs,) class of the pair's item, unsigned; or its cell, where segments are not folded
    segment: npt.NDArray[np.uint32]  # (n_users,)
    n_segments: int
    n_classes: int
    value: npt.NDArray[np.floating[Any]]  # (n_pairs,) v
    extra: npt.NDArray[np.floating[Any]]  # (K, n_pairs): columns of measures besides exposure
    size: int
    category: npt.NDArray[np.int32]  # (n_systems, n_cells or n_classes) of the slate's nested rules, finest first
    most: npt.NDArray[np.int64]  # (n_systems,) items of one category in a slate
    blocks: tuple[Block, ...]
    base: tuple[sp.csr_array, ...]  # B_k, (n_base, n_cells), k = 0 .. K
    arithmetic: sp.csr_array  # M, (n_rows, n_base)
    unit: Floats  # (n_rows,) typical size of a row's coefficients: z = lam * unit is in units of scores
    row: npt.NDArray[np.int64]  # of each dual variable
    lower: Floats  # ranges of z
    upper: Floats
    limit: Floats  # limit / unit, so that the linear conjugate is limit @ z

    @property
    def n_users(self) -> int:
        return int(self.indptr.size - 1)

    @property
    def n_pairs(self) -> int:
        return int(self.code.size)

    @property
    def n_rows(self) -> int:
        return int(self.arithmetic.shape[0])

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
        """lam = V z / unit, (n_rows,)."""
        return np.bincount(self.row, weights=z, minlength=self.n_rows) / self.unit

    def variables(self, prices: Floats) -> Floats:
        """z with V z / unit = lam, each side of a band taking its sign of the price; cut to the ranges."""
        return np.clip((prices * self.unit)[self.row], self.lower, self.upper)

    def admit(self, prices: Floats) -> Floats:
        """The nearest prices in the domain: signs and penalties kept."""
        return self.prices(self.variables(prices))

    def by_variable(self, by_row: Floats) -> Floats:
        """Totals (or changes of totals) by row, in the units of the dual variables' gradient."""
        return (by_row / self.unit)[self.row]

    def tables(self, prices: Floats) -> Floats:
        """Price tables P_k, (K + 1, n_segments, n_classes), of prices by row."""
        base = self._arithmetic_t @ prices
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
        """Measures e, (n_rows,), of the tables T_k that a pass adds up."""
        return np.asarray(self.arithmetic @ self._base_totals(tables))

    def _base_totals(self, tables: Floats) -> Floats:
        flat = tables.reshape(len(self.base), self.n_cells)
        base = self.base[0] @ flat[0]
        for k in range(1, len(self.base)):
            base = base + self.base[k] @ flat[k]
        return np.asarray(base)

    def activity(self, tables: Floats) -> Floats:
        """Sizes of what the measures add up, (n_rows,), from the same tables: no part cancels another."""
        return np.asarray(self._arithmetic_size @ self._base_totals(np.abs(tables)))

    def curvature_diagonal(self, tables: Floats) -> Floats:
        """Diagonal of the measures' Hessian by row, from the tables of sums of squares; cross terms left out."""
        return np.asarray(self._arithmetic_squared @ self._base_totals(tables))

    @cached_property
    def curved(self) -> tuple[Block, ...]:
        """The blocks whose conjugate is not linear; they have one dual variable a row."""
        return tuple(b for b in self.blocks if b.function.is_curved)

    def conjugate_at(self, z: Floats) -> tuple[float, Floats, Floats]:
        """The conjugate on the dual variables: value, gradient and diagonal of the Hessian, in the units of z."""
        value, gradient, bend = float(self.limit @ z), self.limit.copy(), np.zeros(z.size)
        for block in self.curved:
            unit, own = self.unit[block.rows], block.variables
            curve = block.function.curve(z[own] / unit)
            value += curve.value
            gradient[own] = curve.maximiser / unit
            bend[own] = curve.slope / unit**2
        return value, gradient, bend

    def reach(self) -> tuple[Floats, Floats]:
        """(least, most) total of every row if every candidate could be shown: one pass over the pairs."""
        from oasis_alloc.kernels.decide import reach as add_up
        from oasis_alloc.kernels.visit import Pairs

        positive = np.zeros((len(self.base), self.n_cells))
        negative = np.zeros_like(positive)
        pairs = Pairs(self.indptr, self.code, self.value, self.extra, self.segment)
        add_up(0, self.n_users, pairs, self.n_classes, positive, negative)
        up, down = self._base_totals(positive), self._base_totals(negative)
        more, less = self.arithmetic.maximum(0), self.arithmetic.minimum(0)
        return np.asarray(more @ down + less @ up), np.asarray(more @ up + less @ down)

    def conjugate(self, prices: Floats) -> float:
        """sum_j F_j*(lam_j), plus infinity outside the domain."""
        return float(sum(b.function.conjugate(prices[b.rows]) for b in self.blocks))

    def concave(self, totals: Floats) -> float:
        """sum of the functions that are not constraints, at these totals."""
        return float(sum(b.function.value(totals[b.rows]) for b in self.blocks if not b.function.is_constraint))

    def violation(self, totals: Floats) -> float:
        """Worst over constraints of (sum of excess) / max(1, sum of limits)."""
        worst = 0.0
        for block in self.blocks:
            if block.function.is_constraint:
                excess = block.function.excess(totals[block.rows])
                worst = max(worst, float(excess.sum()) / limit_size(block.function))
        return worst

    def bands(self) -> tuple[Floats, Floats, Floats]:
        """(lower, upper, penalty) of every row."""
        parts = [block.function.band() for block in self.blocks]
        if not parts:
            return np.empty(0), np.empty(0), np.empty(0)
        lower, upper, penalty = (np.concatenate(side) for side in zip(*parts, strict=True))
        return lower, upper, penalty

    def columns_of(self, pairs: npt.NDArray[np.int64]) -> sp.csr_array:
        """Base totals that single pairs add up: (n_base, len(pairs)) sparse, the columns of B for these pairs."""
        cell = self.cells_of(pairs)
        out = self.base[0][:, cell]
        for k in range(1, len(self.base)):
            out = out + self.base[k][:, cell] @ sp.diags_array(self.extra[k - 1, pairs].astype(np.float64))
        return sp.csr_array(out)

    def users_of(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """User numbers of pairs."""
        return np.searchsorted(self.indptr, pairs, side="right") - 1

    def categories_of(self, pairs: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
        """By rule of the slate: a number for each pair's user and category, -1 for none; and how many at most."""
        user = self.users_of(pairs)
        for of, most in zip(self.category, self.most.tolist(), strict=True):
            category = of[self.code[pairs]].astype(np.int64)
            yield np.where(category >= 0, user * (int(of.max(initial=0)) + 1) + category, -1), most

    def cells_of(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Cell numbers of pairs."""
        user = self.users_of(pairs)
        return self.segment[user].astype(np.int64) * self.n_classes + self.code[pairs].astype(np.int64)


def relaxed(program: Program, tilt: float) -> Program:
    """The same demands with next to nothing to gain: every hard unit missed costs 1, soft demands count nothing.

    Values are multiplied by `tilt`: 0 leaves pairs of the same cell tied, a little tells them apart.
    """
    blocks = []
    for block in program.blocks:
        low, high, _ = block.function.band()
        free = np.full(low.size, np.inf)
        hard = block.function.is_constraint
        function = BoundSoft(low, high, 1.0) if hard else BoundSoft(-free, free, 1.0)
        blocks.append(replace(block, function=function))
    blocks, row, low, high, limit = _dual_variables(blocks, program.unit)
    value = program.value.astype(np.float64) * tilt if tilt else np.zeros(program.n_pairs, np.float32)
    return replace(program, value=value, blocks=tuple(blocks), row=row, lower=low, upper=high, limit=limit)


def _dual_variables(
    blocks: Sequence[Block], unit: Floats
) -> tuple[list[Block], npt.NDArray[np.int64], Floats, Floats, Floats]:
    """(blocks told where theirs are, row, lower, upper, limit) of the dual variables, in the units of z."""
    if not blocks:
        return [], np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0)
    boxes = [block.function.price_box() for block in blocks]
    ends = np.cumsum([0, *(box.group.size for box in boxes)]).tolist()
    told = [replace(b, variables=slice(ends[k], ends[k + 1])) for k, b in enumerate(blocks)]
    row = np.concatenate([block.rows.start + box.group for block, box in zip(blocks, boxes, strict=True)])
    low, high, limit = (np.concatenate([box[k] for box in boxes]) for k in range(1, 4))
    return told, row, low * unit[row], high * unit[row], limit / unit[row]


def limit_size(function: BoundFunction) -> float:
    """max(1, sum of the limits of a constraint): what its excess is measured against."""
    lower, upper, _ = function.band()
    limit = np.maximum(
        np.where(np.isfinite(lower), np.abs(lower), 0.0), np.where(np.isfinite(upper), np.abs(upper), 0.0)
    )
    return max(1.0, float(limit.sum()))


def lower(problem: Problem) -> Program:
    """Lower a problem to arrays."""
    cands = problem.candidates
    terms = _base_terms(problem)
    groupings = {by: cands.grouping(by or None) for _, by in terms}
    columns = sorted({column for column, _ in terms if column is not None})
    rules = [cands.grouping(key) for key in problem.slate.at_most]
    cells = _Cells.of(cands, [*groupings.values(), *rules])
    category, most = _nested(problem, cells, rules)

    slices, start = [], 0
    for _, by in terms:
        slices.append(slice(start, start + groupings[by].n_groups))
        start += groupings[by].n_groups
    base = tuple(
        _stack(
            [(s, cells.groups(groupings[by])) for (column, by), s in zip(terms, slices, strict=True) if column == of],
            start,
            cells.n_cells,
        )
        for of in [None, *columns]
    )
    place = dict(zip(terms, slices, strict=True))
    blocks, matrices, rows = [], [], 0
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        matrix = _arithmetic(function.measure, cands, groupings, place, start)
        blocks.append(Block(name, slice(rows, rows + matrix.shape[0]), bound, problem.labels(name)))
        matrices.append(matrix)
        rows += matrix.shape[0]
    arithmetic = sp.csr_array(sp.vstack(matrices)) if matrices else sp.csr_array((0, start))
    unit = _units(arithmetic, terms, slices, cands)
    blocks, row, low, high, limit = _dual_variables(blocks, unit)
    program = Program(
        indptr=cands.indptr,
        code=cells.code,
        segment=cells.segment,
        n_segments=cells.n_segments,
        n_classes=cells.n_classes,
        value=blend(problem.maximize.linear, cands),
        extra=_extra(cands, columns),
        size=problem.slate.size,
        category=category,
        most=most,
        blocks=tuple(blocks),
        base=base,
        arithmetic=arithmetic,
        unit=unit,
        row=row,
        lower=low,
        upper=high,
        limit=limit,
    )
    return _within_reach(program) if program.curved else program


def _within_reach(program: Program) -> Program:
    """The program with its curved functions told what their totals can reach, which bounds their prices."""
    least, most = program.reach()
    blocks = [replace(b, function=b.function.within(least[b.rows], most[b.rows])) for b in program.blocks]
    blocks, row, low, high, limit = _dual_variables(blocks, program.unit)
    return replace(program, blocks=tuple(blocks), row=row, lower=low, upper=high, limit=limit)


def _nested(
    problem: Problem, cells: _Cells, rules: list[Grouping]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Categories of the slate's rules by class, the finest key first; rules that cross are refused."""
    keys = list(problem.slate.at_most)
    of = [rule.item_part[cells.item_of[: cells.n_classes]].astype(np.int32) for rule in rules]
    order: list[int] = []
    left = list(range(len(keys)))
    while left:  # a key goes next if its categories lie within one category, or none, of every key that is left
        straddling = {k: [(j, _straddling(of[k], of[j])) for j in left if j != k] for k in left}
        finest = next((k for k in left if all(found is None for _, found in straddling[k])), None)
        if finest is None:
            # of the key that comes closest; the more categories, the more likely it was meant to be the finer one
            k = max(left, key=lambda k: (-sum(f is not None for _, f in straddling[k]), np.unique(of[k]).size))
            j, found = next((j, found) for j, found in straddling[k] if found is not None)
            label = problem.candidates.groups(keys[k])[found]
            raise ProblemError(
                f"{problem.slate!r}: {keys[k]} {label!r} has items of more than one {keys[j]}, or of one and of none, "
                "so the rules cross. Rules by several keys must be nested; leave one of them out."
            )
        order.append(finest)
        left.remove(finest)
    category = np.stack([of[k] for k in order]) if order else np.empty((0, cells.n_classes), np.int32)
    return category, np.array([problem.slate.at_most[keys[k]] for k in order], np.int64)


def _straddling(finer: npt.NDArray[np.int32], coarser: npt.NDArray[np.int32]) -> int | None:
    """A category of `finer` whose classes are of several of `coarser`, or of one and of none; None if there is none."""
    has = finer >= 0
    pairs = np.unique(np.stack([finer[has], coarser[has]]), axis=1)
    double = np.flatnonzero(np.diff(pairs[0]) == 0)
    return int(pairs[0, double[0]]) if double.size else None


def blend(linear: Measure | None, cands: Candidates) -> npt.NDArray[np.floating[Any]]:
    """v_p = sum_k w_k c_pk in float64, in the objective's order; a single column of weight 1 is taken as it is."""
    terms = linear.terms if linear is not None else ()
    if len(terms) == 1 and terms[0].coefficient == 1.0 and terms[0].column is not None:
        return cands.columns[terms[0].column]
    out = np.zeros(cands.n_pairs)
    for term in terms:
        if term.column is None:
            out += term.coefficient
        else:
            out += term.coefficient * cands.columns[term.column].astype(np.float64)
    return out


def _base_terms(problem: Problem) -> list[tuple[str | None, tuple[str, ...]]]:
    """The distinct (column, keys) of all measures under functions, in order of appearance."""
    seen: dict[tuple[str | None, tuple[str, ...]], None] = {}
    for function in problem.functions:
        for term in function.measure.terms:
            seen.setdefault((term.column, term.by))
    return list(seen)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Users and items reduced to what the keys of a problem tell apart."""

    code: Ints
    segment: npt.NDArray[np.uint32]
    n_segments: int
    n_classes: int
    user_of: npt.NDArray[np.int64]  # (n_cells,) a user of each cell's segment
    item_of: npt.NDArray[np.int64]  # (n_cells,) an item of each cell's class

    @property
    def n_cells(self) -> int:
        return int(self.user_of.size)

    @classmethod
    def of(cls, cands: Candidates, groupings: list[Grouping]) -> _Cells:
        user_class, user_first = _classes([g.user_part for g in groupings], cands.n_users)
        item_class, item_first = _classes([g.item_part for g in groupings], cands.n_items)
        n_segments, n_classes = user_first.size, item_first.size
        if n_classes == cands.n_items:  # every item is its own class: keep the candidates' own numbers
            code: Ints = cands.item
            item_first = np.arange(cands.n_items)
        else:
            code = _narrow(item_class, n_classes)[cands.item]
        if n_segments * n_classes <= max(_FOLD_LIMIT, 2 * cands.n_pairs) or cands.n_pairs == 0:
            users = np.repeat(user_first, n_classes)
            return cls(
                code, user_class.astype(np.uint32), n_segments, n_classes, users, np.tile(item_first, n_segments)
            )
        # too many segments for a folded table: number the (segment, class) that occur, one code a pair
        key = np.repeat(user_class.astype(np.int64), np.diff(cands.indptr)) * n_classes + code
        cell, inverse = np.unique(key, return_inverse=True)
        return cls(
            _narrow(inverse, cell.size), np.zeros(cands.n_users, np.uint32), 1, cell.size,
            user_first[cell // n_classes], item_first[cell % n_classes],
        )  # fmt: skip

    def groups(self, grouping: Grouping) -> npt.NDArray[np.int64]:
        """Group of every cell, -1 where it has none."""
        return np.asarray(grouping.of(grouping.user_part[self.user_of], grouping.item_part[self.item_of]), np.int64)


def _classes(parts: list[npt.NDArray[np.int32]], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the distinct rows of several code columns: (class of each, first member of each class)."""
    klass = np.zeros(n, np.int64)
    for part in parts:
        if part.size and (part[0] != part).any():
            _, klass = np.unique(klass * (int(part.max()) + 2) + part + 1, return_inverse=True)
    _, first = np.unique(klass, return_index=True)
    return klass, first.astype(np.int64)


def _narrow(codes: npt.NDArray[np.int64], n: int) -> Ints:
    return codes.astype(np.uint16 if n <= 1 << 16 else np.uint32)


def _stack(parts: list[tuple[slice, npt.NDArray[np.int64]]], n_base: int, n_cells: int) -> sp.csr_array:
    rows, cols = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for place, groups in parts:
        has = np.flatnonzero(groups >= 0)
        rows.append(place.start + groups[has])
        cols.append(has)
    row, col = np.concatenate(rows), np.concatenate(cols)
    return sp.csr_array((np.ones(row.size), (row, col)), shape=(n_base, n_cells))


def _arithmetic(
    measure: Measure,
    cands: Candidates,
    groupings: dict[tuple[str, ...], Grouping],
    place: dict[tuple[str | None, tuple[str, ...]], slice],
    n_base: int,
) -> sp.csr_array:
    """The rows of M of one measure; terms with fewer keys are broadcast over the groups of the widest."""
    labels = cands.groups(measure.by or None)
    rows, cols, data = [], [], []
    for term in measure.terms:
        target = _project(term, measure.by, labels, cands)
        has = np.flatnonzero(target >= 0)
        rows.append(has)
        cols.append(place[term.column, term.by].start + target[has])
        data.append(np.full(has.size, term.coefficient))
    index = (np.concatenate(rows), np.concatenate(cols))
    return sp.csr_array((np.concatenate(data), index), shape=(len(labels), n_base))


def _units(
    arithmetic: sp.csr_array,
    terms: list[tuple[str | None, tuple[str, ...]]],
    slices: list[slice],
    cands: Candidates,
) -> Floats:
    """Typical coefficient of a pair in each row, so that rows of relevance and of exposure are priced alike."""
    typical = np.ones(arithmetic.shape[1])
    for (column, _), place in zip(terms, slices, strict=True):
        if column is not None and cands.n_pairs:
            typical[place] = float(np.mean(np.abs(cands.columns[column]), dtype=np.float64)) or 1.0
    biggest = abs(arithmetic) @ sp.diags_array(typical)
    size = np.asarray(biggest.max(axis=1).todense()).ravel() if biggest.nnz else np.zeros(arithmetic.shape[0])
    return np.where(size > 0, size, 1.0)


def _project(term: Term, by: tuple[str, ...], labels: list[Any], cands: Candidates) -> npt.NDArray[np.int64]:
    """For each group of the keys `by`, the group of the term's fewer keys that it lies in."""
    if term.by == by:
        return np.arange(len(labels))
    if not term.by:
        return np.zeros(len(labels), np.int64)
    position = {label: g for g, label in enumerate(cands.groups(term.by))}
    pick = [by.index(key) for key in term.by]
    parts = [label if isinstance(label, tuple) and len(by) > 1 else (label,) for label in labels]
    wanted = [tuple(part[k] for k in pick) if len(pick) > 1 else part[pick[0]] for part in parts]
    return np.array([position.get(label, -1) for label in wanted], np.int64)


def _extra(cands: Candidates, columns: list[str]) -> npt.NDArray[np.floating[Any]]:
    """Columns of measures as one (K, n_pairs) array; a single one is not copied."""
    if not columns:
        return np.empty((0, cands.n_pairs), np.float32)
    if len(columns) == 1:
        return cands.columns[columns[0]][None, :]
    wide = np.float64 if any(cands.columns[c].dtype == np.float64 for c in columns) else np.float32
    return np.stack([cands.columns[c] for c in columns]).astype(wide, copy=False)
