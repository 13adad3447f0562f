"""Predictions that come true: films liked by MovieLens users, in time order, with and without calibration.

    python examples/calibrated_films.py [path/to/movielens-small]

Every user's ratings are taken in their order in time. A simple model is fitted to the first half and calibrated on the
next quarter. Its slates are delivered from the last quarter, where the ratings say what was liked: 4 stars or more. The
table compares what a solution's report promises with what occurs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from data_sets import folder_of

import oasis_alloc as oa

SLATE, FEWEST, PRIOR = 5, 8, 2.0


@dataclass(frozen=True)
class Part:
    """Ratings of one stretch of time, sorted by user."""

    user: Any
    item: Any
    liked: Any


def parts(events: Any) -> list[Part]:
    """The first half, the next quarter and the last quarter of every user's ratings."""
    events = events.sort_values(["user", "ts", "item"], kind="stable")
    place = events.groupby("user").cumcount().to_numpy()
    share = place / events.groupby("user")["item"].transform("size").to_numpy()
    stretch = np.searchsorted([0.5, 0.75], share, side="right")
    out = []
    for k in range(3):
        mine = events[stretch == k]
        out.append(Part(mine["user"].to_numpy(), mine["item"].to_numpy(), mine["rating"].to_numpy() >= 4.0))
    return out


def model(first: Part, n_users: int, n_items: int) -> tuple[Any, Any]:
    """(share of likes of each film, how much more each user likes than others): hardly smoothed, so it overfits."""
    mean = first.liked.mean()
    film = np.bincount(first.item, first.liked, n_items) + PRIOR * mean
    film /= np.bincount(first.item, minlength=n_items) + PRIOR
    more = np.bincount(first.user, first.liked - film[first.item], n_users)
    return film, more / (np.bincount(first.user, minlength=n_users) + PRIOR)


def best_of_users(values: Any, user: Any) -> Any:
    """True for the best few of each user: what a solution without limits selects."""
    order = np.lexsort((-values, user))
    starts = np.r_[0, np.flatnonzero(np.diff(user[order])) + 1]
    place = np.arange(order.size) - np.repeat(starts, np.diff(np.r_[starts, order.size]))
    out = np.zeros(order.size, bool)
    out[order[place < SLATE]] = True
    return out


def candidates(part: Part, score: Any, n_items: int, popularity: Any) -> tuple[oa.Candidates, Any]:
    """(candidates of the users with enough films, which of the part's rows they are)."""
    count = np.bincount(part.user)
    rows = np.flatnonzero(count[part.user] >= FEWEST)
    rows = rows[np.lexsort((part.item[rows], part.user[rows]))]
    indptr = np.r_[0, np.flatnonzero(np.diff(part.user[rows])) + 1, rows.size]
    known = np.where(popularity >= 20, "known", "rare")
    return oa.Candidates.from_arrays(
        indptr, part.item[rows], {"relevance": score[rows]}, items={"film": known}, n_items=n_items
    ), rows


def run(folder: Path) -> dict[str, tuple[float, float]]:
    """Fit, calibrate, solve, deliver, and print the table; (promised, occurred) by row."""
    events = pd.read_parquet(folder / "events.parquet")
    out: dict[str, tuple[float, float]] = {}
    n_users, n_items = int(events["user"].max()) + 1, int(events["item"].max()) + 1
    first, second, last = parts(events)
    film, more = model(first, n_users, n_items)
    scores = [film[part.item] + more[part.user] for part in (first, second, last)]
    calibration = oa.Calibration.fit(scores[1], second.liked)

    def fit(rows: Any) -> Any:
        return oa.Calibration.fit(scores[1][rows], second.liked[rows]).apply(scores[1])

    error = oa.SelectedError.from_split(
        fit, second.liked, lambda p, rows: best_of_users(p[rows], second.user[rows]), clusters=second.user
    )
    cands, rows = candidates(last, scores[2], n_items, np.bincount(first.item, minlength=n_items))
    liked = last.liked[rows].astype(float)
    least = 0.35 * SLATE * cands.n_users
    reference = oa.Sketch.of({"score": scores[1]})
    now = reference.empty()
    now.add({"score": scores[2]})
    (drift,) = oa.Drift.between(reference, now)
    print(f"{cands!r}\nafter selection: {error!r}")
    print(f"scores since the calibration: stability index {drift.stability:.3f}, distance {drift.distance:.3f}")
    print(f"likes: {second.liked.mean():.1%} when it was calibrated, {last.liked.mean():.1%} when it is delivered\n")
    print(f"{'':34} {'promised':>9} {'occurred':>9} {'off by':>7} {'error':>7}")
    columns = {
        "scores as they are": cands,
        "calibrated": cands.calibrated({"relevance": calibration}),
        "calibrated, corrected for selection": cands.calibrated({"relevance": error.correct(calibration)}),
    }
    for name, given in columns.items():
        floor = oa.exposure(by="film") >= {"rare": least}
        solution = oa.solve(oa.Problem(given, oa.total("relevance"), floor, oa.Slate(SLATE)))
        promised = float(given.columns["relevance"][solution.pairs] @ solution.x)
        occurred = float(liked[solution.pairs] @ solution.x)
        quality = oa.Reliability.of(given.columns["relevance"], liked).calibration_error
        print(f"{name:34} {promised:9,.0f} {occurred:9,.0f} {promised / occurred - 1:+7.1%} {quality:7.3f}")
        out[name] = promised, occurred
        if name == "calibrated":
            said = error.statement(promised, "likes")
    print(f"\nthe report of the calibrated solution: {said}")
    return out


def main() -> int:
    """Run on the data of the command line or of the environment; 2 if there are none."""
    folder = folder_of("movielens-small", "events", Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    if folder is None:
        return 2
    run(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
