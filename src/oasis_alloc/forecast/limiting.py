"""Limits that stop a campaign, and limits whose prices it pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.forecast.quote_base import Found, QuoteBase
from oasis_alloc.forecast.quote_result import Limiting

if TYPE_CHECKING:
    from oasis_alloc.forecast.certified import Proof

_LISTED = 100
_NONE = 1e-9


def limits_that_stop(base: QuoteBase, stopped: Floats) -> tuple[Limiting, ...]:
    """Limits that stopped exchanges, those that stopped most first."""
    order = np.argsort(-stopped, kind="stable")[:_LISTED]
    return tuple(_one(base, int(r), base.prices, float(stopped[r])) for r in order if stopped[r] > _NONE)


def limits_at(base: QuoteBase, found: Found, proof: Proof) -> tuple[Limiting, ...]:
    """Hard limits that the campaign's impressions pay for at the proven prices; those that cost most first."""
    program, prices = base.program, proof.prices[:-1]
    ours, x = found.mine, proof.campaign
    priced = np.flatnonzero(program.hard & (np.abs(prices) > _NONE * np.abs(prices).max(initial=0.0)))
    if not priced.size or not ours.size:
        return ()
    entries = base.entries(ours)
    if entries is None:
        return ()
    pair, row, adds = entries
    used = np.bincount(row, adds * x[pair], program.n_rows)[priced]
    paid = used * prices[priced]
    order = np.argsort(-paid, kind="stable")[:_LISTED]
    return tuple(_one(base, int(priced[k]), prices, float(used[k])) for k in order if paid[k] > 0.0)


def _one(base: QuoteBase, row: int, prices: Floats, units: float) -> Limiting:
    block = next(b for b in base.program.blocks if b.rows.start <= row < b.rows.stop)
    return Limiting(block.name, block.labels[row - block.rows.start], float(prices[row]), units)
