"""A week of real arrivals: budgets of four product groups, paced by every controller, in one table and in words.

    python examples/paced_week.py      # the data: in $OASIS_ALLOC_DATA, by default ../shared/data

Data: the Open Bandit Dataset, small version, men's campaign (Saito, Aihara, Matsutani, Narita, arXiv:2008.07146):
impressions of 34 items with their times. The stream of the uniform policy is what is known beforehand: click rates and
prices come from it. The stream of the other policy is the week that is replayed.
"""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pandas as pd
from data_sets import folder_of

import oasis_alloc as oa

GROUPS = (1, 2, 3, 5)  # values of c1 that are promoted
EVERY = 4  # impressions of the week that are replayed: every fourth
PENALTY = 0.005  # clicks that a missed showing is worth


def rates(events: pd.DataFrame, items: pd.DataFrame) -> np.ndarray:
    """(segments of uf1, items) click rates of the uniform policy, drawn towards the mean of all."""
    mean = events["click"].mean()
    of_item = events.groupby("item")["click"].agg(["sum", "count"]).reindex(items["item"], fill_value=0)
    of_segment = events.groupby("uf1")["click"].agg(["sum", "count"])
    item = (of_item["sum"] + 300 * mean) / (of_item["count"] + 300)
    segment = (of_segment["sum"] + 300 * mean) / (of_segment["count"] + 300) / mean
    return np.outer(segment, item)


def requests(events: pd.DataFrame, items: pd.DataFrame, rate: np.ndarray) -> oa.Requests:
    """Every impression is a request for one slot, with all items as its candidates."""
    n, segment = len(items), events["uf1"].to_numpy()
    group = [int(c) if c in GROUPS else None for c in items["c1"]]
    cands = oa.Candidates.from_arrays(
        np.arange(len(events) + 1) * n, np.tile(np.arange(n), len(events)), {"clicks": rate[segment].ravel()},
        users={"segment": segment}, items={"group": group},
    )  # fmt: skip
    seconds = events["ts"].astype("int64").to_numpy() / 1e6
    day = 86400.0
    return oa.Requests(cands, seconds, np.floor(seconds.min() / day) * day, np.ceil(seconds.max() / day) * day)


def explain(done: oa.Replay, names: tuple[str, ...], few: int) -> None:
    """Say what the table shows."""
    error, share, over, loss = (
        {name: mean for (_, name), mean in done.mean(metric).items()}
        for metric in ("error against plan", "share of hindsight", "above hard caps", "relevance loss")
    )
    nearest, best = min(names, key=lambda name: error[name]), max(names, key=lambda name: share[name])
    said = (
        f"The policy alone goes {over['policy alone']:.0f} showings above a cap: prices of {few:,} other impressions "
        "do not fit this week. No pacer crosses a cap.",
        f"{nearest} is nearest to the plan in time, at an error of {error[nearest]:.3f}; the default has "
        f"{error['adaptive']:.3f}.",
        f"{best} keeps most of what hindsight could have, penalties included: {share[best]:.1%}; the default has "
        f"{share['adaptive']:.1%}. Promotion costs the default {loss['adaptive']:.1%} of the clicks that the best "
        "items would have had.",
        "throttle moves no prices: it leaves groups out of requests at random, also of those that suit them best "
        f"({share['throttle']:.1%}). caps knows no bonus, so where a floor needs one it falls short "
        f"({share['caps']:.1%}).",
    )
    print("", *(textwrap.fill(part, 120) for part in said), sep="\n")


def main() -> oa.Replay | int:
    folder = folder_of("obd-men", "events")
    if folder is None:
        return 2
    events, items = pd.read_parquet(folder / "events.parquet"), pd.read_parquet(folder / "items.parquet")
    events["ts"] = events["ts"].astype("datetime64[us, UTC]")
    rate = rates(events[events["policy"] == "random"], items)
    known = requests(events[events["policy"] == "random"].iloc[::10], items, rate)
    week = requests(events[events["policy"] == "bts"].iloc[::EVERY], items, rate)

    shares = dict(zip(GROUPS, (0.15, 0.10, 0.20, 0.25), strict=True))
    few, many = len(known), len(week)
    exposure = oa.exposure(by="group")
    rules = [
        (exposure <= {g: s * few for g, s in shares.items()}).named("caps"),
        oa.soft(exposure >= {g: 0.9 * s * few for g, s in shares.items()}, penalty=PENALTY).named("floors"),
    ]
    policy = oa.solve(oa.Problem(known.candidates, oa.total("clicks"), rules, oa.Slate(1)), gap=1e-4).policy()
    caps = {g: float(round(s * many)) for g, s in shares.items()}
    plan = oa.Plan(
        "group", week.start, week.end, caps=caps, floors={g: 0.9 * cap for g, cap in caps.items()}, penalty=PENALTY
    )
    contenders: dict[str, oa.Policy | oa.Pacer] = {"policy alone": policy}
    names = ("adaptive", "mirror", "entropic", "pi", "throttle", "caps")
    contenders |= {name: oa.Pacer(policy, plan, controller=name) for name in names}
    done = oa.replay(week, contenders, plan=plan, scenario=oa.Scenario(replicas=2, sync=300.0), hindsight=1e-3)
    print(done)
    explain(done, names, few)
    return done


if __name__ == "__main__":
    result = main()
    sys.exit(result if isinstance(result, int) else 0)
