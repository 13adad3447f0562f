"""What every user can have: the largest sum of a column over a slate, which `keep` and `at_least` are measured by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.threads import each
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import LoweredRules, user_units

if TYPE_CHECKING:
    from oasis_alloc.kernels.rules.rules import Rules
    from oasis_alloc.kernels.solve.visit import Pairs

_EXACT = 1e-9  # smoothing, in users' units of a column, of slates that are only computed for their sum of the column
_BLOCK = 4096  # users


class Elsewhere(Protocol):
    """Other processes that hold the pairs of files, and read them for a program that is being made."""

    def reach(self, program: Program) -> tuple[Floats, Floats]:
        """As `Program.reach`."""

    def attained(self, program: Program, guarded: bool) -> Floats:
        """As `attained_in_files`, without the units; the rules are those of the program."""


def max_attainable(
    program: Program, rules: LoweredRules, column: npt.NDArray[np.floating[Any]] | None, threads: int | None = None
) -> tuple[Floats, Floats]:
    """(the largest sums over users' slates, the users' units), both (n_users,), of a column or (None) of 1.

    The sums are in the units. A few users at a time are converted to the types of the kernels.
    """
    out, unit, kernel = np.zeros(program.n_users), np.ones(program.n_users), rules.kernel

    def job(first: int) -> None:
        last = min(first + _BLOCK, program.n_users)
        own = program.indptr[first : last + 1]
        indptr, pairs = np.empty(program.indptr.size, np.int64), slice(int(own[0]), int(own[-1]))
        indptr[first : last + 1] = own - own[0]
        wide = np.ones(int(own[-1] - own[0])) if column is None else column[pairs].astype(np.float64)
        if column is not None:
            unit[first:last] = user_units(wide, own - own[0])
            wide /= np.repeat(unit[first:last], np.diff(own))
        some = pairs_for(program, indptr, program.code[pairs].astype(np.uint32), wide)
        attain((first, last), some, kernel, out, 1)

    each(range(0, program.n_users, _BLOCK), job, threads)
    return out, unit


def attained_in_files(
    program: Program, rules: LoweredRules, guarded: bool, threads: int | None = None
) -> tuple[Floats, Floats]:
    """The same for pairs in files, in one read: of the column of `keep`, in each user's unit, or of 1 for every pair.

    Returns (the largest sums, the units), both (n_users,). A user is in one block, so the bits are those in memory.
    """
    assert program.stream is not None  # checked by the caller
    columns = (program.stream.guard,) if guarded and program.stream.guard is not None else ()
    reader = replace(program.stream, extra=columns, weight=None, valueless=True, guard=None)
    like = PairArrays(program.code, np.empty(0), np.empty((len(columns), 0)), np.empty((0, 0)))
    out, unit, kernel = np.zeros(program.n_users), np.ones(program.n_users), rules.kernel
    for first, last, indptr, arrays in reader.blocks(program.indptr, like):
        column = np.ones(arrays.code.size)
        if guarded:
            own, column = indptr[first : last + 1], arrays.extra[0]
            unit[first:last] = user_units(column, own)
            column /= np.repeat(unit[first:last], np.diff(own))
        attain((first, last), pairs_for(program, indptr, arrays.code, column), kernel, out, threads)
    return out, unit


def attain(users: tuple[int, int], pairs: Pairs, kernel: Rules, out: Floats, threads: int | None) -> None:
    """Write what some users attain of `pairs.value`; users are independent, so threads do not matter.

    A sum that users keep is no rule here: these pairs have no column of it, which a kernel would read.
    """
    from oasis_alloc.kernels.rules import ruled
    from oasis_alloc.kernels.rules.rules import scratch
    from oasis_alloc.kernels.solve import jobs

    kernel = kernel._replace(target=kernel.target[:0], guard=kernel.guard[:0])
    none = np.empty(0)
    point = jobs.Point(np.empty((0, 0, 0)), _EXACT, 0.0, none, none, jobs.no_further())

    def job(first: int) -> None:
        some = jobs.Users(first, min(first + _BLOCK, users[1]), 1)
        made = scratch(some.first, some.last, pairs.indptr, kernel)
        ruled.visit(ruled.ATTAIN, some, pairs, point, jobs.no_sums(), jobs.marks(x=out), kernel, *made)

    each(range(*users, _BLOCK), job, threads)


def pairs_for(
    program: Program, indptr: Ints, code: npt.NDArray[np.integer[Any]], column: npt.NDArray[np.floating[Any]]
) -> Pairs:
    """Pairs of which the column is to be attained."""
    from oasis_alloc.kernels.solve.visit import Pairs

    value, nothing = np.asarray(column, np.float64), np.empty((0, column.size))
    return Pairs(readonly(indptr), readonly(code), readonly(value), readonly(nothing), readonly(program.segment))
