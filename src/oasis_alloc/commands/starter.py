"""The demonstration's market as tables and a statement: a starting point for your own problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.problem_file.output import best_kind, write_table, write_text

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.markets import Month

_STATEMENT = """\
# A problem for `oasis-alloc solve problem.toml`. Paths start at the folder of this file.
# `oasis-alloc demo --tables` makes tables for it; put yours in their place.

maximize = 'total("relevance") + {weight} * total("promotion")'
subject_to = [
    '(exposure(by="campaign") <= caps).named("campaign caps")',
    '(exposure(by="campaign") >= floors).named("campaign floors")',
    '(exposure(by="licensor") <= {licensor_limit} * exposure()).named("licensor share")',
    '(total("relevance") >= guard * organic).named("relevance guard")',
]

[candidates]
pairs = "pairs.{kind}" # one row per candidate: both ids, and one number or more
users = "users.{kind}" # one row per user: the id, and keys to group by (optional)
items = "items.{kind}" # one row per item: the same (optional)
user = "user_id"
item = "track_id"

[limits] # names for the expressions above
guard = {guard}
organic = {{ best = "relevance" }} # the most relevance that slates can hold, whatever is promoted
caps = {{ file = "campaigns.{kind}", key = "campaign", value = "cap" }}
floors = {{ file = "campaigns.{kind}", key = "campaign", value = "floor" }} # empty cells: no limit

[slate]
size = {size}

[solve]
gap = 1e-4

[output]
directory = "answer"
"""


def statement(market: Month, kind: str) -> str:
    """The market's problem as `oasis-alloc solve` reads it, over tables of `kind` (parquet or csv)."""
    policy = market.policy
    return _STATEMENT.format(
        weight=market.promotion_weight,
        licensor_limit=policy.licensor_limit,
        guard=policy.guard,
        size=market.size,
        kind=kind,
    )


def write_starter(market: Month, candidates: Candidates, directory: Path) -> Path:
    """Write the market's tables and its statement; return the statement's path."""
    kind = best_kind()
    users = np.repeat(np.arange(market.users), market.degree)
    pairs = {"user_id": users, "track_id": candidates.item.astype(np.int64), **candidates.columns}
    write_table(directory / f"pairs.{kind}", pairs)
    write_table(directory / f"users.{kind}", {"user_id": np.arange(market.users), **market.user_attributes()})
    write_table(directory / f"items.{kind}", {"track_id": np.arange(market.n_items), **market.item_attributes()})
    policy = market.policy
    campaigns = np.array(list(policy.caps), dtype=object)
    floors = np.array([policy.floors.get(name) for name in campaigns], dtype=object)
    caps = np.array(list(policy.caps.values()))
    write_table(directory / f"campaigns.{kind}", {"campaign": campaigns, "floor": floors, "cap": caps})
    path = directory / "problem.toml"
    write_text(path, statement(market, kind))
    return path
