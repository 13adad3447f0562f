"""Sixteen months of real visits to a film site: older films get a share of the slots, paced by every controller.

    python examples/paced_films.py      # the data: in $OASIS_ALLOC_DATA, by default ../shared/data

Data: MovieLens, latest small version of 2016 (Harper and Konstan, ACM TiiS, 2015): 100,004 ratings with their times. A
rating is taken for a visit at its time. What came before the flight is what is known beforehand: how well films are
liked, when people come, and the prices. People rate hundreds of films within an hour and then stay away for weeks, so
no forecast says when visits come: the hardest arrivals of all examples.
"""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pandas as pd
from data_sets import folder_of

import oasis_alloc as oa

FILMS, EACH, SLOTS = 400, 30, 3  # films that are shown at all; candidates and slots of a visit
START = pd.Timestamp("2015-07-01", tz="UTC")
SHARES = {"before 1970": 0.08, "1970s": 0.12, "1980s": 0.20}  # of all slots
PENALTY = 0.5  # stars that a missed showing is worth
CONTROLLERS = ("adaptive", "mirror", "entropic", "pi", "throttle", "caps")


def decade(year: float) -> str | None:
    """The catalog that a film of this year belongs to."""
    return "before 1970" if year < 1970 else f"{int(year) // 10 * 10}s" if year < 1990 else None


def liking(events: pd.DataFrame, films: pd.DataFrame) -> np.ndarray:
    """(films,) the mean rating of every film, drawn towards the mean of all by ten ratings."""
    mean = events["rating"].mean()
    found = events.groupby("item")["rating"].agg(["sum", "count"]).reindex(films["item"], fill_value=0)
    return ((found["sum"] + 10 * mean) / (found["count"] + 10)).to_numpy()


def tastes(events: pd.DataFrame, films: pd.DataFrame, genres: np.ndarray) -> np.ndarray:
    """(events, genres) how far above their own mean the user has rated a genre, before each event."""
    of_item = dict(zip(films["item"], genres, strict=True))
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, np.ndarray] = {}
    out = np.zeros((len(events), genres.shape[1]))
    for row, (user, item, rating) in enumerate(zip(events["user"], events["item"], events["rating"], strict=True)):
        total, count = sums.setdefault(user, np.zeros(genres.shape[1])), counts.setdefault(user, np.zeros(out.shape[1]))
        out[row] = total / (count + 5.0)
        if item in of_item:
            total += of_item[item] * (rating - 3.5)
            count += of_item[item]
    return out


def requests(events: pd.DataFrame, films: pd.DataFrame, liked: np.ndarray, genres: np.ndarray) -> oa.Requests:
    """Every rating is a visit with thirty of the films as candidates, the same films in every run."""
    n, rng = len(events), np.random.default_rng(0)
    film = np.argsort(rng.random((n, FILMS)), axis=1)[:, :EACH]
    fit = np.einsum("ng,nkg->nk", tastes(events, films, genres), genres[film]) / genres[film].sum(axis=2).clip(1.0)
    cands = oa.Candidates.from_arrays(
        np.arange(n + 1) * EACH, film.ravel(), {"stars": (liked[film] + fit).clip(0.0).ravel()},
        items={"catalog": [decade(year) for year in films["year"]]},
    )  # fmt: skip
    seconds = events["ts"].astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    day = 86400.0
    return oa.Requests(cands, seconds, np.floor(seconds.min() / day) * day, np.ceil(seconds.max() / day) * day)


def limits(n: int) -> tuple[dict[str, float], dict[str, float]]:
    """(caps, floors) of n visits."""
    caps = {name: float(round(share * SLOTS * n)) for name, share in SHARES.items()}
    return caps, {name: 0.9 * cap for name, cap in caps.items()}


def main() -> oa.Replay | int:
    folder = folder_of("movielens-small", "events")
    if folder is None:
        return 2
    events = pd.read_parquet(folder / "events.parquet").sort_values("ts", kind="stable")
    films = pd.read_parquet(folder / "items.parquet").nlargest(FILMS, "n_ratings").reset_index(drop=True)
    genres = np.zeros((FILMS, 32))
    for row, mine in enumerate(films["genres"]):
        genres[row, list(mine)] = 1.0
    before, flight = events[events["ts"] < START], events[events["ts"] >= START]
    liked = liking(before, films)
    known, visits = requests(before.iloc[-5000:], films, liked, genres), requests(flight, films, liked, genres)

    caps, floors = limits(len(known))
    exposure = oa.exposure(by="catalog")
    rules = [(exposure <= caps).named("caps"), oa.soft(exposure >= floors, penalty=PENALTY).named("floors")]
    policy = oa.solve(oa.Problem(known.candidates, oa.total("stars"), rules, oa.Slate(SLOTS)), gap=1e-4).policy()
    caps, floors = limits(len(visits))
    plan = oa.Plan("catalog", visits.start, visits.end, caps=caps, floors=floors, penalty=PENALTY)

    # A pacer with a schedule keeps it: what could be known is when people came before, and not when they will come.
    schedule = oa.Schedule.fit(list(before["ts"].iloc[-20_000:])).over(visits.start, visits.end)
    contenders: dict[str, oa.Policy | oa.Pacer] = {"policy alone": policy}
    contenders |= {name: oa.Pacer(policy, plan, controller=name, schedule=schedule) for name in CONTROLLERS}
    contenders["adaptive, told the future"] = oa.Pacer(policy, plan)  # with the true arrivals as its forecast
    done = oa.replay(visits, contenders, plan=plan, scenario=oa.Scenario(sync=3600.0), hindsight=1e-3)
    print(done)
    explain(done, len(visits))
    return done


def explain(done: oa.Replay, n: int) -> None:
    """Say what the table shows."""
    share, over, error = (
        {name: float(done.values(metric, "scenario", name)[0]) for name in done.contenders}
        for metric in ("share of hindsight", "above hard caps", "error against plan")
    )
    best = max(CONTROLLERS, key=lambda name: share[name])
    told = "adaptive, told the future"
    said = (
        f"{n:,} visits in sixteen months. The prices of the visits before are nearly right for these, so the policy "
        "alone is near the best value, but nothing stops it: it goes "
        f"{over['policy alone']:,.0f} showings above a cap. No pacer crosses one.",
        f"{best} keeps most of what hindsight could have, {share[best]:.1%}; the default has {share['adaptive']:.1%}. "
        "Controllers that compare deliveries with the clock take every burst for too much and raise prices: mirror has "
        f"{share['mirror']:.1%}, throttle {share['throttle']:.1%}.",
        "A schedule of earlier arrivals says little about bursts: the default is "
        f"{error['adaptive']:.2f} off its plan in time, and {error[told]:.2f} where it is told when visits come. Of "
        f"hindsight it then has {share[told]:.1%}.",
    )
    print("", *(textwrap.fill(part, 120) for part in said), sep="\n")


if __name__ == "__main__":
    result = main()
    sys.exit(result if isinstance(result, int) else 0)
