"""Guarantee small artists a place at little cost to listeners: an allocation on real listening data.

    python examples/lastfm.py path/to/lastfm-2k

The data are the listening counts of 1,892 Last.fm users (HetRec 2011, hetrec2011-lastfm-2k; for non-commercial use), as
`plays.parquet`, `artists.parquet` and `genres.parquet`. Without a path, they are looked for in `lastfm-2k` under the
directory that the environment variable OASIS_ALLOC_DATA names, by default ../shared/data. Needs pyarrow.

1. Fit a relevance model to four fifths of what users listen to; see how well it finds the last fifth.
2. Take every user's best artists as candidates, and of the artists who opt in, those who suit the user best.
3. Promise each of them listeners, cap everybody, and keep 97 % of the relevance that users would get without all this.
4. Solve, check with the reference solver, and say what it cost and who gained.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from data_sets import folder_of
from scipy.sparse.linalg import svds

import oasis_alloc as oa

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HELD_OUT = 0.2  # of the pairs of users and artists, to check the model with
SLOTS = 10  # artists that a user is shown
OPTED_IN = 100  # small artists that take part
SMALL = (5, 15)  # listeners, from ... to, of a small artist
BEST, SUITED = 120, 30  # candidates of a user: the best of all artists, the best of those who opted in
WEIGHT = 0.2  # what showing one of them is worth, in units of relevance
PROMISE = 15.0  # exposures that each of them is promised
CAP = 200.0  # exposures that any artist gets at most
KEPT = 0.9  # of the exposure of each genre without promotion
GUARD = 0.97  # of the relevance without promotion


class Listening(NamedTuple):
    """Who listens to what: users and artists are numbered from 0; only artists with a few listeners are kept."""

    user: Ints  # (n_pairs,)
    artist: Ints  # (n_pairs,)
    plays: Floats  # (n_pairs,)
    names: npt.NDArray[np.str_]  # (n_artists,)
    genres: list[str | None]  # (n_artists,)
    listeners: Ints  # (n_artists,)
    n_users: int


def read(folder: Path, least: int = SMALL[0]) -> Listening:
    """Read the tables; artists with fewer than `least` listeners cannot be learnt and are left out."""
    import pyarrow.parquet as pq

    plays, artists, genres = (
        pq.read_table(folder / f"{name}.parquet").to_pydict() for name in ("plays", "artists", "genres")
    )
    listeners = np.array(artists["listeners"])
    kept = np.flatnonzero(listeners >= least)
    number = np.full(listeners.size, -1)
    number[kept] = np.arange(kept.size)
    user, artist = np.array(plays["user"]), number[np.array(plays["artist"])]
    known = artist >= 0
    genre_of = dict(zip(genres["genre"], genres["name"], strict=True))
    return Listening(
        user=user[known],
        artist=artist[known],
        plays=np.array(plays["plays"], dtype=np.float64)[known],
        names=np.array(artists["name"])[kept],
        genres=[genre_of.get(artists["genre"][k]) for k in kept],
        listeners=listeners[kept],
        n_users=int(user.max()) + 1,
    )


def matrix(data: Listening, chosen: npt.NDArray[np.bool_], values: Floats) -> sp.csr_array:
    """Users x artists with one entry for each of the chosen pairs."""
    shape = (data.n_users, data.names.size)
    return sp.csr_array((values[chosen], (data.user[chosen], data.artist[chosen])), shape=shape)


def fit(heard: sp.csr_array, factors: int = 32) -> Floats:
    """Relevance of every artist to every user, (n_users, n_artists), 0 to 1, by a truncated SVD.

    Factorized are log(1 + plays) x rarity of the artist, each user's row of length 1: a tf-idf of listening. What a
    user has heard is no longer relevant: we look for artists that are new to them.
    """
    rarity = np.log(heard.shape[0] / np.maximum(1, np.diff(heard.tocsc().indptr)))
    weighted = heard @ sp.diags_array(rarity)
    length = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)).ravel())
    rows = sp.diags_array(1 / np.maximum(length, 1e-9)) @ weighted
    left, strength, right = svds(rows, k=factors, v0=np.ones(min(rows.shape)))  # v0: the same every time
    predicted = (left * strength) @ right / rarity
    relevance: Floats = np.clip(predicted / np.quantile(predicted, 0.9999), 0.0, 1.0)
    relevance[heard.nonzero()] = 0.0
    return relevance


def best(scores: Floats, count: int) -> Ints:
    """The columns with the largest scores in each row, (n_rows, count), in no order."""
    return np.argpartition(-scores, count, axis=1)[:, :count]


def candidates_of(data: Listening, relevance: Floats, opted_in: Ints, held: sp.csr_array) -> oa.Candidates:
    """Each user's best artists, and of those who opted in, the ones that suit the user best."""
    chosen = np.zeros(relevance.shape, dtype=bool)
    rows = np.arange(len(relevance))[:, None]
    chosen[rows, best(relevance, BEST)] = True
    chosen[rows, opted_in[best(relevance[:, opted_in], SUITED)]] = True
    user, artist = np.nonzero(chosen)  # sorted by user
    promoted = np.isin(np.arange(data.names.size), opted_in)
    return oa.Candidates.from_arrays(
        indptr=np.searchsorted(user, np.arange(len(relevance) + 1)),
        item=artist,
        columns={
            "relevance": relevance[user, artist],
            "promotion": promoted[artist].astype(np.float64),
            "held out": held.toarray()[user, artist],  # only looked at afterwards
        },
        items={
            "artist": data.names,
            "opted in": [name if yes else None for name, yes in zip(data.names, promoted, strict=True)],
            "genre": data.genres,
        },
        item_ids=data.names,
    )


def organic(candidates: oa.Candidates) -> oa.Solution:
    """What users would be shown without promotion: the most relevant."""
    return oa.solve(oa.Problem(candidates, maximize=oa.total("relevance"), slate=oa.Slate(SLOTS)))


def problem_of(candidates: oa.Candidates, before: oa.Solution) -> oa.Problem:
    """Promote, but keep the promises to artists, genres and listeners."""
    organic_exposure = exposure(candidates, before.allocation, "genre")
    return oa.Problem(
        candidates,
        maximize=oa.total("relevance") + WEIGHT * oa.total("promotion"),
        subject_to=[
            (oa.exposure(by="opted in") >= PROMISE).named("promise to small artists"),
            (oa.exposure(by="artist") <= CAP).named("cap on every artist"),
            (oa.exposure(by="genre") >= KEPT * organic_exposure).named("genres keep their place"),
            (oa.total("relevance") >= GUARD * before.value).named("relevance guard"),
        ],
        slate=oa.Slate(SLOTS),
    )


def exposure(candidates: oa.Candidates, x: Floats, by: str) -> Floats:
    """Exposure of every group of a key of the artists, in the order of `candidates.groups(by)`."""
    key = candidates.items[by].codes[candidates.item]
    return np.bincount(key[key >= 0], x[key >= 0], candidates.items[by].n_groups).astype(np.float64)


def gini(amounts: npt.NDArray[Any]) -> float:
    """0 where all have the same, towards 1 where one has everything."""
    ordered, n = np.sort(amounts), amounts.size
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def recall(relevance: Floats, held: sp.csr_array, count: int) -> float:
    """Share of the held-out pairs that are among the `count` best of their user."""
    found = held.toarray()[np.arange(len(relevance))[:, None], best(relevance, count)]
    return float(found.sum() / held.nnz)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The problem, the answer without and with promotion, and the reference solver's."""

    problem: oa.Problem
    before: oa.Solution
    after: oa.Solution
    reference: oa.Solution
    opted_in: Ints


def run(folder: Path) -> Outcome:
    """Do it all on the tables in `folder`, and print what comes out."""
    rng = np.random.default_rng(2011)
    data = read(folder)
    is_held = rng.random(data.user.size) < HELD_OUT
    heard = matrix(data, ~is_held, np.log1p(data.plays))
    held = matrix(data, is_held, np.ones(data.user.size))
    relevance = fit(heard)
    popularity = np.where(heard.toarray() > 0, 0.0, np.diff(heard.tocsc().indptr))
    print("model       held-out pairs found   " + "".join(f"{f'in {k}':>9}" for k in (10, 50, BEST)))
    for name, scores in (("truncated SVD", relevance), ("most popular", popularity)):
        print(f"            {name:<23}" + "".join(f"{100 * recall(scores, held, k):>7.1f} %" for k in (10, 50, BEST)))

    small = np.flatnonzero(data.listeners <= SMALL[1])
    opted_in = np.sort(rng.choice(small, OPTED_IN, replace=False))
    candidates = candidates_of(data, relevance, opted_in, held)
    before = organic(candidates)
    problem = problem_of(candidates, before)
    print(f"\n{problem}\n")
    after = oa.solve(problem)
    reference = oa.solve(problem, solver="conic")
    if not after.conflicts:
        tell(data, candidates, before, after, opted_in)
    print(f"\n{after}\n")
    if not (after.conflicts or reference.conflicts):
        apart = abs(after.value - reference.value) / max(1.0, abs(reference.bound))
        print(
            f"The reference solver finds {reference.value:,.4f} in {reference.seconds:.2g} s, "
            f"the dual {after.value:,.4f} in {after.seconds:.2g} s: {apart:.0e} apart."
        )
    return Outcome(problem, before, after, reference, opted_in)


def tell(data: Listening, candidates: oa.Candidates, before: oa.Solution, after: oa.Solution, opted_in: Ints) -> None:
    """Print what it cost, and who gained."""
    shown = [
        np.bincount(candidates.item, solution.allocation, data.names.size).astype(np.float64)
        for solution in (before, after)
    ]
    others = np.setdiff1d(np.flatnonzero(data.listeners <= SMALL[1]), opted_in)

    def of(column: str) -> list[float]:
        return [float(candidates.columns[column] @ solution.allocation) for solution in (before, after)]

    rows = [
        ("what it cost", None, ""),
        ("relevance", of("relevance"), ",.1f"),
        ("held-out artists shown to their listeners", of("held out"), ",.1f"),
        ("who gained", None, ""),
        (f"exposure of the {OPTED_IN} who opted in", [s[opted_in].sum() for s in shown], ",.1f"),
        ("those of them with an exposure or more", [float((s[opted_in] > 1 - 1e-6).sum()) for s in shown], ",.0f"),
        ("exposure of the least shown of them", [s[opted_in].min() for s in shown], ",.1f"),
        (f"exposure of the {others.size:,} other small artists", [s[others].sum() for s in shown], ",.1f"),
        ("exposure of the most shown artist", [s.max() for s in shown], ",.1f"),
        (f"artists shown, of {data.names.size:,}", [float((s > 1 - 1e-6).sum()) for s in shown], ",.0f"),
        ("Gini of the exposure of all artists", [gini(s) for s in shown], ".4f"),
    ]
    print(f"{'':<44}{'without':>10}{'with':>10}{'change':>10}")
    for name, pair, form in rows:
        if pair is None:
            print(name)
            continue
        ratio = pair[1] / pair[0] if pair[0] else np.inf
        change = f"{100 * (ratio - 1):+.1f} %" if ratio < 4 else f"x {ratio:,.0f}" if np.isfinite(ratio) else "new"
        print(f"  {name:<42}{pair[0]:>10{form}}{pair[1]:>10{form}}{change:>10}")
    gain = shown[1] - shown[0]
    print("most gained   " + ", ".join(f"{data.names[k]} {gain[k]:+.0f}" for k in np.argsort(-gain, kind="stable")[:4]))
    print("most lost     " + ", ".join(f"{data.names[k]} {gain[k]:+.0f}" for k in np.argsort(gain, kind="stable")[:4]))


def main(argv: list[str] | None = None) -> int:
    """Find the data, run, and return the exit code: 0 if solved, 2 without data, 3 if not solved."""
    parser = argparse.ArgumentParser(description="Guarantee small artists a place: an allocation on Last.fm listening.")
    parser.add_argument(
        "path", nargs="?", type=Path, help="directory of the tables (default: $OASIS_ALLOC_DATA/lastfm-2k)"
    )
    path = folder_of("lastfm-2k", "plays", parser.parse_args(argv).path)
    if path is None:
        return 2
    started = time.perf_counter()
    outcome = run(path)
    print(f"{time.perf_counter() - started:.1f} s in all")
    return 0 if outcome.after.status is oa.Status.SOLVED else 3


if __name__ == "__main__":
    sys.exit(main())
