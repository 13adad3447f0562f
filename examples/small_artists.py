"""What does it cost listeners to give small artists a place? Frontiers on real listening data, against plain rules.

    python examples/small_artists.py [path/to/lastfm-2k] --out small_artists.png

The data are those of lastfm.py, in the same tables; so is the relevance. Needs pyarrow and matplotlib.

1. Relevance from four fifths of what users listen to; the last fifth says what slates are worth to listeners.
2. Candidates: every user's 100 best artists, and the 20 best small ones besides. Slates of 10.
3. Plain rules: the top 10, exposure in proportion to relevance, greedy re-ranking with a boost (xQuAD).
4. Programs, each swept by `oa.frontier`: log of every artist's exposure; a floor for small artists together; both.
5. One table, one figure.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lastfm import HELD_OUT, SMALL, Listening, fit, gini, matrix, read
from ranking import Floats, Ints, best, command, draw_curves, hit_rate, ndcg, print_table, whole

import oasis_alloc as oa

SLOTS = 10
BEST, SUITED = 100, 20  # candidates of a user: the best of all artists, the best small ones besides
POWERS = (1.0, 2.0, 4.0)  # of relevance, that exposure is in proportion to
BOOSTS = (0.05, 0.1, 0.2, 0.4, 0.8)  # of the greedy re-ranking
WEIGHTS = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)  # of the log of exposure, in units of relevance
SHARES = (0.1, 0.15, 0.2, 0.3, 0.4)  # of all exposure, that small artists have together
GAP = 1e-4


@dataclass(frozen=True, eq=False)
class Market:
    """Who could be shown what: rows are users, candidates by falling relevance."""

    artist: Ints  # (n_users, n_candidates)
    relevance: Floats  # (n_users, n_candidates)
    small: npt.NDArray[np.bool_]  # (n_users, n_candidates)
    held: Floats  # (n_users, n_candidates) 1 where it was held out: the user listens to it
    n_held: Ints  # (n_users,)
    n_artists: int
    candidates: oa.Candidates


@dataclass(frozen=True, eq=False)
class Row:
    """One way to fill the slates: whose it is (methods of one curve share a name), its knob, and x."""

    method: str
    knob: float | None
    x: Floats
    gap: float | None = None
    seconds: float | None = None


def market_of(data: Listening, n_users: int | None = None) -> Market:
    """Hold out a fifth of the pairs, fit relevance to the rest, and choose the candidates."""
    is_held = np.random.default_rng(2011).random(data.user.size) < HELD_OUT
    heard = matrix(data, ~is_held, np.log1p(data.plays))
    held = matrix(data, is_held, np.ones(data.user.size)).toarray()[:n_users]
    relevance = np.where(heard.toarray() > 0, -1.0, fit(heard))[:n_users]  # only artists that are new to the user
    is_small = data.listeners <= SMALL[1]
    first = best(relevance, BEST)
    others = np.where(is_small, relevance, -1.0)
    np.put_along_axis(others, first, -1.0, axis=1)
    chosen = np.hstack([first, best(others, SUITED)])
    scores = np.take_along_axis(relevance, chosen, axis=1)
    order = best(scores, chosen.shape[1])
    artist, scores = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(scores, order, axis=1)
    candidates = oa.Candidates.from_arrays(
        indptr=np.arange(len(artist) + 1) * artist.shape[1],
        item=artist.ravel(),
        columns={"relevance": scores.ravel()},
        items={"artist": data.names, "size": np.where(is_small, "small", "known")},
    )
    liked = np.take_along_axis(held, artist, axis=1)
    n_held = held.sum(axis=1).astype(np.int64)
    return Market(artist, scores, is_small[artist], liked, n_held, data.names.size, candidates)


def proportional(market: Market, power: float) -> Floats:
    """Exposure in proportion to relevance ** power, user by user, no candidate shown more than once.

    Exposure that follows merit is the rule of Singh and Joachims (KDD 2018); what is cut off at 1 goes to the others.
    """
    merit = np.maximum(market.relevance, 1e-9) ** power
    x = np.zeros_like(merit)
    for _ in range(SLOTS):  # in each round at least one more of those that are cut, or all is spent
        cut = x >= 1.0
        left = np.where(cut, 0.0, merit)
        share = (SLOTS - cut.sum(axis=1)) / left.sum(axis=1)
        x = np.where(cut, 1.0, np.minimum(1.0, share[:, None] * left))
    return x


def greedy(market: Market, boost: float) -> Floats:
    """One slot after the other: relevance, plus a boost for small artists that halves with each one chosen.

    This is xQuAD (Santos, Macdonald and Ounis, WWW 2010) with one aspect, "small", that an artist covers by half.
    """
    rows, chosen = np.arange(len(market.relevance)), []
    uncovered, free = np.ones(len(rows)), np.zeros_like(market.relevance)
    for _ in range(SLOTS):
        scores = market.relevance + boost * uncovered[:, None] * market.small + free
        chosen.append(scores.argmax(axis=1))
        free[rows, chosen[-1]] = -np.inf
        uncovered *= np.where(market.small[rows, chosen[-1]], 0.5, 1.0)
    return whole(np.stack(chosen, axis=1), market.relevance.shape[1])


def rules(market: Market) -> list[Row]:
    """What one would do without a program."""
    n = market.relevance.shape[1]
    rows = [Row("top 10", None, whole(np.tile(np.arange(SLOTS), (len(market.relevance), 1)), n))]
    rows += [Row("proportional, power", power, proportional(market, power)) for power in POWERS]
    return rows + [Row("greedy, boost", boost, greedy(market, boost)) for boost in BOOSTS]


def programs(market: Market, weights: tuple[float, ...], shares: tuple[float, ...]) -> list[Row]:
    """The frontiers: every point is a solution with a certificate, started from the one before it."""
    relevance, slate = oa.total("relevance"), oa.Slate(SLOTS)
    slots = SLOTS * len(market.relevance)
    fair = oa.log(oa.exposure(by="artist"), offset=1.0).named("fair")
    place = (oa.exposure(by="size") >= {"small": 1.0}).named("a place")
    exposures = [share * slots for share in shares]
    both = oa.Problem(market.candidates, relevance + weights[1] * fair, [place], slate)
    curves = [
        ("log of exposure, weight", oa.Problem(market.candidates, relevance + fair, [], slate), "fair", weights, 1.0),
        ("floor, share", oa.Problem(market.candidates, relevance, [place], slate), "a place", exposures, slots),
        (f"log at {weights[1]:g}, floor, share", both, "a place", exposures, slots),
    ]
    rows = []
    for method, problem, vary, points, unit in curves:
        curve = oa.frontier(problem, vary=vary, points=points, scale=vary == "a place", gap=GAP)
        for point, solution in zip(curve.points, curve.solutions, strict=True):
            solution.raise_if_infeasible()
            x = solution.allocation.reshape(market.relevance.shape)
            rows.append(Row(method, point / unit, x, solution.gap, solution.seconds))
    return rows


def judge(market: Market, row: Row, top: float) -> dict[str, Any]:
    """What a row of the table says, all from x alone but for the gap and the seconds."""
    exposure = np.bincount(market.artist.ravel(), row.x.ravel(), market.n_artists)
    return {
        "": row.method if row.knob is None else f"{row.method} {row.knob:g}",
        "relevance": float((row.x * market.relevance).sum()) / top,
        "nDCG@10": ndcg(row.x, market.held, market.n_held, SLOTS),
        "hits": hit_rate(row.x, market.held, market.n_held),
        "small": float((row.x * market.small).sum() / row.x.sum()),
        "artists": int((exposure > 1 - 1e-6).sum()),
        "Gini": gini(exposure),
        "gap": row.gap,
        "seconds": row.seconds,
    }


def run(
    folder: Path,
    n_users: int | None = None,
    weights: tuple[float, ...] = WEIGHTS,
    shares: tuple[float, ...] = SHARES,
) -> tuple[Market, list[Row], list[dict[str, Any]]]:
    """Everything but the figure; prints the table."""
    market = market_of(read(folder), n_users)
    rows = rules(market) + programs(market, weights, shares)
    top = float((rows[0].x * market.relevance).sum())
    judged = [judge(market, row, top) for row in rows]
    print(f"{market.candidates!r}\n{market.n_held.sum():,} pairs held out\n")
    forms = ["", ".1%", ".4f", ".1%", ".1%", ",", ".3f", ".0e", ".2f"]
    print_table(list(judged[0]), [list(line.values()) for line in judged], forms)
    return market, rows, judged


def draw(rows: list[Row], judged: list[dict[str, Any]], out: Path) -> None:
    """Relevance kept against what it was given up for."""
    x = {"small": "share of exposure that small artists have", "artists": "artists with an exposure or more"}
    draw_curves([row.method for row in rows], judged, x, out)


def main(argv: list[str] | None = None) -> int:
    """Find the data, run, draw; the exit code is 0, or 2 without data."""

    def run_and_draw(folder: Path, n_users: int | None, out: Path) -> None:
        _, rows, judged = run(folder, n_users)
        draw(rows, judged, out)

    return command(argv, "lastfm-2k", "plays", "small_artists.png", run_and_draw)


if __name__ == "__main__":
    sys.exit(main())
