"""The tables of one day of a generated market: what a team's own pipeline would write."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

USERS, ITEMS, DEGREE, CAMPAIGNS = 300, 60, 20, 12
MARKETS = ("BR", "DE", "SE", "US")


def write_day(folder: Path, day: int, floor: float = 40.0, misspelled: bool = False, late: bool = False) -> None:
    """Write pairs, users, items and campaigns; `late` leaves the pairs as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    base, today = np.random.default_rng(0), np.random.default_rng(day)
    item = np.concatenate([base.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
    taste = base.beta(2, 3, item.size)
    relevance = np.clip(taste + today.normal(0, 0.03, item.size), 0, 1).round(6)
    promotion = np.where(item < 48, base.random(item.size), 0).round(6)
    if not late:
        users = np.repeat(np.arange(USERS), DEGREE)
        rows = zip(users.tolist(), item.tolist(), relevance.tolist(), promotion.tolist(), strict=True)
        _write(folder / "pairs.csv", ["user", "item", "relevance", "promotion"], rows)
    _write(folder / "users.csv", ["user", "market"], ((u, MARKETS[u % 4]) for u in range(USERS)))
    campaign = [f"campaign-{i // 4:02d}" if i < 48 else "" for i in range(ITEMS)]
    _write(
        folder / "items.csv",
        ["item", "artist", "campaign"],
        ((i, f"artist-{i // 3:02d}", campaign[i]) for i in range(ITEMS)),
    )
    names = [f"campaign-{k:02d}" for k in range(CAMPAIGNS)]
    if misspelled:
        names[4] = "campagn-04"
    limits = ((name, 300 + 10 * k, floor if k % 2 else "") for k, name in enumerate(names))
    _write(folder / "campaigns.csv", ["campaign", "cap", "floor"], limits)


def _write(path: Path, head: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
