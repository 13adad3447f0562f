"""Slates of one request, as Python asks for them: structs come as plain tuples (see slate_args.py)."""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.score import score_some
from oasis_alloc.kernels.serve.slate_args import (
    CategoryRules,
    Counts,
    Fill,
    FillFields,
    Floats,
    Ints,
    Keep,
    KeepFields,
    RequestFields,
    RuleFields,
    Scored,
    SlateFields,
    SlateOut,
)
from oasis_alloc.kernels.serve.slate_keep import keep
from oasis_alloc.kernels.serve.slate_pick import pick

# items, columns, blend, of_item and scores: what scores are made of but for the user's prices, and where they go
UnscoredFields = tuple[Ints, Floats, Floats, Counts, Floats]


@jit
def pick_scored(n: int, request: RequestFields, rules: RuleFields, fill: FillFields, slate: SlateFields) -> int:
    """`pick` for scores that are there."""
    return pick(Scored(n, *request), CategoryRules(*rules), Fill(*fill), SlateOut(*slate))


@jit
def keep_scored(
    n: int,
    request: RequestFields,
    rules: RuleFields,
    fill: FillFields,
    share: KeepFields,
    slate: SlateFields,
    info: Floats,
) -> int:
    """`keep` for scores that are there."""
    return keep(Scored(n, *request), CategoryRules(*rules), Fill(*fill), Keep(*share), SlateOut(*slate), info)


@jit
def pick_one(
    n: int, table: Floats, size: int, min_size: int, request: UnscoredFields, rules: RuleFields, slate: SlateFields
) -> int:
    """Write the scores of the first n candidates, and the slate of `pick`."""
    items, columns, blend, of_item, scores = request
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)
    fill = Fill(0, size, min_size, 0.0)
    return pick(Scored(n, scores, items, of_item), CategoryRules(*rules), fill, SlateOut(*slate))


@jit
def keep_one(
    n: int,
    table: Floats,
    fill: tuple[int, int],
    request: UnscoredFields,
    rules: RuleFields,
    share: KeepFields,
    slate: SlateFields,
) -> int:
    """Write the scores of the first n candidates, and the slate of `keep`; `fill` is (size, min_size)."""
    items, columns, blend, of_item, scores = request
    score_some(not_literal(0), n, items, columns, blend, of_item, table, scores)
    size, min_size = fill
    return keep(
        Scored(n, scores, items, of_item), CategoryRules(*rules), Fill(0, size, min_size, 0.0), Keep(*share),
        SlateOut(*slate), np.empty(4),
    )  # fmt: skip
