"""A problem lowered from the program of a similar one: what has not changed is shared, and what has is made again."""

from __future__ import annotations

from dataclasses import replace

from oasis_alloc.candidates import Candidates
from oasis_alloc.problem import Problem
from oasis_alloc.program.lowering import key_of, terms_of, value_of, within_reach
from oasis_alloc.program.program import Program
from oasis_alloc.program.variants import with_functions


def relowered(program: Program, before: Problem, now: Problem) -> Program | None:
    """The program of `now`, from that of `before` as `lower` made it; None where that does not help.

    Constraints that the program leaves out are left out again.
    Groups, tables of cells and rules of slates are shared. Limits, penalties, weights and curves are read again, and so
    are the values of pairs where the objective or its columns differ.
    """
    if not (_same_pairs(before.candidates, now.candidates) and _same_rows(before, now)):
        return None
    stated, earlier = now.__dict__["_stated"], before.__dict__["_stated"]
    if stated["slate"] is not earlier["slate"] or stated["supply"] is not earlier["supply"]:
        return None
    in_rows = {term.column for function in now.functions for term in function.measure.terms} | set(now.slate.keep)
    if not all(_same_column(before.candidates, now.candidates, column) for column in in_rows):
        return None
    stands = {name: at for at, name in enumerate(now.names)}
    places = [stands[block.name] for block in program.blocks]
    blocks = [replace(block, key=key_of(now.functions[at])) for block, at in zip(program.blocks, places, strict=True)]
    program = with_functions(replace(program, blocks=tuple(blocks)), [now.bound[at] for at in places])
    if not _same_values(before, now):
        if program.stream is not None or program.origin is not None or now.supply is not None:
            return None  # the values of its pairs are not those of the columns
        program = replace(program, value=value_of(now.maximize, now.candidates).astype(program.value.dtype, copy=False))
    return within_reach(program) if any(block.function.uses_range for block in program.blocks) else program


def _same_pairs(before: Candidates, now: Candidates) -> bool:
    """True if users, items, pairs and keys are the same objects, whatever the columns are."""
    parts = ("indptr", "item", "users", "items", "user_ids", "item_ids", "stream")
    return before is now or all(getattr(before, part) is getattr(now, part) for part in parts)


def _same_column(before: Candidates, now: Candidates, column: str | None) -> bool:
    return column is None or before is now or before.columns[column] is now.columns[column]


def _same_rows(before: Problem, now: Problem) -> bool:
    """True if every function has the same name and the same measure, apart from constants."""
    return before.names == now.names and all(
        (one.measure.terms, one.measure.by) == (other.measure.terms, other.measure.by)
        for one, other in zip(before.functions, now.functions, strict=True)
    )


def _same_values(before: Problem, now: Problem) -> bool:
    """True if every pair has the same value: the same terms of the same columns."""
    one, other = terms_of(before.maximize), terms_of(now.maximize)
    return (
        one == other
        and not before.maximize.steady
        and not now.maximize.steady
        and all(_same_column(before.candidates, now.candidates, column) for _, column in one)
    )
