"""A small market as files, the same market as a linear program of SciPy, and a client that asks a server over stdio."""

from __future__ import annotations

import itertools
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

USERS, ITEMS, EACH, SIZE = 40, 18, 8, 3
CAPS = {"c0": 17.4, "c1": 12.7, "c2": 30.0}
FLOORS = {"c1": 6.0, "c3": 22.6}
KEPT = 0.9
ARTISTS, FLOOR = {"artist 0": 5.0, "artist 1": 4.0}, 15.0  # c0 has songs of these two artists alone

PLAIN = """
maximize = 'total("relevance") + {weight} * total("promotion")'
subject_to = [
    '(exposure(by="campaign") <= {factor} * caps).named("caps")',
    '(exposure(by="campaign") >= floors).named("floors")',
    '(total("relevance") >= {kept} * organic).named("guard")',
]

[candidates]
pairs = "tables/pairs.parquet"
users = "tables/users.csv"
items = "tables/items.csv"

[limits]
artists = {{ "artist 0" = 5, "artist 1" = 4 }}
caps = {{ file = "tables/campaigns.csv", key = "campaign", value = "cap" }}
floors = {floors}
organic = {{ best = "relevance" }}

[slate]
size = 3
at_most = {{ artist = 1 }}

[solve]
gap = 1e-8
threads = 1
"""
CLASH = """subject_to = [
    '(exposure(by="artist") <= artists).named("artists")',"""
JOB = """
[checks]
missing_labels = { campaign = 0.5 }
users_without_candidates = 0.0

[checks.range]
relevance = [0, 1]
promotion = [0, 0.5]

[publish]
directory = "policies"
"""


def statement(weight: float = 0.4, factor: float = 1, kept: float = KEPT, floors: dict[str, float] = FLOORS) -> str:
    """A statement over the tables of the market."""
    said = "{ " + ", ".join(f"{label} = {number}" for label, number in floors.items()) + " }"
    return PLAIN.format(weight=weight, factor=factor, kept=kept, floors=said)


@dataclass(frozen=True)
class Optimum:
    """What SciPy's solver finds: a value, an allocation, and prices as this package signs them."""

    value: float
    x: np.ndarray[Any, Any]
    prices: dict[str, dict[str, float]]


class Market:
    """Pairs, users, items and campaigns; everything is computed here without the package."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        item = np.concatenate([rng.choice(ITEMS, EACH, replace=False) for _ in range(USERS)])
        self.pairs = pd.DataFrame(
            {
                "user": np.repeat(np.arange(USERS) + 100, EACH), "item": item,
                "relevance": rng.random(item.size), "promotion": (item < 12) * rng.random(item.size),
            }
        )  # fmt: skip
        self.users = pd.DataFrame({"user": np.arange(USERS) + 100, "market": ["SE", "DE", "US", "FR"] * (USERS // 4)})
        self.items = pd.DataFrame(
            {
                "item": np.arange(ITEMS), "artist": [f"artist {k // 2}" for k in range(ITEMS)],
                "campaign": [f"c{k // 3}" if k < 12 else None for k in range(ITEMS)],
            }
        )  # fmt: skip
        self.campaigns = pd.DataFrame({"campaign": ["c0", "c1", "c2", "c3"], "cap": [*CAPS.values(), None]})
        self.all = self.pairs.merge(self.items, on="item").merge(self.users, on="user")
        assert (self.all[["user", "item"]] == self.pairs[["user", "item"]]).all(axis=None), "in the order of the pairs"

    def write(self, folder: Path) -> None:
        """The tables, and statements over them."""
        (folder / "tables").mkdir(parents=True)
        self.pairs.to_parquet(folder / "tables" / "pairs.parquet")
        for name in ("users", "items", "campaigns"):
            getattr(self, name).to_csv(folder / "tables" / f"{name}.csv", index=False)
        texts = {
            "plain": statement(),
            "wide": statement(factor=1.5),
            "job": statement() + JOB,
            "clash": statement(floors={"c0": FLOOR}, kept=0.5).replace("subject_to = [", CLASH),
            "scarce": statement(floors={"c3": 500.0}, kept=0.5),
        }
        for name, text in texts.items():
            (folder / f"{name}.toml").write_text(text)

    def objective(self, weight: float = 0.4) -> np.ndarray[Any, Any]:
        return np.asarray(self.all["relevance"] + weight * self.all["promotion"])

    def optimum(
        self,
        weight: float = 0.4,
        caps: float = 1,
        floors: dict[str, float] = FLOORS,
        kept: float = KEPT,
        count: str | None = None,
    ) -> Optimum | None:
        """The best allocation, by HiGHS in SciPy; None if there is no feasible one.

        With `count`, the one that shows this campaign most often.
        """
        from scipy.optimize import linprog

        rows, limits, names = [], [], []

        def add(chosen: Any, limit: float, name: tuple[str, str]) -> None:
            rows.append(np.asarray(chosen, np.float64))
            limits.append(limit)
            names.append(name)

        for _, of_user in self.all.groupby("user"):
            add(self.all.index.isin(of_user.index), SIZE, ("slots", ""))
            for _, of_artist in of_user.groupby("artist"):
                add(self.all.index.isin(of_artist.index), 1, ("artist", ""))
        for label, cap in CAPS.items():
            add(self.all["campaign"] == label, caps * cap, ("caps", label))
        for label, floor in floors.items():
            add(-1.0 * (self.all["campaign"] == label), -floor, ("floors", label))
        add(-self.all["relevance"], -kept * self.organic, ("guard", ""))
        maximize = self.objective(weight) if count is None else np.asarray(self.all["campaign"] == count, np.float64)
        found = linprog(-maximize, np.array(rows), limits, bounds=(0, 1), method="highs")
        if found.status == 2:
            return None
        prices: dict[str, dict[str, float]] = {}
        for (name, label), marginal in zip(names, found.ineqlin.marginals, strict=True):
            prices.setdefault(name, {})[label] = float(-marginal if name == "caps" else marginal)
        return Optimum(float(-found.fun), found.x, prices)

    @cached_property
    def organic(self) -> float:
        """The sum of each user's three largest relevances."""
        return float(self.pairs.groupby("user")["relevance"].apply(lambda some: some.nlargest(SIZE).sum()).sum())

    def most(self, campaign: str) -> float:
        """The largest exposure of a campaign: its items per user, at most one per artist, at most three."""
        mine = self.all[self.all["campaign"] == campaign]
        return float(sum(min(SIZE, some["artist"].nunique()) for _, some in mine.groupby("user")))

    def scores(self, optimum: Optimum, user: int) -> dict[int, float]:
        """Priced scores of a user's candidates, by item, written down from the definition."""
        prices, out = optimum.prices, {}
        for row in self.all[self.all["user"] == user].itertuples():
            paid = prices["caps"].get(row.campaign, 0.0) + prices["floors"].get(row.campaign, 0.0)
            out[row.item] = row.relevance + 0.4 * row.promotion - paid - prices["guard"][""] * row.relevance
        return out

    def slate(self, optimum: Optimum, user: int) -> list[int]:
        """The best slate of a user by priced scores: all of them are tried."""
        scores = self.scores(optimum, user)
        artist = dict(zip(self.items["item"], self.items["artist"], strict=True))
        best: tuple[float, tuple[int, ...]] = (0.0, ())
        for size in range(1, SIZE + 1):
            for some in itertools.combinations(scores, size):
                if len({artist[one] for one in some}) == size:
                    best = max(best, (sum(scores[one] for one in some), some))
        return sorted(best[1], key=lambda one: -scores[one])


def ask(folder: Path, calls: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Start a server over stdio, ask everything, and return the answers by name: (document, True for an error)."""
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

    command = ["-W", "error::RuntimeWarning", "-m", "oasis_alloc", "mcp", str(folder)]
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))

    async def client() -> dict[str, Any]:
        async with Client(server) as session:
            answers: dict[str, Any] = {"tools": (await session.list_tools()).tools}
            answers["guide"] = (await session.read_resource("oasis-alloc://guide")).contents[0].text
            for name, (tool, arguments) in calls.items():
                found = await session.call_tool(tool, arguments)
                answers[name] = (found.structured_content, found.is_error)
            return answers

    return anyio.run(client)
