"""Forecasts on replayed months: how often the truth lies in the interval, and what is announced a week ahead.

    python -m benchmarks.forecasts --seeds 100 --json benchmarks/runs/forecasts.json
    python -m benchmarks.forecasts --worlds "pacer" "traffic halves" --seeds 20

A plan is solved for the users of one sample. Each month has other users, traffic and relevance that differ from what
was expected, and is replayed at the plan's prices (or with a pacer). Forecasts are made on several days from a ledger
with what was delivered until then, and compared with what was delivered in the end.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table

DAY, DAYS, START = 86_400.0, 28, 1_782_864_000.0
USERS, SONGS, EACH, CAMPAIGNS = 15_000, 240, 16, 40
WEEK_AHEAD = DAYS - 7
WHEN = (3, 7, 14, WEEK_AHEAD, 25)  # days on which forecasts are made


@dataclass(frozen=True)
class World:
    """How months differ from what was expected: standard deviations, or fixed numbers."""

    traffic: float = 0.1  # of the logarithm of the factor
    relevance: float = 0.1  # of the change over the month
    factor: float = 1.0  # of all traffic, next to the random one
    paced: bool = False
    arrivals: str = "recorded"
    errors: float = 0.0  # of the relevance of each song at requests, which all users share
    told: bool = True  # whether forecasts are given draws of these errors


WORLDS = {
    "as expected of it": World(),
    "nothing differs": World(traffic=0.0, relevance=0.0),
    "traffic halves": World(factor=0.5),
    "traffic doubles": World(factor=2.0),
    "relevance moves by 30 %": World(relevance=0.3),
    "iid arrivals": World(arrivals="iid"),
    "pacer": World(paced=True),
    "errors by song": World(errors=0.05),
    "errors by song, not told": World(errors=0.05, told=False),
}


@dataclass(frozen=True, eq=False)
class Months:
    """A plan for a month, its schedule and its floors."""

    plan: oa.Solution
    policy: oa.Policy
    schedule: oa.Schedule
    floors: dict[str, float]

    @property
    def flight(self) -> oa.Plan:
        """Floors of the flight, and caps for a pacer to keep."""
        caps = {label: 1.02 * floor for label, floor in self.floors.items()}
        return oa.Plan("campaign", START, START + DAYS * DAY, floors=self.floors, caps=caps)


def candidates(users: int, seed: int, error: np.ndarray | float = 0.0) -> oa.Candidates:
    """Users of one sample: songs of fixed popularity and quality, tastes of their own, and errors by song."""
    fixed, rng = np.random.default_rng(7), np.random.default_rng([seed, 3])
    campaign = [f"c{k % 60:02d}" if k % 60 < CAMPAIGNS else None for k in range(SONGS)]
    quality, popular = fixed.normal(0, 0.5, SONGS), fixed.lognormal(0, 0.8, SONGS)
    order = np.log(popular)[None, :] + rng.gumbel(size=(users, SONGS))
    item = np.sort(np.argsort(-order, axis=1)[:, :EACH], axis=1)
    relevance = 1.0 / (1.0 + np.exp(0.5 - quality[item] - rng.normal(0, 1, item.shape)))
    relevance = relevance + np.broadcast_to(error, SONGS)[item]
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * EACH,
        item.ravel(),
        {"relevance": relevance.ravel()},
        users={"market": rng.choice(["DE", "SE", "US"], users)},
        items={"campaign": campaign},
    )


@cache
def months(users: int = USERS, capped: bool = False) -> Months:
    """Floors are 0.95 to 1.25 times what relevance alone would deliver; caps, for pacers, are 1.02 times the floors."""
    cands = candidates(users, 0)
    free = oa.solve(oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(2)))
    natural = cands.grouping("campaign").totals(cands, free.pairs, free.x)
    share = np.random.default_rng(5).uniform(0.95, 1.25, natural.size)
    floors = dict(zip(cands.groups("campaign"), np.floor(natural * share).tolist(), strict=True))
    limits = [(oa.exposure(by="campaign") >= floors).named("floors")]
    if capped:
        caps = {label: 1.02 * floor for label, floor in floors.items()}
        limits.append((oa.exposure(by="campaign") <= caps).named("caps"))
    plan = oa.solve(oa.Problem(cands, oa.total("relevance"), limits, oa.Slate(2)))
    hours = 1.0 + 0.6 * np.sin(np.arange(24) / 24 * 2 * np.pi - 2)
    week = np.array([1.0, 1.0, 1.0, 1.0, 1.1, 1.4, 1.3])[:, None] * hours
    schedule = oa.Schedule.from_weights(week).over(START, START + DAYS * DAY)
    return Months(plan, plan.policy(), schedule, floors)


@cache
def draws(users: int, errors: float) -> oa.Draws:
    """Relevance of the plan's pairs as requests may have it."""
    cands = months(users).plan.problem.candidates
    relevance, item = cands.columns["relevance"], cands.item
    return oa.Draws.from_function(
        cands, lambda rng: {"relevance": relevance + errors * rng.normal(size=SONGS)[item]}, 32
    )


def month(world: World, seed: int, users: int = USERS, when: tuple[int, ...] = WHEN) -> list[dict[str, Any]]:
    """A row per campaign and day on which a forecast was made: low, mid, high, whether announced, and the truth."""
    given = months(users, world.paced)
    rng = np.random.default_rng([seed, 99])
    factor = world.factor * float(np.exp(world.traffic * rng.normal()))
    drift = max(world.relevance * float(rng.normal()), -0.9)
    error = world.errors * np.random.default_rng([seed, 98]).normal(size=SONGS)
    requests = oa.Requests.generated(
        candidates(users, 1000 + seed, error), START, START + DAYS * DAY, schedule=given.schedule, seed=seed
    )
    contender: Any = given.policy
    if world.paced:
        contender = oa.Pacer(given.policy, given.flight, schedule=given.schedule, requests=users)
    scenario = oa.Scenario(traffic=factor, drift=drift, sync=3600.0, arrivals=world.arrivals)
    done = oa.replay(requests, {"it": contender}, plan=given.flight, scenario=scenario, seeds=[seed], hindsight=None)
    schedule = given.schedule if world.arrivals == "recorded" else oa.Schedule.flat()
    errors = draws(users, world.errors) if world.errors and world.told else None
    rows = []
    for day in when:
        now = START + day * DAY
        found = oa.forecast(
            given.plan, schedule, delivered(done, now), start=START, end=START + DAYS * DAY, now=now,
            paced=world.paced, hard_caps=world.paced, errors=errors, seed=seed,
        )  # fmt: skip
        for one, goal in zip(found, done.goals, strict=True):
            truth = float(goal["delivered"])
            rows.append(
                {
                    "day": day, "label": one.label, "low": one.low, "mid": one.mid, "high": one.high, "truth": truth,
                    "inside": one.low <= truth <= one.high, "announced": one.status == "will fall short",
                    "short": truth < 0.95 * one.floor,
                }
            )  # fmt: skip
    return rows


def delivered(done: oa.Replay, now: float) -> oa.Ledger:
    """A ledger with what was delivered before now."""
    ledger = oa.Ledger(clock=lambda: START + DAYS * DAY, retention_days=100)
    for goal in done.goals:
        at, total = np.array(goal["at"]), np.array(goal["total"])
        hours = np.arange(START, now + 1.0, 3600.0)
        amounts = np.diff(np.interp(hours, at, total))
        some = np.flatnonzero(amounts > 0)
        ids = [f"{goal['goal']}-{k}" for k in some.tolist()]
        label = goal["goal"].strip("'")
        ledger.record_columns(ids, [label] * some.size, hours[some], amounts[some], ["confirmed"] * some.size)
    return ledger


def judged(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Coverage on all days, and announcements a week ahead."""
    out = {f"day {day}": float(np.mean([row["inside"] for row in rows if row["day"] == day])) for day in WHEN
           if any(row["day"] == day for row in rows)}  # fmt: skip
    week = [row for row in rows if row["day"] == WEEK_AHEAD]
    short, announced = (np.array([row[name] for row in week], np.bool_) for name in ("short", "announced"))
    out["short"] = float(short.mean())
    out["announced"] = float((short & announced).sum() / max(short.sum(), 1))
    out["false alarms"] = float((announced & ~short).sum() / max(announced.sum(), 1))
    out["false alarms of fine"] = float((announced & ~short).sum() / max((~short).sum(), 1))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--worlds", nargs="*", choices=tuple(WORLDS), default=list(WORLDS))
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    results: list[dict[str, object]] = []
    for name in options.worlds:
        began = time.perf_counter()
        rows = [row for seed in range(options.seeds) for row in month(WORLDS[name], seed)]
        results.append({"world": name, "seconds": time.perf_counter() - began, **judged(rows)})
        print(results[-1], flush=True)
    if options.json is not None:
        save(options.json, about, vars(options), results)
    heads = [head for head in results[0] if head != "seconds"]
    cells = [[str(row["world"]), *(f"{100 * float(str(row[h])):.1f}" for h in heads[1:])] for row in results]
    print("\n" + table(heads, cells, text=(0,)))


if __name__ == "__main__":
    main()
