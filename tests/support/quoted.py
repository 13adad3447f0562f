"""Random problems under all rules of slates, and random quotes of them, with what a full solve says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import oasis_alloc as oa

KINDS = (
    "plain", "shares", "supply", "at_most", "diminishing", "keep", "at_least", "slot_weights", "functions", "crossing",
    "support",
)  # fmt: skip


def candidates(rng: np.random.Generator, users: int, items: int, degree: int) -> oa.Candidates:
    """Users of three markets, items of campaigns, artists and genres."""
    item = np.concatenate([np.sort(rng.choice(items, degree, replace=False)) for _ in range(users)])
    n = users * degree
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * degree,
        item,
        {"relevance": rng.random(n).round(3), "promotion": (rng.random(items)[item] * rng.random(n)).round(3)},
        users={"market": rng.choice(["DE", "SE", "US"], users), "hour": rng.integers(0, 4, users)},
        items={
            "campaign": rng.integers(0, max(3, items // 4), items),
            "artist": rng.integers(0, max(3, items // 2), items),
            "genre": rng.choice(["pop", "rock", "jazz"], items),
        },
    )


def problem(kind: str, seed: int, users: int = 60, items: int = 24, degree: int = 8) -> oa.Problem:
    """A problem with limits that bind, of one kind."""
    rng = np.random.default_rng(seed)
    cands = candidates(rng, users, items, degree)
    n = len(cands.groups("campaign"))
    size, slots = 3, 3 * users
    caps = (oa.exposure(by="campaign") <= np.full(n, 1.4 * slots / n)).named("caps")
    floors = (oa.exposure(by="campaign") >= np.where(np.arange(n) % 2, 0.5 * slots / n, 0.0)).named("floors")
    objective: Any = oa.total("relevance") + 0.5 * oa.total("promotion")
    rules: dict[str, Any] = {}
    more: list[Any] = []
    supply = None
    if kind == "shares":
        more = [(oa.exposure(by="genre") <= 0.36 * oa.exposure()).named("shares")]
    elif kind == "supply":
        supply = rng.uniform(0.5, 2.5, users).round(2)
        caps = (oa.exposure(by="campaign") <= np.full(n, 2.1 * slots / n)).named("caps")
    elif kind == "at_most":
        rules = {"at_most": {"artist": 1}}
    elif kind == "diminishing":
        rules = {"diminishing": {"genre": 0.1}}
    elif kind == "keep":
        rules = {"keep": {"relevance": 0.85}}
        floors = (oa.exposure(by="campaign") >= np.where(np.arange(n) % 2, 0.25 * slots / n, 0.0)).named("floors")
    elif kind == "at_least":
        rules = {"at_least": 2}
        objective = oa.total("relevance") - 0.4 * oa.total("promotion") - 0.3 * oa.exposure()
    elif kind == "slot_weights":
        rules = {"slot_weights": [1.0, 0.6, 0.3]}
        caps = (oa.exposure(by="campaign") <= np.full(n, 0.9 * slots / n)).named("caps")
        floors = (oa.exposure(by="campaign") >= np.where(np.arange(n) % 2, 0.3 * slots / n, 0.0)).named("floors")
    elif kind == "functions":
        objective = objective + 4.0 * oa.log(oa.exposure(by="artist"), offset=1.0)
        more = [oa.soft(oa.exposure(by="genre") >= slots / 3, penalty=0.2).named("soft")]
    elif kind == "crossing":
        rules = {"at_most": {"artist": 1, "genre": 2}, "keep": {"relevance": 0.85}}
    elif kind == "support":
        objective = objective + 0.5 * oa.worst_off(oa.exposure(by="market"))
    return oa.Problem(cands, objective, [caps, floors, *more], oa.Slate(size, **rules), supply=supply)


@dataclass(frozen=True)
class Case:
    """A quote, and what full solves say of it."""

    quote: oa.Quote
    certified: oa.Quote
    cost: float  # infinite if the units cannot be delivered
    slack: float  # what gaps and tolerances leave open


def request(rng: np.random.Generator, cands: oa.Candidates, share: float = 0.3) -> oa.QuoteRequest:
    """A random campaign: a known one, items by number, with and without users."""
    where: dict[str, Any] | None = [None, {"market": "DE"}, {"market": ["DE", "SE"]}, {"hour": [0, 1]}][rng.integers(4)]
    units = float(rng.integers(1, max(2, int(share * cands.n_users))))
    if rng.random() < 0.5:
        labels = cands.groups("campaign")
        return oa.QuoteRequest(of={"campaign": labels[rng.integers(len(labels))]}, where=where, units=units)
    chosen = rng.choice(cands.n_items, 2, replace=False).tolist()
    return oa.QuoteRequest(items=chosen, where=where, units=units)


def judged(solution: oa.Solution, asked: oa.QuoteRequest, width: float = 1e-4) -> Case | None:
    """A quote, the same certified to `width`, and the cost by a full solve; None if slates have no room for it."""
    try:
        quote = oa.quote(solution, asked)
    except oa.ProblemError:
        return None
    certified = oa.quote(solution, asked, certify=True, gap=width)
    slack = 2e-6 * max(abs(solution.value), abs(solution.bound), 1.0) + 1e-6
    promised = quote if quote.feasible is not False else certified
    cost = np.inf
    if promised.feasible is not False:
        full = oa.solve(promised.accept().problem, gap=1e-6)
        if full.status.name != "INFEASIBLE":
            slack += max(0.0, full.bound - full.value) + max(0.0, solution.bound - solution.value)
            cost = solution.value - full.value
    return Case(quote, certified, float(cost), slack)
