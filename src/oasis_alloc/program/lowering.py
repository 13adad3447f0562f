"""Lowering: turns a problem's statement into the arrays of a program (program.py defines the letters)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.tuning import Tuning
from oasis_alloc.common.types import AnyInts, Floats
from oasis_alloc.common.verdicts import LARGEST, LEAST
from oasis_alloc.data.grouping import Grouping
from oasis_alloc.data.row_groups import Dataset, StreamedColumn
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.program.attaining import Elsewhere
from oasis_alloc.program.fine_cells import FineCells
from oasis_alloc.program.pair_arrays import Additions, PairReader, blend, is_column
from oasis_alloc.program.program import Program, RowBlock, block_of, dual_variables
from oasis_alloc.program.slate_lowering import distinguishing_codes, with_rules
from oasis_alloc.statement.functions.band import Band
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.functions.separable import Separable
from oasis_alloc.statement.measures import Measure, MeasureTerm
from oasis_alloc.statement.objective import Objective

Reach = Callable[[Program], tuple[Floats, Floats]]
"""As `Program.reach`."""


@dataclass(frozen=True)
class Sizes:
    """Tuning parameters of the lowering."""

    folded_cells: int = 1 << 22  # cells up to which a folded table is always used (32 MiB per column)
    folded_per_pair: int = 2  # and cells per pair


SIZES = Tuning(Sizes())


def lower(
    problem: Problem,
    unweighted: bool = False,
    threads: int | None = None,
    elsewhere: Elsewhere | None = None,
    without: Collection[str] = (),
) -> Program:
    """Lower a problem to arrays; `unweighted` ignores the weights of users and slots.

    `threads` is as for `solve`: the arrays do not depend on it. `elsewhere` are processes that read the pairs of files;
    by default this one does. Constraints named in `without` are left out: the arrays are those of the problem that does
    not state them.
    """
    cands = problem.candidates
    terms = base_terms(problem, without)
    groupings = {by: cands.grouping(by or None) for _, by in terms}
    columns = sorted({column for column, _ in terms if column is not None})
    cells = _Cells.of(
        cands,
        [*groupings.values()],
        [distinguishing_codes(cands.items[key]) for key in problem.slate.keys],
        any(by_single_users(function, groupings) for function in problem.functions),
    )

    slices, start = [], 0
    for _, by in terms:
        slices.append(slice(start, start + groupings[by].n_groups))
        start += groupings[by].n_groups
    base = tuple(
        _stack(
            [(s, *cells.members(groupings[by])) for (column, by), s in zip(terms, slices, strict=True) if column == of],
            start,
            cells.n_cells,
        )
        for of in [None, *columns]
    )
    place = dict(zip(terms, slices, strict=True))
    blocks, matrices, rows = [], [], 0
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if name in without:
            continue
        matrix = _arithmetic(function.measure, cands, groupings, place, start)
        place_of_rows = slice(rows, rows + matrix.shape[0])
        blocks.append(RowBlock(name, place_of_rows, bound, problem.labels(name), key=key_of(function)))
        matrices.append(matrix)
        rows += matrix.shape[0]
    arithmetic = sp.csr_array(sp.vstack(matrices)) if matrices else sp.csr_array((0, start))
    unit = _units(arithmetic, terms, slices, cands)
    _check_units(blocks, unit)
    blocks, row, low, high, limit = dual_variables(blocks, unit)
    streamed = None if cands.stream is None else _pair_reader(problem, cands.stream, cells, columns)
    value = value_of(problem.maximize, cands)
    program = Program(
        indptr=cands.indptr,
        code=cells.code if streamed is None else np.empty(0, cells.dtype),
        segment=cells.segment,
        n_segments=cells.n_segments,
        n_classes=cells.n_classes,
        value=value,
        extra=_extra(cands, columns, value.dtype),
        stream=streamed,
        size=int(np.max(problem.slate.sizes(cands.indptr)[0], initial=1)),
        rules=None,
        blocks=tuple(blocks),
        base=base,
        arithmetic=arithmetic,
        row_scale=unit,
        row=row,
        lower=low,
        upper=high,
        limit=limit,
    )
    if not unweighted:
        program = with_rules(problem, program, cells.item_of[: cells.n_classes], threads, elsewhere)
    reach = None if elsewhere is None else elsewhere.reach
    return within_reach(program, reach) if any(b.function.uses_range for b in program.blocks) else program


def key_of(function: Function) -> str:
    """The given name, else the measure without numbers, because those would be in the columns' units."""
    if not isinstance(function, Band):
        return function.name
    return function.given_name or " ".join([*sorted(map(str, function.measure.terms)), function.sense])


def within_reach(program: Program, reach: Reach | None = None) -> Program:
    """The program with the ranges of totals in its curved functions, which bounds their prices."""
    min_totals, max_totals = program.reach() if reach is None else reach(program)
    blocks = [replace(b, function=b.function.within(min_totals[b.rows], max_totals[b.rows])) for b in program.blocks]
    for block in (b for b in blocks if b.function.is_curved):
        best = block.function.curve(np.zeros(len(block.labels)))
        bad = np.flatnonzero(np.isneginf(best.values))
        if bad.size:
            raise ProblemError(
                f"{block.name}: group {block.labels[int(bad[0])]!r} can have a total of at most "
                f"{best.maximizer[bad[0]]:g}, where the function is minus infinity ({bad.size} such groups). Give the "
                "function an offset above 0, or add candidates for the group."
            )
    blocks, row, low, high, limit = dual_variables(blocks, program.row_scale)
    return replace(program, blocks=tuple(blocks), row=row, lower=low, upper=high, limit=limit)


def value_of(objective: Objective, cands: Candidates) -> npt.NDArray[np.floating[Any]]:
    """v_p = sum_k w_k c_pk, plus, for every term of `steady`, its weight times the pair's earlier probability."""
    terms, steady = terms_of(objective), objective.steady
    if cands.stream is not None:
        narrow = is_column(terms) and not steady
        return np.empty(0, cands.columns[str(terms[0][1])].dtype if narrow else np.float64)
    out = blend(terms, cands.columns, cands.n_pairs)
    if steady:
        out = out.astype(np.float64)
        for kept in steady:
            out += kept.value(cands)
    return out


def terms_of(objective: Objective) -> list[tuple[float, str | None]]:
    """(coefficient, column) of the linear part; no column is exposure."""
    linear = objective.linear
    return [] if linear is None else [(term.coefficient, term.column) for term in linear.terms]


def _pair_reader(problem: Problem, dataset: Dataset, cells: _Cells, columns: list[str]) -> PairReader:
    code_of = None if cells.code.size == 0 else cells.code
    steady = ((kept.weight, *kept.earlier.places(problem.candidates)) for kept in problem.maximize.steady)
    additions = tuple(Additions(positions, weight * x) for weight, positions, x in steady)
    terms = terms_of(problem.maximize)
    return PairReader(dataset, code_of, terms, tuple(columns), additions=additions, cells=cells.fine)


def by_single_users(function: Function, groupings: dict[tuple[str, ...], Grouping]) -> bool:
    """True for a curved function whose groups have the candidates of one user each: see own_rows.py."""
    if not isinstance(function, Separable):
        return False
    parts = [groupings[term.by].user_part for term in function.measure.terms]
    return all(np.unique(part[part >= 0]).size == part.size > 1 for part in parts)


def base_terms(problem: Problem, without: Collection[str] = ()) -> list[tuple[str | None, tuple[str, ...]]]:
    """The distinct (column, keys) of all measures under functions, in order of appearance."""
    seen: dict[tuple[str | None, tuple[str, ...]], None] = {}
    for name, function in zip(problem.names, problem.functions, strict=True):
        for term in function.measure.terms if name not in without else ():
            seen.setdefault((term.column, term.by))
    return list(seen)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Users and items, grouped by their labels in the keys of a problem."""

    code: AnyInts  # by pair; for pairs in files by item, or empty if items are the classes
    segment: npt.NDArray[np.uint32]
    n_segments: int
    n_classes: int
    user_of: npt.NDArray[np.int64]  # (n_cells,) a user of each cell's segment
    item_of: npt.NDArray[np.int64]  # (n_cells,) an item of each cell's class
    fine: FineCells | None = None  # of pairs in files, if `code` is the item's class and not the cell

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pair's class, or of its cell where segments are not folded."""
        return self.code.dtype if self.fine is None else _narrow(np.empty(0, np.int64), self.n_cells).dtype

    @property
    def n_cells(self) -> int:
        return int(self.user_of.size)

    @classmethod
    def of(
        cls, cands: Candidates, groupings: list[Grouping], categories: list[npt.NDArray[np.int32]], single: bool = False
    ) -> _Cells:
        """The cells; `single` says that a function has groups of one user each, and most combinations do not occur."""
        user_class, user_first = _classes([g.user_part for g in groupings], cands.n_users)
        item_class, item_first = _classes([*(g.item_part for g in groupings), *categories], cands.n_items)
        n_segments, n_classes = user_first.size, item_first.size
        if n_classes == cands.n_items:  # every item is its own class: keep the candidates' own numbers
            code: AnyInts = cands.item if cands.stream is None else np.empty(0, cands.item.dtype)
            item_first = np.arange(cands.n_items)
        else:
            code = _narrow(item_class, n_classes)
            code = code[cands.item] if cands.stream is None else code
        sizes = SIZES.now
        most = max(sizes.folded_cells, sizes.folded_per_pair * cands.n_pairs)
        if single and cands.stream is None:
            most = cands.n_pairs
        if n_segments * n_classes <= most or cands.n_pairs == 0:
            users = np.repeat(user_first, n_classes)
            return cls(
                code, user_class.astype(np.uint32), n_segments, n_classes, users, np.tile(item_first, n_segments)
            )
        if cands.stream is not None:
            code_of = None if code.size == 0 else code
            fine, cell = FineCells.of(cands.indptr, cands.item, user_class, code_of, n_classes)
            return cls(
                code, np.zeros(cands.n_users, np.uint32), 1, cell.size,
                user_first[cell // n_classes], item_first[cell % n_classes], fine,
            )  # fmt: skip
        # too many segments for a folded table: number the (segment, class) that occur, one code per pair
        key = np.repeat(user_class.astype(np.int64), np.diff(cands.indptr)) * n_classes + code
        cell, inverse = np.unique(key, return_inverse=True)
        return cls(
            _narrow(inverse, cell.size), np.zeros(cands.n_users, np.uint32), 1, cell.size,
            user_first[cell // n_classes], item_first[cell % n_classes],
        )  # fmt: skip

    def members(self, grouping: Grouping) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """(cell, group) for every group of each cell."""
        return grouping.members(grouping.user_part[self.user_of], grouping.item_part[self.item_of])


def _classes(parts: list[npt.NDArray[np.int32]], n: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the distinct rows of several code columns: (class of each, first member of each class)."""
    class_index = np.zeros(n, np.int64)
    for part in parts:
        if part.size and (part[0] != part).any():
            _, class_index = np.unique(class_index * (int(part.max()) + 2) + part + 1, return_inverse=True)
    _, first = np.unique(class_index, return_index=True)
    return class_index, first.astype(np.int64)


def _narrow(codes: npt.NDArray[np.int64], n: int) -> AnyInts:
    return codes.astype(np.uint16 if n <= 1 << 16 else np.uint32)


def _stack(
    parts: list[tuple[slice, npt.NDArray[np.int64], npt.NDArray[np.int32]]], n_base: int, n_cells: int
) -> sp.csr_array:
    rows, cols = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for place, cells, groups in parts:
        rows.append(place.start + groups.astype(np.int64))
        cols.append(cells)
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
            typical[place] = _size(cands.columns[column]) or 1.0
    biggest = abs(arithmetic) @ sp.diags_array(typical)
    size = np.asarray(biggest.max(axis=1).todense()).ravel() if biggest.nnz else np.zeros(arithmetic.shape[0])
    return np.where(size > 0, np.maximum(size, 0.1 * LEAST), 1.0)  # presolve.py refuses smaller ones by name


def _size(column: npt.NDArray[Any] | StreamedColumn) -> float:
    """Mean of |c|, to the same bits whether the column is in memory or in files."""
    if isinstance(column, StreamedColumn):
        return column.size
    from oasis_alloc.kernels.solve.check import add_sizes

    sums = np.zeros(8)
    add_sizes(readonly(column), 0, sums)
    with np.errstate(over="ignore"):  # numbers beyond float64 are refused by `_check_units`
        return float(sums.sum()) / column.size


def _check_units(blocks: list[RowBlock], unit: Floats) -> None:
    """Raise ProblemError if the contribution of a pair to a row is too large to square; presolve.py checks sums."""
    bad = np.flatnonzero(~(unit <= LARGEST))
    if bad.size:
        block = block_of(blocks, int(bad[0]))
        raise ProblemError(
            f"{block.name}: a candidate adds {unit[bad[0]]:g} on average; expected at most {LARGEST:g} in total, whose "
            "square fits in a floating-point number. Divide the column and its limits by a power of ten."
        )


def _project(term: MeasureTerm, by: tuple[str, ...], labels: list[Any], cands: Candidates) -> npt.NDArray[np.int64]:
    """For each group of the keys `by`, the group of the term's fewer keys that contains it."""
    if term.by == by:
        return np.arange(len(labels))
    if not term.by:
        return np.zeros(len(labels), np.int64)
    position = {label: g for g, label in enumerate(cands.groups(term.by))}
    pick = [by.index(key) for key in term.by]
    parts = [label if isinstance(label, tuple) and len(by) > 1 else (label,) for label in labels]
    wanted = [tuple(part[k] for k in pick) if len(pick) > 1 else part[pick[0]] for part in parts]
    return np.array([position.get(label, -1) for label in wanted], np.int64)


def _extra(cands: Candidates, columns: list[str], value: np.dtype[Any]) -> npt.NDArray[np.floating[Any]]:
    """Columns of measures as one (K, n_pairs) array; a single one is not copied.

    No columns at all have the type of the values, for which kernels are compiled anyway.
    """
    wide = np.float64 if any(cands.columns[c].dtype == np.float64 for c in columns) else np.float32
    if not columns:
        return np.empty((0, 0 if cands.stream is not None else cands.n_pairs), value)
    if cands.stream is not None:
        return np.empty((len(columns), 0), wide)
    if len(columns) == 1:
        return cands.columns[columns[0]][None, :]
    return np.stack([cands.columns[c] for c in columns]).astype(wide, copy=False)
