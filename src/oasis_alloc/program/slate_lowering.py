"""Turns a slate's statement into the rules of a program: sizes, categories, guards, supply and slot weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.threads import each
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.keys import Key
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import LoweredRules, chain_of, keep_target, systems_of, user_units
from oasis_alloc.program.supply_and_positions import by_position, weighted
from oasis_alloc.statement.slate import Slate

_EXACT = 1e-9  # smoothing, in users' units of a column, of slates that are only computed for their sum of the column
_BLOCK = 4096  # users


def distinguishing_codes(key: Key | MultiKey) -> npt.NDArray[np.int32]:
    """(n_items,) a number for each item, equal for items with the same labels of the key."""
    return key.codes if isinstance(key, Key) else key.sets


def with_rules(problem: Problem, program: Program, item_of: Ints, threads: int | None) -> Program:
    """The program under the slate's rules; `item_of` is an item of each class, `threads` as for `solve`."""
    slate, supply = problem.slate, problem.supply
    if slate.is_plain and supply is None:
        return program
    if program.stream is not None:
        _check_streamed(slate)
    size, min_size = (np.broadcast_to(np.asarray(n, np.int64), program.n_users) for n in slate.sizes(program.indptr))
    pair: Ints | None = None
    weight = np.ones(program.n_users) if supply is None else supply
    if slate.slot_weights is not None:
        n_users = program.n_users
        program, max_size, weight = by_position(program, slate.slot_weights, supply)
        assert program.origin is not None  # by_position says where its pairs come from
        times, pair = program.n_users // max(1, n_users), program.origin.pair
        size, min_size = np.minimum(np.repeat(size, times), max_size), np.minimum(np.repeat(min_size, times), max_size)
    elif supply is not None:
        program = weighted(program, supply)
        if slate.is_plain:
            return program
    systems = systems_of(slate, problem.candidates, item_of)
    none = np.empty(0)
    rules = LoweredRules(size, np.zeros_like(size), weight, systems, chain_of(systems), none, none)
    program = unify_dtypes(program)
    if min_size.any():
        rules = replace(rules, min_size=_reachable(problem.slate, program, rules, np.minimum(min_size, size), threads))
    for column, share in slate.keep.items():
        given = problem.candidates.columns[column]
        guard = (given if pair is None else given[pair]).astype(np.float64)
        guard /= np.repeat(user_units(guard, program.indptr), np.diff(program.indptr))
        organic = max_attainable(program, rules.without_decrements(), guard, threads)
        rules = replace(rules, guard=guard, target=keep_target(organic, share))
    return replace(program, rules=rules, size=int(rules.size.max(initial=1)))


def _check_streamed(slate: Slate) -> None:
    used = {
        "keep": bool(slate.keep), "at_least": np.any(np.asarray(slate.at_least) > 0),
        "slot_weights": slate.slot_weights is not None,
    }  # fmt: skip
    for name, is_used in used.items():
        if is_used:
            raise ProblemError(
                f"{slate!r}: {name} needs all pairs of a user at once, which candidates from Parquet files do not "
                "support yet; leave it out, or solve a part of the users in memory."
            )


def unify_dtypes(program: Program) -> Program:
    """The program with its arrays in a single type per kind, because kernels with rules compile slowly."""
    return replace(
        program,
        value=program.value.astype(np.float64, copy=False),
        extra=program.extra.astype(np.float64, copy=False),
        code=program.code.astype(np.uint32, copy=False),
    )


def _reachable(slate: Slate, program: Program, rules: LoweredRules, min_size: Ints, threads: int | None) -> Ints:
    """`min_size`, reduced to what a user's candidates and caps allow."""
    if any(k not in rules.chain for k in range(len(rules.systems))):
        raise ProblemError(
            f"{slate!r}: at_least needs nested categories. Where categories cross, or items have several labels, "
            "the caps can allow fewer items than at_least asks for. Leave out at_least or one of those caps."
        )
    reachable = max_attainable(program, rules.without_decrements(), np.ones(program.n_pairs), threads)
    return np.minimum(min_size, np.floor(reachable + 1e-6).astype(np.int64))


def max_attainable(
    program: Program, rules: LoweredRules, column: npt.NDArray[np.floating[Any]], threads: int | None = None
) -> Floats:
    """(n_users,) the largest sum of a column over a user's slate, in the user's own unit."""
    from oasis_alloc.kernels.rules import ruled
    from oasis_alloc.kernels.solve import jobs
    from oasis_alloc.kernels.solve.visit import Pairs

    pairs = Pairs(
        readonly(program.indptr), readonly(program.code), readonly(np.asarray(column, np.float64)),
        readonly(program.extra[:0]), readonly(program.segment),
    )  # fmt: skip
    kernel = rules.kernel
    out, none = np.zeros(program.n_users), np.empty(0)

    point = jobs.Point(np.empty((0, 0, 0)), _EXACT, 0.0, none, none, jobs.no_further())

    def job(first: int) -> None:
        users = jobs.Users(first, min(first + _BLOCK, program.n_users), 1)
        ruled.visit(ruled.ATTAIN, users, pairs, point, jobs.no_sums(), jobs.marks(x=out), kernel)

    # users are independent, so the answer does not depend on the threads
    each(range(0, program.n_users, _BLOCK), job, threads)
    return out
