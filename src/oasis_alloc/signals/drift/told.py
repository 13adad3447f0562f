"""What a store tells a drift watch of a decision: columns, the user, and scores where the reference has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oasis_alloc.common.types import ColumnsLike, ItemsLike
from oasis_alloc.data.validation import by_name
from oasis_alloc.policy import Policy
from oasis_alloc.signals.drift.sketch import BOOSTS, SCORES, boosts_of
from oasis_alloc.signals.drift.watch import DriftWatch

_OF_SLATES = frozenset({"k", "pinned", "exclude", "fill", "diversify", "embeddings", "out"})  # scores take the others


def tell(watch: DriftWatch, policy: Policy, items: ItemsLike, columns: ColumnsLike, request: Mapping[str, Any]) -> None:
    """Show a decision to the watch; scores are computed once more, of the few decisions that it looks at."""
    known = dict(by_name(columns) or {})
    if not watch.reference.edges.keys().isdisjoint((SCORES, BOOSTS)):
        scored = {name: value for name, value in request.items() if name not in _OF_SLATES}
        known[SCORES] = policy.score(items, columns, **scored)
        if (organic := known.get(policy.data.organic)) is not None:
            known[BOOSTS] = boosts_of(known[SCORES], organic)
    watch._look(items, known, request.get("user"))
