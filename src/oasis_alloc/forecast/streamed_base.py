"""Quotes of candidates in Parquet files: the pairs of a campaign's users are read, and those of no other user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Ints
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.quote_base import InMemory, QuoteBase
from oasis_alloc.forecast.quote_target import Target
from oasis_alloc.program.pair_arrays import PairReader
from oasis_alloc.program.variants import only_users
from oasis_alloc.results.shadow_prices import main_column

_OVERHEAD = 24  # bytes of a pair besides those of its arrays: its number, its item, its probability and its main column


def in_memory(base: QuoteBase, target: Target) -> QuoteBase:
    """The same plan with the pairs of the campaign's users alone; totals, prices and bounds are those of all.

    Reads the items of all pairs once, and then the row groups that have pairs of these users.
    """
    program = base.program
    reader = program.stream
    assert reader is not None  # checked by the caller
    users = _users_of(base, reader, target)
    start, pairs = gather(program.indptr, users)
    held = InMemory(np.empty(0, np.int64), np.empty(0, np.int64), None, program.n_users)
    n_bytes = pairs.size * (program.arrays.like(1).n_bytes + _OVERHEAD)
    if not reader.dataset.budget.ask(held, n_bytes, 0):
        raise ProblemError(
            f"quote {target.name!r}: the users that may be shown it have {pairs.size:,} pairs, which take {n_bytes:,} "
            f"bytes, and the candidates may take {reader.dataset.budget.limit:,}. Give Candidates.from_parquet more "
            "memory=, or ask for fewer users (where=)."
        )
    owner = np.repeat(users, np.diff(start))
    arrays = reader.take(owner, pairs, program.arrays)
    main = main_column(base.problem)
    names = [reader.dataset.item, *([] if main is None else [main[0]])]
    read = reader.dataset.take(list(dict.fromkeys(names)), pairs)
    held.users, held.item = users, read[reader.dataset.item]
    held.main = None if main is None else np.asarray(read[main[0]], np.float64)
    plan = base.allocation
    x = np.zeros(pairs.size)
    at = np.minimum(np.searchsorted(pairs, plan.positions), max(0, pairs.size - 1))
    ours = np.flatnonzero(pairs[at] == plan.positions) if pairs.size else np.empty(0, np.int64)
    x[at[ours]] = plan.x[ours]
    made = replace(base, program=only_users(program, users, start, arrays), x=x, in_memory=held)
    for name in ("rows_of_cells", "limits_of_cells"):  # of cells, so they are the same for all users
        vars(made)[name] = getattr(base, name)
    return made


def _users_of(base: QuoteBase, reader: PairReader, target: Target) -> Ints:
    """The users that may be shown the campaign, ascending."""
    indptr, found = base.program.indptr, []
    with reader.dataset.read([reader.dataset.item]) as groups:
        for begin, _, columns in groups:
            mine = begin + np.flatnonzero(target.items[columns[reader.dataset.item]])
            found.append(np.unique(np.searchsorted(indptr, mine, side="right") - 1))
    users = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return users if target.users is None else users[target.users[users]]
