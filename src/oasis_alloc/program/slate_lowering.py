"""Turns a slate's statement into the rules of a program: sizes, categories, guards, supply and slot weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.keys import Key
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.program.attaining import Elsewhere, attained_in_files, max_attainable
from oasis_alloc.program.program import Program
from oasis_alloc.program.slate_rules import KeptColumn, LoweredRules, chain_of, keep_target, systems_of
from oasis_alloc.program.supply_and_positions import by_position, weighted
from oasis_alloc.statement.slate import Slate


def distinguishing_codes(key: Key | MultiKey) -> npt.NDArray[np.int32]:
    """(n_items,) a number for each item, equal for items with the same labels of the key."""
    return key.codes if isinstance(key, Key) else key.sets


def with_rules(
    problem: Problem, program: Program, item_of: Ints, threads: int | None, elsewhere: Elsewhere | None = None
) -> Program:
    """The program under the slate's rules; `item_of` is an item of each class, `threads` as for `solve`."""
    slate, supply = problem.slate, problem.supply
    if slate.is_plain and supply is None:
        return program
    size, min_size = (np.broadcast_to(np.asarray(n, np.int64), program.n_users) for n in slate.sizes(program.indptr))
    pair: Ints | None = None
    weight = np.ones(program.n_users) if supply is None else supply
    if slate.slot_weights is not None:
        n_users = program.n_users
        program, max_size, weight = by_position(program, slate.slot_weights, supply)
        times = program.n_users // max(1, n_users)
        pair = None if program.origin is None else program.origin.pair
        size, min_size = np.minimum(np.repeat(size, times), max_size), np.minimum(np.repeat(min_size, times), max_size)
    elif supply is not None:
        program = weighted(program, supply)
        if slate.is_plain:
            return program
    systems = systems_of(slate, problem.candidates, item_of)
    rules = LoweredRules(size, np.zeros_like(size), weight, systems, chain_of(systems))
    program = unify_dtypes(program)
    if program.stream is not None and slate.keep:  # first, so that actors of a cluster load the pairs once
        program = replace(program, stream=replace(program.stream, guard=next(iter(slate.keep))))
    if min_size.any():
        _check_nested(slate, rules)
        found = _items_attainable(program, rules.without_decrements(), threads, elsewhere)
        least = np.minimum(np.minimum(min_size, size), np.floor(found + 1e-6).astype(np.int64))
        rules = replace(rules, min_size=least)
    for column, share in slate.keep.items():
        if program.stream is not None:
            program, organic = _kept_attainable(program, rules.without_decrements(), threads, elsewhere)
            rules = replace(rules, target=keep_target(organic, share))
            continue
        given = problem.candidates.columns[column]
        guard = given if pair is None else given[pair]
        organic, unit = max_attainable(program, rules.without_decrements(), guard, threads)
        rules = replace(rules, guard=KeptColumn(guard, unit), target=keep_target(organic, share))
    return replace(program, rules=rules, size=int(rules.size.max(initial=1)))


def unify_dtypes(program: Program) -> Program:
    """The program with its buffers in a single type per kind, because kernels with rules compile slowly.

    Pairs in memory stay as they are: engines convert them block by block (see wide_blocks.py).
    """
    if program.stream is None:
        return program
    return replace(
        program,
        value=program.value.astype(np.float64, copy=False),
        extra=program.extra.astype(np.float64, copy=False),
        code=program.code.astype(np.uint32, copy=False),
    )


def _check_nested(slate: Slate, rules: LoweredRules) -> None:
    """Refuse `at_least` where what caps allow is not known by counting."""
    if any(k not in rules.chain for k in range(len(rules.systems))):
        raise ProblemError(
            f"{slate!r}: at_least needs nested categories. Where categories cross, or items have several labels, "
            "the caps can allow fewer items than at_least asks for. Leave out at_least or one of those caps."
        )


def _items_attainable(
    program: Program, rules: LoweredRules, threads: int | None, elsewhere: Elsewhere | None
) -> Floats:
    """(n_users,) how many items a user's candidates and caps allow."""
    if program.stream is None:
        return max_attainable(program, rules, None, threads)[0]
    if elsewhere is not None:
        return elsewhere.attained(replace(program, rules=rules), False)
    return attained_in_files(program, rules, False, threads)[0]


def _kept_attainable(
    program: Program, rules: LoweredRules, threads: int | None, elsewhere: Elsewhere | None
) -> tuple[Program, Floats]:
    """(the program with the users' units of the column of `keep`, the most that every user can have of it)."""
    assert program.stream is not None  # checked by the caller
    if elsewhere is not None:
        return program, elsewhere.attained(replace(program, rules=rules), True)
    organic, unit = attained_in_files(program, rules, True, threads)
    return replace(program, stream=replace(program.stream, unit=unit)), organic
